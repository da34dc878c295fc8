"""Intervals of shares against SciPy and published examples."""

from __future__ import annotations

import pytest
from scipy.stats import binomtest

import modelwatch_gpu as mw

#: SciPy searches the ends of the exact interval to about this.
SEARCHED = 1e-10


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.999])
@pytest.mark.parametrize(
    ("successes", "trials"), [(0, 1), (1, 1), (0, 30), (30, 30), (3, 10), (81, 263), (500, 10_000)]
)
@pytest.mark.parametrize(("method", "theirs"), [("wilson", "wilson"), ("clopper_pearson", "exact")])
def test_intervals_are_scipys(method: str, theirs: str, successes: int, trials: int, confidence: float) -> None:
    found = mw.stats.proportion_interval(successes, trials, method=method, confidence=confidence)
    wanted = binomtest(successes, trials).proportion_ci(confidence, method=theirs)
    assert found.value == successes / trials
    assert (found.lower, found.upper) == pytest.approx((wanted.low, wanted.high), abs=SEARCHED)


@pytest.mark.parametrize(
    ("first", "second", "lower", "upper"),
    [
        # Newcombe (1998), Statistics in Medicine 17, table II, method 10.
        ((48, 80), (56, 70), 0.0524, 0.3339),
        ((3, 10), (9, 10), 0.1705, 0.8090),
        ((0, 29), (5, 56), -0.0381, 0.1926),
    ],
)
def test_differences_are_newcombes(first: tuple[int, int], second: tuple[int, int], lower: float, upper: float) -> None:
    found = mw.stats.proportion_difference([first[0], second[0]], [first[1], second[1]])
    assert found.value == second[0] / second[1] - first[0] / first[1]
    assert (found.lower, found.upper) == pytest.approx((lower, upper), abs=5e-5)


def test_impossible_counts_are_refused() -> None:
    for successes, trials in ((-1, 3), (4, 3), (0, 0), (float("nan"), 3)):
        with pytest.raises(mw.InputError, match=r"\.$"):
            mw.stats.proportion_interval(successes, trials)
