"""``compare``: a baseline against a log, from rows to findings."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from modelwatch_gpu.checks import DEFAULT_CHECKS, Check, VerdictOptions
from modelwatch_gpu.checks.expectations import Expectations
from modelwatch_gpu.checks.presets import check_preset
from modelwatch_gpu.device import resolve
from modelwatch_gpu.errors import InputError
from modelwatch_gpu.log import Derived, Log, Roles, joined, open_log
from modelwatch_gpu.log.joining import JoinedLabels
from modelwatch_gpu.log.windows import parse_window
from modelwatch_gpu.profile import Baseline, LiveProfile, Profile
from modelwatch_gpu.profile.counting import Progress
from modelwatch_gpu.profile.placing import device_for
from modelwatch_gpu.profile.segmentation import Segments, segmentations_of
from modelwatch_gpu.report import Report
from modelwatch_gpu.report.judge import report_on


def compare(
    baseline: Baseline | Any,
    log: Any,
    *,
    window: str | None = None,
    timezone: str | None = None,
    segments: Segments = (),
    versions: bool = False,
    promote: Segments = (),
    max_groups: int | None = None,
    checks: Sequence[Check] | None = None,
    consecutive: bool = False,
    units: str | None = "1d",
    correction: str | None = "bh",
    anytime: bool = False,
    hierarchy: bool = False,
    expectations: Expectations | str | os.PathLike[str] | bool | None = None,
    as_of: datetime | str | None = None,
    preset: str | None = None,
    roles: Roles | Mapping[str, Any] | None = None,
    derived: Sequence[Derived] = (),
    labels: Any = None,
    memory: int | str | None = None,
    threads: int = 0,
    device: str = "auto",
    progress: Progress | None = None,
) -> Report:
    """Compares a log with a baseline and returns every measure and finding.

    Args:
        baseline: A Baseline, a path to one (``.mwb``), or a reference log to fit one on.
        log: A path, glob, address, list, Query, table, reader, dataset, DataFrame ..., or a Profile counted before,
            or a LiveProfile.
        window: Calendar windows such as "1d", "1w", "1mo", or so many rows such as "50000rows"; None: the whole log is
            one.
        timezone: IANA name of the zone the calendar is in. Default: the baseline's.
        segments: Segmentations, judged apart within every window: ``["carrier", ("origin", "dest")]`` is one by carrier
            and one by pairs of airports. At most three columns are crossed. A column that is numeric in the baseline is
            cut into quarters of the baseline.
        versions: Whether the column with the role version is a segmentation too, a promoted one.
        promote: Segmentations to count on the fine grid, where memory allows.
        max_groups: Segments of each segmentation that are kept apart, the others are one, `other`. Default: as many as
            memory allows, at most 10,000.
        checks: Thresholds; default: one verdict a column, missing and unseen values (DESIGN 7), and where the log has
            labels, how right its answers are.
        consecutive: Also compare every window with the window before it that has rows; segments are not.
        units: What intervals of effects draw again on both sides: whole days ("1d") or several ("1w"); "rows" takes
            rows as independent, as is done where no column says when; None makes no intervals and judges numbers as
            they are.
        correction: For many tests at once, over columns, segments and windows: "bh" (Benjamini and Hochberg), "e-bh"
            (whatever the dependence), or None.
        anytime: Verdicts hold however often somebody looks at the growing log: evidence is collected from window to
            window as e-values, and the chance that a column without a change is ever off stays at 5%.
        hierarchy: Segments are tested only where their column is off in the same window.
        expectations: Of the data's quality, or their file (YAML); True: those inferred from the baseline. What does not
            hold is a finding. All columns of the log are read.
        as_of: The time, or ISO 8601 text, that ages of rows are counted to; None: ages are not judged.
        preset: "evidently" or "deepchecks": instead of checks, the test that this package would choose for each
            column, with its thresholds, of whole windows (docs/coming-from).
        roles: For a reference log that is fitted here.
        derived: Columns to compute in both logs, functions decorated with ``@derived``; a baseline that was fitted with
            some needs the same ones, and more are for segments.
        labels: Labels that came late, put beside the rows of the log by its id columns: ``Labels``, or label files
            with these columns and the label's. The report says how many found their row.
        memory: Bytes (or "512MB") the counters may take.
        threads: 0 means MODELWATCH_THREADS or all CPUs of the process.
        device: What counts the rows: "auto", "cpu", "cuda", "cuda:N", several such as "cuda:0,1", or "cuda:all"; the
            report says which did. One that is not there raises DeviceUnavailable.
        progress: Called with the number of rows of every batch read.

    Raises:
        InputError: Something cannot be read, or does not fit together; the text says what to do.
    """
    chosen = resolve(device)  # a device that is not there is refused before anything is read
    log = log.profile() if isinstance(log, LiveProfile) else log
    if preset is not None:
        check_preset(preset)
        if checks is not None:
            raise InputError("preset= has checks of its own; give either preset= or checks=.")
    used = () if preset is not None else DEFAULT_CHECKS if checks is None else _checks_of(checks)
    options = VerdictOptions.of(units, correction, anytime=anytime, hierarchy=hierarchy)
    _check_consecutive(consecutive, window if not isinstance(log, Profile) else log.window, used)
    quality = expectations is not None and expectations is not False
    base = _baseline_of(baseline, roles, timezone, derived, threads, device, progress, quality=quality)
    expected = _expectations_of(expectations, base)
    if as_of is not None and expected is None:
        raise InputError("as_of= is the time to which expectations count the age of rows; give expectations= too.")
    joining = None
    if labels is not None:
        log, joining = _with_labels(base, log, labels)
    profile = log if isinstance(log, Profile) else None
    if profile is None:
        log = open_log(log)
        chosen = device_for(device, log, base.by_name, threads=threads)
        profile = Profile.count(
            base,
            log,
            window=window,
            timezone=timezone,
            segments=segments,
            versions=versions,
            promote=promote,
            max_groups=max_groups,
            memory=memory,
            threads=threads,
            device=chosen,
            keep_parts=False,
            derived=derived,
            quality=expected is not None,
            patterns=expected.patterns if expected is not None else None,
            progress=progress,
        )
    else:
        _check_profile(profile, base, window=window, timezone=timezone, segments=segments, versions=versions)
        if promote or max_groups is not None:
            raise InputError("A profile has been counted already: promote= and max_groups= are options of counting.")
    return report_on(
        base,
        profile,
        checks=None if checks is None and preset is None else used,
        options=options,
        consecutive=consecutive,
        expectations=expected,
        as_of=as_of,
        preset=preset,
        device=chosen,
        joining=joining,
    )


def _with_labels(baseline: Baseline, log: Any, labels: Any) -> tuple[Log, JoinedLabels]:
    """The log with its late labels; raises InputError where the baseline does not know by what to find their rows."""
    if isinstance(log, Profile):
        raise InputError("A profile has been counted already: labels= is an option of counting; give the log itself.")
    ids, label = baseline.ids, baseline.label
    if not ids or label is None:
        what = "label" if ids else "id"
        raise InputError(
            f"Labels find their rows by id, and the baseline has no column with the role {what}; give one when you fit "
            f"it, such as by Roles({what}='...')."
        )
    return joined(log, labels, id=ids, label=label)


def _baseline_of(
    baseline: Any,
    roles: Roles | Mapping[str, Any] | None,
    timezone: str | None,
    derived: Sequence[Derived],
    threads: int,
    device: str,
    progress: Progress | None,
    *,
    quality: bool = False,
) -> Baseline:
    if isinstance(baseline, Baseline):
        return baseline
    if isinstance(baseline, (str, os.PathLike)) and str(baseline).endswith(".mwb"):
        return Baseline.load(baseline)
    options: dict[str, Any] = {"threads": threads, "device": device, "quality": quality, "progress": progress}
    return Baseline.fit(baseline, roles=roles, timezone=timezone, derived=derived, **options)


def _expectations_of(given: Any, baseline: Baseline) -> Expectations | None:
    """Expectations as given, from their file, or inferred."""
    if given is None or given is False:
        return None
    if given is True:
        return Expectations.infer(baseline)
    return given if isinstance(given, Expectations) else Expectations.load(given)


def _check_profile(
    profile: Profile,
    baseline: Baseline,
    *,
    window: str | None,
    timezone: str | None,
    segments: Segments,
    versions: bool,
) -> None:
    """Raises InputError where a profile counted before does not answer what is asked now."""
    again = "count the log again"
    if profile.weighting != baseline.weighting:
        one, other = ("weighted" if side.weighting is not None else "unweighted" for side in (profile, baseline))
        how = f"is {one} and the baseline is {other}" if one != other else "and the baseline are weighted differently"
        raise InputError(f"The profile {how}; {again} against this baseline.")
    if profile.baseline != baseline.fingerprint:
        raise InputError(f"The profile was counted against another baseline; {again} against this one.")
    counted_by = parse_window(profile.window) if profile.window is not None else None
    if window is not None and parse_window(window) != counted_by:
        raise InputError(f"The profile was counted with window={profile.window}, not {window}; {again}.")
    if timezone is not None and timezone != profile.timezone:
        raise InputError(f"The profile was counted in time zone {profile.timezone}, not {timezone}; {again}.")
    wanted = set(segmentations_of(segments))
    if versions:
        wanted |= {(name,) for name, role in baseline.roles.items() if role == "version"}
    if wanted and wanted != set(profile.segments):
        counted, asked = (_listed(names) or "none" for names in (profile.segments, sorted(wanted)))
        raise InputError(f"The profile was counted with the segments {counted}, not {asked}; {again}.")
    profile.check_fits(baseline)


def _listed(segments: Sequence[tuple[str, ...]]) -> str:
    """Segmentations in a sentence."""
    return ", ".join(" and ".join(names) for names in segments)


def _checks_of(given: Any) -> tuple[Check, ...]:
    """Checks as a tuple; raises InputError for anything that is no check."""
    checks = (given,) if isinstance(given, Check) or not isinstance(given, Iterable) else tuple(given)
    for check in checks:
        if not isinstance(check, Check):
            raise InputError(f"checks= takes mw.Check(...) objects, not {type(check).__name__}.")
    return checks


def _check_consecutive(consecutive: bool, window: str | None, checks: Sequence[Check]) -> None:
    """Raises InputError where windows are to be compared with one another and cannot be."""
    if consecutive and window is None:
        raise InputError(
            "Windows can only be compared with one another where there are some; give window=, such as window='1d'."
        )
    for check in checks:
        if check.against == "consecutive" and not consecutive:
            raise InputError(
                f"The check of {check.measure} is against the window before, which is not measured; "
                "give consecutive=True (--consecutive)."
            )
