"""What to do next, in a few sentences: from what a report found to what a person can do about it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from modelwatch_gpu.checks.expected import TABLE
from modelwatch_gpu.checks.finding import Finding
from modelwatch_gpu.checks.listed import Findings
from modelwatch_gpu.measures.registry import MEASURES, PERFORMANCE

if TYPE_CHECKING:
    from modelwatch_gpu.report.report import Report

#: Names in a sentence; beyond, how many more there are.
_NAMED: Final = 3
#: Checks of how a column is filled, not of what its values are.
_FILLED: Final = ("missing", "missing_change", "nan", "unseen")
#: Roles of what a model makes of its features.
_ANSWERS: Final = ("score", "prediction")


def next_steps(report: Report) -> list[str]:
    """Sentences, the most urgent first; of the latest window only, since earlier ones can no longer be helped."""
    if not report.windows or not report.rows:
        return ["Compare a log that has rows."]
    latest = max(w.second for w in report.windows)
    now = [f for f in Findings.of(report.findings).of_windows() if f.start == latest]
    off = [f for f in now if f.severity in ("alert", "warning")]
    whole, off = [f for f in off if f.column == TABLE], [f for f in off if f.column != TABLE]
    out = [
        *(*_broken(off), *_written(whole), *_worse(report, off), *_filled(off)),
        *(*_moved(report, off), *_where(report, latest), *_open(now)),
    ]
    if not out:
        return ["Nothing. Compare again when the next window is complete."]
    return out


def _broken(off: Iterable[Finding]) -> list[str]:
    gone = list(dict.fromkeys(f.column for f in off if f.check == "present"))
    are = "is" if len(gone) == 1 else "are"
    return (
        [f"Repair the log before anything else: {_listed(gone)} {are} not in all of it, or of another type."]
        if gone
        else []
    )


def _written(whole: Sequence[Finding]) -> list[str]:
    checks = list(dict.fromkeys(f.check.replace("_", " ") for f in whole))
    return [f"Look at how the log is written: {_listed(checks)}."] if checks else []


def _of_labels(f: Finding) -> bool:
    """Whether a finding is of answers held against labels."""
    info = MEASURES.get(f.check)
    return info is not None and (info.of or info.id) in PERFORMANCE


def _worse(report: Report, off: Iterable[Finding]) -> list[str]:
    """Labels say that the model does worse: that is no guess any more."""
    off = list(off)
    worse = [f for f in off if _of_labels(f) and MEASURES[f.check].better is not None]
    if not worse:
        return []
    first = _worst_of(worse)
    moved = [f for f in off if not _of_labels(f) and report.baseline.roles.get(f.column) == "feature"]
    cause = f", and look at {_names(moved)}, which moved too" if moved else ""
    return [
        f"Retrain the model on recent rows, or go back to one that did better: labels say that it does worse "
        f"({first.check} of {first.column}){cause}."
    ]


def _worst_of(found: Sequence[Finding]) -> Finding:
    """The most severe one, and of those the furthest beyond its threshold."""
    return max(found, key=lambda f: (f.severity == "alert", f.excess))


def _filled(off: Iterable[Finding]) -> list[str]:
    out = []
    if names := _names(f for f in off if f.check in ("missing", "missing_change", "nan")):
        out.append(f"Ask where {names} comes from: values are missing that were there, which no retraining repairs.")
    if names := _names(f for f in off if f.check == "unseen"):
        out.append(f"Look at the new values of {names}: the model has never seen them, so add them or map them.")
    return out


def _moved(report: Report, off: Iterable[Finding]) -> list[str]:
    off = list(off)
    known = any(_of_labels(f) for f in off)  # then nothing has to be found out
    moved = [f for f in off if f.check not in (*_FILLED, "present", "type") and not _of_labels(f)]
    if not moved:
        return []
    roles = report.baseline.roles
    answers = [f for f in moved if roles.get(f.column) in _ANSWERS]
    labels = [f for f in moved if roles.get(f.column) == "label"]
    features = [f for f in moved if roles.get(f.column) not in (*_ANSWERS, "label")]
    out = []
    if labels:
        out.append(
            f"Check how well the model still does: {_names(labels)} itself has moved, so thresholds and calibration "
            "may no longer fit."
        )
    if answers and not known:
        cause = f", most likely by way of {_names(features)}" if features else ""
        out.append(
            f"Compare recent answers with labels before trusting them: {_names(answers)} has moved{cause}; "
            "retrain if the model does worse."
        )
    elif features and not known:
        judged = {roles.get(c.name) for c in report.baseline.columns}
        calm = " The model's answers have not moved, so there is no hurry." if judged & set(_ANSWERS) else ""
        out.append(f"Find out whether the world or the pipeline moved {_names(features)}.{calm}")
    return out


def _where(report: Report, latest: int) -> list[str]:
    worst = next(
        (f for f in report.findings if f.segment is not None and f.severity == "alert" and f.start == latest), None
    )
    if worst is None:
        return []
    segment = report.segment_of(worst) or {}
    place = " and ".join(f"{name} = {'null' if value is None else value}" for name, value in segment.items())
    return [f"Begin where it is worst: {worst.column} in {place}."]


def _open(now: Iterable[Finding]) -> list[str]:
    thin = [f for f in now if f.severity == "not_enough_data" and f.value is not None]
    if not thin:
        return []
    what = f"{len(thin)} {'verdict is' if len(thin) == 1 else 'verdicts are'} open ({_names(thin)})"
    few = any(f.no_interval == "few_units" for f in thin)
    how = "Fit the baseline on more days" if few else "Wait for more days, or judge longer windows"
    return [f"{how}: {what}."]


def _names(findings: Iterable[Finding]) -> str:
    """Columns of findings in a sentence, each once; empty where there are none."""
    return _listed(list(dict.fromkeys(f.column for f in findings)))


def _listed(names: Sequence[str]) -> str:
    if len(names) > _NAMED:
        return f"{', '.join(names[:_NAMED])} and {len(names) - _NAMED} more"
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))
