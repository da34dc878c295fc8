"""Parts: the counts of one file or batch, the unit that is stored, replaced, dropped and merged (DESIGN 1 and 3.6)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import InitVar, dataclass, field
from operator import itemgetter
from typing import Any, Final

import numpy as np

from modelwatch_gpu import _core
from modelwatch_gpu.profile.columns import Column, NumericColumn
from modelwatch_gpu.profile.embedding_sums import EmbeddingTable
from modelwatch_gpu.profile.embeddings import EmbeddingColumn
from modelwatch_gpu.profile.facts import LogFacts
from modelwatch_gpu.profile.later import Later
from modelwatch_gpu.profile.sample import RowSample
from modelwatch_gpu.profile.scoring import LABEL_CAP
from modelwatch_gpu.profile.sound import by_prefix, check_range
from modelwatch_gpu.profile.tables import (
    Arrays,
    CategoryTable,
    NumericTable,
    Table,
    UInt64,
)
from modelwatch_gpu.profile.weights import WeightSums

#: Starts of groups that have no time: the whole log, and rows whose timestamp is null.
WHOLE: Final = -(2**62)
UNTIMED: Final = WHOLE + 1

#: Kinds of a segment's value in one column: a value, null, and the pooled values beyond the cap.
SEGMENT_KINDS: Final = (0, 1, 2)
SEGMENT_VALUE, SEGMENT_NULL, SEGMENT_OTHER = SEGMENT_KINDS
#: What the name of a counter set of segments begins with; the names of its columns follow.
SEGMENT_PREFIX: Final = "segment:"
#: What the name of a counter set begins with whose groups are crossed with the label; the name of the other follows.
LABELLED_PREFIX: Final = "label|"

#: Arrays of fewer bytes are joined before they are hashed: a call costs more than the copy.
_JOINED: Final = 1 << 16

#: Unseen values that keep exact counts, per column (DESIGN 3.3).
UNSEEN_CAP: Final = 10_000

#: (start,) of a window or block; (start, kind, text, kind, text, ...) of a segment, a pair for each of its columns. In
#: a set that is crossed with the label, its pair comes last.
#: start: epoch seconds, or the number of the first row where windows are counted in rows.
GroupKey = tuple[int | str, ...]

_LABEL: Final = itemgetter(-2, -1)


@dataclass(frozen=True)
class SetSpec:
    """One counter set: which grid its groups are counted on, and whether they keep moments. ``name``: "window",
    "block", or "segment:" and the names of its ``columns``, joined by commas; or one of these behind "label|", whose
    groups are crossed with the label, the last of its ``columns``."""

    name: str
    grid: str
    moments: bool
    columns: tuple[str, ...] = ()

    @property
    def sketches(self) -> bool:
        """Whether its tables keep a log-linear histogram and registers (decision 0006)."""
        return self.name == "window" and self.grid == "fine"

    @property
    def labelled(self) -> bool:
        """Whether its groups are crossed with the label; only answers are counted in it then."""
        return self.name.startswith(LABELLED_PREFIX)


@dataclass
class Part:
    """Counts of one or more files, with the facts about them that a report mentions.

    ``origins``: fingerprints whose moments the tables hold, sorted. ``groups``: for each set the sorted keys of its
    groups; ``group_rows``: their rows. ``tables``: (set, column) -> table. ``span``: first and last timestamp, epoch
    seconds. ``gone``: baseline columns the data lacks; ``incomparable``: column -> its type here, where it cannot be
    compared with the baseline's; ``new``: columns the baseline does not know. ``sample``: rows with the smallest
    hashes, where they were asked for; it has no say in the fingerprint. ``weight_bits``: how weights are stored
    (decision 0007), None where every row counts once; ``weights``: then for each set the sums of its groups' weights,
    while ``rows`` and ``group_rows`` stay rows. ``facts``: for checks of data quality, where they were asked
    for; like the sample they have no say in the fingerprint. ``embeddings``: (set, column) -> sums of
    vectors. ``texts``: the groups of some sets in JSON, where they are known.
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
    sample: RowSample | None = None
    facts: LogFacts | None = None
    weight_bits: int | None = None
    weights: dict[str, WeightSums] = field(default_factory=dict)
    embeddings: dict[tuple[str, str], EmbeddingTable] = field(default_factory=dict)
    texts: InitVar[Mapping[str, str] | None] = None

    def __post_init__(self, texts: Mapping[str, str] | None) -> None:
        self._texts = texts or {}

    @property
    def fingerprint(self) -> str:
        """SHA-256 of this part's own state: two parts with equal counts have equal fingerprints (decision 0002)."""
        if len(self.origins) == 1:
            return self.origins[0]
        return hashlib.sha256("".join(self.origins).encode()).hexdigest()

    @property
    def entries(self) -> int:
        """Rows of all its tables: what merging and keeping it costs."""
        return sum(t.entries for t in (*self.tables.values(), *self.embeddings.values()))

    def entries_of(self, name: str) -> int:
        """As ``entries``, of one set."""
        return sum(table.entries for key, table in self.tables.items() if key[0] == name)

    def _own_fingerprint(self) -> str:
        counted = {name: value for name, value in self.header(()).items() if name not in ("sample", "facts")}
        digest = hashlib.sha256()
        for text in _json_of(counted, {"groups": _json_of(self.groups, self._texts)}):
            digest.update(text.encode())
        self._texts = {}
        for arrays in self._counted_arrays():
            pieces: list[Any] = []
            for name, array in arrays.items():
                pieces.append(f"{name}:{array.dtype.str}:{len(array)};".encode())
                if array.nbytes < _JOINED:
                    pieces.append(np.ascontiguousarray(array))
                    continue
                digest.update(b"".join(pieces))
                digest.update(np.ascontiguousarray(array).data)
                pieces = []
            digest.update(b"".join(pieces))
        return digest.hexdigest()

    def _counted_arrays(self) -> Iterator[Arrays]:
        """What has a say in the fingerprint."""
        yield {f"rows/{name}": self.group_rows[name] for name in sorted(self.group_rows)}
        for name in sorted(self.weights):
            yield {f"{what}/{name}": sums for what, sums in self.weights[name].arrays().items()}
        for at, (_, table) in enumerate(sorted(self.tables.items(), key=lambda item: item[0])):
            yield {f"{at}/{name}": array for name, array in table.arrays().items()}
        for at, (_, sums) in enumerate(sorted(self.embeddings.items(), key=lambda item: item[0])):
            yield {f"embedding/{at}/{name}": array for name, array in sums.arrays().items()}

    def header(self, origins: Sequence[str] | None = None) -> dict[str, Any]:
        """Everything that is not an array, as JSON values; with other ``origins``, if some are given."""
        return {
            "rows": self.rows,
            "span": list(self.span) if self.span else None,
            "groups": {name: self.groups[name] for name in sorted(self.groups)},  # JSON has no tuples
            "tables": [[name, column, table.kind] for (name, column), table in sorted(self.tables.items())],
            "gone": sorted(self.gone),
            "new": sorted(self.new),
            "incomparable": dict(sorted(self.incomparable.items())),
            "origins": list(self.origins if origins is None else origins),
            **({"sample": self.sample.cap} if self.sample is not None else {}),
            **({"facts": self.facts.header()} if self.facts is not None else {}),
            **({"weight_bits": self.weight_bits} if self.weight_bits is not None else {}),
            **({"embeddings": self._embeddings_header()} if self.embeddings else {}),
        }

    def _embeddings_header(self) -> list[list[Any]]:
        """(set, column, dimension) of every embedding, sorted."""
        return [
            [*key, table.total.shape[1]] for key, table in sorted(self.embeddings.items(), key=lambda item: item[0])
        ]

    def named_arrays(self) -> Iterator[Arrays]:
        """All arrays, named by set, column number in the header's table list, and field: those of one table after the
        other, never all of them in memory at once."""
        yield from self._counted_arrays()
        if self.sample is not None:
            yield {f"sample/{name}": array for name, array in self.sample.arrays().items()}
        if self.facts is not None:
            yield {f"facts/{name}": array for name, array in self.facts.arrays().items()}

    def arrays(self) -> Arrays:
        """The same in one dictionary."""
        return {name: array for arrays in self.named_arrays() for name, array in arrays.items()}

    @classmethod
    def from_file(cls, header: Mapping[str, Any], arrays: Arrays, renamed: Mapping[str, str] | None = None) -> Part:
        """The inverse of ``header`` and ``arrays``; raises KeyError, TypeError or ValueError where they do not fit.

        ``renamed``: sets that have another name today than in the file.
        """
        renamed = renamed if renamed is not None else {}
        groups = {renamed.get(n, str(n)): [_key_from(key) for key in keys] for n, keys in header["groups"].items()}
        rows = {renamed.get(n, str(n)): arrays[f"rows/{n}"].astype(np.uint64) for n in header["groups"]}
        for name, keys in groups.items():
            if len(rows[name]) != len(keys):
                raise ValueError(f"set {name} has {len(keys)} groups and {len(rows[name])} row counts")
        weights: dict[str, WeightSums] = {}
        if header.get("weight_bits") is not None:
            kinds = ("weight_total", "weight_low", "weight_high")
            weights = {
                renamed.get(n, str(n)): WeightSums.from_arrays(*(arrays[f"{kind}/{n}"] for kind in kinds))
                for n in header["groups"]
            }
        by_table = by_prefix(arrays)
        tables: dict[tuple[str, str], Table] = {}
        for i, (name, column, kind) in enumerate(header["tables"]):
            name = renamed.get(name, str(name))
            read = NumericTable.from_arrays if kind == "numeric" else CategoryTable.from_arrays
            tables[(name, str(column))] = read(by_table.get(str(i), {}), len(groups[name]))
        for (name, column), table in tables.items():
            if isinstance(table, NumericTable) and table.moment_origin.max(initial=0) >= max(1, len(header["origins"])):
                raise ValueError(f"column {column} of set {name} has moments of a file that is not there")
        by_embedding = by_prefix(by_table.get("embedding", {}))
        embeddings = {}
        for i, (name, column, dimension) in enumerate(header.get("embeddings", [])):
            sums = EmbeddingTable.from_arrays(by_embedding.get(str(i), {}), len(groups[name]), int(dimension))
            embeddings[(str(name), str(column))] = sums
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
            sample=RowSample.from_arrays(header["sample"], by_table["sample"]) if "sample" in header else None,
            facts=LogFacts.from_file(header["facts"], by_table.get("facts", {})) if "facts" in header else None,
            weight_bits=header.get("weight_bits"),
            weights=weights,
            embeddings=embeddings,
        )


# A pass over all counts, which nobody asks for where there is one part that nobody keeps.
Part.origins = Later("origins", lambda part, kept: kept or (part._own_fingerprint(),))  # type: ignore[assignment]


def _json_of(values: Mapping[str, Any], ready: Mapping[str, str | Iterable[str]]) -> Iterator[str]:
    """What ``json.dumps(values, sort_keys=True)`` gives, in pieces: the keys of thousands of groups are megabytes.
    ``ready``: the texts of some of the fields, or their pieces."""
    before = "{"
    for name in sorted(values):
        yield f"{before}{json.dumps(name)}: "
        own = ready[name] if name in ready else json.dumps(values[name], sort_keys=True)
        yield from (own,) if isinstance(own, str) else own
        before = ", "
    yield "}" if before != "{" else "{}"


def _key_from(values: Sequence[Any]) -> GroupKey:
    """A group's key from JSON; raises ValueError where it is not (start, kind, text, ...)."""
    kinds = [type(v) for v in values]
    if kinds[:1] != [int] or kinds[1:] != [int, str] * (len(kinds) // 2):
        raise ValueError("a group has a key that is not a start and pairs of a kind and a text")
    return tuple(values)


def check_part(
    part: Part, columns: Sequence[Column], sets: Sequence[SetSpec], embeddings: Sequence[EmbeddingColumn] = ()
) -> None:
    """Raises ValueError where a part that was read from a file does not fit the grids of its columns."""
    grids = {s.name: s.grid for s in sets}
    by_name = {c.name: c for c in columns}
    if not set(grids.values()) <= {"fine", "coarse"}:
        raise ValueError("a set is counted on a grid that does not exist")
    length = {s.name: 1 + 2 * len(s.columns) for s in sets}
    for name, keys in part.groups.items():
        if name.startswith(LABELLED_PREFIX):
            known = {*part.groups.get(name.removeprefix(LABELLED_PREFIX), [])}
            if any(key[:-2] not in known for key in keys):
                raise ValueError(f"set {name} has a label of a group that is not there")
    for name, keys in part.groups.items():
        if any(len(key) != length.get(name) or not {*key[1::2]} <= set(SEGMENT_KINDS) for key in keys):
            raise ValueError(f"set {name} has a group whose key does not fit its columns")
    for (name, column_name), table in part.tables.items():
        column = by_name.get(column_name)
        if column is None or name not in grids or column.kind != table.kind:
            raise ValueError(f"set {name} counts column {column_name}, which is not there to be counted")
        slots = column.slots if grids[name] == "fine" else column.coarse_slots
        inside = not len(table.cells) or int(table.cells.index.max()) < slots
        if isinstance(table, NumericTable) and isinstance(column, NumericColumn):
            check_range(column.domain, table.low, table.high)
            inside = inside and (not len(table.gaps) or int(table.gaps.index.max()) <= len(column.knots))
        if not inside:
            raise ValueError(f"column {column_name} has counts outside its grid")
    vectors = {c.name: c for c in embeddings}
    for (name, column_name), sums in part.embeddings.items():
        own = vectors.get(column_name)
        if own is None or name not in grids or sums.total.shape[1] != own.dimension:
            raise ValueError(f"set {name} adds up the embedding {column_name}, which is not there")
        sums.check(own, name)


def segment_rank(values: GroupKey) -> tuple[int, bytes]:
    """What decides which segments beyond the cap stay apart: the smallest (hash, bytes) do (DESIGN 3.3).

    ``values``: (kind, text) pairs. The bytes are the value's own; a crossing's are those of its columns one after the
    other, each behind its length (4 bytes, little endian; all ones for null), so no two segments share them.
    """
    texts = [str(t).encode("utf-8", errors="surrogateescape") for t in values[1::2]]
    if len(texts) == 1:
        joined = texts[0]
    else:
        null = [kind == SEGMENT_NULL for kind in values[0::2]]
        joined = b"".join(
            b"\xff\xff\xff\xff" if missing else len(text).to_bytes(4, "little") + text
            for missing, text in zip(null, texts, strict=True)
        )
    return _core.hash_bytes(joined), joined


def is_capped(values: GroupKey) -> bool:
    """Whether a segment counts towards the cap: `other` and the one without any value do not."""
    return SEGMENT_VALUE in values[0::2]


def other_segment(columns: int) -> GroupKey:
    """The values of the segment of everything beyond the cap."""
    return (SEGMENT_OTHER, "") * columns


def capped_segments(keys: list[GroupKey], cap: int) -> list[GroupKey]:
    """The keys with every segment beyond the cap replaced by `other`."""
    if len(keys) <= cap:
        return keys
    values = {values for values in {key[1:] for key in keys} if is_capped(values)}
    if len(values) <= cap:
        return keys
    kept = set(sorted(values, key=segment_rank)[:cap])
    return [k if k[1:] in kept or not is_capped(k[1:]) else (k[0], *other_segment(len(k) // 2)) for k in keys]


def labels_of(keys: Iterable[GroupKey]) -> set[GroupKey]:
    """The different labels, (kind, text), of groups that are crossed with one."""
    return set(map(_LABEL, keys))


def capped_keys(
    name: str,
    keys: list[GroupKey],
    segment_cap: int,
    *,
    whole: Container[str] = (),
    labels: Collection[GroupKey] | None = None,
) -> list[GroupKey]:
    """The keys of a set's groups with every segment, and every label, beyond its cap replaced by `other`.

    ``whole``: names of sets none of whose segments is beyond the cap; then none is of those crossed with the label.
    ``labels``: all that the keys have and maybe more, None where that is not known.
    """
    if not name.startswith(LABELLED_PREFIX):
        return capped_segments(keys, segment_cap) if name.startswith(SEGMENT_PREFIX) else keys
    base = name.removeprefix(LABELLED_PREFIX)
    # There are few labels and many groups, so these are looked at only where something may be beyond a cap.
    if labels is None or len(labels) > LABEL_CAP:
        labels = labels_of(keys)
    capped = {one[1:]: into[1:] for one, into in _capped_labels(labels) if one != into}
    if base in whole and not capped:
        return keys
    bases = [key[:-2] for key in keys]
    kept = bases if base in whole else capped_keys(base, bases, segment_cap)
    if kept is bases and not capped:
        return keys
    return [(*own, *capped.get(key[-2:], key[-2:])) for own, key in zip(kept, keys, strict=True)]


def _capped_labels(labels: Collection[GroupKey]) -> Iterator[tuple[GroupKey, GroupKey]]:
    """Every label, (kind, text), behind a start that says nothing, and what it is counted as."""
    ordered: list[GroupKey] = [(0, *label) for label in labels]
    return zip(ordered, capped_segments(ordered, LABEL_CAP), strict=True)
