"""What is compared with what: every case, what both sides compute, and how far their answers must agree."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import agreement


@dataclass(frozen=True)
class Case:
    """A job of a peer, beside the same of ours.

    ``peer``: its virtual environment and its requirements. ``script``, ``case``: of ``cases/``. ``turns``: by number of
    rows, how often each side runs. ``theirs``, ``ours``: what each computed. ``comparable``: whether the numbers are
    the same, and what the run asserts of them; ``agree``: that assertion, which raises ``agreement.Disagreement``.
    ``bars``: by name of a time of ours (several joined by +), how many times as fast it has to be at a million rows.
    """

    peer: str
    script: str
    case: str
    turns: dict[int, int]
    theirs: str
    ours: str
    comparable: str
    agree: Callable[[dict[str, Any], dict[str, Any]], None]
    bars: dict[str, float]

    @property
    def name(self) -> str:
        """Of the case, and of the function in ``cases/with_modelwatch.py``."""
        return f"{self.peer}-{self.case}"


_FULL = "fit a baseline and compare: every measure of [measures](measures.md) with its bounds, and the default verdicts"
_SMALL = {10_000: 9, 100_000: 7, 1_000_000: 5}

CASES: tuple[Case, ...] = (
    Case(
        peer="evidently",
        script="with_evidently",
        case="preset",
        turns={10_000: 3, 100_000: 3, 1_000_000: 3},
        theirs="`DataDriftPreset` with its defaults: normed Wasserstein-1 of numbers, Jensen-Shannon distance in nats "
        "of text, and `dict()`",
        ours=_FULL,
        comparable="the same two numbers: asserted to lie within our report's bounds (Wasserstein) and to equal our "
        '`js_distance` times sqrt(ln 2), and to equal `mw.stats` with `compat="evidently"`',
        agree=agreement.evidently,
        bars={"fit+compare": 60, "saved baseline": 300},
    ),
    Case(
        peer="nannyml",
        script="with_nannyml",
        case="ten-chunks",
        turns={10_000: 3, 100_000: 3, 1_000_000: 3},
        theirs="`UnivariateDriftCalculator` with its defaults, fit and calculate: Jensen-Shannon distance of ten "
        "chunks, with thresholds from the reference's chunks",
        ours=f"{_FULL}, in ten windows of as many rows",
        comparable="other bins than our report's deciles (Doane's rule), so the report differs; asserted to equal "
        '`mw.stats.js_distance(compat="nannyml")` in every chunk',
        agree=agreement.compat,
        bars={"fit+compare": 12, "saved baseline": 50},
    ),
    Case(
        peer="nannyml",
        script="with_nannyml",
        case="one-chunk",
        turns={10_000: 3, 100_000: 3, 1_000_000: 3},
        theirs="the same of one chunk",
        ours=_FULL,
        comparable='as above: equal to `mw.stats.js_distance(compat="nannyml")`',
        agree=agreement.compat,
        bars={"fit+compare": 12, "saved baseline": 50},
    ),
    Case(
        peer="nannyml",
        script="with_nannyml",
        case="all-methods",
        turns={10_000: 3, 100_000: 3, 1_000_000: 3},
        theirs="the same of one chunk with all eight methods, which is nearest to what our report holds",
        ours=_FULL,
        comparable="KS and Wasserstein are cut at 10,000 equal bins there: asserted to equal `mw.stats` with "
        '`compat="nannyml"`, as are Jensen-Shannon, Hellinger and chi-square',
        agree=agreement.compat,
        bars={},
    ),
    Case(
        peer="whylogs",
        script="with_whylogs",
        case="profiles",
        turns={10_000: 3, 100_000: 3, 1_000_000: 3},
        theirs="`why.log` of both sides, then `calculate_drift_scores`: KLL, HyperLogLog and frequent-items sketches, "
        "p-values of KS or chi-square from these",
        ours=_FULL,
        comparable="random sketches, other numbers in every run, so drift is **not comparable**; asserted are counts, "
        "missing values and extremes (equal), means, and that medians lie within two points of rank of the exact one",
        agree=agreement.whylogs,
        bars={"fit+compare": 12},
    ),
    Case(
        peer="scipy",
        script="with_scipy",
        case="ks",
        turns=_SMALL,
        theirs="`ks_2samp` of the 20 numeric columns, statistic and p-value",
        ours="`mw.stats.ks` of the same",
        comparable="the same number: asserted",
        agree=agreement.equal(2.3e-16),
        bars={},
    ),
    Case(
        peer="scipy",
        script="with_scipy",
        case="wasserstein",
        turns=_SMALL,
        theirs="`wasserstein_distance` of the 20 numeric columns",
        ours="`mw.stats.wasserstein` of the same",
        comparable="the same number: asserted",
        agree=agreement.equal(1e-9),
        bars={},
    ),
    Case(
        peer="polars",
        script="with_polars",
        case="psi",
        turns=_SMALL,
        theirs="PSI of the 20 numeric columns at the reference's deciles, as one writes it by hand: `quantile`, "
        "`bin_intervals`, `group_by`",
        ours="`mw.stats.psi` of the same Arrow columns",
        comparable="the same number: asserted",
        agree=agreement.equal(1e-9),
        bars={},
    ),
    Case(
        peer="duckdb",
        script="with_duckdb",
        case="psi",
        turns=_SMALL,
        theirs="the same in SQL: `quantile_cont`, then `count(*) FILTER`",
        ours="`mw.stats.psi` of the same columns",
        comparable="the same number: asserted",
        agree=agreement.equal(1e-9),
        bars={},
    ),
    Case(
        peer="boost-histogram",
        script="with_boost_histogram",
        case="fill",
        turns=_SMALL,
        theirs="64 equal bins of 20 columns, one side",
        ours="`mw.stats.histogram` of the same",
        comparable="the same counts: asserted",
        agree=agreement.equal(0.0),
        bars={},
    ),
    Case(
        peer="datasketches",
        script="with_datasketches",
        case="kll",
        turns=_SMALL,
        theirs="nine deciles of 20 columns from KLL sketches (k = 200), one side: approximate",
        ours="`mw.stats.quantile` of the same: exact",
        comparable="approximate beside exact: asserted to lie within four points of rank",
        agree=agreement.within,
        bars={},
    ),
)
