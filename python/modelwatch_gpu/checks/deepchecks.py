"""``preset="deepchecks"``: what Deepchecks' checks of drift say of each column with their defaults, from counts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from modelwatch_gpu.checks.evidently import value_counts
from modelwatch_gpu.checks.finding import Finding
from modelwatch_gpu.checks.preset_findings import verdict_of, worst_first
from modelwatch_gpu.measures import peers
from modelwatch_gpu.measures.quality import Seen, seen_baseline
from modelwatch_gpu.profile.baseline import Baseline
from modelwatch_gpu.profile.columns import Column, NumericColumn

#: Where drift begins, by the role of a column: FeatureDrift, LabelDrift, PredictionDrift. Others are not judged.
_LIMITS: Final = {"feature": 0.2, "label": 0.15, "prediction": 0.15, "score": 0.15}
#: Rows with a value that each side needs.
_LEAST: Final = 10


def deepchecks_findings(baseline: Baseline, windows: Iterable[Seen]) -> tuple[Finding, ...]:
    """What Deepchecks' ``FeatureDrift``, ``LabelDrift`` and ``PredictionDrift`` say with their defaults, of every
    window: Kolmogorov-Smirnov's D of numbers, Cramér's V of categories, missing values left out; worst first."""
    normal = seen_baseline(baseline)
    return worst_first(
        _finding(normal, seen, column) for seen in windows for column in baseline.columns if column.role in _LIMITS
    )


def _finding(normal: Seen, seen: Seen, column: Column) -> Finding:
    limit, name = _LIMITS[column.role], column.name
    lower: float | None = None
    upper: float | None = None
    score: float | None = None
    rows: tuple[int, int] | None = None
    if isinstance(column, NumericColumn):
        test, check = "Kolmogorov-Smirnov", "deepchecks:ks"
        sides, d = (normal.summary(name), seen.summary(name)), seen.value(name, "ks")
        if sides[0] is not None and sides[1] is not None:
            rows = sides[0].count, sides[1].count
        if d is not None:
            score, lower, upper = d.value, d.lower, d.upper
    else:
        test, check = "Cramer's V", "deepchecks:cramers_v"
        pair = value_counts(normal, seen, name)
        if pair is not None:
            rows = int(pair[0].sum()), int(pair[1].sum())
            score = peers.deepchecks_cramers_v(*pair) if min(rows) else None
    if score is None or rows is None or min(rows) < _LEAST:
        reason = f"{test}: Deepchecks needs {_LEAST} values on both sides, and the counts of each category."
        return Finding(seen.start, None, name, check, "not_enough_data", None, None, reason)
    drifted = score >= limit
    reason = f"{test}: {score:.4g}, {'drift' if drifted else 'no drift'}; Deepchecks calls from {limit:g} drift."
    return verdict_of(seen, name, check, test, score, limit, drifted, reason, lower=lower, upper=upper, rows=rows[1])
