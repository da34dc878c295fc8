"""Order-preserving integer keys of numbers, as in ``cpp/core/key.hpp``, for NumPy arrays.

A *domain* is the type in which a column is compared with its knots: ``float32``, ``float64``, ``int64`` (every
narrower integer, dates and times, and decimals as the whole numbers of ``units``) or ``uint64``. Keys are uint64, and
``a < b`` as values exactly when ``key(a) < key(b)``. -0.0 has the key of 0.0; NaN has none.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from modelwatch_gpu.units import in_steps

UInt64 = npt.NDArray[np.uint64]

DOMAINS: Final[dict[str, int]] = {"float32": 0, "float64": 1, "int64": 2, "uint64": 3}
_SIGN64: Final = np.uint64(1 << 63)


def domain_of(arrow_type: pa.DataType) -> str | None:
    """The domain in which values of this type are compared; None where they are not numbers."""
    t = pa.types
    if t.is_float16(arrow_type) or t.is_float32(arrow_type):
        return "float32"
    if t.is_float64(arrow_type):
        return "float64"
    if t.is_uint64(arrow_type):
        return "uint64"
    if t.is_integer(arrow_type) or t.is_date(arrow_type) or t.is_time(arrow_type):
        return "int64"
    if t.is_timestamp(arrow_type) or t.is_duration(arrow_type) or t.is_decimal(arrow_type):
        return "int64"
    return None


def is_float(domain: str) -> bool:
    """Whether the domain has infinities and NaN."""
    return domain in ("float32", "float64")


def dtype_of(domain: str) -> np.dtype[Any]:
    """NumPy dtype of a domain's values."""
    return np.dtype(domain)


def key_bits(domain: str) -> int:
    """Bits of a key: 32 for float32, else 64."""
    return 32 if domain == "float32" else 64


def keys_of(values: npt.ArrayLike, domain: str) -> UInt64:
    """Keys of an array of the domain's dtype without NaN; shape is kept."""
    array = np.asarray(values, dtype=dtype_of(domain))
    if domain == "uint64":
        return array.astype(np.uint64)
    if domain == "int64":
        return array.view(np.uint64) ^ _SIGN64
    if domain == "float64":
        bits = (array + 0.0).view(np.uint64)
        return np.where(bits >> np.uint64(63) != 0, ~bits, bits | _SIGN64)
    small = (array + np.float32(0.0)).view(np.uint32)
    return np.where(small >> np.uint32(31) != 0, ~small, small | np.uint32(1 << 31)).astype(np.uint64)


def values_of(keys: UInt64, domain: str) -> npt.NDArray[Any]:
    """Values of keys, as an array of the domain's dtype."""
    keys = np.ascontiguousarray(keys, dtype=np.uint64)
    if domain == "uint64":
        return keys
    if domain == "int64":
        return (keys ^ _SIGN64).view(np.int64)
    if domain == "float64":
        return np.where(keys >> np.uint64(63) != 0, keys ^ _SIGN64, ~keys).view(np.float64)
    small = keys.astype(np.uint32)
    sign = np.uint32(1 << 31)
    return np.where(small & sign != 0, small ^ sign, ~small).astype(np.uint32).view(np.float32)


def infinities(domain: str) -> UInt64:
    """Keys of -inf and +inf of a float domain; empty for integers."""
    if not is_float(domain):
        return np.empty(0, dtype=np.uint64)
    return keys_of(np.array([-np.inf, np.inf], dtype=dtype_of(domain)), domain)


def edge_key(edge: float | int | Fraction, domain: str, *, right_closed: bool, scale: int = 0) -> int | None:
    """The knot that cuts a column where ``edge`` would, exactly. ``scale``: of a decimal column, whose edge it is.

    Right-closed bins ``(a, b]``: the largest value of the domain not above the edge. Left-closed bins ``[a, b)``: the
    smallest not below it. None where no value of the domain lies on that side.
    """
    if is_float(domain):
        dtype = dtype_of(domain)
        with np.errstate(over="ignore"):
            near = dtype.type(edge)
        toward = dtype.type(-np.inf if right_closed else np.inf)
        wrong = float(near) > edge if right_closed else float(near) < edge
        if wrong:
            near = np.nextafter(near, toward, dtype=dtype)
        return int(keys_of(np.array([near], dtype=dtype), domain)[0])
    exact = Fraction(in_steps(edge, scale)) if isinstance(edge, Fraction) or np.isfinite(edge) else None
    info = np.iinfo(dtype_of(domain))
    if exact is None:
        whole = int(info.max) + 1 if edge > 0 else int(info.min) - 1
    else:
        whole = exact.numerator // exact.denominator if right_closed else -((-exact.numerator) // exact.denominator)
    if right_closed:
        whole = min(whole, int(info.max))
        if whole < info.min:
            return None
    else:
        whole = max(whole, int(info.min))
        if whole > info.max:
            return None
    return int(keys_of(np.array([whole], dtype=dtype_of(domain)), domain)[0])


def edge_keys(edges: npt.NDArray[Any], domain: str, *, right_closed: bool, scale: int = 0) -> list[int | None]:
    """``edge_key`` of each edge; at once where the edges' type lets it."""
    if is_float(domain) and edges.dtype in (np.float32, np.float64) and not np.isnan(edges).any():
        dtype = dtype_of(domain)
        with np.errstate(over="ignore"):
            near = edges.astype(dtype)
        toward = dtype.type(-np.inf if right_closed else np.inf)
        exact = near.astype(np.float64)
        wrong = exact > edges if right_closed else exact < edges
        keys: list[int | None] = keys_of(np.where(wrong, np.nextafter(near, toward), near), domain).tolist()
        return keys
    if domain == "int64" and edges.dtype.kind == "i" and scale == 0:
        whole: list[int | None] = keys_of(edges.astype(np.int64), domain).tolist()
        return whole
    return [edge_key(e, domain, right_closed=right_closed, scale=scale) for e in edges.tolist()]
