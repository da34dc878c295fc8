"""Adds up the vectors of one embedding column while a file is read: for windows, for segments, and for blocks of time.

Sums are floating point here and become whole numbers at the end of the file (``embedding_sums``, decision 0024).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from modelwatch_gpu import _core
from modelwatch_gpu.device import devices_of, engine
from modelwatch_gpu.errors import InputError
from modelwatch_gpu.profile.embedding_sums import (
    DEALT,
    FEATURES,
    LEFT_OUT,
    MOST,
    SAMPLE_ROWS,
    TEXT,
    TOO_LARGE,
    UNIT_BITS,
    EmbeddingTable,
    Floats,
    Int64,
    elements_of,
    hands_of,
)
from modelwatch_gpu.profile.embeddings import BANDWIDTHS, TILE, EmbeddingColumn, ReadVectors, Room, row_keys
from modelwatch_gpu.profile.sparse import UInt64
from modelwatch_gpu.profile.vectors import TAKEN, TOO_FAR, Matrix

#: Totals of groups of at most this size stay in a near cache while vectors of all groups are added to them.
NEAR_BYTES: Final = 1 << 20


@dataclass(frozen=True, eq=False)
class KeyedVectors:
    """The vectors of a batch, and their keys (``row_keys``)."""

    found: ReadVectors
    key: UInt64


class EmbeddingCounter:
    """Sums of one embedding column while a file is read: a table for every set.

    ``sets``: their names; "window" and "block" keep more than segments do. ``hashed``: columns that tell rows apart.
    ``shown``: columns whose values sampled rows keep as text. ``device``: what adds up the vectors of windows, as
    ``resolve`` names it; of several the first.
    """

    def __init__(
        self,
        column: EmbeddingColumn,
        sets: Sequence[str],
        hashed: Sequence[str],
        shown: Sequence[str],
        device: str = "cpu",
    ) -> None:
        self.column = column
        self._hashed, self._shown = list(hashed), list(shown)
        self._sums = [_Sums(column, name, device) for name in sets]
        self._block = list(sets).index("block") if "block" in sets else None

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

    def add(
        self,
        batch: pa.RecordBatch,
        vectors: KeyedVectors,
        groups: Sequence[npt.NDArray[Any] | None],
        threads: int = 1,
    ) -> None:
        """Adds the rows of a batch that was ``read``, each to its group in every set; None: group 0. ``threads``: at
        most so many at a time; the sums are the same for any number of them."""
        own = np.flatnonzero(vectors.found.code == TAKEN)
        every = [np.zeros(len(batch), dtype=np.int64) if group is None else group.astype(np.int64) for group in groups]
        for sums, which in zip(self._sums, every, strict=True):
            sums.count(which, vectors.found.code)
        if threads <= 1 or len(own) <= TILE:
            self._add(batch, vectors, own, every, None)
            return
        with ThreadPoolExecutor(threads, thread_name_prefix="modelwatch-vectors") as pool:
            self._add(batch, vectors, own, every, pool)

    def _add(
        self, batch: pa.RecordBatch, vectors: KeyedVectors, own: Int64, every: list[Int64], pool: Executor | None
    ) -> None:
        """``own``: the rows that have vectors; ``every``: the group of every row in each set."""
        found, key = vectors.found, vectors.key
        started = []
        for sums, which in zip(self._sums, every, strict=True):
            if sums.name == "window":
                continue
            if pool is None:
                sums.add_short(which[own], found)
            else:
                started.append(pool.submit(sums.add_short, which[own], found))
        for sums, which in zip(self._sums, every, strict=True):
            if sums.name == "window":
                blocks = None if self._block is None else (self._sums[self._block], every[self._block][own])
                sums.add(which[own], found.values, key, blocks, pool)
                sums.sample(which[own], key, found.values, own, batch, self._shown)
        for short in started:
            short.result()

    def table(self, at: int, groups: int) -> EmbeddingTable:
        """What was counted of a set, which has so many groups."""
        return self._sums[at].table(groups)


@dataclass(frozen=True, eq=False)
class _Tile:
    """Rows of one group, with their hashed groups and, ascending, their blocks."""

    group: int
    rows: slice | Int64
    hand: npt.NDArray[np.int32]
    block: Int64 | None


class _TileSums(NamedTuple):
    """Products and sums of a tile's centred rows, None where a device has them, and the features of its blocks by
    hashed group; -1 stands for no block."""

    square: Matrix | None
    total: Matrix | None
    features: list[tuple[int, Floats]]


class _Sums:
    """Floating-point sums of one set, by group."""

    def __init__(self, column: EmbeddingColumn, name: str, device: str) -> None:
        self.column, self.name = column, name
        self._there = _adder(column, device) if name == "window" and device != "cpu" else None
        self._k = elements_of(column, name)
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

    def add(
        self, which: Int64, values: Matrix, key: UInt64, blocks: tuple[_Sums, Int64] | None, pool: Executor | None
    ) -> None:
        """All sums of a window, and the random features of blocks: a feature is made once for both."""
        hand = (key % np.uint64(DEALT)).astype(np.int32)
        block = None if blocks is None else blocks[1]
        order = _order(which if block is None or not len(block) else which * (int(block.max()) + 1) + block)
        if order is not None:
            which, hand = which[order], hand[order]
            block = None if block is None else block[order]
        center = self.column.in_type(values.dtype)[0]
        tiles = []
        for group, begin, end in _runs(which):
            dealt = self._dealt.setdefault(group, np.zeros(DEALT, dtype=np.uint64))
            dealt += np.bincount(hand[begin:end], minlength=DEALT).astype(np.uint64)
            if self._there is not None:
                own = slice(begin, end) if order is None else order[begin:end]
                self._there.add(group, values[own] - center, hand[begin:end].astype(np.int64))
                if block is None:
                    continue
            for first in range(begin, end, TILE):
                own = slice(first, min(first + TILE, end))
                rows = own if order is None else order[own]
                tiles.append(_Tile(group, rows, hand[own], None if block is None else block[own]))
        summed = partial(self._summed, values)
        # In the order of tiles, whoever sums them: the sums are the same for any number of threads.
        for tile, sums in zip(tiles, map(summed, tiles) if pool is None else pool.map(summed, tiles), strict=True):
            self._take(tile.group, sums, None if blocks is None else blocks[0])

    def _summed(self, values: Matrix, tile: _Tile) -> _TileSums:
        """The sums of a tile by themselves. Several threads may be at several tiles."""
        d = self.column.dimension
        center, _, frequencies = self.column.in_type(values.dtype)
        room = Room.of(values.dtype, d)
        rows = room.centered(values, tile.rows, center)
        square = total = None
        if self._there is None:
            square, total = np.matmul(rows.T, rows), room.ones[: len(rows)] @ rows
        angles = np.matmul(rows, frequencies, out=room.angles[: len(rows)]).astype(np.float32, copy=False)
        features = []
        for block, first, last in [(-1, 0, len(rows))] if tile.block is None else _runs(tile.block):
            dealt = np.zeros((DEALT, FEATURES))
            _core.add_features(angles[first:last], tile.hand[first:last], dealt)
            features.append((block, dealt))
        return _TileSums(square, total, features)

    def _take(self, group: int, sums: _TileSums, blocks: _Sums | None) -> None:
        """Adds the sums of a tile to those of its group, and of its blocks."""
        if sums.square is not None:
            d = self.column.dimension
            products = _of(self._products, group, (d, d))
            products += sums.square
            self._total[group] += sums.total
            self._squares[group] += float(np.trace(sums.square, dtype=np.float64))
        for block, dealt in sums.features:
            if self._there is None:
                whole = _of(self._features, group, (DEALT, FEATURES))
                whole += dealt
            if blocks is not None:
                own = _of(blocks._features, block, (1, FEATURES))
                own += dealt.sum(axis=0)

    def add_short(self, which: Int64, found: ReadVectors) -> None:
        """The sums of a segment or block: no features, and products along the principal directions only."""
        k = self._k
        order = _order(which)
        own = which if order is None else which[order]
        self._squares += np.bincount(which, weights=found.squares, minlength=len(self._squares))
        center = self.column.in_type(found.values.dtype)[0]
        # Vectors are read as they lie where the totals stay in a near cache, else those of one group after the other.
        near = self._total.nbytes <= NEAR_BYTES
        _core.add_rows(found.values, center, None if near else order, which, self._total)
        for group, first, last in _runs(own):
            products = _of(self._products, group, (k, k))
            for begin in range(first, last, TILE):
                some = slice(begin, min(begin + TILE, last))
                part = found.along[:k, some] if order is None else found.along[:k, order[some]]
                products += part @ part.T

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
        dealt = np.zeros((groups, hands_of(self.name)), dtype=np.uint64)
        features = np.zeros((groups, dealt.shape[1], FEATURES), dtype=np.int64)
        for group, rows in self._dealt.items():
            dealt[group] = rows
        if self.name == "block":
            dealt[:, 0] = counts[:, TAKEN]
        for group, own in self._features.items():
            features[group] = _whole(own, 1.0)
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


def _of(sums: dict[int, Floats], group: int, shape: tuple[int, int]) -> Floats:
    """A group's sums, of zeros when it is new."""
    if group not in sums:
        sums[group] = np.zeros(shape)
    return sums[group]


def _order(values: Int64) -> Int64 | None:
    """What sorts whole numbers from 0 on, equal ones as they lie; None where they are sorted."""
    if not len(values) or bool((values[1:] >= values[:-1]).all()):
        return None
    short = int(values.max()) < 1 << 16
    order: Int64 = np.argsort(values.astype(np.uint16) if short else values, kind="stable")
    return order


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
        columns[name] = [None if t is None else t[:TEXT] for t in texts]
    found = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    return [json.dumps(row, sort_keys=True).encode() for row in found]


def _whole(values: Floats, scale: float) -> Int64:
    """Multiples of 2^-30 scale, rounded to nearest."""
    units = values * (2.0**UNIT_BITS / scale)
    if not (np.abs(units) < MOST).all():
        raise InputError(TOO_LARGE)
    whole: Int64 = np.rint(units).astype(np.int64)
    return whole


def _grown(array: npt.NDArray[Any], groups: int) -> npt.NDArray[Any]:
    if groups <= len(array):
        return array
    out = np.zeros((groups, *array.shape[1:]), dtype=array.dtype)
    out[: len(array)] = array
    return out
