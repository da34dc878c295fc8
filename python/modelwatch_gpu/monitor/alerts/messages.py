"""What a message says: what, where, since when, how sure, and where to read more."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from modelwatch_gpu.log.windows import iso, zone_of
from modelwatch_gpu.monitor.alerts import telling
from modelwatch_gpu.monitor.alerts.reconcile import Alert
from modelwatch_gpu.monitor.clock import utc_text
from modelwatch_gpu.monitor.config.alerts import Rule
from modelwatch_gpu.monitor.store.tables import OF_FILES
from modelwatch_gpu.report.printable import printable

#: Of the form of a message's JSON.
SCHEMA_VERSION: Final = 1
#: Letters of a name from the data that a message shows.
_MOST_LETTERS: Final = 120

_LEADS: Final = {
    telling.OPENED: "",
    telling.WORSE: "worse: ",
    telling.REOPENED: "again: ",
    telling.REPEAT: "still: ",
    telling.RESOLVED: "resolved: ",
}
_ENDS: Final = {
    "clear": "The latest windows do not fire.",
    "corrected": "Windows were judged anew after rows had changed, and do not fire any more.",
    "no rule": "The rule is no longer in the config.",
}


class Context(NamedTuple):
    """What messages of one run have in common. ``windows``: window_start -> the window as people read it. ``reports``:
    the address that paths of reports are put behind."""

    monitor: str
    run_id: str
    now: datetime
    windows: dict[int, str | None]
    reports: str | None


def clean(text: Any) -> str:
    """A name from the data, for people: without characters that command a terminal or break a line, and not endless."""
    shown = printable(str(text))
    return shown if len(shown) <= _MOST_LETTERS else f"{shown[: _MOST_LETTERS - 1]}…"


def key_text(key: dict[str, Any]) -> str:
    """A group in words: ``dep_delay``, ``dep_delay, carrier = AA``."""
    parts = [clean(key[name]) for name in ("column", "check") if name in key]
    parts += [segment_text(key["segment"])] if key.get("segment") else []
    parts += [key["about"]] if "about" in key else []
    return ", ".join(parts)


def segment_text(segment: Any) -> str:
    """A segment in words: ``carrier = AA, origin = null``."""
    if isinstance(segment, str):
        segment = json.loads(segment)
    return ", ".join(f"{clean(n)} = {'null' if v is None else clean(v)}" for n, v in segment.items())


def body_of(
    rule: Rule, key: str, alert: Alert, kind: str, said: dict[str, Any], opened_at: str, context: Context
) -> dict[str, Any]:
    """A message as JSON values, without its id. ``said``: what the latest window that fires says (``Said.as_json``).
    ``opened_at``: when the alert was first seen, of the clock on the wall."""
    episode, group = alert.episode, json.loads(key)
    named: list[dict[str, Any]] = said["named"]

    def window(start: int | None) -> str | None:
        known = None if start is None else context.windows.get(start)
        # The store forgets old windows; then only the instant is known.
        return known if known is not None or start is None or start <= OF_FILES else iso(start, zone_of(None))

    resolved = kind == telling.RESOLVED
    link = next((link for f in named if (link := report_link(f["report"], context.reports))), None)
    body: dict[str, Any] = {
        "type": "modelwatch.alert",
        "schema_version": SCHEMA_VERSION,
        "event": kind,
        "alert": {
            "id": alert.id,
            "rule": rule.name,
            "status": "resolved" if resolved else "open",
            "severity": episode.severity,
            "key": group,
            "labels": dict(rule.labels),
        },
        "monitor": context.monitor,
        "run_id": context.run_id,
        "at": utc_text(context.now),
        "opened_at": opened_at,
        "since": window(episode.since),
        "window": window(episode.last),
        "until": window(episode.closed) if resolved else None,
        "what": _what(named, said["firing"], group, rule),
        "where": {"column": group.get("column"), "segment": group.get("segment"), "window": window(episode.last)},
        "how_sure": _how_sure(named, rule),
        "findings": named,
        "findings_total": said["firing"],
        "report": link,
        "runbook": rule.runbook,
    }
    if resolved:
        body["why"] = _ENDS[alert.why or "clear"]
    return {**body, "title": _title(body), "text": _text(body)}


def report_link(path: str | None, base: str | None) -> str | None:
    """Where a page is read: its path behind the base's address, or the path itself."""
    if not path or base is None or "://" in path:
        return path
    return f"{base.rstrip('/')}/{quote(path.lstrip('/'))}"


def _title(body: dict[str, Any]) -> str:
    alert = body["alert"]
    about = key_text(alert["key"]) or f"rule {alert['rule']}"
    return f"[{alert['severity']}] {_LEADS[body['event']]}{about} ({body['monitor']}, {alert['rule']})"


def _text(body: dict[str, Any]) -> str:
    alert = body["alert"]
    where = key_text(alert["key"]) or "the whole log"
    lines = [
        ("What", body["what"]),
        ("Where", f"{where}; window {body['window'] or 'whole log'}"),
        ("Since", body["since"] or "the log's beginning"),
        ("Until", f"{body['until'] or 'now'}. {body['why']}" if body["event"] == telling.RESOLVED else None),
        ("How sure", body["how_sure"]),
        ("Report", body["report"]),
        ("Runbook", body["runbook"]),
        ("Alert", f"{alert['id']} of rule {alert['rule']}, run {body['run_id']}"),
    ]
    return "\n".join(f"{name}: {said}" for name, said in lines if said)


def _what(named: list[dict[str, Any]], firing: int, group: dict[str, Any], rule: Rule) -> str:
    if not named:
        return f"Findings of rule {rule.name}."
    first = named[0]
    about = [] if "column" in group else [clean(first["column"])]
    about += [segment_text(first["segment"])] if first["segment"] and "segment" not in group else []
    lead = f"{', '.join(about)}: " if about else ""
    more = f" And {firing - 1} more {'finding' if firing == 2 else 'findings'}." if firing > 1 else ""
    return f"{lead}{clean_sentence(first['reason'])}{more}"


def clean_sentence(text: str) -> str:
    """A sentence that may hold names from the data."""
    shown = printable(text)
    return shown if len(shown) <= 600 else f"{shown[:599]}…"


def _how_sure(named: list[dict[str, Any]], rule: Rule) -> str:
    if not named:
        return "As the rule's windows say."
    f, said = named[0], []
    if f["value"] is not None:
        limit = "" if f["threshold"] is None else f", threshold {f['threshold']:.3g}"
        low = "" if f["lower"] is None else f", at least {f['lower']:.3g}"
        said.append(f"{f['check']} {f['value']:.3g}{low}{limit}")
    if f["p_value"] is not None:
        said.append(f"p = {f['p_value']:.2g} were it just at the threshold")
    if f["e_value"] is not None:
        said.append(f"e-value {f['e_value']:.3g}")
    said.append(f"{f['n']:,} rows")
    if rule.windows > 1 or (rule.of or 1) > 1:
        said.append(f"{rule.windows} of {rule.of or rule.windows} windows")
    return f"{'; '.join(said)}."
