"""Two runners of one store: one counts, the other stands by; a late one's work is rolled back."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from datetime import timedelta

import pytest
from patience import PATIENCE
from sqlalchemy import func, select, update
from watch_makers import NOW, World, exact_state, rows_of

from modelwatch_gpu.monitor.clock import Clock, FixedClock
from modelwatch_gpu.monitor.lease import Lease, LeaseLost
from modelwatch_gpu.monitor.runner import Done
from modelwatch_gpu.monitor.store.engine import open_store
from modelwatch_gpu.monitor.store.tables import leases, parts, runs
from modelwatch_gpu.monitor.watching import watch


def test_only_one_has_the_lease(world: World, store: str) -> None:
    runner = world.runner(store)
    first, second = (Lease(runner.engine, "m", Clock()) for _ in range(2))
    assert first.take() is None
    seen = second.take()
    assert seen is not None
    assert str(os.getpid()) in seen.owner
    first.give_back()
    assert second.take() is None
    assert (second.fence or 0) > 1
    second.give_back()


def test_a_runner_beside_another_does_nothing(world: World, store: str) -> None:
    world.day(0)
    runner, other = world.runner(store), world.runner(store)
    assert runner.lease.take() is None
    done = other.once()
    assert done.busy is not None
    assert done.runs == []
    runner.lease.give_back()
    assert len(other.once().runs) == 1


def test_silence_of_an_owner_is_measured_by_ones_own_monotonic_clock(world: World) -> None:
    """A wall clock that jumps, here or there, neither takes the lease from a living owner nor waits for a dead one."""
    engine = open_store("sqlite:///lease.db", folder=world.folder)
    owner = Lease(engine, "m", FixedClock(NOW), ttl=1000.0)
    clock = FixedClock(NOW)
    watcher = Lease(engine, "m", clock, ttl=60.0)
    assert owner.take() is None
    with engine.begin() as connection:  # another machine's process, which nobody here can look up
        connection.execute(update(leases).values(owner="elsewhere:boot:1:1"))
    owner._owner = "elsewhere:boot:1:1"
    assert watcher.take() is not None
    for jump in (timedelta(days=400), -timedelta(days=4000)):
        clock.set(NOW + jump)
        assert watcher.take() is not None
    clock.pass_by(59)
    assert watcher.take() is not None
    with engine.begin() as connection:
        owner.hold(connection)  # it beats
    clock.pass_by(59)
    assert watcher.take() is not None
    clock.pass_by(61)
    assert watcher.take() is None
    with pytest.raises(LeaseLost), engine.begin() as connection:
        owner.hold(connection)
    watcher.give_back()
    owner.give_back()


def test_what_a_runner_counted_after_it_was_taken_over_is_rolled_back(world: World, store: str) -> None:
    world.day(0)
    late, other = world.runner(store), world.runner(store)
    assert late.lease.take() is None
    late.prepare()
    run_id = late.ledger.begin_run(late._about)
    work = late._look()
    with late.engine.begin() as connection:
        connection.execute(update(leases).values(owner="elsewhere:boot:1:1", fence=leases.c.fence + 1))
    with pytest.raises(LeaseLost, match="taken this monitor over"):
        late._count_all(run_id, work, Done())
    with late.engine.connect() as connection:
        assert connection.execute(select(func.count()).select_from(parts)).scalar() == 0
        connection.rollback()
    with late.engine.begin() as connection:
        connection.execute(update(leases).values(owner=""))
    assert len(other.once().files) == 1
    with other.engine.connect() as connection:
        states = connection.execute(select(runs.c.state).order_by(runs.c.id)).scalars().all()
    assert states == ["interrupted", "finished"]
    late.lease.give_back()


def test_the_lease_of_a_process_that_was_killed_is_free_at_once(world: World) -> None:
    world.config()
    script = (
        "import sys, time\n"
        "from modelwatch_gpu.monitor.clock import Clock\n"
        "from modelwatch_gpu.monitor.lease import Lease\n"
        "from modelwatch_gpu.monitor.store.engine import open_store\n"
        "engine = open_store('sqlite:///monitor.db', folder=sys.argv[1])\n"
        "assert Lease(engine, 'monitor', Clock()).take() is None\n"
        "print('taken', flush=True)\n"
        "time.sleep(3000)\n"
    )
    holder = subprocess.Popen([sys.executable, "-c", script, str(world.folder)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "taken\n"
        world.day(0)
        runner = world.runner()
        assert runner.once().busy is not None
    finally:
        holder.kill()
        holder.wait()
    assert len(runner.once().files) == 1


def test_two_that_watch_together_count_every_file_once(world: World, store: str) -> None:
    more = f"{store}\nschedule: {{every: 20ms}}"
    stop = threading.Event()
    runners = [world.runner(more, clock=Clock()) for _ in range(2)]
    errors: list[BaseException] = []

    def follow(runner: object) -> None:
        try:
            watch(runner, stop, told=lambda done: None, tell=lambda said: None)  # type: ignore[arg-type]
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=follow, args=(one,)) for one in runners]
    for thread in threads:
        thread.start()
    for day in range(5):
        world.day(day)
        time.sleep(0.15)
    last = world.day(5)
    _until(lambda: f"log/{last.name}" in runners[0].ledger.known() and not runners[0].ledger.dirty())
    stop.set()
    for thread in threads:
        thread.join(PATIENCE)
    assert errors == []
    other = world.runner("store: {url: 'sqlite:///other.db'}")
    other.once()
    assert exact_state(runners[0].engine) == exact_state(other.engine)


def _until(holds, seconds: float = PATIENCE) -> None:  # type: ignore[no-untyped-def]
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.parametrize("jump", [timedelta(days=365), -timedelta(days=365)])
def test_a_clock_that_jumps_loses_and_repeats_nothing(world: World, store: str, jump: timedelta) -> None:
    clock = FixedClock(NOW)
    runner = world.runner(store, clock=clock)
    for day in range(4):
        world.day(day)
        if day == 2:
            clock.set(NOW + jump)
        assert runner.once().files == [f"log/day-{day:03d}.parquet"]
        assert runner.once().runs == []
    clock.set(NOW)
    world.add("late.parquet", rows_of(1, rows=30, seed=2))
    assert len(runner.once().windows) == 1
    other = world.runner("store: {url: 'sqlite:///other.db'}", clock=FixedClock(NOW))
    other.once()
    assert exact_state(runner.engine) == exact_state(other.engine)
    with runner.engine.connect() as connection:
        ids = connection.execute(select(runs.c.id).order_by(runs.c.id)).scalars().all()
    assert len(set(ids)) == len(ids) == 5
