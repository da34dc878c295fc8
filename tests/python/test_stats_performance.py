"""mw.stats performance of scores, classes and numbers against scikit-learn and paper."""

from __future__ import annotations

import math
import warnings
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics
from sklearn.calibration import calibration_curve
from tolerances import PERFORMANCE

import modelwatch_gpu as mw

Array = npt.NDArray[Any]
NEAR = {"rel": PERFORMANCE, "abs": PERFORMANCE}

ROWS = st.lists(st.tuples(st.booleans(), st.integers(0, 20), st.integers(0, 4)), min_size=1, max_size=60)


def split(rows: list[tuple[bool, int, int]]) -> tuple[Array, Array, Array]:
    """Labels, tied scores in [0, 1], and weights of which some are 0."""
    y, s, w = zip(*rows, strict=True)
    return np.array(y).astype(int), np.array(s) / 20, np.array(w).astype(float)


# ---- scores ----------------------------------------------------------------------------------------------------------


@given(ROWS, st.booleans())
def test_measures_of_scores_are_scikit_learns(rows: list[tuple[bool, int, int]], weighted: bool) -> None:
    y, s, w = split(rows)
    weights = w if weighted else None
    used = np.ones(len(y), dtype=bool) if weights is None else w > 0
    if not used.any():
        with pytest.raises(mw.InputError, match="No row has both"):
            mw.stats.log_loss(y, s, weights=w)
        return
    options = {"sample_weight": weights}
    assert mw.stats.log_loss(y, s, weights=weights) == pytest.approx(
        metrics.log_loss(y, s, labels=[0, 1], **options), **NEAR
    )
    assert mw.stats.brier(y, s, weights=weights) == pytest.approx(np.average((s - y) ** 2, weights=weights), **NEAR)
    if y[used].any():
        wanted = metrics.average_precision_score(y, s, **options)
        assert mw.stats.average_precision(y, s, weights=weights) == pytest.approx(wanted, **NEAR)
    else:
        with pytest.raises(mw.InputError, match="No label is positive"):
            mw.stats.average_precision(y, s, weights=weights)
    if len(set(y[used].tolist())) == 2:
        wanted = metrics.roc_auc_score(y[used], s[used], sample_weight=None if weights is None else w[used])
        assert mw.stats.roc_auc(y, s, weights=weights) == pytest.approx(wanted, **NEAR)
    else:
        with pytest.raises(mw.InputError, match="of one class"):
            mw.stats.roc_auc(y, s, weights=weights)


@given(ROWS)
def test_roc_auc_is_the_exact_share_of_pairs_in_order(rows: list[tuple[bool, int, int]]) -> None:
    y, s, _ = split(rows)
    pairs = [(p, n) for p in s[y == 1] for n in s[y == 0]]
    if pairs:
        ordered = sum((p > n) + Fraction(int(p == n), 2) for p, n in pairs)
        assert mw.stats.roc_auc(y, s) == float(ordered / len(pairs))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_measures_of_many_scores_are_scikit_learns(dtype: str) -> None:
    rng = np.random.default_rng(3)
    y = rng.random(20_000) < 0.3
    s = np.clip(0.25 * y + rng.random(20_000) * 0.75, 0, 1).astype(dtype)
    assert mw.stats.roc_auc(y, s) == pytest.approx(metrics.roc_auc_score(y, s), **NEAR)
    assert mw.stats.average_precision(y, s) == pytest.approx(metrics.average_precision_score(y, s), **NEAR)
    assert mw.stats.log_loss(y, s) == pytest.approx(metrics.log_loss(y, s.astype(float)), **NEAR)
    assert mw.stats.brier(y, s) == pytest.approx(metrics.brier_score_loss(y, s.astype(float)), **NEAR)
    found, stated = calibration_curve(y, s, n_bins=10)
    rows = np.histogram(s, 10, (0, 1))[0]  # no score is on an edge
    assert len(found) == 10
    assert mw.stats.ece(y, s) == pytest.approx(np.sum(rows * np.abs(found - stated)) / 20_000, **NEAR)


def test_measures_of_scores_worked_out_by_hand(device: str) -> None:
    y, s = [0, 0, 1, 1], [0.1, 0.4, 0.4, 0.8]
    # Pairs: .4 > .1, .4 = .4, .8 > .1, .8 > .4: 3.5 of 4.
    assert mw.stats.roc_auc(y, s, device=device) == 3.5 / 4
    # At .8 precision 1 and half of the recall, at .4 precision 2/3 and the other half.
    assert mw.stats.average_precision(y, s, device=device) == pytest.approx(1 / 2 + 1 / 3, **NEAR)
    assert mw.stats.brier(y, s, device=device) == pytest.approx((0.01 + 0.16 + 0.36 + 0.04) / 4, **NEAR)
    # Bins: {.1}, {.4, .4}, {.8}: |0 - .1| + |1 - .8| + |1 - .8| over 4 rows.
    assert mw.stats.ece(y, s, device=device) == pytest.approx((0.1 + 0.2 + 0.2) / 4, **NEAR)
    wanted = -(math.log(0.9) + math.log(0.6) + math.log(0.4) + math.log(0.8)) / 4
    assert mw.stats.log_loss(y, s, device=device) == pytest.approx(wanted, **NEAR)


def test_a_score_on_an_edge_belongs_to_the_lower_bin() -> None:
    # (.2, .3] holds both, so label and score cancel; 0.1 + 0.2 is above .3 and does not.
    assert mw.stats.ece([1, 0, 0], [0.3, 0.3, 0.3]) == pytest.approx(abs(1 - 0.9) / 3, **NEAR)
    assert mw.stats.ece([1, 0], [0.3, 0.1 + 0.2]) == pytest.approx((0.7 + 0.3) / 2, **NEAR)


def test_impossible_scores_cost_a_machine_epsilon_and_not_infinity() -> None:
    for dtype in ("float64", "float32"):
        wanted = -math.log(np.finfo(dtype).eps)
        assert mw.stats.log_loss([1], np.zeros(1, dtype)) == pytest.approx(wanted, **NEAR)
    assert mw.stats.log_loss([True, False], [1, 0]) == pytest.approx(0, abs=PERFORMANCE)


def test_infinite_scores_and_whole_numbers_have_ranks() -> None:
    assert mw.stats.roc_auc([0, 1, 1], [-math.inf, 5.0, math.inf]) == 1.0
    assert mw.stats.roc_auc([0, 1], [2**53, 2**53 + 1]) == 1.0
    assert mw.stats.roc_auc([1, 0], np.array([2**64 - 1, 2**64 - 2], "u8")) == 1.0


def test_rows_without_label_or_score_are_left_out() -> None:
    y, s = [0, 1, None, 1, 0], [0.2, 0.7, 0.9, None, 0.8]
    result = mw.stats.roc_auc(y, s, full=True)
    assert (result.value, result.n, result.missing, result.device) == (0.5, 3, 2, "cpu")
    assert mw.stats.roc_auc(pa.array([9, *y]).slice(1), pa.array([math.nan, *s]).slice(1)) == 0.5
    with pytest.raises(mw.InputError, match="No row has both"):
        mw.stats.roc_auc([1, None], [None, 0.5])


def test_one_column_of_labels_serves_several_models() -> None:
    rng = np.random.default_rng(9)
    y, s = rng.integers(0, 2, 300), rng.random((300, 3))
    alone = [mw.stats.roc_auc(y, s[:, i]) for i in range(3)]
    assert mw.stats.roc_auc(y, s).tolist() == alone
    assert mw.stats.roc_auc(np.stack([y] * 3, axis=1), s).tolist() == alone
    assert [r.value for r in mw.stats.roc_auc(y, s, full=True)] == alone


def test_any_two_values_are_labels_where_the_positive_one_is_named() -> None:
    s = [0.1, 0.9, 0.8]
    assert mw.stats.roc_auc(["bad", "good", "good"], s, positive="good") == 1.0
    assert mw.stats.roc_auc(["bad", "good", "good"], s, positive="bad") == 0.0
    assert mw.stats.roc_auc([-1, 1, 1], s) == mw.stats.roc_auc([False, True, True], s) == 1.0
    assert mw.stats.roc_auc(pa.array(["n", "y", "y"]).dictionary_encode(), s, positive="y") == 1.0
    assert mw.stats.roc_auc([3, 7, 7], s, positive=7) == 1.0


@pytest.mark.parametrize(
    ("labels", "scores", "options", "says"),
    [
        (["a", "b"], [0.1, 0.2], {}, "positive="),
        ([2, 3], [0.1, 0.2], {}, "positive="),
        ([0, 1, 2], [0.1, 0.2, 0.3], {}, "3 classes"),
        ([0, 1], [0.1], {}, "labels has 2 rows and scores has 1"),
        ([0, 1], ["a", "b"], {}, "numbers"),
        ([0, 1], [0.1, 0.2], {"weights": [1.0]}, "weights has 1 rows"),
        ([0, 1], [0.1, 0.2], {"weights": [1.0, -1.0]}, "not negative"),
        ([0, 1], [0.1, 0.2], {"weights": [1.0, None]}, "without nulls"),
        ([0, 1], [0.1, 0.2], {"weights": [1.0, math.inf]}, "finite"),
        ([None, None], [0.1, 0.2], {}, "labels has no values"),
    ],
)
def test_scores_that_cannot_be_judged_are_refused_in_a_sentence(
    labels: Any, scores: Any, options: dict[str, Any], says: str
) -> None:
    with pytest.raises(mw.InputError, match=says) as refused:
        mw.stats.roc_auc(labels, scores, **options)
    assert str(refused.value).endswith(".")


def test_scores_outside_0_and_1_are_no_probabilities() -> None:
    for measure in (mw.stats.log_loss, mw.stats.brier, mw.stats.ece):
        for score in (1.5, -0.1, math.inf):
            with pytest.raises(mw.InputError, match="from 0 to 1"):
                measure([0, 1], [0.5, score])


# ---- classes ---------------------------------------------------------------------------------------------------------

CLASSES = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 3)), min_size=1, max_size=50)
SKLEARN = {"precision": metrics.precision_score, "recall": metrics.recall_score, "f1": metrics.f1_score}


# Rows of one class have a table of one cell, and that is what is asked for.
@pytest.mark.filterwarnings("ignore:A single label was found in 'y_true' and 'y_pred':UserWarning")
@given(CLASSES, st.sampled_from(["int", "text", "float"]), st.booleans())
def test_measures_of_several_classes_are_scikit_learns(
    rows: list[tuple[int, int, int]], kind: str, weighted: bool
) -> None:
    y, z, w = (np.array(column) for column in zip(*rows, strict=True))
    if kind == "text":
        y, z = (np.array(list("zebra"))[side] for side in (y, z))
    elif kind == "float":
        z = z.astype(float)
    weights = w.astype(float) if weighted and w.any() else None
    options = {"sample_weight": weights}
    table = metrics.confusion_matrix(y, z, labels=sorted({*y.tolist(), *z.tolist()}), **options)
    found = mw.stats.confusion(y, z, weights=weights, full=True)
    assert found.counts.tolist() == table.tolist()
    assert list(found.classes) == sorted({*y.tolist(), *z.tolist()})
    assert mw.stats.accuracy(y, z, weights=weights) == pytest.approx(metrics.accuracy_score(y, z, **options), **NEAR)
    for name, theirs in SKLEARN.items():
        for average in ("macro", "micro", "weighted"):
            wanted = theirs(y, z, average=average, zero_division=0, **options)
            found_one = getattr(mw.stats, name)(y, z, average=average, weights=weights)
            assert found_one == pytest.approx(wanted, **NEAR), (name, average)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=30))
def test_measures_of_two_classes_are_scikit_learns(rows: list[tuple[bool, bool]]) -> None:
    y, z = (np.array(column) for column in zip(*rows, strict=True))
    undefined = {
        "precision": not z.any(),
        "recall": not y.any(),
        "specificity": y.all(),
        "f1": not (y.any() or z.any()),
    }
    for name, nothing in undefined.items():
        ours = getattr(mw.stats, name)
        if nothing:
            with pytest.raises(mw.InputError, match=rf"^{name} has no answer: No "):
                ours(y, z)
            assert ours(y, z, zero_division=1.0) == 1.0
        elif name == "specificity":
            assert ours(y, z) == pytest.approx(metrics.recall_score(y, z, pos_label=False), **NEAR)
        else:
            assert ours(y, z) == pytest.approx(SKLEARN[name](y, z), **NEAR)
            assert ours(y.astype(int), z.astype(float)) == ours(y, z)


def test_measures_of_classes_worked_out_by_hand(host_device: str) -> None:
    y, z = ["a", "a", "b", "c", None], ["a", "b", "b", "b", "a"]
    options = {"device": host_device}
    assert mw.stats.confusion(y, z, **options).tolist() == [[1, 1, 0], [0, 1, 0], [0, 1, 0]]
    assert mw.stats.accuracy(y, z, **options) == 2 / 4
    # Precision 1, 1/3 and 0/0, recall 1/2, 1 and 0; specificity 1, 1/3 and 1.
    assert mw.stats.precision(y, z, average="macro", **options) == pytest.approx((1 + 1 / 3) / 3, **NEAR)
    assert mw.stats.recall(y, z, average="weighted", **options) == pytest.approx((1 + 1) / 4, **NEAR)
    assert mw.stats.specificity(y, z, average="macro", **options) == pytest.approx((1 + 1 / 3 + 1) / 3, **NEAR)
    assert mw.stats.precision(y, z, positive="b", **options) == pytest.approx(1 / 3, **NEAR)
    assert mw.stats.accuracy(y, z, full=True, **options).missing == 1


def test_classes_are_compared_in_their_own_types() -> None:
    assert mw.stats.accuracy([2**53, 2**53 + 1], [2**53, 2**53]) == 0.5
    assert mw.stats.accuracy([True, False], [1, 1]) == 0.5
    assert mw.stats.accuracy(pa.array(["x", "y"]).dictionary_encode(), pa.array(["x", "x"], pa.large_string())) == 0.5
    assert mw.stats.confusion([True, False], [True, True], full=True).classes == (False, True)
    assert mw.stats.confusion(np.array([0, 1]), np.array([[0, 1], [1, 1]]))[1].tolist() == [[0, 1], [0, 1]]


@pytest.mark.parametrize(
    ("labels", "predictions", "options", "says"),
    [
        ([0, 1, 2], [0, 1, 2], {}, "average='macro'"),
        ([0, 1], [0, 1], {"average": "mean"}, "'binary', 'macro'"),
        (["a", "b"], ["a", "b"], {}, "positive="),
        (["a"], [1], {}, "give both one type"),
        ([0, 1], [0, 1], {"average": "macro", "positive": 1}, "every class takes part"),
        ([0, None], [None, 1], {}, "No row has both"),
        ([0, 1], [0], {}, "labels has 2 rows and predictions has 1"),
    ],
)
def test_classes_that_cannot_be_judged_are_refused_in_a_sentence(
    labels: Any, predictions: Any, options: dict[str, Any], says: str
) -> None:
    with pytest.raises(mw.InputError, match=says):
        mw.stats.f1(labels, predictions, **options)


# ---- numbers ---------------------------------------------------------------------------------------------------------


@given(
    st.lists(st.tuples(st.integers(-50, 50), st.integers(-50, 50), st.integers(0, 3)), min_size=2, max_size=40),
    st.sampled_from(["float64", "int64", "int8", "float32"]),
    st.booleans(),
)
def test_measures_of_errors_are_scikit_learns(rows: list[tuple[int, int, int]], dtype: str, weighted: bool) -> None:
    y, z, w = (np.array(column) for column in zip(*rows, strict=True))
    weights = w.astype(float) if weighted and w.any() else None
    wide, options = (y.astype(float), z.astype(float)), {"sample_weight": weights}
    y, z = y.astype(dtype), z.astype(dtype)
    assert mw.stats.rmse(y, z, weights=weights) == pytest.approx(
        metrics.root_mean_squared_error(*wide, **options), **NEAR
    )
    assert mw.stats.mae(y, z, weights=weights) == pytest.approx(metrics.mean_absolute_error(*wide, **options), **NEAR)
    assert mw.stats.me(y, z, weights=weights) == pytest.approx(np.average(wide[1] - wide[0], weights=weights), **NEAR)
    wanted = metrics.mean_absolute_percentage_error(*wide, **options)
    assert mw.stats.mape(y, z, weights=weights) == pytest.approx(wanted, **NEAR)
    used = wide[0] if weights is None else wide[0][weights > 0]
    if len(set(used.tolist())) == 1:
        with pytest.raises(mw.InputError, match=r"constant|One row"):
            mw.stats.r2(y, z, weights=weights)
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert mw.stats.r2(y, z, weights=weights) == pytest.approx(metrics.r2_score(*wide, **options), **NEAR)


def test_measures_of_errors_worked_out_by_hand(device: str) -> None:
    y, z = [1.0, 2.0, 4.0, None], [2.0, 2.0, 2.0, 5.0]
    options = {"device": device}
    # Errors 1, 0, -2; the labels' deviations from 7/3 square to 42/9.
    assert mw.stats.rmse(y, z, **options) == pytest.approx(math.sqrt(5 / 3), **NEAR)
    assert mw.stats.mae(y, z, **options) == pytest.approx(1, **NEAR)
    assert mw.stats.me(y, z, **options) == pytest.approx(-1 / 3, **NEAR)
    assert mw.stats.mape(y, z, **options) == pytest.approx((1 + 1 / 2) / 3, **NEAR)
    assert mw.stats.r2(y, z, **options) == pytest.approx(1 - 5 / (42 / 9), **NEAR)
    result = mw.stats.rmse(y, z, full=True, **options)
    assert (result.n, result.missing, result.device) == (3, 1, device)


def test_errors_of_whole_numbers_are_exact_beyond_2_to_the_53() -> None:
    y, z = np.array([2**60, 2**60 + 2]), np.array([2**60 + 1, 2**60 + 3])
    assert mw.stats.me(y, z) == mw.stats.mae(y, z) == mw.stats.rmse(y, z) == 1.0
    assert mw.stats.r2(y, z) == 0.0
    assert mw.stats.me(z.astype("u8"), y.astype("u8")) == -1.0
    assert mw.stats.mae([-(2**63)], [2**63 - 1]) == 2.0**64


def test_numbers_that_have_no_error_are_refused_in_a_sentence() -> None:
    for y, z, says in (
        ([math.inf], [1.0], "infinite"),
        ([-1.7e308], [1.7e308], "differ by too much"),
        ([None, 1.0], [1.0, math.nan], "No row has both"),
        (["a"], [1.0], "numbers"),
        ([1.0], [1.0, 2.0], "rows"),
    ):
        with pytest.raises(mw.InputError, match=says):
            mw.stats.rmse(y, z)
    with pytest.raises(mw.InputError, match="too large"):
        mw.stats.rmse([0.0], [1e200])
    with pytest.raises(mw.InputError, match="One row"):
        mw.stats.r2([1.0], [1.0])


@pytest.mark.parametrize("threads", [1, 2, 7])
def test_errors_have_the_same_bits_for_any_number_of_threads(threads: int) -> None:
    rng = np.random.default_rng(1)
    y, z = rng.normal(size=70_001), rng.normal(size=(70_001, 2))
    for name in ("rmse", "mae", "me", "mape", "r2"):
        measure = getattr(mw.stats, name)
        assert measure(y, z, threads=threads).tolist() == measure(y, z, threads=1).tolist()
