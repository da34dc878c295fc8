"""Counts a file against a baseline's columns: the only part of the package that touches rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from modelwatch_gpu import _core, keys
from modelwatch_gpu.device import engine
from modelwatch_gpu.errors import InputError
from modelwatch_gpu.log import LogFile, RowWindow, Window, read_ahead
from modelwatch_gpu.log.files import wider
from modelwatch_gpu.profile.adapt import Reading, counts_as_it_is, reading_of
from modelwatch_gpu.profile.blas import one_thread_each
from modelwatch_gpu.profile.columns import Column, NumericColumn
from modelwatch_gpu.profile.embedding_counter import EmbeddingCounter, KeyedVectors
from modelwatch_gpu.profile.embedding_sums import EmbeddingTable
from modelwatch_gpu.profile.embeddings import EmbeddingColumn, hashed_columns, shown_columns
from modelwatch_gpu.profile.facts import FactsSpec, Observer
from modelwatch_gpu.profile.grouping import Numbering, RowGroups, SegmentGroups, TimeGroups, time_column
from modelwatch_gpu.profile.kept_keys import KeptKeys, PartKeys
from modelwatch_gpu.profile.labelled import LabelledCounter
from modelwatch_gpu.profile.parts import GroupKey, Part, SetSpec
from modelwatch_gpu.profile.sample import Sampler
from modelwatch_gpu.profile.scoring import Scoring
from modelwatch_gpu.profile.segmentation import Segmentation
from modelwatch_gpu.profile.side_by_side import side_by_side
from modelwatch_gpu.profile.tables import CategoryTable, NumericTable, Table
from modelwatch_gpu.profile.weights import UInt32, Weighting, WeightSums, check_total

Progress = Callable[[int], None]

#: Counters of so many bytes are put in order column by column, side by side.
_LARGE = 8 * 2**20

#: Batches between two tidyings of Arrow's memory pool.
_TIDY_EVERY = 8


@dataclass(frozen=True)
class CountSpec:
    """What to count: the sets, and how rows are put into groups. ``segmentations``: in the order of their sets.
    ``sample``: rows to keep of a file, those with the smallest hashes of their ``ids`` columns; 0: none.
    ``weighting``: how often rows count, None: once. ``scoring``: what sets that are crossed with the label count.
    ``device``: what counts, as ``resolve`` names it. ``facts``: what to note of all columns for checks of data quality,
    None: nothing. ``made``: columns that no log stores, such as conditions of segments. ``embeddings``: columns of
    vectors, whose projections are among the columns counted. ``roles``: of the baseline's columns. ``spare``: bytes
    that the counters of the file before may still take while one is counted."""

    sets: tuple[SetSpec, ...]
    window: Window | RowWindow | None
    block: Window
    zone: ZoneInfo
    timestamp: str | None
    segmentations: tuple[Segmentation, ...] = ()
    segment_cap: int = 0
    threads: int = 0
    sample: int = 0
    ids: tuple[str, ...] = ()
    ignored: frozenset[str] = field(default_factory=frozenset)
    weighting: Weighting | None = None
    scoring: Scoring | None = None
    device: str = "cpu"
    facts: FactsSpec | None = None
    made: frozenset[str] = field(default_factory=frozenset)
    embeddings: tuple[EmbeddingColumn, ...] = ()
    roles: Mapping[str, str] = field(default_factory=dict)
    spare: int = 0

    @property
    def plain_sets(self) -> tuple[SetSpec, ...]:
        """The sets that are not crossed with the label."""
        return tuple(s for s in self.sets if not s.labelled)

    @property
    def labelled_sets(self) -> tuple[SetSpec, ...]:
        """Those that are."""
        return tuple(s for s in self.sets if s.labelled)

    @property
    def is_plain(self) -> bool:
        """Whether counters are of this process alone, and all that they take is known."""
        return self.device == "cpu" and not self.embeddings


def check_segments(spec: CountSpec, schema: pa.Schema) -> None:
    """Raises InputError where a log of this schema lacks a column that it is to be cut by."""
    for name in (name for s in spec.segmentations for name in s.columns):
        if name not in schema.names:
            raise InputError(
                f"Cannot segment by '{name}': the log has no such column; it has {', '.join(schema.names)}."
            )


@dataclass(frozen=True)
class PreparedBatch:
    """Rows as the engine counts them: those of weight 0 are not among them. ``rows``: with all their columns.
    ``groups``: the group of every row in each set; ``labelled``: in those crossed with the label. ``weights``: how
    often each row counts, None: once. ``vectors``: of every embedding."""

    rows: pa.RecordBatch
    values: pa.RecordBatch
    groups: list[Any]
    labelled: list[Any]
    weights: UInt32 | None
    vectors: list[KeyedVectors]


class FileCounter:
    """The state of one file while it is read, or of a stream of batches that are added as they come.

    ``keys``: of the files before, all of which have been read.
    """

    def __init__(
        self,
        columns: Sequence[Column],
        file: LogFile,
        spec: CountSpec,
        first_row: int,
        keys: KeptKeys | None = None,
    ) -> None:
        self.file = file
        self._keys = keys if keys is not None else KeptKeys()
        self._own_keys: dict[str, PartKeys] | None = None
        self.spec = spec
        have = set(file.schema.names)
        if spec.weighting is not None and spec.weighting.column not in have:
            raise InputError(
                f"{file.name}: there is no column '{spec.weighting.column}', which holds the weights of rows; add it, "
                "or fit the baseline without the role weight."
            )
        self.incomparable: dict[str, str] = {}
        self.embeddings: list[EmbeddingCounter] = []
        self._vector_threads = 1
        projections = self._embeddings(have)
        of_vectors = {name for c in spec.embeddings for name in c.projections}
        embedded = [c.name for c in spec.embeddings if c.name not in have]
        self.gone = (*(c.name for c in columns if c.name not in have | of_vectors), *embedded)
        self.columns: list[Column] = []
        self.readings: list[Reading] = []
        for column in columns:
            if column.name not in have | projections:
                continue
            kind = pa.float32() if column.name in projections else file.schema.field(column.name).type
            reading = reading_of(column, kind)
            if reading is None:
                self.incomparable[column.name] = str(kind)
                continue
            self.columns.append(column)
            self.readings.append(reading)
        known = {c.name for c in (*columns, *spec.embeddings)} | spec.ignored | {spec.timestamp}
        self.new = tuple(n for n in file.schema.names if n not in known)
        self.windows: TimeGroups | RowGroups
        if isinstance(spec.window, RowWindow):
            self.windows = RowGroups(spec.window, first_row)
        else:
            self.windows = TimeGroups(spec.window, spec.zone)
        self.blocks = TimeGroups(spec.block if spec.timestamp else None, spec.zone)
        self.segments = {
            s.name: SegmentGroups(s, file.schema, spec.segment_cap, self._keys.segments(s.name))
            for s in spec.segmentations
        }
        self.has_blocks = any(s.name == "block" for s in spec.sets)
        kinds = [pa.float32() if c.name in projections else file.schema.field(c.name).type for c in self.columns]
        self._stored = [c.name for c in self.columns if c.name not in projections]
        self._converts = [i for i in range(len(self.columns)) if not counts_as_it_is(self.readings[i], kinds[i])]
        self.answers: LabelledCounter | None = None
        if spec.scoring is not None and spec.labelled_sets:
            self.answers = LabelledCounter(
                self.columns, self.readings, file.schema, spec.labelled_sets, spec.scoring, spec.device
            )
            if self._keys.answers is not None:
                self.answers.goes_on(self._keys.answers, self._keys.seed)
        plans = [r.plan for r in self.readings]
        sets = [
            _core.SetPlan(coarse=s.grid == "coarse", moments=s.moments, sketches=s.sketches) for s in spec.plain_sets
        ]
        at_once = self.answers if spec.device == "cpu" else None
        #: Whether answers are counted for each label in the same pass: a row is looked up once then.
        self._at_once = at_once is not None
        self.counter = (
            engine(spec.device).Counter(plans, sets)
            if at_once is None
            else _core.Counter(plans, sets, at_once.plans, at_once.places)
        )
        self.sampler = Sampler(spec.sample, spec.ids) if spec.sample else None
        self.observer = Observer(spec.facts, file.schema, spec.made) if spec.facts is not None else None
        self.span: tuple[int, int] | None = None
        self.rows = 0
        self.weights = {s.name: WeightSums.zeros(0) for s in spec.sets} if spec.weighting is not None else {}

    def wanted(self) -> list[str]:
        """The columns that batches have, in this order."""
        spec = self.spec
        extra = [spec.timestamp, *(name for s in spec.segmentations for name in s.columns)]
        extra += spec.ids if self.sampler is not None else ()
        extra += [spec.weighting.column] if spec.weighting is not None else []
        extra += [name for own in self.embeddings for name in own.columns]
        extra += [spec.scoring.label] if spec.scoring is not None else []
        extra += self.file.schema.names if self.observer is not None else []
        present = [name for name in extra if name is not None and name in self.file.schema.names]
        wanted = list(dict.fromkeys(self._stored + present))
        return wanted or self.file.schema.names[:1]  # nothing can be compared, but its rows still count

    def read(self, progress: Progress | None) -> None:
        """Counts the whole file, which a thread of its own reads ahead."""
        batches = read_ahead(self.prepared())
        try:
            self.count(batches, progress)
        finally:
            batches.close()

    def count(self, batches: Iterator[PreparedBatch], progress: Progress | None) -> None:
        """Counts what ``prepared`` gives."""
        with one_thread_each() if self.embeddings else nullcontext(False) as alone:
            self._vector_threads = (self.spec.threads or _core.default_threads()) if alone else 1
            for at, batch in enumerate(batches):
                self._count(batch)
                if at % _TIDY_EVERY == 0:
                    # The pool keeps what decoding freed; without this a long log slowly grows the process.
                    pa.default_memory_pool().release_unused()
                if progress is not None:
                    progress(len(batch.rows))

    def prepared(self) -> Iterator[PreparedBatch]:
        """What the engine needs of every batch of the file. Runs in the thread that reads, while the one before is
        counted."""
        for batch in self.file.batches(self.wanted()):
            prepared = self._prepare(batch, {})
            self.rows += len(batch)
            yield prepared
        self._own_keys = self._part_keys()
        if self.rows and self.spec.is_plain:
            self._keys.leave(self.segments, self.answers)

    def add(self, batch: pa.RecordBatch) -> None:
        """Counts a valid batch of the columns ``wanted``. Where that raises InputError, nothing of it was counted."""
        keys = {name: len(numbering.keys) for name, numbering in self._numberings().items()}
        span, weights = self.span, self.weights
        groups: dict[str, Any] = {}
        try:
            self._count(self._prepare(batch, groups))
        except InputError:
            self.span, self.weights = span, weights
            for name, numbers in groups.items():
                self._numberings()[name].take_back(numbers, keys[name])
            raise
        self.rows += len(batch)

    @property
    def groups(self) -> int:
        """Groups of all sets so far."""
        return sum(len(numbering.keys) for numbering in self._numberings().values())

    @property
    def bytes(self) -> int:
        """What its counters take."""
        crossed = self.answers.counter if self.answers is not None else None
        return int(self.counter.bytes) + (int(crossed.bytes) if crossed is not None else 0)

    def continue_at(self, row: int) -> None:
        """The next batch begins at this row of its log, which windows of rows go by."""
        if isinstance(self.windows, RowGroups):
            self.windows.next = row

    def _prepare(self, batch: pa.RecordBatch, groups: dict[str, Any]) -> PreparedBatch:
        """What the engine needs of a batch. Fills ``groups``: the group of every row in each set."""
        spec, rows, windows = self.spec, len(batch), self.windows
        weights = self._weights(batch)
        ticks, per_second, span = None, 1, None
        if spec.timestamp is not None and spec.timestamp in batch.schema.names:
            ticks, per_second = time_column(batch.column(spec.timestamp), spec.timestamp)
            span = _seconds(ticks, per_second)
            self.span = wider(self.span, span)
        own = windows.of(rows) if isinstance(windows, RowGroups) else windows.of(ticks, per_second, rows, span)
        groups["window"] = own
        if self.has_blocks:
            groups["block"] = self.blocks.of(ticks, per_second, rows, span)
        for name, segments in self.segments.items():
            groups[name] = segments.of(own, windows.numbering.keys, batch)
        if self.answers is not None:
            groups.update(self.answers.groups(batch, groups, self._numberings()))
        counted = groups
        if weights is not None:
            self.weights = self._weighed(groups, weights)
            if not weights.all():
                kept = np.flatnonzero(weights)
                batch, weights = batch.take(pa.array(kept)), weights[kept]
                counted = {name: numbers[kept] for name, numbers in groups.items()}
        vectors: list[KeyedVectors] = []
        values = batch.select(self._stored) if batch.num_columns > len(self._stored) else batch
        if self.embeddings:
            read = [own.read(batch) for own in self.embeddings]
            vectors = [keyed for keyed, _ in read]
            made = {name: array for _, columns in read for name, array in columns.items()}
            arrays = [made[c.name] if c.name in made else batch.column(c.name) for c in self.columns]
            values = pa.RecordBatch.from_arrays(arrays, names=[c.name for c in self.columns])
        for i in self._converts:
            values = values.set_column(i, self.columns[i].name, self._converted(i, values.column(i)))
        plain, labelled = ([counted[s.name] for s in sets] for sets in (spec.plain_sets, spec.labelled_sets))
        return PreparedBatch(batch, values, plain, labelled, weights, vectors)

    def _count(self, batch: PreparedBatch) -> None:
        """Adds a batch to the tables, and to the sample."""
        if self.columns:
            try:
                groups = [*batch.groups, *batch.labelled] if self._at_once else batch.groups
                self.counter.add(batch.values, groups, self.spec.threads, batch.weights)
                if self.answers is not None:
                    self.answers.add(batch.values, batch.labelled, self.spec.threads, batch.weights)
            except InputError as error:
                raise InputError(f"{self.file.name}: {error}") from error
        for own, vectors in zip(self.embeddings, batch.vectors, strict=True):
            own.add(batch.rows, vectors, batch.groups, self._vector_threads)
        if self.sampler is not None:
            self.sampler.add(batch.rows)
        if self.observer is not None:
            self.observer.add(batch.rows, batch.groups[0], [int(key[0]) for key in self.windows.numbering.keys])

    def _embeddings(self, have: set[str]) -> set[str]:
        """Makes the counters of the embeddings that this file has, and returns the names of their projections."""
        spec, schema = self.spec, self.file.schema
        hashed = hashed_columns(spec.roles, schema)
        shown = shown_columns(spec.roles, schema) if spec.embeddings else []
        names: set[str] = set()
        for column in spec.embeddings:
            if column.name not in have:
                continue
            if column.reads(schema.field(column.name)):
                sets = [s.name for s in spec.plain_sets]
                self.embeddings.append(EmbeddingCounter(column, sets, hashed, shown, spec.device))
                names.update(column.projections)
            else:
                self.incomparable[column.name] = str(schema.field(column.name).type)
        return names

    def _weights(self, batch: pa.RecordBatch) -> UInt32 | None:
        """(rows,) how often each row of the next batch counts; None: once."""
        weighting = self.spec.weighting
        return None if weighting is None else weighting.stored(batch, self.file.name, self.rows)

    def _weighed(self, groups: dict[str, Any], weights: UInt32) -> dict[str, WeightSums]:
        """The weights of all groups with those of a batch's rows."""
        numberings = self._numberings()
        sums = {name: self.weights[name].plus(own, weights, len(numberings[name].keys)) for name, own in groups.items()}
        check_total(int(sums["window"].total.sum()), self.file.name)
        return sums

    def _numberings(self) -> dict[str, Numbering]:
        """The numbering of every set's groups."""
        own = {name: segments.numbering for name, segments in self.segments.items()}
        crossed = self.answers.numberings if self.answers is not None else {}
        return {"window": self.windows.numbering, "block": self.blocks.numbering, **own, **crossed}

    def _converted(self, at: int, array: pa.Array) -> pa.Array:
        column = self.columns[at]
        try:
            return self.readings[at].convert(array)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            # Values that the baseline's type cannot hold: the column is left out of this file's part, the rest goes on.
            self.incomparable[column.name] = str(array.type)
            empty = pa.nulls(len(array), array.type)
            return self.readings[at].convert(empty)

    def _tables(self, spec: SetSpec, keys: PartKeys) -> dict[tuple[str, str], Table]:
        """What the engine has of every column of a set, in the groups of the part."""
        counter = self.counter
        if not spec.labelled:
            work, s = [(c, c) for c in range(len(self.columns))], self.spec.plain_sets.index(spec)
        else:
            assert self.answers is not None
            own, s = self.answers.places, self.spec.labelled_sets.index(spec)
            if self._at_once:
                work, s = [(c, c) for c in own], s + len(self.spec.plain_sets)
            else:
                counter, work = self.answers.counter, list(enumerate(own))
        on_cpu = isinstance(counter, _core.Counter)
        ordered = on_cpu and keys.order is not None
        options: tuple[Any, ...] = (True, keys.order) if on_cpu else ()
        counted = len(keys.groups if ordered else keys.to)

        def regrouped(table: Table) -> Table:
            return table if ordered else table.regrouped(keys.to, len(keys.groups))

        def table(work: tuple[int, int]) -> Table:
            at, c = work
            column, reading = self.columns[c], self.readings[c]
            if not isinstance(column, NumericColumn):
                return regrouped(CategoryTable.from_engine(counter.category(at, s, *options), counted))
            numeric = NumericTable.from_engine(counter.numeric(at, s, *options), counted)
            if reading.lifted is not None:
                _lower(numeric, column, reading.lifted)
            return regrouped(numeric)

        work = [(at, c) for at, c in work if self.columns[c].name not in self.incomparable]
        large = on_cpu and counter.bytes >= _LARGE
        tables = side_by_side(table, work, self.spec.threads if large else 1)
        return {(spec.name, self.columns[c].name): own for (_, c), own in zip(work, tables, strict=True)}

    def _part_keys(self) -> dict[str, PartKeys]:
        """Of every set, the groups so far."""
        numberings, cap = self._numberings(), self.spec.segment_cap
        whole: set[str] = set()  # those crossed with the label come behind the others
        return {s.name: self._keys.of_numbering(s.name, numberings[s.name], cap, whole) for s in self.spec.sets}

    def part(self) -> Part:
        """What was counted."""
        numberings = self._numberings()
        groups: dict[str, list[GroupKey]] = {}
        texts: dict[str, str] = {}
        rows: dict[str, Any] = {}
        weights: dict[str, WeightSums] = {}
        tables: dict[tuple[str, str], Table] = {}
        embeddings: dict[tuple[str, str], EmbeddingTable] = {}
        keys = self._own_keys or self._part_keys()
        for spec in self.spec.sets:
            numbering, own = numberings[spec.name], keys[spec.name]
            groups[spec.name], texts[spec.name] = own.groups, own.text
            many = len(own.groups)
            rows[spec.name] = np.zeros(many, dtype=np.uint64)
            np.add.at(rows[spec.name], own.to, numbering.rows.astype(np.uint64))
            if spec.name in self.weights:
                weights[spec.name] = self.weights[spec.name].regrouped(own.to, many)
            tables |= self._tables(spec, own)
            for sums in self.embeddings if not spec.labelled else ():
                table_of = sums.table(self.spec.plain_sets.index(spec), len(own.to))
                embeddings[(spec.name, sums.column.name)] = table_of.regrouped(own.to, many)
        return Part(
            rows=self.rows,
            span=self.span,
            groups=groups,
            group_rows=rows,
            tables=tables,
            gone=self.gone,
            new=self.new,
            incomparable=self.incomparable,
            sample=self.sampler.finish() if self.sampler is not None else None,
            facts=self.observer.finish() if self.observer is not None else None,
            weight_bits=None if self.spec.weighting is None else self.spec.weighting.bits,
            weights=weights,
            embeddings=embeddings,
            texts=texts,
        )


def _seconds(ticks: pa.Array, per_second: int) -> tuple[int, int] | None:
    """The first and last second of a batch; None where it has no time."""
    span = pc.min_max(ticks)
    if not span["min"].is_valid:
        return None
    return span["min"].as_py() // per_second, span["max"].as_py() // per_second


def _lower(table: NumericTable, column: NumericColumn, lifted: str) -> None:
    """Brings what was counted in a wider domain back to the column's: ranges rounded outwards, means to its pivot."""
    for i in np.flatnonzero(table.lowest <= table.highest):
        ends = np.array([table.lowest[i], table.highest[i]], dtype=np.uint64)
        low, high = (float(v) for v in keys.values_of(ends, lifted))
        below = keys.edge_key(low, column.domain, right_closed=True)
        above = keys.edge_key(high, column.domain, right_closed=False)
        top = (1 << keys.key_bits(column.domain)) - 1
        table.lowest[i] = 0 if below is None else below
        table.highest[i] = top if above is None else above
    if not keys.is_float(column.domain):
        pivot = float(keys.values_of(np.array([column.pivot], dtype=np.uint64), column.domain)[0])
        table.moments[table.moment_count > 0, 0] -= pivot
