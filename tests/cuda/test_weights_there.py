"""Rows with weights in `mw.stats` on a device: the host's bits, since weights are added up in its order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from device_array import Arrow, Dlpack, Interface
from tolerances import PERFORMANCE

import modelwatch_gpu as mw
from modelwatch_gpu import keys
from modelwatch_gpu.device import engine as engine_named
from modelwatch_gpu.device import resolve
from modelwatch_gpu.errors import DeviceUnavailable

pytestmark = pytest.mark.gpu

SCORED = ("roc_auc", "average_precision", "log_loss", "brier", "ece", "gini", "score_separation", "lift")
CLASSED = ("accuracy", "precision", "recall", "f1", "mcc", "cohen_kappa", "balanced_accuracy")


@pytest.fixture
def cuda() -> Any:
    return engine_named(resolve("cuda"))


def rows_of(rows: int, dtype: str = "float64") -> tuple[Any, Any, Any]:
    """Scores with ties, labels, and weights whose sums depend on the order of adding."""
    random = np.random.default_rng(rows)
    scores = random.random(rows).round(2).astype(dtype)
    labels = (random.random(rows) < scores).astype(np.int32)
    labels[:2] = [0, 1][:rows]
    weights = random.lognormal(0, 6, rows)
    weights[3::11] = 0
    return labels, scores, weights


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rows", [1, 31, 33, 1024, 2500])
def test_sums_of_weights_by_value_are_added_up_in_the_order_of_rows(cuda: Any, dtype: str, rows: int) -> None:
    labels, scores, weights = rows_of(rows, dtype)
    missing = np.random.default_rng(2).random(rows) < 0.2
    column = pa.array(scores, mask=missing)
    groups = cuda.upload_groups(labels.astype(np.int32) - 1 + labels, 2)  # -1 or 1
    for group, chosen in ((-1, labels == 1), (1, labels == 1), (0, np.zeros(rows, dtype=bool))):
        found = cuda.weighted_keys(column, keys.DOMAINS[dtype], pa.array(weights), groups, group)
        taken = chosen & ~missing
        values, at = np.unique(scores[taken], return_inverse=True)
        np.testing.assert_array_equal(keys.values_of(found["keys"], dtype), values)
        np.testing.assert_array_equal(found["sums"], np.bincount(at, weights[taken], minlength=len(values)))
        assert found["rows"] == taken.sum()
    every = cuda.weighted_keys(column, keys.DOMAINS[dtype], pa.array(weights))
    assert every["rows"] == (~missing).sum()
    sums = cuda.weights_of_groups(groups, pa.array(weights))
    np.testing.assert_array_equal(sums, [0, np.bincount(labels, weights, minlength=2)[1]])


@pytest.mark.parametrize("kind", ["float64", "float32", "int16", "uint64"])
def test_weighted_scores_have_the_hosts_numbers(kind: str) -> None:
    labels, scores, weights = rows_of(2500)
    weights = weights if kind == "float64" else (weights % 1000).astype(kind)
    scores[5], labels = np.nan, labels.astype(np.float64)
    labels[9] = np.nan
    there = (Dlpack(labels), Interface(scores), Dlpack(weights))
    for name in SCORED:
        function = getattr(mw.stats, name)
        expected = function(labels, scores, weights=weights, device="cpu", full=True)
        for (a, b, w), device in (
            (there, "auto"),
            ((labels, scores, weights), "cuda"),
            ((labels, Dlpack(scores), pa.array(weights)), "auto"),
        ):
            found = function(a, b, weights=w, device=device, full=True)
            assert found.device == "cuda:0"
            own, other = ({k: v for k, v in vars(r).items() if k != "device"} for r in (found, expected))
            assert own == other, name
    for name, options in (("threshold_table", {}), ("best_threshold", {"by": "f1", "full": True})):
        function = getattr(mw.stats, name)
        found = function(*there[:2], weights=there[2], **options)
        expected = function(labels, scores, weights=weights, device="cpu", **options)
        for field, value in vars(expected).items():
            if field != "device":
                np.testing.assert_array_equal(getattr(found, field), value, field)


@pytest.mark.parametrize("kind", ["int8", "uint64", "float64"])
def test_weighted_classes_have_the_hosts_numbers(kind: str) -> None:
    random = np.random.default_rng(4)
    for rows, classes in ((5, 2), (3000, 6)):
        a = random.integers(0, classes, rows).astype(kind)
        b = np.where(random.random(rows) < 0.7, a, random.integers(0, classes + 1, rows)).astype(kind)
        a[:2], b[:2] = [0, 1], [1, 1]
        if kind == "float64" and rows > 100:
            a[10], b[11], a[12], b[13] = np.nan, np.nan, -0.0, np.inf
        weights = random.lognormal(0, 6, rows)
        weights[b == classes] = 0  # a class that weighs nothing is a class
        expected = mw.stats.confusion(a, b, weights=weights, device="cpu", full=True)
        for sides, w, device in (((Dlpack(a), Interface(b)), Interface(weights), "auto"), ((a, b), weights, "cuda")):
            found = mw.stats.confusion(*sides, weights=w, device=device, full=True)
            assert (found.classes, found.n, found.missing) == (expected.classes, expected.n, expected.missing)
            assert found.device == "cuda:0"
            np.testing.assert_array_equal(found.counts, expected.counts)
            assert found.counts.dtype == expected.counts.dtype
        for name in CLASSED:
            average = {"average": "macro"} if name in ("precision", "recall", "f1") else {}
            function = getattr(mw.stats, name)
            assert function(Dlpack(a), Dlpack(b), weights=Dlpack(weights), **average) == function(
                a, b, weights=weights, device="cpu", **average
            )
        own, other = (
            mw.stats.classification_report(*s, weights=w)
            for s, w in (((Dlpack(a), Dlpack(b)), Dlpack(weights)), ((a, b), weights))
        )
        for field in ("precision", "recall", "f1", "support"):
            np.testing.assert_array_equal(getattr(own, field), getattr(other, field), field)


def test_a_row_of_weight_three_counts_as_three_rows() -> None:
    labels, scores = np.array([0, 1, 1, 0]), np.array([0.1, 0.4, 0.8, 0.6])
    weights = np.array([1.0, 3.0, 1.0, 2.0])
    # Pairs (positive, negative) in order: 3 x 1 and 1 x (1 + 2), of 4 x 3.
    assert mw.stats.roc_auc(Dlpack(labels), Dlpack(scores), weights=Dlpack(weights)) == 6 / 12
    repeated = np.repeat([0, 1, 2, 3], [1, 3, 1, 2])
    for name in ("roc_auc", "average_precision", "brier"):
        function = getattr(mw.stats, name)
        found = function(Dlpack(labels), Dlpack(scores), weights=Dlpack(weights))
        assert found == function(Dlpack(labels[repeated]), Dlpack(scores[repeated]))


def test_weights_that_a_device_cannot_take_are_refused() -> None:
    labels, scores, weights = rows_of(100)
    below, infinite, unknown = weights.copy(), weights.copy(), weights.copy()
    below[7], infinite[8], unknown[9] = -1, np.inf, np.nan
    for wrong, said in (
        (below, "finite and not negative"),
        (infinite, "finite and not negative"),
        (unknown, "finite and not negative"),
        (weights[:99].copy(), "weights has 99 rows and labels has 100"),
        (np.stack([weights, weights], axis=1), "one column of numbers without nulls"),
    ):
        for there in (Dlpack(wrong), wrong):
            with pytest.raises(mw.InputError, match=said):
                mw.stats.roc_auc(Dlpack(labels), Dlpack(scores), weights=there)
            with pytest.raises(mw.InputError, match=said):
                mw.stats.accuracy(Dlpack(labels), Dlpack(labels), weights=there)
    with pytest.raises(mw.InputError, match="without nulls"):
        mw.stats.roc_auc(Dlpack(labels), Dlpack(scores), weights=Arrow(pa.array([None] + [1.0] * 99)))


@pytest.mark.parametrize(("name", "options"), [
    ("roc_auc", {}),
    ("roc_auc", {"average": "weighted"}),
    ("roc_auc", {"average": "micro"}),
    ("roc_auc", {"multi_class": "ovo"}),
    ("log_loss", {}),
    ("brier", {}),
    ("top_k_accuracy", {"k": 1}),
    ("top_k_accuracy", {"k": 2}),
])  # fmt: skip
def test_weighted_scores_of_several_classes_have_the_hosts_numbers(name: str, options: dict[str, Any]) -> None:
    random = np.random.default_rng(6)
    function = getattr(mw.stats, name)
    for rows, k, dtype in ((4, 3, "float64"), (1100, 4, "float32")):
        labels = random.integers(0, k, rows)
        labels[:k] = np.arange(k)
        scores = random.dirichlet(np.ones(k), rows).round(2).astype(dtype)
        weights = random.lognormal(0, 3, rows)
        if rows > 10:
            scores[9, 0], weights[3::11] = np.nan, 0
        expected = function(labels, scores, classes=range(k), weights=weights, device="cpu", full=True, **options)
        words = np.array(["a", "b", "c", "d"])[labels]
        ways: list[tuple[Any, Any, Any, Any, str]] = [
            (Dlpack(labels), Dlpack(scores), Dlpack(weights), range(k), "auto"),
            (words, [Interface(s) for s in scores.T.copy()], weights, list("abcd"[:k]), "auto"),
            (labels, scores, weights, range(k), "cuda"),
        ]
        for y, s, w, of, device in ways:
            found = function(y, s, classes=of, weights=w, device=device, full=True, **options)
            assert (found.device, found.n, found.missing) == ("cuda:0", expected.n, expected.missing)
            # Sums of pairs of classes and of all columns are rounded elsewhere; places and one column's are not.
            exact = name == "top_k_accuracy" or (options in ({}, {"average": "weighted"}) and name == "roc_auc")
            assert found.value == (expected.value if exact else pytest.approx(expected.value, rel=PERFORMANCE))
            assert found.per_class == expected.per_class


@pytest.mark.parametrize("strategy", ["uniform", "quantile"])
def test_a_weighted_calibration_curve_is_the_hosts(strategy: str) -> None:
    labels, scores, weights = rows_of(2500)
    scores[5] = np.nan
    expected = mw.stats.calibration_curve(labels, scores, weights=weights, strategy=strategy)
    for sides, w, device in (
        ((Dlpack(labels), Interface(scores)), Dlpack(weights), "auto"),
        ((Dlpack(labels), Interface(scores)), weights, "auto"),
        ((labels, scores), weights, "cuda"),
    ):
        found = mw.stats.calibration_curve(*sides, weights=w, strategy=strategy, device=device)
        assert (found.device, found.n, found.missing) == ("cuda:0", expected.n, expected.missing)
        for field, value in vars(expected).items():
            if field in ("lower", "upper"):  # Kish's effective rows are sums of squares in another order
                np.testing.assert_allclose(getattr(found, field), value, rtol=PERFORMANCE)
            elif field != "device":
                np.testing.assert_array_equal(getattr(found, field), value, field)


def test_weighted_fairness_is_the_hosts() -> None:
    random = np.random.default_rng(8)
    rows = 3000
    group = random.integers(0, 3, rows)
    names = pa.array(np.array(["north", "south", "west"])[group], mask=random.random(rows) < 0.05)
    score = random.random(rows).round(2)
    label = (random.random(rows) < score).astype(np.float64)
    guess = (score > 0.4 + 0.1 * group).astype(np.int64)
    weights = random.lognormal(0, 3, rows)
    label[7], score[9], weights[3::11] = np.nan, np.nan, 0
    three = np.where(random.random(rows) < 0.2, 2, guess)  # a third class is not selected
    for predictions, own, there, scores in (
        (guess, names, names, score),
        (guess, group, Dlpack(group), None),
        (three, group, Dlpack(group), score),
    ):
        options = {} if scores is None else {"scores": scores}
        expected = mw.stats.fairness(label, predictions, groups=own, positive=1, weights=weights, **options)
        for w in (Dlpack(weights), weights):
            options = {} if scores is None else {"scores": Dlpack(scores)}
            found = mw.stats.fairness(
                Dlpack(label), Interface(predictions), groups=there, positive=1, weights=w, **options
            )
            assert (found.device, found.groups) == ("cuda:0", expected.groups)
            assert (found.n, found.missing) == (expected.n, expected.missing)
            np.testing.assert_array_equal(found.rows, expected.rows)
            for name, rate in expected.rates.items():
                np.testing.assert_array_equal(found.rates[name].of, rate.of)
                np.testing.assert_array_equal(found.rates[name].value, rate.value)
                for end in ("lower", "upper"):
                    np.testing.assert_allclose(getattr(found.rates[name], end), getattr(rate, end), rtol=PERFORMANCE)
            assert (found.calibration is None) == (scores is None)
            if scores is not None:
                for field, value in vars(expected.calibration).items():
                    np.testing.assert_allclose(
                        np.asarray(getattr(found.calibration, field), dtype=float),
                        np.asarray(value, dtype=float),
                        rtol=PERFORMANCE,
                    )
        difference = mw.stats.equalized_odds_difference
        assert difference(Dlpack(label), Dlpack(predictions), groups=there, positive=1, weights=weights) == difference(
            label, predictions, groups=own, positive=1, weights=weights
        )
    with pytest.raises(mw.InputError, match="no answer"):
        mw.stats.fairness(Dlpack(label * np.nan), Dlpack(guess), groups=group, weights=weights)


def test_groups_are_numbered_anew_where_they_lie(cuda: Any) -> None:
    of_row = np.array([0, 2, -1, 1, 2], dtype=np.int32)
    groups = cuda.upload_groups(of_row, 3)
    sums = cuda.weights_of_groups(cuda.renumbered(groups, [1, -1, 0], 2), pa.array([1.0, 2.0, 4.0, 8.0, 16.0]))
    assert sums.tolist() == [18.0, 1.0]
    for wrong, said in (([0, 1], "every group needs a number"), ([0, 1, 2], "not among the groups")):
        with pytest.raises(mw.InputError, match=said):
            cuda.renumbered(groups, wrong, 2)
    scores = [pa.array([0.1, 0.5, 0.2, 0.9, 0.3]), pa.array([0.7, 0.5, 0.1, 0.9, 0.3])]
    # Of equal scores the later column is ahead: of the first class in row 3, of none of the second in rows 1 and 4.
    numbers = cuda.place_numbers(scores, groups, [0, 0, 1])
    assert cuda.weights_of_groups(numbers, pa.array([1.0, 2.0, 4.0, 8.0, 16.0])).tolist() == [18.0, 9.0]
    with pytest.raises(mw.InputError, match="every group needs its class"):
        cuda.place_numbers(scores, groups, [0, 1])


@pytest.mark.parametrize("name", ["rmse", "mae", "r2", "error_quantiles"])
def test_what_weighs_rows_on_the_host_alone_says_so(name: str) -> None:
    labels, scores, weights = rows_of(100)
    function = getattr(mw.stats, name)
    with pytest.raises(DeviceUnavailable, match="on the CPU only"):
        function(labels, scores, weights=weights, device="cuda")
    with pytest.raises(mw.InputError, match="lies on cuda:0; copy it to the host first"):
        function(labels, Interface(scores), weights=weights)
