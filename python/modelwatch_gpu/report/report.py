"""The report: windows, measures, findings, and their forms (JSON, Arrow, pandas, HTML)."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from modelwatch_gpu.checks.check import Check
from modelwatch_gpu.checks.finding import SEVERITIES, Finding
from modelwatch_gpu.checks.hierarchy import Node, tree
from modelwatch_gpu.checks.history import Anomaly, anomalies
from modelwatch_gpu.checks.listed import Findings
from modelwatch_gpu.errors import AlertError, InputError
from modelwatch_gpu.log.joining import JoinedLabels
from modelwatch_gpu.log.windows import RowWindow, iso, parse_window, zone_of
from modelwatch_gpu.measures.answer_tables import AnswerTables
from modelwatch_gpu.measures.registry import MEASURES
from modelwatch_gpu.measures.results import BASELINE, Result, Results, segment_dict
from modelwatch_gpu.profile.baseline import Baseline
from modelwatch_gpu.profile.fileio import write_file
from modelwatch_gpu.profile.parts import WHOLE
from modelwatch_gpu.report import rows
from modelwatch_gpu.report.advice import next_steps
from modelwatch_gpu.report.rows import SCHEMA_VERSION
from modelwatch_gpu.report.tables import Tables, tables_of

__all__ = ["SCHEMA_VERSION", "Report", "Tables", "WeightInfo", "WindowInfo", "json_schema"]


def json_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of what ``Report.to_json`` writes."""
    text = (resources.files("modelwatch_gpu") / "report" / "report.schema.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


@dataclass(frozen=True)
class WindowInfo:
    """``start``, ``end``: ISO 8601 in the log's time zone, None for the whole log; ``second``: start as epoch
    seconds."""

    start: str | None
    end: str | None
    label: str
    rows: int
    second: int


@dataclass(frozen=True)
class WeightInfo:
    """The weights of rows, from ``column``: their sums in the log's own units, and Kish's effective rows
    (SUM w)^2 / SUM w^2 rounded down, of the baseline and of the log."""

    column: str
    baseline_sum: float
    baseline_effective_rows: int
    sum: float
    effective_rows: int


@dataclass(frozen=True)
class LabelInfo:
    """Late labels and what came of them: the fields of ``LabelCounts`` and ``JoinCounts`` that a reader needs."""

    ids: int
    events: int
    corrected: int
    conflicting: int
    rows: int
    joined: int
    replaced: int
    labelled: int
    orphans: int
    shared: int

    @classmethod
    def of(cls, joining: JoinedLabels) -> LabelInfo:
        """Once the log has been read."""
        held, done = joining.labels.counts, joining.counts
        return cls(
            ids=held.ids,
            events=held.events,
            corrected=held.corrected,
            conflicting=held.conflicting,
            rows=done.rows,
            joined=done.joined,
            replaced=done.replaced,
            labelled=done.labelled,
            orphans=done.orphans,
            shared=done.shared,
        )


@dataclass(frozen=True, eq=False)
class Report:
    """All findings of one run, worst first.

    ``findings``, and ``results``, which are every measure: sequences that make a ``Finding`` or a ``Result`` when they
    are asked for one. ``left_out``: how many findings of each severity are counted and not listed, because there are
    too many; the notes say so too. ``weight``: None where every row counts once. ``answers``: calibration curves,
    confusion tables, and segments beside one another. ``labels``: what came of late labels, None where there were none.
    """

    baseline: Baseline
    device: str
    isa: str
    library: str
    timezone: str
    window: str | None
    segments: tuple[tuple[str, ...], ...]
    rows: int
    windows: tuple[WindowInfo, ...]
    results: Results
    findings: Sequence[Finding]
    checks: tuple[Check, ...]
    notes: tuple[str, ...]
    left_out: Mapping[str, int] = field(default_factory=dict)
    weight: WeightInfo | None = None
    answers: AnswerTables = field(default_factory=AnswerTables)
    labels: LabelInfo | None = None

    @property
    def ok(self) -> bool:
        """Whether there is no alert."""
        return not Findings.of(self.findings).counts()["alert"]

    @property
    def counts(self) -> dict[str, int]:
        """Findings by severity, worst first, those that are not listed included."""
        listed = Findings.of(self.findings).counts()
        return {s: listed[s] + self.left_out.get(s, 0) for s in SEVERITIES}

    @property
    def next_steps(self) -> list[str]:
        """What to do about the latest window, in sentences, the most urgent first."""
        return next_steps(self)

    def worst(self, count: int = 10) -> list[Finding]:
        """The findings that ask for attention, worst first, at most ``count``."""
        listed = Findings.of(self.findings).counts()
        return [self.findings[at] for at in range(listed["alert"] + listed["warning"])[:count]]

    def raise_on_alert(self, level: str = "alert") -> None:
        """Raises AlertError if there is a finding at ``level`` ("alert" or "warning") or worse."""
        if level not in ("alert", "warning"):
            raise InputError(f"level must be 'alert' or 'warning', not '{level}'.")
        listed = Findings.of(self.findings).counts()
        bad = sum(listed[severity] for severity in SEVERITIES[: SEVERITIES.index(level) + 1])
        if bad:
            worst = self.findings[0]
            raise AlertError(f"{bad} findings at {level} or worse; the worst is {worst.column}: {worst.reason}")

    def history(self, column: str, measure: str) -> list[float | None]:
        """A measure of a column against the baseline, in every window of the report; None where it has no number."""
        found = {
            r.start: r.values[measure].value
            for block in self.results.blocks
            if block.column.name == column and block.place.segments is None and block.compared_with == BASELINE
            for r in map(block.row, range(len(block)))
            if measure in r.values
        }
        if column not in self.baseline.by_name:
            raise InputError(
                f"There is no column '{column}' in the report; there are {', '.join(self.baseline.by_name)}."
            )
        if measure not in MEASURES:
            raise InputError(f"There is no measure '{measure}'; there are {', '.join(MEASURES)}.")
        return [found.get(w.second) for w in self.windows]

    def hierarchy(self, window: WindowInfo | None = None, *, groups: Mapping[str, str] | None = None) -> Node:
        """The findings of one window as a tree: table, group, column, segment.

        ``window``: one of ``windows``; the latest by default. ``groups``: column -> name of its group; by default its
        role.
        """
        start = WHOLE if not self.windows else (window or self.windows[-1]).second
        found = [f for f in self.findings if f.start == start and f.compared_with == BASELINE]
        return tree(found, self.baseline.roles if groups is None else groups)

    def anomalies(
        self, column: str, measure: str, *, method: str = "robust_z", **options: Any
    ) -> list[tuple[WindowInfo, Anomaly]]:
        """Windows in which a measure leaves what its own history lets one expect, oldest first.

        ``method``: "robust_z", or "holt_winters" and "change_point" (the extra ``history``); ``options``: of it, see
        ``checks.history``. At least 8 windows must have passed.
        """
        found = anomalies([np.nan if v is None else v for v in self.history(column, measure)], method=method, **options)
        return [(self.windows[a.at], a) for a in found]

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON values: see ``to_json``."""
        sections = rows.sections_of(self)
        return {key: list(value) if isinstance(value, Iterator) else value for key, value in sections.items()}

    def to_json(self, path: str | os.PathLike[str] | None = None, *, indent: int | None = None) -> str:
        """The report as one JSON object (RFC 8259: no NaN, no infinity); also written to ``path`` where given.

        ``write_json`` does not hold the whole text.
        """
        if path is None:
            return "".join(self.json_chunks(indent=indent))
        self.write_json(path, indent=indent)
        return Path(path).read_text(encoding="utf-8")

    def write_json(self, path: str | os.PathLike[str], *, indent: int | None = None) -> None:
        """Writes what ``to_json`` returns piece by piece; raises OutputError and leaves an old file as it was where
        that fails."""
        write_file(path, (chunk.encode() for chunk in self.json_chunks(indent=indent)))

    def json_chunks(self, *, indent: int | None = None) -> Iterator[str]:
        """The text of ``to_json`` in pieces."""
        return rows.json_chunks(self, indent=indent)

    def to_arrow(self) -> Tables:
        """Four pyarrow tables: ``profile`` (a row per window, segment, column), ``drift`` (every measure of drift of it
        against the baseline and, where asked for, the window before, with bounds), ``findings``, ``performance`` (a row
        per measure that needs labels). Their schemas are the same for every report."""
        return tables_of(self)

    def to_pandas(self) -> Tables:
        """The tables of ``to_arrow`` as pandas DataFrames (needs pandas)."""
        return Tables(*(table.to_pandas() for table in self.to_arrow()))

    def to_html(self, path: str | os.PathLike[str] | None = None, *, title: str = "Drift report") -> str:
        """The report as one HTML file that needs no network; also written to ``path`` where given."""
        from modelwatch_gpu.report.html import render_html
        from modelwatch_gpu.report.view import view_of

        page = render_html(view_of(self, title=title))
        if path is not None:
            write_file(path, page.encode())
        return page

    def _repr_html_(self) -> str:
        from modelwatch_gpu.report.table import short_html

        return short_html(self)

    def __repr__(self) -> str:
        counts = ", ".join(f"{count} {severity}" for severity, count in self.counts.items())
        return f"Report({self.rows:,} rows, {len(self.windows)} windows: {counts})"

    def iso_of(self, start: int) -> str | None:
        """A window's start as text: ISO 8601, or the number of its first row; None for the whole log."""
        if start <= WHOLE + 1:
            return None
        in_rows = self.window is not None and isinstance(parse_window(self.window), RowWindow)
        return str(start) if in_rows else iso(start, zone_of(self.timezone))

    def segment_of(self, found: Finding | Result) -> dict[str, str | None] | None:
        """The segment of a finding or result as {column: value}, None for all rows of the window."""
        return segment_dict(found.by, found.segment)

    def baseline_span(self, end: int) -> str | None:
        """First (0) or last (1) timestamp of the baseline, ISO 8601; None where no column says when."""
        span = self.baseline.part.span
        return iso(span[end], zone_of(self.timezone)) if span else None
