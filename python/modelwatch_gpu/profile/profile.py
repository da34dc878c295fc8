"""The profile: the mergeable summary of a log, counted against a baseline."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Final, Self, cast

import pyarrow as pa

from modelwatch_gpu.device import resolve
from modelwatch_gpu.errors import InputError
from modelwatch_gpu.log import Definition, Derived, RowWindow, parse_window
from modelwatch_gpu.log.pool import decoding_pool
from modelwatch_gpu.profile import fileio, heap
from modelwatch_gpu.profile.baseline import Baseline, derived_from, derived_header
from modelwatch_gpu.profile.by_file import count_log
from modelwatch_gpu.profile.counting import Progress
from modelwatch_gpu.profile.facts import Patterns
from modelwatch_gpu.profile.later import Later
from modelwatch_gpu.profile.merging import merge_parts
from modelwatch_gpu.profile.open_tables import OpenTables
from modelwatch_gpu.profile.parts import LABELLED_PREFIX, Part, SetSpec, check_part
from modelwatch_gpu.profile.planned import Planned, planned
from modelwatch_gpu.profile.segmentation import Names, Segments, segmentations_of, set_name
from modelwatch_gpu.profile.sound import UNSOUND, by_prefix, check_profile
from modelwatch_gpu.profile.tables import Arrays
from modelwatch_gpu.profile.weights import Weighting, weight_header, weighting_from

#: A profile that is added up as it is read merges what came since once it weighs this share of what is there.
MERGE_SHARE: Final = 1
#: Fewer entries than this are never merged on their own: some 20 MB wait.
MERGE_LEAST: Final = 2_000_000


@dataclass(frozen=True)
class Profile:
    """Counts of a log in parts, one per file or batch. Make one with ``Profile.count`` or ``Profile.load``.

    Profiles of the same baseline and the same windows add up: ``a + b`` and ``b + a`` save to the same bytes.
    ``baseline``: fingerprint of the baseline it was counted against. ``window``, ``block``: such as "1mo" and "1d".
    ``segments``: the columns of every segmentation. ``segment_cap``: how many segments of each are kept apart.
    ``sets``: what was counted on which grid. ``parts``: by fingerprint. ``weighting``: how the weights of rows are
    stored, as in the baseline; None where every row counts once. ``derived``: columns computed for the segments, which
    the baseline does not know.
    """

    baseline: str
    window: str | None
    block: str | None
    timezone: str
    segments: tuple[Names, ...]
    segment_cap: int
    sets: tuple[SetSpec, ...]
    parts: tuple[Part, ...]
    notes: tuple[str, ...] = ()
    weighting: Weighting | None = None
    derived: tuple[Definition, ...] = ()

    @classmethod
    def count(
        cls,
        baseline: Baseline,
        log: Any,
        *,
        window: str | None = None,
        timezone: str | None = None,
        segments: Segments = (),
        versions: bool = False,
        promote: Segments = (),
        max_groups: int | None = None,
        memory: int | str | None = None,
        threads: int = 0,
        device: str = "auto",
        keep_parts: bool = True,
        sample: int = 0,
        derived: Sequence[Derived] = (),
        quality: bool = False,
        patterns: Patterns | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Counts a log against a baseline, in one pass.

        Args:
            baseline: What to count against. Where it was fitted with weights, the log needs their column too.
            log: A path, glob, address, list of these, Query, table, batch, reader, dataset or DataFrame.
            window: Calendar windows such as "1d", "1w", "1mo", or so many rows such as "50000rows"; None: the whole log
                is one.
            timezone: IANA name of the zone the calendar is in. Default: the baseline's.
            segments: Segmentations, counted apart within every window: a column, or a tuple of two or three columns
                that are crossed. A column that is numeric in the baseline is cut into quarters of the baseline.
            versions: Whether the column with the role version is a segmentation too, a promoted one.
            promote: Segmentations to count on the fine grid, where memory allows.
            max_groups: Segments of each segmentation that are kept apart, the others are one, `other`. Default: as many
                as memory allows, at most 10,000.
            memory: Bytes (or "512MB") the counters may take; decides the grid before the first row is read.
            threads: 0 means MODELWATCH_THREADS or all CPUs of the process.
            device: What counts the rows: "auto", "cpu", "cuda", "cuda:N", several such as "cuda:0,1", or "cuda:all";
                the same bytes come of it. One that is not there raises DeviceUnavailable. Of several, each counts with
                counters of its own, so together they take up to so many times ``memory``.
            keep_parts: False adds files up as they are read, so memory does not grow with their number.
            sample: Keep so many rows as they are (``Profile.sample``): those with the smallest hashes of their id
                columns, or of the whole row where no column has that role. They are personal data if the log is.
            derived: Columns to compute, functions decorated with ``@derived``: those of the baseline, and others to cut
                segments by.
            quality: Note what checks of data quality need of all columns (``docs/quality.md``): reads all of them.
            patterns: Column -> a regular expression (RE2), or several, that its texts are held to, such as
                ``expectations.patterns``: says ``quality`` too.
            progress: Called with the number of rows of every batch read.

        Raises:
            InputError: The log cannot be read, a column asked for is missing, a weight is null, NaN, negative, infinite
                or far beyond those of the baseline, a derived column of the baseline is not given or is another one, or
                ``memory`` is too small.
        """
        resolve(device)  # a device that is not there is refused before anything is read
        plan = planned(
            baseline,
            log,
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
        assert plan.source is not None
        with decoding_pool():
            parts = count_log(baseline.columns, plan.source, plan.spec, progress)
            if not keep_parts:
                total = _merged_as_read(parts, plan.spec.segment_cap)
                parts = iter([total] if total is not None else [])
                if plan.bytes >= heap.WORTH_IT:
                    heap.trim()
            return cls.of_parts(baseline, plan, parts)

    @classmethod
    def of_parts(cls, baseline: Baseline, plan: Planned, parts: Iterable[Part]) -> Self:
        """What was counted as planned."""
        return cls(
            baseline=cast(str, baseline),  # see Later, below
            window=plan.window,
            block=plan.block,
            timezone=plan.timezone,
            segments=plan.segments,
            segment_cap=plan.spec.segment_cap,
            sets=plan.spec.sets,
            parts=_sorted(parts),
            notes=plan.notes,
            weighting=baseline.weighting,
            derived=plan.also_derived(baseline),
        )

    @property
    def rows(self) -> int:
        """Rows of all parts."""
        return sum(part.rows for part in self.parts)

    @property
    def sample(self) -> pa.Table | None:
        """The sampled rows of all parts, columns by name; None where no sample was asked for. Any order and split of
        the log gives the same rows."""
        kept = [part.sample for part in self.parts if part.sample is not None]
        return kept[0].merged(kept[1:]).rows if kept else None

    def merged(self) -> Part | None:
        """All parts added up; None where there is none."""
        return merge_parts(self.parts, self.segment_cap) if self.parts else None

    def check_fits(self, baseline: Baseline) -> None:
        """Raises InputError where the counts (of a file from outside) do not fit the baseline's grids."""
        try:
            for part in self.parts:
                check_part(part, baseline.columns, self.sets, baseline.embeddings)
        except ValueError as error:
            raise InputError(f"The profile does not fit its baseline ({error}); count the log again.") from error

    def __add__(self, other: Profile) -> Profile:
        """The profile of both logs. Raises InputError where they were not counted alike."""
        if not isinstance(other, Profile):
            return NotImplemented
        if self.weighting != other.weighting:
            raise InputError(
                f"Profiles cannot be added: {_weighed(self.weighting)} and {_weighed(other.weighting)}; "
                "count both against the same baseline."
            )
        if self.derived != other.derived:
            raise InputError(
                "Profiles cannot be added: they were counted with different derived columns; count both with the same."
            )
        for name in ("baseline", "window", "block", "timezone", "segments", "sets"):
            if getattr(self, name) != getattr(other, name):
                raise InputError(
                    f"Profiles cannot be added: their {name} differs ({getattr(self, name)} and "
                    f"{getattr(other, name)}); count both against the same baseline with the same options."
                )
        if len({0 if part.sample is None else part.sample.cap for part in (*self.parts, *other.parts)}) > 1:
            raise InputError(
                "Profiles cannot be added: they keep samples of different sizes; count both with the same sample=."
            )
        self._refuse_rows("added to another profile")
        # The segments that the lower cap keeps are among those that the higher one kept: nothing is lost that counts.
        cap = min(self.segment_cap, other.segment_cap)
        notes = tuple(dict.fromkeys([*self.notes, *other.notes]))
        parts = _sorted([*self.parts, *other.parts])
        return replace(self, parts=parts, notes=tuple(sorted(notes)), segment_cap=cap)

    def __radd__(self, other: Any) -> Self:
        """``sum(profiles)`` begins with 0."""
        return self if other == 0 and isinstance(other, int) else NotImplemented

    def drop(self, fingerprint: str) -> Self:
        """The profile without one part: what it would be had that file or batch never been counted.

        ``fingerprint``: of the part (``Part.fingerprint``, which is what counting the file alone gives). Of several
        equal parts one is dropped. Nothing is subtracted (DESIGN 3.6), so raises InputError where the part is not kept
        on its own, and where windows are counted in rows.
        """
        self._refuse_rows("freed of a part")
        at = next((i for i, part in enumerate(self.parts) if part.fingerprint == fingerprint), None)
        if at is None and any(fingerprint in part.origins for part in self.parts):
            raise InputError(
                f"The part {fingerprint} has been added to others, and nothing is subtracted from a profile; "
                "count the log again, with keep_parts=True."
            )
        if at is None or len(self.parts[at].origins) > 1:
            raise InputError(
                f"The profile has no part of one file with the fingerprint {fingerprint!r}; take one of profile.parts."
            )
        return replace(self, parts=self.parts[:at] + self.parts[at + 1 :])

    def replace(self, fingerprint: str, other: Profile) -> Profile:
        """The profile with one part replaced by those of another profile: a file that changed, counted anew.

        Raises InputError as ``drop`` and ``+`` do.
        """
        return self.drop(fingerprint) + other

    def _refuse_rows(self, what: str) -> None:
        """Raises InputError where windows are numbered by rows: the numbers would no longer be those of one log."""
        if self.window is not None and isinstance(parse_window(self.window), RowWindow):
            raise InputError(
                f"A profile with windows of {self.window} cannot be {what}, because its rows are numbered from the "
                "start of its log; count the whole log again."
            )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the profile; raises OutputError and leaves an old file as it was where that fails."""
        fileio.write_file(path, self._content())

    def to_bytes(self) -> bytes:
        """The file's content: equal profiles have equal bytes."""
        return bytes(self._content())

    def _content(self) -> bytearray:
        header: dict[str, Any] = {
            "baseline": self.baseline,
            "window": self.window,
            "block": self.block,
            "timezone": self.timezone,
            "segments": [list(names) for names in self.segments],
            "segment_cap": self.segment_cap,
            "sets": [
                {"name": s.name, "grid": s.grid, "moments": s.moments, "columns": list(s.columns)} for s in self.sets
            ],
            "notes": list(self.notes),
            "parts": [part.header() for part in self.parts],
            **weight_header(self.weighting),
            **derived_header(self.derived),
            **({"scoring": True} if any(s.labelled for s in self.sets) else {}),
        }
        # As they are stored, one table after the other: the arrays of all tables at once can take twice as much.
        arrays: Arrays = {
            f"{i}/{name}": fileio.as_stored(array)
            for i, part in enumerate(self.parts)
            for some in part.named_arrays()
            for name, array in some.items()
        }
        return fileio.content_of("profile", header, arrays)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Reads a profile; raises InputError where the file is missing, damaged, newer or something else."""
        return cls._of_content(*fileio.read_file(path, "profile"), str(path))

    @classmethod
    def from_bytes(cls, content: bytes, name: str = "<profile>") -> Self:
        """The inverse of ``to_bytes``; raises InputError as ``load`` does. ``name`` is what messages call it."""
        return cls._of_content(*fileio.from_bytes(content, "profile", name), name)

    @classmethod
    def _of_content(cls, header: dict[str, Any], arrays: Arrays, path: str) -> Self:
        by_part = by_prefix(arrays)
        try:
            check_profile(header, arrays)
            segments, sets, renamed = _segments_from(header)
            return cls(
                baseline=str(header["baseline"]),
                window=header["window"],
                block=header["block"],
                timezone=str(header["timezone"]),
                segments=segments,
                segment_cap=int(header["segment_cap"]),
                sets=sets,
                parts=tuple(
                    Part.from_file(own, by_part.get(str(i), {}), renamed) for i, own in enumerate(header["parts"])
                ),
                notes=tuple(header["notes"]),
                weighting=weighting_from(header),
                derived=derived_from(header),
            )
        except UNSOUND as error:
            raise InputError(f"{path}: the profile does not fit together ({error}); count it again.") from error

    def __repr__(self) -> str:
        where = f"window={self.window}, baseline {self.baseline[:12]}"
        return f"Profile({self.rows:,} rows in {len(self.parts)} parts, {where})"


# What counts gives a profile the baseline itself, whose fingerprint takes a pass over all of it, and a comparison never
# asks for it.
Profile.baseline = Later(  # type: ignore[assignment]
    "baseline", lambda _, kept: kept.fingerprint if isinstance(kept, Baseline) else kept
)


def _sorted(parts: Iterable[Part]) -> tuple[Part, ...]:
    every = tuple(parts)
    return every if len(every) == 1 else tuple(sorted(every, key=lambda p: p.fingerprint))


def _weighed(weighting: Weighting | None) -> str:
    """How the rows of one of two profiles count, in a sentence."""
    if weighting is None:
        return "every row of one counts once"
    return f"the rows of one are weighted by '{weighting.column}' (a weight of 1 is stored as 2^{weighting.bits})"


def _segments_from(header: dict[str, Any]) -> tuple[tuple[Names, ...], tuple[SetSpec, ...], dict[str, str]]:
    """Segmentations and sets of a file, and the sets that format 1 named otherwise: it had one segment column at most,
    in a flat list, and its set was "segment"."""
    segments = segmentations_of(header["segments"])
    renamed = {"segment": set_name(segments[0])} if header["format"] == 1 and segments else {}
    columns = {set_name(names): names for names in segments}
    sets = []
    for s in header["sets"]:
        name = renamed.get(s["name"], str(s["name"]))
        own = columns.get(name.removeprefix(LABELLED_PREFIX), ())
        if name.startswith(LABELLED_PREFIX):
            own = (*own, str(s["columns"][len(own)]))
        sets.append(SetSpec(name, str(s["grid"]), bool(s["moments"]), own))
    if not columns.keys() <= {s.name for s in sets}:
        raise ValueError("a segmentation has no counter set")
    return segments, tuple(sets), renamed


class _Sum:
    """Adds parts up as they come, and lets them go. Merging waits until the new ones weigh a share of the old, so it
    stays linear and little is held twice; what is kept open of the old ones weighs nothing."""

    def __init__(self, segment_cap: int) -> None:
        self.segment_cap = segment_cap
        self.total: Part | None = None
        self.waiting: list[Part] = []
        self._open = OpenTables()

    def add(self, part: Part) -> None:
        self.waiting.append(part)
        least = max(MERGE_LEAST, self.total.entries / MERGE_SHARE if self.total is not None else 0)
        if sum(p.entries for p in self.waiting) >= least:
            self._merge()

    def finish(self) -> Part | None:
        """The sum of all, None of none."""
        self._merge()
        if self.total is not None:
            self._open.close(self.total.tables)
        return self.total

    def _merge(self) -> None:
        parts = [*([self.total] if self.total is not None else []), *self.waiting]
        self.total, self.waiting = None, []
        self.total = merge_parts(parts, self.segment_cap, consume=True, into=self._open) if parts else None


def _merged_as_read(parts: Iterator[Part], segment_cap: int) -> Part | None:
    """The sum of parts, a large one added while the next is counted."""
    own = _Sum(segment_cap)
    adding: Future[None] | None = None
    with ThreadPoolExecutor(1, thread_name_prefix="modelwatch-sum") as helper:
        for part in parts:
            if adding is not None:
                adding.result()
                adding = None
            if part.entries >= MERGE_LEAST:
                adding = helper.submit(own.add, part)
            else:
                own.add(part)
            del part
        if adding is not None:
            adding.result()
    return own.finish()
