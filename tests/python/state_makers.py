"""Logs whose counts are hard to get right, and the state that comes of counting them."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pyarrow as pa

import modelwatch_gpu as mw
from modelwatch_gpu.profile.columns import NumericColumn
from modelwatch_gpu.profile.parts import Part
from modelwatch_gpu.profile.tables import NumericTable


def log(rows: int, seed: int, *, days: int = 100) -> pa.Table:
    """Numbers with null, NaN and infinities, text with null and new values, unsorted times with null."""
    rng = np.random.default_rng(seed)
    x = rng.normal(seed % 3, 2, rows)
    x[rng.random(rows) < 0.05] = np.nan
    x[rng.random(rows) < 0.01] = np.inf
    text = rng.choice(["a", "b", "c", "", f"new {seed}"], rows)
    when = 1_362_000_000 + rng.integers(0, days * 86_400, rows)
    return pa.table(
        {
            "x": pa.array(x, mask=rng.random(rows) < 0.05),
            "small": pa.array(rng.normal(100, 1, rows).astype("f4")),
            "whole": pa.array(rng.integers(-5, 40, rows), mask=rng.random(rows) < 0.02),
            "text": pa.array(text, mask=rng.random(rows) < 0.05),
            "when": pa.array(when, mask=rng.random(rows) < 0.03).cast(pa.timestamp("s", "UTC")),
        }
    )


def exact_state(part: Part | None) -> dict[str, Any]:
    """Everything but the moments, which are ordered state."""
    assert part is not None
    arrays = {name: a.tolist() for name, a in part.arrays().items() if "moment" not in name}
    return {"header": {**part.header(), "origins": None}, **arrays}


def moments_of(part: Part | None, baseline: mw.Baseline) -> list[tuple[int, float, float, float, float]]:
    """Folded moments of every numeric column and window, in order."""
    assert part is not None
    tables = [part.tables[("window", c.name)] for c in baseline.columns if isinstance(c, NumericColumn)]
    groups = range(len(part.groups["window"]))
    return [t.fold_moments(g) for t in tables if isinstance(t, NumericTable) for g in groups]


def chunked(table: pa.Table, cuts: list[int], *, dictionaries: bool = False) -> pa.Table:
    """The same rows in other record batches, text with a dictionary of its own in each where asked."""
    ends = sorted({0, len(table), *(c for c in cuts if c < len(table))})
    pieces = [table.slice(a, b - a).combine_chunks() for a, b in itertools.pairwise(ends)]
    if dictionaries:
        at = table.schema.get_field_index("text")
        pieces = [p.set_column(at, "text", p["text"].combine_chunks().dictionary_encode()) for p in pieces]
    return pa.Table.from_batches([batch for piece in pieces for batch in piece.to_batches()])
