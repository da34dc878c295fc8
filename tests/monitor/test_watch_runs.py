"""A monitor counts every row once, whatever happens to the files of its log."""

from __future__ import annotations

import datetime as dt
import os
import shutil
from pathlib import Path

import pyarrow as pa
import pytest
from sqlalchemy import event, select
from tolerances import SUMMED_ALONE
from watch_makers import NOW, START, World, exact_state, rows_of, severities

import modelwatch_gpu as mw
from modelwatch_gpu.errors import InputError
from modelwatch_gpu.log import Files
from modelwatch_gpu.monitor.clock import FixedClock
from modelwatch_gpu.monitor.discover import discover
from modelwatch_gpu.monitor.runner import Runner
from modelwatch_gpu.monitor.store.tables import files, findings, measures, parts, runs, states, windows
from modelwatch_gpu.profile import Profile


def fresh(world: World, name: str, more: str = "") -> Runner:
    """A runner with a store of its own that counts the log as it is now, in one go."""
    return world.runner(f"store: {{url: 'sqlite:///{name}.db'}}\n{more}")


def same_as_from_nothing(world: World, runner: Runner, more: str = "") -> None:
    """The store holds what one that begins now would hold."""
    other = fresh(world, "other", more)
    other.once()
    assert exact_state(runner.engine) == exact_state(other.engine)


def test_a_growing_log_is_counted_as_the_whole_is(world: World, store: str) -> None:
    runner = world.runner(store)
    assert runner.once().runs == []
    for day in range(4):
        world.day(day)
        done = runner.once()
        assert done.files == [f"log/day-{day:03d}.parquet"]
        assert len(done.windows) == 1
    assert runner.once().runs == []  # nothing new
    same_as_from_nothing(world, runner)
    expected = Profile.count(world.baseline, str(world.log), window="1d")
    with runner.engine.connect() as connection:
        rows = connection.execute(select(windows.c.window_start, windows.c.rows)).all()
    merged = expected.merged()
    assert merged is not None
    counted = zip(merged.groups["window"], merged.group_rows["window"].tolist(), strict=True)
    assert dict(rows) == {key[0]: count for key, count in counted}


def test_measures_and_findings_are_those_of_compare(world: World) -> None:
    for day in range(3):
        world.day(day, shift=2.0 if day == 1 else 0.0, rows=300)
    runner = world.runner("segments: [kind]")
    runner.once()
    report = mw.compare(world.baseline, str(world.log), window="1d", segments=["kind"])
    expected = {
        (row["window"], row["column"], row["measure"]): (row["value"], row["lower"], row["upper"], row["n"])
        for row in report.to_dict()["measures"]
        if row["segment"] is None
    }
    with runner.engine.connect() as connection:
        found = {
            (row.window, row.column, row.measure): (row.value, row.lower, row.upper, row.n)
            for row in connection.execute(select(measures))
        }
    assert found.keys() == expected.keys()
    for key, numbers in expected.items():
        for mine, theirs in zip(found[key], numbers, strict=True):
            assert mine == (None if theirs is None else pytest.approx(theirs, rel=SUMMED_ALONE, abs=SUMMED_ALONE)), key
    drifted = select(findings.c.window).where(findings.c.check == "ks", findings.c.column == "x")
    with runner.engine.connect() as connection:
        days = connection.execute(drifted.where(findings.c.severity == "alert", findings.c.segment.is_(None))).scalars()
        assert [day[:10] for day in days] == ["2024-03-02"]


def test_a_file_of_several_days_changes_each_of_them(world: World, store: str) -> None:
    world.add("a.parquet", rows_of(0, rows=400, days=3))
    runner = world.runner(store)
    assert len(runner.once().windows) == 3
    world.add("b.parquet", rows_of(1, rows=100, days=2))
    assert sorted(runner.once().windows) == [int(START.timestamp()) + 86_400 * day for day in (1, 2)]
    same_as_from_nothing(world, runner)


def test_a_changed_file_replaces_what_it_counted(world: World, store: str) -> None:
    world.day(0)
    world.day(1)
    runner = world.runner(store)
    runner.once()
    world.add("day-000.parquet", rows_of(0, rows=90, seed=5))
    done = runner.once()
    assert (done.files, len(done.windows)) == (["log/day-000.parquet"], 1)
    same_as_from_nothing(world, runner)


def test_a_changed_file_leaves_the_windows_that_it_has_no_rows_of_any_more(world: World) -> None:
    world.add("a.parquet", rows_of(0, rows=200, days=2))
    world.day(1)
    runner = world.runner()
    runner.once()
    world.add("a.parquet", rows_of(5))
    assert len(runner.once().windows) == 3
    with runner.engine.connect() as connection:
        left = dict(connection.execute(select(windows.c.label, windows.c.rows)).all())
        counted = connection.execute(select(states.c.window_start)).scalars().all()
        judged = connection.execute(select(findings.c.window).distinct()).scalars().all()
    assert left == {"2024-03-02": 60, "2024-03-06": 60}
    assert len(counted) == 2
    assert len(judged) == 2


def test_a_file_that_was_only_touched_judges_nothing_again(world: World) -> None:
    path = world.day(0)
    runner = world.runner()
    runner.once()
    before = exact_state(runner.engine)
    os.utime(path, (0, 0))
    assert runner.once().windows == {}
    assert exact_state(runner.engine) == before


def test_by_content_a_touched_file_is_not_even_counted(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    path = world.day(0)
    runner = world.runner(log="path: log, identity: sha256")
    runner.once()
    os.utime(path, (0, 0))
    monkeypatch.setattr(runner.counter, "count", lambda *a: pytest.fail("counted again"))
    assert runner.once().files == []


def test_a_deleted_file_takes_its_counts_along(world: World, store: str) -> None:
    world.day(0)
    gone = world.add("more.parquet", rows_of(0, seed=3))
    runner = world.runner(store)
    runner.once()
    gone.unlink()
    done = runner.once()
    assert (done.dropped, len(done.windows)) == (["log/more.parquet"], 1)
    same_as_from_nothing(world, runner)


def test_counts_of_a_log_that_rotates_are_kept(world: World) -> None:
    path = world.day(0)
    world.day(1)
    runner = world.runner(log="path: log, deleted: keep")
    runner.once()
    before = severities(runner.engine)
    path.rename(world.log / "day-000.old.parquet")  # rotated: the same rows under another name
    done = runner.once()
    assert done.duplicates == ["log/day-000.old.parquet"]
    (world.log / "day-000.old.parquet").unlink()
    assert runner.once().windows == {}
    assert severities(runner.engine) == before
    with runner.engine.connect() as connection:
        assert sorted(connection.execute(select(windows.c.rows)).scalars()) == [60, 60]


def test_a_late_file_judges_its_window_again(world: World, store: str) -> None:
    world.day(0)
    world.day(9)
    runner = world.runner(store)
    runner.once()
    world.add("late.parquet", rows_of(0, rows=40, seed=8))
    assert list(runner.once().windows) == [int(START.timestamp())]
    same_as_from_nothing(world, runner)


def test_a_copy_of_a_file_is_counted_once(world: World, store: str) -> None:
    path = world.day(0)
    shutil.copy(path, world.log / "zz-copy.parquet")
    runner = world.runner(store)
    assert runner.once().duplicates == ["log/zz-copy.parquet"]
    with runner.engine.connect() as connection:
        assert connection.execute(select(windows.c.rows)).scalar() == 60
    path.unlink()  # now the copy is the file
    runner.once()
    same_as_from_nothing(world, runner)
    with runner.engine.connect() as connection:
        assert connection.execute(select(files.c.path, files.c.state)).all() == [("log/zz-copy.parquet", "counted")]


def test_files_that_count_the_same_and_differ_are_both_counted(world: World) -> None:
    table = rows_of(0)
    renamed = table.set_column(0, "row", pa.array([f"r{i:07d}" for i in range(len(table))]))
    other = table.set_column(0, "row", pa.array([f"s{i:07d}" for i in range(len(table))]))
    world.add("a.parquet", renamed)
    world.add("b.parquet", other)
    assert (world.log / "a.parquet").stat().st_size == (world.log / "b.parquet").stat().st_size
    runner = world.runner()
    assert runner.once().duplicates == []
    with runner.engine.connect() as connection:
        assert connection.execute(select(windows.c.rows)).scalar() == 120


def test_one_file_that_cannot_be_read_does_not_stop_the_others(world: World, store: str) -> None:
    bad = world.log / "bad.parquet"
    bad.write_bytes(b"PAR1 and nothing else")
    world.day(0)
    runner = world.runner(store)
    done = runner.once()
    assert done.files == ["log/day-000.parquet"]
    assert "cut short" in done.unreadable["log/bad.parquet"]
    with runner.engine.connect() as connection:
        found = connection.execute(select(findings).where(findings.c.check == "readable")).all()
    assert [(row.column, row.severity, row.window) for row in found] == [("log/bad.parquet", "warning", None)]
    world.add("bad.parquet", rows_of(1))
    assert runner.once().files == ["log/bad.parquet"]
    with runner.engine.connect() as connection:
        assert connection.execute(select(findings.c.check).where(findings.c.check == "readable")).all() == []


def test_a_bad_file_is_tried_again_later_and_by_the_next_process(world: World) -> None:
    (world.log / "bad.parquet").write_bytes(b"PAR1")
    clock = FixedClock(NOW)
    runner = world.runner(clock=clock)
    assert len(runner.once().runs) == 1
    assert runner.once().runs == []
    clock.pass_by(1000)
    assert list(runner.once().unreadable) == ["log/bad.parquet"]
    assert list(world.runner().once().unreadable) == ["log/bad.parquet"]


def test_rows_without_a_time_are_kept_apart(world: World) -> None:
    table = rows_of(0)
    at = table["at"].to_pylist()
    at[:5] = [None] * 5
    world.add("a.parquet", table.set_column(1, "at", pa.array(at, pa.timestamp("us", "UTC"))))
    runner = world.runner()
    runner.once()
    with runner.engine.connect() as connection:
        assert dict(connection.execute(select(windows.c.label, windows.c.rows)).all()) == {
            "rows without a time": 5,
            "2024-03-01": 55,
        }


def test_a_file_without_the_timestamp_is_refused_by_name(world: World) -> None:
    world.add("a.parquet", rows_of(0).drop_columns("at"))
    (said,) = world.runner().once().unreadable.values()
    assert "no column 'at'" in said
    assert "a.parquet" in said


def test_the_whole_log_can_be_one_window(world: World) -> None:
    runner = world.runner("window: null")
    for day in range(3):
        world.day(day)
        assert len(runner.once().windows) == 1
    other = fresh(world, "other", "window: null")
    other.once()
    assert exact_state(runner.engine) == exact_state(other.engine)
    with runner.engine.connect() as connection:
        assert connection.execute(select(windows.c.label, windows.c.rows)).all() == [("whole log", 180)]


def test_empty_files_and_columns_that_come_and_go_change_nothing_else(world: World) -> None:
    world.add("a.parquet", rows_of(0).slice(0, 0))
    world.add("b.parquet", rows_of(1).drop_columns("x"))
    world.add("c.parquet", rows_of(2).append_column("new", pa.array([1] * 60)))
    runner = world.runner()
    assert len(runner.once().files) == 3
    with runner.engine.connect() as connection:
        gone = connection.execute(select(findings.c.window).where(findings.c.check == "present")).scalars().all()
    assert [one[:10] for one in gone] == ["2024-03-02"]


def test_windows_are_judged_once_they_are_over(world: World) -> None:
    runner = world.runner("judge: complete\ngrace: 6h")
    world.day(0)
    assert runner.once().windows == {}
    world.add("early.parquet", rows_of(1, rows=1, seed=1).slice(0, 1))
    early = rows_of(1, rows=50, seed=2)
    first = [i for i, at in enumerate(early["at"].to_pylist()) if at < START + dt.timedelta(days=1, hours=5)]
    world.add("early.parquet", early.take(first))
    assert runner.once().windows == {}
    world.day(1)
    assert list(runner.once().windows) == [int(START.timestamp())]


def test_windows_in_a_row_are_judged_again_when_the_one_before_changes(world: World) -> None:
    more = "consecutive: true\nchecks: [{measure: ks, alert: 0.2, against: consecutive}]"
    for day in (0, 1, 3, 4, 5):
        world.day(day, rows=200)
    runner = world.runner(more)
    runner.once()
    world.add("late.parquet", rows_of(1, rows=100, shift=3.0, seed=4))
    done = runner.once()
    # The one after it, and not those behind, whose predecessors are what they were.
    assert sorted(done.windows) == [int(START.timestamp()) + 86_400 * day for day in (1, 3)]
    same_as_from_nothing(world, runner, more)
    (world.log / "day-003.parquet").unlink()
    world.day(4, rows=150, seed=2)  # in the same run as the end of the window that it was compared with
    runner.once()
    assert len(exact_state(runner.engine)["windows"]) == 4
    other = fresh(world, "again", more)
    other.once()
    assert exact_state(runner.engine) == exact_state(other.engine)


def test_a_new_file_takes_one_look_and_one_wait_for_the_disk(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    looks, waits = [], []
    monkeypatch.setattr("modelwatch_gpu.monitor.runner.discover", lambda *a, **k: looks.append(1) or discover(*a, **k))
    world.day(0)
    runner = world.runner()
    runner.once()

    @event.listens_for(runner.engine, "before_cursor_execute")
    def asked(connection, cursor, statement, *more) -> None:  # type: ignore[no-untyped-def]
        waits.append(statement == "PRAGMA synchronous=FULL")

    for change, expected in ((lambda: world.day(1), 1), (lambda: world.day(1, seed=3), 2)):
        looks.clear()
        waits.clear()
        change()
        assert len(runner.once().runs) == 1
        assert (len(looks), sum(waits)) == (expected, 1)  # what changed can make copies of it new
    looks.clear()
    assert runner.once().runs == []
    assert len(looks) == 1


def test_a_page_goes_with_its_window(world: World) -> None:
    world.day(0, rows=300, shift=3.0)
    world.day(1, rows=300, shift=3.0)
    runner = world.runner(reports="reports")
    runner.once()
    assert {path.name for path in (world.folder / "reports").iterdir()} == {"2024-03-01.html", "2024-03-02.html"}
    (world.log / "day-000.parquet").unlink()
    runner.once()
    assert {path.name for path in (world.folder / "reports").iterdir()} == {"2024-03-02.html"}


def test_a_store_of_other_counts_is_refused_until_it_is_counted_anew(world: World) -> None:
    world.day(0)
    world.runner().once()
    runner = world.runner("segments: [kind]")
    with pytest.raises(InputError, match=r"another .*segments.*--recount"):
        runner.once()
    runner.once(recount=True)
    same_as_from_nothing(world, runner, "segments: [kind]")


def test_files_of_a_filesystem_of_ones_own(world: World) -> None:
    fsspec = pytest.importorskip("fsspec")
    memory = fsspec.filesystem("memory")
    folder = f"/watch-{os.getpid()}"
    world.day(0)
    for path in world.log.iterdir():
        memory.pipe(f"{folder}/{path.name}", path.read_bytes())
    runner = world.runner(source=Files(folder, filesystem=memory))
    assert len(runner.once().files) == 1
    assert runner.once().runs == []
    memory.pipe(f"{folder}/day-000.parquet", world.day(1).read_bytes())  # changed
    assert len(runner.once().windows) == 2
    memory.rm(folder, recursive=True)


def test_an_object_store_is_polled(world: World, object_store) -> None:  # type: ignore[no-untyped-def]
    runner = world.runner(log=f"path: '{object_store.address('log/*.parquet')}'")
    assert runner.once().runs == []
    world.day(0)
    object_store.put(world.folder)
    assert len(runner.once().files) == 1
    assert runner.once().runs == []
    world.day(1)
    object_store.put(world.folder)
    assert [path.rpartition("/")[2] for path in runner.once().files][-1:] == ["day-001.parquet"]


def test_runs_are_recorded_and_old_records_pruned(world: World) -> None:
    runner = world.runner("retention: {runs: 3}")
    for day in range(6):
        world.day(day)
        runner.once()
    with runner.engine.connect() as connection:
        rows = connection.execute(select(runs).order_by(runs.c.id)).all()
    assert {row.state for row in rows} == {"finished"}
    assert {row.baseline_sha256 for row in rows} == {world.baseline.fingerprint}
    assert all(row.started_at <= row.ended_at for row in rows)


def test_windows_are_closed_and_forgotten_by_the_logs_own_time(world: World) -> None:
    runner = world.runner("retention: {corrections_until: 5d, keep: 20d}")
    world.day(0)
    path = world.add("extra.parquet", rows_of(0, seed=9))
    runner.once()
    world.day(10)
    runner.once()
    with runner.engine.connect() as connection:
        assert connection.execute(select(windows.c.state).order_by(windows.c.window_start)).scalars().all() == [
            "closed",
            "open",
        ]
        assert {len(b) for b in connection.execute(select(parts.c.bytes)).scalars()} >= {0}
    before = [row for row in exact_state(runner.engine)["states"]]
    world.add("extra.parquet", rows_of(0, seed=10))  # too late to be corrected
    assert runner.once().files == ["log/extra.parquet"]
    assert exact_state(runner.engine)["states"] == before
    with runner.engine.connect() as connection:
        late = connection.execute(select(findings.c.column, findings.c.check).where(findings.c.window.is_(None))).all()
    assert late == [("log/extra.parquet", "in_time")]
    world.add("new.parquet", rows_of(0, rows=30, seed=11))  # what was never counted can still be added
    runner.once()
    with runner.engine.connect() as connection:
        assert connection.execute(select(windows.c.rows).order_by(windows.c.window_start)).scalars().all()[-2] == 150
    path.unlink()
    world.day(40)
    runner.once()
    with runner.engine.connect() as connection:
        left = connection.execute(select(windows.c.label).where(windows.c.window.is_not(None))).scalars().all()
    assert left == ["2024-04-10"]


def test_pages_are_written_for_windows_with_findings(world: World) -> None:
    world.day(0, rows=300)
    world.day(1, rows=300, shift=3.0)
    runner = world.runner(reports="reports")
    runner.once()
    pages = sorted((world.folder / "reports").iterdir())
    assert [page.name for page in pages] == ["2024-03-02.html"]
    assert pages[0].stat().st_mode & 0o077 == 0
    assert (world.folder / "reports").stat().st_mode & 0o077 == 0
    with runner.engine.connect() as connection:
        linked = set(connection.execute(select(findings.c.report).where(findings.c.severity == "alert")).scalars())
    assert linked == {"reports/2024-03-02.html"}
    world.add("day-001.parquet", rows_of(1, rows=300))
    runner.once()
    assert list((world.folder / "reports").iterdir()) == []


def test_sql_in_names_is_only_a_name(world: World) -> None:
    evil = "x'; DROP TABLE findings; --"
    table = pa.concat_tables([rows_of(day, rows=200) for day in range(-30, 0)])
    named = table.rename_columns(["row", "at", evil, "kind", "score", "label"])
    world.baseline = mw.Baseline.fit(named, roles=mw.Roles(id="row", timestamp="at", label="label", score="score"))
    world.baseline.save(world.folder / "baseline.mwb")
    own = rows_of(0, rows=200, shift=4.0).rename_columns(named.column_names)
    own = own.set_column(3, "kind", pa.array(["'; DROP TABLE parts; --"] * 200))
    world.add("a'; DROP TABLE files; --.parquet", own)
    runner = world.runner("segments: [kind]")
    runner.once()
    with runner.engine.connect() as connection:
        assert evil in set(connection.execute(select(findings.c.column)).scalars())
        assert len(connection.execute(select(files)).all()) == 1


def test_a_file_that_is_written_while_it_is_read_waits_for_the_next_look(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = world.day(0)
    runner = world.runner()
    count = runner.counter.count

    def counted_while_written(*args):  # type: ignore[no-untyped-def]
        out = count(*args)
        world.add(path.name, rows_of(0, rows=61, seed=7))
        monkeypatch.setattr(runner.counter, "count", count)
        return out

    monkeypatch.setattr(runner.counter, "count", counted_while_written)
    runner.once()
    same_as_from_nothing(world, runner)


def test_files_are_left_alone_until_they_have_settled(world: World) -> None:
    path = world.day(0)
    clock = FixedClock(NOW)
    os.utime(path, (NOW.timestamp() - 5, NOW.timestamp() - 5))
    runner = world.runner(log="path: log, settle: 10s", clock=clock)
    assert runner.once().files == []
    clock.set(NOW + dt.timedelta(seconds=6))
    assert runner.once().files == ["log/day-000.parquet"]


def test_paths_of_the_config_are_relative_to_its_folder(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    world.day(0)
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    runner = world.runner()
    assert runner.once().files == ["log/day-000.parquet"]
    assert (world.folder / "monitor.db").exists()
    assert not list(Path.cwd().iterdir())
