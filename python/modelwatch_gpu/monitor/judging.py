"""Judges one window of a monitor, and puts what it found into rows of the store.

A window is judged by itself: with the corrections for many tests over its own columns and segments, whichever other
windows changed in the same run. So its findings follow from its rows and the config alone.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter as Tally
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final, NamedTuple

from modelwatch_gpu.checks import Check, VerdictOptions
from modelwatch_gpu.checks.expectations import Expectations
from modelwatch_gpu.checks.finding import SEVERITIES
from modelwatch_gpu.checks.running import RunningEvidence
from modelwatch_gpu.measures.results import BASELINE
from modelwatch_gpu.monitor.config.model import MonitorConfig
from modelwatch_gpu.monitor.counts import Counter
from modelwatch_gpu.monitor.store.tables import OF_FILES
from modelwatch_gpu.profile.parts import Part
from modelwatch_gpu.report import Report
from modelwatch_gpu.report.judge import report_on
from modelwatch_gpu.report.rows import finding_row, measure_rows

#: Hexadecimal digits of ids that follow from content.
ID_DIGITS: Final = 32
#: ``json.dumps`` would make one for every text, and there are hundreds in a window.
_CANONICAL: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)

Row = dict[str, Any]


class Judged(NamedTuple):
    """What a run found in one window. ``measures``, ``findings``: rows of the store's tables, without ``run_id`` and
    ``report``. ``severity``: of the worst finding, None where there is none."""

    window_start: int
    rows: int
    measures: tuple[Row, ...]
    findings: tuple[Row, ...]
    severity: str | None
    report: Report


class Judge:
    """Judges windows as the config says."""

    def __init__(self, config: MonitorConfig, counter: Counter) -> None:
        self._counter, self._consecutive = counter, config.consecutive
        self._checks: tuple[Check, ...] | None = None if config.checks is None else config.rules()
        self._options = VerdictOptions.of(
            config.units, config.correction, anytime=config.anytime, hierarchy=config.hierarchy
        )
        self._expectations = counter.expected
        if config.expectations == "auto":
            self._expectations = Expectations.infer(counter.baseline)

    def judge(
        self, start: int, state: Part, before: Part | None = None, running: RunningEvidence | None = None
    ) -> Judged:
        """Judges a window. ``before``: the state of the window before it, where windows are compared with those.
        ``running``: what all windows before it have shown, with ``anytime``."""
        parts = [state] if before is None else [before, state]
        report = report_on(
            self._counter.baseline,
            self._counter.profile_of(parts),
            checks=self._checks,
            options=self._options if running is None else replace(self._options, running=running),
            consecutive=self._consecutive and before is not None,
            expectations=self._expectations,
            device=self._counter.plan.spec.device,
        )
        window = report.iso_of(start)
        own = [f for f in report.findings if f.start == start or before is None]
        findings = list(_identified(start, (finding_row(report, f) for f in own)))
        measures = (row for row in measure_rows(report) if row["window"] == window and row["segment"] is None)
        return Judged(
            window_start=start,
            rows=state.rows,
            measures=tuple(_measure(start, row) for row in measures),
            findings=tuple(_finding(start, window, identity, row) for identity, row in findings),
            severity=min((row["severity"] for _, row in findings), key=SEVERITIES.index, default=None),
            report=report,
        )


def canonical(value: Any) -> str:
    """JSON with sorted keys and no spaces: equal values, equal text."""
    return _CANONICAL.encode(value)


def identity(*fields: Any) -> str:
    """An id that follows from the fields."""
    return hashlib.sha256(canonical(fields).encode()).hexdigest()[:ID_DIGITS]


def _identified(start: int, rows: Iterable[Row]) -> Iterator[tuple[str, Row]]:
    """Each finding with its id; several of one check on one column (for other thresholds) are numbered."""
    seen: Tally[tuple[str, ...]] = Tally()
    for row in rows:
        key = tuple(canonical(row[name]) for name in ("segment", "column", "check", "compared_with"))
        yield identity("finding", start, *key, seen[key]), row
        seen[key] += 1


def _segment(segment: Mapping[str, Any] | None) -> str | None:
    return None if segment is None else canonical(segment)


def _measure(start: int, row: Row) -> Row:
    key = (row["segment"], row["column"], row["measure"], row["compared_with"])
    return {
        "id": identity("measure", start, *key),
        "window_start": start,
        **{
            name: row[name] for name in ("window", "column", "measure", "compared_with", "value", "lower", "upper", "n")
        },
        "segment": _segment(row["segment"]),
    }


def _finding(start: int, window: str | None, own: str, row: Row) -> Row:
    same = ("column", "check", "compared_with", "severity", "value", "threshold", "p_value", "e_value", "n", "reason")
    # How sure: what the effect can be, where that was worked out, else the bounds of the measure itself.
    lower = row["interval_lower"] if row["interval_lower"] is not None else row["lower"]
    upper = row["interval_upper"] if row["interval_upper"] is not None else row["upper"]
    return {
        "id": own,
        "window_start": start,
        "window": window,
        **{name: row[name] for name in same},
        "lower": lower,
        "upper": upper,
        "segment": _segment(row["segment"]),
    }


def file_findings(wrong: Mapping[str, tuple[str, str]]) -> tuple[Row, ...]:
    """A finding for each file that is not counted as it should be: path -> (its state, why)."""
    return tuple(
        {
            "id": identity("file", path),
            "window_start": OF_FILES,
            "window": None,
            "segment": None,
            "column": path,
            "check": "readable" if state == "unreadable" else "in_time",
            "compared_with": BASELINE,
            "severity": "warning",
            **dict.fromkeys(("value", "threshold", "p_value", "e_value", "lower", "upper")),
            "n": 0,
            "reason": why,
        }
        for path, (state, why) in sorted(wrong.items())
    )
