"""Arrow types that only store another type's values in their own way, and the plain types they stand for."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pyarrow as pa


def plain_type(kind: pa.DataType) -> pa.DataType:
    """The type whose values these are: the storage of an extension type, the values of a run-end-encoded one, ordinary
    text or bytes for views. Dictionaries stay, with plain values; every other type is itself."""
    if isinstance(kind, pa.BaseExtensionType):
        return plain_type(kind.storage_type)
    if pa.types.is_run_end_encoded(kind):
        return plain_type(kind.value_type)
    if pa.types.is_dictionary(kind):
        values = plain_type(kind.value_type)
        return kind if values == kind.value_type else pa.dictionary(kind.index_type, values, ordered=kind.ordered)
    if kind == pa.string_view():
        return pa.large_string()
    return pa.large_binary() if kind == pa.binary_view() else kind


def plain_array(array: pa.Array) -> pa.Array:
    """The same values in their plain type. The array must be valid: run ends and codes are followed."""
    kind = array.type
    if plain_type(kind) == kind:
        return array
    if isinstance(kind, pa.BaseExtensionType):
        return plain_array(array.storage)
    if pa.types.is_run_end_encoded(kind):
        rows = array.offset + np.arange(len(array))
        runs = np.searchsorted(array.run_ends.to_numpy(), rows, side="right")
        return plain_array(array.values).take(pa.array(runs))
    if pa.types.is_dictionary(kind):
        return pa.DictionaryArray.from_arrays(array.indices, plain_array(array.dictionary), ordered=kind.ordered)
    return array.cast(plain_type(kind))


def is_nested(kind: pa.DataType) -> bool:
    """Whether a value holds other values: lists, structs, maps, unions, also as values of a dictionary."""
    kind = plain_type(kind)
    if pa.types.is_dictionary(kind):
        return is_nested(kind.value_type) or pa.types.is_dictionary(kind.value_type)
    return bool(pa.types.is_nested(kind))


def is_vector(kind: pa.DataType) -> bool:
    """Whether a value is a list of floats of fixed length."""
    kind = plain_type(kind)
    return bool(pa.types.is_fixed_size_list(kind) and pa.types.is_floating(kind.value_type))


def array_of_bytes(values: Sequence[bytes | memoryview], kind: pa.DataType) -> pa.Array:
    """Values, or memory in bytes, as an array of text or bytes. ``pa.array`` would do, but imports pandas where there
    is one: half a second of a command's start."""
    wide = pa.types.is_large_binary(kind) or pa.types.is_large_string(kind)
    ends = np.zeros(len(values) + 1, dtype=np.int64 if wide else np.int32)
    np.cumsum([len(value) for value in values], out=ends[1:])
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(ends), pa.py_buffer(b"".join(values))])


def type_text(kind: str) -> str:
    """An Arrow type as a person reads it: a dictionary by its values."""
    found = re.fullmatch(r"dictionary<values=(.+), indices=\w+, ordered=[01]>", kind)
    return f"{found[1]} (dictionary)" if found else kind
