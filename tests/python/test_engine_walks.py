"""Walks of the engine that stand for loops of Python: against those loops."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwatch_gpu import InputError, _core


def places_by_steps(ends: list[int], heavy: list[int], most: int) -> list[int]:
    """One interval after the other: a knot where the gap since the last one would hold more than ``most`` rows."""
    out, held_from = [], 0
    for at, end in enumerate(ends):
        before = ends[at - 1] if at else 0
        if at in heavy:
            out.append(at)
            held_from = end
        elif end > held_from + most:
            out.append(at)
            held_from = before
    return out


@pytest.mark.parametrize("seed", range(200))
def test_knot_places_are_those_of_one_interval_after_the_other(seed: int) -> None:
    rng = np.random.default_rng(seed)
    size = int(rng.integers(0, 40))
    ends = np.cumsum(rng.integers(1, 30, size)).astype(np.int64)
    heavy = np.sort(rng.choice(size, int(rng.integers(0, size // 4 + 1)), replace=False)).astype(np.int64)
    most = int(rng.integers(0, 60))
    assert _core.knot_places(ends, heavy, most).tolist() == places_by_steps(ends.tolist(), heavy.tolist(), most)


def test_knot_places_by_hand() -> None:
    ends = np.array([4, 5, 9, 10, 30, 31], dtype=np.int64)
    # The third interval would make 9 rows of 8; the fifth has 20 by itself, so that the sixth begins anew.
    assert _core.knot_places(ends, np.array([], dtype=np.int64), 8).tolist() == [2, 4, 5]
    # Behind a heavy value 6 rows fit before the fifth interval.
    assert _core.knot_places(ends, np.array([0], dtype=np.int64), 8).tolist() == [0, 4, 5]


@pytest.mark.parametrize("heavy", [[1, 1], [2, 1], [3], [-1]])
def test_heavy_places_that_are_none_are_refused(heavy: list[int]) -> None:
    with pytest.raises(InputError, match="heavy places"):
        _core.knot_places(np.array([1, 2, 3], dtype=np.int64), np.array(heavy, dtype=np.int64), 1)


@pytest.mark.parametrize("rows", [0, 1, 1000])
@pytest.mark.parametrize(("groups", "many"), [(1, 1), (3, 5), (40, 2), (300, 70)])
def test_unknown_pairs_are_numpys_distinct_pairs_without_a_number(rows: int, groups: int, many: int) -> None:
    rng = np.random.default_rng(rows + groups)
    a, b = (rng.integers(0, n, rows).astype(np.int32) for n in (groups, many))
    numbers = rng.integers(-1, 2, groups * many).astype(np.int32)
    pairs = np.unique(a * np.int64(many) + b)
    assert _core.unknown_pairs(a, b, many, numbers).tolist() == pairs[numbers[pairs] < 0].tolist()


def test_pairs_that_have_a_number_get_it_and_are_counted_and_others_are_told() -> None:
    rng = np.random.default_rng(5)
    a, b = (rng.integers(0, n, 3000).astype(np.int32) for n in (7, 11))
    pairs = a * np.int64(11) + b
    numbers = rng.permutation(77).astype(np.int32)
    counts = np.arange(77, dtype=np.int64)
    of_row, known = _core.known_groups(a, b, 11, numbers, counts)
    assert known
    assert of_row.tolist() == numbers[pairs].tolist()
    assert counts.tolist() == (np.arange(77) + np.bincount(numbers[pairs], minlength=77)).tolist()
    numbers[pairs[100]] = -1
    before = counts.copy()
    of_row, known = _core.known_groups(a, b, 11, numbers, counts)
    assert not known
    assert of_row.tolist() == numbers[pairs].tolist()
    assert counts.tolist() == before.tolist()


def test_pairs_without_a_number_and_numbers_without_a_counter_are_refused() -> None:
    one, counts = np.zeros(1, dtype=np.int32), np.zeros(1, dtype=np.int64)
    for a, numbers in ((1, [0]), (-1, [0]), (0, [1])):
        with pytest.raises(InputError, match=r"not there|no counter"):
            _core.known_groups(one + np.int32(a), one, 1, np.array(numbers, dtype=np.int32), counts)
    with pytest.raises(InputError, match="both numbers"):
        _core.known_groups(one, np.zeros(2, dtype=np.int32), 1, one, counts)
    assert counts.tolist() == [0]


def test_rows_are_renumbered_where_they_lie() -> None:
    numbers = np.random.default_rng(1).integers(0, 50, 3000).astype(np.int32)
    to = np.random.default_rng(2).permutation(50).astype(np.int32)
    wanted = to[numbers]
    _core.renumber(numbers, to)
    assert numbers.tolist() == wanted.tolist()
    _core.renumber(np.empty(0, dtype=np.int32), np.empty(0, dtype=np.int32))


@pytest.mark.parametrize("numbers", [[0, 3], [-1, 0]])
def test_numbers_that_are_not_there_are_refused_and_nothing_is_changed(numbers: list[int]) -> None:
    own = np.array(numbers, dtype=np.int32)
    with pytest.raises(InputError, match="not there"):
        _core.renumber(own, np.array([2, 1, 0], dtype=np.int32))
    assert own.tolist() == numbers


@pytest.mark.parametrize(
    ("a", "b", "why"), [([0, 2], [0, 0], "not there"), ([0, 0], [0, -1], "not there"), ([0], [0, 0], "both numbers")]
)
def test_groups_that_are_not_there_are_refused(a: list[int], b: list[int], why: str) -> None:
    numbers = np.full(2, -1, dtype=np.int32)
    with pytest.raises(InputError, match=why):
        _core.unknown_pairs(np.array(a, dtype=np.int32), np.array(b, dtype=np.int32), 1, numbers)


def test_many_rows_of_few_pairs_are_counted_as_numpy_counts_them() -> None:
    rng = np.random.default_rng(6)
    a, b = (rng.integers(0, n, 70_001).astype(np.int32) for n in (3, 2))
    numbers, counts = np.array([5, 0, 3, 1, 1, 2], dtype=np.int32), np.full(9, 7, dtype=np.int64)
    of_row, known = _core.known_groups(a, b, 2, numbers, counts)
    assert known
    assert of_row.tolist() == numbers[a * 2 + b].tolist()
    assert counts.tolist() == (7 + np.bincount(of_row, minlength=9)).tolist()


@given(
    st.lists(st.integers(0, 15), min_size=1, max_size=8, unique=True).map(sorted),
    st.integers(1, 4),
    st.randoms(use_true_random=False),
)
def test_pieces_take_the_places_of_the_intervals_they_are_of(numbers: list[int], split: int, random: Random) -> None:
    """Intervals of 2^6 keys, some of which are cut: against a sorted list of tuples."""
    width = 6
    every = [(number << width, width, random.randint(1, 9)) for number in numbers]
    cut = sorted(random.sample(range(len(every)), random.randint(0, len(every))))
    rows = [random.choice([0, 0, 1, 2**40]) for _ in range(len(cut) << split)]
    lows = np.array([every[i][0] for i in cut], dtype=np.uint64)
    pieces = _core.pieces_with_rows(lows, width, split, np.array(rows, dtype=np.uint64))
    wanted = [
        (every[i][0] + (piece << (width - split)), width - split, rows[(k << split) + piece])
        for k, i in enumerate(cut)
        for piece in range(1 << split)
        if rows[(k << split) + piece]
    ]
    assert list(zip(*(a.tolist() for a in pieces), strict=True)) == wanted
    low, widths, counts = (np.array([one[i] for one in every]) for i in range(3))
    own = low.astype(np.uint64), widths, counts.astype(np.uint64)
    found = _core.replaced_intervals(own, np.array(cut, dtype=np.int64), pieces)
    rest = [one for i, one in enumerate(every) if i not in cut]
    assert list(zip(*(a.tolist() for a in found), strict=True)) == sorted([*rest, *wanted])


def test_intervals_that_are_not_there_are_refused() -> None:
    one = np.array([0], dtype=np.uint64), np.array([3]), np.array([1], dtype=np.uint64)
    for wrong in ([1], [-1], [0, 0]):
        with pytest.raises(InputError):
            _core.replaced_intervals(one, np.array(wrong), one)
    with pytest.raises(InputError):
        _core.replaced_intervals((one[0], one[1], one[2][:0]), np.array([0]), one)
    with pytest.raises(InputError):
        _core.pieces_with_rows(one[0], 3, 2, np.zeros(3, dtype=np.uint64))
