"""Counts single files against the baseline, all alike: parts that were counted in different runs must add up."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

import pyarrow as pa

from modelwatch_gpu.checks.expectations import Expectations
from modelwatch_gpu.device import resolve
from modelwatch_gpu.errors import InputError
from modelwatch_gpu.log import Derived, Labels, Log, Window, joined
from modelwatch_gpu.log.windows import iso, parse_window, zone_of
from modelwatch_gpu.monitor.config.model import MonitorConfig
from modelwatch_gpu.monitor.store.tables import OF_FILES
from modelwatch_gpu.profile import Baseline, Profile
from modelwatch_gpu.profile.by_file import count_log
from modelwatch_gpu.profile.merging import merge_parts
from modelwatch_gpu.profile.parts import UNTIMED, WHOLE, Part
from modelwatch_gpu.profile.placing import device_for
from modelwatch_gpu.profile.planned import Planned, planned
from modelwatch_gpu.profile.planner import Ahead
from modelwatch_gpu.profile.windowed import piece_of, window_starts

#: No window begins before, in any time zone: the second day of the year 1.
_FIRST_SECOND: Final = -62_135_510_400
#: A state that claims to be larger is damaged.
MOST_BYTES: Final = 1 << 34
#: What one file is planned for; a file of more windows or rows is counted too.
_A_FILE: Final = Ahead(windows=8, blocks=92, rows=5_000_000)


class Piece(NamedTuple):
    """What one file counted in one window. ``packed``: the same as a profile of one part, see ``pack``."""

    window_start: int
    part: Part
    packed: bytes

    @property
    def rows(self) -> int:
        """Rows of the file in the window."""
        return self.part.rows


class Counted(NamedTuple):
    """What a file counted. ``part_sha256``: names its state: equal counts, equal names. ``newest``: its last second."""

    rows: int
    part_sha256: str
    newest: int | None
    pieces: tuple[Piece, ...]


def _expected(config: MonitorConfig) -> Expectations | None:
    """What a person wrote of the data's quality; None where nothing is, or it is left to the baseline."""
    if config.expectations in (None, "auto"):
        return None
    return Expectations.load(config.path_of(config.expectations))


class Counter:
    """Counts files as the config says, against one baseline. ``expected``: what a person wrote of the data."""

    def __init__(self, config: MonitorConfig, baseline: Baseline, derived: Sequence[Derived] = ()) -> None:
        self.config, self.baseline = config, baseline
        segments = [tuple(names) if isinstance(names, list) else names for names in config.segments]
        self.expected = _expected(config)
        promote = [tuple(names) if isinstance(names, list) else names for names in config.promote]
        # Without the log: its files are counted alike whichever of them are there.
        self.plan: Planned = planned(
            baseline,
            None,
            window=config.window,
            timezone=config.timezone,
            segments=segments,
            versions=config.by_version,
            promote=promote,
            max_groups=config.max_groups,
            memory=config.memory,
            threads=config.threads,
            sample=0,
            derived=tuple(derived),
            device=config.device,
            quality=config.expectations is not None,
            patterns=None if self.expected is None else self.expected.patterns,
            ahead=_A_FILE,
        )
        self.zone = zone_of(self.plan.timezone)
        self.window = parse_window(config.window) if config.window is not None else None
        assert self.window is None or isinstance(self.window, Window)

    @property
    def settings(self) -> str:
        """What parts must have in common to add up, as canonical JSON."""
        spec = self.plan.spec
        settings = {
            "baseline": self.baseline.fingerprint,
            "window": self.plan.window,
            "timezone": self.plan.timezone,
            "segments": [list(names) for names in self.plan.segments],
            "segment_cap": spec.segment_cap,
            "sets": [[s.name, s.grid, s.moments, list(s.columns)] for s in spec.sets],
            "quality": spec.facts is not None,
            **({"patterns": spec.facts.patterns} if spec.facts is not None and spec.facts.patterns else {}),
            "derived": sorted(f"{one.name}: {one.definition}" for one in self.plan.derived),
        }
        return json.dumps(settings, sort_keys=True)

    def count(self, log: Log, labels: Labels | None = None) -> Counted:
        """Counts a log of one file. ``labels``: those that came late, which its rows get."""
        baseline, spec = self.baseline, self.plan.spec
        device = device_for(self.config.device, log, baseline.by_name, threads=self.config.threads)
        for file in log.files:
            if spec.timestamp is not None and spec.timestamp not in file.schema.names and self.window is not None:
                raise InputError(
                    f"{file.name}: there is no column '{spec.timestamp}', which is the timestamp, so its rows belong "
                    "to no window; add it."
                )
        if labels is not None:
            assert baseline.label is not None
            log, _ = joined(log, labels, id=baseline.ids, label=baseline.label)
        source = self.plan.reading(baseline, log)
        # Parts say nothing of the device, so one that is chosen by the file's size changes no byte.
        parts = list(count_log(baseline.columns, source, replace(spec, device=resolve(device))))
        part = parts[0] if len(parts) == 1 else merge_parts(parts, spec.segment_cap)
        newest = None if part.span is None else part.span[1]
        return Counted(part.rows, part.fingerprint, newest, tuple(self._pieces(part)))

    def _pieces(self, part: Part) -> Iterator[Piece]:
        for start in window_starts(part):
            own = piece_of(part, start, self.end_of(start))
            yield Piece(start, own, pack(self.content_of(own)))

    def end_of(self, start: int) -> int:
        """Where the next window begins, in epoch seconds."""
        if start <= UNTIMED or self.window is None:
            return UNTIMED + 1 if start == UNTIMED else 2**62
        assert isinstance(self.window, Window)
        return int(self.window.boundaries(start, start, self.zone)[-1])

    def start_of(self, second: int) -> int:
        """Where the window begins that a time (epoch seconds) lies in: windows that begin before it are over then."""
        assert isinstance(self.window, Window)
        second = max(second, _FIRST_SECOND)
        return int(self.window.boundaries(second, second, self.zone)[0])

    def profile_of(self, parts: Sequence[Part]) -> Profile:
        """Parts as a profile of this plan."""
        return Profile.of_parts(self.baseline, self.plan, parts)

    def content_of(self, part: Part) -> bytes:
        """A part as a profile file."""
        return self.profile_of([part]).to_bytes()

    def part_of(self, packed: bytes, where: str) -> Part:
        """A part that the store keeps (``pack``); ``where`` is what messages call it."""
        content = unpack(packed, where)
        try:
            profile = Profile.from_bytes(content, where)
        except InputError as error:
            raise InputError(f"{where}: the store's counts are damaged ({error}); run with --recount.") from None
        if profile.baseline != self.baseline.fingerprint:
            raise InputError(f"{where}: was counted against another baseline; count the log again, with --recount.")
        (part,) = profile.parts
        return part

    def merged(self, parts: Sequence[Part]) -> Part:
        """Parts added up."""
        return merge_parts(parts, self.plan.spec.segment_cap)

    def texts_of(self, start: int) -> tuple[str | None, str | None, str]:
        """Start and end of a window in ISO 8601 (null for the whole log), and what people call it."""
        if start == WHOLE:
            return None, None, "whole log"
        if start == UNTIMED:
            return None, None, "rows without a time"
        if start == OF_FILES:
            return None, None, "files of the log"
        assert isinstance(self.window, Window)
        return iso(start, self.zone), iso(self.end_of(start), self.zone), self.window.label(start, self.zone)


def pack(content: bytes) -> bytes:
    """A profile file as the store keeps it: its size in 8 bytes, little endian, and a Zstandard frame."""
    frame: bytes = pa.Codec("zstd").compress(content, asbytes=True)
    return len(content).to_bytes(8, "little") + frame


def unpack(packed: bytes, where: str) -> bytes:
    """The inverse of ``pack``; raises InputError for bytes that are something else."""
    size = int.from_bytes(packed[:8], "little")
    try:
        if not 0 < size <= MOST_BYTES:
            raise ValueError("they have a size that none can have")
        content: bytes = pa.Codec("zstd").decompress(packed[8:], size, asbytes=True)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise InputError(f"{where}: the store's counts are damaged ({error}); run with --recount.") from None
    return content


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def compatible(of_store: str, settings: str) -> str | None:
    """What differs between the settings that a store was counted with and those of today; None where nothing does."""
    if of_store == settings:
        return None
    before: dict[str, Any] = json.loads(of_store)
    now: dict[str, Any] = json.loads(settings)
    return ", ".join(name for name in now if before.get(name) != now[name]) or "something"
