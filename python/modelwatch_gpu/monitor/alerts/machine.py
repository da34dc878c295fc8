"""When an alert opens, closes and is told: a fold over windows, in the order of their starts.

Nothing here knows what time it is. Cool-downs and repeats count windows or the time between their starts, so a clock
that jumps changes nothing, and windows that arrive late or change are folded again from where they belong.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

#: What a window says of a group of findings. UNKNOWN neither opens nor closes anything.
FIRING: Final = "firing"
CLEAR: Final = "clear"
UNKNOWN: Final = "unknown"

#: Severities of findings that can fire, mildest first.
LEVELS: Final = ("warning", "alert")


@dataclass(frozen=True, slots=True)
class Span:
    """A length of time between windows: so many judged ``windows``, or ``seconds`` between their starts."""

    windows: int = 0
    seconds: int = 0

    def __bool__(self) -> bool:
        return bool(self.windows or self.seconds)

    def holds(self, windows: int, seconds: int) -> bool:
        """Whether so much is not more than this."""
        return windows <= self.windows if self.windows else seconds <= self.seconds


class Policy(NamedTuple):
    """How a rule opens and closes. ``fires`` of the last ``of`` judged windows open an alert; ``clear_after`` judged
    windows in a row without firing close it. Within ``cooldown`` of being told closed, the alert may reopen and close
    in silence, under the same name. ``repeat_every``: how long an open alert goes without being told again; none: it
    is told once."""

    fires: int = 1
    of: int = 1
    clear_after: int = 1
    cooldown: Span = Span()
    repeat_every: Span = Span()


class Judged(NamedTuple):
    """What one window says. ``order``: its start in epoch seconds, or the number of its first row. ``verdict``:
    FIRING, CLEAR or UNKNOWN. ``severity``: the worst of the findings that fire."""

    order: int
    verdict: str
    severity: str | None = None


@dataclass(frozen=True, slots=True)
class Episode:
    """One alert, from the window in which it ``opened``. ``since``: the first window that counted towards opening it.
    ``last``: the latest that fired. ``closed``: the window that closed it, None while it is open. ``shown``: whether
    people should know it as open; within a cool-down it may be open and not shown. ``severity``: the worst so far.
    ``repeats``: how often it has become due again. ``times``: how often it opened."""

    opened: int
    since: int
    last: int
    closed: int | None
    shown: bool
    severity: str
    repeats: int = 0
    times: int = 1

    @property
    def is_open(self) -> bool:
        """Whether the alert holds."""
        return self.closed is None


@dataclass(frozen=True, slots=True)
class State:
    """What a fold remembers between windows. ``recent``: (order, fired) of the last judged windows. ``seen``: how many
    windows were judged. ``episode``: the latest alert. ``clear_run``: judged windows without firing since it last
    fired. ``closed_at``, ``told_at``: (order, seen) of its last closing, and of when it was last told open or closed.
    """

    recent: tuple[tuple[int, bool], ...] = ()
    seen: int = 0
    episode: Episode | None = None
    clear_run: int = 0
    closed_at: tuple[int, int] = (0, 0)
    told_at: tuple[int, int] = (0, 0)

    def to_json(self) -> dict[str, Any]:
        """Values for the store; ``from_json`` is the inverse."""
        e = self.episode
        return {
            "recent": [[order, int(fired)] for order, fired in self.recent],
            "seen": self.seen,
            "episode": None
            if e is None
            else [e.opened, e.since, e.last, e.closed, int(e.shown), e.severity, e.repeats, e.times],
            "clear_run": self.clear_run,
            "closed_at": list(self.closed_at),
            "told_at": list(self.told_at),
        }

    @classmethod
    def from_json(cls, kept: dict[str, Any]) -> State:
        """The state that ``to_json`` wrote."""
        episode = None
        if kept["episode"] is not None:
            opened, since, last, closed, shown, severity, repeats, times = kept["episode"]
            episode = Episode(opened, since, last, closed, bool(shown), severity, repeats, times)
        return cls(
            recent=tuple((order, bool(fired)) for order, fired in kept["recent"]),
            seen=kept["seen"],
            episode=episode,
            clear_run=kept["clear_run"],
            closed_at=(kept["closed_at"][0], kept["closed_at"][1]),
            told_at=(kept["told_at"][0], kept["told_at"][1]),
        )


def worse(a: str | None, b: str | None) -> str:
    """The worse of two severities; None is milder than any."""
    return max(a or LEVELS[0], b or LEVELS[0], key=LEVELS.index)


def step(policy: Policy, state: State, window: Judged) -> State:
    """The state after one more window, which must start after all that were folded before."""
    if window.verdict == UNKNOWN:
        return state
    fired = window.verdict == FIRING
    state = replace(
        state,
        recent=(*state.recent, (window.order, fired))[-policy.of :],
        seen=state.seen + 1,
        clear_run=0 if fired else state.clear_run + 1,
    )
    episode = state.episode
    if episode is not None and episode.is_open:
        return _still_open(policy, state, episode, window)
    if fired and sum(f for _, f in state.recent) >= policy.fires:
        return _opened(policy, state, window)
    return state


def _opened(policy: Policy, state: State, window: Judged) -> State:
    here, before = (window.order, state.seen), state.episode
    if before is not None and policy.cooldown and _within(policy.cooldown, state.closed_at, here):
        # The same alert again: whoever has its name keeps it, and is told when the cool-down has passed.
        shown = not _within(policy.cooldown, state.told_at, here)
        again = replace(
            before,
            closed=None,
            last=window.order,
            shown=shown,
            severity=worse(before.severity, window.severity),
            times=before.times + 1,
        )
        return replace(state, episode=again, told_at=here if shown else state.told_at)
    # Not before the last alert ended: its windows are told already.
    after = before.closed if before is not None and before.closed is not None else None
    counted = [order for order, fired in state.recent if fired and (after is None or order > after)]
    new = Episode(window.order, counted[0], window.order, None, True, window.severity or LEVELS[0])
    return replace(state, episode=new, told_at=here)


def _still_open(policy: Policy, state: State, episode: Episode, window: Judged) -> State:
    here = (window.order, state.seen)
    if window.verdict == FIRING:
        episode = replace(episode, last=window.order, severity=worse(episode.severity, window.severity))
    if state.clear_run >= policy.clear_after:
        told_at = here if episode.shown else state.told_at
        closed = replace(episode, closed=window.order, shown=False)
        return replace(state, episode=closed, closed_at=here, told_at=told_at)
    if not episode.shown and not _within(policy.cooldown, state.told_at, here):
        return replace(state, episode=replace(episode, shown=True), told_at=here)
    if episode.shown and policy.repeat_every and window.verdict == FIRING and _due(policy.repeat_every, state, here):
        return replace(state, episode=replace(episode, repeats=episode.repeats + 1), told_at=here)
    return replace(state, episode=episode)


def _within(span: Span, since: tuple[int, int], here: tuple[int, int]) -> bool:
    return span.holds(here[1] - since[1], here[0] - since[0])


def _due(span: Span, state: State, here: tuple[int, int]) -> bool:
    windows, seconds = here[1] - state.told_at[1], here[0] - state.told_at[0]
    return windows >= span.windows if span.windows else seconds >= span.seconds


class Folded(NamedTuple):
    """``states``: (window, state after it) in order. ``episodes``: all alerts in them as they were left, oldest first,
    with the one that was there before where there was one."""

    states: tuple[tuple[Judged, State], ...]
    episodes: tuple[Episode, ...]


def fold(policy: Policy, windows: Iterable[Judged], state: State | None = None) -> Folded:
    """Folds windows, in any order given, onto the state before the first of them."""
    state = state or State()
    found: dict[int, Episode] = {} if state.episode is None else {state.episode.opened: state.episode}
    states = []
    for window in sorted(windows, key=lambda w: w.order):
        state = step(policy, state, window)
        states.append((window, state))
        if state.episode is not None:
            found[state.episode.opened] = state.episode
    return Folded(tuple(states), tuple(found.values()))
