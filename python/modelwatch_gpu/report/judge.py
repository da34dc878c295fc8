"""From a counted log to a report: measures, verdicts, notes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise

from modelwatch_gpu import _core
from modelwatch_gpu.checks import DEFAULT_CHECKS, Check, Finding, Sampling, VerdictOptions, judge_all
from modelwatch_gpu.checks.default import performance_checks
from modelwatch_gpu.checks.expectations import Expectations, judge_expectations
from modelwatch_gpu.checks.presets import PRESETS
from modelwatch_gpu.device import isa
from modelwatch_gpu.errors import InputError
from modelwatch_gpu.log.joining import JoinedLabels
from modelwatch_gpu.log.windows import RowWindow, iso, parse_window, zone_of
from modelwatch_gpu.measures.answer_tables import AnswerTables, answer_tables
from modelwatch_gpu.measures.evaluate import Results, evaluate
from modelwatch_gpu.measures.quality import seen_windows
from modelwatch_gpu.plain import type_text
from modelwatch_gpu.profile import Baseline, Profile
from modelwatch_gpu.profile.fit import named
from modelwatch_gpu.profile.parts import UNTIMED, WHOLE, Part
from modelwatch_gpu.profile.weights import MEAN_BITS, WeightSums
from modelwatch_gpu.report.report import LabelInfo, Report, WeightInfo, WindowInfo

#: Windows without rows between two that have some are listed while there are at most so many windows.
_MOST_LISTED = 10_000
#: Where stored weights of a log are below this on average, their rounding is worth a note.
_COARSE_MEAN = 1 << 8


def report_on(
    baseline: Baseline,
    profile: Profile,
    *,
    checks: Sequence[Check] | None,
    options: VerdictOptions,
    consecutive: bool = False,
    expectations: Expectations | None = None,
    as_of: datetime | str | None = None,
    preset: str | None = None,
    device: str = "cpu",
    joining: JoinedLabels | None = None,
) -> Report:
    """Every measure and finding of a log that was counted against this baseline.

    Args:
        baseline: What the profile was counted against.
        profile: The counted log.
        checks: Thresholds; None: the default ones, and how right answers are where the log has labels.
        options: How sure a verdict has to be.
        consecutive, expectations, as_of, preset: As for ``compare``.
        device: What counted the rows, which the report says.
        joining: Late labels and what came of them, None where there were none.
    """
    merged = profile.merged()
    results = evaluate(baseline, profile, merged, consecutive=consecutive) if merged else Results()
    used = tuple(DEFAULT_CHECKS if checks is None else checks)
    if checks is None:
        used += performance_checks(baseline.scoring, results)
    answers = answer_tables(baseline, profile, merged) if merged else AnswerTables()
    windows = _windows(profile, merged)
    sampling = Sampling.of(baseline, merged, profile, options) if merged is not None else None
    judged = judge_all(
        used,
        results,
        columns=baseline.reported,
        windows_without_rows=_without_rows(windows, results),
        sampling=sampling,
    )
    findings = judged.findings.and_more(_of_skipped(baseline))
    notes = [
        *_notes(baseline, profile, merged),
        *_label_notes(joining),
        *(sampling.notes if sampling is not None else ()),
        *judged.notes,
        *_idle_checks(baseline, checks or ()),
    ]
    if preset is not None:
        theirs = PRESETS[preset](baseline, seen_windows(baseline, profile, merged, results))
        findings = findings.and_more(theirs)
    if expectations is not None:
        seen = seen_windows(baseline, profile, merged, results)
        held = judge_expectations(expectations, baseline, seen, as_of=_second_of(as_of, profile.timezone))
        findings = findings.and_more(held.findings)
        notes += [*expectations.notes, *held.notes]
    return Report(
        baseline=baseline,
        device=device,
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
        weight=_weight(baseline, merged),
        answers=answers,
        labels=None if joining is None else LabelInfo.of(joining),
    )


def _idle_checks(baseline: Baseline, checks: Sequence[Check]) -> list[str]:
    """Checks of one's own that judge nothing: a misspelt name must not pass for a column that is well."""
    return [
        f"The check of {check.measure} for {', '.join(named(check.columns))} fits no column of the baseline, so it "
        "judges nothing."
        for check in checks
        if not any(map(check.applies_to, baseline.reported))
    ]


def _label_notes(joining: JoinedLabels | None) -> list[str]:
    """What came of late labels, in sentences."""
    if joining is None:
        return []
    info = LabelInfo.of(joining)
    notes = [
        f"Of {info.ids:,} ids with a late label, {info.ids - info.orphans:,} have a row in the log: {info.joined:,} "
        f"rows got one, and {info.labelled:,} of {info.rows:,} rows are labelled."
    ]
    if info.orphans and info.orphans == info.ids and info.rows:
        notes.append(
            "No late label found its row; compare the ids of both: the number 5 and the text '5' are different ids."
        )
    elif info.orphans:
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


def _second_of(as_of: datetime | str | None, timezone: str) -> int | None:
    """A time as epoch seconds; without a zone it is of the log's."""
    if as_of is None:
        return None
    try:
        when = as_of if isinstance(as_of, datetime) else datetime.fromisoformat(as_of)
    except (TypeError, ValueError):
        raise InputError(f"as_of is {as_of!r}; give a time in ISO 8601, such as '2024-05-01T06:00'.") from None
    return int((when if when.tzinfo is not None else when.replace(tzinfo=zone_of(timezone))).timestamp())


def _without_rows(windows: Sequence[WindowInfo], results: Results) -> list[int]:
    """Starts of the windows that have no rows at all."""
    there = {s for block in results.blocks if block.place.segments is None for s in block.place.starts.tolist()}
    return [w.second for w in windows if w.second not in there]


def _of_skipped(baseline: Baseline) -> list[Finding]:
    """One for every column that is left out because of its type, though nobody said so."""
    return [
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
            f"Column '{column}' is {type_text(kind)} in the log and {type_text(types[column])} in the baseline, which "
            "cannot be compared."
        )
    untimed = dict(zip(merged.groups.get("window", []), merged.group_rows.get("window", []), strict=True)).get(
        (UNTIMED,)
    )
    if untimed is not None and profile.window is not None:
        notes.append(f"{int(untimed):,} rows have no timestamp and belong to no window.")
    return tuple(notes)
