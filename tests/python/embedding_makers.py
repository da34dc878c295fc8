"""Logs with vectors for the tests of embeddings."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

ROLES = {"id": "id", "timestamp": "ts", "embedding": "vector"}


def vectors(rows: int, dimension: int, *, seed: int, shift: float = 0.0, scale: float = 1.0) -> Any:
    """(rows, dimension) float32: normal, of falling variance along the elements."""
    rng = np.random.default_rng(seed)
    sds = np.linspace(1.0, 0.3, dimension)
    return (scale * sds * rng.normal(size=(rows, dimension)) + 0.5 + shift).astype(np.float32)


def fixed(values: Any, kind: pa.DataType | None = None) -> pa.Array:
    """Rows of a matrix as a fixed-size list."""
    flat = pa.array(np.ascontiguousarray(values).reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat if kind is None else flat.cast(kind), values.shape[1])


def log_of(values: Any, *, days: int = 1, seed: int = 0, first: int = 0) -> pa.Table:
    """A log with an id, a timestamp, a segment, a text feature and a vector."""
    rows = len(values)
    rng = np.random.default_rng(seed)
    at = np.sort(rng.integers(0, days * 86_400, rows)) + 1_700_006_400
    return pa.table(
        {
            "id": pa.array(np.arange(first, first + rows)),
            "ts": pa.array(at * 1_000_000).cast(pa.timestamp("us")),
            "topic": pa.array([f"t{i % 3}" for i in range(rows)]),
            "vector": values if isinstance(values, pa.Array | pa.ChunkedArray) else fixed(values),
        }
    )
