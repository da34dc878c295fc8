"""The report in a terminal and in a notebook cell: worst first, each with its reason."""

from __future__ import annotations

import html
from typing import Final

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from modelwatch_gpu.checks.finding import Finding
from modelwatch_gpu.report.report import Report

STYLES: Final = {"alert": "bold red", "warning": "yellow", "not_enough_data": "dim", "ok": "green"}
SHOWN_ROWS: Final = 20


def headline(report: Report) -> str:
    """One sentence: how many columns changed, and whether that asks for attention."""
    judged = {f.column for f in report.findings}
    changed = {f.column for f in report.findings if f.severity in ("alert", "warning")}
    alerts = {f.column for f in report.findings if f.severity == "alert"}
    if not changed:
        return f"No change in any of {len(judged)} columns."
    return f"{len(changed)} of {len(judged)} columns changed, {len(alerts)} of them beyond the alert threshold."


def window_label(report: Report, finding: Finding) -> str:
    """The window of a finding as a person reads it."""
    labels = {w.second: w.label for w in report.windows}
    return labels.get(finding.start, "whole log")


def segment_label(report: Report, finding: Finding) -> str:
    """``carrier = UA``, or nothing."""
    segment = report.segment_of(finding.segment)
    return " & ".join(f"{k} = {'null' if v is None else v}" for k, v in segment.items()) if segment else ""


def since_labels(report: Report) -> dict[str, str]:
    """Column -> label of the window since which it has asked for attention without a break, up to the last window."""
    bad = {(f.column, f.start) for f in report.findings if f.severity in ("alert", "warning") and f.segment is None}
    out: dict[str, str] = {}
    for column in {c for c, _ in bad}:
        for w in reversed(report.windows):
            if (column, w.second) not in bad:
                break
            out[column] = w.label
    return out


class ReportTable:
    """A Rich renderable of the report: headline, one row per column at its worst, notes."""

    def __init__(self, report: Report, *, rows: int = SHOWN_ROWS) -> None:
        self.report = report
        self.rows = rows

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        report = self.report
        yield Text(headline(report), style="bold")
        worst: dict[tuple[str, object], Finding] = {}
        windows: dict[tuple[str, object], set[int]] = {}
        for f in report.findings:
            if f.severity not in ("alert", "warning"):
                continue
            key = (f.column, f.segment)
            worst.setdefault(key, f)
            windows.setdefault(key, set()).add(f.start)
        since = since_labels(report)
        many = len(report.windows) > 1
        if worst:
            table = Table(show_edge=False, pad_edge=False, header_style="bold", expand=False)
            table.add_column("Column", no_wrap=True)
            if report.segments:
                table.add_column("Segment")
            table.add_column("Severity", no_wrap=True)
            if many:
                table.add_column("Windows", justify="right")
                table.add_column("Since", no_wrap=True)
                table.add_column("Worst in", no_wrap=True)
            table.add_column("Reason", ratio=1)
            for key, f in list(worst.items())[: self.rows]:
                cells: list[str | Text] = [Text(f.column)]
                if report.segments:
                    cells.append(Text(segment_label(report, f)))
                cells.append(Text(f.severity, style=STYLES[f.severity]))
                if many:
                    current = since.get(f.column, "-") if f.segment is None else "-"
                    cells += [f"{len(windows[key])} of {len(report.windows)}", current, window_label(report, f)]
                cells.append(Text(f.reason))
                table.add_row(*cells)
            yield table
            hidden = len(worst) - self.rows
            if hidden > 0:
                yield Text(f"... and {hidden} more; --html or --json has all of them.", style="dim")
        thin = sum(f.severity == "not_enough_data" for f in report.findings)
        if thin:
            yield Text(f"{thin} checks had not enough data for a verdict.", style="dim")
        for note in report.notes:
            yield Text(note, style="dim")
        yield Text(f"{report.rows:,} rows, {report.device} ({report.isa}), time zone {report.timezone}", style="dim")


def short_html(report: Report) -> str:
    """A small table for a notebook cell; everything from the data is escaped."""
    rows = []
    for f in report.worst(SHOWN_ROWS):
        cells = (f.column, segment_label(report, f), window_label(report, f), f.severity, f.reason)
        rows.append("<tr>" + "".join(f"<td style='text-align:left'>{html.escape(c)}</td>" for c in cells) + "</tr>")
    names = ("Column", "Segment", "Window", "Severity", "Reason")
    head = "".join(f"<th style='text-align:left'>{n}</th>" for n in names)
    body = f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>" if rows else ""
    return f"<div><p><strong>{html.escape(headline(report))}</strong></p>{body}</div>"
