"""Feedback sets: rows of the log that are worth a label, or worth training on.

Three reasons, each a bounded choice that does not depend on the order of files, batches or rows:

- ``drifted``: rows of windows and segments with findings that fire; a sample, those with the smallest hash (DESIGN
  3.3).
- ``unsure``: rows whose score is nearest to the threshold of a decision (uncertainty sampling, Lewis and Gale 1994); of
  several classes, those whose two best scores are nearest to each other (margin sampling, Scheffer et al. 2001).
- ``novel``: rows whose embedding is farthest from the baseline's: the distance to the ``NEIGHBOURS``-th nearest of the
  vectors that the baseline keeps.

Rows are read once, with all their columns; ties are broken by the rows' hash.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from modelwatch_gpu.errors import InputError
from modelwatch_gpu.log import open_log
from modelwatch_gpu.log.files import LogFile
from modelwatch_gpu.measures.embedding_rows import nearest
from modelwatch_gpu.measures.results import segment_text
from modelwatch_gpu.profile import Baseline
from modelwatch_gpu.profile.embeddings import FARTHEST, EmbeddingColumn
from modelwatch_gpu.profile.grouping import SegmentGroups, time_column
from modelwatch_gpu.profile.parts import UNTIMED, WHOLE
from modelwatch_gpu.profile.sample import row_hashes
from modelwatch_gpu.profile.scoring import THRESHOLD
from modelwatch_gpu.profile.segmentation import segmentation
from modelwatch_gpu.profile.vectors import TAKEN, Matrix, unit_length, vectors_of

#: Why a row is in the set, in the order in which they are dealt out.
REASONS: Final = ("drifted", "unsure", "novel")
#: Columns that the set has beside those of the log.
ADDED: Final = ("feedback_reason", "feedback_score", "feedback_file", "feedback_row")
#: Which nearest vector of the baseline's sample a row's novelty is the distance to.
NEIGHBOURS: Final = 5
#: Rows kept beyond those wanted before the least wanted are given up, as a multiple.
_SLACK: Final = 4

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Drifted:
    """Where rows drifted. ``start``, ``end``: of a window in epoch seconds, the end not included; None: all rows.
    ``segment``: column -> value as reports name it; None: all rows of the window."""

    start: int | None = None
    end: int | None = None
    segment: Mapping[str, str | None] | None = None


@dataclass
class _Kept:
    """The most wanted rows for one reason so far: smallest (score, hash) first."""

    cap: int
    score: Floats
    key: npt.NDArray[np.uint64]
    rows: list[pa.Table]

    def take(self, batch: pa.RecordBatch, score: Floats, key: npt.NDArray[np.uint64], where: Floats) -> None:
        """Takes rows; NaN as score: a row that this reason does not want. ``where``: their numbers in the file."""
        wanted = np.flatnonzero(~np.isnan(score))
        if len(wanted) > self.cap:
            wanted = wanted[np.lexsort([key[wanted], score[wanted]])[: self.cap]]
        if not len(wanted):
            return
        table = pa.Table.from_batches([batch.take(pa.array(wanted))])
        self.rows.append(table.append_column(ADDED[3], pa.array(where[wanted].astype(np.int64))))
        self.score = np.concatenate([self.score, score[wanted]])
        self.key = np.concatenate([self.key, key[wanted]])
        if len(self.score) > _SLACK * self.cap:
            self.shrink()

    def shrink(self) -> pa.Table | None:
        """The most wanted rows, best first."""
        if not self.rows:
            return None
        best = np.lexsort([self.key, self.score])[: self.cap]
        table = pa.concat_tables(self.rows, promote_options="permissive").take(pa.array(best)).combine_chunks()
        self.rows, self.score, self.key = [table], self.score[best], self.key[best]
        return table


def feedback_set(
    baseline: Baseline,
    log: Any,
    *,
    rows: int = 1_000,
    drifted: Sequence[Drifted] = (),
    reasons: Sequence[str] = REASONS,
    period: tuple[int, int] | None = None,
) -> pa.Table:
    """Rows worth labelling or training on, with every column of the log.

    Args:
        baseline: What is normal: its roles say which columns are scores, embeddings, and when; its sample of vectors is
            what is known.
        log: A path, glob, list of paths, table, ... as ``open_log`` takes; read once.
        rows: So many rows at most, dealt out evenly among the reasons that have rows.
        drifted: Windows and segments that drifted; none: no rows for that reason.
        reasons: Of ``REASONS``, those to look for.
        period: First and last epoch second of the rows to look at, both included.

    Returns:
        The log's columns and ``feedback_reason`` (the reasons of a row, joined by commas), ``feedback_score`` (float64:
        of its first reason: 0 for drifted, the distance from the threshold or between the best two scores, the distance
        to the baseline's vectors), ``feedback_file``, ``feedback_row`` (its number there, from 0).

    Raises:
        InputError: The log cannot be read, has one of these columns already, a period is given and no row has a time,
            or a reason is unknown.
    """
    for reason in reasons:
        if reason not in REASONS:
            raise InputError(f"There is no reason '{reason}' for feedback; there are {', '.join(REASONS)}.")
    if rows < 1:
        raise InputError(f"rows={rows} must be at least 1.")
    kept = {reason: _empty(rows) for reason in REASONS if reason in reasons}
    judge = _Judge(baseline, drifted)
    for file in open_log(log).files:
        if taken := sorted({*ADDED} & {*file.schema.names}):
            raise InputError(f"{file.name} has a column '{taken[0]}' already, which a feedback set adds; rename it.")
        number = 0
        for batch in _batches(file):
            hashes = row_hashes(batch, baseline.ids or batch.schema.names)
            where = np.arange(number, number + len(batch), dtype=np.float64)
            number += len(batch)
            inside = judge.inside(batch, period)
            named = batch.append_column(ADDED[2], pa.array([file.name] * len(batch), pa.string()))
            for reason, own in kept.items():
                own.take(named, np.where(inside, judge.score(reason, batch), np.nan), hashes, where)
    return _dealt(kept, rows)


def _empty(cap: int) -> _Kept:
    return _Kept(cap, np.empty(0), np.empty(0, dtype=np.uint64), [])


def _batches(file: LogFile) -> Iterator[pa.RecordBatch]:
    yield from file.batches(file.schema.names)


class _Judge:
    """How much a row is wanted for each reason: the smaller, the more; NaN: not at all."""

    def __init__(self, baseline: Baseline, drifted: Sequence[Drifted]) -> None:
        self._baseline, self._drifted = baseline, drifted
        self._vectors = [(c, baseline.part.embeddings.get(("window", c.name))) for c in baseline.embeddings]

    def score(self, reason: str, batch: pa.RecordBatch) -> Floats:
        """(rows,) of a batch."""
        return {"drifted": self._where, "unsure": self._margin, "novel": self._novelty}[reason](batch)

    def inside(self, batch: pa.RecordBatch, period: tuple[int, int] | None) -> npt.NDArray[np.bool_]:
        """(rows,) whether a row's time lies in the period."""
        if period is None:
            return np.ones(len(batch), dtype=bool)
        second = self._seconds(batch)
        if second is None:
            raise InputError("A period needs a column that says when; the baseline or the log has none.")
        return (second >= period[0]) & (second <= period[1])

    def _seconds(self, batch: pa.RecordBatch) -> npt.NDArray[np.int64] | None:
        """(rows,) epoch seconds, ``UNTIMED`` where there is no time."""
        name = self._baseline.timestamp
        if name is None or name not in batch.schema.names:
            return None
        ticks, per_second = time_column(batch.column(name), name)
        known = ticks.is_valid().to_numpy(zero_copy_only=False)
        whole = ticks.fill_null(0).to_numpy(zero_copy_only=False) // per_second
        return np.where(known, whole, UNTIMED).astype(np.int64)

    def _where(self, batch: pa.RecordBatch) -> Floats:
        """0 for rows that lie where something drifted."""
        found = np.zeros(len(batch), dtype=bool)
        second = self._seconds(batch)
        by: dict[tuple[str, ...], npt.NDArray[Any]] = {}
        for one in self._drifted:
            own = np.ones(len(batch), dtype=bool)
            if one.start is not None and one.start > WHOLE:
                end = one.end if one.end is not None else np.iinfo(np.int64).max
                own = np.zeros(len(batch), dtype=bool) if second is None else (second >= one.start) & (second < end)
            if one.segment is not None and own.any():
                names = tuple(one.segment)
                if names not in by:
                    by[names] = self._segments(batch, names)
                own &= by[names] == canonical_key(one.segment)
            found |= own
        return np.where(found, 0.0, np.nan)

    def _segments(self, batch: pa.RecordBatch, names: tuple[str, ...]) -> npt.NDArray[Any]:
        """(rows,) the segment of each row as text, by the rule that profiles are cut by."""
        cut = segmentation(names, self._baseline.by_name, self._baseline.part)
        groups = SegmentGroups(cut, batch.schema, max(1, len(batch)))
        numbers = groups.of(np.zeros(len(batch), dtype=np.int32), [(0,)], batch)
        texts = []
        for key in groups.numbering.keys:
            values = [(int(kind), str(text)) for kind, text in zip(key[1::2], key[2::2], strict=True)]
            texts.append(canonical_key(dict(zip(names, map(segment_text, values), strict=True))))
        return np.array(texts, dtype=object)[numbers]

    def _margin(self, batch: pa.RecordBatch) -> Floats:
        """How near to call it was."""
        scoring = self._baseline.scoring
        if scoring is not None:
            names = list(scoring.scores)
        else:
            names = [name for name, role in self._baseline.roles.items() if role == "score"]
        scores = [_floats(batch, name) for name in names if name in batch.schema.names]
        if not scores or len(scores) < len(names):
            return np.full(len(batch), np.nan)
        if scoring is None or scoring.positive is not None or len(scores) == 1:
            threshold = scoring.threshold if scoring is not None else THRESHOLD
            near: Floats = np.abs(np.stack(scores) - threshold).min(axis=0)
            return near
        best = np.sort(np.stack(scores), axis=0)[-2:]  # NaN sorts last
        margin: Floats = best[1] - best[0]
        return margin

    def _novelty(self, batch: pa.RecordBatch) -> Floats:
        """The farther from what the baseline knows, the smaller; of several embeddings the farthest counts."""
        farthest = np.full(len(batch), np.nan)
        for column, kept in self._vectors:
            if kept is None or column.name not in batch.schema.names:
                continue
            known = kept.sample[kept.sampled(0)]
            field = batch.schema.field(column.name)
            if len(known) < NEIGHBOURS or not column.reads(field):
                continue
            found = vectors_of(batch.column(column.name), column.dimension)
            values = unit_length(found.values) if column.normalize else found.values
            own = np.full(len(batch), np.nan)
            own[found.code == TAKEN] = _distances(column, values, known)
            farthest = np.fmax(farthest, own)
        return -farthest


def _distances(column: EmbeddingColumn, values: Matrix, known: Matrix) -> Floats:
    """(rows,) in units of the baseline's spread. So far away that float32 says little of it, from the baseline's centre
    instead of its nearest vectors."""
    centered = values.astype(np.float64) - column.center
    out: Floats = np.sqrt(np.einsum("ij,ij->i", centered, centered))
    near = out <= FARTHEST * column.spread
    if near.any():
        out[near] = nearest(values[near].astype(np.float32), known, NEIGHBOURS, same=False).distance[:, -1]
    return out / column.spread


def canonical_key(segment: Mapping[str, str | None]) -> str:
    """A segment as one text; null and the text "null" differ."""
    return "\0".join(f"{name}\1{'' if value is None else 'v' + value}" for name, value in segment.items())


def _floats(batch: pa.RecordBatch, name: str) -> Floats:
    """A column as float64, NaN where it is null or no number."""
    array = batch.column(name)
    if not (pa.types.is_floating(array.type) or pa.types.is_integer(array.type) or pa.types.is_decimal(array.type)):
        return np.full(len(batch), np.nan)
    values: Floats = pc.cast(array, pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return values


def _dealt(kept: Mapping[str, _Kept], rows: int) -> pa.Table:
    """One row of each reason in turn, each row once, with all of its reasons."""
    tables = {reason: table for reason, own in kept.items() if (table := own.shrink()) is not None}
    if not tables:
        return pa.table({name: pa.array([], kind) for name, kind in zip(ADDED, _KINDS, strict=True)})
    names = {
        reason: list(zip(t.column(ADDED[2]).to_pylist(), t.column(ADDED[3]).to_pylist(), strict=True))
        for reason, t in tables.items()
    }
    reasons: dict[tuple[str, int], list[str]] = {}
    for reason, own in names.items():
        for name in own:
            reasons.setdefault(name, []).append(reason)
    chosen: dict[tuple[str, int], tuple[str, int]] = {}
    for place in range(max(map(len, names.values()))):
        for reason, own in names.items():
            if place < len(own) and len(chosen) < rows:
                chosen.setdefault(own[place], (reason, place))
    picked = {reason: [p for r, p in chosen.values() if r == reason] for reason in tables}
    parts = []
    for reason, places in picked.items():
        part = tables[reason].take(pa.array(places, pa.int64()))
        told = [",".join(reasons[names[reason][p]]) for p in places]
        score = np.abs(kept[reason].score[places])
        parts.append(part.append_column(ADDED[0], pa.array(told, pa.string())).append_column(ADDED[1], pa.array(score)))
    found = pa.concat_tables(parts, promote_options="permissive").combine_chunks()
    return found.select([*(n for n in found.schema.names if n not in ADDED), *ADDED])


_KINDS: Final = (pa.string(), pa.float64(), pa.string(), pa.int64())
