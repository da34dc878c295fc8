"""Progress on a terminal: a bar with rows and bytes a second and the time left; elsewhere nothing."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console
from rich.progress import Progress as Bar

from modelwatch_gpu.cli import progress
from modelwatch_gpu.log import open_log


class Clock:
    """A time that only this test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress.time, "monotonic", clock)
    return clock


def terminal(width: int = 140) -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=width, color_system=None)


def drawn(console: Console) -> str:
    """All that was written to the terminal, without its commands."""
    assert isinstance(console.file, io.StringIO)
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", console.file.getvalue())


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    for i in range(2):
        pq.write_table(pa.table({"x": np.random.default_rng(i).random(50_000)}), tmp_path / f"{i}.parquet")
    return [tmp_path / "0.parquet", tmp_path / "1.parquet"]


def work(console: Console, clock: Clock, reads: Any, batches: int, monkeypatch: pytest.MonkeyPatch) -> str:
    """The last picture of a bar while every batch of 1,000 rows takes an eighth of a second."""
    made: list[Any] = []

    class Watched(Bar):
        def __init__(self, *columns: Any, **options: Any) -> None:
            made.append(self)
            super().__init__(*columns, get_time=clock, auto_refresh=False, **options)

    monkeypatch.setattr(progress, "Progress", Watched)
    with progress.stages(False, console) as stage:
        on_rows = stage("counting", reads)
        assert on_rows is not None
        for _ in range(batches):
            clock.now += 0.125
            on_rows(1_000)
        made[0].refresh()
        picture = drawn(console).splitlines()[-1]
    return picture


def test_a_terminal_shows_rows_and_bytes_a_second_and_the_time_left(
    files: list[Path], clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = open_log(files)
    assert progress.work_of([(log, 1)]) == (100_000, sum(f.stat().st_size for f in files) / 100_000)
    picture = work(terminal(), clock, [(log, 1)], 50, monkeypatch)
    assert "counting" in picture
    assert "50%" in picture
    assert re.search(r"8\.0 k rows/s, \d+(\.\d)? kB/s", picture)
    assert re.search(r"0:00:06 +00:0[67] left", picture)


def test_bytes_are_left_out_where_nobody_knows_them_and_the_end_too(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = pa.table({"x": np.arange(20_000.0)})
    picture = work(terminal(), clock, [(open_log(table), 1)], 10, monkeypatch)
    assert "50%" in picture
    assert "rows/s" in picture
    assert "B/s" not in picture
    stream = open_log(pa.RecordBatchReader.from_batches(table.schema, table.to_batches()))
    picture = work(terminal(), clock, [(stream, 1)], 10, monkeypatch)
    assert "rows/s" in picture
    assert "left" not in picture


def test_a_pass_more_than_most_logs_need_moves_the_end(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    log = open_log(pa.table({"x": np.arange(10_000.0)}))
    assert "75%" in work(terminal(), clock, [(log, 1)], 15, monkeypatch)


def test_where_there_is_no_terminal_nothing_is_drawn(files: list[Path]) -> None:
    for console, quiet in [(Console(file=io.StringIO()), False), (terminal(), True)]:
        with progress.stages(quiet, console) as stage:
            assert stage("counting", [(open_log(files), 1)]) is None
        assert drawn(console) == ""


def test_the_bar_looks_at_small_batches_only_some_times_a_second(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[float] = []
    monkeypatch.setattr(progress.Progress, "advance", lambda self, task, rows: looks.append(rows))
    with progress.stages(False, terminal()) as stage:
        on_rows = stage("counting", [(open_log(pa.table({"x": [1.0]})), 1)])
        assert on_rows is not None
        for _ in range(1_000):
            clock.now += 0.001
            on_rows(10)
    assert 9 <= len(looks) <= 11
    assert sum(looks) > 9_000


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.4, "0 "),
        (950, "950 "),
        (1_500, "1.5 k"),
        (123_456, "123 k"),
        (4.25e6, "4.2 M"),
        (7e9, "7.0 G"),
        (7e13, "70000 G"),
    ],
)
def test_numbers_as_people_read_them(number: float, text: str) -> None:
    assert progress.in_thousands(number) == text
