"""Parts: the counts of one file or batch, the unit that is stored, replaced, dropped and merged (DESIGN 1 and 3.6)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from modelwatch_gpu import _core
from modelwatch_gpu.profile.columns import Column, NumericColumn
from modelwatch_gpu.profile.sound import check_range
from modelwatch_gpu.profile.tables import (
    Arrays,
    CategoryTable,
    NumericTable,
    Table,
    UInt32,
    UInt64,
    merge_categories,
    merge_numeric,
)

#: Starts of groups that have no time: the whole log, and rows whose timestamp is null.
WHOLE: Final = -(2**62)
UNTIMED: Final = WHOLE + 1

#: Kinds of a segment key.
SEGMENT_VALUE, SEGMENT_NULL, SEGMENT_OTHER = 0, 1, 2

#: Unseen values that keep exact counts, per column (DESIGN 3.3).
UNSEEN_CAP: Final = 10_000

#: (start,) of a window or block; (start, kind, text) of a segment, start in epoch seconds.
GroupKey = tuple[int, ...] | tuple[int, int, str]


@dataclass(frozen=True)
class SetSpec:
    """One counter set: which grid its groups are counted on, and whether they keep moments."""

    name: str
    grid: str
    moments: bool


@dataclass
class Part:
    """Counts of one or more files, with the facts about them that a report mentions.

    ``origins``: fingerprints whose moments the tables hold, sorted. ``groups``: for each set the sorted keys of its
    groups; ``group_rows``: their rows. ``tables``: (set, column) -> table. ``span``: first and last timestamp, epoch
    seconds. ``gone``: baseline columns the data lacks; ``incomparable``: column -> its type here, where it cannot be
    compared with the baseline's; ``new``: columns the baseline does not know.
    """

    rows: int
    span: tuple[int, int] | None
    groups: dict[str, list[GroupKey]]
    group_rows: dict[str, UInt64]
    tables: dict[tuple[str, str], Table]
    gone: tuple[str, ...] = ()
    new: tuple[str, ...] = ()
    incomparable: dict[str, str] = field(default_factory=dict)
    origins: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.origins:
            self.origins = (self._own_fingerprint(),)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of this part's own state: two parts with equal counts have equal fingerprints (decision 0002)."""
        if len(self.origins) == 1:
            return self.origins[0]
        return hashlib.sha256("".join(self.origins).encode()).hexdigest()

    @property
    def entries(self) -> int:
        """Rows of all its tables: what merging and keeping it costs."""
        return sum(t.entries for t in self.tables.values())

    def _own_fingerprint(self) -> str:
        digest = hashlib.sha256(json.dumps(self.header(), sort_keys=True).encode())
        for name, array in sorted(self.arrays().items()):
            digest.update(f"{name}:{array.dtype.str}:{len(array)};".encode())
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    def header(self) -> dict[str, Any]:
        """Everything that is not an array, as JSON values."""
        return {
            "rows": self.rows,
            "span": list(self.span) if self.span else None,
            "groups": {name: [list(key) for key in keys] for name, keys in sorted(self.groups.items())},
            "tables": [[name, column, table.kind] for (name, column), table in sorted(self.tables.items())],
            "gone": sorted(self.gone),
            "new": sorted(self.new),
            "incomparable": dict(sorted(self.incomparable.items())),
            "origins": list(self.origins),
        }

    def arrays(self) -> Arrays:
        """All arrays, named by set, column number in the header's table list, and field."""
        out: Arrays = {f"rows/{name}": rows for name, rows in self.group_rows.items()}
        for at, (_, table) in enumerate(sorted(self.tables.items(), key=lambda item: item[0])):
            out.update({f"{at}/{name}": array for name, array in table.arrays().items()})
        return out

    @classmethod
    def from_file(cls, header: Mapping[str, Any], arrays: Arrays) -> Part:
        """The inverse of ``header`` and ``arrays``; raises KeyError, TypeError or ValueError where they do not fit."""
        tables: dict[tuple[str, str], Table] = {}
        for at, (name, column, kind) in enumerate(header["tables"]):
            prefix = f"{at}/"
            own = {k[len(prefix) :]: v for k, v in arrays.items() if k.startswith(prefix)}
            table = NumericTable.from_arrays(own) if kind == "numeric" else CategoryTable.from_arrays(own)
            tables[(str(name), str(column))] = table
        groups: dict[str, list[GroupKey]] = {
            name: [tuple(key) for key in keys] for name, keys in header["groups"].items()
        }
        rows = {name: arrays[f"rows/{name}"].astype(np.uint64) for name in groups}
        for name, keys in groups.items():
            if len(rows[name]) != len(keys):
                raise ValueError(f"set {name} has {len(keys)} groups and {len(rows[name])} row counts")
        for (name, column), table in tables.items():
            most = max((int(g.max()) for g in (table.cell_group,) if len(g)), default=-1)
            if most >= len(groups[name]):
                raise ValueError(f"column {column} counts a group that set {name} does not have")
        span = header["span"]
        return cls(
            rows=int(header["rows"]),
            span=(int(span[0]), int(span[1])) if span else None,
            groups=groups,
            group_rows=rows,
            tables=tables,
            gone=tuple(header["gone"]),
            new=tuple(header["new"]),
            incomparable=dict(header["incomparable"]),
            origins=tuple(header["origins"]),
        )


def check_part(part: Part, columns: Sequence[Column], sets: Sequence[SetSpec]) -> None:
    """Raises ValueError where a part that was read from a file does not fit the grids of its columns."""
    grids = {s.name: s.grid for s in sets}
    by_name = {c.name: c for c in columns}
    if not set(grids.values()) <= {"fine", "coarse"}:
        raise ValueError("a set is counted on a grid that does not exist")
    for (name, column_name), table in part.tables.items():
        column = by_name.get(column_name)
        if column is None or name not in grids or column.kind != table.kind:
            raise ValueError(f"set {name} counts column {column_name}, which is not there to be counted")
        slots = column.slots if grids[name] == "fine" else column.coarse_slots
        inside = not len(table.cell) or int(table.cell.max()) < slots
        if isinstance(table, NumericTable) and isinstance(column, NumericColumn):
            check_range(column.domain, table.low, table.high)
        if isinstance(table, NumericTable) and isinstance(column, NumericColumn) and len(table.gap):
            inside = inside and int(table.gap.max()) <= len(column.knots)
        if not inside:
            raise ValueError(f"column {column_name} has counts outside its grid")


def capped_segments(keys: list[GroupKey], cap: int) -> list[GroupKey]:
    """The keys with every segment value beyond the cap replaced by `other`."""
    values = sorted({str(k[2]) for k in keys if k[1] == SEGMENT_VALUE})
    if len(values) <= cap:
        return keys
    raw = [(v.encode("utf-8", errors="surrogateescape"), v) for v in values]
    kept = {v for _, _, v in sorted((_core.hash_bytes(b), b, v) for b, v in raw)[:cap]}
    return [k if k[1] != SEGMENT_VALUE or k[2] in kept else (int(k[0]), SEGMENT_OTHER, "") for k in keys]


def _merged_keys(parts: Sequence[Part], name: str, segment_cap: int) -> tuple[list[GroupKey], list[UInt32]]:
    """The union of the parts' groups, sorted, and each part's numbers in it."""
    union = sorted({key for part in parts for key in part.groups.get(name, [])})
    # A value that one part kept may lie beyond the cap of all: then some other part has counted it as `other`.
    kept = capped_segments(union, segment_cap) if name == "segment" else union
    into = dict(zip(union, kept, strict=True))
    merged = sorted(set(kept))
    at = {key: i for i, key in enumerate(merged)}
    return merged, [np.array([at[into[key]] for key in part.groups.get(name, [])], dtype=np.uint32) for part in parts]


def merge_parts(parts: Iterable[Part], segment_cap: int = 0) -> Part:
    """Adds parts: the same result for any order and any grouping of the additions.

    Of more than ``segment_cap`` segment values those with the smallest (hash, bytes) stay apart (DESIGN 3.3).
    """
    parts = list(parts)
    if len(parts) == 1:
        return parts[0]
    if not parts:
        raise ValueError("nothing to merge")
    # One entry for every file, also where a file was counted twice: the fingerprint must tell that apart.
    origins = tuple(sorted(o for part in parts for o in part.origins))
    origin_at = {o: i for i, o in enumerate(origins)}
    origin_maps = [np.array([origin_at[o] for o in part.origins], dtype=np.uint32) for part in parts]
    groups: dict[str, list[GroupKey]] = {}
    group_rows: dict[str, UInt64] = {}
    tables: dict[tuple[str, str], Table] = {}
    columns = sorted({key for part in parts for key in part.tables})
    for name in sorted({n for part in parts for n in part.groups}):
        groups[name], maps = _merged_keys(parts, name, segment_cap)
        rows = np.zeros(len(groups[name]), dtype=np.uint64)
        for part, to in zip(parts, maps, strict=True):
            if name in part.group_rows:
                np.add.at(rows, to, part.group_rows[name])
        group_rows[name] = rows
        for key in columns:
            if key[0] != name:
                continue
            have = [
                (p.tables[key], to, o) for p, to, o in zip(parts, maps, origin_maps, strict=True) if key in p.tables
            ]
            numeric = [(t, to, o) for t, to, o in have if isinstance(t, NumericTable)]
            if numeric:
                tables[key] = merge_numeric(
                    [t for t, _, _ in numeric], [g for _, g, _ in numeric], [o for _, _, o in numeric]
                )
            else:
                category = [(t, to) for t, to, _ in have if isinstance(t, CategoryTable)]
                tables[key] = merge_categories([t for t, _ in category], [g for _, g in category], cap=UNSEEN_CAP)
    spans = [part.span for part in parts if part.span]
    return Part(
        rows=sum(part.rows for part in parts),
        span=(min(s[0] for s in spans), max(s[1] for s in spans)) if spans else None,
        groups=groups,
        group_rows=group_rows,
        tables=tables,
        gone=tuple(sorted({c for part in parts for c in part.gone})),
        new=tuple(sorted({c for part in parts for c in part.new})),
        incomparable=dict(sorted({item for part in parts for item in part.incomparable.items()}, reverse=True)),
        origins=origins,
    )
