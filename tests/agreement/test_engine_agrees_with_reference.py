"""The engine against the obvious loops of cpp/reference, through Python, on arrays as users slice and cut them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from columns import ARROW, DOMAINS, column, grid_and_knots, numbers, seeded
from hypothesis import given, settings
from hypothesis import strategies as st

from modelwatch_gpu import _core, keys
from modelwatch_gpu.errors import InputError

HERE = Path(__file__).resolve().parent
#: More than one stripe of rows for a thread (65,536), so that threads share one column.
MANY = 300_000


def counts_of_cells(cells: np.ndarray[Any, Any], slots: int) -> np.ndarray[Any, Any]:
    return np.bincount(cells, minlength=slots).astype(np.uint64)


@pytest.mark.parametrize("domain", DOMAINS)
@given(data=st.data())
def test_cells_are_counted_as_the_reference_counts_them_wherever_a_slice_begins(
    domain: str, data: st.DataObject
) -> None:
    values = data.draw(st.lists(st.none() | numbers(domain), max_size=60))
    present = [v for v in values if v is not None and v == v]
    on_values = st.lists(st.sampled_from(present), max_size=10) if present else st.just([])
    knots = data.draw(on_values) + data.draw(st.lists(numbers(domain, nan=False), max_size=10))
    before, after = data.draw(st.integers(0, 9)), data.draw(st.integers(0, 3))
    array = column(domain, values, before, after)
    grid, knot_values = grid_and_knots(domain, knots)
    expected = _core.reference.count_cells(array, knot_values)
    np.testing.assert_array_equal(_core.count_cells(array, grid), expected)
    np.testing.assert_array_equal(counts_of_cells(_core.rank_cells(array, grid), grid.slots), expected)


@pytest.mark.parametrize("domain", DOMAINS)
def test_the_counts_of_a_long_column_do_not_depend_on_how_many_threads_helped(domain: str) -> None:
    values = seeded(domain, MANY + 13, 1)
    nulls = np.random.default_rng(2).random(len(values)) < 0.1
    array = pa.array(values, ARROW[domain], mask=nulls).slice(13)
    grid, knots = grid_and_knots(domain, [v for v in values[:60].tolist() if v == v])
    expected = _core.reference.count_cells(array, knots)
    for threads in (0, 1, 2, 7):
        np.testing.assert_array_equal(_core.count_cells(array, grid, threads), expected)


def test_every_instruction_set_of_this_machine_gives_the_same_bytes() -> None:
    said = {}
    # The engine that this process has, wherever it was found: another one may be installed, or be on its way.
    path = os.pathsep.join([str(HERE), *(p for p in [os.environ.get("PYTHONPATH")] if p)])
    for isa in _core.available_isas():
        environment = {**os.environ, "MODELWATCH_ISA": isa, "PYTHONPATH": path}
        done = subprocess.run(
            [sys.executable, "-c", DIGEST], capture_output=True, text=True, env=environment, check=False
        )
        assert done.returncode == 0, done.stderr
        chosen, digest = done.stdout.split()
        assert chosen == isa
        said[isa] = digest
    assert len(set(said.values())) == 1, said


DIGEST = """
import hashlib
import numpy as np
import pyarrow as pa
from columns import ARROW, DOMAINS, grid_and_knots, seeded
from modelwatch_gpu import _core
digest = hashlib.sha256()
for domain in DOMAINS:
    values = seeded(domain, 20_000, 3)
    array = pa.array(values, ARROW[domain], mask=np.arange(len(values)) % 11 == 0).slice(5)
    grid, _ = grid_and_knots(domain, [v for v in values[:500].tolist() if v == v])
    digest.update(_core.rank_cells(array, grid).tobytes())
    plan = _core.NumericPlan(grid=grid, to_fine=np.empty(0, np.uint32), fine_slots=grid.slots, coarse_slots=0,
                             to_coarse=np.empty(0, np.uint32), gap_shift=0, pivot=1 << 63)
    counter = _core.Counter([plan], [_core.SetPlan(coarse=False, moments=True)])
    groups = (np.arange(len(array)) // 700 % 5).astype(np.int32)
    counter.add(pa.RecordBatch.from_arrays([array], names=["x"]), [groups])
    for name, part in sorted(counter.numeric(0, 0).items()):
        digest.update(name.encode())
        digest.update(np.nan_to_num(part, nan=0.5).tobytes() if name == "moments" else part.tobytes())
    column = _core.column_moments(array)
    digest.update(repr([v if v == v else 0.5 for v in column.values()]).encode())
    digest.update(_core.column_registers(array)["registers"].tobytes())
    for part in _core.log_linear_counts(array).values():
        digest.update(np.asarray(part).tobytes())
print(_core.isa(), digest.hexdigest())
"""


def numeric_counter(grid: _core.Grid) -> _core.Counter:
    empty = np.empty(0, dtype=np.uint32)
    plan = _core.NumericPlan(
        grid=grid,
        to_fine=empty,
        fine_slots=grid.slots,
        to_coarse=empty,
        coarse_slots=0,
        gap_shift=0,
        pivot=zero_key(grid),
    )
    return _core.Counter([plan], [_core.SetPlan(coarse=False, moments=True)])


def zero_key(grid: _core.Grid) -> int:
    """Pivot 0, as the reference has it."""
    return 1 << 63 if grid.domain == keys.DOMAINS["int64"] else 0


def counted(
    grid: _core.Grid, array: pa.Array, groups: np.ndarray[Any, Any] | None, cuts: list[int], threads: int = 1
) -> dict[str, Any]:
    """What a counter holds after the column came in batches that end at ``cuts``."""
    counter = numeric_counter(grid)
    for begin, end in zip([0, *cuts], [*cuts, len(array)], strict=True):
        batch = pa.RecordBatch.from_arrays([array.slice(begin, end - begin)], names=["x"])
        counter.add(batch, [None if groups is None else groups[begin:end]], threads)
    return counter.numeric(0, 0)


def assert_same(a: dict[str, Any], b: dict[str, Any], *, moments: bool) -> None:
    for name, part in a.items():
        if moments or not name.startswith("moment"):
            np.testing.assert_array_equal(part, b[name], err_msg=name)


@pytest.mark.parametrize("domain", DOMAINS)
@settings(max_examples=25)
@given(data=st.data())
def test_the_exact_part_of_a_counter_does_not_depend_on_where_batches_are_cut(domain: str, data: st.DataObject) -> None:
    values = seeded(domain, 3000, data.draw(st.integers(0, 1000)))
    array = pa.array(values, ARROW[domain], mask=np.arange(3000) % 17 == 0)
    groups = np.random.default_rng(4).integers(-1, 4, 3000).astype(np.int32)
    grid, _ = grid_and_knots(domain, [v for v in values[:40].tolist() if v == v])
    cuts = sorted(data.draw(st.lists(st.integers(0, 3000), max_size=6)))
    assert_same(counted(grid, array, groups, cuts), counted(grid, array, groups, []), moments=False)


@pytest.mark.parametrize("domain", DOMAINS)
def test_moments_do_not_depend_on_batches_cut_at_multiples_of_1024_rows(domain: str) -> None:
    array = pa.array(seeded(domain, 5000, 5), ARROW[domain], mask=np.arange(5000) % 13 == 0)
    groups = np.random.default_rng(6).integers(-1, 3, 5000).astype(np.int32)
    grid, _ = grid_and_knots(domain, [1])
    for group in (None, groups):
        whole = counted(grid, array, group, [])
        for cuts in ([1024], [2048, 4096], [1024, 2048, 3072, 4096], [1024, 1024, 4096]):
            assert_same(counted(grid, array, group, cuts), whole, moments=True)


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize("rows", [1, 15, 16, 17, 1023, 1024, 1025, 5000])
def test_moments_have_the_bits_of_the_reference(domain: str, rows: int) -> None:
    array = pa.array(seeded(domain, rows, rows), ARROW[domain], mask=np.arange(rows) % 7 == 3)
    grid, _ = grid_and_knots(domain, [1])
    found = counted(grid, array, None, [])
    expected = _core.reference.moments(array)
    assert found["moment_count"].tolist() == [expected["count"]]
    np.testing.assert_array_equal(found["moments"][0], [expected[name] for name in ("mean", "m2", "m3", "m4")])
    alone = _core.column_moments(array, None if keys.is_float(domain) else zero_key(grid), 2)
    assert {name: alone[name] for name in expected} == pytest.approx(expected, rel=0, abs=0, nan_ok=True)


def test_a_counter_of_many_columns_gives_the_same_bytes_on_any_number_of_threads() -> None:
    arrays = [pa.array(seeded(domain, 4000, seed)) for seed, domain in enumerate(DOMAINS * 3)]
    batch = pa.RecordBatch.from_arrays(arrays, names=[f"c{i}" for i in range(len(arrays))])
    empty = np.empty(0, dtype=np.uint32)

    def counts(threads: int) -> list[dict[str, Any]]:
        plans = []
        for array in arrays:
            grid, _ = grid_and_knots(keys.domain_of(array.type) or "", [v for v in array[:50].to_pylist() if v == v])
            plans.append(
                _core.NumericPlan(
                    grid=grid,
                    to_fine=empty,
                    fine_slots=grid.slots,
                    to_coarse=empty,
                    coarse_slots=0,
                    gap_shift=0,
                    pivot=0,
                )
            )
        counter = _core.Counter(plans, [_core.SetPlan(coarse=False, moments=True)])
        counter.add(batch, [None], threads)
        counter.add(batch.slice(100, 3000), [None], threads)
        return [counter.numeric(i, 0) for i in range(len(arrays))]

    expected = counts(1)
    for threads in (2, 7):
        for found, one in zip(counts(threads), expected, strict=True):
            assert_same(found, one, moments=True)


@settings(max_examples=40)
@given(
    st.lists(st.none() | st.sampled_from(["a", "b", "", "é", "k1", "k2"]) | st.text("xyz", max_size=3), max_size=60),
    st.lists(st.integers(0, 60), max_size=5),
    st.integers(1, 6),
)
def test_categories_do_not_depend_on_where_batches_are_cut(values: list[str | None], cuts: list[int], cap: int) -> None:
    def counts(at: list[int]) -> list[dict[str, Any]]:
        plan = _core.CategoryPlan(
            known=[b"k1", b"k2"], to_coarse=np.array([3, 3], np.uint32), coarse_slots=4, unseen_cap=cap, known_cap=None
        )
        sets = [_core.SetPlan(coarse=coarse, moments=False) for coarse in (False, True)]
        counter = _core.Counter([plan], sets)
        for begin, end in zip([0, *at], [*at, len(values)], strict=True):
            array = pa.array(values[begin:end], pa.string())
            array = array.dictionary_encode() if begin % 2 else array
            counter.add(pa.RecordBatch.from_arrays([array], names=["c"]), [None, None])
        return [counter.category(0, s) for s in (0, 1)]

    kept = sorted(min(c, len(values)) for c in cuts)
    # Without a row there is no group, so an empty column may be cut only into empty batches.
    for found, whole in zip(counts(kept), counts([]), strict=True):
        for name, part in whole.items():
            np.testing.assert_array_equal(found[name], part, err_msg=name)


def test_a_struct_array_with_null_rows_is_refused_even_where_nobody_counted_them() -> None:
    rows = pa.array([{"x": 1.0}, None, {"x": 3.0}, {"x": 4.0}], pa.struct([("x", pa.float64())]))
    grid, _ = grid_and_knots("float64", [2.0])
    for batch in (rows, rows.slice(1, 2)):
        with pytest.raises(InputError, match="null rows"):
            numeric_counter(grid).add(batch, [None])
