"""Embeddings as matrices: Arrow lists of floats -> (rows, dimension), with a reason for every row that is left out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from modelwatch_gpu.plain import plain_array, plain_type

#: Why a row's vector takes no part: there is none; another number of elements; NaN, infinite or null elements; too far
#: from the baseline to be added up.
TAKEN, NULL, LENGTH, NOT_FINITE, TOO_FAR = range(5)

Matrix = npt.NDArray[Any]
Codes = npt.NDArray[np.uint8]
UInt64 = npt.NDArray[np.uint64]

_WORDS: Final = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, eq=False)
class Vectors:
    """``values``: (taken, dimension) float32, or float64 where the column is; ``code``: (rows,) why a row is not among
    them."""

    values: Matrix
    code: Codes


def is_list_of_floats(kind: pa.DataType, metadata: Any = None) -> bool:
    """Whether vectors can be read from a column: lists of float16, float32 or float64, or of uint16 whose field says
    that they are bfloat16 (metadata ``dtype``)."""
    kind = plain_type(kind)
    t = pa.types
    if not (t.is_fixed_size_list(kind) or t.is_list(kind) or t.is_large_list(kind)):
        return False
    return bool(t.is_floating(kind.value_type)) or (kind.value_type == pa.uint16() and is_bfloat16(metadata))


def is_bfloat16(metadata: Any) -> bool:
    """Whether a field's metadata say that its uint16 are the upper halves of float32."""
    return bool(metadata) and metadata.get(b"dtype") == b"bfloat16"


def model_of(metadata: Any) -> str | None:
    """The name of the embedding model in a field's metadata (key ``model``), None where it has none."""
    return metadata[b"model"].decode(errors="replace") if metadata and b"model" in metadata else None


def dimension_of(array: pa.Array) -> int | None:
    """The length of vectors: of the type, else of the first row that has one; None where no row has."""
    array = plain_array(array)
    if pa.types.is_fixed_size_list(array.type):
        return int(array.type.list_size)
    lengths = pc.list_value_length(array).drop_null()
    return int(lengths[0].as_py()) if len(lengths) else None


def vectors_of(array: pa.Array, dimension: int) -> Vectors:
    """The vectors of a valid array of lists (``is_list_of_floats``) that are as long as the baseline's and finite."""
    found = rows_of(array, dimension)
    with np.errstate(over="ignore", invalid="ignore"):
        sums = found.values.sum(axis=1)
    good = finite(found.values, np.isfinite(sums))
    if good.all():
        return found
    code = found.code.copy()
    code[np.flatnonzero(code == TAKEN)[~good]] = NOT_FINITE
    return Vectors(found.values[good], code)


def rows_of(array: pa.Array, dimension: int) -> Vectors:
    """As ``vectors_of``, with those that are not finite among them."""
    array = plain_array(array)
    rows = len(array)
    code = np.zeros(rows, dtype=np.uint8)
    valid = array.is_valid().to_numpy(zero_copy_only=False) if array.null_count else None
    if valid is not None:
        code[~valid] = NULL
    if pa.types.is_fixed_size_list(array.type):
        size = array.type.list_size
        if size != dimension:
            code[code == TAKEN] = LENGTH
            return Vectors(np.empty((0, dimension), dtype=np.float32), code)
        found = _numbers(array.values.slice(array.offset * size, rows * size)).reshape(rows, size)
        if valid is not None:
            found = found[valid]
    else:
        lengths = pc.fill_null(pc.list_value_length(array), 0).to_numpy(zero_copy_only=False).astype(np.int64)
        flat = _numbers(array.flatten())
        code[(code == TAKEN) & (lengths != dimension)] = LENGTH
        if code.any():
            flat = flat[np.repeat(code == TAKEN, lengths)]
        found = flat.reshape(-1, dimension)
    return Vectors(found, code)


def finite(values: Matrix, sure: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """(rows,) whether all elements are finite; ``sure``: of which this is known, so that few need the long look."""
    if sure.all():
        return sure
    good = sure.copy()
    for row in np.flatnonzero(~sure):
        good[row] = np.isfinite(values[row]).all()
    return good


def _numbers(array: pa.Array) -> Matrix:
    """Elements as float32, or float64 where they are; null is NaN."""
    if array.type == pa.uint16():
        wide = array.fill_null(0x7FC0) if array.null_count else array
        halves: Matrix = wide.to_numpy(zero_copy_only=False).astype(np.uint32) << 16
        return halves.view(np.float32)
    values: Matrix = array.to_numpy(zero_copy_only=False)
    return values if values.dtype == np.float64 else np.ascontiguousarray(values, dtype=np.float32)


def unit_length(values: Matrix) -> Matrix:
    """Rows divided by their Euclidean length; a row of zeros stays."""
    length = np.sqrt(np.einsum("ij,ij->i", values, values, dtype=np.float64))
    length[length == 0] = 1.0
    with np.errstate(invalid="ignore"):
        scaled: Matrix = values / length[:, None].astype(values.dtype)
    return scaled


def vector_hashes(values: Matrix) -> UInt64:
    """(rows,) a hash of the bits of each row: sum of words times odd numbers modulo 2^64."""
    words = np.ascontiguousarray(values)
    if words.shape[1] % 2 and words.dtype == np.float32:
        words = np.pad(words, ((0, 0), (0, 1)))
    bits = words.view(np.uint64)
    factors = mixed(np.arange(1, bits.shape[1] + 1, dtype=np.uint64)) | np.uint64(1)
    hashed: UInt64 = mixed(np.einsum("ij,j->i", bits, factors))
    return hashed


def mixed(values: UInt64) -> UInt64:
    """The finishing steps of SplitMix64 (Steele, Lea, Flood 2014): every bit of the result depends on all bits."""
    z = values + _WORDS
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    out: UInt64 = z ^ (z >> np.uint64(31))
    return out
