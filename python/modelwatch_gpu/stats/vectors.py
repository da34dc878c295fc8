"""Samples of vectors as matrices: what the functions of embeddings take."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from modelwatch_gpu.device_arrays import DeviceMatrix, location, matrix_on_device, resolve_for
from modelwatch_gpu.errors import DeviceUnavailable, InputError
from modelwatch_gpu.plain import plain_array

Matrix = npt.NDArray[Any]


def matrices(reference: Any, current: Any, name: str, device: str, *, fewest: int = 1) -> tuple[Matrix, Matrix, str]:
    """Both samples as (rows, d) matrices of one type, float32 or float64, and the device that answers.

    Raises InputError where a side is no matrix of finite numbers, has fewer than ``fewest`` rows, or another d than the
    other; DeviceUnavailable where a device is asked for.
    """
    chosen = resolve_for(device, reference, current)
    if chosen != "cpu" and device == "auto" and not any(location(side) for side in (reference, current)):
        chosen = "cpu"  # which nobody but the cost of others would have left
    if chosen != "cpu":
        raise DeviceUnavailable(f"{name} is computed on the CPU alone; pass device='cpu' and arrays of the host.")
    a, b = matrix_of(reference, "reference"), matrix_of(current, "current")
    if a.shape[1] != b.shape[1]:
        raise InputError(
            f"reference has {a.shape[1]} columns and current has {b.shape[1]}; give both vectors of one length."
        )
    for side, label in ((a, "reference"), (b, "current")):
        if len(side) < fewest:
            raise InputError(f"{name} has no answer: {label} has {len(side)} rows, and it needs {fewest}.")
    kind = np.result_type(a.dtype, b.dtype)
    return a.astype(kind, copy=False), b.astype(kind, copy=False), chosen


def rows_of(values: Any, name: str) -> Matrix | DeviceMatrix:
    """``matrix_of`` for what lies on the host; what lies on a device is taken where it is."""
    return matrix_on_device(values, name) or matrix_of(values, name)


def matrices_there(reference: Any, current: Any, name: str, *, fewest: int) -> tuple[Any, Any]:
    """Both samples for a device to read, of one type and d; raises InputError as ``matrices``."""
    sides = []
    for values, label in ((reference, "reference"), (current, "current")):
        side = rows_of(values, label)
        rows, d = (side.rows, side.dimensions) if isinstance(side, DeviceMatrix) else side.shape
        if rows < fewest:
            raise InputError(f"{name} has no answer: {label} has {rows} rows, and it needs {fewest}.")
        sides.append((side, rows, d))
    (a, _, d), (b, _, e) = sides
    if d != e:
        raise InputError(f"reference has {d} columns and current has {e}; give both vectors of one length.")
    kinds = [s.element if isinstance(s, DeviceMatrix) else s.dtype.name for s in (a, b)]
    if kinds[0] != kinds[1] and DeviceMatrix in (type(a), type(b)):
        raise InputError(f"reference holds {kinds[0]} and current {kinds[1]}; give both one type.")
    if not isinstance(a, DeviceMatrix) and not isinstance(b, DeviceMatrix):
        kind = np.result_type(a.dtype, b.dtype)
        a, b = a.astype(kind, copy=False), b.astype(kind, copy=False)
    return a, b


def matrix_of(values: Any, name: str) -> Matrix:
    """(rows, d) float32 where the values are float16 or float32, else float64; (rows,) is one column."""
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks() if values.num_chunks != 1 else values.chunk(0)
    if isinstance(values, pa.Array):
        values = _from_arrow(plain_array(values), name)
    try:
        if not isinstance(values, np.ndarray) and hasattr(values, "__dlpack__"):
            values = np.from_dlpack(values)
        array = np.asarray(values)
        array = array.astype(np.float32 if array.dtype in (np.float16, np.float32) else np.float64, copy=False)
    except (BufferError, RuntimeError, TypeError, ValueError) as error:
        said = (str(error) or type(error).__name__).splitlines()[0].rstrip(".")
        raise InputError(f"{name} cannot be read as a matrix of numbers ({said}).") from None
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2 or array.shape[1] == 0:
        raise InputError(f"{name} has the shape {array.shape}; pass one vector a row, (rows, elements).")
    if not np.isfinite(array).all():
        raise InputError(f"{name} holds NaN or infinite elements; leave these rows out.")
    return np.ascontiguousarray(array)


def check_k(k: int, rows: int, name: str) -> None:
    """Raises InputError unless every row has ``k`` others."""
    if type(k) is not int or k < 1:
        raise InputError(f"k must be a whole number above 0, not {k!r}.")
    if rows <= k:
        raise InputError(f"{name} has {rows} rows, and the {k}-th nearest other row needs {k + 1}.")


def _from_arrow(array: pa.Array, name: str) -> Any:
    if array.null_count:
        raise InputError(f"{name} has rows without a vector; leave these rows out.")
    if pa.types.is_fixed_size_list(array.type):
        return array.flatten().to_numpy(zero_copy_only=False).reshape(len(array), array.type.list_size)
    if pa.types.is_list(array.type) or pa.types.is_large_list(array.type):
        lengths = {len(row) for row in array}
        if len(lengths) > 1:
            raise InputError(f"{name} has vectors of different lengths ({min(lengths)} to {max(lengths)}).")
        flat = array.flatten().to_numpy(zero_copy_only=False)
        return flat.reshape(len(array), -1) if len(array) else np.empty((0, 1))
    return array.to_numpy(zero_copy_only=False)
