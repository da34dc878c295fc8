"""``preset="evidently"``: the tests that Evidently would choose for each column, and its thresholds, from counts."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Final

import numpy as np

from modelwatch_gpu.checks.expected import TABLE
from modelwatch_gpu.checks.finding import Finding
from modelwatch_gpu.checks.preset_findings import verdict_of, worst_first
from modelwatch_gpu.measures import bins, peers
from modelwatch_gpu.measures.pvalues import chi_square_pvalue, ks_pvalue
from modelwatch_gpu.measures.quality import Seen, seen_baseline
from modelwatch_gpu.profile.baseline import Baseline
from modelwatch_gpu.profile.columns import NumericColumn

#: Evidently's rule: tests of significance up to so many reference rows, distances beyond; few values up to so many.
_ROWS, _FEW = 1_000, 5
#: The share of drifting columns that makes a data set drift.
_DRIFT_SHARE: Final = 0.5
_P_LIMIT, _DISTANCE_LIMIT = 0.05, 0.1
#: What a check of each of its tests is called here.
_CHECKS: Final = {
    "K-S p_value": "ks",
    "chi-square p_value": "chi_square",
    "Z-test p_value": "z",
    "Wasserstein distance (normed)": "wasserstein",
    "Jensen-Shannon distance": "js_distance",
}


@dataclass(frozen=True)
class Chosen:
    """``test``: its name in Evidently. ``score``: its p-value or distance. ``drifted``: by the package's comparison.
    ``lower``, ``upper``: bounds of a distance where values lie between the baseline's knots."""

    test: str
    score: float
    threshold: float
    drifted: bool
    rows: int
    lower: float | None = None
    upper: float | None = None


def evidently_findings(baseline: Baseline, windows: Iterable[Seen]) -> tuple[Finding, ...]:
    """What Evidently's ``DataDriftPreset`` says with its defaults, of every window: a finding for every column it could
    judge, and one for the table, worst first."""
    normal = seen_baseline(baseline)
    found: list[Finding] = []
    for seen in windows:
        verdicts = {}
        for column in baseline.columns:
            chosen = evidently_choice(normal, seen, column.name)
            if chosen is not None:
                verdicts[column.name] = chosen
            found.append(_finding(seen, column.name, chosen))
        if verdicts:
            share = sum(c.drifted for c in verdicts.values()) / len(verdicts)
            which = f"{sum(c.drifted for c in verdicts.values())} of {len(verdicts)} columns drift"
            reason = f"{which}; Evidently calls a data set drifted from {_DRIFT_SHARE:g} of its columns on."
            severity = "alert" if share >= _DRIFT_SHARE else "ok"
            found.append(
                Finding(seen.start, None, TABLE, "evidently:dataset_drift", severity, share, _DRIFT_SHARE, reason,
                        raw=share, n=seen.rows)
            )  # fmt: skip
    return worst_first(found)


def _finding(seen: Seen, column: str, chosen: Chosen | None) -> Finding:
    if chosen is None:
        reason = "One side has no values, or no count of each value, so Evidently's test is not known."
        return Finding(seen.start, None, column, "evidently", "not_enough_data", None, None, reason)
    what = "p" if chosen.threshold == _P_LIMIT else "distance"
    verdict = "drift" if chosen.drifted else "no drift"
    side = "up to" if what == "p" else "from"
    reason = f"{chosen.test}: {what} {chosen.score:.4g}, {verdict}; Evidently calls {side} {chosen.threshold:g} drift."
    check = f"evidently:{_CHECKS[chosen.test]}"
    return verdict_of(
        seen,
        column,
        check,
        chosen.test,
        chosen.score,
        chosen.threshold,
        chosen.drifted,
        reason,
        lower=chosen.lower,
        upper=chosen.upper,
        rows=chosen.rows,
    )


def evidently_choice(normal: Seen, seen: Seen, column: str) -> Chosen | None:
    """The test Evidently chooses (``stattests/registry.py``: by the reference's rows and both sides' distinct values),
    its score, and its verdict; None where the counts do not tell. Missing values are left out, as Evidently does."""
    own = normal.baseline.by_name[column]
    numeric = isinstance(own, NumericColumn)
    pair = value_counts(normal, seen, column)
    if numeric:
        first, second = normal.summary(column), seen.summary(column)
        if first is None or second is None:
            return None
        n, m = first.count, second.count
        distinct = seen.value(column, "distinct")
        if pair is None:
            if distinct is None or not distinct.value:
                return None
            values, pair = _with_new_values(normal, seen, column, distinct.value)
            if pair is None and values is not None and values <= _FEW:
                return None  # a test of few values, whose counts are not all known
        many = pair is None or len(pair[0]) > _FEW
    else:
        if pair is None:
            return None
        n, m, many = int(pair[0].sum()), int(pair[1].sum()), False
    if not n or not m:
        return None
    if numeric and many:
        return _of_numbers(normal, seen, column, n, m)
    assert pair is not None
    if n > _ROWS:
        distance = peers.js_distance_nats(bins.shares(pair[0]), bins.shares(pair[1]))
        return _distance("Jensen-Shannon distance", distance, m)
    if len(pair[0]) > 2:
        statistic, freedom = peers.evidently_chi_square(*pair)
        return _p_value("chi-square p_value", chi_square_pvalue(statistic, freedom), m, strict=True)
    return _p_value("Z-test p_value", _z_test(*pair), m, strict=True)


def _of_numbers(normal: Seen, seen: Seen, column: str, n: int, m: int) -> Chosen | None:
    if n <= _ROWS:
        d = seen.value(column, "ks")
        if d is None or d.value is None:
            return None
        return _p_value("K-S p_value", ks_pvalue(d.value, n, m), m, strict=False)
    w, spread = seen.value(column, "wasserstein"), normal.summary(column)
    if w is None or w.value is None or spread is None or spread.sd is None:
        return None
    unit = max(spread.sd, peers.EVIDENTLY_SD)
    bounds = [None if bound is None else bound / unit for bound in (w.lower, w.upper)]
    return _distance("Wasserstein distance (normed)", w.value / unit, m, bounds[0], bounds[1])


def _p_value(test: str, p: float, rows: int, *, strict: bool) -> Chosen:
    return Chosen(test, p, _P_LIMIT, p < _P_LIMIT if strict else p <= _P_LIMIT, rows)


def _distance(test: str, distance: float, rows: int, lower: float | None = None, upper: float | None = None) -> Chosen:
    return Chosen(test, distance, _DISTANCE_LIMIT, distance >= _DISTANCE_LIMIT, rows, lower, upper)


def _z_test(p: Any, q: Any) -> float:
    """Two-sided p-value of the difference of two shares with their pooled variance; 1 where there is one value."""
    n, m = float(p.sum()), float(q.sum())
    pooled = (float(p[0]) + float(q[0])) / (n + m)
    variance = pooled * (1 - pooled) * (1 / n + 1 / m)
    if not variance:
        return 1.0
    return 2 * NormalDist().cdf(-abs(float(p[0]) / n - float(q[0]) / m) / math.sqrt(variance))


def value_counts(normal: Seen, seen: Seen, column: str) -> tuple[Any, Any] | None:
    """Counts of every value of either side, without nulls; None where there are numbers between knots, or very many."""
    if isinstance(normal.baseline.by_name[column], NumericColumn):
        sides = [normal.cells(column), seen.cells(column)]
        if sides[0] is None or sides[1] is None or sides[0][1][0::2].any() or sides[1][1][0::2].any():
            return None
        counts = [side[1][1::2] for side in sides if side is not None]
    else:
        named = [normal.categories(column), seen.categories(column)]
        if named[0] is None or named[1] is None:
            return None
        values = sorted({*named[0], *named[1]})
        counts = [np.array([side.get(v, 0) for v in values], dtype=np.int64) for side in named if side is not None]
    return _there(counts)


def _with_new_values(
    normal: Seen, seen: Seen, column: str, distinct: float
) -> tuple[int | None, tuple[Any, Any] | None]:
    """Of numbers of which the window has some that the baseline has not: how many values both sides have, and the
    counts of each where just one is new. ``distinct``: how many the window has. None where the baseline does not tell.
    """
    before, now = normal.cells(column), seen.cells(column)
    if before is None or now is None or before[1][0::2].any():
        return None, None
    counts = [side[1][1::2] for side in (before, now)]
    new = round(distinct) - int((counts[1] > 0).sum())
    known = _there(counts)
    values = len(known[0]) + new
    if new != 1:
        return values, None
    rows = np.array([now[1][0::2].sum()], dtype=np.uint64)
    return values, (np.append(known[0], np.uint64(0)), np.concatenate([known[1], rows]))


def _there(counts: list[Any]) -> tuple[Any, Any]:
    """The counts of both sides, of the values that one of them has."""
    there = (counts[0] > 0) | (counts[1] > 0)
    return counts[0][there].astype(np.uint64), counts[1][there].astype(np.uint64)
