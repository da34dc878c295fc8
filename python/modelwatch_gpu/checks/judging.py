"""All checks on all results: severities as arrays first, findings with their sentences for those that are listed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from modelwatch_gpu.checks.check import Check
from modelwatch_gpu.checks.finding import (
    ALERT,
    CLEAR,
    NOT_ENOUGH_DATA,
    OK,
    SEVERITIES,
    WARNING,
    Finding,
    Verdicts,
    decide,
    finding_of,
    presence,
)
from modelwatch_gpu.checks.learned import learned, relative
from modelwatch_gpu.checks.listed import Findings
from modelwatch_gpu.checks.many import Applied, corrected
from modelwatch_gpu.checks.sampling import Found, Sampling, VerdictOptions
from modelwatch_gpu.checks.unsure import no_interval
from modelwatch_gpu.measures.results import BASELINE, CONSECUTIVE, Block, Results
from modelwatch_gpu.measures.value import REASONS
from modelwatch_gpu.profile.embeddings import AnyColumn

#: All findings are listed while there are at most so many; beyond, those of segments that ask for nothing are counted.
LISTED_FINDINGS: Final = 100_000

_AGAINST: Final = {"baseline": BASELINE, "consecutive": CONSECUTIVE}


@dataclass(frozen=True)
class Judged:
    """``findings``: worst first. ``left_out``: severity -> how many findings of segments are only counted."""

    findings: Findings
    left_out: Mapping[str, int]

    @property
    def notes(self) -> tuple[str, ...]:
        """What a report must say about findings that are not listed."""
        if not self.left_out:
            return ()
        counts = " and ".join(f"{count:,} that are {severity}" for severity, count in self.left_out.items())
        return (
            f"There are more than {LISTED_FINDINGS:,} findings, so of those of segments {counts} are counted here and "
            "not listed.",
        )


@dataclass(frozen=True, eq=False)
class _Candidates:
    """Findings to be, of one check on one block: where they stand when sorted. ``block``: number of the block, or -1
    for a finding that is there already. ``at``: the group, or the number of that finding. ``order``: among the groups
    of one set, and of several."""

    severity: npt.NDArray[np.uint8]
    segment: npt.NDArray[np.bool_]
    excess: npt.NDArray[np.float64]
    start: npt.NDArray[np.int64]
    order: npt.NDArray[np.int64]
    at: npt.NDArray[np.int64]
    column: str
    check: str
    source: int


def judge_all(
    checks: Sequence[Check],
    results: Results,
    *,
    columns: Sequence[AnyColumn],
    windows_without_rows: Sequence[int] = (),
    sampling: Sampling | None = None,
) -> Judged:
    """Every check on every result, worst first, and not enough data for windows without rows.

    Args:
        checks: What to judge.
        results: What to judge it on.
        columns: Of the baseline.
        windows_without_rows: Starts of windows that are reported though no row falls into them.
        sampling: What intervals, learned and relative thresholds come from; without it numbers are taken as they are.
    """
    sources: list[tuple[Block, Check | None, Verdicts]] = []
    known: Sequence[Found] = [{}] * len(results.blocks)
    if sampling is not None:
        known = sampling.intervals(results, [c for c in checks if c.learn is None])
    verdicts_of = corrected(
        [_verdicts(checks, block, own, sampling) for block, own in zip(results.blocks, known, strict=True)],
        VerdictOptions(None, False, None) if sampling is None else sampling.options,
    )
    candidates: list[_Candidates] = []
    places: dict[int, int] = {}
    for block, found_there in zip(results.blocks, verdicts_of, strict=True):
        place = places.setdefault(id(block.place), len(places))
        for check, verdicts, at, *_ in found_there:
            if len(at):
                name = check.measure if check is not None else "present"
                candidates.append(_candidates(block, name, verdicts, at, place, len(sources)))
                sources.append((block, check, verdicts))
    ready = _of_empty_windows(checks, columns, windows_without_rows)
    candidates.extend(_candidate(finding, at) for at, finding in enumerate(ready))
    rows = _sorted(candidates)
    severity, segment = rows["severity"], rows["segment"]
    left_out: dict[str, int] = {}
    if len(severity) > LISTED_FINDINGS:
        quiet = segment & (severity >= NOT_ENOUGH_DATA)
        counts = np.bincount(severity[quiet], minlength=len(SEVERITIES))
        left_out = {SEVERITIES[s]: int(counts[s]) for s in (OK, NOT_ENOUGH_DATA) if counts[s]}
        rows = {name: array[~quiet] for name, array in rows.items()}
    source, group = rows["source"], rows["at"]

    def made(at: int) -> Finding:
        if source[at] < 0:
            return ready[int(group[at])]
        block, check, verdicts = sources[source[at]]
        own = int(group[at])
        result = block.row(own)
        found: Finding | None = presence(result) if check is None else finding_of(check, result, verdicts, own)
        assert found is not None
        return found

    return Judged(Findings(rows["severity"], ~rows["segment"], made), left_out)


def _verdicts(checks: Sequence[Check], block: Block, intervals: Found, sampling: Sampling | None) -> list[Applied]:
    """The checks of one block; no check where it is about the column's presence."""
    groups, rows, present = len(block), block.place.rows, block.present
    found: list[Applied] = []
    if block.compared_with == BASELINE:
        missing = np.flatnonzero((present < 1.0) & (rows > 0))
        severity = np.where(present == 0, ALERT, WARNING).astype(np.uint8)
        clear = np.full(groups, CLEAR, dtype=np.uint8)
        found.append(Applied(None, Verdicts(severity, present, np.ones(groups), clear), missing, block))
    there = np.flatnonzero((present > 0) | (rows == 0))
    for check in checks:
        if not check.applies_to(block.column) or _AGAINST[check.against] != block.compared_with:
            continue
        values, effects = block.values.get(check.measure), block.effects.get(check.measure)
        own = intervals.get((check.measure, check.relative))
        if sampling is not None and check.learn is not None:
            verdicts = learned(check, block, sampling)
        elif sampling is not None and check.relative and values is not None:
            verdicts = relative(check, values, own, sampling.relative_to(block, check.measure))
        else:
            verdicts = decide(check, values, effects, groups, own)
        if own is None:
            asked = sampling is not None and sampling.options.intervals
            drawn = asked and sampling is not None and sampling.drawn(block.column, check)
            verdicts = replace(verdicts, without=no_interval(check, block, asked=asked, drawn=drawn))
        found.append(Applied(check, verdicts, there, block))
    return found


def _candidates(
    block: Block, check: str, verdicts: Verdicts, at: npt.NDArray[np.int64], place: int, source: int
) -> _Candidates:
    return _Candidates(
        severity=verdicts.severity[at],
        segment=np.full(len(at), block.place.segments is not None),
        excess=verdicts.excess[at],
        start=block.place.starts[at],
        order=(place << 40) + at,
        at=at,
        column=block.column.name,
        check=check,
        source=source,
    )


def _candidate(finding: Finding, at: int) -> _Candidates:
    return _Candidates(
        severity=np.array([SEVERITIES.index(finding.severity)], dtype=np.uint8),
        segment=np.array([finding.segment is not None]),
        excess=np.array([finding.excess]),
        start=np.array([finding.start], dtype=np.int64),
        order=np.zeros(1, dtype=np.int64),
        at=np.array([at], dtype=np.int64),
        column=finding.column,
        check=finding.check,
        source=-1,
    )


def _sorted(candidates: Sequence[_Candidates]) -> dict[str, npt.NDArray[Any]]:
    """Worst first: severity, whole windows before segments, how far beyond the threshold, then by place and name."""
    columns = {name: i for i, name in enumerate(sorted({c.column for c in candidates}))}
    checks = {name: i for i, name in enumerate(sorted({c.check for c in candidates}))}
    sizes = [len(c.at) for c in candidates]
    kinds = {"severity": np.uint8, "segment": np.bool_, "excess": np.float64}
    rows: dict[str, npt.NDArray[Any]] = {
        name: np.concatenate([np.empty(0, dtype=kinds.get(name, np.int64)), *(getattr(c, name) for c in candidates)])
        for name in ("severity", "segment", "excess", "start", "order", "at")
    }
    rows["source"] = np.repeat(np.array([c.source for c in candidates], dtype=np.int64), sizes)
    column = np.repeat(np.array([columns[c.column] for c in candidates], dtype=np.int64), sizes)
    check = np.repeat(np.array([checks[c.check] for c in candidates], dtype=np.int64), sizes)
    by = (rows["source"], rows["order"], check, column, rows["start"], -rows["excess"])
    order = np.lexsort((*by, rows["segment"], rows["severity"]))
    return {name: array[order] for name, array in rows.items()}


def _of_empty_windows(checks: Sequence[Check], columns: Sequence[AnyColumn], starts: Sequence[int]) -> list[Finding]:
    """Findings of windows that have no rows at all: not enough data, for every check."""
    return [
        Finding(
            start=start,
            segment=None,
            column=column.name,
            check=check.measure,
            severity="not_enough_data",
            value=None,
            threshold=check.first_threshold,
            reason=REASONS["empty"],
            compared_with=_AGAINST[check.against],
        )
        for start in starts
        for column in columns
        for check in checks
        if check.applies_to(column)
    ]
