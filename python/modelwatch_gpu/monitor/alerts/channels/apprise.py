"""Messages for people by Apprise: Slack, Teams, e-mail, PagerDuty and what else it reaches."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from modelwatch_gpu.monitor.alerts import telling
from modelwatch_gpu.monitor.config.channels import AppriseChannel
from modelwatch_gpu.monitor.extras import module_of
from modelwatch_gpu.monitor.outgoing import Outcome, unlogged

#: Letters of a body at most: the smallest limit among the services that people use.
_MOST_LETTERS: Final = 4_000


def send_by_apprise(channel: AppriseChannel, bodies: Sequence[dict[str, Any]], now: datetime) -> Outcome:
    """Sends messages in one notification."""
    apprise = module_of("apprise", "monitor", f"The channel {channel.name}")
    # One after the other in this thread: in others its log could not be kept quiet.
    asset = apprise.AppriseAsset(async_mode=False)
    with unlogged():
        told = apprise.Apprise(asset=asset)
        for place, url in enumerate(channel.urls, start=1):
            if not told.add(url.get_secret_value()):
                return Outcome(error=f"address {place} is none that Apprise knows")
        title, body = joined(bodies)
        kind = apprise.NotifyType(_kind(bodies))
        came = told.notify(title=title, body=body, notify_type=kind, body_format=apprise.NotifyFormat.TEXT)
    return Outcome() if came else Outcome(error="Apprise could not reach all of its addresses")


def joined(bodies: Sequence[dict[str, Any]]) -> tuple[str, str]:
    """Title and text of one or several messages."""
    if len(bodies) == 1:
        return bodies[0]["title"], bodies[0]["text"]
    worst = "alert" if any(body["alert"]["severity"] == "alert" for body in bodies) else "warning"
    room = max(200, _MOST_LETTERS // len(bodies))
    texts = [f"{body['title']}\n{body['text']}" for body in bodies]
    parts = [text if len(text) <= room else f"{text[: room - 1]}…" for text in texts]
    return f"[{worst}] {len(bodies)} messages ({bodies[0]['monitor']})", "\n\n".join(parts)


def _kind(bodies: Sequence[dict[str, Any]]) -> str:
    """How Apprise is to show it: the worst of what is said."""
    if all(body["event"] == telling.RESOLVED for body in bodies):
        return "success"
    still = [body for body in bodies if body["event"] != telling.RESOLVED]
    return "failure" if any(body["alert"]["severity"] == "alert" for body in still) else "warning"
