"""The outcome of a check on one column in one group, with its reason in a sentence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from modelwatch_gpu.checks.check import Check
from modelwatch_gpu.checks.sentences import measure_name, sentence
from modelwatch_gpu.measures.effects import Effect, Effects
from modelwatch_gpu.measures.results import BASELINE, Result, Segment
from modelwatch_gpu.measures.value import HAS_NUMBER, REASON_CODES, REASONS, Floats, Value, Values

#: A sample is small where chance alone reaches this share of the first threshold (in 1% of windows without drift).
CHANCE_SHARE: Final = 0.5

#: Severities, worst first.
SEVERITIES: Final = ("alert", "warning", "not_enough_data", "ok")
ALERT, WARNING, NOT_ENOUGH_DATA, OK = range(4)

#: A standard deviation of 0 is this small a share of the baseline's: a report holds no infinity.
_SMALLEST_RATIO: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Finding:
    """``value`` is what was judged: the effect of a divergence, the lower bound of an interval. ``raw``: the measure
    itself. ``threshold``: the one that decided (the warning threshold where all is well). ``noise_floor``: what two
    samples of one distribution show on average. ``start``: of the window, epoch seconds. ``segment``: (kind, text) of
    each of the columns ``by``, None for all rows. ``compared_with``: "BASELINE" or "CONSECUTIVE"."""

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

    @property
    def excess(self) -> float:
        """How far beyond its threshold, as a ratio: for sorting."""
        if self.value is None or not self.threshold:
            return float("inf") if self.severity == "alert" else 0.0
        return self.value / self.threshold


@dataclass(frozen=True, eq=False, slots=True)
class Verdicts:
    """What a check says of many groups: (groups,) arrays. ``severity``: indices of ``SEVERITIES``. ``judged``: NaN
    where nothing could be. ``threshold``: the one that decided. ``by_chance``: whether chance may have done it."""

    severity: npt.NDArray[np.uint8]
    judged: Floats
    threshold: Floats
    by_chance: npt.NDArray[np.bool_]

    @property
    def excess(self) -> Floats:
        """``Finding.excess`` of each."""
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = self.judged / self.threshold
        without = np.where(self.severity == ALERT, np.inf, 0.0)
        return np.where(np.isnan(self.judged) | (self.threshold == 0), without, ratio)


def decide(check: Check, values: Values | None, effects: Effects | None, groups: int) -> Verdicts:
    """Holds a measure of many groups against a check's thresholds; ``values`` is None where none has the measure."""
    first = check.first_threshold
    severity = np.full(groups, NOT_ENOUGH_DATA, dtype=np.uint8)
    threshold, nothing = np.full(groups, first), np.full(groups, np.nan)
    if values is None:
        return Verdicts(severity, nothing, threshold, np.zeros(groups, dtype=bool))
    has_effect = np.zeros(groups, dtype=bool) if effects is None else ~np.isnan(effects.value)
    judged = _size_of(check.measure, values)
    certain = judged
    if effects is not None:
        judged = np.where(has_effect, effects.value, judged)
        # Where chance alone comes near the threshold, only what chance cannot explain is evidence.
        near = has_effect & (effects.chance > first * CHANCE_SHARE)
        certain = np.where(near, np.minimum(judged, effects.lower), judged)
    enough = (values.reason == HAS_NUMBER) & ~np.isnan(values.value) & (values.n >= check.min_rows)
    severity[enough] = OK
    for level, limit in ((WARNING, check.warn), (ALERT, check.alert)):
        if limit is not None:
            beyond = enough & (certain > limit)
            severity[beyond], threshold[beyond] = level, limit
    by_chance = (severity == OK) & (certain < judged)
    severity[by_chance] = NOT_ENOUGH_DATA
    return Verdicts(severity, np.where(enough, judged, np.nan), threshold, by_chance)


def _size_of(measure: str, values: Values) -> Floats:
    """What a threshold is held against: the lower bound, and for measures of two directions how far they went."""
    if measure == "mean_shift":
        return np.abs(values.value)
    if measure == "sd_ratio":
        return np.maximum(values.value, 1 / np.maximum(values.value, _SMALLEST_RATIO))
    return np.where(np.isnan(values.lower), values.value, values.lower)


def judge(check: Check, result: Result) -> Finding | None:
    """Applies a check to a result; None where the column is not there to be judged."""
    if result.present == 0 and result.rows:
        return None
    value, effect = result.values.get(check.measure), result.effects.get(check.measure)
    return finding_of(check, result, decide(check, _one(value), _one_effect(effect), 1), 0)


def _one(value: Value | None) -> Values | None:
    if value is None:
        return None
    number, lower, upper = (np.array([np.nan if v is None else v]) for v in (value.value, value.lower, value.upper))
    code = HAS_NUMBER if value.reason is None else REASON_CODES[value.reason]
    return Values(number, lower, upper, np.array([value.n], dtype=np.int64), np.array([code], dtype=np.uint8))


def _one_effect(effect: Effect | None) -> Effects | None:
    if effect is None:
        return None
    numbers = (effect.value, effect.raw, effect.noise_floor, effect.chance, effect.lower)
    return Effects(*(np.array([number]) for number in numbers))


def finding_of(check: Check, result: Result, verdicts: Verdicts, at: int) -> Finding:
    """The finding of one of the verdicts, with its sentence."""
    value, effect = result.values.get(check.measure), result.effects.get(check.measure)
    severity, threshold = SEVERITIES[int(verdicts.severity[at])], float(verdicts.threshold[at])
    judged: float | None = float(verdicts.judged[at])
    if value is None or value.value is None:
        judged, reason = None, _reason(value, result)
    elif value.n < check.min_rows:
        rows = f"{value.n} {'row has' if value.n == 1 else 'rows have'} a value"
        if result.weighted:
            rows = f"{value.n} effective {'row' if value.n == 1 else 'rows'} by the weights have a value"
        judged, reason = None, f"Only {rows}; a verdict needs {check.min_rows}."
    elif verdicts.by_chance[at]:
        assert effect is not None
        name = measure_name(check.measure, result.compared_with)
        chance = f"chance alone can add {effect.chance:.2g} to samples this small"
        reason = f"{name} {judged:.3g}, but {chance}."
    else:
        assert judged is not None
        reason = sentence(check, judged, severity, threshold, result)
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
        compared_with=result.compared_with,
    )


def _reason(value: Value | None, result: Result) -> str:
    """Why there is no number, in a sentence."""
    if value is not None and value.reason:
        return REASONS[value.reason]
    return REASONS["weightless" if result.weighted and result.rows else "empty"]


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
