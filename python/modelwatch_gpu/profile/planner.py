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
#: Segments kept apart where memory allows; beyond, `other`.
MAX_GROUPS: Final = 10_000
#: Intervals assumed for a log that cannot say which time it covers before it is read.
ASSUMED_WINDOWS: Final = 128
ASSUMED_BLOCKS: Final = 732

_CELL, _GAP, _GROUP = 4, 8, 160  # bytes of a counter, a gap sum, and a group's own fields
_SPARSE_ROW = 24  # bytes a row can add while its counters are sparse: key, counter and slack of two tables


@dataclass(frozen=True)
class GroupCounts:
    """How many groups each set will have, at most."""

    windows: int
    blocks: int
    segments: int


@dataclass(frozen=True)
class Plan:
    """The grid of the windows, how many segments are kept apart, and the bytes this takes at most."""

    window_grid: str
    max_groups: int
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


def plan(columns: Sequence[Column], groups: GroupCounts, *, rows: int | None, memory: int, segment: str | None) -> Plan:
    """Chooses the finest counting that fits; raises InputError with the numbers and the option to change."""
    coarse = _coarse_bytes(columns)
    blocks = groups.blocks * coarse
    fine = groups.windows * _fine_bytes(columns, None if rows is None else -(-rows // max(1, groups.windows)))
    segments = min(groups.segments, MAX_GROUPS) * groups.windows if segment else 0
    for grid, windows in (("fine", fine), ("coarse", groups.windows * coarse)):
        total = windows + blocks + segments * coarse
        if total <= memory:
            note = None
            if grid == "coarse":
                note = (
                    f"Windows are counted on the coarse grid, so measures have bounds: the fine grid would need "
                    f"{_mb(fine + blocks + segments * coarse)} of the {_mb(memory)} allowed; raise memory= for it."
                )
            return Plan(grid, MAX_GROUPS if segment else 0, total, note)
    raise InputError(
        f"Counting {len(columns)} columns in {groups.windows} windows, {groups.blocks} blocks and {segments} segment "
        f"groups needs {_mb(total)}, and memory= allows {_mb(memory)}; raise memory=, use longer windows, or segment "
        "by a column with fewer values."
    )


def _mb(size: int) -> str:
    return f"{size / 2**20:,.0f} MiB"
