"""Joint counts of three columns and a distribution over bins, drawn at the level of state."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np

from modelwatch_gpu.measures.slices import SliceTable

NAMES = ("a", "b", "c", "d")
SIZES = (4, 5, 6, 3)
BINS = 10
Planted = dict[tuple[tuple[str, int], ...], float]


def joint(rng: np.random.Generator, rows: int, planted: Planted, drift: float = 0.0, bins: int = BINS) -> Any:
    """(4, 5, 6, 3, bins) counts: every cell has a share of the rows of its own; bins are even, tilted in planted
    slices and, by ``drift``, everywhere."""
    weights = np.ones(SIZES)
    for axis, size in enumerate(SIZES):
        shape = [1] * len(SIZES)
        shape[axis] = size
        weights = weights * np.linspace(1.0, 2.0, size).reshape(shape)
    cells = rng.multinomial(rows, (weights / weights.sum()).ravel()).reshape(SIZES)
    tilt = np.linspace(-1, 1, bins)
    out = np.zeros((*SIZES, bins), dtype=np.int64)
    for at in np.ndindex(SIZES):
        p = np.full(bins, 1 / bins) * (1 + drift * tilt)
        for where, size in planted.items():
            if all(at[NAMES.index(name)] == value for name, value in where):
                p = p * (1 + size * tilt)
        out[at] = rng.multinomial(cells[at], p / p.sum())
    return out


def tables(current: Any, reference: Any = None) -> list[SliceTable]:
    """Every column alone and every pair."""
    axes = range(len(SIZES))
    found = []
    for kept in [*((i,) for i in axes), *combinations(axes, 2)]:
        others = tuple(i for i in axes if i not in kept)
        values = [tuple(str(v) for v in at) for at in np.ndindex(*(SIZES[i] for i in kept))]
        sides = [
            None if side is None else side.sum(axis=others).reshape(len(values), -1).astype(np.float64)
            for side in (current, reference)
        ]
        assert sides[0] is not None
        found.append(SliceTable(tuple(NAMES[i] for i in kept), values, sides[0], sides[1]))
    return found
