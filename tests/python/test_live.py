"""A live profile: batches added as they come count like the same batches in one log, to the byte."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.feather as feather
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from state_makers import chunked, exact_state, log
from weight_makers import weighted

import modelwatch_gpu as mw
from modelwatch_gpu.profile import live as live_module

ROLES = mw.Roles(timestamp="when", numeric=["whole"])
ZONE = "America/New_York"
LARGE = mw.Where("large", pc.field("whole") > 10)


@pytest.fixture(scope="module")
def baseline() -> mw.Baseline:
    return mw.Baseline.fit(log(2000, 0), roles=ROLES, timezone=ZONE)


def added(baseline: mw.Baseline, batches: list[Any], **options: Any) -> mw.LiveProfile:
    live = mw.LiveProfile(baseline, **options)
    for batch in batches:
        live.add(batch)
    return live


OPTIONS: list[dict[str, Any]] = [
    {},
    {"window": "1mo"},
    {"window": "1w", "segments": ["text", ("whole", "text")], "max_groups": 3},
    {"window": "70rows"},
    {"sample": 20},
    {"quality": True, "window": "1w"},
    {"segments": [LARGE, ("text", LARGE)]},
]


@settings(max_examples=12)
@given(st.lists(st.integers(1, 299), max_size=6), st.integers(0, 50), st.booleans(), st.sampled_from(OPTIONS))
def test_batches_added_one_by_one_are_the_log_of_these_batches_to_the_byte(
    baseline: mw.Baseline, cuts: list[int], seed: int, dictionaries: bool, options: dict[str, Any]
) -> None:
    table = chunked(log(300, seed, days=40), cuts, dictionaries=dictionaries)
    live = added(baseline, table.to_batches(), **options)
    wanted = mw.Profile.count(baseline, table, **options)
    assert live.rows == 300
    assert live.profile().to_bytes() == wanted.to_bytes()
    whole = mw.Profile.count(baseline, log(300, seed, days=40), **options).merged()
    assert exact_state(live.profile().merged()) == exact_state(whole)


def test_weighted_batches_are_the_weighted_log() -> None:
    baseline = mw.Baseline.fit(weighted(900, 0), roles=mw.Roles(weight="w", timestamp="when"))
    table = chunked(weighted(400, 1), [100, 150, 151])
    live = added(baseline, table.to_batches(), window="1mo")
    assert live.profile().to_bytes() == mw.Profile.count(baseline, table, window="1mo").to_bytes()


def test_looking_at_a_live_profile_changes_nothing_and_taking_it_begins_anew(baseline: mw.Baseline) -> None:
    batches = chunked(log(600, 1), [200, 400]).to_batches()
    live = mw.LiveProfile(baseline, window="1mo", segments=["text"], max_groups=50)
    assert live.profile().rows == 0
    for i, batch in enumerate(batches):
        live.add(batch)
        assert live.profile().rows == live.rows == 200 * (i + 1)
        assert live.profile().to_bytes() == live.profile().to_bytes()
    options: dict[str, Any] = {"window": "1mo", "segments": ["text"], "max_groups": 50}
    wanted = mw.Profile.count(baseline, pa.Table.from_batches(batches), **options)
    assert live.take().to_bytes() == wanted.to_bytes()
    assert live.rows == 0
    live.add(batches[1])
    first = live.take()
    assert first.to_bytes() == mw.Profile.count(baseline, batches[1], **options).to_bytes()
    live.add(batches[2])
    both = mw.Profile.count(baseline, [pa.Table.from_batches([b]) for b in batches[1:]], **options)
    assert (first + live.take()).to_bytes() == both.to_bytes()


def test_a_live_profile_is_compared_like_its_log(baseline: mw.Baseline) -> None:
    table = chunked(log(500, 3), [250])
    report = mw.compare(baseline, added(baseline, table.to_batches(), window="1mo"), window="1mo")
    assert report.to_json() == mw.compare(baseline, table, window="1mo").to_json()
    assert mw.compare(baseline, mw.LiveProfile(baseline)).rows == 0


def test_tables_frames_and_files_are_batches_too(baseline: mw.Baseline, tmp_path: Any) -> None:
    table = log(300, 4).combine_chunks()
    wanted = exact_state(mw.Profile.count(baseline, table).merged())
    feather.write_feather(table, tmp_path / "log.feather")
    for source in (table, table.to_batches(), tmp_path / "log.feather", StreamOnly(table)):
        assert exact_state(added(baseline, [source]).profile().merged()) == wanted


class StreamOnly:
    """What other libraries hand over."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self._table.__arrow_c_stream__(requested_schema)


def test_slices_batches_without_rows_and_types_that_stand_for_others_count_alike(baseline: mw.Baseline) -> None:
    table = log(500, 5).combine_chunks()
    batch = table.to_batches()[0]
    views = batch.set_column(3, "text", batch.column("text").cast(pa.string_view()))
    wanted = exact_state(mw.Profile.count(baseline, table).merged())
    for whole in (batch, views):
        pieces = [whole.slice(0, 123), whole.slice(123, 0), whole.slice(123, 1), whole.slice(124)]
        assert exact_state(added(baseline, pieces).profile().merged()) == wanted
    assert added(baseline, [batch.slice(0, 0)]).profile().rows == 0


def test_batches_of_different_schemas_are_parts_of_one_profile(
    baseline: mw.Baseline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_module, "MOST_OPEN", 2)
    batches = [log(100, i).combine_chunks().to_batches()[0] for i in range(8)]
    shapes = [
        lambda b: b,
        lambda b: b.select(["when", "text", "x"]),  # a column is missing, the order is another
        lambda b: b.set_column(0, "x", b.column("x").cast(pa.float32())),
        lambda b: b.append_column("more", b.column("whole")),
    ]
    shaped = [shapes[i % 4](b) for i, b in enumerate(batches)]
    apart = [mw.Profile.count(baseline, b, window="1mo") for b in shaped]
    total = apart[0]
    for one in apart[1:]:
        total += one
    found = added(baseline, shaped, window="1mo").profile()
    assert exact_state(found.merged()) == exact_state(total.merged())
    assert found.rows == 800
    by_rows = [added(baseline, b, window="250rows").profile().merged() for b in (shaped, batches)]
    assert by_rows[0] is not None
    assert by_rows[1] is not None
    assert by_rows[0].group_rows["window"].tolist() == by_rows[1].group_rows["window"].tolist() == [250, 250, 250, 50]


def test_a_batch_that_is_refused_leaves_no_trace(baseline: mw.Baseline) -> None:
    table = log(300, 6).combine_chunks()
    batch = table.to_batches()[0]
    options: dict[str, Any] = {"window": "1d", "segments": ["text"]}
    codes = pa.array(np.full(300, 7, dtype=np.int8))
    broken = pa.DictionaryArray.from_arrays(codes, ["a"], safe=False)
    text = pa.array([b"\xff new"] * 300).view(pa.string())
    shifted = np.frombuffer(np.arange(301 * 8, dtype=np.uint8).tobytes(), dtype=np.uint8)[1:2401]
    unaligned = pa.Array.from_buffers(pa.float64(), 300, [None, pa.py_buffer(shifted.tobytes())])
    odd = pa.Array.from_buffers(pa.float64(), 299, [None, pa.py_buffer(b"x" + shifted.tobytes()).slice(1)])
    assert odd.buffers()[1].address % 8
    for good, bad, says in [
        (batch.set_column(3, "text", batch.column("text").dictionary_encode()), broken, "column 'text'"),
        (batch, text, "column 'text', is not valid"),
    ]:
        live = added(baseline, [good], **options)
        before = live.profile().to_bytes()
        with pytest.raises(mw.InputError, match=says):
            live.add(good.set_column(3, "text", bad.cast(good.schema.field(3).type) if bad is broken else bad))
        assert (live.rows, live.profile().to_bytes()) == (300, before)
    live = added(baseline, [batch], **options)
    before = live.profile().to_bytes()
    other_days = pa.array(np.arange(299) * 86_400, pa.int64()).cast(pa.timestamp("s", "UTC"))
    crooked = batch.slice(0, 299).set_column(0, "x", odd).set_column(4, "when", other_days)
    crooked = crooked.set_column(3, "text", pa.array([f"{i}" for i in range(299)]))
    with pytest.raises(mw.InputError, match="not aligned"):
        live.add(crooked)
    assert (live.rows, live.profile().to_bytes()) == (300, before)
    live.add(batch.set_column(0, "x", unaligned))
    assert live.rows == 600


def test_a_weight_that_is_refused_leaves_no_trace() -> None:
    table = weighted(300, 1).combine_chunks()
    baseline = mw.Baseline.fit(table, roles=mw.Roles(weight="w", timestamp="when"))
    live = added(baseline, [table], window="1mo")
    before = live.profile().to_bytes()
    bad = table.set_column(5, "w", pa.array([float(v) for v in range(299)] + [np.nan]))
    with pytest.raises(mw.InputError, match="<table>: the weight in column 'w' is nan in row 299"):
        live.add(bad)
    assert (live.rows, live.profile().to_bytes()) == (300, before)


def test_columns_that_windows_and_segments_need_are_asked_for(baseline: mw.Baseline) -> None:
    batch = log(10, 0).combine_chunks().to_batches()[0]
    with pytest.raises(mw.InputError, match="no column 'when', which is the timestamp"):
        mw.LiveProfile(baseline, window="1d").add(batch.drop_columns(["when"]))
    with pytest.raises(mw.InputError, match="Cannot segment by 'text'"):
        mw.LiveProfile(baseline, segments=["text"]).add(batch.drop_columns(["text"]))
    with pytest.raises(mw.InputError, match="The batch cannot be read from int"):
        mw.LiveProfile(baseline).add(5)
    with pytest.raises(mw.InputError, match="Windows need a timestamp"):
        mw.LiveProfile(mw.Baseline.fit(pa.table({"x": [1.0, 2.0]})), window="1d")
    with pytest.raises(mw.DeviceUnavailable):
        mw.LiveProfile(baseline, device="cuda")


def test_threads_of_a_service_may_share_one(baseline: mw.Baseline) -> None:
    batches = [log(50, i).combine_chunks().to_batches()[0] for i in range(40)]
    live = mw.LiveProfile(baseline, window="1mo", threads=2)
    taken: list[mw.Profile] = []

    def serve(own: list[pa.RecordBatch]) -> None:
        for i, batch in enumerate(own):
            live.add(batch)
            if i == 5:
                taken.append(live.take())

    workers = [threading.Thread(target=serve, args=(batches[i::4],)) for i in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    total = live.take()
    for one in taken:
        total += one
    wanted = mw.Profile.count(baseline, pa.Table.from_batches(batches), window="1mo")
    assert exact_state(total.merged()) == exact_state(wanted.merged())
