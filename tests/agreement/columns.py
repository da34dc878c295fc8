"""Arrow columns for the agreement tests: hard values of each domain, and what sets off slices and bitmaps."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from hypothesis import strategies as st

from modelwatch_gpu import _core, keys

DOMAINS = tuple(keys.DOMAINS)
ARROW = {"float32": pa.float32(), "float64": pa.float64(), "int64": pa.int64(), "uint64": pa.uint64()}

_HARD = {
    "int64": [-(2**63), -(2**63) + 1, -(2**53) - 1, -(2**53), -1, 0, 1, 2**53, 2**53 + 1, 2**63 - 2, 2**63 - 1],
    "uint64": [0, 1, 2**53, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 2, 2**64 - 1],
}


def numbers(domain: str, *, nan: bool = True) -> st.SearchStrategy[Any]:
    """Values of a domain; few enough different ones that knots are hit."""
    if keys.is_float(domain):
        info = np.finfo(keys.dtype_of(domain))
        hard = [
            0.0,
            -0.0,
            np.inf,
            -np.inf,
            *(float(x) for x in (info.max, info.min, info.tiny, info.smallest_subnormal)),
        ]
        near = [float(np.nextafter(keys.dtype_of(domain).type(1), keys.dtype_of(domain).type(to))) for to in (0, 2)]
        floats = st.floats(width=32 if domain == "float32" else 64, allow_nan=nan)
        return st.sampled_from([*hard, 1.0, *near]) | floats
    info = np.iinfo(keys.dtype_of(domain))
    return st.sampled_from(_HARD[domain]) | st.integers(int(info.min), int(info.max)) | st.integers(0, 20)


def column(domain: str, values: list[Any], before: int = 0, after: int = 0) -> pa.Array:
    """The values as an Arrow array that begins ``before`` rows into its buffers and ends ``after`` rows early."""
    one = [0] if domain.endswith("int64") else [float("nan")]
    padded = [None, *one] * before + values + [*one, None] * after
    return pa.array(padded, ARROW[domain]).slice(2 * before, len(values))


def grid_and_knots(domain: str, knots: list[Any]) -> tuple[_core.Grid, pa.Array]:
    """A grid on these values (a float grid gets its infinities), and its knots for the reference."""
    dtype = keys.dtype_of(domain)
    found = np.array(knots, dtype=dtype)
    if keys.is_float(domain):
        found = np.concatenate([found, np.array([-np.inf, np.inf], dtype=dtype)])
    distinct = np.unique(keys.keys_of(found, domain))
    return _core.Grid(keys.DOMAINS[domain], distinct), pa.array(keys.values_of(distinct, domain))


def seeded(domain: str, rows: int, seed: int) -> npt.NDArray[Any]:
    """Many rows of a domain: bit patterns, values near each other, and for floats NaN and infinities among them."""
    random = np.random.default_rng(seed)
    dtype = keys.dtype_of(domain)
    bits = random.integers(0, 2 ** (8 * dtype.itemsize), rows, dtype=f"u{dtype.itemsize}").view(dtype)
    near = random.integers(0, 1000, rows).astype(dtype)
    return np.where(random.random(rows) < 0.5, bits, near)
