"""Two versions of a model on the same windows: is the new one worse, better, or is it too early to say?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from modelwatch_gpu.checks.check import DEFAULT_CHECKS
from modelwatch_gpu.checks.finding import Finding
from modelwatch_gpu.checks.intervals import CONFIDENCE
from modelwatch_gpu.checks.judging import judge_all
from modelwatch_gpu.checks.sampling import VerdictOptions
from modelwatch_gpu.errors import InputError
from modelwatch_gpu.log.windows import Window, iso, parse_window, zone_of
from modelwatch_gpu.measures.evaluate import evaluate_part
from modelwatch_gpu.measures.registry import MEASURES
from modelwatch_gpu.monitor.versions.paired import Difference, Pair, Side
from modelwatch_gpu.monitor.versions.sides import count_sides, version_column
from modelwatch_gpu.profile import Baseline, Profile
from modelwatch_gpu.profile.parts import UNTIMED, WHOLE, Part

#: What a comparison can recommend, most urgent first.
RECOMMENDATIONS: Final = ("rollback", "wait", "promote", "not_enough_data")
#: What decides where nobody says: the first of these that has a number.
_DECIDING: Final = ("roc_auc", "accuracy", "roc_auc_macro", "rmse")


@dataclass(frozen=True)
class WindowDifference:
    """The differences of one window of both versions. ``start``, ``end``: ISO 8601, None for the whole log."""

    start: str | None
    end: str | None
    label: str
    rows: tuple[int, int]
    differences: tuple[Difference, ...]


@dataclass(frozen=True)
class VersionComparison:
    """``recommendation``: one of ``RECOMMENDATIONS``; ``reason``: why, in a sentence. ``differences``: over all windows
    that both versions have, those that decide first. ``margins``: measure -> by how much the candidate may be worse.
    ``windows``: the same window by window; they decide nothing. ``findings``: in what else the rows of both versions
    differ, inputs among it: where inputs differ the versions did not have the same task. ``notes``: what a reader
    must know."""

    current: str
    candidate: str
    recommendation: str
    reason: str
    differences: tuple[Difference, ...]
    windows: tuple[WindowDifference, ...]
    findings: tuple[Finding, ...]
    margins: Mapping[str, float]
    confidence: float
    rows: tuple[int, int]
    notes: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether no rollback is recommended."""
        return self.recommendation != "rollback"

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "current": self.current,
            "candidate": self.candidate,
            "recommendation": self.recommendation,
            "reason": self.reason,
            "confidence": self.confidence,
            "margins": dict(self.margins),
            "rows": list(self.rows),
            "differences": [_dict_of(d) for d in self.differences],
            "windows": [
                {
                    "start": w.start,
                    "end": w.end,
                    "label": w.label,
                    "rows": list(w.rows),
                    "differences": [_dict_of(d) for d in w.differences],
                }
                for w in self.windows
            ],
            "findings": [
                {"column": f.column, "check": f.check, "severity": f.severity, "value": f.value, "reason": f.reason}
                for f in self.findings
            ],
            "notes": list(self.notes),
        }


def _dict_of(found: Difference) -> dict[str, Any]:
    return {**asdict(found), "n": list(found.n)}


def compare_versions(
    baseline: Baseline,
    log: Any,
    *,
    current: str,
    candidate: str,
    column: str | None = None,
    candidate_log: Any = None,
    measures: Sequence[str] | Mapping[str, float] | None = None,
    margin: float = 0.0,
    window: str | None = None,
    timezone: str | None = None,
    units: str | None = "1d",
    threads: int = 0,
    device: str = "auto",
) -> VersionComparison:
    """Compares the answers of two versions in the windows that both have.

    Canary: every row of ``log`` was answered by one version, which ``column`` names. Shadow: every request was answered
    by both, and the candidate's answers are rows too, in the same log or in ``candidate_log``.

    Args:
        baseline: With a label; both versions are counted on its grid.
        log: Whatever a log can be, or the current version's Profile where ``candidate_log`` is one too.
        current, candidate: Values of ``column`` (as text); with ``candidate_log`` only names.
        column: Default: the column with the role version.
        candidate_log: The candidate's rows, where they are a log of their own.
        measures: What decides: ids of measures that need labels, or id -> margin. Default: roc_auc of scores, else
            accuracy of predicted classes, else rmse of predicted numbers. The chance of a false alarm is shared evenly
            among them (Bonferroni).
        margin: By how much the candidate may be worse, in the unit of the measure.
        window: Calendar windows such as "1d" or "1mo": only those in which both versions have rows are compared.
            Default: days, and all rows where no column says when.
        timezone: IANA name. Default: the baseline's.
        units: What is drawn again, for both versions at once: whole days ("1d") or several; "rows" takes rows as
            independent, and the versions' rows as other rows.
        threads, device: As for ``compare``.

    Returns:
        rollback: a measure is worse by more than its margin at the lower end of its interval. promote: none can be
        worse by more, at the upper ends. wait: neither. not_enough_data: no measure has an interval.

    Raises:
        InputError: Nothing can be held against labels, a version has no rows, or no window has both.
    """
    if baseline.scoring is None:
        raise InputError(
            "Versions are compared by their answers beside labels, and the baseline has no label with a score or a "
            "prediction; fit it with both, such as by Roles(label='...', score='...')."
        )
    if units is None:
        raise InputError("A recommendation needs intervals; give units='1d', or units='rows'.")
    unit = VerdictOptions.of(units, None).unit
    if window is None and "timestamp" in baseline.roles.values():
        window = "1d"
    profiles = _profiles(
        baseline, log, candidate_log, (current, candidate), column, window, timezone, threads=threads, device=device
    )
    merged = [profile.merged() for profile in profiles]
    for name, part in zip((current, candidate), merged, strict=True):
        if part is None:
            raise InputError(f"Version '{name}' has no rows.")
    parts = [part for part in merged if part is not None]
    zone = zone_of(profiles[0].timezone)
    starts = [s for s in _starts(parts[0]) if s in set(_starts(parts[1]))]
    if not starts:
        raise InputError(f"'{current}' and '{candidate}' have no window in which both have rows; choose a longer one.")
    length = None if profiles[0].window is None else parse_window(profiles[0].window)
    calendar = length if isinstance(length, Window) else None
    timed = unit if all("block" in part.groups for part in parts) else None
    sides = [Side(baseline, part, frozenset(starts), zone, calendar, timed) for part in parts]
    margins = _margins(sides, measures, margin)
    tail = (1 - CONFIDENCE) / 2 / len(margins)
    pairs = [(Pair(sides[0], sides[1], *of), allowed) for of, allowed in margins.items()]
    found = tuple(pair.over_all(tail, allowed) for pair, allowed in pairs)
    recommendation, reason = _recommended(current, candidate, found, list(margins.values()))
    return VersionComparison(
        current=current,
        candidate=candidate,
        recommendation=recommendation,
        reason=reason,
        differences=found,
        windows=() if calendar is None else tuple(_window(pairs, calendar, start, tail) for start in starts),
        findings=_apart(baseline, sides),
        margins={f"{measure} of {name}": allowed for (name, measure), allowed in margins.items()},
        confidence=CONFIDENCE,
        rows=(_rows(parts[0], starts), _rows(parts[1], starts)),
        notes=tuple(_notes(parts, starts, unit, timed)),
    )


def _window(pairs: Sequence[tuple[Pair, float]], calendar: Window, start: int, tail: float) -> WindowDifference:
    """Both versions in one window."""
    first, zone = pairs[0][0], pairs[0][0].current.zone
    return WindowDifference(
        iso(start, zone),
        iso(int(calendar.boundaries(start, start, zone)[-1]), zone),
        calendar.label(start, zone),
        (_rows(first.current.counted, [start]), _rows(first.candidate.counted, [start])),
        tuple(pair.of_window(start, tail, allowed) for pair, allowed in pairs),
    )


def _profiles(
    baseline: Baseline,
    log: Any,
    other: Any,
    names: tuple[str, str],
    column: str | None,
    window: str | None,
    timezone: str | None,
    *,
    threads: int,
    device: str,
) -> tuple[Profile, Profile]:
    if other is None:
        if isinstance(log, Profile):
            raise InputError("A profile has been counted already; give the candidate's as candidate_log=.")
        chosen = version_column(baseline, column)
        return count_sides(
            baseline, log, names, chosen, window=window, timezone=timezone, threads=threads, device=device
        )
    found = []
    for name, one in zip(names, (log, other), strict=True):
        if isinstance(one, Profile):
            if one.baseline != baseline.fingerprint:
                raise InputError(f"The profile of '{name}' was counted against another baseline; count it again.")
            one.check_fits(baseline)
            found.append(one)
        else:
            counted = Profile.count(baseline, one, window=window, timezone=timezone, threads=threads, device=device)
            found.append(counted)
    for what in ("window", "timezone"):
        ours, theirs = (getattr(profile, what) for profile in found)
        if ours != theirs:
            raise InputError(f"Both versions must be counted alike; their {what} differs ({ours} and {theirs}).")
    return found[0], found[1]


def _starts(part: Part) -> list[int]:
    """The windows in which a version has rows."""
    return sorted(int(key[0]) for key in part.groups["window"] if int(key[0]) != UNTIMED)


def _rows(part: Part, starts: Sequence[int]) -> int:
    wanted = set(starts)
    keys = part.groups["window"]
    return sum(int(n) for key, n in zip(keys, part.group_rows["window"], strict=True) if int(key[0]) in wanted)


def _margins(
    sides: Sequence[Side], measures: Sequence[str] | Mapping[str, float] | None, margin: float
) -> dict[tuple[str, str], float]:
    """(column, measure) -> by how much the candidate may be worse, of what decides."""
    there: dict[str, list[str]] = {}
    for name, own in sides[0].numbers.items():
        for measure in own:
            there.setdefault(measure, []).append(name)
    if measures is None:
        first = next((measure for measure in _DECIDING if measure in there), None)
        if first is None:
            raise InputError("Neither version has an answer beside a label in these windows; wait for labels.")
        measures = [first]
    asked = measures if isinstance(measures, Mapping) else dict.fromkeys(measures, margin)
    if not asked:
        raise InputError("measures= is empty; name what decides, such as ['roc_auc'].")
    out: dict[tuple[str, str], float] = {}
    for measure, allowed in asked.items():
        if not (isinstance(allowed, (int, float)) and math.isfinite(allowed) and allowed >= 0):
            raise InputError(f"The margin of {measure} is {allowed!r}; it must be a number from 0 on.")
        if measure not in MEASURES or measure not in there:
            raise InputError(
                f"There is no '{measure}' of these answers beside labels; there are {', '.join(sorted(there))}."
            )
        if MEASURES[measure].better is None:
            raise InputError(f"'{measure}' is neither better high nor better low, so it cannot decide.")
        out.update({(name, measure): float(allowed) for name in there[measure]})
    return out


def _recommended(
    current: str, candidate: str, found: Sequence[Difference], margins: Sequence[float]
) -> tuple[str, str]:
    """What to do, and why."""
    known = [
        (d, d.lower, d.upper, allowed)
        for d, allowed in zip(found, margins, strict=True)
        if d.lower is not None and d.upper is not None
    ]
    worse = [(d, low, high, m) for d, low, high, m in known if low > m]
    if worse:
        one, low, high, allowed = max(worse, key=lambda item: item[1] - item[3])
        return "rollback", (
            f"{_named(one)} of '{candidate}' is worse than that of '{current}' by {one.value:.4g} "
            f"(interval {low:.4g} to {high:.4g}), more than the {allowed:g} allowed."
        )
    if not known:
        return "not_enough_data", found[0].reason or "Nothing has an interval."
    if len(known) == len(found) and all(high <= m for _, _, high, m in known):
        one, _, high, allowed = max(known, key=lambda item: item[2] - item[3])
        return "promote", (
            f"'{candidate}' is worse than '{current}' by at most {high:.4g} in {_named(one)}, within the {allowed:g} "
            "allowed; so it is in everything that decides."
        )
    one, low, high, allowed = max(known, key=lambda item: item[2] - item[3])
    if high <= allowed:
        return "wait", next(d.reason for d in found if d.reason is not None)
    return "wait", (
        f"In {_named(one)} '{candidate}' may be worse than '{current}' by {low:.4g} to {high:.4g}, which lies on both "
        f"sides of the {allowed:g} allowed."
    )


def _named(found: Difference) -> str:
    return f"{MEASURES[found.measure].title} ({found.column})"


def _apart(baseline: Baseline, sides: Sequence[Side]) -> tuple[Finding, ...]:
    """What else is off between the rows of both versions: warnings and alerts, worst first."""
    results = evaluate_part(replace(baseline, part=sides[0].whole, embeddings=()), sides[1].whole)
    judged = judge_all(DEFAULT_CHECKS, results, columns=baseline.columns)
    return tuple(f for f in judged.findings if f.start == WHOLE and f.severity in ("alert", "warning"))


def _notes(parts: Sequence[Part], starts: Sequence[int], unit: Any, timed: Any) -> list[str]:
    notes = []
    for name, part in zip(("current", "candidate"), parts, strict=True):
        left = len(_starts(part)) - len(starts)
        if left:
            windows = f"{left} window{'' if left == 1 else 's'}"
            notes.append(f"{windows} of the {name} version are left out, because the other has no rows in them.")
    if unit is None:
        notes.append("Intervals take rows as independent, as asked: where rows of a day are alike, they are too short.")
    elif timed is None:
        notes.append(
            "No column says when, so intervals take rows as independent: where rows are alike in time, they are too "
            "short."
        )
    return notes
