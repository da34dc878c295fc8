"""What a table keeps of values that no knot and no category tells apart: a log-linear histogram and registers.

The registers are those of a HyperLogLog. Exact state: counts add up, of two registers the larger stays. Both rules are
in ``cpp/core/sketch_rule.hpp``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from modelwatch_gpu import _core

UInt8 = npt.NDArray[np.uint8]
UInt32 = npt.NDArray[np.uint32]
UInt64 = npt.NDArray[np.uint64]

#: Registers of a group, and the largest value one can have.
REGISTERS: Final = 1 << 12
MOST_RANK: Final = 53
#: Buckets of the log-linear histogram.
BUCKETS: Final = 1 << 19


def _no_registers() -> UInt8:
    return np.empty((0, REGISTERS), dtype=np.uint8)


@dataclass(frozen=True)
class Sketches:
    """``bucket_group``, ``bucket``, ``bucket_count``: (entries,), sorted by group and bucket. ``register_group``:
    (groups,), sorted; ``registers``: (groups, 4096) uint8."""

    bucket_group: UInt32 = field(default_factory=lambda: np.empty(0, dtype=np.uint32))
    bucket: UInt32 = field(default_factory=lambda: np.empty(0, dtype=np.uint32))
    bucket_count: UInt64 = field(default_factory=lambda: np.empty(0, dtype=np.uint64))
    register_group: UInt32 = field(default_factory=lambda: np.empty(0, dtype=np.uint32))
    registers: UInt8 = field(default_factory=_no_registers)

    @classmethod
    def from_engine(cls, r: dict[str, Any]) -> Sketches:
        """From what ``_core.Counter.numeric`` and ``.category`` return."""
        registers = r["registers"].reshape(-1, REGISTERS)
        if "bucket" not in r:
            return cls(register_group=r["register_group"], registers=registers)
        begin = r["bucket_begin"].astype(np.int64)
        sizes = begin[1:] - begin[:-1]
        return cls(np.repeat(r["group"], sizes), r["bucket"], r["bucket_count"], r["register_group"], registers)

    def buckets_of(self, group: int) -> tuple[UInt32, UInt64]:
        """Buckets of one group that hold values, ascending, and their counts."""
        begin, end = np.searchsorted(self.bucket_group, [group, group + 1])
        return self.bucket[begin:end], self.bucket_count[begin:end]

    def registers_of(self, group: int) -> UInt8 | None:
        """(4096,) registers of one group; None where every value is told apart."""
        at = int(np.searchsorted(self.register_group, group))
        if at == len(self.register_group) or self.register_group[at] != group:
            return None
        row: UInt8 = self.registers[at]
        return row

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Named arrays for a file, none where there is nothing, as in files of older versions; registers that are 0 are
        left out, and so are the places where none is."""
        if not len(self.bucket) and not len(self.register_group):
            return {}
        used = self.registers != 0
        sizes = used.sum(axis=1)
        partly = used & (sizes < REGISTERS)[:, None]
        return {
            "bucket_group": self.bucket_group,
            "bucket": self.bucket,
            "bucket_count": self.bucket_count,
            "register_group": self.register_group,
            "register_size": sizes.astype(np.uint32),
            "register": np.nonzero(partly)[1].astype(np.uint32),
            "register_rank": self.registers[used],
        }

    @classmethod
    def from_arrays(cls, a: dict[str, npt.NDArray[Any]], groups: int) -> Sketches:
        """The inverse of ``arrays``; a table of an older file has none. Raises ValueError where they do not fit
        together, or the groups."""
        if "bucket" not in a:
            return cls()
        sizes, group = a["register_size"].astype(np.int64), a["register_group"].astype(np.uint32)
        if len(sizes) != len(group) or (len(sizes) and int(sizes.max()) > REGISTERS):
            raise ValueError("register_size does not fit its groups")
        full = np.repeat(sizes == REGISTERS, sizes)
        place = np.full(int(sizes.sum()), -1, dtype=np.int64)
        place[full] = np.tile(np.arange(REGISTERS), int((sizes == REGISTERS).sum()))
        if int((~full).sum()) != len(a["register"]) or len(place) != len(a["register_rank"]):
            raise ValueError("registers and their places differ in length")
        place[~full] = a["register"].astype(np.int64)
        if len(place) and (int(place.max()) >= REGISTERS or int(a["register_rank"].max()) > MOST_RANK):
            raise ValueError("a register is out of range")
        registers = np.zeros((len(group), REGISTERS), dtype=np.uint8)
        registers[np.repeat(np.arange(len(group)), sizes), place] = a["register_rank"]
        bucket_group, bucket = a["bucket_group"].astype(np.uint32), a["bucket"].astype(np.uint32)
        count = a["bucket_count"].astype(np.uint64)
        if not len(bucket_group) == len(bucket) == len(count):
            raise ValueError("buckets and their counts differ in length")
        if len(bucket) and int(bucket.max()) >= BUCKETS:
            raise ValueError("a bucket is out of range")
        key = (bucket_group.astype(np.uint64) << np.uint64(32)) | bucket
        if np.any(key[1:] <= key[:-1]) or np.any(group[1:] <= group[:-1]):
            raise ValueError("sketches are not sorted")
        if any(len(found) and int(found[-1]) >= groups for found in (bucket_group, group)):
            raise ValueError("a sketch names a group that is not there")
        return cls(bucket_group, bucket, count, group, registers)


def merge_sketches(sketches: Sequence[Sketches], groups: Sequence[UInt32]) -> Sketches:
    """Adds sketches whose group g of sketch i is ``groups[i][g]`` in the result."""
    pairs = [(s, to) for s, to in zip(sketches, groups, strict=True) if len(s.bucket) or len(s.register_group)]
    if not pairs:
        return Sketches()
    key = np.concatenate([(to[s.bucket_group].astype(np.uint64) << np.uint64(32)) | s.bucket for s, to in pairs])
    key, place = np.unique(key, return_inverse=True)
    count = np.zeros(len(key), dtype=np.uint64)
    np.add.at(count, place, np.concatenate([s.bucket_count for s, _ in pairs]))
    group, row = np.unique(np.concatenate([to[s.register_group] for s, to in pairs]), return_inverse=True)
    registers = np.zeros((len(group), REGISTERS), dtype=np.uint8)
    at = 0
    for sketch, _ in pairs:
        for ranks in sketch.registers:
            np.maximum(registers[row[at]], ranks, out=registers[row[at]])
            at += 1
    return Sketches(
        (key >> np.uint64(32)).astype(np.uint32),
        (key & np.uint64(0xFFFFFFFF)).astype(np.uint32),
        count,
        group.astype(np.uint32),
        registers,
    )


def beyond_cap(groups: UInt32, index: npt.NDArray[Any], values: Sequence[bytes]) -> Sketches:
    """Registers of values that a cap gives up: value ``index[i]`` of ``values`` was in group ``groups[i]``."""
    found, row = np.unique(groups, return_inverse=True)
    registers = np.zeros((len(found), REGISTERS), dtype=np.uint8)
    for at, value in zip(row.tolist(), index.tolist(), strict=True):
        add_hash(registers[at], _core.hash_bytes(values[value]))
    return Sketches(register_group=found.astype(np.uint32), registers=registers)


def add_hash(registers: UInt8, hashed: int) -> None:
    """Takes a 64-bit hash into (4096,) registers, as ``Registers::add`` of the engine does."""
    index = hashed >> 52
    rest = ((hashed << 12) | (1 << 11)) & 0xFFFF_FFFF_FFFF_FFFF
    registers[index] = max(int(registers[index]), 65 - rest.bit_length())
