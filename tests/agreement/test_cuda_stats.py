"""Operations on a column by itself, on a device against the CPU's engine: equal to the bit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from columns import ARROW, DOMAINS, seeded

from modelwatch_gpu import _core, keys
from modelwatch_gpu.device import engine as engine_named
from modelwatch_gpu.device import resolve

pytestmark = pytest.mark.gpu

SIZES = (0, 1, 31, 32, 33, 1023, 1024, 1025, 5000)
STORED = [pa.int8(), pa.int16(), pa.int32(), pa.uint8(), pa.uint16(), pa.uint32()]


@pytest.fixture
def cuda() -> Iterator[Any]:
    """The device's engine, which takes columns of the host a few tiles at a time."""
    found: Any = engine_named(resolve("cuda"))
    before = found.chunk_rows
    found.chunk_rows = 2048
    yield found
    found.chunk_rows = before


def columns_of(domain: str) -> Iterator[pa.Array]:
    """Hard values, with nulls and without, from the middle of their buffers, of sizes about words, blocks and tiles."""
    values = seeded(domain, 6000, 3)
    missing = np.random.default_rng(1).random(6000) < 0.2
    for rows in SIZES:
        yield pa.array(values[:rows], ARROW[domain])
        yield pa.array(values, ARROW[domain], mask=missing).slice(7, rows)
    yield pa.array([None] * 100, ARROW[domain])
    if keys.is_float(domain):
        info = np.finfo(keys.dtype_of(domain))
        hard = [0.0, -0.0, np.inf, -np.inf, np.nan, info.max, info.tiny, info.smallest_subnormal, 1.0, 1.0, None]
        yield pa.array(hard * 30, ARROW[domain], from_pandas=False)


def same(found: Any, expected: Any) -> None:
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for name in expected:
            same(found[name], expected[name])
    elif isinstance(expected, (list, tuple)):
        assert len(found) == len(expected)
        for own, other in zip(found, expected, strict=True):
            same(own, other)
    elif isinstance(expected, np.ndarray):
        assert found.dtype == expected.dtype
        assert found.tobytes() == expected.tobytes()
    elif isinstance(expected, float):
        assert np.float64(found).tobytes() == np.float64(expected).tobytes()
    else:
        assert found == expected


ONE_COLUMN: dict[str, Callable[[Any, pa.Array], Any]] = {
    "column_moments": lambda e, a: e.column_moments(a),
    "log_linear_counts": lambda e, a: e.log_linear_counts(a),
    "column_registers": lambda e, a: e.column_registers(a),
}


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize("operation", ONE_COLUMN)
def test_one_column(cuda: Any, operation: str, domain: str) -> None:
    for array in columns_of(domain):
        same(ONE_COLUMN[operation](cuda, array), ONE_COLUMN[operation](_core, array))


@pytest.mark.parametrize("operation", ONE_COLUMN)
def test_chunks_one_after_the_other_do_not_meet_in_memory(cuda: Any, operation: str) -> None:
    cuda.chunk_rows = 1024
    array = pa.array(seeded("float64", 9 * 1024 + 5, 3))  # more chunks than there are buffers, twice over
    same(ONE_COLUMN[operation](cuda, array), ONE_COLUMN[operation](_core, array))


@pytest.mark.parametrize("stored", STORED, ids=str)
@pytest.mark.parametrize("operation", ONE_COLUMN)
def test_one_column_of_narrow_integers(cuda: Any, operation: str, stored: pa.DataType) -> None:
    values = np.random.default_rng(2).integers(0, 120, 3001)
    array = pa.array(values, mask=values % 5 == 0).cast(stored)
    same(ONE_COLUMN[operation](cuda, array), ONE_COLUMN[operation](_core, array))


def test_moments_about_a_whole_number_beyond_doubles(cuda: Any) -> None:
    values = np.array([2**62 + 1, 2**62 + 3, -(2**63), 2**63 - 1] * 700)
    for pivot in (None, int(keys.keys_of(np.array([2**62]), "int64")[0])):
        array = pa.array(values)
        same(cuda.column_moments(array, pivot), _core.column_moments(array, pivot))


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize("count", [0, 1, 2, 19, 64, 1000, 40_000])
def test_bins(cuda: Any, domain: str, count: int) -> None:
    chosen = seeded(domain, count, 9)
    cuts = keys.keys_of(chosen[chosen == chosen], domain)
    for array in columns_of(domain):
        same(cuda.count_bins(array, keys.DOMAINS[domain], cuts), _core.count_bins(array, keys.DOMAINS[domain], cuts))


@pytest.mark.parametrize("domain", ["float32", "float64"])
def test_bins_of_equal_width(cuda: Any, domain: str) -> None:
    edges = np.linspace(0, 1000, 65).astype(keys.dtype_of(domain))
    cuts = keys.keys_of(edges, domain)
    for array in columns_of(domain):
        same(cuda.count_bins(array, keys.DOMAINS[domain], cuts), _core.count_bins(array, keys.DOMAINS[domain], cuts))


@pytest.mark.parametrize("groups", [None, 1, 5])
def test_bins_of_many_columns_and_groups_in_one_launch(cuda: Any, groups: int | None) -> None:
    rows = 4000
    arrays = [pa.array(seeded("float64", rows, k), mask=np.arange(rows) % (k + 2) == 0) for k in range(4)]
    cuts = [keys.keys_of(np.linspace(0, 900, 5 + k), "float64") for k in range(4)]
    domain = keys.DOMAINS["float64"]
    if groups is None:
        found = cuda.count_bins_of(arrays, domain, cuts)
        for own, array, cut in zip(found, arrays, cuts, strict=True):
            np.testing.assert_array_equal(np.ravel(own), _core.count_bins(array, domain, cut))
        return
    of_row = np.random.default_rng(1).integers(-1, groups, rows).astype(np.int32)
    found = cuda.count_bins_of(arrays, domain, cuts, of_row, groups)
    for own, array, cut in zip(found, arrays, cuts, strict=True):
        for group in range(groups):
            expected = _core.count_bins(array.filter(pa.array(of_row == group)), domain, cut)
            np.testing.assert_array_equal(np.reshape(own, (groups, -1))[group], expected)


@pytest.mark.parametrize("domain", DOMAINS)
def test_distances_of_sorted_samples(cuda: Any, domain: str) -> None:
    for n, m in [(1, 1), (1, 2000), (33, 32), (3000, 2999), (1024, 1024)]:
        a, b = seeded(domain, 2 * n, 1), seeded(domain, 2 * m, 2)
        a, b = a[a == a][:n], b[b == b][:m]
        small = keys.dtype_of(domain).type(3)
        for left, right in [
            (a, b),
            (a, a[: len(b)] if len(a) >= len(b) else a),
            (np.full(n, small), np.full(m, small)),
        ]:
            expected = _core.sup_distance(pa.array(np.sort(left)), pa.array(np.sort(right)))
            assert cuda.sup_distance(pa.array(left), pa.array(right)) == expected


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize("cap", [1, 700, 1 << 40])
def test_distinct_values(cuda: Any, domain: str, cap: int) -> None:
    passes = [e.DistinctPass([keys.DOMAINS[domain]] * 2, cap) for e in (_core, cuda)]
    for seed, rows in enumerate([2000, 0, 1, 3000]):
        array = pa.array(seeded(domain, rows + 3, seed % 2), ARROW[domain], mask=np.arange(rows + 3) % 9 == 0)
        batch = pa.RecordBatch.from_arrays([array, array.take(pa.array(np.arange(rows + 3)[::-1]))], names=["a", "b"])
        for one in passes:
            one.add(batch.slice(3))
    for column in range(2):
        same(passes[1].column(column), passes[0].column(column))


@pytest.mark.parametrize("domain", DOMAINS)
def test_later_passes_of_a_fit(cuda: Any, domain: str) -> None:
    bits = keys.key_bits(domain)
    width, split = bits - 8, 6
    lows = (np.array([3, 90, 128, 191, 200], dtype=np.uint64) << np.uint64(width)).astype(np.uint64)
    plans = {
        "SplitPass": [(keys.DOMAINS[domain], lows, width, split)],
        "KeepPass": [(keys.DOMAINS[domain], lows, [width, width - 3, 0, width, width - 1])],
    }
    for name, plan in plans.items():
        passes = [getattr(e, name)(plan) for e in (_core, cuda)]
        for seed, rows in enumerate([3000, 0, 1025]):
            array = pa.array(seeded(domain, rows, seed), ARROW[domain], mask=np.arange(rows) % 9 == 0)
            for one in passes:
                one.add(pa.RecordBatch.from_arrays([array], names=["a"]))
        same(passes[1].column(0), passes[0].column(0))


@pytest.mark.parametrize("kind", [pa.int64(), pa.int32(), pa.timestamp("us"), pa.date32()], ids=str)
def test_intervals(cuda: Any, kind: pa.DataType) -> None:
    ticks = np.sort(np.random.default_rng(3).integers(0, 10_000, 5000))
    ticks[::97] = 20_000
    array = pa.array(ticks, mask=np.arange(5000) % 50 == 1).cast(pa.int32() if kind == pa.date32() else kind)
    array = array.cast(kind).slice(2)
    for boundaries in ([], [5], [0, 10_000], list(range(100, 9_000, 37))):
        edges = np.array(boundaries, dtype=np.int64)
        same(cuda.interval_of(array, edges), _core.interval_of(array, edges))


def test_hashes_of_rows(cuda: Any) -> None:
    rows = 3000
    random = np.random.default_rng(4)
    words = np.array(["", "a", "something longer than twelve bytes", "\N{SNOWMAN}", None], dtype=object)
    text = pa.array(words[random.integers(0, 5, rows)], pa.string())
    columns = {
        "f": pa.array(seeded("float32", rows, 1), mask=np.arange(rows) % 7 == 0),
        "d": pa.array(seeded("float64", rows, 1)),
        "i": pa.array(random.integers(-5, 5, rows)),
        "u": pa.array(random.integers(0, 255, rows).astype(np.uint8)),
        "s": text,
        "l": text.cast(pa.large_string()),
        "v": text.cast(pa.string_view()),
        "c": text.dictionary_encode(),
        "t": pa.array(random.integers(0, 1 << 40, rows)).cast(pa.timestamp("us")),
    }
    for names in (["f"], ["s"], ["c"], list(columns)):
        batch = pa.RecordBatch.from_arrays([columns[n] for n in names], names=names)
        for part in (batch, batch.slice(3, 1025), batch.slice(0, 0)):
            same(cuda.hash_rows(part), _core.hash_rows(part))
