"""Messages on their way: real servers on this machine, one that refuses and comes back, Alertmanager, silences."""

from __future__ import annotations

import json
import logging
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from alert_makers import NOON, Store, series
from pydantic import SecretStr
from servers import Taken, alertmanager, get_json, receiver, wait_until
from sqlalchemy import select, update

from modelwatch_gpu.errors import InputError
from modelwatch_gpu.monitor.alerts.channels.webhook import verify
from modelwatch_gpu.monitor.alerts.outbox import FIRST_WAIT, MOST_WAIT, Delivered, deliver, waited
from modelwatch_gpu.monitor.alerts.silences import add_silence, all_silences, end_silence
from modelwatch_gpu.monitor.clock import utc_text
from modelwatch_gpu.monitor.config.values import FromEnvironment
from modelwatch_gpu.monitor.store.alert_tables import deliveries
from modelwatch_gpu.monitor.store.engine import open_store

KEY = "whsec_" + "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LTEyMzQ="
HOUR = timedelta(hours=1)


def hook(url: str, **more) -> dict:
    return {"name": "ops", "kind": "webhook", "url": url, **more}


def store(*channels: dict, **rule) -> Store:
    return Store.of([{"name": "drift", **rule}], list(channels))


def send(s: Store, now=None) -> Delivered:
    return deliver(s.engine, s.config, now or s.now)


def events(taken: list[Taken]) -> list[str]:
    return [one.json["event"] for one in taken]


def test_a_webhook_gets_each_message_once_signed_with_its_time():
    with receiver() as there:
        s = store(hook(f"{there.url}/hook", secret=FromEnvironment(KEY)))
        s.run(series("FC"))
        assert send(s).sent == 2
        assert send(s).sent == 0
        first, second = there.taken
        assert events(there.taken) == ["opened", "resolved"]
        assert first.headers["webhook-id"] == first.json["id"] != second.json["id"]
        assert verify(SecretStr(KEY), first.headers, first.body, s.now)
        assert not verify(SecretStr(KEY), first.headers, first.body + b" ", s.now)
        assert not verify(SecretStr(KEY), second.headers | {"webhook-id": first.json["id"]}, second.body, s.now)
        assert not verify(SecretStr(KEY), first.headers, first.body, s.now + timedelta(minutes=6))
        assert not verify(SecretStr(KEY), first.headers | {"webhook-timestamp": "now"}, first.body, s.now)
        other = SecretStr("whsec_" + "b3RoZXItb3RoZXItb3RoZXItb3RoZXItb3RoZXI=")
        assert not verify(other, first.headers, first.body, s.now)


def test_another_library_for_standard_webhooks_takes_the_signature():
    standardwebhooks = pytest.importorskip("standardwebhooks")
    with receiver() as there:
        s = store(hook(there.url, secret=FromEnvironment(KEY)))
        s.run(series("F"))
        # It holds the time against the clock on the wall.
        assert send(s, datetime.now(UTC)).sent == 1
        (taken,) = there.taken
        assert standardwebhooks.Webhook(KEY).verify(taken.body, taken.headers) == taken.json
        forged = taken.body.replace(b"opened", b"closed")
        with pytest.raises(standardwebhooks.webhooks.WebhookVerificationError):
            standardwebhooks.Webhook(KEY).verify(forged, taken.headers)


def test_messages_wait_for_a_receiver_that_refuses_and_come_in_order_with_their_ids_when_it_is_back():
    with receiver(started=False) as there:
        s = store(hook(there.url))
        s.run(series("FC"))
        now = s.now
        result = send(s, now)
        assert result.sent == 0
        assert result.waiting == 2
        assert "refused" in result.failed["ops"]
        # Not due again at once; then later and later.
        waits = []
        for _ in range(4):
            (row,) = [row for row in s.rows("deliveries", "seq") if row.attempts]
            assert send(s, now).failed == {}
            waits.append(row.next_at)
            now += timedelta(seconds=waited(row.id, row.attempts) + 0.01)
            assert send(s, now).failed
        assert waits == sorted(waits)
        ids = [row.id for row in s.rows("deliveries", "seq")]
        there.start()
        assert send(s, now + HOUR).sent == 2
        assert events(there.taken) == ["opened", "resolved"]
        assert [one.headers["webhook-id"] for one in there.taken] == ids
        assert [row.state for row in s.rows("deliveries")] == ["sent", "sent"]


def test_waits_grow_to_a_limit_and_a_receiver_may_ask_for_more():
    waits = [waited("a", attempts) for attempts in range(1, 40)]
    assert FIRST_WAIT <= waits[0] <= 1.2 * FIRST_WAIT
    assert all(before < after for before, after in pairwise(waits[:8]))
    assert all(MOST_WAIT <= wait <= 1.2 * MOST_WAIT for wait in waits[10:])
    assert waited("a", 1, 7_000.0) >= 7_000


@pytest.mark.parametrize("status", [301, 400, 404, 410, 429, 500, 503])
def test_an_answer_that_is_no_success_is_tried_again_under_the_same_id(status):
    with receiver() as there:
        s = store(hook(there.url))
        s.run(series("F"))
        there.answer = lambda taken: (status, {"location": "http://127.0.0.1:9/", "retry-after": "7000"}, b"no")
        assert str(status) in send(s).failed["ops"]
        there.answer = None
        assert send(s, s.now + timedelta(seconds=6_000)).sent == 0
        assert send(s, s.now + timedelta(seconds=9_000)).sent == 1
        first, second = there.taken
        assert first.body == second.body
        assert first.headers["webhook-id"] == second.headers["webhook-id"]


def test_one_channel_that_is_down_holds_up_no_other():
    with receiver() as there:
        down = hook("http://127.0.0.1:9/") | {"name": "down"}
        s = store(down, hook(there.url))
        s.run(series("FCF"))
        result = send(s)
        assert result.sent == 3
        assert list(result.failed) == ["down"]
        assert result.waiting == 3


def test_a_sender_that_was_killed_while_sending_leaves_a_message_that_comes_again_with_its_id(monkeypatch):
    with receiver() as there:
        s = store(hook(there.url))
        s.run(series("F"))

        class Killed(BaseException):
            pass

        def killed(*args):
            raise Killed

        with monkeypatch.context() as patch:
            patch.setattr("modelwatch_gpu.monitor.alerts.outbox._record", killed)
            with pytest.raises(Killed):
                send(s)
        assert send(s, s.now + timedelta(seconds=1)).sent == 0  # somebody else may be at work on it
        assert send(s, s.now + HOUR).sent == 1
        assert there.taken[0].body == there.taken[1].body
        assert there.taken[0].headers["webhook-id"] == there.taken[1].headers["webhook-id"]


def test_a_clock_that_jumps_loses_and_repeats_nothing():
    with receiver(started=False) as there:
        s = store(hook(there.url))
        s.now = NOON + timedelta(days=365)  # a year ahead
        s.run(series("F"))
        assert send(s).failed
        s.now = NOON  # and back
        s.run(series("C", 1))
        there.start()
        assert send(s).sent == 2
        assert send(s, NOON + timedelta(days=400)).sent == 0
        assert events(there.taken) == ["opened", "resolved"]


def test_two_senders_at_once_send_a_message_once(tmp_path):
    with receiver() as there:
        engine = open_store(f"sqlite:///{tmp_path / 'store.db'}")
        s = Store.of([{"name": "drift", "group_by": ["column", "check"]}], [hook(there.url)], engine=engine)
        for column in range(20):
            s.run(series("F", column, column=f"c{column}"))
        with ThreadPoolExecutor(2) as pool:
            sent = [job.result().sent for job in [pool.submit(send, s), pool.submit(send, s)]]
        assert sum(sent) == len({one.json["id"] for one in there.taken}) == len(there.taken) == 20


def test_apprise_reaches_an_endpoint_that_refuses_and_then_comes_back():
    pytest.importorskip("apprise")
    with receiver(started=False) as there:
        url = FromEnvironment(f"json://127.0.0.1:{there.port}/notify")
        s = store({"name": "people", "kind": "apprise", "urls": [url]})
        s.run({**series("F", column="delay"), 86_400: series("F", 1, column="carrier")[86_400]})
        assert send(s).failed == {"people": "Apprise could not reach all of its addresses"}
        there.start()
        assert send(s, s.now + HOUR).sent == len(s.rows("deliveries"))
        (taken,) = there.taken  # all in one
        told = taken.json
        assert "carrier" in told["message"]
        assert "delay" in told["message"]
        assert told["type"] == "failure"
        for row in s.rows("deliveries"):
            assert row.alert_id in told["message"]


def test_alertmanager_fires_and_resolves_the_alert_and_tells_it_once(tmp_path):
    with receiver() as there, alertmanager(tmp_path, f"{there.url}/from-alertmanager") as address:
        s = store(
            {"name": "am", "kind": "alertmanager", "url": address}, severity="warning", labels={"team": "flights"}
        )
        from datetime import UTC, datetime

        s.now = datetime.now(UTC)
        s.run(series("W"))
        assert send(s).sent == 1
        (alert,) = wait_until(lambda: get_json(f"{address}/api/v2/alerts"))
        assert alert["labels"] == {
            "alertname": "drift",
            "alert_id": s.rows("alerts")[0].id,
            "column": "delay",
            "monitor": "flights",
            "severity": "warning",
            "team": "flights",
        }
        assert alert["status"]["state"] in ("active", "unprocessed")
        assert "How sure" in alert["annotations"]["description"]
        wait_until(lambda: there.taken)
        # It gets worse: the milder one ends, the other begins.
        s.run(series("F", 1))
        s.now = datetime.now(UTC)
        assert send(s).sent == 1
        active = f"{address}/api/v2/alerts?active=true"
        wait_until(lambda: [a["labels"]["severity"] for a in get_json(active)] == ["alert"])
        # A repeat of what was sent is the same alert.
        with s.engine.begin() as connection:
            connection.execute(update(deliveries).where(deliveries.c.seq == 1).values(state="pending", attempts=0))
        assert send(s).sent == 1
        assert len(get_json(active)) == 1
        s.run(series("C", 2))
        s.now = datetime.now(UTC)
        assert send(s).sent == 1
        wait_until(lambda: get_json(active) == [])
        told = lambda: [(a["labels"]["severity"], a["status"]) for t in there.taken for a in t.json["alerts"]]  # noqa: E731
        wait_until(lambda: ("alert", "resolved") in told())
        assert ("warning", "firing") in told()
        assert ("alert", "firing") in told()


def test_alertmanager_is_reminded_of_open_alerts_before_it_forgets_them():
    with receiver() as there:
        s = store({"name": "am", "kind": "alertmanager", "url": there.url, "valid_for": "4h"})
        s.run(series("F"))
        for passed in (0, 1, 2.5, 3, 5):
            send(s, s.now + passed * HOUR)
        ends = [one.json[0]["endsAt"] for one in there.taken]
        assert ends == [utc_text(s.now + hours * HOUR) for hours in (4, 6.5, 9)]
        assert len({one.json[0]["labels"]["alert_id"] for one in there.taken}) == 1
        s.run(series("C", 1))
        send(s)
        send(s, s.now + 10 * HOUR)
        assert len(there.taken) == 4
        assert there.taken[-1].json[0]["endsAt"] == utc_text(s.now)


def silence(s: Store, hours: float = 2, **matchers):
    with s.engine.begin() as connection:
        return add_silence(
            connection, matchers, starts=s.now, ends=s.now + hours * HOUR, now=s.now, by="ann", comment="known"
        )


def test_a_silenced_alert_is_told_when_the_silence_ends_if_it_still_holds():
    with receiver() as there:
        s = store(hook(there.url))
        silence(s, column="del*")
        s.run(series("F"))
        assert send(s).sent == 0
        assert send(s, s.now + 3 * HOUR).sent == 1
        assert events(there.taken) == ["opened"]


def test_what_begins_and_ends_in_silence_is_not_told_and_the_store_says_so():
    with receiver() as there:
        s = store(hook(there.url))
        silence(s, rule="drift")
        s.run(series("FC"))
        assert send(s).sent == 0
        assert send(s, s.now + 3 * HOUR).sent == 0
        assert {row.state for row in s.rows("deliveries")} == {"silenced"}


def test_the_end_of_an_alert_is_told_in_silence_if_its_beginning_was():
    with receiver() as there:
        s = store(hook(there.url))
        s.run(series("F"))
        send(s)
        silence(s, alert=s.rows("alerts")[0].id)
        s.run(series("C", 1))
        assert send(s).sent == 1
        assert events(there.taken) == ["opened", "resolved"]


def test_a_silence_that_is_ended_early_lets_messages_go_and_one_about_something_else_holds_none():
    with receiver() as there:
        s = store(hook(there.url))
        silence(s, column="carrier")
        silence(s, check="ks")  # the alert's group has no check
        own = silence(s, severity="alert", column="delay")
        s.run(series("F"))
        assert send(s).sent == 0
        s.now += timedelta(minutes=1)
        with s.engine.begin() as connection:
            end_silence(connection, own.id[:8], s.now)
            assert len(all_silences(connection)) == 3
            with pytest.raises(InputError, match="already"):
                end_silence(connection, own.id, s.now)
        assert send(s).sent == 1


def test_silences_by_the_values_of_segments():
    with receiver() as there:
        s = store(hook(there.url), segments="each", group_by=["segment"])
        silence(s, **{"segment.carrier": "AA"})
        s.run(series("F", segment={"carrier": "AA"}) | series("F", 1, segment={"carrier": "BB"}))
        send(s)
        assert [one.json["alert"]["key"] for one in there.taken] == [{"segment": {"carrier": "BB"}}]


@pytest.mark.parametrize(
    ("matchers", "hours", "comment", "said"),
    [
        ({}, 1, "x", "something to match"),
        ({"colour": "red"}, 1, "x", "cannot ask for 'colour'"),
        ({"segment.": "x"}, 1, "x", "cannot ask"),
        ({"rule": ""}, 1, "x", "empty rule"),
        ({"rule": "a"}, 0, "x", "over already"),
        ({"rule": "a"}, 1, "  ", "needs a comment"),
    ],
)
def test_a_silence_that_makes_no_sense_is_refused(matchers, hours, comment, said):
    s = store()
    with s.engine.begin() as connection, pytest.raises(InputError, match=said):
        add_silence(connection, matchers, starts=s.now, ends=s.now + hours * HOUR, now=s.now, by="ann", comment=comment)


def test_no_secret_is_logged_stored_or_in_an_error(caplog, tmp_path):
    caplog.set_level(logging.DEBUG)
    token = "t0ken-of-the-hook"
    with receiver() as there:
        there.status = 500
        s = store(
            hook(
                f"{there.url}/hooks/{token}",
                secret=FromEnvironment(KEY),
                headers={"authorization": FromEnvironment(f"Bearer {token}")},
            ),
            hook(f"http://127.0.0.1:9/{token}") | {"name": "down"},
            {"name": "am", "kind": "alertmanager", "url": f"{there.url}/{token}"},
            {"name": "people", "kind": "apprise", "urls": [FromEnvironment(f"json://127.0.0.1:{there.port}/{token}")]},
            {"name": "none", "kind": "apprise", "urls": [FromEnvironment(f"nosuch://{token}")]},
        )
        s.run(series("F"))
        failed = send(s).failed
        assert set(failed) == {"ops", "down", "am", "people", "none"}
        assert any(one.headers.get("authorization") == f"Bearer {token}" for one in there.taken)
        kept = [repr(s.rows(name)) for name in ("deliveries", "alerts", "alert_windows", "alert_rules")]
        for text in (*failed.values(), *kept, caplog.text, repr(s.config), s.config.model_dump_json()):
            assert token not in text
            assert KEY[6:] not in text


def test_what_a_receiver_is_called_in_the_store_is_all_that_a_removed_channel_leaves():
    with receiver() as there:
        s = store(hook(there.url))
        s.run(series("F"))
        s.config = s.config.model_copy(update={"channels": ()})
        assert send(s).waiting == 1
        s.config = store(hook(there.url)).config
        assert send(s).sent == 1  # it is back


def test_hostile_names_are_text_to_everybody():
    name = "x'; DROP TABLE alerts; --\n\x1b[2J<script>{{.}}"
    with receiver() as there:
        s = store(hook(there.url), group_by=["column", "check"])
        s.run(series("FF", column=name, reason=f"{name} is off"))
        silence(s, column="nothing")
        assert send(s).sent == 1
        (taken,) = there.taken
        assert taken.json["alert"]["key"]["column"] == name
        assert "\n" not in taken.json["title"]
        assert "\x1b" not in taken.json["text"]
        assert [line.split(":")[0] for line in taken.json["text"].splitlines()] == [
            "What",
            "Where",
            "Since",
            "How sure",
            "Report",
            "Alert",
        ]
        with s.engine.begin() as connection:
            assert json.loads(connection.scalar(select(deliveries.c.body)))["where"]["column"] == name
