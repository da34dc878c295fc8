"""kill -9 at random moments under a monitor that follows a growing log: in the end the store holds what one
uninterrupted run holds, byte for byte.

MODELWATCH_KILLS says how often (default 8; `make test-kills` takes 200).
"""

from __future__ import annotations

import multiprocessing
import os
import random
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
from sqlalchemy import select
from watch_makers import World, exact_state, rows_of

KILLS = int(os.environ.get("MODELWATCH_KILLS", "8"))
MORE = "schedule: {every: 10ms}\nlabels: {path: labels, at: said}\nsegments: [kind]\nfiles_per_run: 3"
#: Longer than any run here takes: a kill may come at any moment of it.
LONGEST = 0.8


def follow(folder: str) -> None:
    """What is killed: a process that watches, as `modelwatch run --watch` does."""
    import threading

    from modelwatch_gpu.monitor.config.model import MonitorConfig
    from modelwatch_gpu.monitor.runner import Runner
    from modelwatch_gpu.monitor.watching import watch

    runner = Runner(MonitorConfig.load(Path(folder) / "monitor.yaml"))
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


def test_the_store_after_kills_is_that_of_an_uninterrupted_run(world: World, store: str) -> None:
    (world.folder / "labels").mkdir()
    world.config(f"{store}\n{MORE}")
    context: Any = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["modelwatch_gpu.monitor.watching", "modelwatch_gpu.report.judge"])
    chance = random.Random(20_240_301)
    writer = Writer(world, 5)
    for _ in range(5):
        writer.something()
    killed = 0
    while killed < KILLS:
        process = context.Process(target=follow, args=(str(world.folder),))
        process.start()
        end = time.monotonic() + 0.05 + chance.random() * LONGEST
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(left, 0.1))
            writer.something() if chance.random() < 0.1 else None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        assert process.exitcode == -signal.SIGKILL, "it ended by itself"
        killed += 1
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


def _states_of_runs(engine) -> dict[str, int]:  # type: ignore[no-untyped-def]
    from modelwatch_gpu.monitor.store.tables import RUN_STATES, runs

    with engine.connect() as connection:
        states = list(connection.execute(select(runs.c.state)).scalars())
    return {state: states.count(state) for state in RUN_STATES}
