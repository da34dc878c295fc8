"""Alerts that are long over are forgotten with all that belongs to them; the audit verifies, and tells of them."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from servers import Receiver, receiver, wait_until
from sqlalchemy import func, select
from watch_makers import NOW, World, rows_of

from modelwatch_gpu.errors import InputError
from modelwatch_gpu.monitor.actions import start_due
from modelwatch_gpu.monitor.alerts.silences import add_silence
from modelwatch_gpu.monitor.audit import verify_store
from modelwatch_gpu.monitor.clock import FixedClock
from modelwatch_gpu.monitor.runner import Runner
from modelwatch_gpu.monitor.store.alert_tables import actions, alerts, deliveries, silences
from modelwatch_gpu.monitor.store.governance_tables import audit

MORE = """
retention: {{corrections_until: 5d, alerts: 10d}}
alerts:
  rules: [{{name: drift, columns: x}}]
  channels: [{{name: ops, kind: webhook, url: "{url}/hook"}}]
actions:
  triggers:
    - {{name: retrain, cooldown: 0s, run: {{kind: command, argv: ["true"]}}}}
"""


@pytest.fixture
def there():
    with receiver() as one:
        yield one


def count(runner: Runner, table) -> int:
    with runner.engine.connect() as connection:
        return connection.scalar(select(func.count()).select_from(table)) or 0


def drifted(world: World, more: str, store: str = "") -> tuple[Runner, FixedClock]:
    """A monitor after a day that drifted and three that did not, with a start that has ended."""
    clock = FixedClock(NOW)
    runner = world.runner(more + store, clock=clock)
    for day, shift in enumerate([0.0, 3.0, 0.0, 0.0]):
        world.day(day, rows=400, shift=shift)
        runner.once()

    def ended() -> bool:
        start_due(runner.engine, runner.config, clock.now())
        with runner.engine.connect() as connection:
            return connection.scalar(select(actions.c.state)) == "done"

    wait_until(ended)
    return runner, clock


def test_an_alert_that_is_long_over_goes_with_its_messages_actions_and_evidence(
    world: World, store: str, there: Receiver
):
    runner, clock = drifted(world, MORE.format(url=there.url), f"{store}\n")
    (folder,) = (world.folder / "evidence").iterdir()
    assert [one.json["event"] for one in there.taken] == ["opened", "resolved"]
    world.day(10, rows=400)
    runner.once()  # nine days later it is still known, though the clock says that months have passed
    clock.set(NOW + timedelta(days=400))
    world.day(11, rows=400)
    runner.once()
    assert (count(runner, alerts), count(runner, actions), folder.is_dir()) == (1, 1, True)
    world.day(40, rows=400)
    runner.once()
    assert [count(runner, table) for table in (alerts, deliveries, actions)] == [0, 0, 0]
    assert not folder.exists()
    with runner.engine.connect() as connection:
        told = [json.loads(b) for b in connection.scalars(select(audit.c.body).where(audit.c.kind == "forgotten"))]
        opened = connection.scalar(select(audit.c.body).where(audit.c.body.like('%"rule":"drift"%')).limit(1))
    assert [len(one["alerts"]) for one in told if one["alerts"]] == [1]
    assert [one["actions"] for one in told if one["actions"]] == [[folder.name]]
    assert told[-1]["alerts"][0] in opened
    assert verify_store(runner.engine).ok
    # It is not told again: not by the next run, and not by a late file that changes nothing of it.
    world.add("late.parquet", rows_of(2, rows=400, seed=7))
    runner.once()
    assert len(there.taken) == 2
    assert count(runner, alerts) == 0


def test_an_end_that_nobody_was_told_of_and_a_start_that_counts_are_kept(world: World, there: Receiver):
    more = MORE.format(url=there.url).replace("cooldown: 0s", "cooldown: 0s, budget: {starts: 4, per: 500d}")
    runner, clock = drifted(world, more)
    clock.set(NOW + timedelta(days=400))
    world.day(40, rows=400)
    runner.once()
    assert (count(runner, alerts), count(runner, actions)) == (1, 1)  # its start counts for the budget
    clock.set(NOW + timedelta(days=600))
    there.stop()
    world.day(41, rows=400, shift=3.0)
    runner.once()
    assert count(runner, alerts) == 1  # the old one is gone, and the new one cannot be told
    world.day(42, rows=400)
    runner.once()
    world.day(80, rows=400)
    runner.once()
    with runner.engine.connect() as connection:
        assert connection.execute(select(alerts.c.status)).scalars().all() == ["resolved"]
        assert set(connection.execute(select(deliveries.c.state)).scalars()) == {"pending"}


def test_silences_that_are_over_and_earlier_messages_go_by_the_clock(world: World, there: Receiver):
    more = MORE.format(url=there.url).replace("columns: x", "columns: x, repeat_every: 1").split("actions:")[0]
    clock = FixedClock(NOW)
    runner = world.runner(more, clock=clock)
    with runner.engine.begin() as connection:
        over = NOW + timedelta(days=1)
        add_silence(connection, {"column": "y"}, starts=NOW, ends=over, now=NOW, by="ada", comment="a test")
    for day in range(4):
        world.day(day, rows=400, shift=3.0)
        runner.once()
    assert count(runner, deliveries) == 4
    clock.set(NOW + timedelta(days=30))
    world.day(4, rows=400, shift=3.0)
    runner.once()
    world.day(5, rows=400, shift=3.0)
    runner.once()
    assert count(runner, silences) == 0
    with runner.engine.connect() as connection:
        seqs = list(connection.scalars(select(deliveries.c.seq).order_by(deliveries.c.seq)))
    assert seqs == [4, 5]  # of the four before only what came after is needed
    assert [one.json["event"] for one in there.taken] == ["opened", *["repeat"] * 5]
    assert verify_store(runner.engine).ok


def test_alerts_outlast_corrections(world: World):
    with pytest.raises(InputError, match=r"alerts \(30d\) is shorter than corrections_until \(90d\)"):
        world.config("retention: {alerts: 30d}")
