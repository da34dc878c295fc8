"""What checks of data quality need beside the counts: kinds of values, shapes of text, what repeats, the schema.

All of it is exact state (DESIGN 3.5): counts, minima and maxima, and the smallest hashes. Nothing in it is a value of
the log but the shapes of texts ("A9-9") and the first and last time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from modelwatch_gpu import _core, keys
from modelwatch_gpu.errors import InputError
from modelwatch_gpu.keys import domain_of
from modelwatch_gpu.plain import plain_array, plain_type
from modelwatch_gpu.profile.adapt import coded_array, is_supported
from modelwatch_gpu.profile.sample import row_hashes
from modelwatch_gpu.profile.smallest import Smallest, UInt64
from modelwatch_gpu.profile.texts import matching, pattern_fault, shapes_of, text_counts, values_and_rows

#: Distinct hashes kept of ids, rows and rows without label; of rows with a hash of every column.
KEPT: Final = 16_384
KEPT_WITH_COLUMNS: Final = 1_024
#: Shapes of texts that are counted apart, those with the smallest hashes.
SHAPES: Final = 1_000

Schema = tuple[tuple[str, str], ...]
#: Column -> a regular expression, or several, that its texts are held to.
Patterns = Mapping[str, str | Sequence[str]]


@dataclass(frozen=True)
class FactsSpec:
    """What to look at: ids name a row, features repeat without the label. ``patterns``: columns, and a regular
    expression that their texts are held to."""

    ids: tuple[str, ...]
    features: tuple[str, ...]
    label: str | None
    timestamp: str | None
    patterns: tuple[tuple[str, str], ...] = ()

    @staticmethod
    def made(roles: Mapping[str, str]) -> frozenset[str]:
        """Columns that a baseline makes of answers and labels, which no log stores."""
        return frozenset(name for name, role in roles.items() if role == "residual")

    @classmethod
    def of(cls, roles: Mapping[str, str], patterns: Patterns | None = None) -> FactsSpec:
        """From column -> role. Raises InputError for what is no regular expression."""

        def having(role: str) -> tuple[str, ...]:
            return tuple(name for name, own in roles.items() if own == role)

        label, timestamp = having("label"), having("timestamp")
        names = having("id"), having("feature"), next(iter(label), None), next(iter(timestamp), None)
        return cls(*names, tuple(_pairs(patterns or {})))


def _pairs(patterns: Patterns) -> Iterator[tuple[str, str]]:
    """Every column and pattern once, in order."""
    for column, own in sorted(patterns.items()):
        for pattern in sorted({own} if isinstance(own, str) else {*own}):
            fault = pattern_fault(pattern)
            if fault is not None:
                raise InputError(f"patterns= has {pattern!r} for column '{column}', {fault}.")
            yield column, pattern


@dataclass
class Facts:
    """The facts of one window.

    ``counts``: column -> counter -> rows. Of all: rows, null. Of floats: nan, infinite, fraction (not whole). Of
    numbers: zero, negative. Of text: empty (or blank), padded (blanks around it), spelled_null ("N/A"), special
    (neither letter nor digit), number (text that is a number), broken (a character that could not be decoded).
    equals_label: equal to the label, of with_label rows in which both are there. "matches P", "held to P": texts that
    match a pattern, and all that were held to it. ``lengths``: column -> shortest and
    longest text in characters. ``shapes``: column -> shape -> rows. ``shapeless``: column -> rows of shapes beyond the
    cap. ``repeats``: "ids", "rows", "features" (with the label of each), "columns" (with a hash of every column).
    ``times``: first and last timestamp in epoch seconds. ``empty_rows``: rows in which every column is missing (null or
    NaN); None where nobody looked."""

    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    lengths: dict[str, tuple[int, int]] = field(default_factory=dict)
    shapes: dict[str, dict[str, int]] = field(default_factory=dict)
    shapeless: dict[str, int] = field(default_factory=dict)
    repeats: dict[str, Smallest] = field(default_factory=dict)
    times: tuple[int, int] | None = None
    empty_rows: int | None = None

    def merged(self, other: Facts) -> Facts:
        """The facts of both."""
        names = {*self.counts, *other.counts}
        empty = [f.empty_rows for f in (self, other) if f.counts]
        lengths = [(n, f.lengths[n]) for f in (self, other) for n in f.lengths]
        spans = [f.times for f in (self, other) if f.times is not None]
        shapes, shapeless = {}, {}
        for name in sorted({*self.shapes, *other.shapes}):
            joined = _added(self.shapes.get(name, {}), other.shapes.get(name, {}))
            shapes[name], beyond = _capped(joined)
            shapeless[name] = self.shapeless.get(name, 0) + other.shapeless.get(name, 0) + beyond
        return Facts(
            counts={n: _added(self.counts.get(n, {}), other.counts.get(n, {})) for n in sorted(names)},
            lengths={
                name: (min(v[0] for n, v in lengths if n == name), max(v[1] for n, v in lengths if n == name))
                for name in sorted({n for n, _ in lengths})
            },
            shapes=shapes,
            shapeless=shapeless,
            repeats={
                name: other.repeats[name].merged([f.repeats[name] for f in (self,) if name in f.repeats])
                if name in other.repeats
                else self.repeats[name]
                for name in sorted({*self.repeats, *other.repeats})
            },
            times=(min(s[0] for s in spans), max(s[1] for s in spans)) if spans else None,
            empty_rows=sum(n for n in empty if n is not None) if empty and None not in empty else None,
        )

    def header(self) -> dict[str, Any]:
        """All but the hashes, as JSON values."""
        return {
            "counts": _sorted(self.counts),
            "lengths": {name: list(own) for name, own in sorted(self.lengths.items())},
            "shapes": _sorted(self.shapes),
            "shapeless": dict(sorted(self.shapeless.items())),
            "repeats": {name: own.cap for name, own in sorted(self.repeats.items())},
            "times": list(self.times) if self.times else None,
            **({} if self.empty_rows is None else {"empty_rows": self.empty_rows}),
        }

    @classmethod
    def from_file(cls, header: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> Facts:
        """The inverse; raises KeyError, TypeError or ValueError where it does not fit together."""
        repeats = {}
        for name, cap in header["repeats"].items():
            own = {n.split("/", 1)[1]: a for n, a in arrays.items() if n.split("/", 1)[0] == name}
            repeats[str(name)] = Smallest.from_arrays(int(cap), own)
        times, empty = header["times"], header.get("empty_rows")
        return cls(
            counts={str(c): {str(n): int(v) for n, v in own.items()} for c, own in header["counts"].items()},
            lengths={str(c): (int(own[0]), int(own[1])) for c, own in header["lengths"].items()},
            shapes={str(c): {str(n): int(v) for n, v in own.items()} for c, own in header["shapes"].items()},
            shapeless={str(c): int(v) for c, v in header["shapeless"].items()},
            repeats=repeats,
            times=(int(times[0]), int(times[1])) if times else None,
            empty_rows=None if empty is None else int(empty),
        )


@dataclass
class LogFacts:
    """``windows``: start -> its facts. ``schemas``: (name, type) of all columns in order -> rows that came so."""

    windows: dict[int, Facts] = field(default_factory=dict)
    schemas: dict[Schema, int] = field(default_factory=dict)

    def merged(self, others: Sequence[LogFacts]) -> LogFacts:
        """The facts of all."""
        every = [self, *others]
        windows: dict[int, Facts] = {}
        schemas: dict[Schema, int] = {}
        for one in every:
            for start, facts in one.windows.items():
                windows[start] = windows[start].merged(facts) if start in windows else facts
            for schema, rows in one.schemas.items():
                schemas[schema] = schemas.get(schema, 0) + rows
        return LogFacts(dict(sorted(windows.items())), dict(sorted(schemas.items())))

    def header(self) -> dict[str, Any]:
        """All but the hashes, as JSON values."""
        return {
            "windows": [[start, facts.header()] for start, facts in sorted(self.windows.items())],
            "schemas": [[[list(column) for column in schema], rows] for schema, rows in sorted(self.schemas.items())],
        }

    def arrays(self) -> dict[str, UInt64]:
        """The hashes, named by the window's number."""
        return {
            f"{at}/{name}/{part}": array
            for at, (_, facts) in enumerate(sorted(self.windows.items()))
            for name, smallest in sorted(facts.repeats.items())
            for part, array in smallest.arrays().items()
        }

    @classmethod
    def from_file(cls, header: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> LogFacts:
        """The inverse; raises KeyError, TypeError or ValueError where it does not fit together."""
        windows = {}
        for at, (start, own) in enumerate(header["windows"]):
            mine = {n.split("/", 1)[1]: a for n, a in arrays.items() if n.split("/", 1)[0] == str(at)}
            windows[int(start)] = Facts.from_file(own, mine)
        schemas = {tuple((str(n), str(t)) for n, t in schema): int(rows) for schema, rows in header["schemas"]}
        return cls(windows, schemas)


class Observer:
    """Takes the batches of a file and keeps their facts by window. ``made``: columns that the log does not store."""

    def __init__(self, spec: FactsSpec, schema: pa.Schema, made: frozenset[str] = frozenset()) -> None:
        self.spec = spec
        self.stored = [field.name for field in schema if field.name not in made]
        self.schema: Schema = tuple((name, type_name(schema.field(name).type)) for name in self.stored)
        self.facts = LogFacts()

    def add(self, batch: pa.RecordBatch, windows: npt.NDArray[np.int32], starts: Sequence[int]) -> None:
        """Takes one batch; ``windows``: (rows,) numbers into ``starts``."""
        batch = batch.select([name for name in batch.schema.names if name in self.stored])
        self.facts.schemas[self.schema] = self.facts.schemas.get(self.schema, 0) + len(batch)
        for window in np.unique(windows).tolist():
            mine = windows == window
            part = batch if mine.all() else batch.filter(pa.array(mine))
            facts = self.facts.windows.setdefault(int(starts[window]), Facts())
            self.facts.windows[int(starts[window])] = facts.merged(self._of(part, facts))

    def finish(self) -> LogFacts:
        """The facts of everything taken."""
        return LogFacts().merged([self.facts])

    def _of(self, batch: pa.RecordBatch, before: Facts) -> Facts:
        facts = Facts()
        names = batch.schema.names
        label = batch.column(self.spec.label) if self.spec.label in names else None
        for name in names:
            _observe(facts, name, batch.column(name), [p for column, p in self.spec.patterns if column == name])
            if label is not None and name != self.spec.label:
                found = _equal(batch.column(name), label)
                if found is not None:
                    facts.counts[name] |= {"equals_label": found[0], "with_label": found[1]}
        if self.spec.timestamp in names:
            facts.times = _span(batch.column(self.spec.timestamp))
        facts.repeats = dict(self._repeats(batch, before))
        facts.empty_rows = _empty_rows(batch)
        return facts

    def _repeats(self, batch: pa.RecordBatch, before: Facts) -> Iterator[tuple[str, Smallest]]:
        """Hashes of ids, of whole rows and of rows without label; only those that may stay."""
        names = [name for name in batch.schema.names if is_supported(batch.schema.field(name).type)]
        if not len(batch) or not names:
            return
        labels = _order(batch.column(self.spec.label)) if self.spec.label in names else None
        came = {"label": labels} if labels is not None else {}
        ids = [name for name in self.spec.ids if name in names]
        if ids:
            order = _order(batch.column(ids[0]))
            yield "ids", self._kept("ids", KEPT, row_hashes(batch, ids), {**came, "order": order}, before)
        features = [name for name in self.spec.features if name in names]
        if features and labels is not None:
            known = batch.filter(
                batch.column(self.spec.label).is_valid()
            )  # a label that is still to come is no conflict
            hashes = row_hashes(known, features)
            yield "features", self._kept("features", KEPT, hashes, {"label": labels[labels > 0]}, before)
        rows = row_hashes(batch, names)
        yield "rows", self._kept("rows", KEPT, rows, {}, before)
        near = self._near("columns", rows, before, KEPT_WITH_COLUMNS)
        if len(near):
            some = batch.take(pa.array(near))
            each = {name: row_hashes(some, [name]) for name in names}
            yield "columns", Smallest.empty(KEPT_WITH_COLUMNS, names).plus(rows[near], each)

    def _near(self, name: str, hashes: UInt64, before: Facts, cap: int) -> npt.NDArray[np.int64]:
        """Rows whose hashes may be among the smallest."""
        old = before.repeats.get(name)
        limit = np.uint64((1 << 64) - 1 if old is None else old.limit)
        near = np.flatnonzero(hashes <= limit)
        if len(near) > 4 * cap:
            distinct = np.unique(hashes[near])
            if len(distinct) > cap:
                near = near[hashes[near] <= distinct[cap - 1]]
        return near

    def _kept(self, name: str, cap: int, hashes: UInt64, attached: Mapping[str, UInt64], before: Facts) -> Smallest:
        near = self._near(name, hashes, before, cap)
        return Smallest.empty(cap, sorted(attached)).plus(hashes[near], {n: v[near] for n, v in attached.items()})


def type_name(kind: pa.DataType) -> str:
    """A type as it is compared: all ways to store text are one."""
    kind = plain_type(kind)
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return "text" if pa.types.is_string(kind) or pa.types.is_large_string(kind) else str(kind)


def is_text(kind: pa.DataType) -> bool:
    """Whether a column holds text."""
    return type_name(kind) == "text"


def _empty_rows(batch: pa.RecordBatch) -> int:
    """Rows in which every column is missing; the first column that is always there ends the search."""
    empty: npt.NDArray[np.bool_] | None = None
    for column in batch.columns:
        plain = plain_array(column)
        if pa.types.is_dictionary(plain.type):
            plain = plain.dictionary_decode() if plain.null_count or plain.dictionary.null_count else plain.indices
        if not plain.null_count and not pa.types.is_floating(plain.type):
            return 0
        own = plain.is_null(nan_is_null=True).to_numpy(zero_copy_only=False)
        empty = own if empty is None else empty & own
        if not empty.any():
            return 0
    return 0 if empty is None else int(empty.sum())


def _observe(facts: Facts, name: str, array: pa.Array, patterns: Sequence[str] = ()) -> None:
    """Counts what kinds of values a column has. ``patterns``: regular expressions that its texts are held to."""
    counts = facts.counts[name] = {"rows": len(array), "null": array.null_count}
    kind = array.type
    if is_text(kind):
        counts["null"] = plain_array(array).is_null().to_numpy(zero_copy_only=False).sum().item()
        values, rows = values_and_rows(array)
        counts |= text_counts(values, rows)
        for pattern in patterns:
            counts[f"matches {pattern}"] = int(rows[matching(values, pattern)].sum())
            counts[f"held to {pattern}"] = int(rows.sum())
        if len(values):
            size = pc.min_max(pc.utf8_length(values))
            facts.lengths[name] = (size["min"].as_py(), size["max"].as_py())
        by_shape: dict[str, int] = {}
        for shape, n in zip(shapes_of(values).to_pylist(), rows.tolist(), strict=True):
            by_shape[shape] = by_shape.get(shape, 0) + n
        facts.shapes[name], facts.shapeless[name] = _capped(by_shape)
    elif pa.types.is_integer(kind) or pa.types.is_floating(kind):
        numbers = array.drop_null().to_numpy(zero_copy_only=False)
        counts |= {"zero": int((numbers == 0).sum()), "negative": int((numbers < 0).sum())}
        if pa.types.is_floating(kind):
            finite = np.isfinite(numbers)
            counts |= {
                "nan": int(np.isnan(numbers).sum()),
                "infinite": int(np.isinf(numbers).sum()),
                "fraction": int((finite & (np.where(finite, numbers, 0) % 1 != 0)).sum()),
            }


def _equal(array: pa.Array, label: pa.Array) -> tuple[int, int] | None:
    """Rows in which a column equals the label, and rows in which both are there; None where they are of two kinds."""
    both = []
    for one in (array, label):
        one = plain_array(one)
        one = one.dictionary_decode() if pa.types.is_dictionary(one.type) else one
        kind = one.type
        if pa.types.is_boolean(kind) or pa.types.is_integer(kind):
            one = one.cast(pa.int8() if pa.types.is_boolean(kind) else kind).cast(pa.float64(), safe=False)
        elif pa.types.is_floating(kind):
            one = one.cast(pa.float64())
        elif is_text(kind):
            one = one.cast(pa.large_string())
        else:
            return None
        both.append(one)
    if both[0].type != both[1].type:
        return None
    same = pc.equal(*both)
    return int(pc.sum(same).as_py() or 0), len(same) - same.null_count


def _order(array: pa.Array) -> UInt64:
    """(rows,) numbers in the order of the values, 0 for null: of text and other values their hash, in no order."""
    array = plain_array(array)
    domain = domain_of(array.type)
    if domain is None or pa.types.is_decimal(array.type):
        coded = coded_array(array)
        values = coded.dictionary.cast(pa.large_binary()).to_pylist()
        hashes = np.array([_core.hash_bytes(v) if v is not None else 0 for v in values] or [0], dtype=np.uint64)
        codes = coded.indices.fill_null(0).to_numpy(zero_copy_only=False)
        return np.where(coded.is_valid().to_numpy(zero_copy_only=False), hashes[codes], np.uint64(0))
    numbers = array.cast(pa.float64(), safe=False) if not pa.types.is_temporal(array.type) else _ticks(array)
    values = numbers.fill_null(0).to_numpy(zero_copy_only=False).astype(np.float64)
    found: UInt64 = np.where(
        numbers.is_valid().to_numpy(zero_copy_only=False), keys.keys_of(values, "float64"), np.uint64(0)
    )
    return found


def _ticks(array: pa.Array) -> pa.Array:
    if pa.types.is_date(array.type):
        array = array.cast(pa.timestamp("ms"))
    return array.cast(pa.int32() if pa.types.is_time32(array.type) else pa.int64())


def _span(array: pa.Array) -> tuple[int, int] | None:
    """First and last time in epoch seconds."""
    kind = array.type
    if pa.types.is_date(kind):
        array = array.cast(pa.timestamp("s"))
    elif not pa.types.is_timestamp(kind):
        return None
    per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[array.type.unit]
    ends = pc.min_max(array.cast(pa.int64()))
    if not ends["min"].is_valid:
        return None
    return ends["min"].as_py() // per_second, ends["max"].as_py() // per_second


def _added(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {name: one.get(name, 0) + other.get(name, 0) for name in sorted({*one, *other})}


def _capped(rows: Mapping[str, int]) -> tuple[dict[str, int], int]:
    """The shapes with the smallest (hash, text), and the rows of the others."""
    if len(rows) <= SHAPES:
        return dict(sorted(rows.items())), 0
    kept = sorted(rows, key=lambda shape: (_core.hash_bytes(shape.encode()), shape))[:SHAPES]
    return {shape: rows[shape] for shape in sorted(kept)}, sum(rows.values()) - sum(rows[shape] for shape in kept)


def _sorted(nested: Mapping[str, Mapping[str, int]]) -> dict[str, dict[str, int]]:
    return {name: dict(sorted(own.items())) for name, own in sorted(nested.items())}
