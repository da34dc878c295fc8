"""``compare``: a baseline against a log, from rows to findings."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from modelwatch_gpu import _core
from modelwatch_gpu.checks import DEFAULT_CHECKS, Check, Finding, judge
from modelwatch_gpu.checks.finding import presence
from modelwatch_gpu.device import isa, resolve
from modelwatch_gpu.errors import InputError
from modelwatch_gpu.log import Roles
from modelwatch_gpu.log.windows import Window, iso, zone_of
from modelwatch_gpu.measures.evaluate import Result, evaluate
from modelwatch_gpu.profile import Baseline, Profile
from modelwatch_gpu.profile.counting import Progress
from modelwatch_gpu.profile.parts import UNTIMED, WHOLE, Part
from modelwatch_gpu.report.report import Report, WindowInfo, sorted_findings

#: Windows without rows between two that have some are listed while there are at most so many windows.
_MOST_LISTED = 10_000


def compare(
    baseline: Baseline | Any,
    log: Any,
    *,
    window: str | None = None,
    timezone: str | None = None,
    segments: Sequence[str] = (),
    checks: Sequence[Check] | None = None,
    roles: Roles | None = None,
    memory: int | str | None = None,
    threads: int = 0,
    device: str = "auto",
    progress: Progress | None = None,
) -> Report:
    """Compares a log with a baseline and returns every measure and finding.

    Args:
        baseline: A Baseline, a path to one (``.mwb``), or a reference log to fit one on.
        log: A path, glob, list of paths, table, batch, reader, dataset, DataFrame, or a Profile counted before.
        window: Calendar windows such as "1d", "1w", "1mo"; None: the whole log is one.
        timezone: IANA name of the zone the calendar is in. Default: the baseline's.
        segments: At most one column whose values are judged apart within every window.
        checks: Thresholds; default: one verdict a column, missing and unseen values (DESIGN 7).
        roles: For a reference log that is fitted here.
        memory: Bytes (or "512MB") the counters may take.
        threads: 0 means MODELWATCH_THREADS or all CPUs of the process.
        device: "auto" or "cpu"; another one raises DeviceUnavailable.
        progress: Called with the number of rows of every batch read.

    Raises:
        InputError: Something cannot be read, or does not fit together; the text says what to do.
    """
    chosen = resolve(device)
    base = _baseline_of(baseline, roles, timezone, threads, device, progress)
    profile = log if isinstance(log, Profile) else None
    if profile is None:
        profile = Profile.count(
            base,
            log,
            window=window,
            timezone=timezone,
            segments=segments,
            memory=memory,
            threads=threads,
            device=device,
            keep_parts=False,
            progress=progress,
        )
    else:
        _check_profile(profile, base, window=window, timezone=timezone, segments=segments)
    used = tuple(DEFAULT_CHECKS if checks is None else checks)
    merged = profile.merged()
    results = tuple(r for r in evaluate(base, profile, merged) if r.start != UNTIMED) if merged else ()
    windows = _windows(profile, merged)
    return Report(
        baseline=base,
        device=chosen,
        isa=isa(),
        library=str(_core.build_info()["version"]),
        timezone=profile.timezone,
        window=profile.window,
        segments=profile.segments,
        rows=profile.rows,
        windows=windows,
        results=results,
        findings=sorted_findings([*_judged(used, results), *_empty(used, base, windows, results)]),
        checks=used,
        notes=_notes(base, profile, merged),
    )


def _baseline_of(
    baseline: Any, roles: Roles | None, timezone: str | None, threads: int, device: str, progress: Progress | None
) -> Baseline:
    if isinstance(baseline, Baseline):
        return baseline
    if isinstance(baseline, (str, os.PathLike)) and str(baseline).endswith(".mwb"):
        return Baseline.load(baseline)
    return Baseline.fit(baseline, roles=roles, timezone=timezone, threads=threads, device=device, progress=progress)


def _check_profile(
    profile: Profile, baseline: Baseline, *, window: str | None, timezone: str | None, segments: Sequence[str]
) -> None:
    """Raises InputError where a profile counted before does not answer what is asked now."""
    again = "count the log again"
    if profile.baseline != baseline.fingerprint:
        raise InputError(f"The profile was counted against another baseline; {again} against this one.")
    if window is not None and window != profile.window:
        raise InputError(f"The profile was counted with window={profile.window}, not {window}; {again}.")
    if timezone is not None and timezone != profile.timezone:
        raise InputError(f"The profile was counted in time zone {profile.timezone}, not {timezone}; {again}.")
    wanted = (segments,) if isinstance(segments, str) else tuple(segments)
    if wanted and wanted != profile.segments:
        counted = ", ".join(profile.segments) or "none"
        raise InputError(f"The profile was counted with the segments {counted}, not {', '.join(wanted)}; {again}.")
    profile.check_fits(baseline)


def _judged(checks: Sequence[Check], results: Sequence[Result]) -> list[Finding]:
    out: list[Finding] = []
    for result in results:
        absent = presence(result)
        if absent is not None:
            out.append(absent)
        for check in checks:
            if check.applies_to(result.column):
                found = judge(check, result)
                if found is not None:
                    out.append(found)
    return out


def _empty(
    checks: Sequence[Check], baseline: Baseline, windows: Sequence[WindowInfo], results: Sequence[Result]
) -> list[Finding]:
    """Findings of windows that have no rows at all: not enough data, for every check."""
    out: list[Finding] = []
    there = {r.start for r in results if r.segment is None}
    for w in windows:
        if w.second in there:
            continue
        for column in baseline.columns:
            for check in checks:
                if check.applies_to(column):
                    first = check.warn if check.warn is not None else check.alert
                    out.append(
                        Finding(
                            start=w.second,
                            segment=None,
                            column=column.name,
                            check=check.measure,
                            severity="not_enough_data",
                            value=None,
                            threshold=first,
                            reason="The window has no rows.",
                        )
                    )
    return out


def _windows(profile: Profile, merged: Part | None) -> tuple[WindowInfo, ...]:
    if profile.window is None:
        return (WindowInfo(None, None, "whole log", profile.rows, WHOLE),)
    if merged is None:
        return ()
    rows = {int(key[0]): int(n) for key, n in zip(merged.groups["window"], merged.group_rows["window"], strict=True)}
    starts = sorted(s for s in rows if s > UNTIMED)
    if not starts:
        return ()
    interval, zone = Window.parse(profile.window), zone_of(profile.timezone)
    if interval.at_most(starts[0], starts[-1], zone) > _MOST_LISTED:
        ends = {s: int(interval.boundaries(s, s, zone)[-1]) for s in starts}
    else:
        ends = dict(pairwise(int(b) for b in interval.boundaries(starts[0], starts[-1], zone)))
    return tuple(
        WindowInfo(iso(start, zone), iso(end, zone), interval.label(start, zone), rows.get(start, 0), start)
        for start, end in ends.items()
    )


def _notes(baseline: Baseline, profile: Profile, merged: Part | None) -> tuple[str, ...]:
    notes = [*baseline.notes, *profile.notes]
    ignored = [name for name, role in baseline.roles.items() if role == "ignore"]
    if ignored:
        notes.append(f"Not compared, as told: {', '.join(ignored)}.")
    if not profile.rows:
        notes.append("The log has no rows.")
    if merged is None:
        return tuple(notes)
    if merged.new:
        notes.append(f"In the log but not in the baseline: {', '.join(merged.new)}.")
    for column, kind in merged.incomparable.items():
        notes.append(
            f"Column '{column}' is {kind} in the log and {baseline.by_name[column].type} in the baseline, "
            "which cannot be compared."
        )
    untimed = dict(zip(merged.groups.get("window", []), merged.group_rows.get("window", []), strict=True)).get(
        (UNTIMED,)
    )
    if untimed is not None and profile.window is not None:
        notes.append(f"{int(untimed):,} rows have no timestamp and belong to no window.")
    return tuple(notes)
