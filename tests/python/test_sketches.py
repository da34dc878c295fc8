"""The log-linear histogram and the registers: merging, files, finer grids and distinct values, against brute force."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwatch_gpu import _core, keys
from modelwatch_gpu.measures import rank, sketch
from modelwatch_gpu.profile.sketches import REGISTERS, Sketches, add_hash, merge_sketches


def counted(values: np.ndarray[Any, Any], knots: np.ndarray[Any, Any], groups: np.ndarray[Any, Any]) -> dict[str, Any]:
    """The engine's table of one column: cells and sketches."""
    domain = str(values.dtype)
    inner = keys.keys_of(knots, domain)
    grid = _core.Grid(keys.DOMAINS[domain], np.unique(np.concatenate([keys.infinities(domain), inner])))
    plan = _core.NumericPlan(
        grid=grid,
        to_fine=np.empty(0, np.uint32),
        fine_slots=grid.slots,
        to_coarse=np.empty(0, np.uint32),
        coarse_slots=0,
        gap_shift=0,
        pivot=0,
    )
    counter = _core.Counter([plan], [_core.SetPlan(coarse=False, moments=False, sketches=True)])
    counter.add(pa.record_batch({"x": pa.array(values)}), [groups.astype(np.int32)])
    return {**counter.numeric(0, 0), "knots": keys.values_of(grid.knots, domain), "slots": grid.slots}


def cells_of(table: dict[str, Any], group: int) -> np.ndarray[Any, Any]:
    at = int(np.flatnonzero(table["group"] == group)[0])
    begin, end = table["cell_begin"][at], table["cell_begin"][at + 1]
    cells = np.zeros(table["slots"], dtype=np.uint64)
    cells[table["cell"][begin:end]] = table["count"][begin:end]
    return cells[:-2]


def hard(dtype: str) -> st.SearchStrategy[list[Any]]:
    if dtype == "int64":
        return st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(-300, 300), min_size=1, max_size=60)
    width = 32 if dtype == "float32" else 64
    return st.lists(
        st.floats(allow_nan=False, width=width) | st.sampled_from([0.0, -0.0, 1.0]), min_size=1, max_size=60
    )


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
@given(data=st.data())
def test_a_refined_grid_knows_the_share_below_every_cut_and_tightens_the_bounds_of_ks(dtype: str, data: Any) -> None:
    a = np.array(data.draw(hard(dtype)), dtype=dtype)
    b = np.array(data.draw(hard(dtype)), dtype=dtype)
    knots = np.array(data.draw(st.lists(st.sampled_from(a.tolist()), max_size=4)), dtype=dtype)
    table = counted(np.concatenate([a, b]), knots, np.repeat([0, 1], [len(a), len(b)]))
    own = Sketches.from_engine(table)
    cells = [cells_of(table, g) for g in (0, 1)]
    finer_knots, finer = sketch.refine(table["knots"], cells, [own.buckets_of(g) for g in (0, 1)])
    assert len(finer_knots) * 2 + 1 == len(finer[0]) == len(finer[1])
    assert np.all(np.diff(finer_knots[np.isfinite(finer_knots)]) >= 0)
    for sample, old, new in zip((a, b), cells, finer, strict=True):
        assert int(new.sum()) == int(old.sum()) == len(sample)
        as_double = sample.astype(np.float64)
        below = np.cumsum(new)[0::2][:-1]  # before every point
        if np.abs(as_double[np.isfinite(as_double)]).max(initial=0) < 2**53:
            assert below.tolist() == [int((as_double < x).sum()) for x in finer_knots]
    points = np.concatenate([a, b])
    exact = max(abs(float((a <= x).mean()) - float((b <= x).mean())) for x in points)
    coarse, fine = rank.ks(*cells), rank.ks(*finer)
    assert coarse.lower is not None
    assert fine.lower is not None
    assert coarse.upper is not None
    assert fine.upper is not None
    assert coarse.lower <= fine.lower <= exact + 1e-12
    assert exact - 1e-12 <= fine.upper <= coarse.upper


def test_a_hand_made_group_is_cut_at_the_edges_of_its_buckets() -> None:
    table = counted(np.array([1.0, 1.5, 3.0, 3.0, 100.0]), np.array([1.5]), np.zeros(5))
    knots, (cells,) = sketch.refine(table["knots"], [cells_of(table, 0)], [Sketches.from_engine(table).buckets_of(0)])
    used = [(float(knots[i // 2 - 1]), int(n)) for i, n in enumerate(cells) if i % 2 == 0 and n]
    assert used == [(1.0, 1), (3.0, 2), (100.0, 1)]  # a gap begins at the edge below its values
    assert [float(knots[i // 2]) for i in range(1, len(cells), 2) if cells[i]] == [1.5]


@pytest.mark.parametrize("size", [0, 1, 10, 1000, 40_000, 1_000_000])
def test_distinct_values_are_estimated_within_four_standard_errors(size: int) -> None:
    values = np.random.default_rng(size).normal(size=size)
    values = np.concatenate([values, values[: size // 2]])
    if size == 0:
        assert sketch.distinct_estimate(np.zeros(REGISTERS, dtype=np.uint8)) == 0
        return
    table = counted(values, np.array([0.0]), np.zeros(len(values)))
    registers = Sketches.from_engine(table).registers_of(0)
    assert registers is not None
    assert abs(sketch.distinct_estimate(registers) - size) <= max(0.5, 4 * 0.01625 * size)


def test_registers_of_hashes_added_in_python_are_the_engines() -> None:
    rng = np.random.default_rng(1)
    values = rng.integers(2**62, size=3000)
    table = counted(values, np.empty(0, dtype=np.int64), np.zeros(3000))
    mine = np.zeros(REGISTERS, dtype=np.uint8)
    for value in values.tolist():
        add_hash(mine, _mixed(value))
    assert np.array_equal(mine, Sketches.from_engine(table).registers_of(0))
    add_hash(mine, 0)
    assert mine[0] == 53


def _mixed(value: int) -> int:
    """SplitMix64's finaliser in Python's integers."""
    most = (1 << 64) - 1
    z = (value + 0x9E3779B97F4A7C15) & most
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & most
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & most
    return z ^ (z >> 31)


@given(st.lists(st.integers(1, 499), max_size=5), st.integers(0, 20))
def test_sketches_of_any_partition_merge_to_those_of_the_whole(cuts: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    values, groups = rng.lognormal(0, 3, 500), rng.integers(0, 3, 500)
    knots = values[:5]
    whole = Sketches.from_engine(counted(values, knots, groups))
    ends = sorted({0, 500, *cuts})
    pieces, maps = [], []
    for begin, end in itertools.pairwise(ends):
        pieces.append(Sketches.from_engine(counted(values[begin:end], knots, groups[begin:end])))
        maps.append(np.arange(3, dtype=np.uint32))
    order = rng.permutation(len(pieces))
    merged = merge_sketches([pieces[i] for i in order], [maps[i] for i in order])
    for name, array in whole.arrays().items():
        assert np.array_equal(array, merged.arrays()[name]), name
    back = Sketches.from_arrays(whole.arrays(), 3)
    assert np.array_equal(back.registers, whole.registers)
    assert np.array_equal(back.bucket_count, whole.bucket_count)


def test_full_registers_are_written_without_their_places_and_read_back() -> None:
    registers = np.full((2, REGISTERS), 3, dtype=np.uint8)
    registers[1, 7] = 0
    group = np.array([2, 5], dtype=np.uint32)
    arrays = Sketches(register_group=group, registers=registers).arrays()
    assert len(arrays["register"]) == REGISTERS - 1
    assert np.array_equal(Sketches.from_arrays(arrays, 6).registers, registers)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("register_size", [5000]),
        ("register_size", [2]),
        ("register", [4096]),
        ("register_rank", [54]),
        ("bucket", [1 << 19]),
        ("bucket_count", [1, 2]),
        ("bucket_group", [1, 0]),
        ("bucket_group", [2]),
        ("register_group", [2]),
    ],
)
def test_sketches_that_do_not_fit_together_are_refused(name: str, value: list[int]) -> None:
    good = {
        "bucket_group": [0],
        "bucket": [5],
        "bucket_count": [1],
        "register_group": [0],
        "register_size": [1],
        "register": [9],
        "register_rank": [4],
    }
    arrays = {k: np.array(v, dtype=np.uint64) for k, v in good.items()}
    arrays["register_rank"] = arrays["register_rank"].astype(np.uint8)
    assert Sketches.from_arrays(arrays, 2).registers[0, 9] == 4
    spoiled = {**arrays, name: np.array(value, dtype=arrays[name].dtype)}
    with pytest.raises(ValueError, match=r"register|bucket|sorted|sketch"):
        Sketches.from_arrays(spoiled, 2)
