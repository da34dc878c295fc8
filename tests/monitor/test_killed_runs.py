"""kill -9 at random moments under a monitor that follows a growing log: in the end the store holds what one
uninterrupted run holds, byte for byte.

MODELWATCH_KILLS says how often (default 8; `make test-kills` takes 200).
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import shutil
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pyarrow as pa
from patience import PATIENCE
from sqlalchemy import select
from watch_makers import World, exact_state, rows_of

from modelwatch_gpu.monitor.clock import Clock
from modelwatch_gpu.monitor.store.alert_tables import alerts
from modelwatch_gpu.monitor.store.tables import RUN_STATES, runs

KILLS = int(os.environ.get("MODELWATCH_KILLS", "8"))
MORE = (
    "schedule: {every: 10ms}\nlabels: {path: labels, at: said}\nsegments: [kind]\nfiles_per_run: 3\n"
    "alerts: {rules: [{name: drift, severity: warning, group_by: [column, check]}]}"
)
#: Longer than any run here takes: a kill may come at any moment of it.
LONGEST = 0.8


def follow(folder: str, ready: Any) -> None:
    """What is killed: a process that watches, as `modelwatch run --watch` does."""
    import threading

    from modelwatch_gpu.monitor.config.model import MonitorConfig
    from modelwatch_gpu.monitor.runner import Runner
    from modelwatch_gpu.monitor.watching import watch

    runner = Runner(MonitorConfig.load(Path(folder) / "monitor.yaml"))
    ready.set()
    watch(runner, threading.Event(), told=lambda done: None, tell=lambda said: None)


class Writer:
    """Somebody who writes the log: new days, days that change, go, come late or twice, and labels."""

    def __init__(self, world: World, seed: int) -> None:
        self.world, self.random, self.days = world, random.Random(seed), 0

    def something(self) -> None:
        """One change of the log."""
        what = self.random.random()
        there = sorted(path.name for path in self.world.log.iterdir() if path.name.startswith("day"))
        if what < 0.6 or len(there) < 3:
            self.world.day(self.days, shift=2.0 if self.days % 11 == 5 else 0.0)
            self.days += 1
        elif what < 0.7:
            day = int(self.random.choice(there)[4:7])
            self.world.day(day, rows=self.random.randint(20, 90), seed=self.random.randint(1, 9))
        elif what < 0.75:
            (self.world.log / self.random.choice(there)).unlink()
        elif what < 0.85:
            day, seed = self.random.randrange(self.days), self.random.randint(10, 99)
            self.world.add(f"late-{day:03d}-{seed}.parquet", rows_of(day, rows=30, days=2, seed=seed))
        elif what < 0.9:
            name = self.random.choice(there)
            shutil.copy(self.world.log / name, self.world.folder / f".{name}")
            os.replace(self.world.folder / f".{name}", self.world.log / f"zz-{name}")
        else:
            table = rows_of(self.random.randrange(self.days)).slice(0, 25)
            said = pa.array([1_700_000_000_000_000 + self.days] * 25, pa.timestamp("us", "UTC"))
            labels = table.select(["row", "label"]).append_column("said", said)
            self.world.add(f"labels-{self.days:03d}.parquet", labels, folder="labels")


def kill_at_random(world: World, change: Callable[[], None], times: int) -> int:
    """Lets a process follow the log while it changes, and kills it at random moments; returns how often."""
    context: Any = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["modelwatch_gpu.monitor.watching", "modelwatch_gpu.report.judge"])
    chance = random.Random(20_240_301)
    for _ in range(times):
        ready = context.Event()
        process = context.Process(target=follow, args=(str(world.folder), ready))
        process.start()
        if chance.random() < 0.7:  # the others are killed wherever they are, also while they start
            ready.wait(PATIENCE)
        end = time.monotonic() + 0.02 + chance.random() * LONGEST
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(left, 0.1))
            if chance.random() < 0.1:
                change()
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        assert process.exitcode == -signal.SIGKILL, "it ended by itself"
    return times


def test_the_store_after_kills_is_that_of_an_uninterrupted_run(world: World, store: str) -> None:
    (world.folder / "labels").mkdir()
    world.config(f"{store}\n{MORE}")
    writer = Writer(world, 5)
    for _ in range(5):
        writer.something()
    killed = kill_at_random(world, writer.something, KILLS)
    runner = world.runner(f"{store}\n{MORE}")
    done = runner.once()
    assert done.busy is None  # the lease of the last one is free at once
    assert done.unreadable == {}
    states = _states_of_runs(runner.engine)
    assert states["running"] == 0
    print(f"{killed} kills: {states}, {writer.days} days, {len(list(world.log.iterdir()))} files")
    alone = world.runner(f"store: {{url: 'sqlite:///alone.db'}}\n{MORE}".replace("at: said", "at: said, folder: alone"))
    alone.once()
    mine, expected = exact_state(runner.engine), exact_state(alone.engine)
    for name in expected:
        assert mine[name] == expected[name], name
    assert _open(runner.engine) == _open(alone.engine)


def test_after_kills_every_alert_was_told_under_the_id_that_it_has_without(world: World, store: str) -> None:
    with receiver() as (address, received):
        more = (
            "schedule: {every: 10ms}\nfiles_per_run: 1\nalerts:\n"
            "  rules: [{name: drift, severity: warning, group_by: [column, check]}]\n"
            f"  channels: [{{name: hook, kind: webhook, url: '{address}'}}]"
        )
        world.config(f"{store}\n{more}")
        days = iter(range(10_000))

        def a_day() -> None:
            day = next(days)
            world.day(day, rows=200, shift=2.5 if day % 3 == 1 else 0.0)

        for _ in range(4):
            a_day()
        killed = kill_at_random(world, a_day, max(4, KILLS // 2))
        runner = world.runner(f"{store}\n{more}")
        assert runner.once().busy is None
        told = Counter(received)
        alone = world.runner("store: {url: 'sqlite:///alone.db'}\n" + more, clock=Clock())
        received.clear()
        alone.once()
        expected = Counter(received)
    assert len(expected) >= 2
    assert set(told) == set(expected)  # nothing is lost, and what came twice came under one id
    assert set(expected.values()) == {1}
    assert _alerts(runner.engine) == _alerts(alone.engine)
    print(f"{killed} kills: {len(expected)} messages, {sum(told.values()) - len(told)} repeats")


@contextmanager
def receiver() -> Iterator[tuple[str, list[str]]]:
    """A server that takes messages, and the ids of those it took."""
    received: list[str] = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            received.append(str(json.loads(body)["id"]))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/hook", received
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _open(engine: Any) -> set[tuple[str, str]]:
    """Rule and group of every open alert."""
    with engine.connect() as connection:
        rows = connection.execute(select(alerts.c.rule, alerts.c.key).where(alerts.c.status == "open"))
        return {(row.rule, row.key) for row in rows}


def _alerts(engine: Any) -> list[tuple[Any, ...]]:
    """Every alert without runs and times."""
    columns = (alerts.c.id, alerts.c.rule, alerts.c.key, alerts.c.opened, alerts.c.closed, alerts.c.severity)
    with engine.connect() as connection:
        return sorted(tuple(row) for row in connection.execute(select(*columns)))


def _states_of_runs(engine: Any) -> dict[str, int]:
    with engine.connect() as connection:
        states = list(connection.execute(select(runs.c.state)).scalars())
    return {state: states.count(state) for state in RUN_STATES}
