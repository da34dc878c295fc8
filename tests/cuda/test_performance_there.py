"""`mw.stats` of numbers, of several classes, of rankings and of groups on a device, against the host."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from device_array import Arrow, Dlpack, Interface
from tolerances import PERFORMANCE

import modelwatch_gpu as mw
from modelwatch_gpu.device import engine
from modelwatch_gpu.stats.device_errors import DeviceErrors
from modelwatch_gpu.stats.labelled import errors_of

pytestmark = pytest.mark.gpu

ERRORS = (
    "rmse", "mae", "me", "mape", "mpe", "smape", "r2", "explained_variance", "max_error", "median_absolute_error",
    "quantile_loss", "error_quantiles",
)  # fmt: skip
#: They take logarithms.
DEVIANCES = ("poisson_deviance", "gamma_deviance")


def numbers(rows: int, dtype: str) -> tuple[Any, Any]:
    rng = np.random.default_rng(rows)
    a, b = (np.abs(rng.normal(50, 9, rows)).astype(dtype) for _ in range(2))
    if dtype.startswith("float") and rows > 20:
        a[3], b[5], a[7], b[7] = np.nan, np.nan, -0.0, 0.0
        b[8] = np.finfo(dtype).smallest_subnormal
    return a, b


@pytest.mark.parametrize("dtype", ["float32", "float64", "int8", "uint32", "int64", "uint64"])
def test_errors_of_numbers_have_the_hosts_bits(dtype: str) -> None:
    for rows in (1, 33, 1023, 1024, 2050):
        a, b = numbers(rows, dtype)
        for name in (*ERRORS, *DEVIANCES):
            function = getattr(mw.stats, name)
            if (rows == 1 and name in ("r2", "explained_variance")) or (name in DEVIANCES and rows > 20):
                continue
            expected = function(a, b, device="cpu", full=True)
            for sides, device in (((Dlpack(a), Interface(b)), "auto"), ((a, b), "cuda"), ((a, Dlpack(b)), "auto")):
                found = function(*sides, device=device, full=True)
                assert (found.device, found.n, found.missing) == ("cuda:0", expected.n, expected.missing)
                if name == "error_quantiles":
                    np.testing.assert_array_equal(found.values, expected.values)
                elif name in DEVIANCES:
                    assert found.value == pytest.approx(expected.value, rel=PERFORMANCE)
                else:
                    assert found.value == expected.value, name


@pytest.mark.parametrize("name", DEVIANCES)
def test_deviances_are_the_hosts_but_for_logarithms(name: str) -> None:
    rng = np.random.default_rng(3)
    a, b = rng.gamma(2, 3, 1500), rng.gamma(3, 2, 1500)
    function = getattr(mw.stats, name)
    assert function(Dlpack(a), Dlpack(b)) == pytest.approx(function(a, b), rel=PERFORMANCE)
    with pytest.raises(mw.InputError, match="above 0"):
        function(Dlpack(a - 100), Dlpack(b))


def test_rows_with_both_lie_on_the_device_as_the_host_has_them() -> None:
    """Whole numbers beyond 2^53 are subtracted before they are rounded; nulls of either side are left out."""
    rng = np.random.default_rng(4)
    rows = 2500
    large = (1 << 60) + rng.integers(-1000, 1000, rows)
    a = pa.array(large, mask=rng.random(rows) < 0.2).slice(5)
    b = pa.array(large + rng.integers(-9, 9, rows), mask=rng.random(rows) < 0.2).slice(5)
    expected = errors_of(a, b, None)
    backend: Any = engine("cuda:0")
    found = DeviceErrors(a, b, "cuda:0")
    assert (found.rows, found._pivot) == (len(expected.errors), expected.pivot)
    for name in ("errors", "labels", "predictions"):
        memory = getattr(found._held, name)
        own = backend.download(memory.pointer, memory.rows * 8).view(np.float64)
        np.testing.assert_array_equal(own, getattr(expected, name), name)
    there = mw.stats.mae(Arrow(a), Arrow(b), full=True)
    assert (there.device, there.value) == ("cuda:0", mw.stats.mae(a, b))
    assert np.abs(expected.errors).max() <= 9  # which rounding first would have lost


def test_several_columns_and_chunks_of_predictions() -> None:
    backend: Any = engine("cuda:0")
    before = backend.chunk_rows
    a, b = numbers(5000, "float64")
    both = np.stack([b, np.roll(b, 1)], axis=1)
    try:
        backend.chunk_rows = 2048
        found = mw.stats.rmse(a, both, device="cuda")
    finally:
        backend.chunk_rows = before
    np.testing.assert_array_equal(found, mw.stats.rmse(a, both))
    np.testing.assert_array_equal(mw.stats.rmse(Dlpack(a), Dlpack(both)), found)


def test_errors_that_have_no_number_are_refused_as_on_the_host() -> None:
    ones = np.ones(40)
    for name, sides, said in (
        ("rmse", (ones * np.nan, ones), "no answer"),
        ("r2", (ones, ones), "no answer"),
        ("rmse", (ones, ones * np.inf), "infinite"),
        ("error_quantiles", (ones[:0], ones[:0]), "no answer"),
    ):
        for there in (sides, tuple(Dlpack(side) for side in sides)):
            with pytest.raises(mw.InputError, match=said):
                getattr(mw.stats, name)(*there)
    with pytest.raises(mw.InputError, match="computed on the CPU"):
        mw.stats.rmse(Dlpack(ones), Dlpack(ones), weights=ones)


def classes(rows: int, dtype: str, k: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(rows + k)
    scores = rng.dirichlet(np.ones(k), rows).round(2).astype(dtype)
    labels = np.array([rng.choice(k, p=s.astype(float) / s.astype(float).sum()) for s in scores])
    labels[: min(k, rows)] = np.arange(k)[:rows]
    if rows > 30:
        scores[9, 0] = np.nan
    return labels, scores


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_scores_of_several_classes_have_the_hosts_numbers(dtype: str) -> None:
    for rows, k in ((3, 3), (1100, 4)):
        labels, scores = classes(rows, dtype, k)
        words = np.array(["a", "b", "c", "d"])[labels]
        for name, options in (
            ("roc_auc", {}),
            ("roc_auc", {"average": "weighted"}),
            ("roc_auc", {"average": "micro"}),
            ("roc_auc", {"multi_class": "ovo"}),
            ("roc_auc", {"multi_class": "ovo", "average": "weighted"}),
            ("log_loss", {}),
            ("brier", {}),
            ("top_k_accuracy", {"k": 1}),
            ("top_k_accuracy", {"k": 2}),
        ):
            function = getattr(mw.stats, name)
            expected = function(labels, scores, classes=range(k), device="cpu", full=True, **options)
            ways: list[tuple[Any, Any, Any, str]] = [
                (Dlpack(labels), Dlpack(scores), range(k), "auto"),
                (labels, [Interface(s) for s in scores.T.copy()], range(k), "auto"),
                (words, Dlpack(scores), list("abcd"[:k]), "auto"),
                (labels, scores, range(k), "cuda"),
            ]
            for y, s, of, device in ways:
                found = function(y, s, classes=of, device=device, full=True, **options)
                assert (found.device, found.n, found.missing) == ("cuda:0", expected.n, expected.missing)
                exact = name in ("roc_auc", "top_k_accuracy")  # from counts; the others add logarithms and squares up
                assert found.value == (expected.value if exact else pytest.approx(expected.value, rel=PERFORMANCE))
                assert found.per_class == expected.per_class


def test_more_classes_than_places_of_a_block() -> None:
    rng = np.random.default_rng(5)
    k = 2100
    labels, scores = rng.integers(0, k, 40), rng.random((40, k)).astype(np.float32)
    scores[:9][np.arange(9), labels[:9]] = -1.0  # behind all others
    for places in (1, 2090):
        found = mw.stats.top_k_accuracy(labels, scores, k=places, device="cuda")
        assert found == mw.stats.top_k_accuracy(labels, scores, k=places)


def test_classes_that_do_not_fit_their_scores_are_refused_there_too() -> None:
    labels, scores = classes(50, "float32", 3)
    with pytest.raises(mw.InputError, match="label 2 is none of the classes"):
        mw.stats.roc_auc(Dlpack(labels), Dlpack(scores[:, :2].copy()), classes=[0, 1])
    with pytest.raises(mw.InputError, match="from 0 to 1"):
        mw.stats.brier(Dlpack(labels), Dlpack(scores + 1), classes=range(3))
    with pytest.raises(mw.InputError, match="give both the same rows"):
        mw.stats.brier(Dlpack(labels[1:]), Dlpack(scores), classes=range(3))
    with pytest.raises(mw.InputError, match="no answer"):
        mw.stats.log_loss(Dlpack(labels * np.nan), Dlpack(scores), classes=range(3))
    # A class without rows has no curve.
    one = np.where(labels == 2, 1, labels)
    with pytest.raises(mw.InputError, match="no answer"):
        mw.stats.roc_auc(Dlpack(one), Dlpack(scores), classes=range(3))
    weighted = {"classes": range(3), "average": "weighted"}
    assert mw.stats.roc_auc(Dlpack(one), Dlpack(scores), **weighted) == mw.stats.roc_auc(one, scores, **weighted)


RANKINGS = ("ndcg", "mean_average_precision", "mrr", "hit_rate", "precision_at_k", "recall_at_k")


@pytest.mark.parametrize("dtype", ["float32", "float64", "int16", "uint64"])
def test_rankings_by_query_have_the_hosts_numbers(dtype: str) -> None:
    rng = np.random.default_rng(6)
    for rows, many in ((1, 1), (33, 4), (1500, 60)):
        queries = rng.integers(-5, many - 5, rows)
        relevance = rng.integers(0, 3, rows).astype("float32")
        scores = (rng.normal(20, 5, rows)).astype(dtype)  # whole numbers have ties
        if rows > 20:
            relevance[4] = np.nan
        words = pa.array([None if i == 11 else f"q{q}" for i, q in enumerate(queries)])
        for name in RANKINGS:
            function = getattr(mw.stats, name)
            for k in (1, 3, None):
                expected = function(relevance, scores, queries=queries, k=k, device="cpu", full=True)
                for y, s, device in ((Dlpack(relevance), Dlpack(scores), "auto"), (relevance, scores, "cuda")):
                    found = function(y, s, queries=Interface(queries), k=k, device=device, full=True)
                    assert found.value == pytest.approx(expected.value, rel=PERFORMANCE)
                    for field in ("queries", "without_relevant", "n", "missing"):
                        assert getattr(found, field) == getattr(expected, field)
                    assert found.device == "cuda:0"
                text = function(Dlpack(relevance), Dlpack(scores), queries=words, k=k)
                assert text == pytest.approx(function(relevance, scores, queries=words, k=k), rel=PERFORMANCE)


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"])
def test_rankings_of_whole_numbers_of_every_width(dtype: str) -> None:
    rng = np.random.default_rng(9)
    labels, scores, queries = (rng.integers(0, n, 90).astype(dtype) for n in (3, 100, 6))
    found = mw.stats.mrr(Dlpack(labels), Dlpack(scores), queries=Dlpack(queries), full=True)
    expected = mw.stats.mrr(labels, scores, queries=queries, full=True)
    assert found.value == pytest.approx(expected.value, rel=PERFORMANCE)
    assert (found.queries, found.n, found.device) == (expected.queries, 90, "cuda:0")


def test_rows_of_rankings_are_in_the_hosts_order() -> None:
    """The exact state: which rows begin a query and a score, and the relevances between these."""
    rng = np.random.default_rng(7)
    queries, scores = rng.integers(0, 9, 700), rng.integers(-3, 4, 700).astype(np.float64)
    scores[0], scores[1], scores[2], scores[3] = np.inf, -np.inf, -0.0, 0.0
    relevance = rng.integers(0, 5, 700).astype(np.float64)
    backend: Any = engine("cuda:0")
    found, heads = backend.ranked_rows(*(pa.array(v) for v in (relevance, scores, queries)))
    order = np.lexsort((relevance, -scores, queries))
    new_query = np.diff(queries[order], prepend=-1) != 0
    new_score = np.append(True, scores[order][1:] != scores[order][:-1])
    np.testing.assert_array_equal(heads, np.where(new_query, 2, np.where(new_score, 1, 0)))
    for own, other in zip(*(np.split(v, np.flatnonzero(heads)[1:]) for v in (found, relevance[order])), strict=True):
        np.testing.assert_array_equal(np.sort(own), other)


def test_rankings_that_cannot_be_are_refused() -> None:
    ones = np.ones(30)
    queries = np.arange(30) % 3
    with pytest.raises(mw.InputError, match="finite numbers from 0"):
        mw.stats.ndcg(Dlpack(-ones), Dlpack(ones), queries=queries)
    with pytest.raises(mw.InputError, match="whole numbers, dates or times are told apart there"):
        mw.stats.ndcg(Dlpack(ones), Dlpack(ones), queries=Dlpack(ones))
    with pytest.raises(mw.InputError, match="give both the same rows"):
        mw.stats.ndcg(Dlpack(ones), Dlpack(ones), queries=Dlpack(queries[1:]))
    with pytest.raises(mw.InputError, match="no answer"):
        mw.stats.mrr(Dlpack(ones * np.nan), Dlpack(ones), queries=queries)


def test_fairness_is_counted_where_the_arrays_lie() -> None:
    rng = np.random.default_rng(8)
    rows = 3000
    group = rng.integers(0, 3, rows)
    names = pa.array(np.array(["north", "south", "west"])[group], mask=rng.random(rows) < 0.05)
    score = rng.random(rows).round(2)
    label = (rng.random(rows) < score).astype(np.float64)
    guess = (score > 0.4 + 0.1 * group).astype(np.int64)
    label[7], score[9] = np.nan, np.nan
    for own in (names, group):
        there = own if own is names else Dlpack(group)
        expected = mw.stats.fairness(label, guess, groups=own, scores=score)
        found = mw.stats.fairness(Dlpack(label), Interface(guess), groups=there, scores=Dlpack(score))
        assert (found.device, found.groups) == ("cuda:0", expected.groups)
        assert (found.n, found.missing) == (expected.n, expected.missing)
        np.testing.assert_array_equal(found.rows, expected.rows)
        assert found.rates.keys() == expected.rates.keys()
        for name, rate in expected.rates.items():
            for field in vars(rate):
                np.testing.assert_array_equal(getattr(found.rates[name], field), getattr(rate, field), field)
        assert found.calibration is not None
        assert expected.calibration is not None
        for field, value in vars(expected.calibration).items():
            np.testing.assert_allclose(
                np.asarray(getattr(found.calibration, field), dtype=float),
                np.asarray(value, dtype=float),
                rtol=PERFORMANCE,
            )
        for name in ("demographic_parity_difference", "equalized_odds_ratio", "equal_opportunity_difference"):
            function = getattr(mw.stats, name)
            assert function(Dlpack(label), Dlpack(guess), groups=there) == function(label, guess, groups=own)
            assert function(label, guess, groups=own, device="cuda") == function(label, guess, groups=own)
    with pytest.raises(mw.InputError, match="name one as positive="):
        mw.stats.fairness(Dlpack(np.arange(30) % 3), Dlpack(np.arange(30) % 2), groups=np.arange(30) % 2)
    with pytest.raises(mw.InputError, match="text or whole numbers are needed"):
        mw.stats.fairness(Dlpack(guess), Dlpack(guess), groups=Dlpack(score))
    with pytest.raises(mw.InputError, match="no answer"):
        mw.stats.fairness(Dlpack(label * np.nan), Dlpack(guess), groups=group)
