"""mw.stats thresholds, calibration, lift and separation of two classes against scikit-learn, SciPy and paper."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import permutations
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats
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


# ---- separation, gini, gains -----------------------------------------------------------------------------------------


@given(ROWS)
def test_separation_is_the_distance_of_scipy_and_gini_twice_the_area(rows: list[tuple[bool, int, int]]) -> None:
    y, s, w = split(rows)
    if len({*y.tolist()}) == 1:
        for measure in (mw.stats.score_separation, mw.stats.gini):
            with pytest.raises(mw.InputError, match="of one class"):
                measure(y, s)
        return
    wanted = scipy_stats.ks_2samp(s[y == 1], s[y == 0]).statistic
    assert mw.stats.score_separation(y, s) == pytest.approx(wanted, **NEAR)
    assert mw.stats.gini(y, s) == pytest.approx(2 * metrics.roc_auc_score(y, s) - 1, **NEAR)
    if len({*y[w > 0].tolist()}) == 2:
        repeated = np.repeat(y, w.astype(int)), np.repeat(s, w.astype(int))
        assert mw.stats.score_separation(y, s, weights=w) == pytest.approx(mw.stats.score_separation(*repeated), **NEAR)


@given(ROWS, st.sampled_from([0.01, 0.1, 0.25, 0.5, 0.9, 1.0]))
def test_gains_take_ties_in_proportion_and_bounds_are_the_best_and_worst_order(
    rows: list[tuple[bool, int, int]], share: float
) -> None:
    y, s, _ = split(rows)
    if not y.any():
        with pytest.raises(mw.InputError, match="No label is positive"):
            mw.stats.cumulative_gain(y, s, share=share)
        return

    def gained(order: Array) -> float:
        cut = share * len(y)
        whole = math.floor(cut)
        labels = y[order]
        part = labels[whole] * (cut - whole) if whole < len(y) else 0
        return float(labels[:whole].sum() + part) / y.sum()

    worst, best = np.lexsort((y, -s)), np.lexsort((-y, -s))
    found = mw.stats.cumulative_gain(y, s, share=share, full=True)
    assert found.lower == pytest.approx(gained(worst), **NEAR)
    assert found.upper == pytest.approx(gained(best), **NEAR)
    # The gains curve of the sweep of all distinct scores, by straight lines between them.
    table = mw.stats.threshold_table(y, s)
    taken = np.concatenate([[0], table.tp + table.fp])
    wanted = np.interp(share * len(y), taken, np.concatenate([[0], table.tp])) / y.sum()
    assert found.value == pytest.approx(wanted, **NEAR)
    assert mw.stats.lift(y, s, share=share) == pytest.approx(wanted / share, **NEAR)


def test_gains_worked_out_by_hand(host_device: str) -> None:
    y, s = [1, 0, 1, 0, 0, 1, 0, 0, 0, 0], [0.9, 0.8, 0.7, 0.7, 0.7, 0.7, 0.3, 0.2, 0.1, 0.0]
    # Of the first 4 rows 2 are among four equal scores, two of which are positive: 1 + 2 * (2 / 4) of 3.
    found = mw.stats.cumulative_gain(y, s, share=0.4, device=host_device, full=True)
    assert found.value == pytest.approx(2 / 3, **NEAR)
    assert (found.lower, found.upper) == pytest.approx((1 / 3, 1.0), **NEAR)
    lift = mw.stats.lift(y, s, share=0.4, device=host_device, full=True)
    assert (lift.lower, lift.value, lift.upper) == pytest.approx((1 / 1.2, 2 / 1.2, 3 / 1.2), **NEAR)
    # At .7 and above there are all 3 positives and 3 of 7 negatives; at .9, 1 of 3 and none.
    assert mw.stats.score_separation(y, s, device=host_device) == pytest.approx(1 - 3 / 7, **NEAR)
    exact = mw.stats.roc_auc(y, s, device=host_device, full=True)
    assert exact.lower == exact.value == exact.upper


def test_a_share_that_is_none_is_refused() -> None:
    for share in (0.0, 1.5, -1.0, math.nan):
        with pytest.raises(mw.InputError, match="above 0 and at most 1"):
            mw.stats.lift([0, 1], [0.1, 0.2], share=share)


# ---- thresholds ------------------------------------------------------------------------------------------------------


@given(ROWS, st.booleans())
def test_the_table_of_thresholds_is_scikit_learns_curve(rows: list[tuple[bool, int, int]], weighted: bool) -> None:
    y, s, w = split(rows)
    weights = w if weighted else None
    used = np.ones(len(y), bool) if weights is None else w > 0
    if not used.any():
        return
    table = mw.stats.threshold_table(y, s, weights=weights)
    assert table.thresholds.tolist() == sorted({*s[used].tolist()}, reverse=True)
    for place, threshold in enumerate(table.thresholds):
        wanted = metrics.confusion_matrix(y, s >= threshold, labels=[0, 1], sample_weight=weights)
        found = [[table.tn[place], table.fp[place]], [table.fn[place], table.tp[place]]]
        assert np.array(found) == pytest.approx(wanted, **NEAR)
    fixed = mw.stats.threshold_table(y, s, thresholds=[0.5, -math.inf, math.inf, 0.05], weights=weights)
    for place, threshold in enumerate(fixed.thresholds):
        assert fixed.tp[place] == pytest.approx(
            np.sum((s >= threshold) & (y == 1), where=used, initial=0)
            if weights is None
            else w[(s >= threshold) & (y == 1)].sum(),
            **NEAR,
        )
    if len({*y[used].tolist()}) == 2:
        false_positive, true_positive, cuts = metrics.roc_curve(
            y[used], s[used], sample_weight=None if weights is None else w[used], drop_intermediate=False
        )
        assert table.recall == pytest.approx(true_positive[1:], **NEAR)
        assert table.false_positive_rate == pytest.approx(false_positive[1:], **NEAR)
        assert table.thresholds.tolist() == cuts[1:].tolist()


def test_thresholds_are_compared_in_the_scores_own_type() -> None:
    big = np.array([2**53, 2**53 + 1, 2**53 + 2])
    table = mw.stats.threshold_table([0, 1, 1], big, thresholds=[2.0**53, 2.0**53 + 2, 1e300, -1e300, 0.5])
    assert (table.tp + table.fp).tolist() == [3, 1, 0, 3, 3]
    every = mw.stats.threshold_table([0, 1, 1], big)
    assert every.thresholds.tolist() == [2**53 + 2, 2**53 + 1, 2**53]
    # float32's 0.7 is below 0.7, and its 0.1 above 0.1.
    small = mw.stats.threshold_table([1, 1], np.array([0.7, 0.1], "f4"), thresholds=[0.7, 0.1])
    assert small.tp.tolist() == [0, 2]
    unsigned = mw.stats.threshold_table([1, 0], np.array([2**64 - 1, 0], "u8"), thresholds=[2.0**64, -1, 0.5])
    assert unsigned.tp.tolist() == [0, 1, 1]
    assert unsigned.fp.tolist() == [0, 1, 0]


def test_ratios_of_the_table_are_nan_where_nothing_is_predicted() -> None:
    table = mw.stats.threshold_table([1, 1], [0.2, 0.8], thresholds=[0.5, 2])
    assert table.precision[0] == 1
    assert math.isnan(table.precision[1])
    assert table.recall.tolist() == [0.5, 0]
    assert np.isnan(table.false_positive_rate).all()
    assert table.f1[0] == pytest.approx(2 / 3)
    assert table.selection_rate.tolist() == [0.5, 0]
    assert table.n == 2


@given(ROWS)
def test_the_best_threshold_is_the_best_of_all_and_the_highest_of_ties(rows: list[tuple[bool, int, int]]) -> None:
    y, s, _ = split(rows)
    cost = [[-0.5, 2.0], [5.0, -1.0]]
    p, n = int(y.sum()), int((1 - y).sum())

    def goodness(by: str, threshold: float) -> Fraction:
        z = s >= threshold
        tp, fp = int((z & (y == 1)).sum()), int((z & (y == 0)).sum())
        if by == "f1":
            return Fraction(2 * tp, 2 * tp + fp + (p - tp))
        if by == "youden":
            return Fraction(tp, p) - Fraction(fp, n)
        return -Fraction(-(n - fp) + 4 * fp + 10 * (p - tp) - 2 * tp, 2 * (p + n))

    for by, possible in (("f1", p > 0), ("youden", p > 0 and n > 0), ("cost", True)):
        options: dict[str, Any] = {"cost": cost} if by == "cost" else {}
        if not possible:
            with pytest.raises(mw.InputError, match="best_threshold has no answer"):
                mw.stats.best_threshold(y, s, by=by)
            continue
        candidates = [math.inf, *sorted({*s.tolist()}, reverse=True)]
        numbers = [goodness(by, t) for t in candidates]
        found = mw.stats.best_threshold(y, s, by=by, full=True, **options)
        assert found.value == candidates[numbers.index(max(numbers))]
        assert found.criterion == pytest.approx(float(max(numbers)) * (-1 if by == "cost" else 1), **NEAR)
        assert found.tp + found.fn == p
        assert found.tp + found.fp == (s >= found.value).sum()


def test_the_best_threshold_worked_out_by_hand(host_device: str) -> None:
    y, s = [0, 0, 1, 0, 1], [0.1, 0.3, 0.4, 0.6, 0.9]
    # From .4 on: 2 of 2 positives with 1 false alarm, F1 4/5; at .9 alone 2/3.
    assert mw.stats.best_threshold(y, s, device=host_device) == 0.4
    assert mw.stats.best_threshold(y, s, by="youden", device=host_device) == 0.4
    # A false alarm at 10 is dearer than a positive missed at 1; where hits earn nothing it is best to predict none.
    assert mw.stats.best_threshold(y, s, by="cost", cost=[[0, 10], [1, 0]], device=host_device) == 0.9
    assert mw.stats.best_threshold(y, s, by="cost", cost=[[0, 10], [1, 1]], device=host_device) == math.inf
    # .4 and .9 are equally good by the cost of 1 each.
    assert mw.stats.best_threshold(y, s, by="cost", cost=[[0, 1], [1, 0]], device=host_device) == 0.9
    assert mw.stats.best_threshold(y, np.array([[v, v + 1] for v in s]), device=host_device).tolist() == [0.4, 1.4]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"by": "accuracy"}, "'f1', 'youden', 'cost'"),
        ({"by": "cost"}, "with cost="),
        ({"cost": [[0, 1], [1, 0]]}, "by='cost'"),
        ({"by": "cost", "cost": np.zeros((3, 3))}, "TN, FP"),
        ({"by": "cost", "cost": [[0, math.nan], [1, 0]]}, "finite"),
        ({"by": "cost", "cost": "dear"}, "numbers"),
    ],
)
def test_criteria_that_are_none_are_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(mw.InputError, match=says):
        mw.stats.best_threshold([0, 1], [0.1, 0.2], **options)
    for thresholds in ("high", [math.nan], [[0.5]]):
        with pytest.raises(mw.InputError, match="thresholds must be numbers"):
            mw.stats.threshold_table([0, 1], [0.1, 0.2], thresholds=thresholds)


def test_the_order_of_rows_decides_nothing() -> None:
    y, s = np.array([1, 0, 1, 0]), np.array([0.5, 0.5, 0.2, 0.5])
    whole = mw.stats.threshold_table(y, s)
    for order in permutations(range(4)):
        again = mw.stats.threshold_table(y[list(order)], s[list(order)])
        assert again.tp.tolist() == whole.tp.tolist()
        assert again.fp.tolist() == whole.fp.tolist()


# ---- calibration -----------------------------------------------------------------------------------------------------


@given(ROWS, st.sampled_from([1, 3, 4, 8]), st.sampled_from(["uniform", "quantile"]))
def test_calibration_is_scikit_learns(rows: list[tuple[bool, int, int]], bins: int, strategy: str) -> None:
    y, s, _ = split(rows)
    s = s * 0.95 + 0.013  # no score on an edge of 3, 4 or 8 equal bins
    found = mw.stats.calibration_curve(y, s, bins=bins, strategy=strategy)
    if strategy == "uniform":
        shares, means = calibration_curve(y, s, n_bins=bins, strategy=strategy)
        assert found.share_positive == pytest.approx(shares, **NEAR)
        assert found.mean_score == pytest.approx(means, **NEAR)
    else:
        # A score that is a quantile may be rounded over its edge there, so the edges are compared, and bins by them.
        edges = np.unique(np.quantile(s, np.arange(1, bins) / bins))
        assert all(np.isclose(edges, end, rtol=1e-12, atol=0).any() for end in found.high if end < 1)
    assert found.rows.sum() == len(y)
    for place, (low, high) in enumerate(zip(found.low, found.high, strict=True)):
        inside = (s > low) & (s <= high) | (low == 0) & (s == 0)
        assert found.rows[place] == inside.sum()
        assert found.share_positive[place] == pytest.approx(y[inside].mean(), **NEAR)
        interval = scipy_stats.binomtest(int(y[inside].sum()), int(inside.sum())).proportion_ci(method="wilson")
        assert (found.lower[place], found.upper[place]) == pytest.approx((interval.low, interval.high), **NEAR)


def test_calibration_of_many_scores_is_scikit_learns() -> None:
    rng = np.random.default_rng(5)
    s = rng.beta(2, 3, 20_000)
    y = rng.random(20_000) < s
    for strategy in ("uniform", "quantile"):
        shares, means = calibration_curve(y, s, n_bins=15, strategy=strategy)
        found = mw.stats.calibration_curve(y, s, bins=15, strategy=strategy)
        assert found.share_positive == pytest.approx(shares, **NEAR)
        assert found.mean_score == pytest.approx(means, **NEAR)
    ten = mw.stats.calibration_curve(y, s)
    gap = np.sum(ten.rows * np.abs(ten.share_positive - ten.mean_score)) / len(y)
    assert mw.stats.ece(y, s) == pytest.approx(gap, **NEAR)


def test_calibration_worked_out_by_hand(host_device: str) -> None:
    found = mw.stats.calibration_curve([0, 1, 1, None], [0.0, 0.3, 0.9, 0.5], bins=10, device=host_device)
    assert found.low.tolist() == [0.0, 0.2, 0.8]
    assert found.high.tolist() == [0.1, 0.3, 0.9]
    assert found.rows.tolist() == [1, 1, 1]
    assert found.share_positive.tolist() == [0, 1, 1]
    assert found.mean_score.tolist() == [0, 0.3, 0.9]
    assert (found.n, found.missing, found.device) == (3, 1, host_device)
    # Wilson's interval of 1 in 1 is z^2 / (1 + z^2) below 1 at its lower end.
    z = scipy_stats.norm.isf(0.025)
    assert found.lower[1] == pytest.approx(1 / (1 + z * z), **NEAR)
    assert found.upper[1] == 1


def test_calibration_with_weights_counts_rows_so_many_times() -> None:
    rng = np.random.default_rng(2)
    y, s, w = rng.integers(0, 2, 200), rng.integers(0, 30, 200) / 30, rng.integers(0, 4, 200)
    whole = mw.stats.calibration_curve(np.repeat(y, w), np.repeat(s, w))
    found = mw.stats.calibration_curve(y, s, weights=w)
    assert found.rows == pytest.approx(whole.rows)
    assert found.share_positive == pytest.approx(whole.share_positive, **NEAR)
    assert found.mean_score == pytest.approx(whole.mean_score, **NEAR)
    # Unequal weights tell less than as many rows: intervals are wider, and do not depend on the weights' scale.
    assert np.all(found.upper - found.lower > whole.upper - whole.lower)
    scaled = mw.stats.calibration_curve(y, s, weights=w * 1e-200)
    assert scaled.lower == pytest.approx(found.lower, **NEAR)
    same = mw.stats.calibration_curve(y, s, weights=np.full(200, 7.0), strategy="quantile")
    assert same.rows.sum() == pytest.approx(1400)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"bins": 0}, "from 1 to 10,000"),
        ({"bins": 2.5}, "whole number"),
        ({"bins": True}, "whole number"),
        ({"strategy": "kmeans"}, "'uniform' or 'quantile'"),
        ({"confidence": 1.0}, "between 0 and 1"),
    ],
)
def test_curves_that_cannot_be_drawn_are_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(mw.InputError, match=says):
        mw.stats.calibration_curve([0, 1], [0.1, 0.2], **options)
    with pytest.raises(mw.InputError, match="No row has both"):
        mw.stats.calibration_curve([0, None], [math.nan, 0.5])
    with pytest.raises(mw.InputError, match="No row has both"):
        mw.stats.threshold_table(pa.array([0, None]), [math.nan, 0.5])
    with pytest.raises(mw.InputError, match="from 0 to 1"):
        mw.stats.calibration_curve([0, 1], [0.1, 1.2])
