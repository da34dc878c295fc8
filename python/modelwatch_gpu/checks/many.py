"""All verdicts of a run held to one rate of false ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from modelwatch_gpu.checks.check import Check
from modelwatch_gpu.checks.finding import ALERT, MANY_TESTS, NOT_ENOUGH_DATA, NOT_TESTED, WARNING, Verdicts
from modelwatch_gpu.checks.intervals import CONFIDENCE
from modelwatch_gpu.checks.multiplicity import adjusted, e_adjusted, e_values
from modelwatch_gpu.checks.sampling import VerdictOptions
from modelwatch_gpu.checks.sequential import collected
from modelwatch_gpu.measures.registry import MEASURES, PERFORMANCE
from modelwatch_gpu.measures.results import Block
from modelwatch_gpu.measures.value import Floats

#: The share of false ones that is allowed among the verdicts of a run, on average.
FALSE_SHARE: Final = 1 - CONFIDENCE


class Applied(NamedTuple):
    """A check on one block, None for the presence of its column: verdicts of all groups, and which of them count.
    ``closed``: (groups,) those that are not tested."""

    check: Check | None
    verdicts: Verdicts
    at: npt.NDArray[np.int64]
    block: Block
    closed: npt.NDArray[np.bool_] | None = None


class _Tests(NamedTuple):
    """One level of one check on one block: (groups,) p-values that the effect is no larger than the threshold, NaN
    where there is no test, the same after a correction, and e-values where that is by them."""

    limit: float
    p_value: Floats
    adjusted: Floats
    e_value: Floats | None


def corrected(blocks: Sequence[Sequence[Applied]], options: VerdictOptions) -> list[list[Applied]]:
    """The verdicts with their p-values; those that do not survive a correction over all of them are taken back.

    Warnings and alerts are families of their own, and so are answers, held against labels, and all else: whether the
    model got worse is one question, whether its inputs moved another one (decision 0036). A family has one test for
    every group that has an interval.
    """
    flat = [applied for block in blocks for applied in block]
    if options.hierarchy:
        flat = gated(flat)
    levels = {
        level: _family(flat, level, options, answers=True) | _family(flat, level, options, answers=False)
        for level in (WARNING, ALERT)
    }
    done = iter([_settled(applied, levels[WARNING].get(i), levels[ALERT].get(i)) for i, applied in enumerate(flat)])
    return [[next(done) for _ in block] for block in blocks]


def gated(flat: Sequence[Applied]) -> list[Applied]:
    """Segments are tested only where their column is off in the same window: the others stay open if they are off."""
    off: dict[tuple[str, str, str], set[int]] = {}
    for applied in flat:
        place, check = applied.block.place, applied.check
        if check is not None and place.segments is None:
            beyond = applied.at[applied.verdicts.severity[applied.at] <= WARNING]
            off.setdefault(_test_of(applied), set()).update(place.starts[beyond].tolist())
    out = []
    for applied in flat:
        if applied.check is None or applied.block.place.segments is None:
            out.append(applied)
            continue
        parents = off.get(_test_of(applied), set())
        closed = ~np.isin(applied.block.place.starts, np.array(sorted(parents), dtype=np.int64))
        was = applied.verdicts
        quiet = closed & (was.severity <= WARNING)
        verdicts = replace(
            was,
            severity=np.where(quiet, NOT_ENOUGH_DATA, was.severity).astype(np.uint8),
            why=np.where(quiet, NOT_TESTED, was.why).astype(np.uint8),
        )
        out.append(applied._replace(verdicts=verdicts, at=applied.at, closed=closed))
    return out


def _test_of(applied: Applied) -> tuple[str, str, str]:
    assert applied.check is not None
    return applied.block.column.name, applied.check.measure, applied.block.compared_with


def _family(flat: Sequence[Applied], level: int, options: VerdictOptions, *, answers: bool) -> dict[int, _Tests]:
    """The tests of one level, of what is held against labels or of what is not, by the number of their check."""
    limits: dict[int, float] = {}
    for i, applied in enumerate(flat):
        check = applied.check
        limit = None if check is None else check.warn if level == WARNING else check.alert
        if check is None or limit is None or applied.verdicts.intervals is None:
            continue
        if ((MEASURES[check.measure].of or check.measure) in PERFORMANCE) == answers:
            limits[i] = limit
    if not limits:
        return {}
    own = {i: _tails(flat[i], limit) for i, limit in limits.items()}
    joined = np.concatenate(list(own.values()))
    e = e_values(joined) if options.anytime or options.correction == "e-bh" else None
    if e is not None and options.anytime:
        e = np.concatenate(
            [collected(part, flat[i].block) for i, part in zip(own, _split(e, list(own.values())), strict=True)]
        )
    kept = _adjusted(joined, e, options.correction)
    sizes = list(own.values())
    each = zip(own.items(), _split(kept, sizes), [None] * len(own) if e is None else _split(e, sizes), strict=True)
    return {i: _Tests(limits[i], p, adjusted_own, e_own) for (i, p), adjusted_own, e_own in each}


def _split(joined: Floats, like: Sequence[Floats]) -> list[Floats]:
    return np.split(joined, np.cumsum([len(one) for one in like])[:-1])


def _adjusted(p: Floats, e: Floats | None, correction: str | None) -> Floats:
    """p-values after a correction; where there are e-values, what these say (Ville 1939: an e-value is above 1/a with
    probability a at most)."""
    if e is None:
        return p if correction is None else adjusted(p)
    with np.errstate(divide="ignore"):
        return np.minimum(1.0, 1 / e) if correction is None else np.minimum(1.0, e_adjusted(e))


def _tails(applied: Applied, limit: float) -> Floats:
    intervals = applied.verdicts.intervals
    assert intervals is not None
    counts = np.zeros(len(intervals.centre), dtype=bool)
    counts[applied.at] = True
    if applied.closed is not None:
        counts &= ~applied.closed
    return np.where(counts & ~np.isnan(applied.verdicts.judged), intervals.tails(limit), np.nan)


def _settled(applied: Applied, warning: _Tests | None, alert: _Tests | None) -> Applied:
    """The verdicts after the correction: of alerts first, which may fall to warnings."""
    first = warning or alert
    if first is None:
        return applied
    was = applied.verdicts
    severity, threshold, why = was.severity.copy(), was.threshold.copy(), was.why.copy()
    p_value, adjusted_p = first.p_value.copy(), first.adjusted.copy()
    e_value = None if first.e_value is None else first.e_value.copy()
    for level, tests, below in ((ALERT, alert, warning), (WARNING, warning, None)):
        if tests is None:
            continue
        open_still = tests.adjusted > FALSE_SHARE
        fall = (severity == level) & open_still
        severity[fall] = NOT_ENOUGH_DATA if below is None else WARNING
        threshold[fall] = tests.limit if below is None else below.limit
        if below is None:
            why[fall] = MANY_TESTS
        stands = severity == level
        p_value[stands], adjusted_p[stands] = tests.p_value[stands], tests.adjusted[stands]
        if e_value is not None and tests.e_value is not None:
            e_value[stands] = tests.e_value[stands]
    verdicts = replace(
        was,
        severity=severity,
        threshold=threshold,
        why=why,
        p_value=p_value,
        adjusted=adjusted_p,
        e_value=e_value,
    )
    return applied._replace(verdicts=verdicts)
