"""The outcome of a check on one column in one group, with its reason in a sentence."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from modelwatch_gpu.checks.check import Check
from modelwatch_gpu.checks.intervals import LEAST_UNITS, METHODS, Intervals
from modelwatch_gpu.checks.sentences import measure_name, open_sentence, own_sentence, sentence, sureness
from modelwatch_gpu.checks.statistics import SMALLEST_RATIO
from modelwatch_gpu.measures.effects import Effect, Effects
from modelwatch_gpu.measures.results import BASELINE, Result, Segment
from modelwatch_gpu.measures.value import HAS_NUMBER, REASON_CODES, REASONS, Floats, Value, Values

#: A sample is small where chance alone reaches this share of the first threshold (in 1% of windows without drift).
CHANCE_SHARE: Final = 0.5

#: Severities, worst first.
SEVERITIES: Final = ("alert", "warning", "not_enough_data", "ok")
ALERT, WARNING, NOT_ENOUGH_DATA, OK = range(4)


@dataclass(frozen=True, slots=True)
class Finding:
    """``value`` is what was judged: the effect of a divergence, the lower bound of an interval. ``raw``: the measure
    itself. ``threshold``: the one that decided (the warning threshold where all is well). ``noise_floor``: what two
    samples of one distribution show on average. ``start``: of the window, epoch seconds. ``segment``: (kind, text) of
    each of the columns ``by``, None for all rows. ``compared_with``: "BASELINE" or "CONSECUTIVE".

    ``interval_lower``, ``interval_upper``: what the effect can be with 95% confidence, where it came near a threshold;
    ``units``: how many were drawn again for it, ``interval_by``: of what, see ``intervals.METHODS``; ``no_interval``:
    why there is none, see ``unsure.NO_INTERVAL``, None also of what is no measure. ``p_value``: how likely an effect
    this far above the threshold that decided is, were the true one just at it; ``p_adjusted``: the same after the
    correction for many tests, ``e_value``: where that is by e-values. ``p_no_change``: how likely an effect this large
    is, were there no change at all.
    """

    start: int
    segment: Segment | None
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
    compared_with: str = BASELINE
    interval_lower: float | None = None
    interval_upper: float | None = None
    interval_by: str | None = None
    units: int | None = None
    p_value: float | None = None
    p_adjusted: float | None = None
    p_no_change: float | None = None
    e_value: float | None = None
    no_interval: str | None = None

    @property
    def excess(self) -> float:
        """How far beyond its threshold, as a ratio: for sorting."""
        if self.value is None or not self.threshold:
            return float("inf") if self.severity == "alert" else 0.0
        return self.value / self.threshold


#: Why a verdict is open though there is a number: chance alone may have done it, the interval reaches below the
#: threshold, days are too few to know how far they differ, too many tests were made for one to tell so much, the column
#: of a segment is not off.
CLEAR, BY_CHANCE, TOO_WIDE, FEW_UNITS, MANY_TESTS, NOT_TESTED = range(6)


@dataclass(frozen=True, eq=False, slots=True)
class Verdicts:
    """What a check says of many groups: (groups,) arrays. ``severity``: indices of ``SEVERITIES``. ``judged``: NaN
    where nothing could be. ``threshold``: the one that decided. ``why``: why it is no worse, see ``CLEAR``. ``ends``:
    of the intervals. ``p_value``, ``adjusted``, ``e_value``: see ``Finding``. ``reasons``: what was judged instead of
    the measure itself, with the reasons for having no number. ``without``: why there are no intervals at all."""

    severity: npt.NDArray[np.uint8]
    judged: Floats
    threshold: Floats
    why: npt.NDArray[np.uint8]
    intervals: Intervals | None = None
    ends: tuple[Floats, Floats] | None = None
    p_value: Floats | None = None
    adjusted: Floats | None = None
    e_value: Floats | None = None
    reasons: Values | None = None
    without: str | None = None

    @property
    def excess(self) -> Floats:
        """``Finding.excess`` of each."""
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = self.judged / self.threshold
        without = np.where(self.severity == ALERT, np.inf, 0.0)
        return np.where(np.isnan(self.judged) | (self.threshold == 0), without, ratio)


def decide(
    check: Check, values: Values | None, effects: Effects | None, groups: int, intervals: Intervals | None = None
) -> Verdicts:
    """Holds a measure of many groups against a check's thresholds; ``values`` is None where none has the measure.

    With ``intervals`` a threshold is passed where the lower end is above it.
    """
    first = check.first_threshold
    severity = np.full(groups, NOT_ENOUGH_DATA, dtype=np.uint8)
    threshold, nothing = np.full(groups, float(first)), np.full(groups, np.nan)
    why = np.full(groups, CLEAR, dtype=np.uint8)
    if values is None:
        return Verdicts(severity, nothing, threshold, why)
    has_effect = np.zeros(groups, dtype=bool) if effects is None else ~np.isnan(effects.value)
    judged = _size_of(check.measure, values)
    certain = judged
    if effects is not None:
        judged = np.where(has_effect, effects.value, judged)
        # Where chance alone comes near the threshold, only what chance cannot explain is evidence.
        near = has_effect & (effects.chance > first * CHANCE_SHARE)
        certain = np.where(near, np.minimum(judged, effects.lower), judged)
        why[certain < judged] = BY_CHANCE
    ends = None
    if intervals is not None:
        ends = intervals.ends()
        known = intervals.known
        wide, few = known & (ends[0] < certain) & (judged > first), ~known & (judged > first)
        certain = np.where(known, np.minimum(certain, ends[0]), np.where(few, -np.inf, certain))
        why[wide], why[few] = TOO_WIDE, FEW_UNITS
    enough = (values.reason == HAS_NUMBER) & ~np.isnan(values.value) & (values.n >= check.min_rows)
    severity[enough] = OK
    for level, limit in ((WARNING, check.warn), (ALERT, check.alert)):
        if limit is not None:
            beyond = enough & (certain > limit)
            severity[beyond], threshold[beyond] = level, limit
    severity[(severity == OK) & (why != CLEAR)] = NOT_ENOUGH_DATA
    why[severity < NOT_ENOUGH_DATA] = CLEAR
    return Verdicts(severity, np.where(enough, judged, np.nan), threshold, why, intervals, ends)


def _size_of(measure: str, values: Values) -> Floats:
    """What a threshold is held against: the lower bound, and for measures of two directions how far they went."""
    if measure == "mean_shift":
        return np.abs(values.value)
    if measure == "sd_ratio":
        return np.maximum(values.value, 1 / np.maximum(values.value, SMALLEST_RATIO))
    return np.where(np.isnan(values.lower), values.value, values.lower)


def judge(check: Check, result: Result) -> Finding | None:
    """Applies a check to a result; None where the column is not there to be judged."""
    if result.present == 0 and result.rows:
        return None
    value, effect = result.values.get(check.measure), result.effects.get(check.measure)
    verdicts = decide(check, _one(value), _one_effect(effect), 1)
    return finding_of(check, result, replace(verdicts, without="not_asked"), 0)


def _one(value: Value | None) -> Values | None:
    if value is None:
        return None
    number, lower, upper = (np.array([np.nan if v is None else v]) for v in (value.value, value.lower, value.upper))
    code = HAS_NUMBER if value.reason is None else REASON_CODES[value.reason]
    return Values(number, lower, upper, np.array([value.n], dtype=np.int64), np.array([code], dtype=np.uint8))


def _one_effect(effect: Effect | None) -> Effects | None:
    if effect is None:
        return None
    numbers = (effect.value, effect.raw, effect.noise_floor, effect.chance, effect.lower, math.nan, math.nan)
    return Effects(*(np.array([number]) for number in numbers))


def finding_of(check: Check, result: Result, verdicts: Verdicts, at: int) -> Finding:
    """The finding of one of the verdicts, with its sentence."""
    value, effect = result.values.get(check.measure), result.effects.get(check.measure)
    severity, threshold = SEVERITIES[int(verdicts.severity[at])], float(verdicts.threshold[at])
    judged: float | None = float(verdicts.judged[at])
    how = _certainty(check, verdicts, at)
    instead = None if verdicts.reasons is None else verdicts.reasons[at]
    if value is None or value.value is None:
        judged, reason = None, _reason(value, result)
    elif instead is not None and instead.reason is not None and value.n >= check.min_rows:
        judged, reason = None, REASONS[instead.reason]
    elif value.n < check.min_rows:
        rows = f"{value.n} {'row has' if value.n == 1 else 'rows have'} a value"
        if result.weighted:
            rows = f"{value.n} effective {'row' if value.n == 1 else 'rows'} by the weights have a value"
        judged, reason = None, f"Only {rows}; a verdict needs {check.min_rows}."
    else:
        assert judged is not None
        reason = _reason_of(check, judged, severity, threshold, result, verdicts, at, how)
    return Finding(
        start=result.start,
        segment=result.segment,
        column=result.column.name,
        check=check.measure,
        severity=severity,
        value=judged,
        threshold=None if math.isnan(threshold) else threshold,
        reason=reason,
        raw=value.value if value else None,
        lower=value.lower if value else None,
        upper=value.upper if value else None,
        noise_floor=effect.noise_floor if effect else None,
        n=value.n if value else 0,
        by=result.by,
        compared_with=result.compared_with,
        **how,
    )


def _certainty(check: Check, verdicts: Verdicts, at: int) -> dict[str, Any]:
    """The fields of a finding that say how sure it is, and why that is not known."""

    def number(array: Floats | None) -> float | None:
        return None if array is None or array[at] != array[at] else float(array[at])

    intervals, ends = verdicts.intervals, verdicts.ends
    judged = float(verdicts.judged[at])
    if judged != judged or intervals is None or ends is None:
        return {"no_interval": "no_number" if judged != judged else verdicts.without}
    known = bool(ends[0][at] == ends[0][at])
    return {
        "no_interval": None if known else _why_unsure(check, judged, int(intervals.units[at]), intervals.by_units),
        "interval_lower": number(ends[0]) if known else None,
        "interval_upper": number(ends[1]) if known else None,
        "interval_by": METHODS[int(intervals.method[at])] if known else None,
        "units": int(intervals.units[at]) if intervals.by_units else None,
        "p_value": number(verdicts.p_value),
        "p_adjusted": number(verdicts.adjusted),
        "p_no_change": number(intervals.change),
        "e_value": number(verdicts.e_value),
    }


def _why_unsure(check: Check, judged: float, units: int, by_units: bool) -> str:
    """Why one of many intervals is not known: days are few, nobody asked, or it is not known how far it varies."""
    if judged <= check.first_threshold:
        return "far_below"
    return "few_units" if by_units and units < LEAST_UNITS else "not_known"


def _reason_of(
    check: Check,
    judged: float,
    severity: str,
    threshold: float,
    result: Result,
    verdicts: Verdicts,
    at: int,
    how: Mapping[str, Any],
) -> str:
    """Why a number is worth its severity, and how sure that is."""
    why, name = int(verdicts.why[at]), measure_name(check.measure, result.compared_with)
    effect = result.effects.get(check.measure)
    if why == BY_CHANCE and effect is not None:
        return f"{name} {judged:.3g}, but chance alone can add {effect.chance:.2g} to samples this small."
    if why == NOT_TESTED:
        return f"{name} {judged:.3g} here, but the column is not off in this window, so segments were not tested."
    if verdicts.reasons is not None and why == CLEAR:
        return own_sentence(check, judged, severity, threshold, result, how)
    if why == CLEAR:
        said = sentence(check, judged, severity, threshold, result)
        return said if severity == "ok" else f"{said[:-1]}{sureness(check, how)}."
    return open_sentence(check, judged, threshold, result, how, few=why == FEW_UNITS, many=why == MANY_TESTS)


def _reason(value: Value | None, result: Result) -> str:
    """Why there is no number, in a sentence."""
    if value is not None and value.reason:
        return REASONS[value.reason]
    return REASONS["weightless" if result.weighted and result.rows else "empty"]


def presence(result: Result) -> Finding | None:
    """A finding where a column of the baseline is gone from some or all of a group's rows."""
    if result.present >= 1.0 or result.rows == 0:
        return None
    what = REASONS[result.absent_reason][:-1].replace("The column's type", f"The type of '{result.column.name}'")
    what = what.replace("The column", f"Column '{result.column.name}'")
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
