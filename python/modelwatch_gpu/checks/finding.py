"""The outcome of a check on one column in one group, with its reason in a sentence."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from modelwatch_gpu.checks.check import Check
from modelwatch_gpu.measures.evaluate import Result
from modelwatch_gpu.measures.registry import MEASURES
from modelwatch_gpu.measures.value import REASONS, Value

#: A sample is small where chance alone reaches this share of the first threshold (in 1% of windows without drift).
CHANCE_SHARE: Final = 0.5

#: Severities, worst first.
SEVERITIES: Final = ("alert", "warning", "not_enough_data", "ok")

#: A standard deviation of 0 is this small a share of the baseline's: a report holds no infinity.
_SMALLEST_RATIO: Final = 1e-9

#: Short for a sentence; the others go by their title.
_SHORT_NAMES: Final = {
    "ks": "KS distance",
    "psi": "PSI",
    "js_distance": "JS distance",
    "js_divergence": "JS divergence",
    "wasserstein_sd": "Wasserstein-1 distance in baseline sd",
}
#: What follows the percentage of a measure that is a share of rows or of values.
_SHARE_SENTENCES: Final = {
    "missing": "of rows are missing",
    "missing_change": "",
    "unseen": "of values are not in the baseline",
    "nan": "of rows are NaN",
    "out_of_range": "of values are outside the baseline's range",
}


@dataclass(frozen=True)
class Finding:
    """``value`` is what was judged: the effect of a divergence, the lower bound of an interval. ``raw``: the measure
    itself. ``threshold``: the one that decided (the warning threshold where all is well). ``noise_floor``: what two
    samples of one distribution show on average. ``start``: of the window, epoch seconds. ``by``: columns of the
    segment."""

    start: int
    segment: tuple[tuple[int, str], ...] | None
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
    by: tuple[str, ...] = ()

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
        by=result.by,
    )


def judge(check: Check, result: Result) -> Finding | None:
    """Applies a check to a result; None where the column is not there to be judged."""
    if result.present == 0 and result.rows:
        return None
    value = result.values.get(check.measure)
    effect = result.effects.get(check.measure)

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
            by=result.by,
        )

    first = check.warn if check.warn is not None else check.alert
    if value is None or value.value is None:
        reason = REASONS[value.reason] if value is not None and value.reason else REASONS["empty"]
        return finding("not_enough_data", None, first, reason)
    if value.n < check.min_rows:
        return finding(
            "not_enough_data",
            None,
            first,
            f"Only {value.n} {'row has' if value.n == 1 else 'rows have'} a value; a verdict needs {check.min_rows}.",
        )
    judged = effect.value if effect is not None else _size_of(check.measure, value)
    certain = judged
    assert first is not None
    # Where chance alone comes near the threshold, only what chance cannot explain is evidence.
    if effect is not None and effect.chance > first * CHANCE_SHARE:
        certain = min(judged, effect.lower)
    severity, threshold = "ok", first
    if check.warn is not None and certain > check.warn:
        severity, threshold = "warning", check.warn
    if check.alert is not None and certain > check.alert:
        severity, threshold = "alert", check.alert
    if effect is not None and severity == "ok" and certain < judged:
        name = _SHORT_NAMES.get(check.measure, MEASURES[check.measure].title)
        return finding(
            "not_enough_data",
            judged,
            first,
            f"{name} {judged:.3g}, but chance alone can add {effect.chance:.2g} to samples this small.",
        )
    return finding(severity, judged, threshold, _sentence(check, judged, severity, threshold, result))


def _size_of(measure: str, value: Value) -> float:
    """What a threshold is held against: the lower bound, and for measures of two directions how far they went."""
    assert value.value is not None
    if measure == "mean_shift":
        return abs(value.value)
    if measure == "sd_ratio":
        return max(value.value, 1 / max(value.value, _SMALLEST_RATIO))
    return value.value if value.lower is None else value.lower


def _sentence(check: Check, judged: float, severity: str, threshold: float | None, result: Result) -> str:
    """Why: what moved, and the number against the threshold."""
    assert threshold is not None
    if check.measure in _SHARE_SENTENCES:
        return _share_sentence(check, judged, severity, threshold, result)
    name = _SHORT_NAMES.get(check.measure, MEASURES[check.measure].title)
    text, limit = _against(judged, threshold), f"{threshold:g}"
    measured = result.values[check.measure].value
    effect = result.effects.get(check.measure)
    if effect is not None and measured is not None and f"{measured:.2g}" != f"{effect.value:.2g}":
        text = f"{text} beyond chance ({measured:.3g} as measured)"
    moved = _movement(result)
    if severity == "ok":
        kind = "warning" if check.warn is not None else "alert"
        return f"{name} {text} is within the {kind} threshold {limit}" + (f"; {moved}." if moved else ".")
    number = f"{name} {text}, {severity} above {limit}."
    return f"{moved[0].upper()}{moved[1:]}; {number}" if moved else number


def _share_sentence(check: Check, judged: float, severity: str, threshold: float, result: Result) -> str:
    """A share of rows: in percent, its change in points."""
    if severity == "ok":
        verdict = f"no {'warning' if check.warn is not None else 'alert'} up to"
    else:
        verdict = f"{severity} above"
    if check.measure != "missing_change":
        share = _percent(judged) if judged else "0%"
        if severity != "ok" and judged:
            share = f"{_against(100 * judged, 100 * threshold)}%"
        return f"{share} {_SHARE_SENTENCES[check.measure]}; {verdict} {100 * threshold:g}%."
    limit = f"{verdict} {100 * threshold:+g} points"
    now = result.values["missing"].value
    if now is None:
        return f"The share of missing values changed by {100 * judged:+.1f} points; {limit}."
    if judged == 0:
        return f"{_percent(now) + ' of' if now else 'No'} values are missing, as in the baseline; {limit}."
    return (
        f"Missing values went from {_percent(now - judged)} to {_percent(now)} of rows ({100 * judged:+.1f}); {limit}."
    )


def _movement(result: Result) -> str:
    """What a person would see in the data: the mean, the spread, or the category that changed most."""
    shift = result.shift
    if shift is None:
        return ""
    if shift.share:
        change = f"{_percent(shift.before)} to {_percent(shift.after)} of rows"
        total = result.values["tv"].value if "tv" in result.values else None
        # Total variation is half the sum of all changes: below half of it, one value does not tell the story.
        if total is not None and abs(shift.after - shift.before) < total / 2:
            return f"many values changed a little, most of all {shift.what} ({change})"
        return f"{shift.what} went from {change}"
    before, after = _pair(shift.before, shift.after)
    moved, spread = (result.values[m].value if m in result.values else None for m in ("mean_shift", "sd_ratio"))
    if moved is not None and spread is not None and abs(moved) < 0.1 and abs(math.log(max(spread, 1e-9))) > 0.1:
        return f"the mean stayed near {after}, the standard deviation is {spread:.3g} times the baseline's"
    by = f" ({moved:+.2f} sd)" if moved is not None else ""
    return f"the mean stayed at {after}" if before == after else f"the mean went from {before} to {after}{by}"


def _percent(share: float) -> str:
    return f"{100 * share:.2f}%" if 0 < abs(share) < 0.001 else f"{100 * share:.1f}%"


def _against(value: float, threshold: float) -> str:
    """A number with as many digits as it takes to tell it from its threshold."""
    for digits in range(3, 16):
        distance = 0.0995 <= abs(value) < 1.0005
        text = f"{value:.{digits}f}" if distance else f"{value:.{digits}g}"
        if value == threshold or float(text) != threshold:
            break
    return text


def _pair(before: float, after: float) -> tuple[str, str]:
    """Two numbers with as many decimals as it takes to tell one from the other."""
    size = max(abs(before), abs(after))
    if not 1e-4 <= size < 1e15:
        return f"{before:.3g}", f"{after:.3g}"
    first = max(0, 2 - math.floor(math.log10(size)))
    for decimals in range(first, first + 4):
        texts = f"{before:,.{decimals}f}", f"{after:,.{decimals}f}"
        if texts[0] != texts[1]:
            break
    return texts
