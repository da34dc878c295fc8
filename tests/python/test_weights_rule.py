"""How weights become integers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import modelwatch_gpu as mw
from modelwatch_gpu.profile.weights import WeightRange, stored_weights, weight_values


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
