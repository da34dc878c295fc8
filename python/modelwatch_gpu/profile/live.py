"""A profile that is still being counted: small batches are added as they come, as in a service (DESIGN 3.5)."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

from modelwatch_gpu.errors import InputError
from modelwatch_gpu.log import ComputedLogFile, Derived, Labels, Log, Window, joined, open_log, with_derived
from modelwatch_gpu.log.files import BATCH_ROWS, valid_batch
from modelwatch_gpu.log.memory import TableLogFile
from modelwatch_gpu.log.predicates import with_predicates
from modelwatch_gpu.profile.baseline import Baseline
from modelwatch_gpu.profile.counting import FileCounter, check_segments
from modelwatch_gpu.profile.facts import Patterns
from modelwatch_gpu.profile.merging import merge_parts
from modelwatch_gpu.profile.parts import Part
from modelwatch_gpu.profile.planned import planned
from modelwatch_gpu.profile.profile import Profile
from modelwatch_gpu.profile.scoring import with_made_columns
from modelwatch_gpu.profile.segmentation import Segments

#: Schemas whose counters are kept open; the counts of the one that has waited longest become a part of their own.
MOST_OPEN: Final = 8


@dataclass(frozen=True, eq=False)
class _Open:
    """The counter of all batches of one schema, and the places in them of the columns it reads. ``columns``: those it
    takes, where some of them are derived from these."""

    schema: pa.Schema
    counter: FileCounter
    places: list[int]
    columns: list[str]

    def add(self, batch: pa.RecordBatch) -> None:
        """Counts a batch of the columns read."""
        file = self.counter.file
        self.counter.add(file.select(batch, self.columns) if isinstance(file, ComputedLogFile) else batch)


class LiveProfile:
    """Counts batches against a baseline as they come: ``live.add(batch)``, then ``live.profile()`` or ``live.take()``.

    What a batch's schema says is worked out once, so a batch of 1,000 rows by 20 columns takes about a millisecond.
    The counts of all batches of one schema are one part: the one that ``Profile.count`` makes, with the same grids and
    ``max_groups``, of a table with these batches as its chunks, to the same bytes. Safe to use from several threads;
    batches are counted one after the other.

    Args:
        baseline: What to count against. Where it was fitted with weights, batches need their column too.
        window: Calendar windows such as "1h", "1d", or so many rows such as "50000rows"; None: all rows are one.
        timezone: IANA name of the zone the calendar is in. Default: the baseline's.
        segments, versions, promote, max_groups, memory, sample, derived: As for ``Profile.count``.
        quality: Note what checks of data quality need, as ``Profile.count`` does: batches are then looked at in all of
            their columns, which takes several times as long.
        threads: Threads that count a batch; more than 1 is worth it for batches of 10,000 rows and more.
        labels: Labels that came before their rows, put beside them by the baseline's id columns: those known when the
            first batch of a schema comes. Rows whose label comes later are counted anew, see ``compare(labels=)``.
        device: What counts the rows: "auto", "cpu", "cuda", "cuda:N", several such as "cuda:0,1", or "cuda:all"; a GPU
            is worth it for batches of 100,000 rows and more. One that is not there raises DeviceUnavailable.

    Raises:
        InputError: A column asked for is not in the baseline, or ``memory`` is too small.
    """

    def __init__(
        self,
        baseline: Baseline,
        *,
        window: str | None = None,
        timezone: str | None = None,
        segments: Segments = (),
        versions: bool = False,
        promote: Segments = (),
        max_groups: int | None = None,
        memory: int | str | None = None,
        threads: int = 1,
        device: str = "auto",
        sample: int = 0,
        derived: Sequence[Derived] = (),
        quality: bool = False,
        patterns: Patterns | None = None,
        labels: Labels | None = None,
    ) -> None:
        self._baseline = baseline
        self._plan = planned(
            baseline,
            None,
            window=window,
            timezone=timezone,
            segments=segments,
            versions=versions,
            promote=promote,
            max_groups=max_groups,
            memory=memory,
            threads=threads,
            sample=sample,
            derived=derived,
            device=device,
            quality=quality,
            patterns=patterns,
        )
        if labels is not None and not (baseline.ids and baseline.label):
            raise InputError("Labels find their rows by id, and the baseline does not have both an id and a label.")
        self._labels = labels
        self._lock = threading.Lock()
        self._begin()

    def _begin(self) -> None:
        self._rows = 0
        self._closed: list[Part] = []
        self._open: list[_Open] = []

    @property
    def baseline(self) -> Baseline:
        """What batches are counted against."""
        return self._baseline

    @property
    def rows(self) -> int:
        """Rows counted since the beginning, or since ``take``."""
        return self._rows

    def add(self, batch: Any) -> None:
        """Counts the rows of a batch.

        Args:
            batch: A record batch, or whatever else a log can be: a table, a DataFrame, a path ... The chunks of a table
                are batches. Columns the baseline does not know are passed over.

        Raises:
            InputError: A value is not valid, a weight is null, NaN, negative or infinite, or a column that windows or
                segments need is missing. Nothing of this batch (of a table: of this chunk) was counted then.
        """
        with self._lock:
            if isinstance(batch, pa.RecordBatch) and batch.num_rows <= BATCH_ROWS:
                own = self._known(batch.schema)
                if own is not None:
                    own.counter.continue_at(self._rows)
                    if batch.num_rows:
                        own.add(valid_batch(batch.select(own.places), own.counter.file.name))
                        self._rows += batch.num_rows
                    return
            for file in open_log(batch, name="batch").files:
                for part in file.batches(file.schema.names):
                    own = self._known(part.schema) or self._made(file.name, part.schema)
                    own.counter.continue_at(self._rows)
                    own.add(part.select(own.places))
                    self._rows += part.num_rows

    def profile(self) -> Profile:
        """The profile of all rows so far; adding goes on."""
        with self._lock:
            return self._profile()

    def take(self) -> Profile:
        """The profile of all rows so far; adding begins anew, with none. What is taken adds up: ``a + b``."""
        with self._lock:
            taken = self._profile()
            self._begin()
            return taken

    def _profile(self) -> Profile:
        parts = [own.counter.part() for own in self._open if own.counter.rows]
        return Profile.of_parts(self._baseline, self._plan, [*self._closed, *parts])

    def _known(self, schema: pa.Schema) -> _Open | None:
        """The counter of a schema where it is open; the one used last stands last."""
        for at in range(len(self._open) - 1, -1, -1):
            if self._open[at].schema.equals(schema):
                if at + 1 < len(self._open):
                    self._open.append(self._open.pop(at))
                return self._open[-1]
        return None

    def _made(self, name: str, schema: pa.Schema) -> _Open:
        """A counter for batches of a schema that has none, whose types are plain."""
        spec, derived = self._plan.spec, self._plan.derived
        stored = TableLogFile(name, schema.empty_table())
        known = [one.name for one in self._baseline.derived]
        source = Log.of([stored])
        if self._labels is not None and self._baseline.label is not None:
            source = joined(source, self._labels, id=self._baseline.ids, label=self._baseline.label)[0]
        log = with_derived(source, derived, known=known, device=spec.device)
        log = with_made_columns(log, self._baseline.scoring)
        (file,) = with_predicates(log, self._plan.conditions).files
        check_segments(spec, file.schema)
        if isinstance(spec.window, Window) and spec.timestamp not in schema.names:
            raise InputError(
                f"{name}: there is no column '{spec.timestamp}', which is the timestamp, so its rows belong to no "
                "window; add it."
            )
        counter = FileCounter(self._baseline.columns, file, spec, 0)
        if len(self._open) == MOST_OPEN:
            longest = self._open.pop(0).counter
            if longest.rows:
                self._closed = [merge_parts([*self._closed, longest.part()], spec.segment_cap)]
        columns = counter.wanted()
        read = file.read_for(columns) if isinstance(file, ComputedLogFile) else columns
        own = _Open(schema, counter, [schema.get_field_index(name) for name in read], columns)
        self._open.append(own)
        return own
