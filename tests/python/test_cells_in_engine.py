"""What the engine says of two sides' cells, against whole numbers and fractions summed by hand."""

from __future__ import annotations

from fractions import Fraction
from functools import reduce
from operator import add
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tolerances import CVM, OFFSET_STEP, WASSERSTEIN

from modelwatch_gpu import _core
from modelwatch_gpu.errors import InputError
from modelwatch_gpu.measures import transport
from modelwatch_gpu.measures.cells import Cells

KNOTS = 9
COUNTS = st.lists(st.one_of(st.just(0), st.integers(0, 5), st.integers(0, 2**50)), min_size=19, max_size=19)


def wide(pair: tuple[Any, Any]) -> list[int]:
    return [(h << 64) | x for h, x in zip(pair[0].tolist(), pair[1].tolist(), strict=True)]


@given(st.lists(COUNTS, min_size=2, max_size=5), st.booleans())
def test_ks_is_that_of_python_integers_for_any_counts(dense: list[list[int]], each: bool) -> None:
    current = Cells.dense(np.array(dense[1:], dtype=np.int64))
    baseline = Cells.dense(np.array(dense[:1] * (len(dense) - 1 if each else 1), dtype=np.int64))
    found = _core.rank_distances(baseline.entries, current.entries)
    for g, own in enumerate(dense[1:]):
        n, m = sum(dense[0]), sum(own)
        least = most = f = h = 0
        for k, (a, b) in enumerate(zip(dense[0], own, strict=True)):
            before = f, h
            f, h = f + a, h + b
            least = max(least, abs(f * m - h * n))
            if k % 2 == 0 and a and b:
                most = max(most, f * m - before[1] * n, h * n - before[0] * m)
        # A group without rows has no cell to look at.
        assert wide(found["ks_least"])[g] == (least if m else 0)
        assert wide(found["ks_most"])[g] == (max(least, most) if m else 0)


@given(st.lists(st.integers(0, 300_000), min_size=19, max_size=19))
def test_ties_are_those_of_fractions(counts: list[int]) -> None:
    on_knots, everywhere = _core.rank_ties(Cells.dense(np.array([counts])).entries)
    exact = [Fraction(c**3 - c, 12) for c in counts]
    assert on_knots[0] == pytest.approx(float(sum(exact[1::2])), rel=CVM)
    assert everywhere[0] == pytest.approx(float(sum(exact)), rel=CVM)


@given(
    st.lists(st.integers(0, 9), min_size=19, max_size=19),
    st.lists(st.integers(0, 9), min_size=19, max_size=19),
    st.sampled_from(["float64", "int64", "uint64"]),
    st.integers(0, 2**31),
)
def test_rows_on_knots_are_moved_as_far_as_fractions_say(a: list[int], b: list[int], kind: str, seed: int) -> None:
    """Without rows in gaps both bounds are the distance, whichever side leaves cells empty that the other has."""
    rng = np.random.default_rng(seed)
    finite = np.sort(rng.choice(1000, KNOTS, replace=False)).astype(kind)
    if kind == "int64":
        finite += 2**62  # neighbours that no float64 tells apart
    floats = kind == "float64"
    knots = np.concatenate([[-np.inf], finite, [np.inf]]) if floats else finite
    shift = 2 * floats
    dense = np.zeros((2, 2 * len(knots) + 1), dtype=np.int64)
    for own, counts in zip(dense, (a, b), strict=True):
        own[shift + 1 : shift + 2 * KNOTS : 2] = counts[:KNOTS]
    n, m = dense.sum(axis=1).tolist()
    if not n or not m:
        return
    baseline, current = Cells.dense(dense[:1]), Cells.dense(dense[1:])
    first, last = transport.finite_span(knots)
    position = knots if floats else transport._Axis.of(knots).position
    lower, upper = _core.transport_between_knots(baseline.entries, current.entries, position, first, last)
    exact, f, h = Fraction(0), Fraction(0), Fraction(0)
    for k in range(KNOTS - 1):
        f, h = f + Fraction(a[k], n), h + Fraction(b[k], m)
        exact += abs(f - h) * (int(finite[k + 1]) - int(finite[k]))
    assert lower[0] == pytest.approx(float(exact), rel=WASSERSTEIN, abs=WASSERSTEIN)
    assert upper[0] == lower[0]


def test_gaps_of_one_side_alone_and_of_both_are_bounded_by_hand() -> None:
    """Knots 0 and 10; two rows of the baseline at 0. A row in the gap with a known offset, 5: W1 is 5; without: 0 to
    10. Both sides in the gap: at least the distance of their means."""
    position = np.array([0.0, 10.0])
    at_zero = np.array([[0, 2, 0, 0, 0]])
    base, base_known = Cells.dense(at_zero), Cells.dense(at_zero, np.zeros((1, 3), dtype=np.uint64))
    gap = np.array([[0, 0, 1, 0, 0]])
    known = Cells.dense(gap, np.array([[0, 2**31, 0]], dtype=np.uint64))
    lower, upper = _core.transport_between_knots(base_known.entries, known.entries, position, 0, 2)
    assert lower[0] == pytest.approx(5, rel=OFFSET_STEP)
    assert upper[0] == pytest.approx(5, rel=OFFSET_STEP)
    lower, upper = _core.transport_between_knots(base.entries, Cells.dense(gap).entries, position, 0, 2)
    assert (lower[0], upper[0]) == (0.0, 10.0)
    both = [Cells.dense(gap, np.array([[0, int(x * 2**32), 0]], dtype=np.uint64)) for x in (0.25, 0.75)]
    lower, upper = _core.transport_between_knots(both[0].entries, both[1].entries, position, 0, 2)
    assert lower[0] == pytest.approx(5, rel=OFFSET_STEP)
    assert 5 <= upper[0] <= 10


@given(
    st.lists(st.integers(0, 2**14), min_size=19, max_size=19),
    st.lists(st.one_of(st.just(0), st.integers(0, 2**14)), min_size=38, max_size=38),
    st.integers(0, 2**31),
)
def test_a_distance_keeps_its_bits_where_products_of_counts_pass_what_a_float_holds(
    base: list[int], own: list[int], seed: int
) -> None:
    """Shares stay what they are where all counts and sums of offsets are 4,096 times as large; the engine divides whole
    numbers then instead of exact products of floats."""
    rng = np.random.default_rng(seed)
    knots = np.sort(rng.normal(size=9))
    dense = np.array([base, own[:19], own[19:]], dtype=np.int64)
    gaps = (dense[:, ::2] * rng.random((3, 10)) * 2**32).astype(np.uint64)
    found = []
    for scale in (1, 2**12):
        sides = [Cells.dense(dense[at] * scale, gaps[at] * np.uint64(scale)) for at in (slice(0, 1), slice(1, 3))]
        found.append(_core.transport_between_knots(sides[0].entries, sides[1].entries, knots, 0, 9))
    rows = dense.sum(axis=1)
    if rows[0]:
        there = rows[1:] > 0
        assert (found[0][0][there] == found[1][0][there]).all()
        assert (found[0][1][there] == found[1][1][there]).all()
        assert (found[0][0][there] <= found[0][1][there]).all()


def in_order(values: list[float]) -> float:
    """Up to 128 in eight lanes, more by halves: the order of the engine's sums."""
    n = len(values)
    if n < 8:
        return reduce(add, values, -0.0)
    if n <= 128:
        lanes = [reduce(add, values[j : n - n % 8 : 8]) for j in range(8)]
        pairs = [lanes[j] + lanes[j + 1] for j in range(0, 8, 2)]
        return reduce(add, values[n - n % 8 :], (pairs[0] + pairs[1]) + (pairs[2] + pairs[3]))
    half = n // 2 - n // 2 % 8
    return in_order(values[:half]) + in_order(values[half:])


@pytest.mark.parametrize("size", [0, 1, 2, 7, 8, 9, 10, 127, 128, 129, 130, 1000, 20_001])
def test_sums_are_added_in_the_order_that_reports_have_had(size: int) -> None:
    """The terms are rounded, so another order would show in the last bits."""
    counts = np.random.default_rng(size).integers(2**16, 2**17, size)
    groups = Cells(np.array([0, size]), 2 * np.arange(size) + 1, counts, 2 * size + 1)
    c = counts.astype(np.float64)
    terms: list[float] = ((c * c * c - c) / 12).tolist()
    wanted = terms[0] + in_order(terms[1:]) if terms else 0.0
    assert _core.rank_ties(groups.entries)[0][0] == wanted


def test_cells_that_do_not_fit_together_are_refused() -> None:
    none = np.empty(0, dtype=np.int64)
    one = (np.array([0, 1]), np.array([1]), np.array([4]), None)
    for broken in (
        (np.array([0, 2]), np.array([1]), np.array([4]), None),
        (np.array([1, 0]), np.array([1]), np.array([4]), None),
        (np.array([-1, 1]), np.array([1]), np.array([4]), None),
        (np.array([0, 1]), np.array([1]), none, None),
        (np.array([0, 1]), np.array([1]), np.array([4]), np.empty(0, dtype=np.uint64)),
        (none, none, none, None),
    ):
        for pair in ((one, broken), (broken, one)):
            with pytest.raises(InputError):
                _core.rank_distances(*pair)
    two = (np.array([0, 1, 1]), np.array([1]), np.array([4]), None)
    with pytest.raises(InputError, match="one group"):
        _core.rank_distances(two, one)
    knots = np.array([0.0, 1.0])
    for position, first, last in ((knots, 0, 3), (knots, -1, 1), (knots, 1, 2), (knots.astype(np.float32), 0, 2)):
        with pytest.raises(InputError):
            _core.transport_between_knots(one, one, position, first, last)
    with pytest.raises(InputError, match="one group"):
        _core.transport_between_knots(two, one, knots, 0, 2)


ENTRIES = st.lists(
    st.lists(st.tuples(st.integers(0, 20), st.integers(0, 3), st.integers(0, 255)), max_size=12), max_size=5
)


@given(ENTRIES, st.sampled_from(["u1", "u2", "u4", "u8"]), st.sampled_from(["u1", "u2", "u4", "u8"]), st.integers(0, 5))
def test_cells_are_read_as_a_dictionary_holds_them(
    rows: list[list[tuple[int, int, int]]], index: str, value: str, first: int
) -> None:
    """21 slots: 19 cells, NaN and null; sums of some of the gaps, and of gaps without rows."""
    size = 19
    tables: list[dict[int, int]] = [{cell: count + 1 for cell, count, _ in own} for own in rows]
    sums: list[dict[int, int]] = [{cell // 2: total for cell, _, total in own if cell < size} for own in rows]
    kept = [
        (
            np.cumsum([first, *map(len, own)]),
            np.array([0] * first + [k for t in own for k in sorted(t)], dtype=index),
            np.array([9] * first + [t[k] for t in own for k in sorted(t)], dtype=value),
        )
        for own in (tables, sums)
    ]
    begin, cell, count, offset, nan, null = _core.read_cells(kept[0], kept[1], size)
    assert offset is not None
    for g, own in enumerate(tables):
        at = slice(*begin[g : g + 2].tolist())
        assert dict(zip(cell[at].tolist(), count[at].tolist(), strict=True)) == {
            k: n for k, n in own.items() if k < size
        }
        wanted = [0 if k % 2 else sums[g].get(k // 2, 0) for k in cell[at].tolist()]
        assert offset[at].tolist() == wanted
        assert (nan[g], null[g]) == (own.get(size, 0), own.get(size + 1, 0))
    assert begin[0] == 0
    assert begin[-1] == len(cell)
    assert _core.read_cells(kept[0], None, size)[3] is None


@given(st.lists(COUNTS, min_size=1, max_size=4))
def test_rows_up_to_a_cell_and_on_knots_are_those_of_dense_counts(dense: list[list[int]]) -> None:
    counts = np.array(dense, dtype=np.int64)
    cells = Cells.dense(counts)
    group, cell = (a.ravel() for a in np.indices(counts.shape))
    here, upto = cells.at(group, cell)
    assert here.tolist() == counts.ravel().tolist()
    assert upto.tolist() == np.cumsum(counts, axis=1).ravel().tolist()
    occupied, line = cells.knots
    assert occupied.tolist() == (counts[:, 1::2] > 0).sum(axis=1).tolist()
    assert np.diff(line[cells.begin]).tolist() == counts[:, 1::2].sum(axis=1).tolist()
    edges = np.array([1, 7, 18])
    bins = cells.binned(edges, np.arange(len(counts)))
    assert bins.tolist() == [[sum(own[:2]), sum(own[2:8]), sum(own[8:]), 0] for own in dense]


def test_what_is_read_beyond_its_end_is_refused() -> None:
    begin, entries = np.array([0, 2]), np.array([1, 3], dtype="u1")
    for wrong in (np.array([0, 3]), np.array([-1, 2]), np.array([2, 0]), np.zeros((1, 2), dtype=np.int64)):
        with pytest.raises(InputError):
            _core.read_cells((wrong, entries, entries), None, 5)
    with pytest.raises(InputError):
        _core.read_cells((begin, entries, entries[:1]), None, 5)
    with pytest.raises(InputError):
        _core.read_cells((begin, entries, entries), (np.array([0]), entries, entries), 5)
    with pytest.raises(InputError):
        _core.read_cells((begin, entries.astype(np.float64), entries), None, 5)
    cells = (begin, np.array([1, 3]), np.array([1, 1]), None)
    for group in (-1, 1):
        with pytest.raises(InputError):
            _core.find_cells(cells, np.array([group]), np.array([1]))
    with pytest.raises(InputError):
        _core.rows_on_knots((np.array([0, 1]), np.array([1, 3]), np.array([1, 1]), None))


def test_registers_are_counted_as_bincount_counts_them() -> None:
    registers = np.random.default_rng(7).integers(0, 60, (5, 4096)).astype(np.uint8)
    found = _core.register_counts(registers, 53)
    assert found.tolist() == [np.bincount(row, minlength=60)[:53].tolist() for row in registers]
    assert _core.register_counts(registers[:0], 53).shape == (0, 53)
