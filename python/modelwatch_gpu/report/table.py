"""The report in a terminal and in a notebook cell: worst first, each with its reason."""

from __future__ import annotations

import html
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from modelwatch_gpu.checks.expected import TABLE
from modelwatch_gpu.checks.finding import Finding
from modelwatch_gpu.measures.results import BASELINE
from modelwatch_gpu.report.answer_view import performance_view
from modelwatch_gpu.report.printable import printable
from modelwatch_gpu.report.report import Report

STYLES: Final = {"alert": "bold red", "warning": "yellow", "not_enough_data": "dim", "ok": "green"}
SHOWN_ROWS: Final = 20
PERFORMANCE_ROWS: Final = 24
#: Terminals narrower than this get the window of a reason in its sentence instead of columns of their own.
WIDE: Final = 110
#: Terminals narrower than this get a line of facts above each reason instead of a table.
NARROW: Final = 60


@dataclass(frozen=True)
class Changed:
    """A column (in a segment, where there is one) that asks for attention: its worst finding, in how many windows, and
    the window since which it has without a break (None where the last window is fine)."""

    worst: Finding
    windows: int
    since: str | None


def headline(report: Report) -> str:
    """A sentence or two: how many columns changed, whether that asks for attention, and what is off of the log."""
    if not report.rows:
        return "The log has no rows, so nothing was compared."
    off = {f.check for f in report.findings if f.column == TABLE and f.severity in ("alert", "warning")}
    about = [f"{len(off)} {'check' if len(off) == 1 else 'checks'} of the log itself did not hold."] if off else []
    return " ".join([_of_columns(report), *about])


def _of_columns(report: Report) -> str:
    of_columns = [f for f in report.findings if f.column != TABLE]
    judged = {f.column for f in of_columns if f.check != "type"}
    changed = {f.column for f in of_columns if f.severity in ("alert", "warning")}
    alerts = {f.column for f in of_columns if f.severity == "alert"}
    if not judged:
        return "No check fits any column, so nothing was judged."
    if not changed:
        if all(f.severity == "not_enough_data" for f in of_columns):
            return "There was not enough data to judge any column."
        return "The column did not change." if len(judged) == 1 else f"None of {len(judged)} columns changed."
    if len(judged) == 1:
        return f"The column changed, {'beyond' if alerts else 'but not beyond'} the alert threshold."
    how_far = "none" if not alerts else "all" if alerts == changed and len(changed) > 1 else str(len(alerts))
    if len(changed) == 1:
        return f"1 of {len(judged)} columns changed, {'beyond' if alerts else 'but not beyond'} the alert threshold."
    return f"{len(changed)} of {len(judged)} columns changed, {how_far} of them beyond the alert threshold."


def column_label(finding: Finding) -> str:
    """The column of a finding as a person reads it; what is about the log as a whole has none."""
    return "(the log)" if finding.column == TABLE else finding.column


def window_label(report: Report, finding: Finding) -> str:
    """The window of a finding as a person reads it."""
    labels = {w.second: w.label for w in report.windows}
    return labels.get(finding.start, "whole log")


def segment_label(report: Report, finding: Finding) -> str:
    """``carrier = UA``, or nothing."""
    segment = report.segment_of(finding)
    return " & ".join(f"{k} = {'null' if v is None else v}" for k, v in segment.items()) if segment else ""


def since_labels(report: Report) -> dict[str, str]:
    """Column -> label of the window since which it has asked for attention without a break, up to the last window."""
    return {c.worst.column: c.since for c in changes(report) if c.worst.segment is None and c.since is not None}


def changes(report: Report) -> list[Changed]:
    """Every column and segment with a warning or an alert, once, worst first; of the log as a whole every check."""
    worst: dict[tuple[object, ...], Finding] = {}
    starts: dict[tuple[object, ...], set[int]] = {}
    for f in report.findings:
        if f.severity in ("alert", "warning"):
            of = (f.column, f.by, f.segment, f.check if f.column == TABLE else None)
            worst.setdefault(of, f)
            starts.setdefault(of, set()).add(f.start)
    out = []
    for key, f in worst.items():
        since = None
        for w in reversed(report.windows):
            if w.second not in starts[key]:
                break
            since = w.label
        out.append(Changed(f, len(starts[key]), since))
    return out


class ReportTable:
    """A Rich renderable of the report: headline, one row per column at its worst, notes.

    What is shown depends on the width: at ``WIDE`` every column of the table, below that the essential ones.
    """

    def __init__(self, report: Report, *, rows: int = SHOWN_ROWS) -> None:
        self.report = report
        self.rows = rows

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        report = self.report
        yield Text(headline(report), style="bold")
        found = changes(report)
        if found:
            yield Text()
            shown = found[: self.rows]
            yield self._table(shown, options.max_width) if options.max_width >= NARROW else self._list(shown)
            if len(found) > self.rows:
                yield Text(f"... and {len(found) - self.rows} more; --html or --json has all of them.", style="dim")
        performed = performance_table(report, options.max_width)
        if performed is not None:
            yield Text()
            yield performed
        if report.rows and found:
            yield Text()
            yield Text("What to do next", style="bold")
            for step in report.next_steps:
                yield Text(f"- {printable(step)}")
        yield Text()
        thin = report.counts["not_enough_data"]
        for line in (
            *([f"{thin:,} {'check' if thin == 1 else 'checks'} had not enough data for a verdict."] if thin else []),
            *report.notes,
            f"{report.rows:,} rows on {report.device} ({report.isa}), time zone {report.timezone}.",
        ):
            yield Text(printable(line), style="dim")

    def _facts(self, c: Changed) -> list[str]:
        """(window of the worst finding, how many windows, since when), nothing for a log without windows."""
        report = self.report
        if len(report.windows) < 2:
            return ["", "", ""]
        return [window_label(report, c.worst), f"{c.windows} of {len(report.windows)}", c.since or "-"]

    def _table(self, shown: Iterable[Changed], width: int) -> Table:
        report = self.report
        many, wide = len(report.windows) > 1, width >= WIDE
        table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
        table.add_column("Column", no_wrap=True, max_width=max(12, width // 4))
        if report.segments:
            table.add_column("Segment", overflow="fold", max_width=width // 5)
        table.add_column("Severity", no_wrap=True)
        if many:
            if wide:
                table.add_column("Windows", no_wrap=True, justify="right")
            table.add_column("Since", no_wrap=True)
            if wide:
                table.add_column("Worst in", no_wrap=True)
        table.add_column("Reason", overflow="fold")
        for c in shown:
            at, windows, since = self._facts(c)
            cells = [Text(printable(column_label(c.worst)))]
            if report.segments:
                cells.append(Text(printable(segment_label(report, c.worst)) or "all rows"))
            cells.append(Text(c.worst.severity, style=STYLES[c.worst.severity]))
            if many:
                cells += [Text(windows), Text(since), Text(at)] if wide else [Text(since)]
            reason = printable(c.worst.reason)
            cells.append(Text(reason if wide or not many else f"{at}: {reason}"))
            table.add_row(*cells)
        return table

    def _list(self, shown: Iterable[Changed]) -> Text:
        lines = Text()
        for c in shown:
            at, windows, _ = self._facts(c)
            lines.append(printable(column_label(c.worst)), style="bold").append("  ")
            lines.append(c.worst.severity, style=STYLES[c.worst.severity])
            where = [printable(segment_label(self.report, c.worst)), f"in {windows} windows" if windows else ""]
            lines.append("".join(f", {w}" for w in where if w))
            lines.append(f"\n{at + ': ' if at else ''}{printable(c.worst.reason)}\n")
        lines.rstrip()
        return lines


def performance_table(report: Report, width: int) -> Table | None:
    """The most telling measures that need labels: the baseline's number, the latest, and the worst; None where there
    is none."""
    results = {
        block.column.name: {r.start: r for r in map(block.result, range(len(block)))}
        for block in report.results.blocks
        if block.place.segments is None and block.compared_with == BASELINE and block.reference
    }
    shown = [row for row in performance_view(report, results) if any(v is not None for v in row["values"])]
    if not shown:
        return None
    many = len(report.windows) > 1
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column("Performance", no_wrap=True, max_width=max(12, width // 4))
    table.add_column("Measure", no_wrap=True)
    table.add_column("Baseline", justify="right")
    last = max((i for row in shown for i, v in enumerate(row["values"]) if v is not None), default=0)
    table.add_column(report.windows[last].label if many else "Log", justify="right")
    if many and width >= NARROW:
        table.add_column("Worst", justify="right")
        table.add_column("in", no_wrap=True)
    before = None
    for row in shown[:PERFORMANCE_ROWS]:
        cells = ["" if row["column"] == before else row["column"], row["measure"], _number(row["baseline"])]
        before = row["column"]
        cells.append(_number(row["values"][last]))
        if many and width >= NARROW:
            known = [(v, i) for i, v in enumerate(row["values"]) if v is not None]
            pick = {"higher": min, "lower": max}.get(row["better"] or "")
            worst = pick(known) if pick is not None else None
            cells += [_number(worst[0]), report.windows[worst[1]].label] if worst else ["", ""]
        table.add_row(*(Text(printable(cell)) for cell in cells))
    return table


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def short_html(report: Report) -> str:
    """A small table for a notebook cell; everything from the data is escaped."""
    many = len(report.windows) > 1
    names = ["Column", *(["Segment"] if report.segments else []), "Severity"]
    names += ["Windows", "Since", "Worst in"] if many else []
    names.append("Reason")
    rows = []
    found = changes(report)
    for c in found[:SHOWN_ROWS]:
        segment = [segment_label(report, c.worst)] if report.segments else []
        cells = [column_label(c.worst), *segment, c.worst.severity]
        if many:
            cells += [f"{c.windows} of {len(report.windows)}", c.since or "-", window_label(report, c.worst)]
        cells.append(c.worst.reason)
        rows.append("<tr>" + "".join(f"<td style='text-align:left'>{html.escape(t)}</td>" for t in cells) + "</tr>")
    head = "".join(f"<th style='text-align:left'>{n}</th>" for n in names)
    body = f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>" if rows else ""
    more = f"<p>... and {len(found) - SHOWN_ROWS} more.</p>" if len(found) > SHOWN_ROWS else ""
    return f"<div><p><strong>{html.escape(headline(report))}</strong></p>{body}{more}</div>"
