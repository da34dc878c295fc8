"""Adds up what counting will take before the first row is read (DESIGN 3.4)."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from modelwatch_gpu.errors import InputError
from modelwatch_gpu.profile.columns import Column, NumericColumn

#: Memory for counters where neither ``memory=`` nor MODELWATCH_MEMORY says otherwise.
DEFAULT_MEMORY: Final = 512 * 2**20
#: Values of a segment column kept apart: never more than the cap, room for so many where memory allows, and at least
#: as many as the baseline has and some to spare. Beyond, `other`.
SEGMENT_CAP: Final = 10_000
SEGMENT_ROOM: Final = 1_024
SEGMENT_SPARE: Final = 16
#: A file may hold so many more, as a share, before those beyond the cap are given up.
SEGMENT_SLACK: Final = 1 / 8
#: Intervals assumed for a log that cannot say which time it covers before it is read.
ASSUMED_WINDOWS: Final = 128
ASSUMED_BLOCKS: Final = 732

_CELL, _GAP, _GROUP = 4, 8, 160  # bytes of a counter, a gap sum, and a group's own fields
_SPARSE_ROW = 24  # bytes a row can add while its counters are sparse: key, counter and slack of two tables


@dataclass(frozen=True)
class GroupCounts:
    """How many windows and blocks there will be, at most; how many values of the segment column the baseline has (0 if
    it does not know the column, None if there are no segments)."""

    windows: int
    blocks: int
    segments: int | None


@dataclass(frozen=True)
class Plan:
    """The grid of the windows, how many segments are kept apart, and the bytes this takes at most."""

    window_grid: str
    segment_cap: int
    bytes: int
    note: str | None


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


def _fine_bytes(columns: Sequence[Column], rows: int | None) -> int:
    """One window on the fine grid. Sparse counters never cost more than their rows."""
    total = 0
    for column in columns:
        dense = _GROUP + column.slots * _CELL
        if isinstance(column, NumericColumn):
            dense += len(column.knots) * _GAP
        total += dense if rows is None else min(dense, _GROUP + rows * _SPARSE_ROW)
    return total


def _coarse_bytes(columns: Sequence[Column]) -> int:
    """One group on the coarse grid."""
    return sum(_GROUP + c.coarse_slots * _CELL for c in columns)


def plan(columns: Sequence[Column], groups: GroupCounts, *, rows: int | None, memory: int) -> Plan:
    """Chooses the finest counting that fits; raises InputError with the numbers and the option to change."""
    coarse = _coarse_bytes(columns)
    blocks = groups.blocks * coarse
    fine = groups.windows * _fine_bytes(columns, None if rows is None else -(-rows // max(1, groups.windows)))
    least, most = 0, 0
    if groups.segments is not None:
        least = min(SEGMENT_CAP, groups.segments + SEGMENT_SPARE)
        most = min(SEGMENT_CAP, max(SEGMENT_ROOM, 2 * groups.segments))
    each = groups.windows * coarse * (1 + SEGMENT_SLACK)  # one segment value in every window
    for grid, windows in (("fine", fine), ("coarse", groups.windows * coarse)):
        fixed = windows + blocks
        if fixed + least * each > memory:
            continue
        cap = min(most, int((memory - fixed) / each)) if most else 0
        note = None
        if grid == "coarse":
            note = (
                f"Windows are counted on the coarse grid, so measures have bounds: the fine grid would need "
                f"{_size(fine + blocks + int(least * each))} of the {_size(memory)} allowed; raise memory= for it."
            )
        return Plan(grid, cap, fixed + int(cap * each), note)
    parts = f"{len(columns)} columns in {groups.windows} windows and {groups.blocks} blocks"
    if groups.segments is not None:
        parts += f", with {least} segments in each window,"
    raise InputError(
        f"Counting {parts} needs {_size(groups.windows * coarse + blocks + int(least * each))}, and memory= allows "
        f"{_size(memory)}; raise memory=, use longer windows, or segment by a column with fewer values."
    )


def _size(size: int) -> str:
    return f"{size / 2**20:,.0f} MiB" if size >= 10 * 2**20 else f"{-(-size // 2**10):,} KiB"
