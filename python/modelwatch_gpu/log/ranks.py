"""Where the score of a row's label stands among the scores of all classes: a column made while the log is read."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ..errors import InputError
from ..plain import plain_array, plain_type
from .files import LayeredLogFile, Log, LogFile
from .residuals import is_number


def rank_column(label: str) -> str:
    """Its name."""
    return f"rank of {label}"


def with_label_ranks(log: Log, label: str, scores: Sequence[str], classes: Sequence[str]) -> Log:
    """The log with the column ``rank_column`` after its own, int64: how many classes come before the label's, 0 where
    its score is the highest. Null where the label or a score is missing, or the label is none of ``classes``, which are
    those of ``scores``. Of equal scores the later class comes first, as in scikit-learn."""
    return Log.of([RankedLogFile(file, label, scores, classes) for file in log.files])


class RankedLogFile(LayeredLogFile):
    """A file with the rank of its labels after the columns that it has."""

    def __init__(self, file: LogFile, label: str, scores: Sequence[str], classes: Sequence[str]) -> None:
        self._made, self._classes = rank_column(label), pa.array(classes, pa.string())
        if self._made in file.schema.names:
            raise InputError(f"{file.name} has a column '{self._made}', which is made of others; rename it.")
        inputs = [label, *scores]
        there = set(inputs) <= set(file.schema.names) and all(
            is_number(file.schema.field(name).type) for name in scores
        )
        self._inputs = inputs if there and _named(file.schema.field(label).type) else []
        schema = file.schema.append(pa.field(self._made, pa.int64()))
        super().__init__(file, schema)

    def time_range(self, column: str) -> tuple[int, int] | None:
        """As ``LogFile.time_range``; a rank is no time."""
        return None if column == self._made else self._file.time_range(column)

    def _of_file(self, columns: Sequence[str]) -> list[str]:
        found: dict[str, None] = {}
        for name in columns:
            found.update(dict.fromkeys(self._inputs if name == self._made else [name]))
        return list(found) or self._file.schema.names[:1]  # its rows count

    def _made_of(self, batch: pa.RecordBatch, columns: Sequence[str]) -> pa.RecordBatch:
        arrays = [self._ranks(batch) if name == self._made else batch.column(name) for name in columns]
        return pa.RecordBatch.from_arrays(arrays, names=list(columns))

    def _ranks(self, batch: pa.RecordBatch) -> pa.Array:
        if not self._inputs:
            return pa.nulls(len(batch), pa.int64())
        label = plain_array(batch.column(self._inputs[0]))
        label = label.dictionary_decode() if pa.types.is_dictionary(label.type) else label
        own = pc.index_in(label.cast(pa.string()), self._classes).fill_null(-1).to_numpy(zero_copy_only=False)
        scores = np.stack([_floats(batch.column(name)) for name in self._inputs[1:]])
        known = (own >= 0) & ~np.isnan(scores).any(axis=0)
        mine = scores[np.maximum(own, 0), np.arange(len(own))]
        later = np.arange(len(scores))[:, None] > own
        ranks = ((scores > mine) | ((scores == mine) & later)).sum(axis=0)
        return pa.array(ranks.astype(np.int64), mask=~known)


def _named(kind: pa.DataType) -> bool:
    """Whether labels of this type have their classes' names as text: floats have not."""
    kind = plain_type(kind)
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    t = pa.types
    text = t.is_string(kind) or t.is_large_string(kind) or t.is_string_view(kind)
    return bool(text or t.is_integer(kind) or t.is_boolean(kind))


def _floats(array: pa.Array) -> npt.NDArray[np.float64]:
    """Numbers as float64, NaN where there is none."""
    array = plain_array(array)
    array = array.dictionary_decode() if pa.types.is_dictionary(array.type) else array
    values = array.cast(pa.float64(), safe=False).fill_null(float("nan")).to_numpy(zero_copy_only=False)
    out: npt.NDArray[np.float64] = values
    return out


def distinct_labels(log: Log, label: str, most: int) -> tuple[str, ...] | None:
    """The values of a label as text, sorted; None where there are more than so many, or they have no names. Reads this
    one column."""
    if not _named(log.schema.field(label).type):
        return None
    found: set[str] = set()
    for file in log.files:
        if label not in file.schema.names:
            continue
        for batch in file.batches([label]):
            column = plain_array(batch.column(0))
            column = column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
            found.update(v for v in pc.unique(column).cast(pa.string()).to_pylist() if v is not None)
            if len(found) > most:
                return None
    return tuple(sorted(found))
