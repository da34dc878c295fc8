"""Anything array-like -> Arrow arrays the engine reads where they lie."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, overload

import numpy as np
import pyarrow as pa

from modelwatch_gpu.device_arrays import DeviceColumn, columns_on_device
from modelwatch_gpu.errors import InputError
from modelwatch_gpu.keys import domain_of
from modelwatch_gpu.plain import plain_array
from modelwatch_gpu.units import scale_of, unscaled


class Columns(Sequence[pa.Array]):
    """The columns of a (n, columns) array, each made when it is asked for: one strided column is copied at a time."""

    def __init__(self, array: np.ndarray[Any, Any], name: str) -> None:
        self._array, self._name = array, name

    def __len__(self) -> int:
        return int(self._array.shape[1])

    @overload
    def __getitem__(self, at: int) -> pa.Array: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[pa.Array]: ...
    def __getitem__(self, at: int | slice) -> Any:
        if isinstance(at, slice):
            return Columns(self._array[:, at], self._name)
        if not -len(self) <= at < len(self):
            raise IndexError(at)
        return _column(self._array[:, at], self._name)

    def __iter__(self) -> Iterator[pa.Array]:
        return (self[i] for i in range(len(self)))


def as_columns(values: Any, name: str) -> tuple[Sequence[Any], bool]:
    """Columns of an array-like: (columns, whether there were two dimensions). Each is a pa.Array, or a DeviceColumn
    where the array lies on a CUDA device.

    Takes NumPy (n,) or (n, columns), Arrow arrays, pandas and Polars columns, lists, any host array with DLPack, and
    arrays of a device (``device_arrays``). Memory is shared where it is contiguous; a NumPy NaN stays NaN and is not
    turned into null.
    """
    if (found := columns_on_device(values, name)) is not None:
        return found
    if isinstance(values, pa.ChunkedArray):
        return [plain_array(values.combine_chunks() if values.num_chunks != 1 else values.chunk(0))], False
    if isinstance(values, pa.Array):
        return [plain_array(values)], False
    if not isinstance(values, np.ndarray) and hasattr(values, "__arrow_c_stream__"):
        return as_columns(pa.chunked_array(values), name)
    if not isinstance(values, np.ndarray) and hasattr(values, "__arrow_c_array__"):
        return [pa.array(values)], False
    if not isinstance(values, np.ndarray) and hasattr(values, "__dlpack__"):
        try:
            values = np.from_dlpack(values)
        except (BufferError, RuntimeError, TypeError, ValueError) as error:
            raise InputError(
                f"{name} cannot be read as an array ({(str(error) or type(error).__name__).splitlines()[0]})."
            ) from error
    array = values if isinstance(values, np.ndarray) else _from_sequence(values, name)
    if isinstance(array, pa.Array):
        return [array], False
    if array.ndim not in (1, 2):
        raise InputError(f"{name} has {array.ndim} dimensions; pass one column (n,) or several (n, columns).")
    return ([_column(array, name)], False) if array.ndim == 1 else (Columns(array, name), True)


def _from_sequence(values: Any, name: str) -> np.ndarray[Any, Any] | pa.Array:
    try:
        if hasattr(values, "__array__"):
            return np.asarray(values)
        listed = list(values)
        if any(isinstance(v, (list, tuple, np.ndarray)) for v in listed):
            return np.asarray(listed)
        return pa.array(listed)
    except (TypeError, ValueError, OverflowError, pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise InputError(f"{name} cannot be read as an array ({str(error).splitlines()[0]}).") from error


def _column(array: np.ndarray[Any, Any], name: str) -> pa.Array:
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:
        raise InputError(f"{name} has dtype {array.dtype}; convert it to float64.")
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if array.dtype.kind in "iuf" and array.dtype.itemsize > (2 if array.dtype.kind == "f" else 0):
        # The same view as pa.array(array), which would import pandas to see whether this is one of its types.
        whole = np.ascontiguousarray(array)
        return pa.Array.from_buffers(pa.from_numpy_dtype(array.dtype), len(whole), [None, pa.py_buffer(whole)])
    try:
        return pa.array(np.ascontiguousarray(array))
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise InputError(f"{name} cannot be read as an array ({str(error).splitlines()[0]}).") from error


def is_numeric(array: pa.Array | DeviceColumn) -> bool:
    """Whether the engine compares these values as numbers."""
    return domain_of(array.type) is not None


def in_domain(array: pa.Array, domain: str, name: str) -> pa.Array:
    """A numeric array as one type of the domain, decimals as whole numbers of their unit; raises InputError where a
    value would change."""
    own = domain_of(array.type)
    if own is None:
        raise InputError(f"{name} has type {array.type}; numbers, dates or times are needed.")
    if pa.types.is_decimal(array.type):
        try:
            array = unscaled(array, scale_of(array.type))
        except pa.ArrowInvalid as error:
            raise InputError(
                f"{name} holds decimals ({array.type}) of more digits than 64 bits hold, which cannot be compared "
                "exactly; cast it to float64, or to fewer digits after the point."
            ) from error
    if pa.types.is_float16(array.type):
        array = array.cast(pa.float32())
    if own == domain:
        return array
    changed = (
        f"{name} holds whole numbers that {domain} cannot, so the two sides cannot be compared exactly; "
        "give both one type."
    )
    if isinstance(array, DeviceColumn):
        return array.converted(domain, changed)
    target = {"float32": pa.float32(), "float64": pa.float64(), "int64": pa.int64(), "uint64": pa.uint64()}[domain]
    try:
        return array.cast(target)
    except pa.ArrowInvalid as error:
        raise InputError(changed) from error


def one_scale(a: pa.Array, b: pa.Array, names: tuple[str, str]) -> tuple[pa.Array, pa.Array]:
    """Decimals, or decimals and whole numbers, with as many digits after the point as the finer side; others as they
    are. Raises InputError where these are more digits than a decimal has."""
    finer = max(scale_of(a.type), scale_of(b.type))
    if scale_of(a.type) == scale_of(b.type):
        return a, b
    sides = []
    for side, name in ((a, names[0]), (b, names[1])):
        if scale_of(side.type) != finer and (pa.types.is_decimal(side.type) or pa.types.is_integer(side.type)):
            try:
                side = side.cast(pa.decimal256(76, finer))
            except pa.ArrowInvalid as error:
                raise InputError(
                    f"{name} has type {side.type}, which has no {finer} digits after the point."
                ) from error
        sides.append(side)
    return sides[0], sides[1]


def common_domain(a: pa.Array, b: pa.Array, names: tuple[str, str]) -> str:
    """The narrowest domain in which both sides are exact, as far as their types tell."""
    domains = []
    for array, name in ((a, names[0]), (b, names[1])):
        own = domain_of(array.type)
        if own is None:
            raise InputError(f"{name} has type {array.type}; numbers, dates or times are needed.")
        domains.append(own)
    if pa.types.is_temporal(a.type) or pa.types.is_temporal(b.type):
        if a.type != b.type:
            raise InputError(f"{names[0]} is {a.type} and {names[1]} is {b.type}; give both one type.")
        return domains[0]
    scales = scale_of(a.type), scale_of(b.type)
    if scales != (0, 0) and (scales[0] != scales[1] or {"float32", "float64"} & set(domains)):
        raise InputError(f"{names[0]} is {a.type} and {names[1]} is {b.type}; give both one type.")
    if domains[0] == domains[1]:
        return domains[0]
    return "float64" if {"float32", "float64"} & set(domains) else "int64"


def present_values(array: pa.Array | DeviceColumn) -> np.ndarray[Any, Any]:
    """Values without null and NaN, as a NumPy array of the domain's dtype; those of a device come sorted."""
    if isinstance(array, DeviceColumn):
        return array.sorted_values()
    if pa.types.is_temporal(array.type):
        array = array.cast(pa.int32() if array.type.bit_width == 32 else pa.int64())
    found = array.drop_null() if array.null_count else array
    values: np.ndarray[Any, Any] = found.to_numpy(zero_copy_only=False)
    if values.dtype.kind == "f":
        missing = np.isnan(values)
        values = values[~missing] if missing.any() else values
    domain = domain_of(array.type)
    return values.astype(domain, copy=False) if domain else values


def differences(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """a - b in float64, of whole numbers exact before one rounding."""
    if a.dtype.kind == "f":
        with np.errstate(over="ignore", invalid="ignore"):
            out: np.ndarray[Any, np.dtype[np.float64]] = a.astype(np.float64) - b.astype(np.float64)
            return out
    larger = a >= b
    high, low = (_as_uint64(np.where(larger, *sides)) for sides in ((a, b), (b, a)))
    size = (high - low).astype(np.float64)  # exact: two's complement
    signed: np.ndarray[Any, np.dtype[np.float64]] = np.where(larger, size, -size)
    return signed


def _as_uint64(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return values.astype(np.uint64) if values.dtype.kind == "u" else values.astype(np.int64).view(np.uint64)
