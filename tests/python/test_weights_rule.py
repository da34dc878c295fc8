"""How weights become integers."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import modelwatch_gpu as mw
from modelwatch_gpu.profile.weights import (
    MOST_TOTAL,
    MOST_WEIGHT,
    WeightRange,
    WeightSums,
    merge_weights,
    stored_weights,
    weight_values,
)


def stored(weights: list[float], others: list[float] | None = None) -> list[int]:
    seen = WeightRange()
    seen.add(np.array(weights, dtype=np.float64))
    values = np.array(weights if others is None else others, dtype=np.float64)
    return stored_weights(values, seen.bits, "w", "log").tolist()


def test_whole_weights_are_stored_as_they_are() -> None:
    assert stored([0, 1, 2, 1 << 20]) == [0, 1, 2, 1 << 20]


@pytest.mark.parametrize("scale", [1e-9, 1.0, 3e7])
def test_weights_with_fractions_keep_four_digits_at_any_scale(scale: float) -> None:
    weights = np.random.default_rng(1).uniform(0.5, 2, 1000) * scale
    found = np.array(stored(weights.tolist()), dtype=np.float64)
    assert np.max(np.abs(found / found.sum() / (weights / weights.sum()) - 1)) < 1e-4


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_a_weight_that_is_not_one_is_refused_by_row(value: float) -> None:
    with pytest.raises(mw.InputError, match=r"log: the weight in column 'w' is .* in row 1"):
        weight_values(pa.array([1.0, value]), "w", "log")


@pytest.mark.parametrize(
    ("array", "match"),
    [(pa.array([1, None]), "null in row 1"), (pa.array(["a"]), "weights are numbers"), (pa.array([0]), None)],
)
def test_nulls_and_text_are_refused_and_nothing_but_zeros_too(array: Any, match: str | None) -> None:
    if match is not None:
        with pytest.raises(mw.InputError, match=match):
            weight_values(array, "w", "log")
        return
    seen = WeightRange()
    seen.add(weight_values(array, "w", "log"))
    with pytest.raises(mw.InputError, match="no row counts"):
        _ = seen.bits


def test_a_weight_far_beyond_the_references_is_refused() -> None:
    with pytest.raises(mw.InputError, match="fit the baseline on weights of this size"):
        stored([0.5, 0.25], [1e9])


@given(st.lists(st.floats(5e-324, 1e300), min_size=1, max_size=30), st.randoms(use_true_random=False))
def test_how_weights_are_stored_depends_on_no_order_and_no_batches(weights: list[float], random: Any) -> None:
    whole, apart = WeightRange(), WeightRange()
    whole.add(np.array([0.0, *weights]))
    shuffled = random.sample(weights, len(weights))
    for i in range(0, len(weights), 3):
        apart.add(np.array(shuffled[i : i + 3]))
    assert whole == apart
    assert whole.total == sum(map(Fraction, weights))
    stored_weights(np.array(weights), whole.bits, "w", "log")  # no reference is too large for itself


@pytest.mark.parametrize("mean", [0.5, 0.999, 1.0, 1.5, 3e-300, 7e200])
def test_the_mean_weight_is_stored_as_some_2_to_the_15(mean: float) -> None:
    seen = WeightRange()
    seen.add(np.array([mean * 0.75, mean * 1.25]))
    assert 1 << 15 <= Fraction(mean) * Fraction(2) ** seen.bits < 1 << 16


def test_a_few_weights_far_above_the_mean_still_fit() -> None:
    found = stored([0.5] * 200_000 + [1e9])
    assert 1 << 30 <= found[-1] < 1 << 31


def test_a_row_is_named_by_its_place_in_the_file() -> None:
    with pytest.raises(mw.InputError, match=r"log: the weight in column 'w' is -2.0 in row 1,001 "):
        weight_values(pa.array([1, -2]), "w", "log", 1000)


@pytest.mark.parametrize("kind", [pa.int8(), pa.uint64(), pa.float16(), pa.float32(), pa.decimal128(9, 3)])
def test_every_type_of_number_can_be_a_weight(kind: pa.DataType) -> None:
    numbers = [np.float16(v) for v in (0, 1, 2)] if kind == pa.float16() else [0, 1, 2]
    assert weight_values(pa.array(numbers, kind), "w", "log").tolist() == [0, 1, 2]


def test_sums_are_exact_where_squares_pass_64_bits() -> None:
    sums = WeightSums.zeros(0)
    for _ in range(3):
        sums = sums.plus(np.array([0, 1, 1], dtype=np.int32), np.full(3, MOST_WEIGHT, dtype=np.uint32), 2)
    assert sums.total.tolist() == [3 * MOST_WEIGHT, 6 * MOST_WEIGHT]
    assert sums.squares == [3 * MOST_WEIGHT**2, 6 * MOST_WEIGHT**2]
    assert sums.squares[1] > 1 << 64
    assert sums.low.max() < 1 << 32
    both = merge_weights([sums, sums], [np.array([1, 0]), np.array([0, 0])], 2)
    assert both.squares == [15 * MOST_WEIGHT**2, 3 * MOST_WEIGHT**2]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, MOST_WEIGHT)), max_size=40), st.integers(1, 7))
def test_sums_are_those_of_python_in_any_batches(rows: list[tuple[int, int]], step: int) -> None:
    sums = WeightSums.zeros(0)
    for i in range(0, len(rows), step):
        groups, weights = zip(*rows[i : i + step], strict=True)
        sums = sums.plus(np.array(groups, dtype=np.int32), np.array(weights, dtype=np.uint32), 4)
    for g in range(4 if rows else 0):
        own = [w for group, w in rows if group == g]
        assert (int(sums.total[g]), sums.squares[g]) == (sum(own), sum(w * w for w in own))


def test_more_weight_than_can_be_counted_is_refused() -> None:
    half = WeightSums(*(np.array([n], dtype=np.uint64) for n in (MOST_TOTAL // 2 + 1, 0, MOST_TOTAL // 2)))
    with pytest.raises(mw.InputError, match="add up to more than 9,007,199,254,740,992"):
        merge_weights([half, half], [np.array([0])] * 2, 1)
    assert math.log2(MOST_TOTAL) == 53
