"""The governance report as one HTML file: no script, no request to anywhere, everything escaped."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

_STYLE: Final = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { margin: 2rem auto; max-width: 76rem; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: 0; } h2 { font-size: 1.1rem; margin-top: 2rem; }
.by { color: GrayText; margin-top: 0; }
table { border-collapse: collapse; width: 100%; font-size: 0.9rem; }
th, td { text-align: left; vertical-align: top; padding: 0.25rem 0.6rem; border-bottom: 1px solid #8884; }
td.long { overflow-wrap: anywhere; min-width: 12rem; } td.short { white-space: nowrap; }
th { white-space: nowrap; }
.mark { padding: 0.6rem 1rem; border-left: 4px solid; margin: 1rem 0; }
.mark.ok { border-color: #2a8a4a; } .mark.alert { border-color: #c0392b; } .mark.warning { border-color: #d68910; }
td.alert { color: #c0392b; font-weight: 600; } td.warning { color: #b9770e; font-weight: 600; }
code { font-size: 0.85em; }
@media print { body { margin: 0; max-width: none; } }
"""
_TITLES: Final = {
    "config": "Configs",
    "deployment": "Deployments and versions",
    "version_comparison": "Versions compared",
    "alert": "Alerts",
    "silence": "Silences",
    "action": "Actions",
}
_USED: Final = {
    "config_sha256": "Config (SHA-256)",
    "baseline_sha256": "Baseline (SHA-256)",
    "code_version": "modelwatch-gpu",
    "device": "Device",
}
#: Letters of a text that is kept on one line; a longer word may be broken anywhere.
_SHORT: Final = 28
_PART_OF_A_SECOND: Final = re.compile(r"(?<=T\d\d:\d\d:\d\d)\.\d+(?=Z$)")
_FINDINGS: Final = ("severity", "window", "column", "segment", "check", "value", "threshold", "reason", "run")


def render_page(report: Mapping[str, Any]) -> str:
    """The page of what ``governance_report`` returns; the same report gives the same text."""
    audit, runs = report["audit"], report["runs"]
    style = hashlib.sha256(_STYLE.encode()).digest()
    policy = f"default-src 'none'; style-src 'sha256-{base64.b64encode(style).decode()}'; base-uri 'none'"
    period = f"{report['since'] or 'the first record'} to {report['until'] or 'the last record'}"
    body = [
        f"<h1>Governance report: {_text(report['monitor'])}</h1>",
        f'<p class="by">{_text(period)}, made {_text(report["made_at"])}</p>',
        _audit(audit),
        "<h2>Runs</h2>",
        _table(
            ("runs", "files read", "rows counted", "windows judged", "findings"),
            [(runs["count"], runs["files"], runs["rows"], runs["windows"], _counts(runs["findings"]))],
        ),
        "<h2>What it ran with</h2>",
        _table(
            ("what", "value", "runs", "first", "last"),
            [
                (title, row["value"], row["runs"], row["first"], row.get("last"))
                for what, title in _USED.items()
                for row in report["used"].get(what, ())
            ],
        ),
        "<h2>Warnings and alerts</h2>",
        _table(
            ("severity", "window", "column", "segment", "check", "value", "threshold", "reason", "run"),
            [tuple(row.get(name) for name in _FINDINGS) for row in report["findings"]],
            marked=0,
        ),
        *_events(report["events"]),
    ]
    if report["left_out"]:
        body.append(f"<p>Not listed, because there are too many: {_text(_counts(report['left_out']))}.</p>")
    head = (
        f'<meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{html.escape(policy)}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Governance report: {_text(report['monitor'])}</title><style>{_STYLE}</style>"
    )
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>\n' + "\n".join(body) + "\n</body></html>\n"


def _audit(audit: Mapping[str, Any]) -> str:
    """Whether the audit is what was written."""
    head = f"<code>{_text(audit['head']['sha256'])}</code> (record {_text(audit['head']['seq'])})"
    if audit["ok"]:
        anchored = f", and so do {audit['anchors']:,} anchors" if audit["anchors"] else ""
        said = f"All {audit['records']:,} records of the audit verify{anchored}. The last is {head}."
        return f'<p class="mark ok">{said}</p>'
    more = f"<li>and {audit['more_faults']:,} more</li>" if audit["more_faults"] else ""
    faults = "".join(f"<li>{_text(fault['what'])}</li>" for fault in audit["faults"])
    return f'<div class="mark alert">The audit is not what was written:<ul>{faults}{more}</ul></div>'


def _events(events: Mapping[str, Sequence[Mapping[str, Any]]]) -> Iterable[str]:
    order = [*_TITLES, *(kind for kind in events if kind not in _TITLES)]
    for kind in order:
        rows = events.get(kind)
        if not rows:
            continue
        names = list(dict.fromkeys(name for row in rows for name in row if name != "seq"))
        yield f"<h2>{_text(_TITLES.get(kind, kind))}</h2>"
        yield _table(names, [tuple(row.get(name) for name in names) for row in rows])


def _table(names: Sequence[str], rows: Sequence[Sequence[Any]], *, marked: int | None = None) -> str:
    """``marked``: the column whose value is also its class, where that is a severity."""
    if not rows:
        return "<p>None.</p>"
    head = "".join(f"<th>{_text(name)}</th>" for name in names)
    body = []
    for row in rows:
        cells = []
        for at, value in enumerate(row):
            text = _text(value)
            words = [value] if at == marked and value in ("alert", "warning") else []
            if len(text) <= _SHORT:
                words.append("short")
            elif max(map(len, text.split()), default=0) > _SHORT:
                words.append("long")
            cells.append(f'<td class="{" ".join(words)}">{text}</td>' if words else f"<td>{text}</td>")
        body.append(f"<tr>{''.join(cells)}</tr>")
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.items()) or "none"


def _text(value: Any) -> str:
    """Anything as text that a page can show: markup escaped, and letters that reorder or hide text made visible."""
    if value is None:
        return ""
    if isinstance(value, float):
        value = f"{value:.4g}"
    elif not isinstance(value, str):
        value = f"{value:,}" if type(value) is int else json.dumps(value, ensure_ascii=False, sort_keys=True)
    value = _PART_OF_A_SECOND.sub("", value)
    return html.escape("".join(c if c.isprintable() or c in "\n\t" else f"\\u{ord(c):04x}" for c in value))
