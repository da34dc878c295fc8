"""One log held against several others at once, and rolling windows: from profiles alone, by adding integers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from modelwatch_gpu.checks.check import DEFAULT_CHECKS, Check
from modelwatch_gpu.checks.finding import Finding
from modelwatch_gpu.checks.judging import judge_all
from modelwatch_gpu.errors import InputError
from modelwatch_gpu.log.windows import zone_of
from modelwatch_gpu.measures.evaluate import evaluate
from modelwatch_gpu.measures.results import CONSECUTIVE, Block, Place, Results
from modelwatch_gpu.profile.baseline import Baseline
from modelwatch_gpu.profile.merging import merge_parts
from modelwatch_gpu.profile.parts import UNTIMED, WHOLE, Part, SetSpec
from modelwatch_gpu.profile.profile import Profile
from modelwatch_gpu.profile.regroup import regrouped_windows, rolling_windows

#: Which windows of the other log a window is held against: (start of ours, start of theirs) -> whether.
Match = Callable[[datetime, datetime], bool]

_OTHER, _OWN = 0, 1


@dataclass(frozen=True, eq=False)
class Against:
    """``results``, ``findings``: of every window against one other log, findings worst first."""

    results: Results
    findings: tuple[Finding, ...]


def same_weekday(ours: datetime, theirs: datetime) -> bool:
    """For ``match=``: the windows that begin on the same day of the week."""
    return ours.weekday() == theirs.weekday()


def same_hour(ours: datetime, theirs: datetime) -> bool:
    """For ``match=``: the windows that begin at the same hour of the day."""
    return ours.hour == theirs.hour


def compare_with(
    baseline: Baseline,
    profile: Profile,
    others: Mapping[str, Profile],
    *,
    match: Match | Mapping[str, Match] | None = None,
    checks: Sequence[Check] | None = None,
) -> dict[str, Against]:
    """Every window of a counted log against other counted logs, such as the last good month, or the same weekdays.

    All were counted against one baseline, whose grid they share; measures have bounds where it does not tell their
    values apart. No row is read.

    Args:
        baseline: What all profiles were counted against.
        profile: The log, with its windows.
        others: Name -> what it is held against.
        match: Which windows of the others count for a window of ours: ``same_weekday``, ``same_hour``, or a function of
            the local starts of both; for all others, or by name. None: all of them.
        checks: Thresholds; default: one verdict a column, missing and unseen values (DESIGN 7).

    Raises:
        InputError: A profile was counted against another baseline, or has no rows.
    """
    own = _windows_of(baseline, profile, "the profile")
    found: dict[str, Against] = {}
    for name, other in others.items():
        theirs = _windows_of(baseline, other, f"'{name}'")
        how = match.get(name) if isinstance(match, Mapping) else match
        blocks: list[Block] = []
        sums: dict[tuple[int, ...], Part] = {}
        for start in _starts(own):
            kept = tuple(s for s in _starts(theirs) if how is None or _matches(how, start, s, profile, other))
            if not kept:
                continue
            if kept not in sums:
                sums[kept] = regrouped_windows(theirs, lambda s, kept=kept: _OTHER if s in kept else None)  # type: ignore[misc]
            one = regrouped_windows(own, lambda s, start=start: _OWN if s == start else None)  # type: ignore[misc]
            blocks += _blocks(baseline, profile, merge_parts([sums[kept], one]), start)
        found[name] = _against(baseline, Results(blocks), checks, "consecutive")
    return found


def rolling(baseline: Baseline, profile: Profile, size: int, *, checks: Sequence[Check] | None = None) -> Against:
    """Every run of ``size`` windows with rows against the baseline, named by its last window: a profile of days and 7
    give the last week of every day."""
    if type(size) is not int or size < 1:
        raise InputError(f"A rolling window is made of 1 window or more, not {size!r}.")
    part = _windows_of(baseline, profile, "the profile")
    if len(_starts(part)) < size:
        raise InputError(f"The profile has {len(_starts(part))} windows with rows, and {size} are asked for.")
    rolled = rolling_windows(part, size)
    return _against(baseline, evaluate(baseline, _only_windows(profile), rolled), checks, "baseline")


def _against(baseline: Baseline, results: Results, checks: Sequence[Check] | None, against: str) -> Against:
    used = DEFAULT_CHECKS if checks is None else checks
    judged = judge_all([replace(c, against=against) for c in used], results, columns=baseline.columns)
    return Against(results, tuple(judged.findings))


def _blocks(baseline: Baseline, profile: Profile, both: Part, start: int) -> list[Block]:
    """The second of two groups against the first, under the name of its window."""
    results = evaluate(baseline, _only_windows(profile), both, consecutive=True).compared_with(CONSECUTIVE)
    blocks = []
    for block in results.blocks:
        place = Place((), block.place.starts * 0 + start, None, block.place.rows)
        blocks.append(replace(block, place=place))
    return blocks


def _windows_of(baseline: Baseline, profile: Profile, what: str) -> Part:
    if profile.baseline != baseline.fingerprint:
        raise InputError(f"{what} was counted against another baseline; count the log again against this one.")
    profile.check_fits(baseline)
    merged = profile.merged()
    if merged is None or not _starts(merged):
        raise InputError(f"{what} has no rows in a window.")
    return merged


def _starts(part: Part) -> list[int]:
    return [int(key[0]) for key in part.groups["window"] if int(key[0]) != UNTIMED]


def _matches(match: Match, ours: int, theirs: int, profile: Profile, other: Profile) -> bool:
    if WHOLE in (ours, theirs):
        raise InputError("match= needs windows on both sides; count both logs with window=.")
    here, there = zone_of(profile.timezone), zone_of(other.timezone)
    return match(datetime.fromtimestamp(ours, here), datetime.fromtimestamp(theirs, there))


def _only_windows(profile: Profile) -> Profile:
    sets: Final = tuple(spec for spec in profile.sets if spec.name == "window")
    return replace(profile, sets=tuple(SetSpec(s.name, s.grid, s.moments) for s in sets), segments=(), parts=())
