"""``compare``: a baseline against a log, from rows to findings."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any

from modelwatch_gpu import _core
from modelwatch_gpu.checks import DEFAULT_CHECKS, Check, Finding, Sampling, VerdictOptions, judge_all
from modelwatch_gpu.checks.default import performance_checks
from modelwatch_gpu.checks.expectations import Expectations, judge_expectations
from modelwatch_gpu.checks.finding import SEVERITIES
from modelwatch_gpu.checks.presets import check_preset, evidently_findings
from modelwatch_gpu.device import isa, resolve
from modelwatch_gpu.errors import InputError
from modelwatch_gpu.log import Derived, Log, Roles, joined, open_log
from modelwatch_gpu.log.joining import JoinedLabels
from modelwatch_gpu.log.windows import RowWindow, iso, parse_window, zone_of
from modelwatch_gpu.measures.answer_tables import AnswerTables, answer_tables
from modelwatch_gpu.measures.evaluate import Results, evaluate
from modelwatch_gpu.measures.quality import seen_windows
from modelwatch_gpu.profile import Baseline, LiveProfile, Profile
from modelwatch_gpu.profile.counting import Progress
from modelwatch_gpu.profile.parts import UNTIMED, WHOLE, Part
from modelwatch_gpu.profile.placing import device_for
from modelwatch_gpu.profile.segmentation import Segments, segmentations_of
from modelwatch_gpu.profile.weights import MEAN_BITS, WeightSums
from modelwatch_gpu.report.report import LabelInfo, Report, WeightInfo, WindowInfo

#: Windows without rows between two that have some are listed while there are at most so many windows.
_MOST_LISTED = 10_000
#: Where stored weights of a log are below this on average, their rounding is worth a note.
_COARSE_MEAN = 1 << 8


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
    roles: Roles | None = None,
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
        preset: "evidently": instead of checks, the test that this package would choose for each column, with its
            thresholds, of whole windows (docs/coming-from).
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
    used = tuple(() if preset is not None else DEFAULT_CHECKS if checks is None else checks)
    options = VerdictOptions.of(units, correction, anytime=anytime, hierarchy=hierarchy)
    _check_consecutive(consecutive, window if not isinstance(log, Profile) else log.window, used)
    quality = expectations is not None and expectations is not False
    base = _baseline_of(baseline, roles, timezone, derived, threads, device, progress, quality=quality)
    expected = _expectations_of(expectations, base)
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
            progress=progress,
        )
    else:
        _check_profile(profile, base, window=window, timezone=timezone, segments=segments, versions=versions)
        if promote or max_groups is not None:
            raise InputError("A profile has been counted already: promote= and max_groups= are options of counting.")
    merged = profile.merged()
    results = evaluate(base, profile, merged, consecutive=consecutive) if merged else Results()
    if checks is None and preset is None:
        used += performance_checks(base.scoring, results)
    answers = answer_tables(base, profile, merged) if merged else AnswerTables()
    windows = _windows(profile, merged)
    sampling = Sampling.of(base, merged, profile, options) if merged is not None else None
    judged = judge_all(
        used,
        results,
        columns=base.reported,
        windows_without_rows=_without_rows(windows, results),
        sampling=sampling,
    )
    findings = _with_skipped(judged.findings, base)
    notes = [
        *_notes(base, profile, merged),
        *_label_notes(joining),
        *(sampling.notes if sampling is not None else ()),
        *judged.notes,
    ]
    if preset is not None:
        theirs = evidently_findings(base, seen_windows(base, profile, merged, results))
        findings = _worst_first(findings, theirs)
    if expected is not None:
        seen = seen_windows(base, profile, merged, results)
        held = judge_expectations(expected, base, seen, as_of=_second_of(as_of, profile.timezone))
        findings = _worst_first(findings, held.findings)
        notes += [*expected.notes, *held.notes]
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
        findings=findings,
        checks=used,
        notes=tuple(notes),
        left_out=judged.left_out,
        weight=_weight(base, merged),
        answers=answers,
        labels=None if joining is None else LabelInfo.of(joining),
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


def _label_notes(joining: JoinedLabels | None) -> list[str]:
    """What came of late labels, in sentences."""
    if joining is None:
        return []
    info = LabelInfo.of(joining)
    notes = [
        f"Of {info.ids:,} ids with a late label, {info.ids - info.orphans:,} have a row in the log: {info.joined:,} "
        f"rows got one, and {info.labelled:,} of {info.rows:,} rows are labelled."
    ]
    if info.orphans:
        notes.append(f"{info.orphans:,} late labels are of ids that no row of the log has.")
    if info.conflicting:
        notes.append(
            f"{info.conflicting:,} ids have late labels that contradict each other and none that is later, so these "
            "are left out."
        )
    if info.replaced:
        notes.append(f"{info.replaced:,} rows had another label of their own; the late one holds.")
    if info.shared:
        notes.append(f"{info.shared:,} late labels are of ids that several rows share; all of these got the label.")
    return notes


def _baseline_of(
    baseline: Any,
    roles: Roles | None,
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


def _second_of(as_of: datetime | str | None, timezone: str) -> int | None:
    """A time as epoch seconds; without a zone it is of the log's."""
    if as_of is None:
        return None
    try:
        when = as_of if isinstance(as_of, datetime) else datetime.fromisoformat(as_of)
    except (TypeError, ValueError):
        raise InputError(f"as_of is {as_of!r}; give a time in ISO 8601, such as '2024-05-01T06:00'.") from None
    return int((when if when.tzinfo is not None else when.replace(tzinfo=zone_of(timezone))).timestamp())


def _worst_first(findings: Sequence[Finding], more: Sequence[Finding]) -> tuple[Finding, ...]:
    """Findings of checks and of expectations together: by severity, each in the order it had."""
    return tuple(sorted([*findings, *more], key=lambda f: SEVERITIES.index(f.severity)))


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


def _without_rows(windows: Sequence[WindowInfo], results: Results) -> list[int]:
    """Starts of the windows that have no rows at all."""
    there = {s for block in results.blocks if block.place.segments is None for s in block.place.starts.tolist()}
    return [w.second for w in windows if w.second not in there]


def _with_skipped(findings: Sequence[Finding], baseline: Baseline) -> tuple[Finding, ...]:
    """The findings, and one for every column that is left out because of its type, though nobody said so."""
    skipped = [
        Finding(
            start=WHOLE,
            segment=None,
            column=name,
            check="type",
            severity="not_enough_data",
            value=None,
            threshold=None,
            reason=f"Column '{name}' has type {kind}, which is not compared; "
            "store its parts as columns of plain types, or ignore it.",
        )
        for name, kind in baseline.skipped.items()
    ]
    if not skipped:
        return tuple(findings)
    well = [f for f in findings if f.severity == "ok"]
    return (*(f for f in findings if f.severity != "ok"), *skipped, *well)


def _windows(profile: Profile, merged: Part | None) -> tuple[WindowInfo, ...]:
    if profile.window is None:
        return (WindowInfo(None, None, "whole log", profile.rows, WHOLE),)
    if merged is None:
        return ()
    rows = {int(key[0]): int(n) for key, n in zip(merged.groups["window"], merged.group_rows["window"], strict=True)}
    starts = sorted(s for s in rows if s > UNTIMED)
    if not starts:
        return ()
    interval, zone = parse_window(profile.window), zone_of(profile.timezone)
    if isinstance(interval, RowWindow):
        return tuple(
            WindowInfo(str(s), str(interval.end(s, profile.rows)), interval.label(s, profile.rows), rows[s], s)
            for s in starts
        )
    if interval.at_most(starts[0], starts[-1], zone) > _MOST_LISTED:
        ends = {s: int(interval.boundaries(s, s, zone)[-1]) for s in starts}
    else:
        ends = dict(pairwise(int(b) for b in interval.boundaries(starts[0], starts[-1], zone)))
    return tuple(
        WindowInfo(iso(start, zone), iso(end, zone), interval.label(start, zone), rows.get(start, 0), start)
        for start, end in ends.items()
    )


def _weight(baseline: Baseline, merged: Part | None) -> WeightInfo | None:
    """What the weights of both sides come to; None where rows have none."""
    weighting = baseline.weighting
    if weighting is None:
        return None
    numbers: list[float] = []
    rows: list[int] = []
    for part in (baseline.part, merged):
        sums = None if part is None else part.weights.get("window")
        total, squares = (0, 0) if sums is None else (int(sums.total.sum()), sum(sums.squares))
        numbers.append(weighting.in_units(total))
        rows.append(total * total // squares if squares else 0)
    return WeightInfo(weighting.column, numbers[0], rows[0], numbers[1], rows[1])


def _weight_notes(baseline: Baseline, profile: Profile, merged: Part | None) -> list[str]:
    """That rows are weighted, and what of it a reader must know."""
    weight = _weight(baseline, merged)
    if weight is None:
        return []
    notes = [
        f"Rows are weighted by column '{weight.column}': shares, distances, moments and quantiles are of the weighted "
        f"rows, and verdicts go by effective rows, {weight.effective_rows:,} of {profile.rows:,} (in the baseline "
        f"{weight.baseline_effective_rows:,} of {baseline.rows:,})."
    ]
    none = WeightSums.zeros(0)
    sums = none if merged is None else merged.weights.get("window", none)
    total, squares = int(sums.total.sum()), sum(sums.squares)
    if profile.rows and not total:
        notes.append("All weights of the log are 0, or too small beside the baseline's, so no row counts.")
    elif baseline.weighting is not None and baseline.weighting.bits and squares < _COARSE_MEAN * total:
        # The weighted mean of the weights: rows of weight 0 have no say in it.
        notes.append(
            f"The weights of the log are some {(total << MEAN_BITS) / squares:,.0f} times smaller than the baseline's, "
            f"so each is rounded to a multiple of {total / squares:.1%} of their size; fit the baseline on these."
        )
    return notes


def _notes(baseline: Baseline, profile: Profile, merged: Part | None) -> tuple[str, ...]:
    notes = [*baseline.notes, *profile.notes, *_weight_notes(baseline, profile, merged)]
    ignored = [name for name, role in baseline.roles.items() if role == "ignore"]
    if ignored:
        notes.append(f"Not compared, as told: {', '.join(ignored)}.")
    if not profile.rows:
        notes.append("The log has no rows.")
    if merged is None:
        return tuple(notes)
    if merged.new:
        notes.append(f"In the log but not in the baseline: {', '.join(merged.new)}.")
    types = {c.name: c.type for c in (*baseline.columns, *baseline.embeddings)}
    for column, kind in merged.incomparable.items():
        notes.append(
            f"Column '{column}' is {kind} in the log and {types[column]} in the baseline, which cannot be compared."
        )
    untimed = dict(zip(merged.groups.get("window", []), merged.group_rows.get("window", []), strict=True)).get(
        (UNTIMED,)
    )
    if untimed is not None and profile.window is not None:
        notes.append(f"{int(untimed):,} rows have no timestamp and belong to no window.")
    return tuple(notes)
