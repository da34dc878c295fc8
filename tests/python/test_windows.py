"""Windows of time: calendars, time zones, and the days clocks make odd."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest

from modelwatch_gpu.errors import InputError
from modelwatch_gpu.log.windows import Window, block_for, iso, zone_of

UTC = zone_of(None)
ZONES = (
    "UTC",
    "America/New_York",
    "America/Sao_Paulo",
    "America/St_Johns",
    "America/Havana",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Africa/Cairo",
    "Pacific/Apia",
    "Pacific/Kwajalein",
    "Europe/Amsterdam",
)


def at(text: str, zone: ZoneInfo, fold: int = 0) -> int:
    """The epoch second of a local wall time."""
    return int(datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold).timestamp())


def starts(window: str, first: str, last: str, zone: str) -> list[str]:
    """The boundaries over these local wall times, as ISO texts."""
    there = zone_of(zone)
    return [iso(int(b), there) for b in Window.parse(window).boundaries(at(first, there), at(last, there), there)]


@pytest.mark.parametrize("text", ["15min", "1h", "1d", "2w", "1mo", "1q", "1y", "365d", "1440min"])
def test_every_unit_can_be_written_and_read_back(text: str) -> None:
    window = Window.parse(text)
    assert Window.parse(str(window)) == window
    assert Window.parse(window) is window


@pytest.mark.parametrize(
    "text", ["1parsec", "", "mo", "0d", "-1d", "1.5h", "1 mo", "1M", "1D", "01d", "1d2h", "9999999d", "١d"]
)
def test_any_other_window_is_refused_with_the_units(text: str) -> None:
    with pytest.raises(InputError, match=r"min, h, d, w, mo, q, y"):
        Window.parse(text)


def test_hours_longer_than_a_day_are_refused_and_24_hours_are_a_day() -> None:
    with pytest.raises(InputError, match="'2d'"):
        Window.parse("36h")
    assert Window.parse("24h") == Window.parse("1440min") == Window.parse("1d")


@pytest.mark.parametrize(
    ("window", "frequency"),
    [("1d", "D"), ("1w", "W-MON"), ("1mo", "MS"), ("1q", "QS-JAN"), ("1y", "YS-JAN"), ("1h", "h")],
)
@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Kolkata", "Europe/London"])
def test_boundaries_are_those_of_pandas(window: str, frequency: str, zone: str) -> None:
    first, last = ("2012-12-03", "2014-02-03") if window == "1h" else ("1969-01-06", "2031-01-06")
    expected = pd.date_range(first, last, freq=frequency, tz=zone, unit="s").asi8
    there = zone_of(zone)
    found = Window.parse(window).boundaries(int(expected[0]), int(expected[-1]), there)
    np.testing.assert_array_equal(found[:-1], expected)


def test_a_day_that_springs_forward_has_23_hours_and_one_that_falls_back_25() -> None:
    zone = zone_of("America/New_York")
    for day, hours in (("2013-03-10", 23), ("2013-11-03", 25), ("2013-07-01", 24)):
        noon = at(f"{day}T12:00", zone)
        low, high = Window.parse("1d").boundaries(noon, noon, zone)
        assert high - low == hours * 3600
        assert len(Window.parse("1h").boundaries(int(low), int(high) - 1, zone)) == hours + 1


def test_the_repeated_hour_has_two_windows_with_two_labels() -> None:
    zone = zone_of("America/New_York")
    first, second = at("2013-11-03T01:00", zone), at("2013-11-03T01:00", zone, fold=1)
    window = Window.parse("1h")
    assert second - first == 3600
    assert window.label(first, zone) == "2013-11-03 01:00 -04:00"
    assert window.label(second, zone) == "2013-11-03 01:00 -05:00"
    assert window.label(second + 3600, zone) == "2013-11-03 02:00"


def test_a_window_never_crosses_midnight_even_where_it_does_not_divide_the_day() -> None:
    assert starts("7h", "2013-04-01T00:00", "2013-04-01T23:00", "America/New_York") == [
        "2013-04-01T00:00:00-04:00",
        "2013-04-01T07:00:00-04:00",
        "2013-04-01T14:00:00-04:00",
        "2013-04-01T21:00:00-04:00",
        "2013-04-02T00:00:00-04:00",
    ]


def test_days_of_a_zone_half_an_hour_off_begin_at_its_own_midnight() -> None:
    assert starts("1d", "2013-04-01T00:00", "2013-04-01T23:59:59", "Asia/Kolkata") == [
        "2013-04-01T00:00:00+05:30",
        "2013-04-02T00:00:00+05:30",
    ]


def test_a_day_without_midnight_begins_when_the_clocks_jump() -> None:
    assert starts("1d", "2018-11-03T12:00", "2018-11-04T12:00", "America/Sao_Paulo") == [
        "2018-11-03T00:00:00-03:00",
        "2018-11-04T01:00:00-02:00",
        "2018-11-05T00:00:00-02:00",
    ]


def test_a_jump_over_midnight_that_began_before_it_starts_the_new_day() -> None:
    # Toronto, 1919-03-30: the clocks went from 23:30 to 00:30 of the 31st.
    zone = zone_of("America/Toronto")
    start = Window.parse("1d").start_of(at("1919-03-31T12:00", zone), zone)
    assert iso(start, zone) == "1919-03-31T00:30:00-04:00"
    assert iso(start - 1, zone) == "1919-03-30T23:29:59-05:00"


def test_clocks_set_back_over_midnight_stay_in_the_day_that_has_begun() -> None:
    # St John's, 2006-10-29 00:01: back to 23:01 of the 28th.
    zone = zone_of("America/St_Johns")
    begun, again = at("2006-10-29T00:00", zone), at("2006-10-28T23:30", zone, fold=1)
    assert again > begun
    assert Window.parse("1d").start_of(again, zone) == begun


def test_a_day_that_never_was_has_no_window() -> None:
    assert starts("1d", "2011-12-29T12:00", "2011-12-31T12:00", "Pacific/Apia") == [
        "2011-12-29T00:00:00-10:00",
        "2011-12-31T00:00:00+14:00",
        "2012-01-01T00:00:00+14:00",
    ]


def test_leap_years_have_their_day_and_1900_has_not() -> None:
    for year, days in ((2012, 366), (2013, 365), (1900, 365), (2000, 366)):
        low, high = Window.parse("1y").boundaries(at(f"{year}-02-28", UTC), at(f"{year}-12-31", UTC), UTC)
        assert high - low == days * 86_400


def test_several_days_weeks_and_months_are_counted_from_their_anchor() -> None:
    assert starts("2w", "1970-01-05", "1970-01-20", "UTC") == [
        "1969-12-29T00:00:00+00:00",
        "1970-01-12T00:00:00+00:00",
        "1970-01-26T00:00:00+00:00",
    ]
    assert starts("3d", "1969-12-28T23:00", "1969-12-29T01:00", "UTC") == [
        "1969-12-26T00:00:00+00:00",
        "1969-12-29T00:00:00+00:00",
        "1970-01-01T00:00:00+00:00",
    ]
    assert starts("5y", "2013-06-01", "2013-06-01", "UTC")[0].startswith("2010-01-01")
    assert starts("6mo", "2013-08-01", "2013-08-01", "UTC")[0].startswith("2013-07-01")
    assert Window.parse("1w").start_of(at("1969-12-28T23:59:59", UTC), UTC) == at("1969-12-22", UTC)


@pytest.mark.parametrize(
    ("window", "label"),
    [
        ("1mo", "Apr 2013"),
        ("2mo", "Mar 2013 to Apr 2013"),
        ("1y", "2013"),
        ("5y", "2010 to 2014"),
        ("1q", "Q2 2013"),
        ("2q", "Q1 2013 to Q2 2013"),
        ("1d", "2013-04-01"),
        ("3d", "2013-03-31 to 2013-04-02"),
        ("1w", "week of 2013-04-01"),
        ("2w", "2 weeks from 2013-03-25"),
        ("1h", "2013-04-01 13:00"),
        ("15min", "2013-04-01 13:00"),
    ],
)
def test_a_window_is_labelled_as_people_call_it(window: str, label: str) -> None:
    zone = zone_of("America/New_York")
    one = Window.parse(window)
    assert one.label(one.start_of(at("2013-04-01T13:05", zone), zone), zone) == label


def test_nesting_says_what_the_boundaries_say() -> None:
    units = [
        "15min",
        "30min",
        "45min",
        "1h",
        "4h",
        "7h",
        "1d",
        "2d",
        "3d",
        "1w",
        "2w",
        "1mo",
        "2mo",
        "1q",
        "2q",
        "1y",
        "2y",
    ]
    low, high = at("1995-01-01", UTC), at("2001-01-01", UTC)
    cuts = {unit: set(Window.parse(unit).boundaries(low, high, UTC).tolist()[1:-1]) for unit in units}
    for unit in units:
        for block in units:
            assert Window.parse(unit).nests(Window.parse(block)) == (cuts[unit] <= cuts[block]), (unit, block)


def test_the_default_block_is_a_day_or_the_shorter_window_itself() -> None:
    assert str(block_for(Window.parse("1mo"))) == "1d"
    assert str(block_for(Window.parse("2d"))) == "1d"
    assert str(block_for(Window.parse("15min"))) == "15min"


@pytest.mark.parametrize(
    ("name", "close"),
    [
        ("america/new yrk", "America/New_York"),
        ("New_York", "America/New_York"),
        ("Asia/Calcuta", "Asia/Calcutta"),
        ("/etc/passwd", "such as"),
        ("../UTC", "such as"),
        ("", "such as"),
        ("America", "America/"),
        ("Mars/Olympus", "such as"),
    ],
)
def test_an_unknown_time_zone_is_refused_with_close_matches(name: str, close: str) -> None:
    with pytest.raises(InputError) as caught:
        zone_of(name)
    assert close in str(caught.value)


def test_a_second_outside_the_calendar_is_refused_with_a_hint_at_the_unit() -> None:
    for second in (10**15, -(10**15)):
        with pytest.raises(InputError, match="check the unit"):
            Window.parse("1d").boundaries(min(0, second), max(0, second), UTC)
        with pytest.raises(InputError, match="check the unit"):
            iso(second, UTC)


def test_a_stray_timestamp_cannot_fill_the_memory_with_windows() -> None:
    with pytest.raises(InputError, match="choose a longer window"):
        Window.parse("1min").boundaries(at("0005-01-01", UTC), at("2013-01-01", UTC), UTC)
    with pytest.raises(InputError, match="in order"):
        Window.parse("1d").boundaries(1, 0, UTC)


def test_the_ends_of_the_calendar_still_have_windows() -> None:
    low, high = at("0001-01-03", UTC), at("9999-12-29", UTC)
    for unit in ("1y", "7y", "2000y", "99999mo", "999999d"):
        for zone in (UTC, zone_of("America/New_York")):
            found = Window.parse(unit).boundaries(low, high, zone)
            assert found[0] <= low < high < found[-1]


def calls_of(make: Callable[[], Any]) -> tuple[Any, int]:
    """What it makes, and how many functions, also of C, were called for it."""
    calls = 0

    def note(frame: Any, event: str, arg: Any) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(note)
    try:
        return make(), calls
    finally:
        sys.setprofile(None)


def test_days_cost_a_few_calls_each_and_hours_far_less_than_one() -> None:
    zone = zone_of("Europe/Lisbon")
    days, calls = calls_of(lambda: Window.parse("1d").boundaries(at("1985-01-01", zone), at("2024-12-31", zone), zone))
    assert len(days) == 14_610 + 1
    assert calls < 15 * len(days)
    hours, calls = calls_of(
        lambda: Window.parse("1h").boundaries(at("2011-01-01", zone), at("2020-12-31T23:59", zone), zone)
    )
    assert len(hours) == 3_653 * 24 + 1
    assert calls < len(hours) / 10
