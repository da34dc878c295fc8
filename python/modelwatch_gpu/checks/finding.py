"""The outcome of a check on one column in one group, with its reason in a sentence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from modelwatch_gpu.checks.check import Check
from modelwatch_gpu.measures.evaluate import Result
from modelwatch_gpu.measures.numeric import number_text
from modelwatch_gpu.measures.registry import MEASURES
from modelwatch_gpu.measures.value import REASONS

#: Severities, worst first.
SEVERITIES: Final = ("alert", "warning", "not_enough_data", "ok")

_SHARE_UNITS: Final = ("points",)
_PERCENT_MEASURES: Final = ("missing", "missing_change", "unseen", "nan", "out_of_range")


@dataclass(frozen=True)
class Finding:
    """``value`` is what was judged: the effect of a divergence, the lower bound of an interval. ``raw``: the measure
    itself. ``threshold``: the one that decided (the warning threshold where all is well). ``noise_floor``: what two
    samples of one distribution show on average. ``start``: of the window, epoch seconds."""

    start: int
    segment: tuple[int, str] | None
    column: str
    check: str
    severity: str
    value: float | None
    threshold: float | None
    reason: str
    raw: float | None = None
    lower: float | None = None
    upper: float | None = None
    noise_floor: float | None = None
    n: int = 0

    @property
    def excess(self) -> float:
        """How far beyond its threshold, as a ratio: for sorting."""
        if self.value is None or not self.threshold:
            return float("inf") if self.severity == "alert" else 0.0
        return self.value / self.threshold


def presence(result: Result) -> Finding | None:
    """A finding where a column of the baseline is gone from some or all of a group's rows."""
    if result.present >= 1.0 or result.rows == 0:
        return None
    what = REASONS[result.absent_reason][:-1].replace("The column", f"Column '{result.column.name}'")
    part = "" if result.present == 0 else f" for {1 - result.present:.1%} of the window's rows"
    return Finding(
        start=result.start,
        segment=result.segment,
        column=result.column.name,
        check="present",
        severity="alert" if result.present == 0 else "warning",
        value=result.present,
        threshold=1.0,
        reason=f"{what}{part}.",
        raw=result.present,
        n=result.rows,
    )


def judge(check: Check, result: Result) -> Finding | None:
    """Applies a check to a result; None where the column is not there to be judged."""
    if result.present == 0 and result.rows:
        return None
    value = result.values.get(check.measure)
    effect = result.effects.get(check.measure)
    title = MEASURES[check.measure].title

    def finding(severity: str, judged: float | None, threshold: float | None, reason: str) -> Finding:
        return Finding(
            start=result.start,
            segment=result.segment,
            column=result.column.name,
            check=check.measure,
            severity=severity,
            value=judged,
            threshold=threshold,
            reason=reason,
            raw=value.value if value else None,
            lower=value.lower if value else None,
            upper=value.upper if value else None,
            noise_floor=effect.noise_floor if effect else None,
            n=value.n if value else 0,
        )

    first = check.warn if check.warn is not None else check.alert
    if value is None or value.value is None or value.lower is None:
        reason = REASONS[value.reason] if value is not None and value.reason else REASONS["empty"]
        return finding("not_enough_data", None, first, reason)
    if value.n < check.min_rows:
        return finding(
            "not_enough_data", None, first, f"Only {value.n} rows have a value, and a verdict needs {check.min_rows}."
        )
    judged = effect.value if effect is not None else value.lower
    severity, threshold = "ok", first
    if check.warn is not None and judged > check.warn:
        severity, threshold = "warning", check.warn
    if check.alert is not None and judged > check.alert:
        severity, threshold = "alert", check.alert
    return finding(severity, judged, threshold, _sentence(check.measure, title, judged, severity, threshold, result))


def _sentence(measure: str, title: str, judged: float, severity: str, threshold: float | None, result: Result) -> str:
    """Why: the number against the threshold, and what moved."""
    assert threshold is not None
    percent = measure in _PERCENT_MEASURES
    unit = " points" if MEASURES[measure].unit in _SHARE_UNITS else "%" if percent else ""

    def text(x: float) -> str:
        return f"{100 * x:+.1f}{unit}" if unit == " points" else f"{100 * x:.1f}%" if percent else f"{x:.3g}"

    limit = f"{100 * threshold:g}{unit}" if percent else f"{threshold:g}"
    side = "within" if severity == "ok" else "above"
    effect = result.effects.get(measure)
    corrected = " after noise" if effect is not None and effect.raw != effect.value else ""
    sentence = f"{title} {text(judged)}{corrected} is {side} the {'warning' if severity == 'ok' else severity} threshold {limit}"
    shift = result.shift
    if percent or shift is None:
        return sentence + "."
    if shift.share:
        return f"{sentence}; {shift.what} went from {shift.before:.1%} to {shift.after:.1%} of rows."
    moved = result.values.get("mean_shift")
    by = f" ({moved.value:+.2f} sd)" if moved is not None and moved.value is not None else ""
    return f"{sentence}; the mean went from {number_text(shift.before)} to {number_text(shift.after)}{by}."
