"""Vectors on a device: pair sums, sums of embeddings in profiles, and what cannot be read, against the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from device_array import Dlpack, Interface
from tolerances import EMBEDDING_MEMBERS, EMBEDDING_SUMS, FAR_APART, PAIR_SUMS, VECTORS_FLOAT32, VECTORS_FLOAT64

import modelwatch_gpu as mw
from modelwatch_gpu import _core
from modelwatch_gpu.device import engine as engine_named
from modelwatch_gpu.device import resolve
from modelwatch_gpu.profile.embedding_counter import EmbeddingCounter
from modelwatch_gpu.profile.embedding_sums import DEALT, FEATURES, UNIT_BITS, EmbeddingTable
from modelwatch_gpu.profile.embeddings import EmbeddingColumn

pytestmark = pytest.mark.gpu

VECTORS = {"float32": VECTORS_FLOAT32, "float64": VECTORS_FLOAT64}


@pytest.fixture
def cuda() -> Any:
    return engine_named(resolve("cuda"))


def by_loops(x: Any, y: Any, scales: Any) -> Any:
    """SUM over pairs for every scale, and of distances, in float64."""
    found = _core.reference.pair_sums(np.ascontiguousarray(x), np.ascontiguousarray(y), scales)
    return np.append(found["gaussian"], found["distance"])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("n", "m", "d", "columns"), [(1, 1, 1, 1), (33, 70, 3, 2), (130, 65, 40, 17), (64, 64, 257, 70)]
)
def test_sums_over_marked_pairs_are_those_of_loops(cuda: Any, dtype: str, n: int, m: int, d: int, columns: int) -> None:
    random = np.random.default_rng(5)
    rows = random.normal(size=(n + m, d)).astype(dtype)
    marks = (random.random((n + m, columns)) < 0.5).astype(np.uint8)
    marks[:, 0] = np.arange(n + m) < n
    scales = np.array([0.1, 1.0, 7.5]) / d
    found = cuda.pair_sums([rows[:n], rows[n:]], marks, np.append(scales, -1.0))
    tolerance = PAIR_SUMS[dtype]
    own = np.append(np.full(3, n + m), 0)  # of a row and itself
    slack = tolerance * (n + m)  # what the oracle loses where it takes a row and itself off
    np.testing.assert_allclose(found["total"], by_loops(rows, rows, scales) - own, rtol=tolerance, atol=slack)
    for c in range(columns):
        a, b = rows[marks[:, c] == 1], rows[marks[:, c] == 0]
        within = by_loops(a, a, scales) - np.append(np.full(3, len(a)), 0)
        np.testing.assert_allclose(found["within"][:, c], within, rtol=tolerance, atol=slack)
        np.testing.assert_allclose(found["touching"][:, c], within + by_loops(a, b, scales), rtol=tolerance, atol=slack)
    again = cuda.pair_sums([rows], marks, np.append(scales, -1.0))
    assert all(again[name].tobytes() == found[name].tobytes() for name in found)


def test_more_functions_than_a_launch_takes(cuda: Any) -> None:
    rows = np.random.default_rng(6).normal(size=(70, 3))
    scales = np.linspace(0.1, 2, 11)
    found = cuda.pair_sums([rows], np.ones((70, 1)), scales)
    np.testing.assert_allclose(found["within"][:, 0], by_loops(rows, rows, scales)[:-1] - 70, rtol=PAIR_SUMS["float64"])
    np.testing.assert_allclose(found["total"], found["within"][:, 0], rtol=PAIR_SUMS["float64"])
    none = cuda.pair_sums([rows], np.ones((70, 0)), scales)
    assert none["within"].shape == (11, 0)
    np.testing.assert_array_equal(none["total"], found["total"])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_mmd_and_energy_are_the_hosts(dtype: str) -> None:
    random = np.random.default_rng(7)
    a = random.normal(size=(70, 9)).astype(dtype)
    b = (random.normal(size=(49, 9)) + 0.3).astype(dtype)
    options: dict[str, Any] = {"permutations": 12, "seed": 3, "full": True}
    for function, more in (
        (mw.stats.mmd, {}),
        (mw.stats.mmd, {"bandwidth": [1.0, 4.0]}),
        (mw.stats.energy_distance, {"multivariate": True}),
    ):
        expected = function(a, b, **options, **more)
        for sides in ((Dlpack(a), Interface(b)), (a, Dlpack(b)), (Dlpack(a), b)):
            found = function(*sides, **options, **more)
            assert found.value == pytest.approx(expected.value, rel=0, abs=VECTORS[dtype])
            assert (found.pvalue, found.n, found.m, found.device) == (expected.pvalue, 70, 49, "cuda:0")
        assert function(a, b, device="cuda", **more) == pytest.approx(expected.value, rel=0, abs=VECTORS[dtype])


def test_vectors_that_a_device_cannot_read_are_refused() -> None:
    a = np.random.default_rng(8).normal(size=(40, 6))
    bad = a.copy()
    bad[3, 2] = np.inf
    for name, options in (("mmd", {"bandwidth": 1.0}), ("energy_distance", {"multivariate": True})):
        function = getattr(mw.stats, name)
        with pytest.raises(mw.InputError, match="NaN or infinite"):
            function(Dlpack(a), Dlpack(bad), **options)
        with pytest.raises(mw.InputError, match="one behind the other"):
            function(Dlpack(a), Dlpack(np.asfortranarray(a)), **options)
        with pytest.raises(mw.InputError, match="vectors there are float32 or float64"):
            function(Dlpack(a.astype(np.float16)), Dlpack(a), **options)
        with pytest.raises(mw.InputError, match="give both one type"):
            function(Dlpack(a.astype(np.float32)), Dlpack(a), **options)
        with pytest.raises(mw.InputError, match="give both vectors of one length"):
            function(Dlpack(a[:, :3].copy()), Dlpack(a), **options)
        with pytest.raises(mw.InputError, match="has 0 rows"):
            function(Dlpack(a[:0]), Dlpack(a), **options)
    with pytest.raises(mw.InputError, match="most reference rows are equal"):
        mw.stats.mmd(Dlpack(np.ones((40, 2))), Dlpack(a[:, :2].copy()))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("n", "m", "d", "k"), [(2, 1, 1, 1), (70, 33, 33, 5), (40, 300, 3, 39)])
def test_neighbours_are_those_of_all_differences(cuda: Any, dtype: str, n: int, m: int, d: int, k: int) -> None:
    random = np.random.default_rng(14)
    a, b = random.normal(size=(n, d)).astype(dtype), random.normal(size=(m, d)).astype(dtype)
    a[1] = a[0]  # ties go to the earlier row
    for rows, among, most in ((b, a, k), (a, None, min(k, n - 1))):
        there = a if among is None else among
        squared, index = cuda.nearest([rows], None if among is None else [among], most)
        apart = ((rows[:, None].astype(np.float64) - there[None].astype(np.float64)) ** 2).sum(axis=2)
        if among is None:
            np.fill_diagonal(apart, np.inf)
        order = np.argsort(apart, axis=1, kind="stable")[:, :most]
        np.testing.assert_allclose(squared, np.take_along_axis(apart, order, 1), rtol=VECTORS_FLOAT64)
        np.testing.assert_array_equal(index, order)
    halves = cuda.nearest([a[: n // 2], a[n // 2 :]], None, 1)
    for own, other in zip(halves, cuda.nearest([a], None, 1), strict=True):
        np.testing.assert_array_equal(own, other)
    with pytest.raises(mw.InputError, match="not so many other rows"):
        cuda.nearest([a], None, n)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_verdict_and_novelty_are_the_hosts(dtype: str) -> None:
    random = np.random.default_rng(15)
    a = random.normal(size=(60, 6)).astype(dtype)
    for shift in (0.0, 1.5):
        b = (random.normal(size=(45, 6)) + shift).astype(dtype)
        expected = mw.stats.embedding_drift(a, b, permutations=39, full=True)
        for sides, device in (((Dlpack(a), Interface(b)), "auto"), ((a, b), "cuda")):
            found = mw.stats.embedding_drift(*sides, permutations=39, device=device, full=True)
            assert (found.pvalue, found.member, found.device) == (expected.pvalue, expected.member, "cuda:0")
            for name, score in expected.scores.items():
                assert found.scores[name] == pytest.approx(score, rel=EMBEDDING_MEMBERS, abs=EMBEDDING_MEMBERS), name
            assert found.novelty == pytest.approx(expected.novelty, abs=EMBEDDING_MEMBERS)
            np.testing.assert_allclose(found.distance, expected.distance, rtol=VECTORS_FLOAT32)
            np.testing.assert_array_equal(found.ranked, expected.ranked)
        assert mw.stats.embedding_drift(Dlpack(a), Dlpack(b), permutations=39) == 1 - expected.pvalue
        new, old = (mw.stats.knn_novelty(*s, k=3, full=True) for s in ((Dlpack(a), Dlpack(b)), (a, b)))
        assert (new.device, new.n, new.m, new.rate) == ("cuda:0", old.n, old.m, old.rate)
        assert new.value == pytest.approx(old.value, abs=VECTORS_FLOAT32)
    with pytest.raises(mw.InputError, match="from 19"):
        mw.stats.embedding_drift(Dlpack(a), Dlpack(b), permutations=3)
    with pytest.raises(mw.InputError, match="has 7 rows, and it needs 8"):
        mw.stats.embedding_drift(Dlpack(a[:7].copy()), Dlpack(b))


def test_kernels_of_pairs_that_are_all_far_apart(cuda: Any) -> None:
    """The sums are about a squared distance, where exp of all of them by themselves would be 0."""
    rows = np.random.default_rng(16).normal(size=(40, 3)) + 200.0 * np.arange(40)[:, None]
    marks = np.ones((40, 1), dtype=np.uint8)
    closest = float(((rows[1:] - rows[:-1]) ** 2).sum(axis=1).min())
    found = cuda.pair_sums([rows], marks, np.array([0.5]), closest)
    apart = ((rows[:, None] - rows[None]) ** 2).sum(axis=2)[~np.eye(40, dtype=bool)]
    np.testing.assert_allclose(found["total"], np.exp(-0.5 * (apart - closest)).sum(), rtol=FAR_APART)
    assert cuda.pair_sums([rows], marks, np.array([0.5]))["total"] == 0


def table_of(column: EmbeddingColumn, batches: list[Any], groups: list[Any], device: str) -> EmbeddingTable:
    """Sums of batches in a set of a window, by way of what counts them in a file."""
    counter = EmbeddingCounter(column, ["window"], ["vector"], [], device)
    for values, group in zip(batches, groups, strict=True):
        flat = pa.array(np.ascontiguousarray(values).reshape(-1))
        array = pa.FixedSizeListArray.from_arrays(flat, values.shape[1])
        batch = pa.record_batch([array], names=["vector"])
        counter.add(batch, counter.read(batch)[0], [group])
    return counter.table(0, 2)


@pytest.mark.parametrize(("dtype", "d"), [("float32", 1), ("float64", 17), ("float32", 65), ("float64", 66)])
def test_sums_of_vectors_by_window_are_the_hosts(dtype: str, d: int) -> None:
    random = np.random.default_rng(d)
    reference = random.normal(size=(600, d)).astype(np.float32)
    flat = pa.FixedSizeListArray.from_arrays(pa.array(reference.reshape(-1)), d)
    baseline = mw.Baseline.fit(pa.table({"vector": flat}), roles=mw.Roles(embedding="vector"))
    (column,) = baseline.embeddings
    sizes = (1, 65, 300) if d > 64 else (33, 64, 1100)
    batches = [(random.normal(size=(n, d)) * 1.3 + 0.2).astype(dtype) for n in sizes]
    groups: list[Any] = [np.arange(n) % 3 // 2 for n in sizes]
    groups[1] = None
    found, expected = (table_of(column, batches, groups, device) for device in ("cuda:0", "cpu"))
    for name in ("taken", "left_out", "dealt", "sample_group", "sample_key", "sample"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), name)
    assert found.features.shape == (2, DEALT, FEATURES)
    rows = expected.taken.astype(np.float64)
    for name in ("total", "squares", "products", "features"):
        own, other = (getattr(t, name).astype(np.float64) * 2.0**-UNIT_BITS for t in (found, expected))
        scale = rows.reshape(-1, *[1] * (own.ndim - 1))
        np.testing.assert_allclose(own / scale, other / scale, rtol=0, atol=EMBEDDING_SUMS, err_msg=name)


def test_a_profile_with_embeddings_is_counted_on_a_device() -> None:
    """Projections are counted as numbers there, to the same bytes; sums of windows are within their tolerance."""
    random = np.random.default_rng(12)

    def log(rows: int, shift: float) -> pa.Table:
        values = (random.normal(size=(rows, 8)) + shift).astype(np.float32)
        at = pa.array((1_700_006_400 + np.sort(random.integers(0, 2 * 86_400, rows))) * 1_000_000).cast(
            pa.timestamp("us")
        )
        vector = pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), 8)
        return pa.table({"ts": at, "topic": [f"t{i % 3}" for i in range(rows)], "vector": vector})

    roles = mw.Roles(timestamp="ts", embedding="vector")
    baseline = mw.Baseline.fit(log(700, 0), roles=roles, device="cpu")
    rows = log(150, 0.2)
    options: dict[str, Any] = {"segments": ["topic"]}
    found, expected = (mw.Profile.count(baseline, rows, device=d, **options).merged() for d in ("cuda", "cpu"))
    assert found.tables.keys() == expected.tables.keys()
    for key, table in expected.tables.items():
        for name, array in table.arrays().items():
            assert found.tables[key].arrays()[name].tobytes() == array.tobytes(), (key, name)
    for key, sums in expected.embeddings.items():
        own = found.embeddings[key]
        assert own.taken.tolist() == sums.taken.tolist()
        each = np.maximum(sums.taken, 1).astype(np.float64)[:, None]
        unit = 2.0**-UNIT_BITS
        np.testing.assert_allclose(own.total * unit / each, sums.total * unit / each, rtol=0, atol=EMBEDDING_SUMS)
    values = [mw.compare(baseline, rows, device=d, **options).to_dict()["measures"] for d in ("cuda", "cpu")]
    for own, other in zip(*values, strict=True):
        if other["column"] == "vector" and other["value"] is not None:
            assert own["value"] == pytest.approx(other["value"], rel=1e-3, abs=1e-4), other["measure"]


def test_what_does_not_fit_an_adder_is_refused(cuda: Any) -> None:
    adder = cuda.VectorAdder(np.ones((3, 64)), 4.0, 2)
    rows = np.ones((5, 3), dtype=np.float32)
    with pytest.raises(mw.InputError, match="a hand"):
        adder.add(0, rows[:, :2].copy(), np.zeros(5))
    with pytest.raises(mw.InputError, match="not among the hands"):
        adder.add(0, rows, np.full(5, 2))
    with pytest.raises(mw.InputError, match="contiguous"):
        adder.add(0, np.asfortranarray(rows), np.zeros(5))
    with pytest.raises(mw.InputError, match="float32"):
        adder.add(0, rows.astype(np.int32), np.zeros(5))
    assert not any(adder.sums(4)[name].any() for name in ("products", "total", "features"))
