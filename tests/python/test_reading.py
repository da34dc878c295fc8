"""Streams kept on disk, and reading ahead."""

from __future__ import annotations

import itertools
import os
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from log_makers import ROWS, cuts, dense, log_folder, read, table

from modelwatch_gpu.errors import InputError, OutputError
from modelwatch_gpu.log.sources import open_log, read_ahead, spooled


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return log_folder(tmp_path)


# Spooling.


def test_a_stream_is_spooled_once_and_gone_afterwards(tmp_path: Path) -> None:
    whole = pa.concat_tables([table(ROWS), table(100, 1)]).unify_dictionaries()
    with spooled(open_log(whole.to_reader()), folder=str(tmp_path)) as log:
        assert log.reusable
        assert log.rows == ROWS + 100
        assert log.files[0].name == "<reader>"
        assert log.files[0].time_range("ts") == open_log(whole).files[0].time_range("ts")
        for _ in range(2):
            assert read(log).equals(dense(whole))
        assert cuts(log.files[0], ["id"]) == cuts(open_log(whole).files[0], ["id"])
        assert len(list(tmp_path.iterdir())) == 1
    assert list(tmp_path.iterdir()) == []


def test_spooling_keeps_only_the_columns_asked_for_and_leaves_files_alone(folder: Path) -> None:
    with spooled(open_log(table().to_reader()), columns=["id", "ts"]) as log:
        assert log.schema.names == ["id", "ts"]
    log = open_log(folder)
    with spooled(log) as same:
        assert same is log
    with spooled(open_log([folder / "part-0.parquet", table().to_reader()])) as mixed:
        assert [file.rows for file in mixed.files] == [1_000, 1_000]
        assert read(mixed).num_rows == 2_000


def test_what_fails_while_spooling_leaves_nothing_behind(tmp_path: Path) -> None:
    bad = pa.RecordBatchReader.from_batches(table().schema, iter([*table().to_batches(), None]))  # type: ignore[list-item]
    with pytest.raises((InputError, TypeError)), spooled(open_log(bad), folder=str(tmp_path)):
        pass
    assert list(tmp_path.iterdir()) == []
    with (
        pytest.raises(OutputError, match="No temporary folder"),
        spooled(open_log(table().to_reader()), folder="/none"),
    ):
        pass


def test_a_full_disk_is_an_output_error_that_says_what_to_do() -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("this system has no /dev/full")
    with tempfile.TemporaryDirectory() as place:
        from modelwatch_gpu.log import reading

        log = open_log(table(ROWS).to_reader())
        with pytest.raises(OutputError, match="set TMPDIR to a folder with room"):
            reading._spool(log.files[0], "/dev/full", None)
        assert os.listdir(place) == []


# Reading ahead.


def readers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "modelwatch-read-ahead"]


def test_reading_ahead_gives_the_same_items_in_order() -> None:
    for depth in (1, 2, 50):
        assert list(read_ahead(iter(range(100)), depth)) == list(range(100))
    assert list(read_ahead(iter([None, False]))) == [None, False]
    assert list(read_ahead(iter([]))) == []
    assert readers() == []
    with pytest.raises(InputError, match="at least 1"):
        read_ahead(iter([]), 0)


def test_the_reader_stays_a_bounded_number_of_items_ahead() -> None:
    made: list[int] = []

    def items() -> Iterator[int]:
        for item in range(100):
            made.append(item)
            yield item

    ahead = read_ahead(items(), 3)
    assert made == []
    for taken in range(20):
        assert next(ahead) == taken
        assert len(made) <= taken + 1 + 3 + 1
    ahead.close()


def test_stopping_early_leaves_no_thread_and_closes_what_was_read() -> None:
    closed = []

    def items() -> Iterator[int]:
        try:
            yield from itertools.count()
        finally:
            closed.append(threading.current_thread().name)

    for taken in (1, 5):
        ahead = read_ahead(items())
        for _ in range(taken):
            next(ahead)
        assert len(readers()) == 1
        ahead.close()
        assert readers() == []
    for item in read_ahead(items()):
        if item == 3:
            break
    del item
    assert readers() == []
    assert closed == ["modelwatch-read-ahead"] * 3


@pytest.mark.parametrize("error", [InputError("the sentence"), KeyboardInterrupt(), ValueError("x"), SystemExit(3)])
def test_what_is_raised_in_the_reader_arrives_in_the_consumer(error: BaseException) -> None:
    def items() -> Iterator[int]:
        yield 1
        yield 2
        raise error

    ahead = read_ahead(items())
    assert [next(ahead), next(ahead)] == [1, 2]
    with pytest.raises(type(error)) as caught:
        next(ahead)
    assert caught.value is error
    assert readers() == []


def test_what_the_consumer_raises_ends_the_reader(folder: Path) -> None:
    def consume() -> None:
        for _ in read_ahead(open_log(folder).files[0].batches(["id"])):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        consume()
    assert readers() == []
