"""From findings in a store to alerts and queued messages: any order of windows, late corrections, windows that go."""

from __future__ import annotations

import json
from collections import defaultdict
from itertools import pairwise

import pytest
from alert_makers import DAY, Found, Store, emptied, series
from hypothesis import given, settings
from hypothesis import strategies as st

from modelwatch_gpu.monitor.alerts.machine import CLEAR, FIRING, UNKNOWN, Judged, fold
from modelwatch_gpu.monitor.alerts.reconcile import alert_id
from modelwatch_gpu.monitor.alerts.verdicts import policy_of
from modelwatch_gpu.monitor.config.alerts import Rule
from modelwatch_gpu.monitor.store.tables import OF_FILES
from modelwatch_gpu.profile.parts import UNTIMED

HOOK = {"name": "ops", "kind": "webhook", "url": "http://127.0.0.1:9/hook"}
DEAF = {"name": "deaf", "kind": "webhook", "url": "http://127.0.0.1:9/hook", "resolved": False}


def store(*channels, **rule) -> Store:
    return Store.of([{"name": "drift", **rule}], list(channels) or [HOOK])


def one_by_one(s: Store, text: str, first: int = 0, **kind) -> None:
    for start, found in series(text, first, **kind).items():
        s.run({start: found})


def test_an_alert_is_told_when_it_opens_and_when_it_ends():
    s = store()
    one_by_one(s, "CFFC")
    assert s.told() == [("alert 0", "opened"), ("alert 0", "resolved")]


def test_months_that_come_at_once_tell_of_the_one_that_drifted_all_the_same():
    s = store()
    s.run(series("CFC"))
    assert s.told() == [("alert 0", "opened"), ("alert 0", "resolved")]


def test_the_same_findings_again_say_nothing_again():
    s = store()
    s.run(series("CFF"))
    before = s.told()
    assert s.run(series("CFF")) == []
    assert s.told() == before


def test_a_message_says_what_where_since_when_and_how_sure_and_links_the_report():
    s = Store.of(
        [{"name": "drift", "runbook": "https://wiki.example.org/drift", "labels": {"team": "flights"}}],
        [HOOK],
    )
    s.config = s.config.model_copy(update={"reports": "https://reports.example.org/flights"})
    one_by_one(s, "FF", segment=None)
    body = json.loads(s.rows("deliveries")[0].body)
    assert body["alert"]["key"] == {"column": "delay"}
    assert body["alert"]["labels"] == {"team": "flights"}
    assert body["where"] == {"column": "delay", "segment": None, "window": "1970-01-01T00:00:00+00:00"}
    assert body["since"] == "1970-01-01T00:00:00+00:00"
    assert body["what"] == "ks 0.31 is above 0.2."
    assert (
        body["how_sure"]
        == "ks 0.31, at least 0.29, threshold 0.2; p = 0.0001 were it just at the threshold; 33,000 rows."
    )
    assert body["report"] == "https://reports.example.org/flights/reports/0.html"
    assert body["runbook"] == "https://wiki.example.org/drift"
    assert body["title"] == "[alert] delay (flights, drift)"
    for part in ("What: ", "Where: delay", "Since: 1970", "How sure: ks 0.31", "Report: https://", "Runbook: https://"):
        assert part in body["text"]


def test_severity_that_grows_is_told_once():
    s = store(severity="warning")
    one_by_one(s, "WWFWF")
    assert s.told() == [("alert 0", "opened"), ("alert 0", "worse")]
    assert s.rows("alerts")[0].severity == "alert"


def test_a_receiver_that_wants_no_ends_hears_of_none():
    s = store(HOOK, DEAF)
    one_by_one(s, "FCF")
    assert s.told("deaf") == [("alert 0", "opened"), ("alert 1", "opened")]


def test_a_late_correction_ends_an_alert_and_another_one_brings_it_back_by_its_name():
    s = store()
    one_by_one(s, "CF")
    s.run(series("C", 1))
    assert [(row.status, row.why) for row in s.rows("alerts")] == [("resolved", "corrected")]
    s.run(series("F", 1))
    assert s.told() == [("alert 0", "opened"), ("alert 0", "resolved"), ("alert 0", "reopened")]


def test_an_earlier_window_that_comes_late_does_not_rename_an_alert():
    s = store()
    one_by_one(s, "-CFF")
    name = s.rows("alerts")[0].id
    s.run(series("F", 1))
    (alert,) = s.rows("alerts")
    assert (alert.id, alert.opened, alert.since) == (name, DAY, DAY)
    assert s.told() == [("alert 0", "opened")]


def test_a_late_window_that_fires_knows_that_later_ones_do_not():
    s = store()
    one_by_one(s, "CCCCC")
    assert s.rows("alert_windows") == []
    s.run(series("F", 1))
    assert [(row.opened, row.closed) for row in s.rows("alerts")] == [(DAY, 2 * DAY)]


def test_a_window_whose_files_are_gone_holds_up_no_alert():
    s = store()
    one_by_one(s, "CCF")
    s.run({}, gone=[2 * DAY])
    assert [(row.status, row.why) for row in s.rows("alerts")] == [("resolved", "corrected")]
    assert s.told() == [("alert 0", "opened"), ("alert 0", "resolved")]


def test_a_log_that_is_counted_anew_in_other_windows_forgets_the_old_ones():
    s = store()
    one_by_one(s, "CFF")
    with s.engine.begin() as connection:
        for at in (1, 2):
            s.forget(connection, at * DAY)
    s.run(series("C", 3))
    assert [(row.status, row.why) for row in s.rows("alerts")] == [("resolved", "corrected")]


def test_windows_that_the_store_forgets_leave_alerts_and_their_state_as_they_were():
    s = store(windows=2)
    one_by_one(s, "CFFF")
    with s.engine.begin() as connection:
        for at in range(3):
            s.forget(connection, at * DAY)
    one_by_one(s, "FC", 4)
    assert [(row.opened, row.closed) for row in s.rows("alerts")] == [(2 * DAY, 5 * DAY)]
    # Only the last state from before is kept.
    assert [row.window_start for row in s.rows("alert_windows", "window_start")] == [2 * DAY, 3 * DAY, 4 * DAY, 5 * DAY]


def test_a_rule_that_is_gone_ends_its_alerts_and_tells_those_who_knew():
    s = store(HOOK, DEAF)
    one_by_one(s, "FF")
    s.config = s.config.model_copy(update={"rules": ()})
    s.run(series("F", 2))
    assert [(row.status, row.why) for row in s.rows("alerts")] == [("resolved", "no rule")]
    assert [kind for _, kind in s.told()] == ["opened", "resolved"]
    assert [kind for _, kind in s.told("deaf")] == ["opened"]


def test_a_rule_that_changes_is_folded_over_all_windows_again():
    s = store(windows=3)
    one_by_one(s, "FFCFFF")
    assert [row.opened for row in s.rows("alerts")] == [5 * DAY]
    name = s.rows("alerts")[0].id
    s.config = s.config.model_validate({**s.config.model_dump(), "rules": [{"name": "drift"}], "channels": [HOOK]})
    s.run(series("F", 6))
    # The one that is open keeps its name though it dates from earlier now, and the older one is told.
    assert [(row.opened, row.status) for row in s.rows("alerts", "opened")] == [(0, "resolved"), (3 * DAY, "open")]
    assert s.rows("alerts", "opened")[1].id == name


def test_groups_are_alerts_of_their_own_and_grouping_by_nothing_is_one():
    findings = {0: [Found("F", "delay"), Found("F", "carrier", "js_distance"), Found("F", "delay", "missing")]}
    by_column, as_one, by_check = store(), store(group_by=[]), store(group_by=["column", "check"])
    for s in (by_column, as_one, by_check):
        s.run(findings)
    assert len(by_column.rows("alerts")) == 2
    assert len(by_check.rows("alerts")) == 3
    (body,) = [json.loads(row.body) for row in as_one.rows("deliveries")]
    assert body["findings_total"] == 3
    assert body["what"] == "delay: ks 0.31 is above 0.2. And 2 more findings." or body["what"].startswith("carrier: ")


def test_columns_checks_segments_and_how_many_say_which_findings_count():
    here = {"segment": {"carrier": "AA"}}
    findings = {0: [Found("F", "delay"), Found("F", "delay", **here), Found("F", "dep_time"), Found("W", "fare")]}

    def keys(**rule) -> list[str]:
        s = store(**rule)
        s.run(findings)
        return [row.key for row in s.rows("alerts", "key")]

    assert keys() == ['{"column":"delay"}', '{"column":"dep_time"}']
    assert keys(columns="d?p_*") == ['{"column":"dep_time"}']
    assert keys(checks=["psi"]) == []
    assert keys(severity="warning", columns=["fare"]) == ['{"column":"fare"}']
    assert keys(segments="each", group_by=["segment"]) == ['{"segment":{"carrier":"AA"}}']
    assert keys(segments="any", at_least=2) == ['{"column":"delay"}']


def test_what_may_be_above_its_threshold_keeps_an_alert_open_and_opens_none():
    s = store()
    one_by_one(s, "mFmuC")
    assert [(row.opened, row.closed) for row in s.rows("alerts")] == [(DAY, 4 * DAY)]


def test_repeats_are_told_in_the_logs_own_time():
    s = store(repeat_every="2d")
    one_by_one(s, "FFFFFF")
    assert [kind for _, kind in s.told()] == ["opened", "repeat", "repeat"]
    every = store(repeat_every=3)
    one_by_one(every, "FuFuuFF")
    assert [kind for _, kind in every.told()] == ["opened", "repeat"]


def test_a_flapping_alert_has_one_name_and_is_told_once_a_cool_down():
    s = store(cooldown="3d")
    one_by_one(s, "FCFCFCFFF")
    assert s.told() == [("alert 0", "opened"), ("alert 0", "resolved"), ("alert 0", "reopened")]


@pytest.mark.parametrize("text", ["F", "CFC", "FFCCFF"])
@pytest.mark.parametrize(("start", "about"), [(UNTIMED, "rows without a time"), (OF_FILES, "files")])
def test_what_belongs_to_no_window_is_judged_apart(text, start, about):
    s = store()
    s.run({start: [Found("F")]})
    one_by_one(s, text)
    (alert,) = [row for row in s.rows("alerts") if about in row.key]
    assert (alert.opened, alert.status) == (start, "open")
    assert f"delay, {about}" in json.loads(s.rows("deliveries", "queued_at")[0].body)["title"]
    s.run({start: [Found("C")]})
    (alert,) = [row for row in s.rows("alerts") if about in row.key]
    assert (alert.status, alert.why) == ("resolved", "corrected")


RULES = st.fixed_dictionaries(
    {
        "windows": st.integers(1, 2),
        "of": st.integers(2, 3),
        "clear_after": st.integers(1, 2),
        "cooldown": st.sampled_from([None, 1, "2d"]),
        "repeat_every": st.sampled_from([None, 2, "3d"]),
        "severity": st.sampled_from(["warning", "alert"]),
    }
)
#: Runs: window -> letters of two columns; None: the window's files are gone.
RUNS = st.lists(
    st.dictionaries(st.integers(0, 7), st.one_of(st.none(), st.text("FWCumC-", min_size=2, max_size=2)), max_size=4),
    max_size=8,
)
COLUMNS = ("delay", "carrier")


def told_well(rows) -> None:
    """Messages of one alert to one receiver, in order: opened first and once, then each from what was known before."""
    kinds = [row.kind for row in rows]
    assert kinds[0] == "opened"
    assert kinds.count("opened") == 1
    for before, after in pairwise(kinds):
        assert (after == "reopened") == (before == "resolved")
    assert [row.seq for row in rows] == list(range(len(rows)))


@settings(max_examples=120)
@given(RULES, RUNS)
def test_alerts_follow_from_the_findings_in_whatever_order_they_came(rule, runs):
    s = Store.of([{"name": "drift", **rule}], [HOOK], engine=emptied())
    final: dict[int, str] = {}
    names: dict[str, set[str]] = defaultdict(set)
    for run in runs:
        gone = [at for at, letters in run.items() if letters is None and at in final]
        found = {at: letters for at, letters in run.items() if letters is not None}
        final = {at: letters for at, letters in final.items() if at not in gone} | found
        s.run(
            {
                at * DAY: [Found(c, column) for c, column in zip(letters, COLUMNS, strict=True) if c != "-"]
                for at, letters in found.items()
            },
            gone=[at * DAY for at in gone],
        )
        for row in s.rows("alerts"):
            names[row.key].add(row.id)
    policy = policy_of(Rule.model_validate({"name": "drift", **rule}))
    fires = {"alert": "F", "warning": "FW"}[rule["severity"]]
    told = defaultdict(list)
    for row in s.rows("deliveries", "alert_id", "seq"):
        told[row.alert_id].append(row)
    for place, column in enumerate(COLUMNS):
        key = json.dumps({"column": column}, separators=(",", ":"))
        windows = []
        for at, letters in final.items():
            c = letters[place]
            verdict = FIRING if c in fires else CLEAR if c in "CW" else UNKNOWN
            windows.append(Judged(at * DAY, verdict, {"F": "alert", "W": "warning"}[c] if verdict == FIRING else None))
        folded = fold(policy, windows)
        stored = [row for row in s.rows("alerts", "opened") if row.key == key]
        # What is open is open, no alert is lost, and none has two names.
        wanted = [e for e in folded.episodes if e.is_open]
        assert [(r.opened, r.shown) for r in stored if r.status == "open"] == [(e.opened, e.shown) for e in wanted]
        for episode in folded.episodes:
            # Told under its own name or as a part of the alert that it was taken for.
            own = alert_id("drift", key, episode.opened)
            assert any(r.id == own or (r.since <= episode.last and episode.since <= r.last) for r in stored)
        assert {r.id for r in stored} == names[key]
        for row in stored:
            told_well(told[row.id])
            last = told[row.id][-1]
            assert last.shown == row.shown
            if row.shown:
                assert last.severity == row.severity


@settings(max_examples=60)
@given(RULES, st.text("FWCum", max_size=8), st.data())
def test_windows_in_order_end_as_they_do_all_at_once_whatever_lumps_they_come_in(rule, text, data):
    whole, lumps = (Store.of([{"name": "drift", **rule}], [HOOK], engine=emptied(slot)) for slot in (0, 1))
    windows = list(series(text).items())
    whole.run(dict(windows))
    while windows:
        size = data.draw(st.integers(1, len(windows)))
        lumps.run(dict(windows[:size]))
        windows = windows[size:]
    told = ("id", "opened", "since", "last", "closed", "status", "shown", "severity", "repeats", "times", "why")

    def alerts(s: Store):
        return [tuple(getattr(row, name) for name in told) for row in s.rows("alerts", "opened")]

    def states(s: Store):
        return [(row.window_start, row.verdict, row.state) for row in s.rows("alert_windows", "window_start")]

    assert alerts(lumps) == alerts(whole)
    assert states(lumps) == states(whole)
