"""When a watcher looks next, also while the wall clock jumps."""

from __future__ import annotations

import datetime as dt
import threading

import pytest
from watch_makers import NOW

from modelwatch_gpu.monitor.clock import FixedClock, utc_text, utc_time
from modelwatch_gpu.monitor.config.model import ScheduleConfig
from modelwatch_gpu.monitor.schedule import Schedule


def waited(schedule: Schedule, clock: FixedClock, *, wall: bool = True) -> float:
    """Seconds until a look is due, napping as a watcher does."""
    total = 0.0
    while (nap := schedule.nap()) > 0:
        clock.wait(nap, threading.Event())
        if wall:
            clock.set(clock.now() + dt.timedelta(seconds=nap))
        total += nap
    return total


def test_every_goes_by_monotonic_time_alone() -> None:
    clock = FixedClock(NOW)
    schedule = Schedule(ScheduleConfig(every="5min"), clock, "UTC")
    schedule.looked()
    clock.set(NOW + dt.timedelta(days=3))
    assert waited(schedule, clock, wall=False) == 300
    schedule.looked()
    clock.pass_by(400)  # a look took longer than that
    assert schedule.nap() == 0


def test_the_default_is_a_minute() -> None:
    clock = FixedClock(NOW)
    schedule = Schedule(ScheduleConfig(), clock, "UTC")
    schedule.looked()
    assert waited(schedule, clock) == 60


def test_cron_is_of_the_monitors_time_zone() -> None:
    clock = FixedClock(dt.datetime(2024, 3, 30, 10, 0, 30, tzinfo=dt.UTC))
    schedule = Schedule(ScheduleConfig(cron="0 6 * * *"), clock, "America/New_York")
    schedule.looked()
    assert waited(schedule, clock) == pytest.approx(86_370)  # 6:00 there is 10:00 here
    own = Schedule(ScheduleConfig(cron="15 * * * *", timezone="UTC"), clock, "America/New_York")
    own.looked()
    assert waited(own, clock) == pytest.approx(900)


def test_a_wall_clock_set_forward_past_several_times_looks_once() -> None:
    clock = FixedClock(NOW)
    schedule = Schedule(ScheduleConfig(cron="*/15 * * * *"), clock, "UTC")
    schedule.looked()
    assert schedule.nap() == 30
    clock.set(NOW + dt.timedelta(hours=5, minutes=1))
    assert schedule.nap() == 0
    schedule.looked()
    assert waited(schedule, clock) == 14 * 60


def test_a_wall_clock_set_back_does_not_wait_until_it_has_caught_up() -> None:
    clock = FixedClock(NOW)
    schedule = Schedule(ScheduleConfig(cron="*/15 * * * *"), clock, "UTC")
    schedule.looked()
    assert schedule.nap() == 30
    clock.set(NOW - dt.timedelta(days=300))
    assert waited(schedule, clock) == 15 * 60


def test_times_are_texts_that_sort_as_they_do() -> None:
    times = [NOW + dt.timedelta(microseconds=n) for n in (0, 1, 999_999, 10**12)]
    texts = [utc_text(t) for t in times]
    assert texts == sorted(texts)
    assert [utc_time(t) for t in texts] == times
