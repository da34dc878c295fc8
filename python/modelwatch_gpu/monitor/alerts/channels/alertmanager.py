"""Messages as alerts of Prometheus Alertmanager, by version 2 of its interface (POST /api/v2/alerts)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from pydantic import SecretStr

from modelwatch_gpu.monitor.alerts import telling
from modelwatch_gpu.monitor.alerts.messages import segment_text
from modelwatch_gpu.monitor.clock import utc_text, utc_time
from modelwatch_gpu.monitor.config.channels import AlertmanagerChannel
from modelwatch_gpu.monitor.judging import canonical
from modelwatch_gpu.monitor.outgoing import Outcome, request


def send_to_alertmanager(channel: AlertmanagerChannel, bodies: Sequence[dict[str, Any]], now: datetime) -> Outcome:
    """Sends messages; one that was sent before is the same alert to it, so a repeat changes nothing."""
    content = canonical([one for body in bodies for one in as_alerts(body, channel, now)]).encode()
    address = f"{channel.url.get_secret_value().rstrip('/')}/api/v2/alerts"
    return request(
        "POST",
        SecretStr(address),
        content=content,
        headers={name: value.get_secret_value() for name, value in channel.headers.items()},
        secrets=[channel.url, *channel.headers.values()],
        timeout=channel.timeout.total_seconds(),
    )


def as_alerts(body: dict[str, Any], channel: AlertmanagerChannel, now: datetime) -> list[dict[str, Any]]:
    """A message as its alerts: one, and where it got worse, the end of the milder one, whose labels differ."""
    now = now.astimezone(UTC)
    open_until = now + channel.valid_for
    resolved = body["alert"]["status"] == "resolved"
    own = _alert(body, body["alert"]["severity"], now if resolved else open_until)
    if body["event"] != telling.WORSE:
        return [own]
    return [_alert(body, "warning", now), own]


def _alert(body: dict[str, Any], severity: str, ends: datetime) -> dict[str, Any]:
    alert = body["alert"]
    key = alert["key"]
    labels = {
        **alert["labels"],
        "alertname": alert["rule"],
        "alert_id": alert["id"],
        "monitor": body["monitor"],
        "severity": severity,
        **{name: key[name] for name in ("column", "check") if name in key},
        **({"segment": segment_text(key["segment"])} if key.get("segment") else {}),
    }
    annotations = {
        "summary": body["title"],
        "description": body["text"],
        "since": body["since"],
        "how_sure": body["how_sure"],
        "report": body["report"],
        "runbook_url": body["runbook"],
    }
    # A clock that went back must not make an alert that ends before it begins.
    starts = min(utc_time(body["opened_at"]), ends)
    out: dict[str, Any] = {
        "labels": {name: str(value) for name, value in labels.items() if value},
        "annotations": {name: value for name, value in annotations.items() if value},
        "startsAt": utc_text(starts),
        "endsAt": utc_text(ends),
    }
    if (body["report"] or "").startswith(("http://", "https://")):
        out["generatorURL"] = body["report"]
    return out
