"""kill -9 at random moments under a monitor that tells of what it finds, to a receiver that refuses now and then: no
alert is lost, and what comes twice has one id.

MODELWATCH_KILLS says how often, as for the counts.
"""

from __future__ import annotations

import random
import time
from collections import defaultdict
from datetime import timedelta
from typing import Any

from servers import Taken, receiver
from sqlalchemy import select
from test_killed_runs import KILLS, Writer, kill_at_random
from watch_makers import World

from modelwatch_gpu.monitor.actions import start_due
from modelwatch_gpu.monitor.alerts import deliver
from modelwatch_gpu.monitor.clock import Clock
from modelwatch_gpu.monitor.store.alert_tables import actions, alerts, deliveries

MORE = """
schedule: {{every: 10ms}}
segments: [kind]
files_per_run: 3
alerts:
  rules:
    - {{name: drift, severity: warning, windows: 1, clear_after: 1}}
    - {{name: kinds, segments: each, group_by: [segment], windows: 2, of: 3}}
  channels:
    - {{name: ops, kind: webhook, url: "{url}/alerts"}}
actions:
  triggers:
    - {{name: retrain, severity: warning, cooldown: 1s, run: {{kind: webhook, url: "{url}/retrain"}}}}
"""


def test_no_alert_is_lost_by_kills_and_repeats_carry_the_same_id(world: World, store: str) -> None:
    chance = random.Random(7)

    def answer(taken: Taken) -> tuple[int, dict[str, str], bytes]:
        time.sleep(0.02 * chance.random())  # so that kills come while something is sent
        return (503 if chance.random() < 0.2 else 200), {}, b"{}"

    with receiver() as there:
        there.answer = answer
        more = MORE.format(url=there.url)
        (world.folder / "labels").mkdir()
        world.config(f"{store}\n{more}")
        writer = Writer(world, 3)
        for _ in range(14):
            writer.something()
        killed = kill_at_random(world, writer.something, KILLS)
        runner = world.runner(f"{store}\n{more}", clock=Clock())
        runner.once()
        there.answer = None
        for hours in (2, 4):  # claims of those who were killed have run out
            later = Clock().now() + timedelta(hours=hours)
            waiting = deliver(runner.engine, runner.config, later).waiting
            start_due(runner.engine, runner.config, later)
        assert waiting == 0

    with runner.engine.connect() as connection:
        mine = list(connection.execute(select(alerts)))
        queued = {row.id: row for row in connection.execute(select(deliveries))}
        started = list(connection.execute(select(actions)))
    came: dict[str, set[bytes]] = defaultdict(set)
    for taken in there.taken:
        came[taken.headers["webhook-id"]].add(taken.body)
    messages = {name: bodies for name, bodies in came.items() if name in queued}
    assert set(messages) == set(queued)  # all came
    assert set(came) - set(messages) == {row.id for row in started if row.state == "done"}  # and nothing else
    assert all(len(bodies) == 1 for bodies in came.values())  # the same each time
    assert len(mine) > 1
    for alert in mine:
        own = [row.kind for row in sorted(queued.values(), key=lambda r: r.seq) if row.alert_id == alert.id]
        assert own[0] == "opened"
        assert own.count("opened") == 1
        assert (own[-1] == "resolved") == (alert.status == "resolved")

    alone = world.runner("store: {url: 'sqlite:///alone.db'}\n" + more)
    alone.once()
    with alone.engine.connect() as connection:
        expected = list(connection.execute(select(alerts)))
    fields = ("rule", "key", "opened", "since", "last")

    def still_open(rows: list[Any]) -> set[tuple[Any, ...]]:
        return {tuple(getattr(r, name) for name in fields) for r in rows if r.status == "open"}

    assert still_open(mine) == still_open(expected)
    for wanted in expected:
        assert any(
            (r.rule, r.key) == (wanted.rule, wanted.key)
            and (r.id == wanted.id or (r.since <= wanted.last and wanted.since <= r.last))
            for r in mine
        )
    repeats = len(there.taken) - len(came)
    print(f"{killed} kills: {len(mine)} alerts, {len(queued)} messages, {repeats} repeats, {len(started)} actions")
