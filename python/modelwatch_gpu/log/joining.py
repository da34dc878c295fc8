"""Labels that come late, put beside the rows of a log while it is read."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ..errors import InputError
from ..plain import plain_array, plain_type
from .files import LayeredLogFile, Log, LogFile
from .labels import CONFLICT, PART_IDS, Labels, any_null, keys_of
from .sources import open_log

UInt64 = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class JoinCounts:
    """What joining did. ``rows``: of the log, as far as it was read. ``joined``: rows that got a label. ``replaced``:
    of these, rows whose own label was another one. ``labelled``: rows with a label in the end. ``orphans``: ids with a
    label and no row. ``shared``: ids with a label and several rows, all of which got it."""

    rows: int
    joined: int
    replaced: int
    labelled: int
    orphans: int
    shared: int


class JoinedLabels:
    """Labels as they are put beside the rows of one log: what was found so far (``counts``)."""

    def __init__(self, labels: Labels) -> None:
        self.labels = labels
        self._index = labels.index()
        self._texts = pa.array(labels.texts, pa.string())
        self._type = labels.type
        self._most_equal = _longest_run(self._index["first"])
        self._lock = threading.Lock()
        # One byte an id: rows that had it, up to 2.
        self._place = tempfile.TemporaryDirectory(prefix="modelwatch-join-")
        size = len(self._index["first"])
        path = os.path.join(self._place.name, "hits")
        self._hits: Any = np.memmap(path, dtype=np.uint8, mode="w+", shape=(size,)) if size else np.empty(0, np.uint8)
        self._tally = dict.fromkeys(("rows", "joined", "replaced", "labelled"), 0)

    @property
    def type(self) -> pa.DataType:
        """The type of the labels; null where there is none."""
        kinds = {"bool": pa.bool_(), "int64": pa.int64(), "float64": pa.float64(), "string": pa.string()}
        return kinds.get(str(self._type), pa.null())

    @property
    def counts(self) -> JoinCounts:
        """Of all rows read so far."""
        return JoinCounts(
            **self._tally,
            orphans=int(np.count_nonzero(self._hits == 0)),
            shared=int(np.count_nonzero(self._hits > 1)),
        )

    def label_of(self, ids: Sequence[pa.Array], names: Sequence[str], own: pa.Array | None, where: str) -> pa.Array:
        """(rows,) the label of each row: the one that came late, else its own."""
        place = self._places(*keys_of(ids, names, where))
        found = (place >= 0) & ~any_null(ids)
        with self._lock:
            distinct, rows = np.unique(place[found], return_counts=True)
            self._hits[distinct] = np.minimum(2, self._hits[distinct] + np.minimum(rows, 2))
        at = np.where(found, place, 0)
        if len(self._index["flags"]):
            found &= (self._index["flags"][at] & CONFLICT) == 0
        late = self._values(at, found)
        result = late
        replaced = 0
        if own is not None and not pa.types.is_null(own.type):
            own = plain_array(own)
            own = own.dictionary_decode() if pa.types.is_dictionary(own.type) else own
            late = _as_type(late, own.type, where)
            result = pc.coalesce(late, own)
            differs = pc.and_(pc.is_valid(own), pc.and_(pc.is_valid(late), pc.not_equal(late, own)))
            replaced = pc.sum(differs).as_py() or 0
        with self._lock:
            self._tally["rows"] += len(result)
            self._tally["joined"] += int(np.count_nonzero(found))
            self._tally["replaced"] += int(replaced)
            self._tally["labelled"] += len(result) - result.null_count
        return result

    def _places(self, first: UInt64, second: UInt64) -> npt.NDArray[np.int64]:
        """(rows,) where each key is in the index, -1 where it is not."""
        own, other = self._index["first"], self._index["second"]
        out = np.full(len(first), -1, dtype=np.int64)
        if not len(own):
            return out
        # In order, so that the index is walked through once and not jumped about in.
        order = np.argsort(first)
        near = np.searchsorted(own, first[order])
        for step in range(self._most_equal):
            at = np.minimum(near + step, len(own) - 1)
            hit = (own[at] == first[order]) & (other[at] == second[order])
            out[order[hit]] = at[hit]
        return out

    def _values(self, at: npt.NDArray[np.int64], found: npt.NDArray[np.bool_]) -> pa.Array:
        values = np.asarray(self._index["value"][at]) if len(self._index["value"]) else np.zeros(len(at), np.int64)
        if self._type is None:
            return pa.nulls(len(at))
        if self._type == "string":
            return self._texts.take(pa.array(values, mask=~found))
        if self._type == "float64":
            return pa.array(values.view(np.float64), mask=~found)
        return pa.array(values, mask=~found).cast(self.type)


def _longest_run(sorted_keys: Any) -> int:
    """How many equal keys follow one another at most; 1 but for collisions of hashes. Reads in parts."""
    most = 1
    run = 1
    for begin in range(0, max(0, len(sorted_keys) - 1), PART_IDS):
        part = np.asarray(sorted_keys[begin : begin + PART_IDS + 1])
        for same in np.flatnonzero(part[1:] == part[:-1]).tolist():
            run = run + 1 if same and part[same] == part[same - 1] else 2
            most = max(most, run)
    return most


def _as_type(late: pa.Array, kind: pa.DataType, where: str) -> pa.Array:
    """Late labels in the type of the log's own ones."""
    if late.type == kind:
        return late
    try:
        if pa.types.is_boolean(kind) and pa.types.is_integer(late.type):
            distinct = pc.unique(late.drop_null()).to_pylist()
            if not {*distinct} <= {0, 1}:
                raise pa.ArrowInvalid("not 0 or 1")
        return late.cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise InputError(
            f"{where}: its labels are {kind} and the late ones {late.type}, and one of these cannot be told as such; "
            "cast one of the two."
        ) from None


class LabelledLogFile(LayeredLogFile):
    """A file with late labels in its label column, which comes last where the file has none."""

    def __init__(self, file: LogFile, joined: JoinedLabels, ids: Sequence[str], label: str) -> None:
        self._joined, self._ids, self._label = joined, tuple(ids), label
        missing = [name for name in ids if name not in file.schema.names]
        if missing:
            raise InputError(
                f"{file.name} has no column '{missing[0]}', by which labels find their rows; there are "
                f"{', '.join(file.schema.names[:20])}."
            )
        self._own = label if label in file.schema.names else None
        kind = plain_type(file.schema.field(label).type) if self._own else pa.null()
        kind = kind.value_type if pa.types.is_dictionary(kind) else kind
        field = pa.field(label, joined.type if pa.types.is_null(kind) else kind)
        schema = file.schema.append(field)
        if self._own:
            schema = file.schema.set(file.schema.get_field_index(label), field)
        super().__init__(file, schema)

    def time_range(self, column: str) -> tuple[int, int] | None:
        """As ``LogFile.time_range``; a label is no time."""
        return None if column == self._label else self._file.time_range(column)

    def _of_file(self, columns: Sequence[str]) -> list[str]:
        if self._label not in columns:
            return list(columns)
        own = [name for name in columns if name != self._label]
        return list(dict.fromkeys([*own, *self._ids, *([self._own] if self._own else [])]))

    def _made_of(self, batch: pa.RecordBatch, columns: Sequence[str]) -> pa.RecordBatch:
        if self._label not in columns:
            return batch.select(list(columns))
        ids = [plain_array(batch.column(name)) for name in self._ids]
        own = batch.column(self._own) if self._own else None
        label = self._joined.label_of(ids, self._ids, own, self.name)
        kind = self.schema.field(self._label).type
        label = label if label.type == kind else label.cast(kind)
        return pa.RecordBatch.from_arrays(
            [label if name == self._label else batch.column(name) for name in columns], names=list(columns)
        )


def join_labels(log: Any, labels: Any, *, id: str | Sequence[str], label: str = "label", at: str | None = None) -> Log:
    """A log whose rows have the labels that came late, for whatever takes a log; they are found while it is read.

    Args:
        log: Whatever a log can be.
        labels: ``Labels``, or label files, which are put in order in a temporary folder first.
        id: The column, or columns, that name a row, in the log and in label files.
        label: The column with the label, in the log (where it may be missing) and in label files.
        at: Of label files: the column that says when a label was given.

    Raises:
        InputError: A column is missing or of a type that cannot be taken.
    """
    return joined(log, labels, id=id, label=label, at=at)[0]


def joined(
    log: Any, labels: Any, *, id: str | Sequence[str], label: str, at: str | None = None
) -> tuple[Log, JoinedLabels]:
    """``join_labels``, and what tells what was found."""
    ids = (id,) if isinstance(id, str) else tuple(id)
    known = labels if isinstance(labels, Labels) else Labels().add(labels, id=ids, label=label, at=at)
    state = JoinedLabels(known)
    return Log.of([LabelledLogFile(file, state, ids, label) for file in open_log(log).files]), state
