"""Counting into profiles on a device against the CPU's engine: the same state, to the byte, moments included."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from columns import ARROW, DOMAINS, grid_and_knots, seeded

from modelwatch_gpu import _core, keys
from modelwatch_gpu.device import engine as engine_named
from modelwatch_gpu.device import resolve

pytestmark = pytest.mark.gpu

SIZES = (0, 1, 31, 32, 33, 1023, 1024, 1025, 3000)
NOTHING = np.empty(0, dtype=np.uint32)
#: A fine set with everything, a coarse one with moments, and a coarse one with counts only.
SETS = (
    {"coarse": False, "moments": True, "sketches": True},
    {"coarse": True, "moments": True, "sketches": False},
    {"coarse": True, "moments": False, "sketches": False},
)


def numeric_plan(domain: str, knots: int, seed: int, coarse: int = 5) -> _core.NumericPlan:
    """A grid of some knots that values of `seeded` meet now and then; its slots put together in `coarse` ones."""
    chosen = seeded(domain, 2 * knots, seed)
    grid, _ = grid_and_knots(domain, np.unique(chosen[chosen == chosen])[:knots].tolist())
    to_coarse = (np.arange(grid.slots) * coarse // grid.slots).astype(np.uint32)
    pivot = int(keys.keys_of(np.array([7], dtype=keys.dtype_of(domain)), domain)[0])
    return _core.NumericPlan(
        grid=grid,
        to_fine=NOTHING,
        fine_slots=grid.slots,
        to_coarse=to_coarse,
        coarse_slots=coarse,
        gap_shift=0,
        pivot=pivot if domain.endswith("int64") else 0,
    )


def category_plan(known: Sequence[bytes], cap: int = 10_000, known_cap: tuple[int, bytes] | None = None) -> Any:
    """Categories that the baseline knows; on the coarse grid every second one is apart."""
    apart = [3 + i // 2 if i % 2 == 0 else 2 for i in range(len(known))]
    return _core.CategoryPlan(
        known=sorted(known),
        to_coarse=np.array(apart, dtype=np.uint32),
        coarse_slots=4 + len(known) // 2,
        unseen_cap=cap,
        known_cap=known_cap,
    )


def group_arrays(kind: str, rows: int, seed: int, sets: int) -> list[npt.NDArray[np.int32] | None]:
    """Groups of every row: none given, long runs, or mixed; some rows are in no group."""
    random = np.random.default_rng(seed)
    if kind == "one":
        return [None] * sets
    if kind == "runs":
        runs = (np.arange(rows) // 2100).astype(np.int32)
        return [np.where(runs == 1, -1, 3 * runs).astype(np.int32) if s == 0 else runs for s in range(sets)]
    mixed = [random.integers(-1, 4 + 300 * s, rows).astype(np.int32) for s in range(sets)]
    mixed[0] = np.sort(mixed[0])
    return list(mixed)


def both(columns: list[Any], sets: Sequence[dict[str, bool]]) -> tuple[Any, Any]:
    plans = [_core.SetPlan(**s) for s in sets]
    return _core.Counter(columns, plans), engine_named(resolve("cuda")).Counter(columns, plans)


def assert_same(found: dict[str, Any], expected: dict[str, Any], where: str) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        if isinstance(value, np.ndarray):
            own = found[name]
            assert own.dtype == value.dtype, f"{where}: {name}"
            # Bytes, so that NaN and the sign of zero count too.
            assert own.shape == value.shape, f"{where}: {name} {own.shape} {value.shape}"
            assert own.tobytes() == value.tobytes(), f"{where}: {name}"
        else:
            assert found[name] == value, f"{where}: {name}"


def assert_counters_agree(cpu: Any, gpu: Any, columns: list[Any], sets: Sequence[dict[str, bool]]) -> None:
    assert gpu.rows == cpu.rows
    for c, plan in enumerate(columns):
        for s in range(len(sets)):
            if isinstance(plan, _core.NumericPlan):
                assert_same(gpu.numeric(c, s), cpu.numeric(c, s), f"column {c}, set {s}")
            else:
                assert_same(gpu.category(c, s), cpu.category(c, s), f"column {c}, set {s}")


def masked(domain: str, rows: int, seed: int) -> pa.Array:
    values = seeded(domain, rows, seed)
    return pa.array(values, ARROW[domain], mask=np.random.default_rng(seed).random(rows) < 0.1)


@pytest.mark.parametrize("kind", ["one", "runs", "mixed"])
@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize("knots", [2, 40, 6000])
def test_numeric_state_is_the_same(domain: str, knots: int, kind: str) -> None:
    columns = [numeric_plan(domain, knots, 5)]
    cpu, gpu = both(columns, SETS)
    for seed, (rows, offset) in enumerate([(5000, 3), (1024, 0), (0, 0), (2049, 9)]):
        array = masked(domain, rows + offset, seed).slice(offset)
        batch = pa.RecordBatch.from_arrays([array], names=["x"])
        groups = group_arrays(kind, rows, seed, len(SETS))
        for counter in (cpu, gpu):
            counter.add(batch, groups)
    assert_counters_agree(cpu, gpu, columns, SETS)


@pytest.mark.parametrize("domain", ["float32", "int64"])
@pytest.mark.parametrize("rows", SIZES)
def test_sizes_about_words_blocks_and_tiles(domain: str, rows: int) -> None:
    columns = [numeric_plan(domain, 10, 5), category_plan([b"a", b"b"])]
    cpu, gpu = both(columns, SETS)
    text = pa.array(np.array(["a", "b", "c", None], dtype=object)[np.arange(rows + 5) % 4], pa.string())
    batch = pa.RecordBatch.from_arrays([masked(domain, rows + 5, 1), text.dictionary_encode()], names=["x", "c"])
    for counter in (cpu, gpu):
        counter.add(batch.slice(5), group_arrays("mixed", rows, 2, len(SETS)))
    assert_counters_agree(cpu, gpu, columns, SETS)


STORED = {
    "int64": [pa.int8(), pa.int16(), pa.int32(), pa.uint8(), pa.uint16(), pa.uint32()],
    "float64": [pa.float32(), pa.int8(), pa.int32(), pa.uint16()],
}


@pytest.mark.parametrize(
    ("domain", "stored"), [(d, t) for d, types in STORED.items() for t in types], ids=lambda x: str(x)
)
def test_narrower_types_are_compared_in_their_domain(domain: str, stored: pa.DataType) -> None:
    columns = [numeric_plan(domain, 30, 5)]
    cpu, gpu = both(columns, SETS)
    values = np.random.default_rng(1).integers(0, 120, 3000)
    array = pa.array(values, mask=values % 11 == 0).cast(stored)
    for counter in (cpu, gpu):
        counter.add(pa.RecordBatch.from_arrays([array], names=["x"]), group_arrays("runs", 3000, 1, len(SETS)))
    assert_counters_agree(cpu, gpu, columns, SETS)


@pytest.mark.parametrize("domain", DOMAINS)
def test_weights_count_rows_several_times(domain: str) -> None:
    columns = [numeric_plan(domain, 40, 5), category_plan([b"x"], cap=3)]
    cpu, gpu = both(columns, SETS)
    random = np.random.default_rng(4)
    for seed in range(2):
        rows = 2500
        text = pa.array(random.integers(0, 9, rows).astype(str)).dictionary_encode()
        batch = pa.RecordBatch.from_arrays([masked(domain, rows, seed), text], names=["x", "c"])
        weights = random.integers(1, 2**32, rows, dtype=np.uint64).astype(np.uint32)
        groups = group_arrays("mixed", rows, seed, len(SETS))
        for counter in (cpu, gpu):
            counter.add(batch, groups, 0, weights)
    assert_counters_agree(cpu, gpu, columns, SETS)


def test_integers_on_a_grid_of_floats() -> None:
    """A grid that was lifted: whole numbers hash as integers, and gaps lie elsewhere in the state."""
    lifted, _ = grid_and_knots("float64", [0.0, 2.0, 7.0, 50.0])
    to_fine = np.maximum(np.arange(lifted.slots, dtype=np.int64) - 2, 0).astype(np.uint32)
    plan = _core.NumericPlan(
        grid=lifted,
        to_fine=to_fine,
        fine_slots=int(to_fine.max()) + 1,
        to_coarse=(to_fine // 4).astype(np.uint32),
        coarse_slots=int(to_fine.max()) // 4 + 1,
        gap_shift=1,
        pivot=0,
    )
    cpu, gpu = both([plan], SETS)
    values = np.random.default_rng(1).integers(-5, 90, 4000).astype(float)
    values[::17] += 0.5
    for counter in (cpu, gpu):
        counter.add(
            pa.RecordBatch.from_arrays([pa.array(values)], names=["x"]), group_arrays("mixed", 4000, 1, len(SETS))
        )
    assert_counters_agree(cpu, gpu, [plan], SETS)


TEXT = [pa.string(), pa.large_string(), pa.string_view(), pa.binary()]


@pytest.mark.parametrize("kind", ["one", "runs", "mixed"])
@pytest.mark.parametrize("form", ["dictionary", *TEXT], ids=str)
def test_categories_known_unseen_and_beyond_a_cap(form: Any, kind: str) -> None:
    known = [b"", b"apple", b"a much longer name than twelve bytes", "\N{SNOWMAN}".encode()]
    cap = max((_core.hash_bytes(v), v) for v in known)
    columns = [category_plan(known), category_plan(known, cap=7), category_plan(known, cap=7, known_cap=cap)]
    sets = tuple(SETS)
    cpu, gpu = both(columns, sets)
    random = np.random.default_rng(3)
    for seed, (rows, offset) in enumerate([(3000, 5), (0, 0), (1500, 1)]):
        words = [v.decode() for v in known] + [f"unseen {i} of batch {seed // 2}" for i in range(60)]
        picked = np.array([*words, None], dtype=object)[random.integers(0, len(words) + 1, rows + offset)]
        array = pa.array(picked, pa.string())
        array = array.dictionary_encode() if form == "dictionary" else array.cast(form)
        batch = pa.RecordBatch.from_arrays([array] * 3, names=["a", "b", "c"]).slice(offset)
        for counter in (cpu, gpu):
            counter.add(batch, group_arrays(kind, rows, seed, len(sets)))
    assert_counters_agree(cpu, gpu, columns, sets)


@pytest.mark.parametrize("bytes_", [0, 200_000])
def test_counters_are_drained_when_they_may_not_grow(bytes_: int) -> None:
    columns = [numeric_plan("float64", 300, 5), category_plan([b"1", b"2"], cap=5)]
    cpu, gpu = both(columns, SETS)
    gpu.set_limits(bytes=bytes_, rows=1024)
    random = np.random.default_rng(4)
    for seed in range(3):
        rows = 4000
        text = pa.array(random.integers(0, 40, rows).astype(str))
        batch = pa.RecordBatch.from_arrays([masked("float64", rows, seed), text], names=["x", "c"])
        groups = group_arrays("mixed" if seed else "runs", rows, seed, len(SETS))
        for counter in (cpu, gpu):
            counter.add(batch, groups)
    assert_counters_agree(cpu, gpu, columns, SETS)


@pytest.mark.parametrize("tiles", [1, 2])
def test_a_block_counts_one_run_of_tiles_after_the_other(tiles: int) -> None:
    """Groups that change where a tile ends: what was counted of one run is no part of the next."""
    columns = [numeric_plan("float64", 40, 5), numeric_plan("int64", 40, 6)]
    cpu, gpu = both(columns, SETS)
    rows = 40 * 1024 + 77
    batch = pa.RecordBatch.from_arrays([masked("float64", rows, 1), masked("int64", rows, 2)], names=["x", "n"])
    run = (np.arange(rows) // (tiles * 1024)).astype(np.int32)
    groups: list[npt.NDArray[np.int32] | None] = [np.where(run % 5 == 4, -1, run % 3).astype(np.int32), run % 2, None]
    for counter in (cpu, gpu):
        counter.add(batch, groups)
    assert_counters_agree(cpu, gpu, columns, SETS)


def test_chunks_one_after_the_other_do_not_meet_in_memory() -> None:
    """More chunks than there are buffers, twice over, each with other values."""
    columns = [numeric_plan("float64", 40, 5), category_plan([b"1", b"2"])]
    cpu, gpu = both(columns, SETS)
    gpu.set_limits(bytes=1 << 30, rows=1024)
    rows = 9 * 1024 + 5
    text = pa.array((np.arange(rows) // 1024).astype(str)).dictionary_encode()
    batch = pa.RecordBatch.from_arrays([masked("float64", rows, 1), text], names=["x", "c"])
    for counter in (cpu, gpu):
        counter.add(batch, group_arrays("mixed", rows, 1, len(SETS)))
    assert_counters_agree(cpu, gpu, columns, SETS)


def test_a_refused_batch_leaves_the_counts_as_they_were() -> None:
    columns = [numeric_plan("float32", 10, 5)]
    cpu, gpu = both(columns, SETS[:1])
    good = pa.RecordBatch.from_arrays([masked("float32", 2000, 1)], names=["x"])
    bad = pa.RecordBatch.from_arrays([pa.array([1.0, 2.0])], names=["x"])
    for counter in (cpu, gpu):
        counter.add(good, [None])
        with pytest.raises(ValueError, match="cannot be compared with its grid"):
            counter.add(bad, [None])
    assert_counters_agree(cpu, gpu, columns, SETS[:1])


CODES = [pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()]


@pytest.mark.parametrize("codes", CODES, ids=str)
def test_codes_of_every_width(codes: pa.DataType) -> None:
    columns = [category_plan([b"v3", b"v70"])]
    cpu, gpu = both(columns, SETS)
    picked = np.random.default_rng(6).integers(0, 90, 2500)
    indices = pa.array(picked, mask=picked % 13 == 0).cast(codes)
    array = pa.DictionaryArray.from_arrays(indices, pa.array([f"v{i}" for i in range(90)]))
    batch = pa.RecordBatch.from_arrays([array], names=["c"])
    for counter in (cpu, gpu):
        counter.add(batch, group_arrays("mixed", 2500, 1, len(SETS)))
    assert_counters_agree(cpu, gpu, columns, SETS)


def test_a_run_whose_gaps_do_not_fit_beside_its_counts() -> None:
    """Grids between those that a block counts with their gaps and those that it does not count at all."""
    for knots in (1500, 2500, 3500, 5000):
        columns = [numeric_plan("float64", knots, 5)]
        cpu, gpu = both(columns, SETS[:1])
        batch = pa.RecordBatch.from_arrays([pa.array(np.random.default_rng(1).uniform(0, 1e3, 5000))], names=["x"])
        for counter in (cpu, gpu):
            counter.add(batch, [None])
        assert_counters_agree(cpu, gpu, columns, SETS[:1])


@pytest.mark.parametrize("kind", ["mixed", "one"])
def test_what_fits_no_block_is_counted_in_copies(kind: str) -> None:
    """Far counters: of groups, and of a grid too large for a block, with rows enough that several copies pay."""
    columns = [numeric_plan("float32", 6500, 5), numeric_plan("int64", 2000, 6), category_plan([b"a", b"b"])]
    sets = [{"coarse": c, "moments": False, "sketches": False} for c in (False, True)]
    cpu, gpu = both(columns, sets)
    rows, random = 110_000, np.random.default_rng(6)
    text = pa.array(random.integers(0, 3000, rows).astype(str)).dictionary_encode()
    numbers = [masked("float32", rows, 1), masked("int64", rows, 2)]
    batch = pa.RecordBatch.from_arrays([*numbers, text], names=["x", "n", "c"])
    groups: list[Any] = [None, None]
    if kind == "mixed":
        groups = [random.integers(lowest, 43, rows).astype(np.int32) for lowest in (40, 1)]
        groups[0][::7] = -1
    for counter in (cpu, gpu):
        counter.add(batch, groups)
        counter.add(batch.slice(11), [None if g is None else g[11:] for g in groups])
    assert_counters_agree(cpu, gpu, columns, sets)


def test_what_fits_no_block_and_has_few_rows_is_counted_where_it_lies() -> None:
    """Groups of categories and of a grid that neither a block nor copies are worth."""
    columns = [numeric_plan("int64", 2000, 6), category_plan([b"a", b"b"])]
    sets = [{"coarse": False, "moments": False, "sketches": False}]
    cpu, gpu = both(columns, sets)
    rows, random = 3000, np.random.default_rng(7)
    text = pa.array(random.integers(0, 3000, rows).astype(str)).dictionary_encode()
    batch = pa.RecordBatch.from_arrays([masked("int64", rows, 2), text], names=["n", "c"])
    groups = random.integers(-1, 43, rows).astype(np.int32)
    for counter in (cpu, gpu):
        counter.add(batch, [groups])
    assert_counters_agree(cpu, gpu, columns, sets)
