"""A bounded sample of rows: those with the smallest hashes (DESIGN 3.3), the same for any order, split and merge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from modelwatch_gpu import _core
from modelwatch_gpu.keys import domain_of
from modelwatch_gpu.profile.adapt import category_array, numeric_array

UInt64 = npt.NDArray[np.uint64]

#: Rows kept beyond the cap before the largest hashes are given up, as a multiple of the cap.
_SLACK = 4


def row_hashes(batch: pa.RecordBatch, names: Sequence[str]) -> UInt64:
    """(rows,) hashes of these columns' values; columns of nested types take no part."""
    arrays, used = [], []
    for name in names:
        array = batch.column(name)
        if pa.types.is_nested(array.type):
            continue
        # Decimals by their text, which does not depend on how many digits a file keeps.
        number = domain_of(array.type) is not None and not pa.types.is_decimal(array.type)
        arrays.append(numeric_array(array) if number else category_array(array))
        used.append(name)
    if not arrays:
        return np.zeros(len(batch), dtype=np.uint64)
    return _core.hash_rows(pa.RecordBatch.from_arrays(arrays, names=used))


@dataclass(frozen=True)
class RowSample:
    """At most ``cap`` rows with the smallest (key hash, row hash).

    ``key``, ``row``: (rows,) uint64, sorted by both; ``rows``: their table. The key hash is of the id columns where
    there are some, so the samples of two logs hold the same events; else it is of the whole row.
    """

    cap: int
    key: UInt64
    row: UInt64
    rows: pa.Table

    @classmethod
    def empty(cls, cap: int) -> RowSample:
        """A sample of nothing yet."""
        none = np.empty(0, dtype=np.uint64)
        return cls(cap, none, none, pa.table({}))

    def merged(self, others: Sequence[RowSample]) -> RowSample:
        """The sample of all rows of which these are samples."""
        every = [s for s in (self, *others) if len(s.key)]
        if not every:
            return self
        key, row = np.concatenate([s.key for s in every]), np.concatenate([s.row for s in every])
        kept = np.lexsort([row, key])[: self.cap]
        # Files may know other columns, or have another type for one: what they share decides, nulls fill the rest.
        rows = pa.concat_tables([_plain(s.rows) for s in every], promote_options="permissive").take(pa.array(kept))
        rows = rows.select(sorted(rows.schema.names)).combine_chunks()
        return RowSample(self.cap, key[kept], row[kept], rows)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Named arrays for a file: the hashes, and the rows as an Arrow IPC stream."""
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, self.rows.schema) as writer:
            for batch in self.rows.to_batches():
                writer.write_batch(batch)
        content = np.frombuffer(sink.getvalue(), dtype=np.uint8)
        return {"sample_key": self.key, "sample_row": self.row, "sample_rows": content}

    @classmethod
    def from_arrays(cls, cap: int, a: dict[str, npt.NDArray[Any]]) -> RowSample:
        """The inverse of ``arrays``; raises ValueError where they do not fit together."""
        if type(cap) is not int or cap < 1:
            raise ValueError("its sample of rows has no size")
        try:
            rows = pa.ipc.open_stream(pa.py_buffer(a["sample_rows"].tobytes())).read_all()
            rows.validate(full=True)
        except (pa.ArrowException, OSError) as error:
            raise ValueError(f"its sample of rows cannot be read: {str(error).splitlines()[0]}") from error
        key, row = a["sample_key"].astype(np.uint64), a["sample_row"].astype(np.uint64)
        if not len(key) == len(row) == rows.num_rows <= cap:
            raise ValueError("its sample of rows and their hashes differ in length")
        if np.any(key[1:] < key[:-1]):
            raise ValueError("its sample of rows is not sorted")
        return cls(cap, key, row, rows)


class Sampler:
    """Takes the batches of a file and keeps the sample of them."""

    def __init__(self, cap: int, ids: Sequence[str]) -> None:
        self.cap = cap
        self.ids = tuple(ids)
        self._held: list[RowSample] = []
        self._limit: np.uint64 | None = None

    def add(self, batch: pa.RecordBatch) -> None:
        """Takes one batch; all of its columns come along."""
        names = batch.schema.names
        by = [name for name in self.ids if name in names] or names
        key = row_hashes(batch, by)
        near = np.arange(len(batch)) if self._limit is None else np.flatnonzero(key <= self._limit)
        # Of one batch, too, only the smallest can stay.
        if len(near) > self.cap:
            most = np.partition(key[near], self.cap - 1)[self.cap - 1]
            near = near[key[near] <= most]
        if not len(near):
            return
        rows = batch.take(pa.array(near))
        self._held.append(RowSample(self.cap, key[near], row_hashes(rows, names), pa.Table.from_batches([rows])))
        if sum(len(s.key) for s in self._held) > _SLACK * self.cap:
            self._shrink()

    def finish(self) -> RowSample:
        """The sample of everything taken."""
        self._shrink()
        return self._held[0]

    def _shrink(self) -> None:
        kept = RowSample.empty(self.cap).merged(self._held)
        self._held = [kept]
        if len(kept.key) == self.cap:
            self._limit = kept.key[-1]


def _plain(rows: pa.Table) -> pa.Table:
    """Dictionaries as their values: the codes of a dictionary depend on what else its file held."""
    for at, field in enumerate(rows.schema):
        if pa.types.is_dictionary(field.type):
            rows = rows.set_column(at, field.name, pc.cast(rows.column(at), field.type.value_type))
    return rows.replace_schema_metadata(None)
