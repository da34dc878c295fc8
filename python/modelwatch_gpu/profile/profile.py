"""The profile: the mergeable summary of a log, counted against a baseline."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from modelwatch_gpu.device import resolve
from modelwatch_gpu.errors import InputError
from modelwatch_gpu.log import Log, Window, block_for, open_log, zone_of
from modelwatch_gpu.profile import fileio, planner
from modelwatch_gpu.profile.baseline import Baseline
from modelwatch_gpu.profile.columns import CategoricalColumn
from modelwatch_gpu.profile.counting import CountSpec, Progress, count_log
from modelwatch_gpu.profile.parts import Part, SetSpec, check_part, merge_parts
from modelwatch_gpu.profile.sound import UNSOUND, check_profile
from modelwatch_gpu.profile.tables import Arrays


@dataclass(frozen=True)
class Profile:
    """Counts of a log in parts, one per file or batch. Make one with ``Profile.count`` or ``Profile.load``.

    Profiles of the same baseline and the same windows add up: ``a + b`` and ``b + a`` save to the same bytes.
    ``baseline``: fingerprint of the baseline it was counted against. ``window``, ``block``: such as "1mo" and "1d".
    ``segments``: the segment columns. ``segment_cap``: how many of their values are kept
    apart. ``sets``: what was counted on which grid. ``parts``: by fingerprint.
    """

    baseline: str
    window: str | None
    block: str | None
    timezone: str
    segments: tuple[str, ...]
    segment_cap: int
    sets: tuple[SetSpec, ...]
    parts: tuple[Part, ...]
    notes: tuple[str, ...] = ()

    @classmethod
    def count(
        cls,
        baseline: Baseline,
        log: Any,
        *,
        window: str | None = None,
        timezone: str | None = None,
        segments: Sequence[str] = (),
        memory: int | str | None = None,
        threads: int = 0,
        device: str = "auto",
        keep_parts: bool = True,
        progress: Progress | None = None,
    ) -> Self:
        """Counts a log against a baseline, in one pass.

        Args:
            baseline: What to count against.
            log: A path, glob, list of paths, table, batch, reader, dataset or DataFrame.
            window: Calendar windows such as "1d", "1w", "1mo"; None: the whole log is one.
            timezone: IANA name of the zone the calendar is in. Default: the baseline's.
            segments: At most one column whose values are counted apart within every window.
            memory: Bytes (or "512MB") the counters may take; decides the grid before the first row is read.
            threads: 0 means MODELWATCH_THREADS or all CPUs of the process.
            device: "auto" or "cpu"; another one raises DeviceUnavailable.
            keep_parts: False adds files up as they are read, so memory does not grow with their number.
            progress: Called with the number of rows of every batch read.

        Raises:
            InputError: The log cannot be read, a column asked for is missing, or ``memory`` is too small.
        """
        resolve(device)
        if isinstance(segments, str):
            segments = (segments,)
        if len(segments) > 1:
            raise InputError(
                f"One segment column can be counted at a time; {len(segments)} were given: {', '.join(segments)}."
            )
        parsed = Window.parse(window) if window is not None else None
        timestamp = baseline.timestamp
        zone = timezone if timezone is not None else baseline.timezone
        source = open_log(log)
        if timestamp is not None and timestamp not in source.schema.names:
            if parsed is not None:
                raise InputError(
                    f"The log has no column '{timestamp}', which is the timestamp, so it cannot be cut into windows."
                )
            timestamp = None
        if parsed is not None and timestamp is None:
            raise InputError(
                "Windows need a timestamp, and the baseline has no column with that role; give one when you fit it."
            )
        block = Window.parse("1d") if parsed is None else block_for(parsed)
        zone_info = zone_of(zone)
        groups = _group_counts(baseline, source, parsed, block, timestamp, zone_info, segments)
        chosen = planner.plan(
            baseline.columns,
            groups,
            rows=source.rows,
            memory=planner.memory_of(memory),
        )
        sets = [SetSpec("window", chosen.window_grid, True)]
        if timestamp is not None:
            sets.append(SetSpec("block", "coarse", False))
        if segments:
            sets.append(SetSpec("segment", "coarse", True))
        spec = CountSpec(
            sets=tuple(sets),
            window=parsed,
            block=block,
            zone=zone_info,
            timestamp=timestamp,
            segment=segments[0] if segments else None,
            segment_cap=chosen.segment_cap,
            threads=threads,
            ignored=frozenset(baseline.roles),
        )
        parts = count_log(baseline.columns, source, spec, progress)
        if not keep_parts:
            total = _merged_as_read(parts, chosen.segment_cap)
            parts = iter([total] if total is not None else [])
        return cls(
            baseline=baseline.fingerprint,
            window=window,
            block=str(block) if timestamp is not None else None,
            timezone=zone,
            segments=tuple(segments),
            segment_cap=chosen.segment_cap,
            sets=tuple(sets),
            parts=_sorted(parts),
            notes=(chosen.note,) if chosen.note else (),
        )

    @property
    def rows(self) -> int:
        """Rows of all parts."""
        return sum(part.rows for part in self.parts)

    def merged(self) -> Part | None:
        """All parts added up; None where there is none."""
        return merge_parts(self.parts, self.segment_cap) if self.parts else None

    def check_fits(self, baseline: Baseline) -> None:
        """Raises InputError where the counts (of a file from outside) do not fit the baseline's grids."""
        try:
            for part in self.parts:
                check_part(part, baseline.columns, self.sets)
        except ValueError as error:
            raise InputError(f"The profile does not fit its baseline ({error}); count the log again.") from error

    def __add__(self, other: Profile) -> Profile:
        """The profile of both logs. Raises InputError where they were not counted alike."""
        if not isinstance(other, Profile):
            return NotImplemented
        for name in ("baseline", "window", "block", "timezone", "segments", "segment_cap", "sets"):
            if getattr(self, name) != getattr(other, name):
                raise InputError(
                    f"Profiles cannot be added: their {name} differs ({getattr(self, name)} and "
                    f"{getattr(other, name)}); count both against the same baseline with the same options."
                )
        notes = tuple(dict.fromkeys([*self.notes, *other.notes]))
        return replace(self, parts=_sorted([*self.parts, *other.parts]), notes=tuple(sorted(notes)))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the profile; raises OutputError and leaves an old file as it was where that fails."""
        fileio.write_file(path, self.to_bytes())

    def to_bytes(self) -> bytes:
        """The file's content: equal profiles have equal bytes."""
        header: dict[str, Any] = {
            "baseline": self.baseline,
            "window": self.window,
            "block": self.block,
            "timezone": self.timezone,
            "segments": list(self.segments),
            "segment_cap": self.segment_cap,
            "sets": [{"name": s.name, "grid": s.grid, "moments": s.moments} for s in self.sets],
            "notes": list(self.notes),
            "parts": [part.header() for part in self.parts],
        }
        arrays: Arrays = {f"{i}/{name}": a for i, part in enumerate(self.parts) for name, a in part.arrays().items()}
        return fileio.to_bytes("profile", header, arrays)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Reads a profile; raises InputError where the file is missing, damaged, newer or something else."""
        header, arrays = fileio.read_file(path, "profile")
        by_part: dict[str, Arrays] = {}
        for name, array in arrays.items():
            at, _, rest = name.partition("/")
            by_part.setdefault(at, {})[rest] = array
        try:
            check_profile(header, arrays)
            return cls(
                baseline=str(header["baseline"]),
                window=header["window"],
                block=header["block"],
                timezone=str(header["timezone"]),
                segments=tuple(header["segments"]),
                segment_cap=int(header["segment_cap"]),
                sets=tuple(SetSpec(s["name"], s["grid"], s["moments"]) for s in header["sets"]),
                parts=tuple(Part.from_file(own, by_part.get(str(i), {})) for i, own in enumerate(header["parts"])),
                notes=tuple(header["notes"]),
            )
        except UNSOUND as error:
            raise InputError(f"{path}: the profile does not fit together ({error}); count it again.") from error

    def __repr__(self) -> str:
        where = f"window={self.window}, baseline {self.baseline[:12]}"
        return f"Profile({self.rows:,} rows in {len(self.parts)} parts, {where})"


def _sorted(parts: Iterable[Part]) -> tuple[Part, ...]:
    return tuple(sorted(parts, key=lambda p: p.fingerprint))


def _merged_as_read(parts: Iterator[Part], segment_cap: int) -> Part | None:
    """Adds parts up as they come. Merging waits until the new ones weigh as much as the old, so it stays linear."""
    total: Part | None = None
    waiting: list[Part] = []
    for part in parts:
        waiting.append(part)
        if sum(p.entries for p in waiting) >= (total.entries if total is not None else 0):
            total = merge_parts([*([total] if total is not None else []), *waiting], segment_cap)
            waiting = []
    return merge_parts([*([total] if total is not None else []), *waiting], segment_cap) if total is not None else None


def _group_counts(
    baseline: Baseline,
    log: Log,
    window: Window | None,
    block: Window,
    timestamp: str | None,
    zone: Any,
    segments: Sequence[str],
) -> planner.GroupCounts:
    """Upper bounds of the groups each set will have, from what the log tells without being read."""
    windows, blocks = 1, 0
    if timestamp is not None:
        spans = [file.time_range(timestamp) if timestamp in file.schema.names else None for file in log.files]
        known = [s for s in spans if s is not None]
        if known and len(known) == len(spans):
            low, high = min(s[0] for s in known), max(s[1] for s in known)
            blocks = len(block.boundaries(low, high, zone)) - 1
            windows = len(window.boundaries(low, high, zone)) - 1 if window is not None else 1
        else:
            blocks = planner.ASSUMED_BLOCKS
            windows = planner.ASSUMED_WINDOWS if window is not None else 1
    in_baseline: int | None = None
    if segments:
        column = baseline.by_name.get(segments[0])
        in_baseline = len(column.categories) if isinstance(column, CategoricalColumn) else 0
    return planner.GroupCounts(windows=windows, blocks=blocks, segments=in_baseline)
