"""Which stored alert each episode of a fold is: an alert that was told keeps its name, whatever is corrected later."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from modelwatch_gpu.monitor.alerts.machine import Episode, worse


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert as the store has it; ``episode``: as it was last folded. ``why``: what ended it, None while it is open:
    "clear", "corrected" (windows were judged anew and do not fire), "no rule" (the rule is gone from the config)."""

    id: str
    episode: Episode
    why: str | None = None


def alert_id(rule: str, key: str, opened: int) -> str:
    """32 hexadecimal digits that follow from what opened it."""
    text = f"alert\0{rule}\0{key}\0{opened}"
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def reconcile(
    rule: str, key: str, episodes: Sequence[Episode], stored: Sequence[Alert], at: int
) -> tuple[list[Alert], list[Alert]]:
    """The alerts of one group after a fold: (new ones, changed ones).

    Args:
        rule, key: Whose alerts these are.
        episodes: Of the fold, oldest first.
        stored: Alerts of the group that the episodes can be, and all that are open.
        at: The latest window that was folded: where an alert ends that is no more.
    """
    taken: dict[int, Alert] = {}  # place of the episode -> the alert that it is
    used: set[str] = set()

    def assign(fits: Callable[[Episode, Alert], bool]) -> None:
        for place, episode in enumerate(episodes):
            for alert in stored:
                if place not in taken and alert.id not in used and fits(episode, alert):
                    taken[place] = alert
                    used.add(alert.id)

    # What is open and was open is the same alert to people, though another window opens it now.
    assign(lambda e, a: e.is_open and a.episode.is_open and _overlap(e, a.episode))
    assign(lambda e, a: a.id == alert_id(rule, key, e.opened))
    assign(lambda e, a: _overlap(e, a.episode))
    new: list[Alert] = []
    changed: list[Alert] = []
    for place, episode in enumerate(episodes):
        if place in taken:
            before = taken[place]
            after = _continued(before, episode)
            if after != before:
                changed.append(after)
            continue
        name = alert_id(rule, key, episode.opened)
        if name in used:
            continue  # its windows were told as a part of the alert that has its name
        used.add(name)
        new.append(Alert(name, episode, None if episode.is_open else "clear"))
    for alert in stored:
        if alert.id not in used and alert.episode.is_open:
            changed.append(ended(alert, at, "corrected"))
    return new, changed


def ended(alert: Alert, at: int, why: str) -> Alert:
    """An open alert that no window holds up any more."""
    closed = max(at, alert.episode.last)
    return Alert(alert.id, replace(alert.episode, closed=closed, shown=False), why)


def _continued(alert: Alert, episode: Episode) -> Alert:
    """What was told of an alert stays: its severity was as bad as it was, and repeats are counted on."""
    before = alert.episode
    kept = replace(
        episode,
        severity=worse(before.severity, episode.severity),
        repeats=max(before.repeats, episode.repeats),
        times=max(before.times, episode.times),
    )
    return Alert(alert.id, kept, None if kept.is_open else alert.why or "clear")


def _overlap(a: Episode, b: Episode) -> bool:
    return a.since <= b.last and b.since <= a.last
