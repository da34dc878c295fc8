"""Labels that come late: whatever their order, they end in the state of labels known at once."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scored_makers import ROLES, scored_log
from typer.testing import CliRunner

import modelwatch_gpu as mw
from modelwatch_gpu.cli import app
from modelwatch_gpu.log.joining import joined

WINDOWS: dict[str, Any] = {"window": "1w", "segments": ["side"]}
#: (id, label, time)
EVENTS = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 1), st.integers(0, 3)), max_size=40)


def label_file(events: list[tuple[int, int, int]]) -> pa.Table:
    ids, labels, times = zip(*events, strict=True) if events else ((), (), ())
    return pa.table(
        {
            "id": pa.array(ids, pa.int64()),
            "label": pa.array(labels, pa.int64()),
            "at": pa.array(times, pa.int64()).cast(pa.timestamp("s")),
        }
    )


def joined_labels(log: pa.Table, labels: mw.Labels) -> list[Any]:
    found = mw.join_labels(log, labels, id="id")
    return [v for file in found.files for batch in file.batches(["label"]) for v in batch.column(0).to_pylist()]


def expected(events: list[tuple[int, int, int]], name: int) -> int | None:
    """The latest label of an id, None where the latest ones differ."""
    own = [(time, label) for at, label, time in events if at == name]
    if not own:
        return None
    latest = {label for time, label in own if time == max(own)[0]}
    return latest.pop() if len(latest) == 1 else None


@given(EVENTS, st.randoms(use_true_random=False), st.integers(1, 4))
def test_any_order_split_and_repetition_ends_in_the_same_labels(
    events: list[tuple[int, int, int]], random: Any, files: int
) -> None:
    log = pa.table({"id": list(range(13))})
    wanted = [expected(events, name) for name in range(13)]
    mixed = [*events, *random.sample(events, len(events) // 2)]
    random.shuffle(mixed)
    labels = mw.Labels()
    for i in range(files):
        labels.add(label_file(mixed[i::files]), id="id", at="at")
    assert joined_labels(log, labels) == wanted
    counts = labels.counts
    once = mw.Labels().add(label_file(events), id="id", at="at").counts
    assert (counts.ids, counts.corrected, counts.conflicting) == (once.ids, once.corrected, once.conflicting)
    assert counts.events == len(mixed)
    assert counts.repeated == len(mixed) - counts.ids
    assert counts.ids == len({name for name, _, _ in events})
    assert counts.conflicting == sum(
        wanted[name] is None and any(name == at for at, _, _ in events) for name in range(13)
    )


@pytest.fixture(scope="module")
def baseline() -> mw.Baseline:
    return mw.Baseline.fit(scored_log(2000, 0), roles=ROLES)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_windows_and_segments_are_those_of_labels_known_at_once(baseline: mw.Baseline, order: tuple[int, ...]) -> None:
    logs = [scored_log(400, i) for i in (1, 2)]
    rows = pa.concat_tables(logs).select(["id", "label"])
    labels = mw.Labels()
    wrong = rows.set_column(1, "label", pa.array([None if v is None else 1 - v for v in rows["label"].to_pylist()]))
    times = {id(rows): 2, id(wrong): 1}
    for i in order:
        part = (rows.slice(0, 500), rows.slice(450), wrong)[i]
        when = times[id(wrong)] if i == 2 else times[id(rows)]
        labels.add(part.append_column("at", pa.array([when] * len(part)).cast(pa.timestamp("s"))), id="id", at="at")
    bare = [log.drop_columns(["label"]) for log in logs]
    late = mw.join_labels(bare, labels, id="id")
    assert (
        mw.Profile.count(baseline, late, **WINDOWS).to_bytes() == mw.Profile.count(baseline, logs, **WINDOWS).to_bytes()
    )
    report = mw.compare(baseline, bare, labels=labels, **WINDOWS)
    assert report.labels is not None
    assert report.labels.orphans == report.labels.conflicting == report.labels.replaced == 0
    assert report.labels.corrected == report.labels.labelled == rows["label"].length() - rows["label"].null_count
    known = mw.compare(baseline, logs, **WINDOWS).to_dict()
    assert report.to_dict()["measures"] == known["measures"]
    assert report.to_dict()["confusion"] == known["confusion"]


def test_orphans_corrections_and_shared_ids_are_counted() -> None:
    log = pa.table({"id": [1, 2, 2, 3, 4, None], "label": pa.array([0, None, None, 1, None, None], pa.int8())})
    labels = mw.Labels().add(pa.table({"id": [1, 2, 9, None, 3], "label": [1, 1, 1, 0, None]}), id="id")
    assert (labels.counts.without_id, labels.counts.without_label) == (1, 1)
    found, state = joined(log, labels, id="id", label="label")
    (file,) = found.files
    assert [v for b in file.batches(["label"]) for v in b.column(0).to_pylist()] == [1, 1, 1, 1, None, None]
    assert file.schema.field("label").type == pa.int8()
    counts = state.counts
    assert (counts.rows, counts.joined, counts.replaced, counts.labelled) == (6, 3, 1, 4)
    assert (counts.orphans, counts.shared) == (1, 1)


def test_where_no_label_finds_its_row_the_report_says_to_compare_the_ids(baseline: mw.Baseline) -> None:
    log = scored_log(50, 3)
    ids = log["id"].cast(pa.string()) if pa.types.is_integer(log["id"].type) else pa.array(range(50))
    labels = mw.Labels().add(pa.table({"id": ids, "label": [1] * 50}), id="id")
    notes = mw.compare(baseline, log, labels=labels).notes
    assert any(note.startswith("No late label found its row; compare the ids of both") for note in notes)
    some = mw.compare(baseline, log, labels=mw.Labels().add(log.select(["id", "label"]), id="id")).notes
    assert not any("compare the ids" in note for note in some)


@pytest.mark.parametrize(
    ("ids", "other"),
    [
        (pa.array([5, 6], pa.int32()), pa.array([6, 5], pa.uint64())),
        (pa.array(["a", "b"]), pa.array(["b", "a"], pa.large_string())),
        (pa.array(["a", "b"]).dictionary_encode(), pa.array(["b", "a"], pa.string_view())),
        (pa.array([b"x", b"yy"]), pa.array([b"yy", b"x"], pa.large_binary())),
    ],
)
def test_ids_of_two_types_find_each_other(ids: Any, other: Any) -> None:
    labels = mw.Labels().add(pa.table({"id": other, "label": [0, 1]}), id="id")
    assert joined_labels(pa.table({"id": ids}), labels) == [1, 0]


@pytest.mark.parametrize("kinds", [["no", "yes", None], [0.5, -0.0, None], [True, False, None], [2**62, -3, None]])
def test_labels_of_every_kind_come_back_as_they_were(kinds: list[Any]) -> None:
    labels = mw.Labels().add(pa.table({"id": [1, 2, 3], "label": kinds}), id="id")
    found = joined_labels(pa.table({"id": [3, 2, 1]}), labels)
    assert found == kinds[::-1]
    assert [type(v) for v in found] == [type(v) for v in kinds[::-1]]


def test_several_columns_can_name_a_row() -> None:
    labels = mw.Labels().add(pa.table({"a": [1, 1, 2], "b": ["x", "y", "x"], "label": [7, 8, 9]}), id=["a", "b"])
    log = mw.join_labels(pa.table({"b": ["x", "y", "y"], "a": [2, 1, 2]}), labels, id=["a", "b"])
    assert [v for f in log.files for b in f.batches(["label"]) for v in b.column(0).to_pylist()] == [9, 8, None]


def test_a_folder_of_labels_is_opened_again_and_added_to(tmp_path: Path) -> None:
    folder = tmp_path / "labels.mwl"
    mw.Labels(folder).add(pa.table({"id": [1], "label": ["no"]}), id="id")
    again = mw.Labels(folder)
    again.add(pa.table({"id": [2], "label": ["yes"]}), id="id")
    assert joined_labels(pa.table({"id": [1, 2]}), mw.Labels(folder)) == ["no", "yes"]
    assert len(again) == 2
    with pytest.raises(mw.InputError, match="holds something else"):
        mw.Labels(tmp_path)
    about = folder / "labels.json"
    about.write_text(json.dumps({**json.loads(about.read_text()), "format": 99}))
    with pytest.raises(mw.InputError, match="format 99"):
        mw.Labels(folder)


def test_what_cannot_be_taken_is_refused_and_nothing_of_it_is_kept() -> None:
    labels = mw.Labels().add(pa.table({"id": [1], "label": [1]}), id="id")
    for table, options, match in (
        (pa.table({"id": [1.5], "label": [1]}), {}, "is an id of type double"),
        (pa.table({"id": [2], "label": ["x"]}), {}, "of type string, and earlier label files of type int64"),
        (pa.table({"id": [2], "label": [[1]]}), {}, "holds labels of type"),
        (pa.table({"id": [2], "label": [1]}), {"at": "when"}, "has no column 'when'"),
        (pa.table({"id": [2], "label": [1], "when": [1]}), {"at": "when"}, "cast it to a timestamp"),
    ):
        with pytest.raises(mw.InputError, match=match):
            labels.add(table, id="id", **options)
    assert labels.counts.events == 1
    with pytest.raises(mw.InputError, match="by which labels find their rows"):
        mw.join_labels(pa.table({"x": [1]}), labels, id="id")
    names = mw.Labels().add(pa.table({"id": [1], "label": ["late"]}), id="id")
    with pytest.raises(mw.InputError, match="cast one of the two"):
        joined_labels(pa.table({"id": [1], "label": [0]}), names)


def test_labels_need_an_id_and_a_log(baseline: mw.Baseline) -> None:
    bare = mw.Baseline.fit(scored_log(100, 0).drop_columns(["id"]), roles=mw.Roles(label="label", score="score"))
    with pytest.raises(mw.InputError, match="role id"):
        mw.compare(bare, scored_log(50, 1), labels=mw.Labels())
    with pytest.raises(mw.InputError, match="counted already"):
        mw.compare(baseline, mw.Profile.count(baseline, scored_log(50, 1)), labels=mw.Labels())


def test_labels_of_numbers_make_errors_of_predictions() -> None:
    rng = np.random.default_rng(5)
    y = rng.normal(5, 2, 500)
    log = pa.table({"id": np.arange(500), "label": y, "prediction": y + rng.normal(0, 1, 500)})
    baseline = mw.Baseline.fit(log)
    labels = mw.Labels().add(log.select(["id", "label"]).slice(100), id="id")
    report = mw.compare(baseline, log.drop_columns(["label"]), labels=labels)
    known = mw.compare(baseline, log.set_column(1, "label", pa.array(y, mask=np.arange(500) < 100)))
    assert report.to_dict()["measures"] == known.to_dict()["measures"]


def test_the_command_takes_label_files(tmp_path: Path) -> None:
    log = scored_log(600, 3)
    reference, production = tmp_path / "reference.parquet", tmp_path / "production.parquet"
    pq.write_table(scored_log(800, 0), reference)
    pq.write_table(log.drop_columns(["label"]), production)
    for i in range(2):
        when = pa.array([i + 1] * len(log)).cast(pa.timestamp("s"))
        own = log["label"] if i else pa.array([0] * len(log))
        pq.write_table(pa.table({"id": log["id"], "label": own, "when": when}), tmp_path / f"labels_{i}.parquet")
    fitted = str(tmp_path / "b.mwb")
    run = CliRunner()
    options = ["--label", "label", "--score", "score", "--id", "id", "--timestamp", "when", "--threshold", "0.4"]
    assert run.invoke(app, ["fit", str(reference), "-o", fitted, *options, "-q"]).exit_code == 0
    out = tmp_path / "report.json"
    common = ["compare", fitted, str(production), "--json", str(out), "--fail-on", "never", "-q"]
    late = ["--labels", str(tmp_path / "labels_*.parquet"), "--labelled-at", "when"]
    assert run.invoke(app, [*common, *late]).exit_code == 0
    found = json.loads(out.read_text())
    assert found["labels"]["ids"] == found["labels"]["joined"] == 600
    assert found["performance"]["threshold"] == 0.4
    assert run.invoke(app, [*common, "--labelled-at", "when"]).exit_code == 2


def test_more_labels_than_memory_are_put_in_order_part_by_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(8)
    ids, values = rng.integers(0, 400, 3000), rng.integers(0, 50, 3000)
    table = pa.table({"id": ids, "label": values, "at": pa.array(np.arange(3000)).cast(pa.timestamp("s"))})
    log = pa.table({"id": np.arange(400)})
    wanted = joined_labels(log, mw.Labels().add(table, id="id", at="at"))
    monkeypatch.setattr("modelwatch_gpu.log.labels._FEW", 100)
    monkeypatch.setattr("modelwatch_gpu.log.labels.PART_IDS", 64)
    labels = mw.Labels(tmp_path / "l")
    for begin in range(0, 3000, 700):
        labels.add(table.slice(begin, 700), id="id", at="at")
    assert joined_labels(log, labels) == wanted
    last = {int(i): int(v) for i, v in zip(ids, values, strict=True)}
    assert wanted == [last.get(i) for i in range(400)]
    assert {p.name.split(".")[0] for p in (tmp_path / "l").iterdir()} == {"labels", "5"}


def test_a_service_counts_errors_of_predictions_as_they_come() -> None:
    rng = np.random.default_rng(6)
    y = rng.normal(5, 2, 300)
    log = pa.table({"label": y, "prediction": y + rng.normal(0, 1, 300)})
    baseline = mw.Baseline.fit(log)
    batches = log.to_batches(max_chunksize=100)
    live = mw.LiveProfile(baseline)
    for batch in batches:
        live.add(batch)
    assert live.profile().to_bytes() == mw.Profile.count(baseline, pa.Table.from_batches(batches)).to_bytes()
