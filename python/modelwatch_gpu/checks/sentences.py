"""The reason of a finding in a sentence: what moved, and the number against its threshold."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from modelwatch_gpu.checks.check import Check
from modelwatch_gpu.checks.intervals import LEAST_UNITS
from modelwatch_gpu.measures.registry import DRIFT, MEASURES
from modelwatch_gpu.measures.results import CONSECUTIVE, Result

#: Short for a sentence; the others go by their title.
_SHORT_NAMES: Final = {
    "ks": "KS distance",
    "psi": "PSI",
    "js_distance": "JS distance",
    "js_divergence": "JS divergence",
    "wasserstein_sd": "Wasserstein-1 distance in baseline sd",
    "chi_square": "Cramer's V of chi-square",
}
#: Names of measures whose unit is the other side's, where that is the window before.
_EARLIER_NAMES: Final = {
    "wasserstein_sd": "Wasserstein-1 distance in sd of the window before",
    "mean_shift": "Shift of the mean in sd of the window before",
    "sd_ratio": "Standard deviation over that of the window before",
}
#: What follows the percentage of a measure that is a share of rows or of values.
_SHARE_SENTENCES: Final = {
    "missing": "of rows are missing",
    "missing_change": "",
    "unseen": "of values are not in {other}",
    "nan": "of rows are NaN",
    "out_of_range": "of values are outside the range of {other}",
    "malformed": "of vectors cannot be used (another length, not finite, or far too long)",
}


def measure_name(measure: str, compared_with: str) -> str:
    """A measure as a sentence names it."""
    name = _SHORT_NAMES.get(measure, MEASURES[measure].title)
    if compared_with != CONSECUTIVE:
        return name
    return _EARLIER_NAMES.get(measure, f"{name} to the window before")


def sentence(check: Check, judged: float, severity: str, threshold: float | None, result: Result) -> str:
    """Why: what moved, and the number against the threshold."""
    assert threshold is not None
    if check.measure in _SHARE_SENTENCES:
        return _share_sentence(check, judged, severity, threshold, result)
    name = measure_name(check.measure, result.compared_with)
    text, limit = _against(judged, threshold), f"{threshold:g}"
    measured = result.values[check.measure].value
    effect = result.effects.get(check.measure)
    if effect is not None and measured is not None and f"{measured:.2g}" != f"{effect.value:.2g}":
        text = f"{text} beyond chance ({measured:.3g} as measured)"
    moved = _movement(result) if check.measure in DRIFT else ""
    if severity == "ok":
        kind = "warning" if check.warn is not None else "alert"
        return f"{name} {text} is within the {kind} threshold {limit}" + (f"; {moved}." if moved else ".")
    number = f"{name} {text}, {severity} above {limit}."
    return f"{moved[0].upper()}{moved[1:]}; {number}" if moved else number


def sureness(check: Check, how: Mapping[str, Any]) -> str:
    """The interval of an effect, as the end of a sentence; nothing where none is known."""
    if how.get("interval_lower") is None or how.get("interval_upper") is None:
        return ""
    low, high = _number(check, how["interval_lower"]), _number(check, how["interval_upper"])
    if check.measure == "embedding_drift":
        days = "day" if how.get("units") == 1 else "days"
        return f"; with whole days dealt out anew, {how.get('units')} {days} against the baseline's, it is {low}"
    return f"; {low} to {high} with 95% confidence, {_by(how)}"


def open_sentence(
    check: Check, judged: float, threshold: float, result: Result, how: Mapping[str, Any], *, few: bool, many: bool
) -> str:
    """Why a number beyond a threshold is no verdict: the interval is too wide, or there is none."""
    name, kind = measure_name(check.measure, result.compared_with), "warning" if check.warn is not None else "alert"
    said = f"{name} {_number(check, judged)} is above the {kind} threshold {_number(check, threshold)}"
    if few:
        units = how.get("units") or 0
        return (
            f"{said}, but how far days differ is not known from {units} of them: it takes {LEAST_UNITS} "
            "in the baseline."
        )
    if many:
        many_p = f"adjusted p {how['p_adjusted']:.2g}"
        return f"{said}, but among so many tests that is no evidence ({many_p}){sureness(check, how)}."
    return f"{said}, but not surely{sureness(check, how).replace(';', ':', 1)}."


def own_sentence(
    check: Check, judged: float, severity: str, threshold: float, result: Result, how: Mapping[str, Any]
) -> str:
    """Why, for thresholds that the baseline sets: relative to a measure in it, or learned from its windows."""
    name = measure_name(check.measure, result.compared_with)
    verdict = "within the threshold" if severity == "ok" else f"{severity} above"
    if check.relative:
        grown = f"{abs(judged):.1%} {'more' if judged >= 0 else 'less'} than in the baseline"
        wide = "" if severity == "ok" or how.get("interval_lower") is None else _relative_interval(how)
        return f"{name} is {grown}; {verdict} {threshold:+.0%}{wide}."
    season = {None: "", "weekday": " of the same day of the week", "month": " of the same month"}[check.season]
    return f"{name} {judged:.3g}, {verdict} {threshold:.3g}, which the baseline's own windows{season} set."


def _relative_interval(how: Mapping[str, Any]) -> str:
    low, high = how["interval_lower"], how["interval_upper"]
    return f"; {low:+.0%} to {high:+.0%} with 95% confidence, {_by(how)}"


def _by(how: Mapping[str, Any]) -> str:
    """What an interval comes from."""
    units = how.get("units")
    days = "1 day" if units == 1 else f"{units:,} days" if units is not None else ""
    if how["interval_by"] == "units":
        return f"by {days}"
    if how["interval_by"] == "baseline_units":
        return f"as {days} of the baseline differ{'s' if units == 1 else ''}"
    return "with rows taken as independent"


def _number(check: Check, value: float) -> str:
    """An effect as a sentence has it: shares in percent."""
    if check.measure in _SHARE_SENTENCES:
        return f"{100 * value:+.1f} points" if check.measure == "missing_change" else _percent(value)
    return f"{value:.3g}"


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
        what = _SHARE_SENTENCES[check.measure].format(other=_other(result))
        return f"{share} {what}; {verdict} {100 * threshold:g}%."
    limit = f"{verdict} {100 * threshold:+g} points"
    now = result.values["missing"].value
    if now is None:
        return f"The share of missing values changed by {100 * judged:+.1f} points; {limit}."
    if judged == 0:
        return f"{_percent(now) + ' of' if now else 'No'} values are missing, as in {_other(result)}; {limit}."
    return (
        f"Missing values went from {_percent(now - judged)} to {_percent(now)} of rows ({100 * judged:+.1f}); {limit}."
    )


def _movement(result: Result) -> str:
    """What a person would see in the data: the mean, the spread, or the category that changed most."""
    if result.remark:
        return result.remark
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
        whose = "that of the window before" if result.compared_with == CONSECUTIVE else "the baseline's"
        return f"the mean stayed near {after}, the standard deviation is {spread:.3g} times {whose}"
    by = f" ({moved:+.2f} sd)" if moved is not None else ""
    return f"the mean stayed at {after}" if before == after else f"the mean went from {before} to {after}{by}"


def _other(result: Result) -> str:
    return "the window before" if result.compared_with == CONSECUTIVE else "the baseline"


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
