"""What a receiver must be told, from what it knows of an alert and what is so now."""

from __future__ import annotations

import hashlib
from typing import Final, NamedTuple

from modelwatch_gpu.monitor.alerts.machine import LEVELS, Episode

#: Kinds of messages.
OPENED: Final = "opened"
WORSE: Final = "worse"
REOPENED: Final = "reopened"
REPEAT: Final = "repeat"
RESOLVED: Final = "resolved"


class Known(NamedTuple):
    """What a receiver knows of an alert once all that was queued has come: the last message's number, whether it says
    open, how bad, and how often it was repeated."""

    seq: int
    shown: bool
    severity: str
    repeats: int


def news(episode: Episode, known: Known | None, *, is_new: bool, resolved: bool) -> list[str]:
    """The kinds of the messages to queue, in order.

    Args:
        episode: The alert as it is now.
        known: What the receiver knows; None: nothing.
        is_new: Whether the alert was not there before: one that opened and closed meanwhile is told all the same.
        resolved: Whether the receiver wants to hear of ends.
    """
    if known is None:
        if not episode.shown and not is_new:
            return []
        return [OPENED, RESOLVED] if resolved and not episode.shown else [OPENED]
    if not episode.shown:
        return [RESOLVED] if known.shown and resolved else []
    if not known.shown:
        return [REOPENED]
    if LEVELS.index(episode.severity) > LEVELS.index(known.severity):
        return [WORSE]
    return [REPEAT] if episode.repeats > known.repeats else []


def message_id(alert: str, channel: str, seq: int) -> str:
    """32 hexadecimal digits: of one message to one receiver, in every attempt."""
    return hashlib.sha256(f"message\0{alert}\0{channel}\0{seq}".encode()).hexdigest()[:32]
