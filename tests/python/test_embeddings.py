"""Embeddings in the one pass: what is kept, that it adds up, and what a report says of it."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from embedding_makers import ROLES, fixed, log_of, vectors
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import linalg, stats
from scipy.spatial.distance import cosine
from tolerances import EMBEDDING_PARTITION, EMBEDDING_SUMS

import modelwatch_gpu as mw
from modelwatch_gpu.measures.embedding_sums import centroid_squared, cloud_of
from modelwatch_gpu.profile.vectors import LENGTH, NOT_FINITE, NULL, TAKEN, vectors_of
from modelwatch_gpu.report.report import json_schema

D = 6


@pytest.fixture(scope="module")
def reference() -> Any:
    return vectors(400, D, seed=1)


@pytest.fixture(scope="module")
def baseline(reference: Any) -> mw.Baseline:
    return mw.Baseline.fit(log_of(reference), roles=mw.Roles(**ROLES))


def measures(report: mw.Report, *, segment: Any = None) -> dict[str, Any]:
    return {
        row["measure"]: row["value"]
        for row in report.to_dict()["measures"]
        if row["column"] == "vector" and row["segment"] == segment
    }


# ---- reading vectors -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [pa.float16(), pa.float32(), pa.float64()])
@pytest.mark.parametrize("fixed_size", [True, False])
def test_vectors_of_every_type_and_layout_are_read_alike(kind: pa.DataType, fixed_size: bool) -> None:
    values = np.arange(12, dtype=np.float16).reshape(4, 3)
    array = fixed(values, kind)
    if not fixed_size:
        array = array.cast(pa.list_(kind))
    found = vectors_of(array.slice(1, 2), 3)
    assert found.values.tolist() == values[1:3].tolist()
    assert found.code.tolist() == [TAKEN, TAKEN]


def test_bfloat16_comes_as_uint16_whose_field_says_so(reference: Any) -> None:
    halves = (np.ascontiguousarray(reference).view(np.uint32) >> 16).astype(np.uint16)
    field = pa.field("vector", pa.list_(pa.uint16(), D), metadata={"dtype": "bfloat16"})
    table = log_of(reference).drop_columns("vector").append_column(field, fixed(halves))
    fitted = mw.Baseline.fit(table, roles=mw.Roles(**ROLES))
    wide = (halves.astype(np.uint32) << 16).view(np.float32)
    cloud = cloud_of(fitted.part.embeddings["window", "vector"], fitted.embeddings[0], 0, window=True)
    assert fitted.embeddings[0].center + cloud.mean == pytest.approx(wide.mean(axis=0), abs=1e-5)
    with pytest.raises(mw.InputError, match="its type is"):
        mw.Baseline.fit(
            table.cast(table.schema.remove_metadata()).set_column(3, "vector", fixed(halves)), roles=mw.Roles(**ROLES)
        )


def test_rows_that_cannot_be_used_have_a_reason_each() -> None:
    nan = float("nan")
    rows = [[1.0, 2.0], None, [1.0], [], [nan, 1.0], [None, 1.0], [float("inf"), 1.0], [float("-inf"), float("inf")]]
    found = vectors_of(pa.array([*rows, [-0.0, 5e-324]], pa.list_(pa.float64())), 2)
    assert found.code.tolist() == [TAKEN, NULL, LENGTH, LENGTH, *[NOT_FINITE] * 4, TAKEN]
    assert found.values.tolist() == [[1.0, 2.0], [0.0, 5e-324]]
    large = vectors_of(pa.array([[3e38, 3e38]], pa.list_(pa.float32())), 2)
    assert large.code.tolist() == [TAKEN]  # finite, though the sum of its elements is not


def test_rows_left_out_are_counted_and_found(baseline: mw.Baseline) -> None:
    rows: list[Any] = vectors(100, D, seed=2).tolist()
    rows[0], rows[1], rows[2], rows[3], rows[4] = None, [1.0], [float("nan")] * D, [1e9] * D, None
    report = mw.compare(baseline, log_of(pa.array(rows, pa.list_(pa.float32()))))
    found = measures(report)
    assert found["missing"] == 2 / 100
    assert found["malformed"] == 3 / 100
    finding = next(f for f in report.findings if f.check == "malformed")
    assert finding.severity == "warning"
    assert finding.reason.startswith("3% of vectors cannot be used")


# ---- state -----------------------------------------------------------------------------------------------------------


def test_sums_are_those_of_numpy(baseline: mw.Baseline) -> None:
    current = vectors(777, D, seed=3, shift=0.1)
    part = mw.Profile.count(baseline, log_of(current)).merged()
    assert part is not None
    column, table = baseline.embeddings[0], part.embeddings["window", "vector"]
    cloud = cloud_of(table, column, 0, window=True)
    about = current.astype(np.float64) - column.center
    assert cloud.n == 777
    assert cloud.total == pytest.approx(about.sum(axis=0), abs=EMBEDDING_SUMS * 777)
    assert cloud.second == pytest.approx(about.T @ about, abs=EMBEDDING_SUMS * 777)
    assert cloud.squares == pytest.approx((about**2).sum(), abs=EMBEDDING_SUMS * 777 * D)
    angles = about @ column.frequencies.astype(np.float64)
    features = table.features[0].sum(axis=0) * 2.0**-30
    for at, scale in enumerate((4.0, 2.0, 1.0, 0.5, 0.25)):
        begin = 512 * at
        expected = np.concatenate([np.cos(angles / scale).sum(axis=0), np.sin(angles / scale).sum(axis=0)])
        assert features[begin : begin + 512] == pytest.approx(expected, abs=32 * EMBEDDING_SUMS * 777)


@settings(max_examples=20, deadline=None)
@given(st.permutations(range(5)), st.integers(1, 4))
def test_parts_add_up_to_the_same_bytes_in_any_order(baseline: mw.Baseline, order: list[int], split: int) -> None:
    pieces = [log_of(vectors(40 + 7 * i, D, seed=10 + i), seed=i, first=1000 * i) for i in range(5)]
    parts = [mw.Profile.count(baseline, piece) for piece in pieces]
    from modelwatch_gpu.profile.merging import merge_parts

    flat = [p for profile in parts for p in profile.parts]
    whole = merge_parts(flat)
    mixed = [flat[i] for i in order]
    other = merge_parts([merge_parts(mixed[:split]), merge_parts(mixed[split:])])
    assert {n: a.tobytes() for n, a in whole.arrays().items()} == {n: a.tobytes() for n, a in other.arrays().items()}


def test_halves_add_up_to_the_whole_within_tolerance(baseline: mw.Baseline) -> None:
    current = vectors(3_000, D, seed=4)
    table = log_of(current)
    whole = mw.Profile.count(baseline, table).merged()
    halves = (
        mw.Profile.count(baseline, table.slice(0, 1_234)) + mw.Profile.count(baseline, table.slice(1_234))
    ).merged()
    a, b = (p.embeddings["window", "vector"] for p in (whole, halves) if p is not None)
    for name in ("taken", "left_out", "dealt", "sample_key", "sample"):
        assert getattr(a, name).tolist() == getattr(b, name).tolist(), name
    for name in ("total", "squares", "products", "features"):
        assert np.abs(getattr(a, name) - getattr(b, name)).max() * 2.0**-30 <= EMBEDDING_PARTITION * 3_000, name


def test_files_of_baselines_and_profiles_come_back_as_they_were(baseline: mw.Baseline, tmp_path: Any) -> None:
    profile = mw.Profile.count(baseline, log_of(vectors(50, D, seed=5)), segments=["topic"])
    baseline.save(tmp_path / "b.mwb")
    profile.save(tmp_path / "p.mwp")
    assert mw.Baseline.load(tmp_path / "b.mwb").to_bytes() == baseline.to_bytes()
    assert mw.Profile.load(tmp_path / "p.mwp").to_bytes() == profile.to_bytes()
    report = mw.compare(mw.Baseline.load(tmp_path / "b.mwb"), mw.Profile.load(tmp_path / "p.mwp"))
    assert report.to_json() == mw.compare(baseline, profile).to_json()


def test_files_without_embeddings_keep_their_format() -> None:
    plain = mw.Baseline.fit(pa.table({"x": [1.0, 2.0]}))
    assert b'"format": 1' in plain.to_bytes()


def test_a_live_profile_counts_vectors_too(baseline: mw.Baseline) -> None:
    table = log_of(vectors(300, D, seed=6)).combine_chunks()
    live = mw.LiveProfile(baseline)
    for batch in table.to_batches(max_chunksize=100):
        live.add(batch)
    whole = mw.Profile.count(baseline, pa.Table.from_batches(table.to_batches(max_chunksize=100)))
    assert live.profile().to_bytes() == whole.to_bytes()


# ---- measures --------------------------------------------------------------------------------------------------------


def test_measures_from_sums_are_those_of_their_definitions(baseline: mw.Baseline, reference: Any) -> None:
    current = vectors(300, D, seed=7, shift=0.15, scale=1.1)
    found = measures(mw.compare(baseline, log_of(current)))
    x, y = reference.astype(np.float64), current.astype(np.float64)
    spread = baseline.embeddings[0].spread
    gram = [z @ z.T for z in (x, y)]
    pairs = [(g.sum() - np.trace(g)) / (len(g) * (len(g) - 1)) for g in gram]
    squared = pairs[0] + pairs[1] - 2 * (x @ y.T).mean()
    assert found["centroid_distance"] == pytest.approx(np.sqrt(squared) / spread, rel=1e-4)
    assert found["cosine_distance"] == pytest.approx(cosine(x.mean(axis=0), y.mean(axis=0)), abs=1e-6)
    a, b = np.cov(x.T), np.cov(y.T)
    root = linalg.sqrtm(a)
    moved = x.mean(axis=0) - y.mean(axis=0)
    raw = moved @ moved + np.trace(a + b - 2 * np.real(linalg.sqrtm(root @ b @ root)))
    pooled = np.linalg.eigvalsh((399 * a + 299 * b) / 698)
    halves = [p * q * (1 + (i == j)) / (p + q) for i, p in enumerate(pooled) for j, q in enumerate(pooled)]
    floor = (1 / 400 + 1 / 300) * (pooled.sum() + sum(halves) / 2)
    assert found["frechet"] == pytest.approx((raw - floor) / spread**2, rel=1e-4)
    share = np.linalg.eigvalsh(b) / np.trace(b)
    assert found["effective_rank"] == pytest.approx(np.exp(-(share * np.log(share)).sum()), rel=1e-5)
    variance = sum(2 / (len(z) * (len(z) - 1)) * np.trace(np.cov(z.T) @ np.cov(z.T)) for z in (x, y)) + 4 / (
        400 * 300
    ) * np.trace(a @ b)
    assert found["centroid_z"] == pytest.approx(squared / np.sqrt(variance), rel=0.02)  # the bias of tr S^2 alone


def test_the_distance_of_centroids_by_hand() -> None:
    reference = np.array([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0], [2.0, 2.0]] * 8, dtype=np.float32)
    fitted = mw.Baseline.fit(log_of(reference), roles=mw.Roles(**ROLES))
    part = mw.Profile.count(fitted, log_of(reference[:4] + np.float32(1))).merged()
    assert part is not None
    column = fitted.embeddings[0]
    a = cloud_of(fitted.part.embeddings["window", "vector"], column, 0, window=True)
    b = cloud_of(part.embeddings["window", "vector"], column, 0, window=True)
    # Means 1 and 2 in both elements: 2 apart when squared; each side's own noise, 2 * 4/3 / 4 of four rows and
    # 2 * 32/31 / 32 of 32, is not in it: the squared lengths of the means less that are the averages over pairs.
    assert centroid_squared(a, b) == pytest.approx(2 - 2 * (4 / 3) / 4 - 2 * (32 / 31) / 32, abs=1e-6)


def test_directions_are_judged_by_exact_ks_and_wasserstein(baseline: mw.Baseline, reference: Any) -> None:
    current = vectors(250, D, seed=8, shift=0.2)
    found = measures(mw.compare(baseline, log_of(current)))
    column = baseline.embeddings[0]
    center, directions, _ = column.in_type(np.dtype(np.float32))
    a, b = ((z - center) @ directions for z in (reference, current))
    ks = [stats.ks_2samp(a[:, i], b[:, i]).statistic for i in range(a.shape[1])]
    assert found["direction_ks"] == pytest.approx(max(ks), abs=1e-12)
    w1 = [stats.wasserstein_distance(a[:, i], b[:, i]) / a[:, i].std() for i in range(a.shape[1])]
    assert found["sliced_wasserstein"] == pytest.approx(np.mean(w1), rel=1e-3)
    assert found["drifted_share"] == np.mean(np.array(w1[: column.principal]) > 0.1)
    lengths = [np.linalg.norm(z.astype(np.float64), axis=1) for z in (reference, current)]
    moved = (lengths[1].mean() - lengths[0].mean()) / lengths[0].std()
    assert found["norm_shift"] == pytest.approx(moved, rel=1e-4)


def test_random_features_come_near_the_exact_kernel(baseline: mw.Baseline, reference: Any) -> None:
    current = vectors(400, D, seed=9, shift=0.4)
    found = measures(mw.compare(baseline, log_of(current)))
    sigma = baseline.embeddings[0].bandwidth
    x, y = reference.astype(np.float64), current.astype(np.float64)

    def kernel(a: Any, b: Any) -> Any:
        return np.exp(-((a[:, None] - b) ** 2).sum(axis=2) / (2 * sigma**2))

    within = [(kernel(z, z).sum() - len(z)) / (len(z) * (len(z) - 1)) for z in (x, y)]
    assert found["rff_mmd"] == pytest.approx(within[0] + within[1] - 2 * kernel(x, y).mean(), rel=0.15)
    assert found["rff_mmd_pvalue"] == pytest.approx(1 / 500, abs=3 / 500)


def test_the_verdict_is_calm_without_drift_and_alarms_with_it(baseline: mw.Baseline) -> None:
    calm = mw.compare(baseline, log_of(vectors(400, D, seed=20)))
    assert calm.ok
    loud = mw.compare(baseline, log_of(vectors(400, D, seed=21, shift=0.5)))
    worst = loud.worst(1)[0]
    assert (worst.column, worst.check, worst.severity) == ("vector", "embedding_drift", "alert")
    assert "fired, which is sensitive to" in worst.reason
    jsonschema.validate(json.loads(loud.to_json()), json_schema())
    (shown,) = json.loads(loud.to_json())["embeddings"]
    assert shown["pvalue"] == pytest.approx(1 / 300)
    assert len(shown["exemplars"]) == 20
    assert set(shown["exemplars"][0]["labels"]) == {"id", "topic"}


def test_segments_have_sums_and_grids_but_no_sample(baseline: mw.Baseline) -> None:
    current = vectors(600, D, seed=22)
    current[::3] += 0.5
    report = mw.compare(baseline, log_of(current), segments=["topic"])
    moved, calm = (measures(report, segment={"topic": t}) for t in ("t0", "t1"))
    assert moved["centroid_z"] > 20 > 3 > abs(calm["centroid_z"])
    assert moved["direction_ks"] > 2 * calm["direction_ks"]
    assert "embedding_drift" not in moved


def test_windows_are_judged_apart(baseline: mw.Baseline) -> None:
    current = vectors(900, D, seed=23)
    current[600:] += 0.6
    report = mw.compare(baseline, log_of(current, days=3), window="1d")
    by_day = {f.start: f.severity for f in report.findings if f.check == "embedding_drift"}
    assert len(by_day) == 3
    assert by_day[max(by_day)] == "alert"


def test_a_window_against_the_one_before_is_as_if_that_were_the_baseline(baseline: mw.Baseline) -> None:
    current = vectors(900, D, seed=24)
    current[600:] += 0.6
    table = log_of(current, days=3)
    at = table["ts"].to_numpy().astype("datetime64[D]")
    days = [table.filter(pa.array(at == day)) for day in np.unique(at)]
    check = mw.Check("embedding_drift", warn=0.95, alert=0.99, against="consecutive")
    report = mw.compare(baseline, table, window="1d", consecutive=True, checks=[check])
    rows = [r for r in report.to_dict()["findings"] if r["check"] == "embedding_drift"]
    assert len(rows) == len(days) - 1 == 2
    block = next(b for b in report.results.blocks if b.column.name == "vector" and b.compared_with == "CONSECUTIVE")
    assert len(block.place) == 2
    assert block.vectors == {}
    for i in (0, 1):
        x, y = (np.stack(day["vector"].to_numpy(zero_copy_only=False)).astype(np.float64) for day in days[i : i + 2])
        gram = [z @ z.T for z in (x, y)]
        pairs = [(g.sum() - np.trace(g)) / (len(g) * (len(g) - 1)) for g in gram]
        squared = max(pairs[0] + pairs[1] - 2 * (x @ y.T).mean(), 0)
        expected = np.sqrt(squared) / baseline.embeddings[0].spread
        assert block.values["centroid_distance"].value[i] == pytest.approx(expected, abs=2e-3)
        axes = (z - baseline.embeddings[0].center for z in (x, y))
        a, b = (z @ baseline.embeddings[0].directions for z in axes)
        largest = max(stats.ks_2samp(a[:, j], b[:, j]).statistic for j in range(a.shape[1]))
        assert block.values["direction_ks"].lower[i] <= largest + 1e-9
        assert block.values["direction_ks"].upper[i] >= largest - 1e-9
    assert block.values["embedding_drift"].value[1] > 0.99


# ---- hard input ------------------------------------------------------------------------------------------------------


def test_another_dimension_or_model_is_refused_and_the_rest_comes_out(baseline: mw.Baseline) -> None:
    report = mw.compare(baseline, log_of(vectors(50, D + 1, seed=30)))
    found = next(f for f in report.findings if f.column == "vector")
    assert (found.check, found.severity) == ("present", "alert")
    assert "cannot be compared" in found.reason
    assert any(f.column == "topic" for f in report.findings)


def test_a_log_of_another_model_is_refused(reference: Any) -> None:
    def named(model: str) -> pa.Table:
        table = log_of(reference)
        field = table.schema.field("vector").with_metadata({"model": model})
        return table.set_column(3, field, table["vector"])

    fitted = mw.Baseline.fit(named("one"), roles=mw.Roles(**ROLES))
    assert fitted.embeddings[0].model == "one"
    assert mw.compare(fitted, named("one")).ok
    assert any(f.check == "present" and f.severity == "alert" for f in mw.compare(fitted, named("two")).findings)


def test_a_missing_column_and_no_vectors_have_an_answer(baseline: mw.Baseline, reference: Any) -> None:
    gone = mw.compare(baseline, log_of(reference).drop_columns("vector"))
    assert next(f for f in gone.findings if f.column == "vector").check == "present"
    nothing = log_of(pa.nulls(40, pa.list_(pa.float32(), D)))
    found = measures(mw.compare(baseline, nothing))
    assert found["missing"] == 1
    assert found["centroid_distance"] is None
    assert any("no vectors" in note for note in mw.Baseline.fit(nothing, roles=mw.Roles(**ROLES)).notes)


@pytest.mark.parametrize("rows", [0, 1, 2, 3, 7, 8])
def test_few_rows_have_a_reason_and_no_verdict(baseline: mw.Baseline, rows: int) -> None:
    report = mw.compare(baseline, log_of(vectors(rows, D, seed=31)))
    finding = [f for f in report.findings if f.check == "embedding_drift"]
    assert all(f.severity == "not_enough_data" for f in finding)
    assert json.loads(report.to_json())


def test_constant_vectors_have_reasons_and_no_nan() -> None:
    same = np.full((60, 3), 0.25, dtype=np.float32)
    fitted = mw.Baseline.fit(log_of(same), roles=mw.Roles(**ROLES))
    report = mw.compare(fitted, log_of(same))
    found = measures(report)
    assert found["embedding_drift"] < 0.95
    assert found["effective_rank"] is None
    assert report.ok
    moved = mw.compare(fitted, log_of(same + np.float32(1)))
    assert not moved.ok


def test_one_element_is_a_vector() -> None:
    fitted = mw.Baseline.fit(log_of(vectors(200, 1, seed=40)), roles=mw.Roles(**ROLES))
    assert mw.compare(fitted, log_of(vectors(200, 1, seed=41))).ok
    assert not mw.compare(fitted, log_of(vectors(200, 1, seed=42, shift=1.0))).ok


def test_vectors_scaled_to_length_one_do_not_feel_their_length(reference: Any) -> None:
    fitted = mw.Baseline.fit(log_of(reference), roles=mw.Roles(**ROLES), normalize=["vector"])
    report = mw.compare(fitted, log_of(reference * np.float32(3)))
    assert report.ok
    assert abs(measures(report)["centroid_distance"]) < 1e-3
    with pytest.raises(mw.InputError, match="it is no embedding"):
        mw.Baseline.fit(log_of(reference), roles=mw.Roles(**ROLES), normalize=["topic"])


def test_a_column_with_the_role_that_holds_no_vectors_is_refused() -> None:
    with pytest.raises(mw.InputError, match="has the role embedding but its type is int64"):
        mw.Baseline.fit(pa.table({"vector": [1, 2, 3]}), roles=mw.Roles(embedding="vector"))


def test_a_damaged_table_of_vectors_is_refused(baseline: mw.Baseline, tmp_path: Any) -> None:
    from modelwatch_gpu.profile import fileio

    raw = mw.Profile.count(baseline, log_of(vectors(50, D, seed=50))).to_bytes()
    header, arrays = fileio.from_bytes(raw, "profile", "p")
    for name in ("taken", "total", "products", "features", "sample", "sample_group", "label_size"):
        key = f"0/embedding/1/{name}"  # 0 is that of days
        (tmp_path / "p.mwp").write_bytes(fileio.to_bytes("profile", _own(header), {**arrays, key: arrays[key][:-1]}))
        with pytest.raises(mw.InputError, match="does not fit"):
            mw.compare(baseline, mw.Profile.load(tmp_path / "p.mwp"))


def _own(header: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in header.items() if k not in ("sha256", "format", "kind", "library")}


def test_a_parquet_log_of_real_layout_is_read(baseline: mw.Baseline, tmp_path: Any) -> None:
    table = log_of(vectors(300, D, seed=60))
    pq.write_table(table, tmp_path / "log.parquet", row_group_size=77)
    from_file, from_memory = mw.Profile.count(baseline, tmp_path / "log.parquet"), mw.Profile.count(baseline, table)
    assert from_file.rows == from_memory.rows
    a, b = (p.merged() for p in (from_file, from_memory))
    assert a is not None
    assert b is not None
    assert a.embeddings["window", "vector"].labels == b.embeddings["window", "vector"].labels


def test_vectors_of_weighted_rows_are_refused_with_what_to_do(reference: Any) -> None:
    log = log_of(reference).append_column("w", pa.array(np.full(len(reference), 2)))
    baseline = mw.Baseline.fit(log, roles=mw.Roles(**{**ROLES, "weight": "w"}))
    assert baseline.embeddings == ()
    (note,) = (n for n in baseline.notes if "vector" in n)
    assert "weights (column 'w')" in note
    assert "leave out the role weight" in note
