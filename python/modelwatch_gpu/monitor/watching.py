"""Follows a log until it is told to stop: a look, the runs it leads to, a wait by the schedule."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from sqlalchemy.exc import DBAPIError

from modelwatch_gpu.errors import InputError, OutputError
from modelwatch_gpu.monitor.lease import LeaseLost
from modelwatch_gpu.monitor.runner import Done, Runner, Tell
from modelwatch_gpu.monitor.schedule import Schedule

#: Seconds between two tries to take over from another runner.
_STAND_BY: Final = 1.0

#: Is told what the runs of a look came to.
Told = Callable[[Done], None]


def watch(runner: Runner, stop: threading.Event, *, told: Told, tell: Tell) -> None:
    """Runs a monitor by its schedule until ``stop`` is set; the run that is at work then finishes the file it is at.

    While another runner has the lease, this one stands by and takes over when that ends. What goes wrong in a look (a
    folder that cannot be listed, a store that is away) is told, and the next look tries again.
    """
    runner.stop = stop
    waiting: str | None = None
    while not stop.is_set():
        try:
            busy = runner.lease.take()
            if busy is None:
                waiting = None
                _lead(runner, stop, told, tell)
                continue
            if waiting != busy.owner:
                waiting = busy.owner
                tell(f"Another runner ({busy.owner}) is at work; this one stands by.")
        except LeaseLost as error:
            tell(str(error))
        except DBAPIError as error:
            tell(f"The store cannot be reached ({_said(error)}); trying again.")
        runner.clock.wait(_STAND_BY, stop)


def _lead(runner: Runner, stop: threading.Event, told: Told, tell: Tell) -> None:
    """Looks and runs while the lease is ours."""
    schedule = Schedule(runner.config.schedule, runner.clock, runner.counter.plan.timezone)
    try:
        runner.prepare()
        while not stop.is_set():
            schedule.looked()
            done = Done()
            try:
                runner.work(done)
            except (InputError, OutputError) as error:
                tell(f"{error} Trying again at the next look.")
            told(done)
            while not stop.is_set() and (nap := schedule.nap()) > 0:
                runner.clock.wait(nap, stop)
    finally:
        runner.lease.give_back()


def _said(error: DBAPIError) -> str:
    """What the database says, without statements and their values."""
    return (str(error.orig).strip().splitlines() or [type(error).__name__])[0].rstrip(".")[:200]
