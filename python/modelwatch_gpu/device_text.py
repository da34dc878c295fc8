"""Text and dictionary columns that lie on a CUDA device: counted by value where they lie (``device_arrays``)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from modelwatch_gpu import keys
from modelwatch_gpu.device import engine
from modelwatch_gpu.errors import InputError


@dataclass(frozen=True, eq=False)
class DeviceText:
    """One column of text or bytes in a device's memory, or of codes into a dictionary of them.

    ``type``: text, bytes, or a dictionary of these; ``device``: "cuda:N"; ``text_memory``: where the text lies, of a
    dictionary its values; ``codes``: of a dictionary, a ``device_arrays.DeviceColumn`` of whole numbers, else None.
    """

    type: pa.DataType
    device: str
    text_memory: Any
    codes: Any = None

    def __len__(self) -> int:
        return int(self.text_memory.rows) if self.codes is None else len(self.codes)

    @cached_property
    def null_count(self) -> int:
        """Rows that are null, counted on the device; codes of a null in the dictionary are not, as in Arrow."""
        if self.codes is not None:
            return int(self.codes.null_count)
        return int(self._engine.null_rows(self.text_memory))

    @cached_property
    def value_counts(self) -> dict[Any, int]:
        """How many rows have each value, str or bytes; of None, null.

        Raises:
            InputError: Text is not UTF-8, or a code is none of the dictionary's.
        """
        if self.codes is None:
            values, counts, nulls = self._engine.count_text(self.text_memory)
            found = self._read(pa.array(values, pa.binary())).to_pylist()
            return _summed([*zip(found, counts.tolist(), strict=True), *([(None, int(nulls))] if nulls else [])])
        domain = str(keys.domain_of(self.codes.type))
        met = self._engine.distinct_keys(self.codes, keys.DOMAINS[domain])
        codes: npt.NDArray[Any] = keys.values_of(met["keys"], domain)
        known = self._dictionary.to_pylist()
        for code in (int(codes.min()), int(codes.max())) if len(codes) else ():
            if not 0 <= code < len(known):
                raise InputError(
                    f"a code of a column on a device is {code}, and its dictionary has {len(known)} values."
                )
        counted = [(known[code], int(n)) for code, n in zip(codes.tolist(), met["counts"], strict=True)]
        return _summed([*counted, *([(None, self.null_count)] if self.null_count else [])])

    def to_arrow(self) -> pa.Array:
        """A copy in the host's memory."""
        if self.codes is None:
            return _downloaded(self._engine, self.text_memory, self.type)
        return pa.DictionaryArray.from_arrays(self.codes.to_arrow(), self._dictionary)

    @property
    def _engine(self) -> Any:
        return engine(self.device)

    @cached_property
    def _dictionary(self) -> pa.Array:
        found = _downloaded(self._engine, self.text_memory, _bytes_of(self.type.value_type))
        return self._read(found).cast(self.type.value_type)

    def _read(self, values: pa.Array) -> pa.Array:
        """Bytes as what the column holds."""
        kind = self.type.value_type if self.codes is not None else self.type
        if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
            return values
        try:
            return values.cast(pa.large_string() if pa.types.is_large_binary(values.type) else pa.string())
        except pa.ArrowInvalid:
            raise InputError("a column on a device holds text that is not UTF-8; pass it as bytes.") from None


def _bytes_of(kind: pa.DataType) -> pa.DataType:
    return pa.large_binary() if pa.types.is_large_string(kind) or pa.types.is_large_binary(kind) else pa.binary()


def _summed(counted: Iterable[tuple[Any, int]]) -> dict[Any, int]:
    """A dictionary may name a value twice."""
    out: dict[Any, int] = {}
    for value, count in counted:
        out[value] = out.get(value, 0) + count
    return out


def _downloaded(backend: Any, memory: Any, kind: pa.DataType) -> pa.Array:
    rows, dtype = memory.rows, np.dtype(np.int64 if memory.wide else np.int32)
    if rows == 0:
        return pa.array([], kind)
    offsets = backend.download(memory.offsets, (rows + 1) * dtype.itemsize).view(dtype)
    first, last = int(offsets[0]), int(offsets[-1])
    data = pa.py_buffer(backend.download(memory.bytes + first, last - first))
    bits, at = memory.validity
    validity = None
    if bits:
        held = np.unpackbits(backend.download(bits + at // 8, (at % 8 + rows + 7) // 8), bitorder="little")
        validity = pa.py_buffer(np.packbits(held[at % 8 :][:rows], bitorder="little"))
    return pa.Array.from_buffers(kind, rows, [validity, pa.py_buffer(offsets - offsets[0]), data])
