"""Groups of few rows are counted in eight bits and moved in time: in any order of rows the state is the same."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from state_makers import chunked, exact_state, log

import modelwatch_gpu as mw
from modelwatch_gpu import _core, keys
from modelwatch_gpu.profile import planner
from modelwatch_gpu.profile.adapt import reading_of

KNOTS = np.array([-np.inf, -1.0, 0.0, 2.0, np.inf])
#: Knots and slots of so many that groups begin as lists of their rows' slots: of up to 150, 100 and 64 rows.
MANY_KNOTS = np.array([-np.inf, *np.linspace(-8, 8, 150), np.inf])
WIDTHS = st.sampled_from([(KNOTS, (4, 5)), (MANY_KNOTS, (301, 200)), (MANY_KNOTS, (127, 128))])
WORDS = [b"a", b"b", b"c", b"d"]
#: Rows of a group: near those that fill counters of eight bits, and near those that are counted there at a time.
SIZES = st.sampled_from([1, 2, 60, 95, 96, 97, 191, 192, 254, 255, 256, 257, 511, 700])
#: Groups so far apart that a tile of several is counted group by group.
APART = 300


def plans(
    knots: npt.NDArray[np.float64] = KNOTS, slots: tuple[int, int] = (4, 5)
) -> tuple[list[_core.NumericPlan | _core.CategoryPlan], list[_core.SetPlan]]:
    """A column of numbers and one of words, on the coarse grid with and without moments."""
    grid = _core.Grid(keys.DOMAINS["float64"], keys.keys_of(knots, "float64"))
    coarse = (np.arange(grid.slots) % slots[0]).astype(np.uint32)
    numbers = _core.NumericPlan(
        grid=grid,
        to_fine=np.empty(0, np.uint32),
        fine_slots=grid.slots,
        to_coarse=coarse,
        coarse_slots=slots[0],
        gap_shift=0,
        pivot=0,
    )
    words = _core.CategoryPlan(
        known=WORDS[:3], to_coarse=np.array([3, 4, 3], np.uint32), coarse_slots=slots[1], unseen_cap=100, known_cap=None
    )
    return [numbers, words], [_core.SetPlan(coarse=True, moments=True), _core.SetPlan(coarse=True, moments=False)]


def rows_of(sizes: list[int], seed: int, constant: bool) -> tuple[pa.RecordBatch, npt.NDArray[np.int32]]:
    """Rows in random order and their groups; every tenth is in none. Constant: all in one cell."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(len(sizes), dtype=np.int32) * APART, sizes)
    groups = np.append(groups, np.full(len(groups) // 10, -1, dtype=np.int32))
    x = np.full(len(groups), 2.0) if constant else rng.normal(0, 3, len(groups))
    x[: 0 if constant else len(x) // 20] = np.nan
    words = np.zeros(len(groups), np.int32) if constant else rng.integers(0, 4, len(groups)).astype(np.int32)
    order = rng.permutation(len(groups))
    text = pa.DictionaryArray.from_arrays(pa.array(words[order]), pa.array(WORDS))
    null = pa.array(x[order], mask=np.zeros(len(x), bool) if constant else rng.random(len(x)) < 0.1)
    return pa.RecordBatch.from_arrays([null, text], names=["x", "word"]), groups[order]


def counted(
    batches: list[tuple[pa.RecordBatch, npt.NDArray[np.int32]]],
    width: tuple[Any, tuple[int, int]],
    *,
    weighted: bool = False,
) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """The state of all sets that any order of rows leaves the same, and the moments."""
    counter = _core.Counter(*plans(*width))
    for batch, groups in batches:
        weights = np.ones(len(batch), np.uint32) if weighted else None
        counter.add(batch, [groups, groups], 1, weights)
    state: dict[str, bytes] = {}
    moments: dict[str, bytes] = {}
    for s in range(2):
        for narrow in (True, False):
            found: dict[str, Any] = {
                **{f"x/{k}": v for k, v in counter.numeric(0, s, narrow).items()},
                **{f"word/{k}": v for k, v in counter.category(1, s, narrow).items()},
            }
            for name, part in found.items():
                wide = np.asarray(part, dtype=np.uint64) if name.endswith(("/cell", "/count")) else np.asarray(part)
                if name.startswith("x/moment"):
                    moments[f"{s}/{narrow}/{name}"] = wide.tobytes()
                else:
                    state[f"{s}/{narrow}/{name}"] = wide.tobytes()
    assert len(moments) == 8
    return state, moments


@settings(max_examples=40)
@given(
    st.lists(SIZES, min_size=2, max_size=9),
    st.lists(st.integers(1, 3000), max_size=6),
    st.integers(0, 99),
    st.booleans(),
    WIDTHS,
)
def test_rows_of_scattered_groups_are_counted_as_group_by_group_and_one_by_one(
    sizes: list[int], cuts: list[int], seed: int, constant: bool, width: Any
) -> None:
    batch, groups = rows_of(sizes, seed, constant)
    ends = sorted({0, len(batch), *(c for c in cuts if c < len(batch))})
    pieces = [(batch.slice(a, b - a), groups[a:b]) for a, b in itertools.pairwise(ends)]
    state, moments = counted(pieces, width)
    alone = []
    for group in np.unique(groups).tolist():
        own = np.flatnonzero(groups == group)
        alone.append((batch.take(pa.array(own)), groups[own]))
    assert counted(alone, width)[0] == state
    assert counted(alone[::-1], width)[0] == state
    assert counted([(batch, groups)], width)[0] == state
    # Moments are folded tile by tile, in the order of rows: the same batches give the same bytes.
    assert counted(pieces, width, weighted=True) == (state, moments)


@pytest.mark.parametrize("width", [(KNOTS, (4, 5)), (MANY_KNOTS, (600, 600))], ids=["counters", "lists"])
@pytest.mark.parametrize(("rows", "narrow"), [(254, True), (255, True), (256, False), (257, False)])
def test_the_256th_row_of_a_group_in_one_cell_is_counted(rows: int, narrow: bool, width: Any) -> None:
    counter = _core.Counter(*plans(*width))
    left = rows
    while left:
        own = min(left, 96)
        groups = np.array([5] * own + [5 + APART] + [-1] * 3, np.int32)
        batch = pa.RecordBatch.from_arrays(
            [
                pa.array(np.full(len(groups), 2.0)),
                pa.DictionaryArray.from_arrays(pa.array(np.zeros(len(groups), np.int32)), pa.array(WORDS)),
            ],
            names=["x", "word"],
        )
        counter.add(batch, [groups, groups])
        left -= own
    for found in (counter.numeric(0, 0, True), counter.category(1, 1, True)):
        assert found["group"].tolist() == [5, 5 + APART]
        assert found["count"].tolist() == [rows, 3]
        assert found["count"].dtype == (np.uint8 if narrow else np.uint64)
        assert found["cell"].dtype == (np.uint16 if narrow else np.uint32)
        assert len(set(found["cell"].tolist())) == 1
    assert counter.numeric(0, 0)["moment_count"].tolist() == [rows, 3]
    assert counter.numeric(0, 0)["moments"][0].tolist() == [2.0, 0.0, 0.0, 0.0]


@pytest.fixture(scope="module")
def baseline() -> mw.Baseline:
    return mw.Baseline.fit(log(1500, 0), roles=mw.Roles(timestamp="when", numeric=["whole"]))


def customers(sizes: list[int], seed: int) -> pa.Table:
    """A log with so many rows of each customer, in random order."""
    rng = np.random.default_rng(seed)
    whose = np.repeat([f"c{i:03}" for i in range(len(sizes))], sizes)
    rng.shuffle(whose)
    return log(len(whose), seed, days=1).append_column("customer", pa.array(whose))


@settings(max_examples=6)
@given(
    st.lists(SIZES, min_size=80, max_size=110),
    st.integers(0, 99),
    st.lists(st.integers(1, 30_000), min_size=1, max_size=3),
)
def test_a_log_cut_by_customer_has_the_same_state_in_any_pieces(
    baseline: mw.Baseline, sizes: list[int], seed: int, cuts: list[int]
) -> None:
    table = customers(sizes, seed)
    options: dict[str, Any] = {"window": "1mo", "segments": ["customer"], "max_groups": 200}
    whole = exact_state(mw.Profile.count(baseline, table, **options).merged())
    assert exact_state(mw.Profile.count(baseline, chunked(table, cuts), **options).merged()) == whole
    sorted_up = table.sort_by("customer")
    pieces = [a for a in (sorted_up.slice(0, cuts[0]), sorted_up.slice(cuts[0])) if len(a)]
    for order in (pieces, pieces[::-1]):
        assert exact_state(mw.Profile.count(baseline, order, **options).merged()) == whole
        merged = mw.Profile.count(baseline, order, keep_parts=False, **options).merged()
        assert exact_state(merged) == whole


def test_counters_of_both_widths_fit_into_what_is_planned_for_a_group(baseline: mw.Baseline) -> None:
    """Groups of more than 255 rows have moved to wider counters, and keep those of 8 bits."""
    columns = [c for c in baseline.columns if c.name in {"x", "text"}]
    # What 900 more groups cost, but for their moments, which are made after counting.
    few, many = (
        planner.plan(
            columns,
            planner.GroupCounts(windows=1, blocks=0, segments=(planner.SegmentCounts("customer", 0, 10**6),)),
            rows=None,
            memory=10**12,
            max_groups=cap,
        ).bytes
        for cap in (100, 1_000)
    )
    planned = (many - few) / 900 - 48
    groups = np.random.default_rng(1).permutation(np.repeat(np.arange(1_024, dtype=np.int32), 300))
    table = log(len(groups), 5).select([c.name for c in columns]).combine_chunks()
    counter = _core.Counter(
        [reading_of(c, table.schema.field(c.name).type).plan for c in columns],
        [_core.SetPlan(coarse=True, moments=True)],
    )
    counter.add(table.to_batches()[0], [groups])
    assert 0.7 * planned < counter.bytes / 1_024 <= planned
