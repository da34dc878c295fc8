"""Adds up what counting will take before the first row is read (DESIGN 3.4)."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from modelwatch_gpu.errors import InputError
from modelwatch_gpu.profile.columns import Column, NumericColumn
from modelwatch_gpu.profile.embedding_sums import SAMPLE_ROWS, sampled_size, sums_size
from modelwatch_gpu.profile.embeddings import EmbeddingColumn
from modelwatch_gpu.profile.scoring import Scoring
from modelwatch_gpu.wording import counted

#: Memory for counters where neither ``memory=`` nor MODELWATCH_MEMORY says otherwise.
DEFAULT_MEMORY: Final = 512 * 2**20
#: Segments of one segmentation kept apart: never more than the cap, nor fewer than the baseline has and some to spare.
#: Where the cap does not fit, half as many are tried, and half of that. Beyond, `other`.
SEGMENT_CAP: Final = 10_000
SEGMENT_SPARE: Final = 16
#: A file may hold so many more, as a share, before those beyond the cap are given up.
SEGMENT_SLACK: Final = 1 / 8
#: Intervals assumed for a log that cannot say which time it covers before it is read.
ASSUMED_WINDOWS: Final = 128
ASSUMED_BLOCKS: Final = 732

_CELL, _GAP = 4, 8  # bytes of a counter of a numeric column, and of a gap sum
_SLOT = 8  # of a counter of a categorical column
_WEIGHED = 8  # of a counter of weights, more than one of rows takes
_WEIGHED_ROW = 12  # a row can add to sparse counters of weights, more than to those of rows
_GROUP = 280  # of what a group of one column has beside its counters
_FEW, _FEW_GROUP = 1, 80  # of a counter of 8 bits, and of what a group has beside those: it has both once it has moved
_SPARSE_ROW = 24  # bytes a row can add while its counters are sparse: key, counter and slack of two tables
_MOMENTS = 48  # of the ordered moments of one numeric column, one group and one file
_REGISTERS = 4096  # of one group of one column
_PAGE, _PAGES = 256, 64  # of 32 log-linear buckets; a column seldom has more pages


@dataclass(frozen=True)
class SegmentCounts:
    """One segmentation: ``name`` for messages, ``likely`` segments at least, ``most`` segments where that is known,
    ``promoted``: to be counted on the fine grid."""

    name: str
    likely: int
    most: int | None
    promoted: bool = False


@dataclass(frozen=True)
class GroupCounts:
    """How many windows and blocks there will be, at most; the segmentations; the files of the log, each of which has
    moments of its own; ``assumed``: whether the log does not say how many windows it has."""

    windows: int
    blocks: int
    segments: tuple[SegmentCounts, ...] = ()
    files: int = 1
    assumed: bool = False


@dataclass(frozen=True)
class Ahead:
    """What is assumed of rows that come later: ``windows`` and ``blocks`` that are counted at a time, ``rows`` at most
    (None: nobody knows). More of them cost more memory and change no number."""

    windows: int = ASSUMED_WINDOWS
    blocks: int = ASSUMED_BLOCKS
    rows: int | None = None


@dataclass(frozen=True)
class Plan:
    """The grid of the windows, and of promoted segmentations, how many segments are kept apart, the bytes this takes at
    most, and what had to be given up for it."""

    window_grid: str
    promoted_grid: str
    segment_cap: int
    bytes: int
    notes: tuple[str, ...]


def memory_of(memory: int | str | None) -> int:
    """Bytes of a ``memory=`` option: a number of bytes, or text such as "512MB", "2GiB". Default: MODELWATCH_MEMORY."""
    if memory is None:
        memory = os.environ.get("MODELWATCH_MEMORY") or DEFAULT_MEMORY
    if isinstance(memory, str):
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)(i?)B?\s*", memory, flags=re.IGNORECASE)
        if match is None:
            raise InputError(f"memory='{memory}' is not a size; write it like 512MB or 2GiB.")
        base = 1024 if match[3] else 1000
        memory = int(float(match[1]) * base ** " KMGT".index(match[2].upper() or " "))
    if memory <= 0:
        raise InputError("memory must be a positive number of bytes.")
    return memory


@dataclass(frozen=True)
class _Costs:
    """Bytes that groups take: counters of one file while it is read, moments of every file."""

    columns: Sequence[Column]
    rows: int | None
    weighted: bool = False
    embeddings: Sequence[EmbeddingColumn] = ()

    @property
    def _cell(self) -> int:
        return _CELL + (_WEIGHED if self.weighted else 0)

    def fine(self, groups: int) -> int:
        """Groups on the fine grid. Sparse counters never cost more than the rows they hold."""
        total = 0
        for column in self.columns:
            dense = column.slots * (self._cell if isinstance(column, NumericColumn) else _SLOT)
            if isinstance(column, NumericColumn):
                dense += len(column.knots) * _GAP
            row = _SPARSE_ROW + (_WEIGHED_ROW if self.weighted else 0)
            of_groups = groups * dense if self.rows is None else min(groups * dense, self.rows * row)
            total += groups * _GROUP + of_groups
        return total

    def sketches(self, groups: int) -> int:
        """Registers, and as many pages of buckets as rows can open, of every group and column."""
        pages = _PAGES * groups if self.rows is None else min(_PAGES * groups, self.rows)
        return len(self.columns) * (groups * _REGISTERS + pages * _PAGE)

    def coarse(self, groups: int) -> int:
        """Groups on the coarse grid, each with counters of both widths; weighted rows need none of 8 bits."""
        few, few_group = (0, 0) if self.weighted else (_FEW, _FEW_GROUP)
        return groups * sum(
            _GROUP + few_group + c.coarse_slots * (few + (self._cell if isinstance(c, NumericColumn) else _SLOT))
            for c in self.columns
        )

    def moments(self, groups: int, files: int) -> int:
        """Ordered moments: one row for each group of each file, at most one for each row of the log."""
        rows = groups * files if self.rows is None else min(groups * files, self.rows)
        return rows * _MOMENTS * sum(isinstance(c, NumericColumn) for c in self.columns)

    def vectors(self, groups: int, name: str) -> int:
        """Sums of vectors of a set, and sampled rows of windows."""
        groups = groups if self.rows is None else min(groups, self.rows)
        each = sum(sums_size(column, name) for column in self.embeddings)
        if name != "window":
            return groups * each
        sampled = groups * SAMPLE_ROWS if self.rows is None else min(groups * SAMPLE_ROWS, self.rows)
        return groups * each + sampled * sum(sampled_size(column) for column in self.embeddings)

    def segments(
        self, counts: GroupCounts, segmentation: SegmentCounts, cap: int, *, fine: bool, labels: int | None = None
    ) -> int:
        """All groups of one segmentation of which ``cap`` are kept apart, in every window; ``labels``: each crossed
        with so many labels, without moments."""
        own = int(cap * (1 + SEGMENT_SLACK)) if segmentation.most is None else min(cap, segmentation.most)
        groups = counts.windows * own * (1 if labels is None else labels)
        if self.rows is not None:
            groups = min(groups, self.rows)
        if labels is not None:
            return self.fine(groups) if fine else self.coarse(groups)
        own_counters = (self.fine(groups) if fine else self.coarse(groups)) + self.vectors(groups, "segment")
        return own_counters + self.moments(groups, counts.files)


def plan(
    columns: Sequence[Column],
    groups: GroupCounts,
    *,
    rows: int | None,
    memory: int,
    max_groups: int | None = None,
    weighted: bool = False,
    scoring: Scoring | None = None,
    embeddings: Sequence[EmbeddingColumn] = (),
) -> Plan:
    """Chooses the finest counting that fits; raises InputError with the numbers and the option to change.

    ``max_groups``: segments to keep apart, where the user says so. ``weighted``: whether rows have weights.
    ``scoring``: what is counted once more for each label. ``embeddings``: columns of vectors; where the number of
    windows is assumed, their sums are taken to be those of one, for a log of unknown length is mostly a short one.
    Given up first: the fine grid of promoted segmentations, then that of the windows, then segments beyond those that
    are likely.
    """
    costs = _Costs(columns, rows, weighted, embeddings)
    ladder = [max_groups] if max_groups is not None else _ladder(groups.segments)
    moments = costs.moments(groups.windows, groups.files)
    answers = _Costs([c for c in columns if scoring is not None and c.name in scoring.counted], rows, weighted)
    labels = len(scoring.classes) + 1 if scoring is not None else 0  # and those of no label
    windows = {
        "fine": costs.fine(groups.windows) + costs.sketches(groups.windows) + moments,
        "coarse": costs.coarse(groups.windows) + moments,
    }
    windows["fine"] += answers.fine(groups.windows * labels)
    windows["coarse"] += answers.coarse(groups.windows * labels)
    vectors = costs.vectors(1 if groups.assumed else groups.windows, "window")
    vectors += costs.vectors(min(1, groups.blocks) if groups.assumed else groups.blocks, "block")
    blocks = costs.coarse(groups.blocks) + answers.coarse(groups.blocks * labels)

    def needed(window_grid: str, promoted_grid: str, cap: int) -> int:
        return (
            windows[window_grid]
            + vectors
            + blocks
            + sum(
                costs.segments(groups, s, cap, fine=s.promoted and promoted_grid == "fine")
                + answers.segments(groups, s, cap, fine=s.promoted and promoted_grid == "fine", labels=labels)
                for s in groups.segments
            )
        )

    promoted = [s.name for s in groups.segments if s.promoted]
    grids = [("fine", "fine"), ("fine", "coarse"), ("coarse", "coarse")] if promoted else [("fine", "coarse")]
    for window_grid, promoted_grid in dict.fromkeys([*grids, ("coarse", "coarse")]):
        for cap in ladder:
            size = needed(window_grid, promoted_grid, cap)
            if size > memory:
                continue
            notes = []
            if window_grid == "coarse":
                notes.append(
                    f"Windows are counted on the coarse grid, so measures have bounds: the fine grid would need "
                    f"{_size(needed('fine', promoted_grid, ladder[-1]))} of the {_size(memory)} allowed; "
                    "raise memory= for it."
                )
            if promoted and promoted_grid == "coarse":
                notes.append(
                    f"Segments by {' and by '.join(promoted)} are counted on the coarse grid, so measures have bounds: "
                    f"the fine grid would need {_size(needed(window_grid, 'fine', ladder[-1]))} of the "
                    f"{_size(memory)} allowed; raise memory= for it."
                )
            return Plan(window_grid, promoted_grid, cap if groups.segments else 0, size, tuple(notes))
    raise InputError(_refusal(columns, groups, costs, needed("coarse", "coarse", ladder[-1]), ladder[-1], memory))


def _ladder(segments: Sequence[SegmentCounts]) -> list[int]:
    """Caps to try, largest first: few different ones, so that logs of different sizes mostly get the same."""
    if not segments:
        return [0]
    least = min(SEGMENT_CAP, max(s.likely for s in segments) + SEGMENT_SPARE)
    halves = []
    cap = SEGMENT_CAP
    while cap > least:
        halves.append(cap)
        cap //= 2
    return [*halves, least]


def _refusal(columns: Sequence[Column], groups: GroupCounts, costs: _Costs, size: int, cap: int, memory: int) -> str:
    """Why the log cannot be counted, with the numbers and what to change."""
    also = f" and the vectors of {', '.join(c.name for c in costs.embeddings)}" if costs.embeddings else ""
    times = f"{counted(groups.windows, 'window')} and {counted(groups.blocks, 'block')}"
    parts = f"{counted(len(columns), 'column')}{also} in {times}"
    options = ["raise memory="]
    if groups.windows > 1:
        options.append("use longer windows")
    per_file = 0
    for s in groups.segments:
        apart = cap if s.most is None else min(cap, s.most)
        parts += f", with {counted(apart, 'segment')} by {s.name} in each window"
        per_file += costs.moments(groups.windows * apart, groups.files)
    if groups.segments:
        parts += ","
        options += ["set a lower max_groups=", "segment by columns with fewer values"]
    moments = ""
    if per_file > size // 2:
        moments = f" ({_size(per_file)} of it for the moments of {counted(groups.files, 'file')})"
        options.append("write the log in fewer files")
    ask = " or ".join(options) if len(options) < 3 else f"{', '.join(options[:-1])}, or {options[-1]}"
    return f"Counting {parts} needs {_size(size)}{moments}, and memory= allows {_size(memory)}; {ask}."


def _size(size: int) -> str:
    return f"{size / 2**20:,.0f} MiB" if size >= 10 * 2**20 else f"{-(-size // 2**10):,} KiB"
