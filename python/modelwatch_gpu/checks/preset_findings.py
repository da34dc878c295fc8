"""What findings of all presets have in common."""

from __future__ import annotations

from collections.abc import Iterable

from modelwatch_gpu.checks.finding import SEVERITIES, Finding
from modelwatch_gpu.measures.quality import Seen


def verdict_of(
    seen: Seen,
    column: str,
    check: str,
    test: str,
    score: float,
    limit: float,
    drifted: bool,
    reason: str,
    *,
    lower: float | None,
    upper: float | None,
    rows: int,
) -> Finding:
    """A test's verdict on a column of a window, open where ``lower`` and ``upper``, bounds of a distance that is known
    between the baseline's values only, lie on both sides of the limit. ``test``: its name in the other package."""
    severity = "alert" if drifted else "ok"
    if lower is not None and upper is not None and (lower >= limit) != (upper >= limit):
        severity = "not_enough_data"
        reason = (
            f"{test}: between {lower:.4g} and {upper:.4g}, on both sides of {limit:g}; a profile of rows between the "
            "baseline's values cannot tell."
        )
    return Finding(
        start=seen.start,
        segment=None,
        column=column,
        check=check,
        severity=severity,
        value=score,
        threshold=limit,
        reason=reason,
        raw=score,
        lower=lower,
        upper=upper,
        n=rows,
    )


def worst_first(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """By severity; within one as they come."""
    return tuple(sorted(findings, key=lambda f: SEVERITIES.index(f.severity)))
