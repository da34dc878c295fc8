"""The store: private files, numbered versions, addresses that are refused without being repeated."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from sqlalchemy import func, insert, inspect, select, text
from watch_makers import World, rows_of

from modelwatch_gpu.errors import InputError, OutputError
from modelwatch_gpu.monitor.counts import pack, unpack
from modelwatch_gpu.monitor.store.engine import open_store, reading, repeatable
from modelwatch_gpu.monitor.store.metadata import metadata
from modelwatch_gpu.monitor.store.migrations import STEPS, schema_version
from modelwatch_gpu.monitor.store.tables import facts


def test_only_its_owner_can_read_a_store(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        engine = open_store("sqlite:///own.db", folder=tmp_path)
        with engine.begin() as connection:
            connection.execute(insert(facts).values(name="a", value="b"))
            modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    finally:
        os.umask(before)
    assert set(modes) >= {"own.db", "own.db-wal"}
    assert set(modes.values()) == {0o600}


def test_a_store_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    (tmp_path / "old.db").touch(mode=0o644)
    open_store("sqlite:///old.db", folder=tmp_path).dispose()
    assert (tmp_path / "old.db").stat().st_mode & 0o077 == 0


def test_versions_are_recorded_once(world: World, store: str) -> None:
    engine = world.runner(store).engine
    again = world.runner(store).engine
    for one in (engine, again):
        with one.connect() as connection:
            assert connection.execute(select(schema_version.c.version)).scalars().all() == list(
                range(1, len(STEPS) + 1)
            )
            assert {table for table in metadata.tables} <= set(inspect(connection).get_table_names())


def test_a_store_of_the_first_version_gets_what_came_later(tmp_path: Path) -> None:
    engine = open_store("sqlite:///old.db", folder=tmp_path)
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE evidence"))
        connection.execute(text("DELETE FROM schema_version WHERE version > 1"))
        connection.execute(insert(facts).values(name="a", value="kept"))
    engine.dispose()
    with open_store("sqlite:///old.db", folder=tmp_path).connect() as connection:
        assert "evidence" in inspect(connection).get_table_names()
        assert connection.execute(select(facts.c.value)).scalars().all() == ["kept"]
        assert connection.execute(select(func.max(schema_version.c.version))).scalar() == len(STEPS)


def test_what_is_told_to_somebody_waits_for_the_disk(tmp_path: Path) -> None:
    engine = open_store("sqlite:///x.db", folder=tmp_path)
    for turn in range(2):  # one connection of the pool serves both kinds in turn
        with repeatable(engine) as connection:
            assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 1
            connection.execute(insert(facts).values(name=f"a{turn}", value="b"))
        with engine.begin() as connection:
            assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
            assert connection.execute(select(func.count()).select_from(facts)).scalar() == turn + 1

    def broken() -> None:
        with repeatable(engine) as connection:
            connection.execute(insert(facts).values(name="c", value="d"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        broken()
    with reading(engine) as connection:
        assert connection.execute(select(func.count()).select_from(facts)).scalar() == 2


def test_a_store_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    engine = open_store("sqlite:///new.db", folder=tmp_path)
    with engine.begin() as connection:
        connection.execute(insert(schema_version).values(version=999, applied_at="later"))
    with pytest.raises(InputError, match="has version 999"):
        open_store("sqlite:///new.db", folder=tmp_path)


def test_many_that_open_a_new_store_at_once_make_it_once(world: World, store: str) -> None:
    config = world.config(store)
    errors: list[BaseException] = []

    def opened() -> None:
        try:
            open_store(config.store.url, schema=config.store.schema_name, folder=world.folder).dispose()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=opened) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


def test_a_reader_does_not_wait_for_a_writer(tmp_path: Path) -> None:
    engine = open_store("sqlite:///x.db", folder=tmp_path)
    with engine.begin() as writer:
        writer.execute(insert(facts).values(name="a", value="1"))
        with reading(engine) as reader:
            assert reader.execute(select(func.count()).select_from(facts)).scalar() == 0
    with reading(engine) as reader:
        assert reader.execute(select(func.count()).select_from(facts)).scalar() == 1


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("mysql://me:hunter2@db/x", "cannot be in mysql|not one"),
        ("hunter2", "not one; write sqlite"),
        ("postgresql+nothing://me:hunter2@db/x", "not one; write sqlite"),
        ("postgresql+psycopg://me:hunter2@127.0.0.1:1/x", "cannot be opened"),
        ("sqlite:////nowhere/at/all.db", "cannot be written"),
    ],
)
def test_addresses_that_are_none_are_refused_without_being_shown(tmp_path: Path, url: str, said: str) -> None:
    with pytest.raises((InputError, OutputError), match=said) as error:
        open_store(url, folder=tmp_path)
    assert "hunter2" not in str(error.value)
    assert error.value.__cause__ is None


def test_a_file_that_is_no_store_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_bytes(b"this is not a database, but a text that goes on for a while" * 20)
    with pytest.raises(OutputError, match="not a database"):
        open_store("sqlite:///x.db", folder=tmp_path)


def test_sqlite_has_no_schemas(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="leave schema out"):
        open_store("sqlite:///x.db", schema="a", folder=tmp_path)


def test_counts_that_were_damaged_are_not_believed() -> None:
    packed = pack(b"a profile" * 100)
    assert unpack(packed, "x") == b"a profile" * 100
    for bad in (packed[:20], b"", b"\xff" * 40, packed[:8] + b"\0" * 30, (1 << 60).to_bytes(8, "little") + packed[8:]):
        with pytest.raises(InputError, match="damaged"):
            unpack(bad, "x")


def test_damaged_counts_of_a_store_end_a_run_with_a_sentence(world: World) -> None:
    world.day(0)
    runner = world.runner()
    runner.once()
    with runner.engine.begin() as connection:
        connection.execute(text("UPDATE states SET bytes = x'00'"))
    world.add("more.parquet", rows_of(0, seed=1))
    with pytest.raises(InputError, match="run with --recount"):
        runner.once()
    runner.once(recount=True)
