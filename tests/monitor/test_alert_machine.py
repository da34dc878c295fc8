"""When alerts open, close and are told, against a plain scan and against the machine's own laws."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwatch_gpu.monitor.alerts.machine import (
    CLEAR,
    FIRING,
    UNKNOWN,
    Judged,
    Policy,
    Span,
    State,
    fold,
    step,
    worse,
)

LETTERS = {"F": FIRING, "C": CLEAR, "u": UNKNOWN}


def windows(text: str) -> list[Judged]:
    """One window a letter: F fires as an alert, W as a warning, C is clear, u says nothing."""
    return [
        Judged(at, FIRING if c in "FW" else LETTERS[c], {"F": "alert", "W": "warning"}.get(c))
        for at, c in enumerate(text)
    ]


def spans(text: str, policy: Policy) -> list[tuple[int, int | None]]:
    """(opened, closed) of the alerts of a text."""
    return [(e.opened, e.closed) for e in fold(policy, windows(text)).episodes]


def shown(text: str, policy: Policy) -> str:
    """After each window: o where people should know of an open alert, - where not."""
    return "".join("o" if s.episode and s.episode.shown else "-" for _, s in fold(policy, windows(text)).states)


@pytest.mark.parametrize(
    ("text", "policy", "expected"),
    [
        ("CCC", Policy(), []),
        ("F", Policy(), [(0, None)]),
        ("CFC", Policy(), [(1, 2)]),
        ("FCF", Policy(), [(0, 1), (2, None)]),
        ("FFuC", Policy(), [(0, 3)]),
        ("Fuuu", Policy(), [(0, None)]),
        ("FCFC", Policy(2, 3), [(2, 3)]),
        ("FuCuF", Policy(2, 3), [(4, None)]),
        ("FCCF", Policy(2, 3), []),
        ("FFCFCC", Policy(2, 2, clear_after=2), [(1, 5)]),
        ("FCF", Policy(cooldown=Span(windows=1)), [(0, None)]),
        ("FCCF", Policy(cooldown=Span(windows=1)), [(0, 1), (3, None)]),
        ("FCCF", Policy(cooldown=Span(seconds=2)), [(0, None)]),
    ],
)
def test_alerts_open_and_close_where_a_reader_would_say_so(text, policy, expected):
    assert spans(text, policy) == expected


def test_an_alert_dates_from_the_first_window_that_counted_towards_it():
    (episode,) = fold(Policy(2, 3), windows("CFCF")).episodes
    assert (episode.since, episode.opened, episode.last) == (1, 3, 3)


def test_windows_of_an_alert_that_ended_do_not_date_the_next_one():
    first, second = fold(Policy(2, 3), windows("FFCF")).episodes
    assert (first.opened, first.closed) == (1, 2)
    assert (second.opened, second.since) == (3, 3)


def test_a_flapping_alert_is_told_once_per_cool_down():
    policy = Policy(cooldown=Span(windows=3))
    assert shown("FCFCFCFFFF", policy) == "o-----oooo"
    (episode,) = fold(policy, windows("FCFCFCFFFF")).episodes
    assert (episode.opened, episode.times) == (0, 4)


def test_an_alert_that_stays_open_through_its_cool_down_is_told_when_it_ends():
    assert shown("FCFFFFF", Policy(cooldown=Span(windows=3))) == "o----oo"


def test_an_open_alert_is_due_again_after_so_many_windows_in_which_it_fires():
    folded = fold(Policy(repeat_every=Span(windows=2)), windows("FFFuFFCFF"))
    assert [e.repeats for e in folded.episodes] == [2, 0]
    by_time = fold(Policy(repeat_every=Span(seconds=2)), windows("FFFuFFF"))
    assert [e.repeats for e in by_time.episodes] == [3]


def test_severity_only_grows_while_an_alert_is_open():
    (episode,) = fold(Policy(), windows("WFW")).episodes
    assert episode.severity == "alert"
    assert worse(None, None) == "warning"


POLICIES = st.builds(
    lambda fires, more, clear, cool, repeat: Policy(fires, fires + more, clear, cool, repeat),
    st.integers(1, 3),
    st.integers(0, 2),
    st.integers(1, 3),
    st.one_of(st.just(Span()), st.builds(Span, windows=st.integers(1, 4)), st.builds(Span, seconds=st.integers(1, 6))),
    st.one_of(st.just(Span()), st.builds(Span, windows=st.integers(1, 4)), st.builds(Span, seconds=st.integers(1, 6))),
)
TEXTS = st.text(alphabet="FWCu", max_size=24)


def plain_scan(text: str, policy: Policy) -> list[tuple[int, int | None]]:
    """Alerts by reading the judged letters one after the other, looking back each time; no cool-down."""
    judged = [(at, c in "FW") for at, c in enumerate(text) if c != "u"]
    found: list[tuple[int, int | None]] = []
    for place, (at, fired) in enumerate(judged):
        if found and found[-1][1] is None:
            last = [f for _, f in judged[max(0, place + 1 - policy.clear_after) : place + 1]]
            if len(last) == policy.clear_after and not any(last):
                found[-1] = (found[-1][0], at)
        elif fired and sum(f for _, f in judged[max(0, place + 1 - policy.of) : place + 1]) >= policy.fires:
            found.append((at, None))
    return found


@given(TEXTS, POLICIES)
def test_the_machine_agrees_with_a_plain_scan(text, policy):
    calm = Policy(policy.fires, policy.of, policy.clear_after)
    assert spans(text, calm) == plain_scan(text, calm)


@given(TEXTS, POLICIES, st.data())
def test_folding_on_from_any_stored_state_is_folding_everything(text, policy, data):
    whole = fold(policy, windows(text))
    cut = data.draw(st.integers(0, len(text)))
    before = whole.states[cut - 1][1] if cut else State()
    kept = State.from_json(json.loads(json.dumps(before.to_json())))
    assert kept == before
    rest = fold(policy, reversed(windows(text)[cut:]), kept)
    assert rest.states == whole.states[cut:]
    assert rest.episodes == whole.episodes[len(whole.episodes) - len(rest.episodes) :]


@given(TEXTS, POLICIES)
def test_a_cool_down_changes_names_and_what_is_told_never_what_is_open(text, policy):
    calm = Policy(policy.fires, policy.of, policy.clear_after)

    def is_open(p: Policy) -> list[bool]:
        return [bool(s.episode and s.episode.is_open) for _, s in fold(p, windows(text)).states]

    assert is_open(policy) == is_open(calm)


@given(TEXTS, POLICIES)
def test_what_is_shown_is_open_and_every_new_alert_is_shown_at_once(text, policy):
    seen: set[int] = set()
    for window, state in fold(policy, windows(text)).states:
        episode = state.episode
        if episode is None:
            continue
        assert episode.is_open or not episode.shown
        if episode.opened not in seen:
            assert episode.shown
            assert episode.opened == window.order
        seen.add(episode.opened)


@given(TEXTS, POLICIES)
def test_nobody_is_told_again_before_the_cool_down_after_the_end_has_passed(text, policy):
    told_closed: tuple[int, int] | None = None
    was = False
    for judged, (window, state) in enumerate(
        pair for pair in fold(policy, windows(text)).states if pair[0].verdict != UNKNOWN
    ):
        now = bool(state.episode and state.episode.shown)
        if now and not was and told_closed is not None and policy.cooldown:
            assert not policy.cooldown.holds(judged - told_closed[0], window.order - told_closed[1])
        if was and not now:
            told_closed = (judged, window.order)
        was = now


@given(TEXTS, POLICIES)
def test_a_window_that_says_nothing_changes_nothing(text, policy):
    state = State()
    for window in windows(text):
        after = step(policy, state, window)
        assert window.verdict != UNKNOWN or after == state
        state = after
