"""Rates of groups and how far they are apart: a case by hand, and the rates of rows that were filtered."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tolerances import PERFORMANCE

import modelwatch_gpu as mw

NEAR: dict[str, Any] = {"rel": PERFORMANCE, "abs": PERFORMANCE}

#: Group a: of 4 rows 2 are selected, both positives and no negative; b: of 4 rows 3, one positive of 2 and both
#: negatives.
LABELS = [1, 1, 0, 0, 1, 1, 0, 0]
PREDICTIONS = [1, 1, 0, 0, 1, 0, 1, 1]
GROUPS = ["a"] * 4 + ["b"] * 4

BY_HAND = {
    "demographic_parity_difference": 0.25,
    "demographic_parity_ratio": 2 / 3,
    "equal_opportunity_difference": 0.5,
    "equal_opportunity_ratio": 0.5,
    "equalized_odds_difference": 1.0,
    "equalized_odds_ratio": 0.0,
}


@pytest.mark.parametrize("name", BY_HAND)
def test_distances_between_groups_worked_out_by_hand(name: str) -> None:
    function = getattr(mw.stats, name)
    assert function(LABELS, PREDICTIONS, groups=GROUPS) == pytest.approx(BY_HAND[name], **NEAR)


def test_rates_worked_out_by_hand() -> None:
    found = mw.stats.fairness(LABELS, PREDICTIONS, groups=GROUPS)
    assert found.groups == ("a", "b")
    assert found.rows.tolist() == [4, 4]
    expected = {
        "selection_rate": [0.5, 0.75],
        "true_positive_rate": [1.0, 0.5],
        "false_positive_rate": [0.0, 1.0],
        "precision": [1.0, 1 / 3],
    }
    for name, values in expected.items():
        assert found.rates[name].value.tolist() == pytest.approx(values, **NEAR)
    # Four rows of each say little: Wilson's intervals of 2 in 4 and 3 in 4 overlap.
    assert not found.disparities["selection_rate"].disjoint


def test_rates_are_those_of_each_groups_rows_with_their_intervals() -> None:
    random = np.random.default_rng(1)
    rows = 5000
    groups = random.integers(0, 3, rows)
    labels = random.integers(0, 2, rows)
    predictions = (random.random(rows) < 0.2 + 0.3 * groups / 2).astype(int)
    found = mw.stats.fairness(labels, predictions, groups=groups)
    for place, group in enumerate((0, 1, 2)):
        own = groups == group
        for name, among in {
            "selection_rate": own,
            "true_positive_rate": own & (labels == 1),
            "false_positive_rate": own & (labels == 0),
        }.items():
            rate = found.rates[name]
            interval = mw.stats.proportion_interval(int(predictions[among].sum()), int(among.sum()))
            assert rate.value[place] == pytest.approx(predictions[among].mean(), **NEAR)
            assert (rate.lower[place], rate.upper[place]) == pytest.approx((interval.lower, interval.upper), **NEAR)
    apart = found.disparities["selection_rate"]
    assert apart.disjoint
    assert (apart.lowest, apart.highest) == (0, 2)


def test_rows_without_a_group_are_left_out() -> None:
    found = mw.stats.fairness([*LABELS, 1, 0], [*PREDICTIONS, 1, 1], groups=[*GROUPS, None, None])
    assert (found.n, found.missing) == (8, 2)
    assert found.rates["selection_rate"].value.tolist() == pytest.approx([0.5, 0.75], **NEAR)


def test_weights_count_rows_several_times() -> None:
    twice = [2.0] * 4 + [1.0] * 4
    repeated = mw.stats.fairness([*LABELS[:4], *LABELS], [*PREDICTIONS[:4], *PREDICTIONS], groups=["a"] * 4 + GROUPS)
    weighted = mw.stats.fairness(LABELS, PREDICTIONS, groups=GROUPS, weights=twice)
    for name, rate in repeated.rates.items():
        assert weighted.rates[name].value.tolist() == pytest.approx(rate.value.tolist(), **NEAR)


def test_calibration_by_group_needs_scores() -> None:
    found = mw.stats.fairness(LABELS, PREDICTIONS, groups=GROUPS, scores=[0.9, 0.8, 0.1, 0.2, 0.9, 0.3, 0.8, 0.7])
    assert found.calibration is not None
    assert mw.stats.fairness(LABELS, PREDICTIONS, groups=GROUPS).calibration is None
    with pytest.raises(mw.InputError, match=r"\.$"):
        mw.stats.fairness(LABELS, PREDICTIONS, groups=GROUPS[:3])
