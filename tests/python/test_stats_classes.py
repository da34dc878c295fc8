"""mw.stats of predicted classes beyond precision and recall, against scikit-learn and paper."""

from __future__ import annotations

import datetime as dt
import math
import warnings
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics
from tolerances import PERFORMANCE

import modelwatch_gpu as mw
from modelwatch_gpu.measures import classes as tables

NEAR = {"rel": PERFORMANCE, "abs": PERFORMANCE}

CLASSES = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 3)), min_size=1, max_size=50)
PAIRS = st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(0, 3)), min_size=1, max_size=30)


@given(CLASSES, st.booleans(), st.booleans())
def test_measures_of_several_classes_are_scikit_learns(
    rows: list[tuple[int, int, int]], text: bool, weighted: bool
) -> None:
    y, z, w = (np.array(column) for column in zip(*rows, strict=True))
    if text:
        y, z = (np.array(list("zebra"))[side] for side in (y, z))
    weights = w.astype(float) if weighted and w.any() else None
    options = {"sample_weight": weights}
    used = np.ones(len(y), bool) if weights is None else w > 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for beta in (0.5, 2.0, 0.0):
            for average in ("macro", "micro", "weighted"):
                wanted = metrics.fbeta_score(y, z, beta=beta, average=average, zero_division=0, **options)
                assert mw.stats.fbeta(y, z, beta=beta, average=average, weights=weights) == pytest.approx(
                    wanted, **NEAR
                )
        wanted = metrics.balanced_accuracy_score(y[used], z[used], sample_weight=None if weights is None else w[used])
        assert mw.stats.balanced_accuracy(y, z, weights=weights) == pytest.approx(wanted, **NEAR)
        if len({*y[used].tolist()}) > 1:
            wanted = metrics.balanced_accuracy_score(
                y[used], z[used], adjusted=True, sample_weight=None if weights is None else w[used]
            )
            assert mw.stats.balanced_accuracy(y, z, adjusted=True, weights=weights) == pytest.approx(wanted, **NEAR)
        one_sided = 1 in (len({*y[used].tolist()}), len({*z[used].tolist()}))
        if one_sided:
            with pytest.raises(mw.InputError, match="of one class, so nothing can correlate"):
                mw.stats.mcc(y, z, weights=weights)
            assert mw.stats.mcc(y, z, weights=weights, zero_division=0.0) == 0
        else:
            wanted = metrics.matthews_corrcoef(y, z, **options)
            assert mw.stats.mcc(y, z, weights=weights) == pytest.approx(wanted, **NEAR)
        if len({*y[used].tolist(), *z[used].tolist()}) == 1:
            with pytest.raises(mw.InputError, match="chance alone agrees"):
                mw.stats.cohen_kappa(y, z, weights=weights)
        else:
            labels = sorted({*y.tolist(), *z.tolist()})
            for weighting in (None, "linear", "quadratic"):
                wanted = metrics.cohen_kappa_score(y, z, labels=labels, weights=weighting, **options)
                found = mw.stats.cohen_kappa(y, z, weighting=weighting, weights=weights)
                assert found == pytest.approx(wanted, **NEAR), weighting
        report = mw.stats.classification_report(y, z, weights=weights, zero_division=1.0)
        wanted = metrics.precision_recall_fscore_support(
            y, z, zero_division=1.0, labels=list(report.classes), **options
        )
        for found, theirs in zip((report.precision, report.recall, report.f1, report.support), wanted, strict=True):
            assert found == pytest.approx(theirs, **NEAR)
        for place, name in enumerate(report.classes):
            wanted = metrics.recall_score(y != name, z != name, zero_division=1.0, **options)
            assert report.specificity[place] == pytest.approx(wanted, **NEAR)


@given(PAIRS, st.booleans())
def test_rates_of_two_classes_are_scikit_learns(rows: list[tuple[bool, bool, int]], weighted: bool) -> None:
    y, z, w = (np.array(column) for column in zip(*rows, strict=True))
    weights = w / 7 if weighted and w.any() else None
    used = np.ones(len(y), bool) if weights is None else w > 0
    options = {"sample_weight": weights}
    cases = {
        "false_positive_rate": (y[used].all(), lambda: 1 - metrics.recall_score(~y, ~z, **options)),
        "false_negative_rate": (not y[used].any(), lambda: 1 - metrics.recall_score(y, z, **options)),
        "negative_predictive_value": (z[used].all(), lambda: metrics.precision_score(~y, ~z, **options)),
        "fbeta": (not (y[used] | z[used]).any(), lambda: metrics.fbeta_score(y, z, beta=1.0, **options)),
        "specificity": (y[used].all(), lambda: metrics.recall_score(~y, ~z, **options)),
    }
    for name, (nothing, theirs) in cases.items():
        ours = getattr(mw.stats, name)
        if nothing:
            with pytest.raises(mw.InputError, match=f"{name} has no answer: No "):
                ours(y, z, weights=weights)
            assert ours(y, z, weights=weights, zero_division=0.5) == 0.5
        else:
            assert ours(y, z, weights=weights) == pytest.approx(theirs(), **NEAR), name
    cost = [[-1.0, 3.0], [7.0, 0.5]]
    wanted = np.average(np.array(cost)[y.astype(int), z.astype(int)], weights=weights)
    assert mw.stats.expected_cost(y, z, cost=cost, weights=weights) == pytest.approx(wanted, **NEAR)


def test_measures_of_classes_worked_out_by_hand(host_device: str) -> None:
    y, z = [1, 1, 1, 0, 0, 0, 0, None], [1, 1, 0, 0, 0, 0, 1, 1]
    options: dict[str, Any] = {"device": host_device}
    # TP 2, FN 1, FP 1, TN 3.
    assert mw.stats.false_positive_rate(y, z, **options) == 1 / 4
    assert mw.stats.false_negative_rate(y, z, **options) == 1 / 3
    assert mw.stats.negative_predictive_value(y, z, **options) == 3 / 4
    assert mw.stats.fbeta(y, z, beta=2.0, **options) == pytest.approx(5 * 2 / (5 * 2 + 1 + 4 * 1), **NEAR)
    assert mw.stats.balanced_accuracy(y, z, **options) == pytest.approx((2 / 3 + 3 / 4) / 2, **NEAR)
    assert mw.stats.mcc(y, z, **options) == pytest.approx((2 * 3 - 1 * 1) / math.sqrt(3 * 3 * 4 * 4), **NEAR)
    # They agree on 5 of 7 rows, and by chance on (3 * 3 + 4 * 4) / 49.
    assert mw.stats.cohen_kappa(y, z, **options) == pytest.approx((5 / 7 - 25 / 49) / (1 - 25 / 49), **NEAR)
    cost = mw.stats.expected_cost(y, z, cost=[[0, 10], [4, -1]], full=True, **options)
    assert cost.value == pytest.approx((10 + 4 - 2) / 7, **NEAR)
    assert (cost.n, cost.missing, cost.device) == (7, 1, host_device)
    report = mw.stats.classification_report(["a", "b"], ["a", "a"], **options)
    assert report.classes == ("a", "b")
    assert report.precision.tolist() == [0.5, 0]
    assert report.recall.tolist() == [1, 0]
    assert report.specificity.tolist() == [0, 1]
    assert report.support.tolist() == [1, 1]


def test_sums_of_squares_beyond_int64_are_exact() -> None:
    table = np.array([[4_000_000_000, 1_000_000_000], [500_000_000, 6_000_000_000]])
    wanted = (4e9 * 6e9 - 1e9 * 5e8) / math.sqrt(5e9 * 6.5e9 * 4.5e9 * 7e9)
    assert tables.mcc(table).value == pytest.approx(wanted, **NEAR)


def test_weights_that_round_do_not_make_negatives_of_nothing() -> None:
    # Every row is of class a on both sides, so 0.1 + 0.2 + 0.3 less itself in another order must be nothing.
    y, w = ["a", "a", "a", "b"], [0.1, 0.2, 0.3, 0.7]
    with pytest.raises(mw.InputError, match="No label is negative"):
        mw.stats.specificity(y[:3], ["a", "b", "a"], positive="a", weights=w[:3])
    assert mw.stats.classification_report(y, y, weights=w).specificity.tolist() == [1, 1]


def test_classes_of_any_type_are_named_as_they_are() -> None:
    days = [dt.date(2026, 1, 2), dt.date(2026, 1, 1), None]
    cases = [
        (pa.array(days), [dt.date(2026, 1, 1), dt.date(2026, 1, 2)]),
        (pa.array([Decimal("1.50"), Decimal("-0.25")]), [Decimal("-0.25"), Decimal("1.50")]),
        (pa.array([7, 5], pa.timestamp("s")), [dt.datetime(1970, 1, 1, 0, 0, 5), dt.datetime(1970, 1, 1, 0, 0, 7)]),
        (pa.array([7, 5], pa.timestamp("ns")), [np.datetime64(5, "ns"), np.datetime64(7, "ns")]),
        (pa.array([b"y", b"x"]), [b"x", b"y"]),
        (pa.array(["y", "x"]).dictionary_encode(), ["x", "y"]),
        (pa.array([2**53 + 1, 2**53]), [2**53, 2**53 + 1]),
        (pa.array([True, False]), [False, True]),
    ]
    for column, wanted in cases:
        found = mw.stats.confusion(column, column, full=True)
        assert list(found.classes) == wanted
        assert found.counts.tolist() == [[1, 0], [0, 1]]
        assert mw.stats.recall(column, column, positive=wanted[0]) == 1


def test_costs_follow_the_classes_that_are_named() -> None:
    y, z = ["b", "b", "a"], ["b", "a", "a"]
    cost = np.array([[0, 1, 2], [3, 0, 4], [5, 6, 0]])
    # Only a and b occur; of (c, b, a) the row labelled b and predicted a costs cost[1, 2].
    assert mw.stats.expected_cost(y, z, cost=cost, classes=["c", "b", "a"]) == pytest.approx(4 / 3, **NEAR)
    assert mw.stats.expected_cost([0, 0], [0, 0], cost=[[1, 0], [0, 9]]) == 1
    assert mw.stats.expected_cost([1, 1], [1, 1], cost=[[1, 0], [0, 9]]) == 9
    assert mw.stats.expected_cost([-1, -1], [-1, -1], cost=[[1, 0], [0, 9]]) == 1
    for options, says in (
        ({"cost": cost}, "cost is for 3 classes"),
        ({"cost": cost, "classes": ["a", "b", "b"]}, "name each once"),
        ({"cost": cost, "classes": ["a", "c", "d"]}, "'b' occurs"),
        ({"cost": [1, 2]}, "square"),
        ({"cost": [[1, math.inf], [0, 0]]}, "finite"),
    ):
        with pytest.raises(mw.InputError, match=says):
            mw.stats.expected_cost(y, z, **options)


def test_options_that_are_none_are_refused() -> None:
    for beta in (-1.0, math.inf, math.nan):
        with pytest.raises(mw.InputError, match="finite and not negative"):
            mw.stats.fbeta([0, 1], [0, 1], beta=beta)
    with pytest.raises(mw.InputError, match="'linear' or 'quadratic'"):
        mw.stats.cohen_kappa([0, 1], [0, 1], weighting="cubic")
    with pytest.raises(mw.InputError, match="of one class"):
        mw.stats.balanced_accuracy([1, 1], [0, 1], adjusted=True)
    for name in ("mcc", "cohen_kappa", "balanced_accuracy", "classification_report"):
        with pytest.raises(mw.InputError, match="No row has both"):
            getattr(mw.stats, name)([0, None], [None, 1])
        with pytest.raises(mw.InputError, match="No row has both"):
            getattr(mw.stats, name)([0, 1], [0, 1], weights=[0, 0])
