"""The sample of rows is that of the smallest hashes, whatever the order, the batches, the files and the merges."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import modelwatch_gpu as mw
from modelwatch_gpu.profile.sample import RowSample, Sampler, row_hashes


def log(rows: int, seed: int) -> pa.Table:
    rng = np.random.default_rng(seed)
    text = pa.array(rng.choice(["a", "b", "c"], rows), mask=rng.random(rows) < 0.1)
    x = rng.normal(size=rows)
    x[rng.random(rows) < 0.1] = np.nan
    return pa.table(
        {"id": rng.permutation(rows), "x": x, "text": text, "n": pa.array(rng.integers(0, 3, rows), pa.int8())}
    )


def sample(batches: list[pa.RecordBatch], cap: int, ids: tuple[str, ...]) -> RowSample:
    sampler = Sampler(cap, ids)
    for batch in batches:
        sampler.add(batch)
    return sampler.finish()


def batches_of(table: pa.Table, size: int, *, dictionaries: bool = False) -> list[pa.RecordBatch]:
    if dictionaries:
        at = table.schema.get_field_index("text")
        table = table.set_column(at, "text", table["text"].combine_chunks().dictionary_encode())
    return table.combine_chunks().to_batches(max_chunksize=size)


@pytest.mark.parametrize("ids", [(), ("id",), ("x", "text")])
@given(seed=st.integers(0, 30), cap=st.sampled_from([1, 7, 60, 500]), size=st.integers(1, 300), coded=st.booleans())
def test_the_sample_is_the_rows_with_the_smallest_hashes(
    ids: tuple[str, ...], seed: int, cap: int, size: int, coded: bool
) -> None:
    table = log(300, seed)
    (whole,) = table.combine_chunks().to_batches()
    key, row = row_hashes(whole, ids or whole.schema.names), row_hashes(whole, whole.schema.names)
    wanted = table.take(np.lexsort([row, key])[:cap]).select(sorted(table.schema.names)).combine_chunks()
    found = sample(batches_of(table, size, dictionaries=coded), cap, ids)
    assert found.rows.to_pydict().keys() == wanted.to_pydict().keys()
    assert str(found.rows.to_pylist()) == str(wanted.to_pylist())  # NaN is NaN in text
    order = np.random.default_rng(seed).permutation(300)
    shuffled = table.take(order)
    halves = [sample(batches_of(shuffled.slice(a, b), size), cap, ids) for a, b in ((0, 100), (100, 50), (150, 150))]
    for again in (halves[0].merged(halves[1:]), halves[2].merged([halves[1].merged([halves[0]])])):
        assert {k: v.tolist() for k, v in again.arrays().items()} == {k: v.tolist() for k, v in found.arrays().items()}
    back = RowSample.from_arrays(cap, found.arrays())
    assert str(back.rows.to_pylist()) == str(found.rows.to_pylist())


def test_the_same_events_are_sampled_of_two_logs_that_share_their_ids() -> None:
    left, right = log(2000, 1), log(2000, 2)
    a, b = (sample(batches_of(t, 512), 50, ("id",)) for t in (left, right))
    assert a.rows["id"].to_pylist() == b.rows["id"].to_pylist()
    assert a.rows["x"].to_pylist() != b.rows["x"].to_pylist()


def test_files_that_lack_a_column_or_have_a_wider_type_are_sampled_together() -> None:
    table = log(200, 3)
    other = log(200, 4).drop_columns(["text"]).set_column(1, "x", pa.array(np.arange(200), pa.int32()))
    parts = [sample(batches_of(t, 64), 40, ("id",)) for t in (table, other)]
    one, two = parts[0].merged(parts[1:]), parts[1].merged(parts[:1])
    assert str(one.rows.to_pylist()) == str(two.rows.to_pylist())
    assert one.rows.schema.field("x").type == pa.float64()
    assert one.rows["text"].null_count > 0


def test_decimals_hash_by_their_value_whatever_their_scale() -> None:
    values = [None, "0", "-1.50", "12345678901234567890.12"]
    arrays = [pa.array(values, pa.string()).cast(pa.decimal128(38, scale)) for scale in (2, 5)]
    near, far = (row_hashes(pa.RecordBatch.from_arrays([a], names=["d"]), ["d"]) for a in arrays)
    assert near.tolist() == far.tolist()
    assert len(set(near.tolist())) == 4
    table = pa.table({"d": arrays[0], "x": [1.0, 2.0, 3.0, 4.0]})
    sampled = mw.Profile.count(mw.Baseline.fit(table.select(["x"])), table, sample=2).sample
    assert sampled is not None
    assert len(sampled) == 2


def test_nothing_gives_an_empty_sample() -> None:
    empty = sample([], 5, ())
    assert empty.rows.num_rows == 0
    assert RowSample.from_arrays(5, empty.arrays()).rows.num_rows == 0
    filled = sample(batches_of(log(10, 1), 3), 5, ())
    assert str(empty.merged([filled]).rows.to_pylist()) == str(filled.rows.to_pylist())


@pytest.mark.parametrize("spoil", ["sample_key", "sample_rows"])
def test_a_sample_that_does_not_fit_together_is_refused(spoil: str) -> None:
    arrays: dict[str, Any] = sample(batches_of(log(10, 1), 3), 5, ()).arrays()
    with pytest.raises(ValueError, match="sample of rows"):
        RowSample.from_arrays(5, {**arrays, spoil: arrays[spoil][: len(arrays[spoil]) // 2]})


def test_a_profile_keeps_the_sample_of_its_log_for_any_files_any_merge_and_in_its_file(tmp_path: Path) -> None:
    table = log(900, 5)
    baseline = mw.Baseline.fit(log(300, 1), roles=mw.Roles(id="id"))
    whole = mw.Profile.count(baseline, table, sample=40)
    assert whole.sample is not None
    (batch,) = table.combine_chunks().to_batches()
    wanted = table.take(np.argsort(row_hashes(batch, ["id"]), kind="stable")[:40])
    assert whole.sample["id"].to_pylist() == wanted["id"].to_pylist()
    files = [table.slice(0, 100), table.slice(100, 500), table.slice(600)]
    apart = [mw.Profile.count(baseline, f, sample=40) for f in files]
    for profile in (
        mw.Profile.count(baseline, files, sample=40),
        mw.Profile.count(baseline, files[::-1], sample=40, keep_parts=False),
        apart[2] + apart[0] + apart[1],
    ):
        profile.save(tmp_path / "p.mwp")
        for found in (profile, mw.Profile.load(tmp_path / "p.mwp")):
            assert found.sample is not None
            assert str(found.sample.to_pylist()) == str(whole.sample.to_pylist())
            assert found.merged().fingerprint == profile.merged().fingerprint  # type: ignore[union-attr]
    assert apart[0].to_bytes() == mw.Profile.load(_saved(apart[0], tmp_path)).to_bytes()


def test_a_sample_changes_no_count_and_no_fingerprint() -> None:
    baseline = mw.Baseline.fit(log(300, 1), roles=mw.Roles(id="id"))
    plain, sampled = mw.Profile.count(baseline, log(200, 2)), mw.Profile.count(baseline, log(200, 2), sample=5)
    assert plain.sample is None
    assert plain.parts[0].fingerprint == sampled.parts[0].fingerprint
    assert mw.compare(baseline, plain).to_json() == mw.compare(baseline, sampled).to_json()
    with pytest.raises(mw.InputError, match="samples of different sizes"):
        plain + sampled
    with pytest.raises(mw.InputError, match="sample must be a number of rows"):
        mw.Profile.count(baseline, log(10, 2), sample=-1)


def _saved(profile: mw.Profile, folder: Path) -> Path:
    profile.save(folder / "one.mwp")
    return folder / "one.mwp"
