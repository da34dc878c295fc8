"""The state of one embedding column in one counter set: sums of vectors as whole numbers, and a sample of rows.

Within a file sums are floating point (DESIGN 3.5: matrix products carry a tolerance). A file's sums are then rounded to
whole multiples of a unit that belongs to the baseline, 2^-30 of its spread, so adding files is exact: the same bytes in
any order of merging (decision 0024).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from modelwatch_gpu import _core
from modelwatch_gpu.device import devices_of, engine
from modelwatch_gpu.errors import InputError
from modelwatch_gpu.profile.embeddings import (
    BANDWIDTHS,
    FREQUENCIES,
    TILE,
    EmbeddingColumn,
    ReadVectors,
    Room,
    row_keys,
)
from modelwatch_gpu.profile.sparse import UInt32, UInt64
from modelwatch_gpu.profile.tables import Arrays, split_bytes
from modelwatch_gpu.profile.vectors import NULL, TAKEN, TOO_FAR, Matrix

#: A file's sums are rounded to multiples of 2^-30 of the baseline's spread (of its square, of 1).
UNIT_BITS: Final = 30
#: Groups of rows, drawn by hash, that a permutation test deals out anew.
DEALT: Final = 32
#: Rows a window keeps as they are: those with the smallest keys.
SAMPLE_ROWS: Final = 1_024
#: Random features: cosine and sine of every frequency at every bandwidth.
FEATURES: Final = 2 * FREQUENCIES * len(BANDWIDTHS)
#: No sum may come near 2^63.
_MOST: Final = 2.0**62
_TOO_LARGE: Final = (
    "The vectors of an embedding lie too far from the baseline's to be added up; fit the baseline on vectors of this "
    "size."
)
#: Characters of a text that a sampled row keeps of each of its columns.
_TEXT: Final = 160

Int64 = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
#: Codes of rows that take no part, in the order of ``EmbeddingTable.left_out``.
LEFT_OUT: Final = (NULL, 2, 3, TOO_FAR)


@dataclass
class EmbeddingTable:
    """``taken``: (groups,) rows whose vectors were added; ``left_out``: (groups, 4) rows without a vector, of another
    length, not finite, too far. In units of 2^-30 spread (squared where they are products): ``total``: (groups, d) sums
    of x - centre; ``squares``: (groups,) of ||x - centre||^2; ``products``: (groups, k (k + 1) / 2) of the products of
    two coordinates, upper triangle by rows: of all d elements in windows, of the principal directions elsewhere.

    In windows also: ``dealt``: (groups, DEALT) rows of each hashed group; ``features``: (groups, DEALT, FEATURES) sums
    of random features in units of 2^-30. ``sample_group``, ``sample_key``, ``sample``, ``labels``: the sampled rows by
    group and key, their vectors float32, and what their texts say as JSON.
    """

    taken: UInt64
    left_out: UInt64
    total: Int64
    squares: Int64
    products: Int64
    dealt: UInt64
    features: Int64
    sample_group: UInt32
    sample_key: UInt64
    sample: npt.NDArray[np.float32]
    labels: list[bytes]

    @property
    def groups(self) -> int:
        """How many groups there are."""
        return len(self.taken)

    @property
    def entries(self) -> int:
        """Numbers it holds: what merging and keeping it costs."""
        return self.total.size + self.products.size + self.features.size + self.sample.size

    def sampled(self, group: int) -> slice:
        """Where the sampled rows of a group lie."""
        ends = np.searchsorted(self.sample_group, [group, group + 1])
        return slice(int(ends[0]), int(ends[1]))

    def regrouped(self, to: npt.NDArray[Any], groups: int) -> EmbeddingTable:
        """The same with group g renumbered to ``to[g]``, of ``groups``; groups that meet are added."""
        return merge_embeddings([self], [to], groups)

    def arrays(self) -> Arrays:
        """Named arrays for a file."""
        sizes = np.array([len(label) for label in self.labels], dtype=np.uint32)
        return {
            "taken": self.taken,
            "left_out": self.left_out.reshape(-1),
            "total": self.total.reshape(-1),
            "squares": self.squares,
            "products": self.products.reshape(-1),
            "dealt": self.dealt.reshape(-1),
            "features": self.features.reshape(-1),
            "sample_group": self.sample_group,
            "sample_key": self.sample_key,
            "sample": self.sample.reshape(-1).view(np.uint32),
            "label_size": sizes,
            "label_bytes": np.frombuffer(b"".join(self.labels), dtype=np.uint8),
        }

    @classmethod
    def from_arrays(cls, a: Mapping[str, npt.NDArray[Any]], groups: int, dimension: int) -> EmbeddingTable:
        """The inverse of ``arrays``; raises KeyError or ValueError where they do not fit."""
        shaped: dict[str, npt.NDArray[Any]] = {}
        for name in ("taken", "left_out", "dealt", "sample_group", "sample_key", "sample", "label_size", "label_bytes"):
            if a[name].dtype.kind != "u":
                raise ValueError(f"{name} of an embedding has another type")
        for name in ("total", "squares", "products", "features"):
            if a[name].dtype != np.int64:
                raise ValueError(f"{name} of an embedding has another type")
            shaped[name] = a[name].reshape(groups, -1) if groups else a[name].reshape(0, 0)
        rows = len(a["sample_key"])
        labels = split_bytes(a["label_bytes"].tobytes(), a["label_size"])
        group = a["sample_group"].astype(np.uint32)
        sample = a["sample"].astype(np.uint32).view(np.float32).reshape(rows, -1 if rows else dimension)
        order = np.lexsort([a["sample_key"], group])
        if (
            len(a["taken"]) != groups
            or shaped["squares"].shape[1:] != ((1,) if groups else (0,))
            or len(labels) != rows
            or len(group) != rows
            or (rows and (int(group.max()) >= groups or sample.shape[1] != dimension))
            or not np.isfinite(sample).all()
            or (order != np.arange(rows)).any()
        ):
            raise ValueError("the sums of an embedding do not fit its groups")
        return cls(
            taken=a["taken"].astype(np.uint64),
            left_out=a["left_out"].astype(np.uint64).reshape(groups, len(LEFT_OUT)),
            total=shaped["total"].reshape(groups, dimension),
            squares=shaped["squares"].reshape(-1),
            products=shaped["products"],
            dealt=a["dealt"].astype(np.uint64).reshape(groups, -1 if groups else 0),
            features=shaped["features"].reshape(groups, a["dealt"].size // groups if groups else 0, -1)
            if a["dealt"].size
            else np.zeros((groups, 0, FEATURES), dtype=np.int64),
            sample_group=group,
            sample_key=a["sample_key"].astype(np.uint64),
            sample=sample,
            labels=[bytes(label) for label in labels],
        )

    def check(self, column: EmbeddingColumn, *, window: bool) -> None:
        """Raises ValueError where a table that was read from a file does not fit its column."""
        k = column.dimension if window else column.principal
        fits = self.products.shape[1] == k * (k + 1) // 2 if self.groups else True
        dealt = (DEALT if window else 0) if self.groups else 0
        if not fits or self.dealt.shape[1] != dealt or self.features.shape != (self.groups, dealt, FEATURES):
            raise ValueError(f"the sums of the embedding {column.name} have another size")
        if (self.taken > 1 << 53).any() or (window and (self.dealt.sum(axis=1, dtype=np.uint64) != self.taken).any()):
            raise ValueError(f"the rows of the embedding {column.name} do not add up")


def merge_embeddings(tables: Sequence[EmbeddingTable], to: Sequence[npt.NDArray[Any]], groups: int) -> EmbeddingTable:
    """Adds tables: group g of the i-th is group ``to[i][g]`` of ``groups``. Exact: any order gives the same bytes.

    Raises InputError where sums grow beyond 64 bits.
    """
    first = tables[0]
    summed: dict[str, npt.NDArray[Any]] = {}
    for name in ("taken", "left_out", "total", "squares", "products", "dealt", "features"):
        shape = getattr(first, name).shape[1:]
        summed[name] = np.zeros((groups, *shape), dtype=getattr(first, name).dtype)
    rough = np.zeros(groups)
    for table, at in zip(tables, to, strict=True):
        np.add.at(rough, at, table.squares.astype(np.float64))
        for name, out in summed.items():
            own = getattr(table, name)
            if len(set(at.tolist())) == len(at):
                out[at] += own
            else:
                np.add.at(out, at, own)
    if (rough > _MOST).any():
        raise InputError(_TOO_LARGE)
    group = np.concatenate([at[t.sample_group].astype(np.uint32) for t, at in zip(tables, to, strict=True)])
    key = np.concatenate([t.sample_key for t in tables])
    sample = np.concatenate([t.sample for t in tables])
    labels = [label for t in tables for label in t.labels]
    # Rows with one key have equal vectors; their labels decide, so that no order of merging shows.
    order = np.lexsort([np.array(labels, dtype=object), key, group]) if len(key) else np.empty(0, dtype=np.int64)
    begins = np.searchsorted(group[order], np.arange(groups))
    order = order[np.arange(len(order)) - begins[group[order]] < SAMPLE_ROWS]
    return EmbeddingTable(
        **summed,
        sample_group=group[order],
        sample_key=key[order],
        sample=sample[order],
        labels=[labels[i] for i in order.tolist()],
    )


def sums_size(column: EmbeddingColumn, *, window: bool) -> int:
    """Bytes that the sums of one group take while they are floating point and as whole numbers, sampled rows apart."""
    k = column.dimension if window else column.principal
    features = DEALT * (FEATURES + 1) if window else 0
    return 8 * (k * k + k * (k + 1) // 2 + 2 * (column.dimension + 1 + features))


def sampled_size(column: EmbeddingColumn) -> int:
    """Bytes of a sampled row: its key, its group, its vector, and its texts as they mostly are."""
    return 4 * column.dimension + _TEXT + 16


@dataclass(frozen=True, eq=False)
class KeyedVectors:
    """The vectors of a batch, and their keys (``row_keys``)."""

    found: ReadVectors
    key: UInt64


class EmbeddingCounter:
    """Sums of one embedding column while a file is read: a table for every set.

    ``windows``: for each set whether it keeps what windows keep; None: nothing. ``hashed``: columns that tell rows
    apart. ``shown``: columns whose values sampled rows keep as text. ``device``: what adds up the vectors of windows,
    as ``resolve`` names it; of several the first.
    """

    def __init__(
        self,
        column: EmbeddingColumn,
        windows: Sequence[bool | None],
        hashed: Sequence[str],
        shown: Sequence[str],
        device: str = "cpu",
    ) -> None:
        self.column = column
        self._hashed, self._shown = list(hashed), list(shown)
        self._sums = [None if window is None else _Sums(column, window, device) for window in windows]

    @property
    def columns(self) -> list[str]:
        """What it needs of a batch."""
        return [self.column.name, *self._hashed, *self._shown]

    def read(self, batch: pa.RecordBatch) -> tuple[KeyedVectors, dict[str, pa.Array]]:
        """The vectors of a batch, and the numeric columns that they become. A thread may read ahead."""
        found = self.column.read(batch.column(self.column.name))
        key = row_keys(found.values, batch, self._hashed, found.code == TAKEN)
        columns = dict(zip(self.column.projections, self.column.project(found), strict=True))
        return KeyedVectors(found, key), columns

    def add(self, batch: pa.RecordBatch, vectors: KeyedVectors, groups: Sequence[npt.NDArray[Any] | None]) -> None:
        """Adds the rows of a batch that was ``read``, each to its group in every set; None: group 0."""
        found, key = vectors.found, vectors.key
        own = np.flatnonzero(found.code == TAKEN)
        for sums, group in zip(self._sums, groups, strict=True):
            if sums is None:
                continue
            which = np.zeros(len(batch), dtype=np.int64) if group is None else group.astype(np.int64)
            sums.count(which, found.code)
            if sums.window:
                sums.add(which[own], found.values, key)
                sums.sample(which[own], key, found.values, own, batch, self._shown)
            else:
                sums.add_short(which[own], found)

    def table(self, at: int, groups: int) -> EmbeddingTable:
        """What was counted of a set, which has so many groups."""
        sums = self._sums[at]
        assert sums is not None
        return sums.table(groups)


class _Sums:
    """Floating-point sums of one set, by group."""

    def __init__(self, column: EmbeddingColumn, window: bool, device: str) -> None:
        self.column, self.window = column, window
        self._there = _adder(column, device) if window and device != "cpu" else None
        self._k = column.dimension if window else column.principal
        self._counts = np.zeros((0, 1 + TOO_FAR), dtype=np.uint64)
        self._total = np.zeros((0, column.dimension))
        self._squares = np.zeros(0)
        self._products: dict[int, Floats] = {}
        self._dealt: dict[int, UInt64] = {}
        self._features: dict[int, Floats] = {}
        self._rows: dict[int, tuple[UInt64, Matrix, list[bytes]]] = {}

    def count(self, which: Int64, code: npt.NDArray[np.uint8]) -> None:
        """Rows by group and reason."""
        groups = int(which.max()) + 1 if len(which) else 0
        if groups > len(self._counts):
            grown = groups + groups // 2
            self._counts = _grown(self._counts, grown)
            self._total = _grown(self._total, grown)
            self._squares = _grown(self._squares, grown)
        flat = np.bincount(which * (1 + TOO_FAR) + code, minlength=self._counts.size)
        self._counts += flat.reshape(self._counts.shape).astype(np.uint64)

    def add(self, which: Int64, values: Matrix, key: UInt64) -> None:
        """All sums of a window."""
        hand = key % np.uint64(DEALT)
        # By group, then by hand: a tile holds rows of one or two hands, and sums over rows are long.
        place = which * DEALT + hand.astype(np.int64)
        most = int(place.max()) if len(place) else 0
        order = np.argsort(place.astype(np.uint16) if most < 1 << 16 else place, kind="stable")
        place = place[order]
        groups = np.unique(place // DEALT)
        ends = np.searchsorted(place, (groups + 1) * DEALT)
        for group, begin, end in zip(groups.tolist(), [0, *ends.tolist()], ends.tolist(), strict=False):
            own, rows = place[begin:end] - group * DEALT, order[begin:end]
            dealt = self._dealt.setdefault(group, np.zeros(DEALT, dtype=np.uint64))
            dealt += np.bincount(own, minlength=DEALT).astype(np.uint64)
            if self._there is not None:
                rows = np.sort(rows)
                center = self.column.in_type(values.dtype)[0]
                self._there.add(group, values[rows] - center, hand[rows].astype(np.int64))
            else:
                self._add_group(group, values, rows, own.astype(np.int32))

    def _add_group(self, group: int, values: Matrix, rows: Int64, hand: npt.NDArray[np.int32]) -> None:
        """``rows``: those of a group, by their ``hand``."""
        d = self.column.dimension
        products = self._products.setdefault(group, np.zeros((d, d)))
        features = self._features.setdefault(group, np.zeros((DEALT, FEATURES)))
        center, _, frequencies = self.column.in_type(values.dtype)
        room = Room.of(values.dtype, d)
        for begin in range(0, len(rows), TILE):
            some = rows[begin : begin + TILE]
            tile = room.centered(values, some, center)
            square = np.matmul(tile.T, tile, out=room.square)
            products += square
            self._total[group] += room.ones[: len(some)] @ tile
            self._squares[group] += float(np.trace(square, dtype=np.float64))
            angles = np.matmul(tile, frequencies, out=room.angles[: len(some)])
            _core.add_features(angles.astype(np.float32, copy=False), hand[begin : begin + TILE], features)

    def add_short(self, which: Int64, found: ReadVectors) -> None:
        """The sums of a segment: no features, and products along the principal directions only."""
        k, d = self._k, self.column.dimension
        order = np.argsort(which.astype(np.uint16) if len(self._squares) <= 1 << 16 else which, kind="stable")
        own = which[order]
        self._squares += np.bincount(which, weights=found.squares, minlength=len(self._squares))
        center = self.column.in_type(found.values.dtype)[0]
        room = Room.of(found.values.dtype, d)
        for begin in range(0, len(own), TILE):
            some = order[begin : begin + TILE]
            tile = room.centered(found.values, some, center)
            for group, first, last in _runs(own[begin : begin + TILE]):
                self._total[group] += room.ones[: last - first] @ tile[first:last]
        for group, first, last in _runs(own):
            products = self._products.setdefault(group, np.zeros((k, k)))
            for begin in range(first, last, TILE):
                part = found.along[order[begin : min(begin + TILE, last)], :k]
                products += part.T @ part

    def sample(
        self,
        which: Int64,
        key: UInt64,
        values: Matrix,
        own: Int64,
        batch: pa.RecordBatch,
        shown: Sequence[str],
    ) -> None:
        """Keeps the rows with the smallest keys of every group."""
        for group in np.unique(which).tolist():
            there = np.flatnonzero(which == group)
            kept = self._rows.get(group)
            if kept is not None and len(kept[0]) == SAMPLE_ROWS:
                there = there[key[there] <= kept[0][-1]]
            if len(there) > SAMPLE_ROWS:
                most = np.partition(key[there], SAMPLE_ROWS - 1)[SAMPLE_ROWS - 1]
                there = there[key[there] <= most]
            if not len(there):
                continue
            labels = _labels(batch, shown, own[there])
            keys, rows = key[there], values[there].astype(np.float32)
            if kept is not None:
                keys, rows = np.concatenate([kept[0], keys]), np.concatenate([kept[1], rows])
                labels = [*kept[2], *labels]
            order = np.lexsort([np.array(labels, dtype=object), keys])[:SAMPLE_ROWS]
            self._rows[group] = (keys[order], rows[order], [labels[i] for i in order.tolist()])

    def table(self, groups: int) -> EmbeddingTable:
        """As whole numbers."""
        self._bring()
        spread = self.column.spread
        counts = _grown(self._counts, groups)[:groups]
        upper = np.triu_indices(self._k)
        products = np.zeros((groups, len(upper[0])), dtype=np.int64)
        for group, sums in self._products.items():
            products[group] = _whole(sums[upper], spread * spread)
        dealt = np.zeros((groups, DEALT if self.window else 0), dtype=np.uint64)
        features = np.zeros((groups, dealt.shape[1], FEATURES), dtype=np.int64)
        for group, rows in self._dealt.items():
            dealt[group] = rows
            features[group] = _whole(self._features[group], 1.0)
        sampled = sorted(self._rows.items())
        d = self.column.dimension
        return EmbeddingTable(
            taken=counts[:, TAKEN].copy(),
            left_out=counts[:, list(LEFT_OUT)].copy(),
            total=_whole(_grown(self._total, groups)[:groups], spread),
            squares=_whole(_grown(self._squares, groups)[:groups], spread * spread),
            products=products,
            dealt=dealt,
            features=features,
            sample_group=np.concatenate(
                [np.empty(0, dtype=np.uint32), *(np.full(len(r[0]), g, dtype=np.uint32) for g, r in sampled)]
            ),
            sample_key=np.concatenate([np.empty(0, dtype=np.uint64), *(r[0] for _, r in sampled)]),
            sample=np.concatenate([np.empty((0, d), dtype=np.float32), *(r[1] for _, r in sampled)]),
            labels=[label for _, r in sampled for label in r[2]],
        )

    def _bring(self) -> None:
        """What a device has added up, which goes on adding: this is its state so far."""
        if self._there is None:
            return
        d = self.column.dimension
        for group in self._dealt:
            found = self._there.sums(group)
            products = found["products"].reshape(d, d)
            self._products[group], self._total[group] = products, found["total"]
            self._features[group] = found["features"].reshape(DEALT, FEATURES)
            self._squares[group] = float(np.trace(products))


def _adder(column: EmbeddingColumn, device: str) -> Any:
    """What adds up vectors on a device, with the features of ``_add_features``."""
    counting: Any = engine(devices_of(device)[0])
    return counting.VectorAdder(column.frequencies.astype(np.float64), BANDWIDTHS[0], DEALT)


def _runs(values: Int64) -> list[tuple[int, int, int]]:
    """(value, first, last + 1) of equal neighbours."""
    if not len(values):
        return []
    begins = np.concatenate([[0], np.flatnonzero(values[1:] != values[:-1]) + 1])
    return list(zip(values[begins].tolist(), begins.tolist(), [*begins[1:].tolist(), len(values)], strict=True))


def _labels(batch: pa.RecordBatch, shown: Sequence[str], rows: Int64) -> list[bytes]:
    """What the texts of these rows say, as JSON objects."""
    if not shown:
        return [b"{}"] * len(rows)
    at = pa.array(rows)
    columns = {}
    for name in shown:
        array = batch.column(name).take(at)
        if pa.types.is_dictionary(array.type):
            array = array.dictionary_decode()
        texts = pc.cast(array, pa.large_string()).to_pylist()
        columns[name] = [None if t is None else t[:_TEXT] for t in texts]
    found = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    return [json.dumps(row, sort_keys=True).encode() for row in found]


def _whole(values: Floats, scale: float) -> Int64:
    """Multiples of 2^-30 scale, rounded to nearest."""
    units = values * (2.0**UNIT_BITS / scale)
    if not (np.abs(units) < _MOST).all():
        raise InputError(_TOO_LARGE)
    whole: Int64 = np.rint(units).astype(np.int64)
    return whole


def _grown(array: npt.NDArray[Any], groups: int) -> npt.NDArray[Any]:
    if groups <= len(array):
        return array
    out = np.zeros((groups, *array.shape[1:]), dtype=array.dtype)
    out[: len(array)] = array
    return out
