"""Labels that come in files of their own, after the rows they belong to."""

from __future__ import annotations

import shutil

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from sqlalchemy import select
from watch_makers import World, exact_state, rows_of

import modelwatch_gpu as mw
from modelwatch_gpu.errors import InputError
from modelwatch_gpu.monitor.store.tables import files, findings, measures

MORE = "labels: {path: labels, at: said}"


def unlabelled(day: int) -> tuple[pa.Table, pa.Table]:
    """Rows of a day without their label, and the labels."""
    table = rows_of(day)
    said = pa.array([1_710_000_000_000_000 + day] * len(table), pa.timestamp("us", "UTC"))
    labels = table.select(["row", "label"]).append_column("said", said)
    return table.set_column(5, "label", pa.nulls(len(table), pa.int8())), labels


def test_labels_recount_the_files_whose_rows_they_are_of(world: World, store: str) -> None:
    (world.folder / "labels").mkdir()
    runner = world.runner(f"{store}\n{MORE}")
    for day in range(3):
        world.add(f"day-{day}.parquet", unlabelled(day)[0])
    runner.once()
    first = unlabelled(1)[1]
    world.add("one.parquet", first.slice(0, 30), folder="labels")
    done = runner.once()
    assert done.files == ["labels/one.parquet", "log/day-1.parquet"]
    assert len(done.windows) == 1
    world.add("two.parquet", pa.concat_tables([first.slice(30), unlabelled(2)[1]]), folder="labels")
    assert runner.once().files == ["labels/two.parquet", "log/day-1.parquet", "log/day-2.parquet"]
    assert runner.once().runs == []
    other = world.runner("store: {url: 'sqlite:///other.db'}\nlabels: {path: labels, at: said, folder: other.mwl}")
    other.once()
    assert exact_state(runner.engine) == exact_state(other.engine)
    labels = mw.Labels().add(str(world.folder / "labels"), id="row", label="label", at="said")
    report = mw.compare(world.baseline, str(world.log), window="1d", labels=labels)
    expected = {
        (row["window"], row["measure"]): row["n"]
        for row in report.to_dict()["measures"]
        if row["column"] == "score" and row["measure"] == "roc_auc"
    }
    with runner.engine.connect() as connection:
        query = select(measures.c.window, measures.c.measure, measures.c.n).where(measures.c.measure == "roc_auc")
        found = {(row.window, row.measure): row.n for row in connection.execute(query)}
    assert found == expected
    assert sorted(found.values())[0] == 0  # the first day has no labels yet
    assert sorted(found.values())[1] > 50


def test_a_log_file_that_comes_after_its_labels_has_them(world: World) -> None:
    table, labels = unlabelled(0)
    world.add("early.parquet", labels, folder="labels")
    runner = world.runner(MORE)
    runner.once()
    world.add("day-0.parquet", table)
    runner.once()
    with runner.engine.connect() as connection:
        scored = pc.sum(pc.invert(pc.is_nan(table["score"]))).as_py()
        assert connection.execute(select(measures.c.n).where(measures.c.measure == "roc_auc")).scalar() == scored


def test_a_later_label_corrects_an_earlier_one(world: World) -> None:
    table, labels = unlabelled(0)
    world.add("day-0.parquet", table)
    world.add("one.parquet", labels, folder="labels")
    runner = world.runner(MORE)
    runner.once()
    turned = pa.table(
        {
            "row": labels["row"],
            "label": pa.array(1 - labels["label"].to_numpy(), pa.int8()),
            "said": pa.array([1_720_000_000_000_000] * 60, pa.timestamp("us", "UTC")),
        }
    )
    before = auc(runner)
    world.add("two.parquet", turned, folder="labels")
    runner.once()
    assert auc(runner) == pytest.approx(1 - before)


def auc(runner) -> float:  # type: ignore[no-untyped-def]
    with runner.engine.connect() as connection:
        return float(connection.execute(select(measures.c.value).where(measures.c.measure == "roc_auc")).scalar())


def test_a_changed_label_file_and_a_lost_index_start_from_the_files(world: World) -> None:
    table, labels = unlabelled(0)
    world.add("day-0.parquet", table)
    world.add("day-1.parquet", unlabelled(1)[0])
    world.add("one.parquet", labels, folder="labels")
    runner = world.runner(MORE)
    runner.once()
    world.add("one.parquet", labels.slice(0, 20), folder="labels")
    runner.once()
    other = world.runner("store: {url: 'sqlite:///other.db'}\nlabels: {path: labels, at: said, folder: other.mwl}")
    other.once()
    assert exact_state(runner.engine) == exact_state(other.engine)
    shutil.rmtree(world.folder / "labels.mwl")
    again = world.runner(MORE)
    again.once()
    assert again.once().runs == []
    assert exact_state(again.engine) == exact_state(other.engine)


def test_a_label_file_that_is_gone_stays_taken(world: World) -> None:
    table, labels = unlabelled(0)
    world.add("day-0.parquet", table)
    path = world.add("one.parquet", labels, folder="labels")
    runner = world.runner(MORE)
    runner.once()
    before = exact_state(runner.engine)
    path.unlink()
    assert runner.once().runs == []
    assert exact_state(runner.engine) == before


def test_a_label_file_without_its_columns_is_named(world: World) -> None:
    world.day(0)
    world.add("bad.parquet", pa.table({"row": [1], "truth": [1]}), folder="labels")
    runner = world.runner("labels: {path: labels}")
    done = runner.once()
    assert "has no column 'label'" in done.unreadable["labels/bad.parquet"]
    assert done.files == ["log/day-000.parquet"]
    with runner.engine.connect() as connection:
        assert connection.execute(select(files.c.state).where(files.c.kind == "labels")).scalar() == "unreadable"
        assert connection.execute(select(findings.c.column).where(findings.c.check == "readable")).scalars().all() == [
            "labels/bad.parquet"
        ]


def test_labels_need_an_id_in_the_baseline(world: World) -> None:
    table = pa.concat_tables([rows_of(day, rows=100) for day in range(-9, 0)]).drop_columns("row")
    roles = mw.Roles(timestamp="at", label="label", score="score", infer=False)
    mw.Baseline.fit(table, roles=roles).save(world.folder / "baseline.mwb")
    with pytest.raises(InputError, match="no column with the role id"):
        world.runner("labels: {path: labels}")
