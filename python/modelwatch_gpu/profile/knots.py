"""Chooses the knots of a numeric column's two grids (DESIGN 3.1 and 3.4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from modelwatch_gpu import _core, keys
from modelwatch_gpu.keys import UInt64
from modelwatch_gpu.profile.columns import COARSE_KNOTS, NumericColumn
from modelwatch_gpu.profile.edges import Edge
from modelwatch_gpu.units import in_units, scale_of

#: A gap of a quantile grid holds at most one row in so many of the baseline ...
GAP_ONE_IN: Final = 2048
#: ... and a value of at least one row in so many is a knot of its own, if more than one row has it.
HEAVY_ONE_IN: Final = 4096
#: Counters of one splitting pass, over all intervals of a column: a megabyte, which stays in a cache. 16 of them took
#: twice as long for a million rows and cut no passes short.
_SPLIT_BUDGET: Final = 1 << 17
_TOP_BITS: Final = 16
#: Rows kept to end the splitting: at most so many, and at most one in so many of the column's.
_KEPT_ROWS: Final = 1 << 22
_KEPT_ONE_IN: Final = 64
_DECILES: Final = np.linspace(0, 1, 11)[1:-1]


@dataclass(frozen=True, eq=False)
class Ranked:
    """Order statistics of a column: sorted keys with counts, or intervals of keys where there were too many values.

    ``lows``: uint64 first keys; ``widths``: bits, 0 for a single key; ``counts``: rows.
    """

    domain: str
    lows: UInt64
    widths: npt.NDArray[np.int64]
    counts: UInt64

    @cached_property
    def ends(self) -> UInt64:
        """Rows up to the end of each."""
        return np.cumsum(self.counts)

    @property
    def total(self) -> int:
        """Rows that are neither null nor NaN."""
        return int(self.ends[-1]) if len(self.ends) else 0

    def heavy(self, rows: int) -> npt.NDArray[np.int64]:
        """Where single keys with at least so many rows are."""
        many = np.flatnonzero(self.counts >= np.uint64(rows))
        found: npt.NDArray[np.int64] = many[self.widths[many] == 0]
        return found

    def key_at(self, rank: int) -> int:
        """The key of the value with this rank (0 is the smallest)."""
        return int(self.lows[self.ends.searchsorted(np.uint64(rank), side="right")])


def decile_ranks(total: int) -> list[int]:
    """Ranks that the interior deciles (linear interpolation) and the extremes need."""
    virtual = (total - 1) * _DECILES
    low = np.floor(virtual).astype(np.int64)
    return sorted({0, total - 1, *low.tolist(), *np.minimum(low + 1, total - 1).tolist()})


def deciles(ranked: Ranked) -> list[float]:
    """Interior deciles as ``numpy.quantile`` computes them in the column's own dtype, duplicates and NaN removed."""
    total = ranked.total
    out: list[float] = []
    for virtual in (total - 1) * _DECILES:
        low = int(np.floor(virtual))
        pair = np.array([ranked.key_at(low), ranked.key_at(min(low + 1, total - 1))], dtype=np.uint64)
        a, b = keys.values_of(pair, ranked.domain)
        if not keys.is_float(ranked.domain):
            a, b = int(a), int(b)  # neighbours may lie further apart than their type can say
        share = virtual - low
        if a == b or share == 0:
            edge = float(a)
        else:
            with np.errstate(invalid="ignore", over="ignore"):
                edge = float(a + (b - a) * share) if share < 0.5 else float(b - (b - a) * (1 - share))
        if edge == edge and edge not in out:
            out.append(edge)
    return sorted(out)


def heavy_rows(total: int) -> int:
    """Rows from which on a value of a column with ``total`` rows is a knot of its own."""
    return max(2, -(-total // HEAVY_ONE_IN))


@dataclass(frozen=True)
class Split:
    """A pass that cuts the intervals [low, low + 2^width) into 2^split pieces each."""

    domain: int
    lows: UInt64
    width: int
    split: int


@dataclass(frozen=True)
class Keep:
    """A pass that keeps the keys of the few rows within some intervals [low, low + 2^width)."""

    domain: int
    lows: UInt64
    widths: list[int]


@dataclass
class Refiner:
    """Cuts key space finer where values crowd, one pass over the log at a time, without ever sorting all of them.

    Ends when every interval that may hold a heavy value, and every interval that holds a rank some decile needs, is a
    single key. What it ends with depends on how often each value occurs, not on the order of rows.
    """

    domain: str
    top: UInt64
    #: What is known now.
    ranked: Ranked = field(init=False)
    _open: npt.NDArray[np.int64] = field(init=False)
    _split: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        width = keys.key_bits(self.domain) - _TOP_BITS
        used = np.flatnonzero(self.top)
        lows = used.astype(np.uint64) << np.uint64(width)
        self.ranked = Ranked(self.domain, lows, np.full(len(used), width, dtype=np.int64), self.top[used])

    def next_pass(self) -> Split | Keep | None:
        """What to do in the next pass over the log, None when done."""
        now = self.ranked
        total = now.total
        heavy = np.flatnonzero(now.counts >= np.uint64(heavy_rows(total)))
        deciles = now.ends.searchsorted(np.array(decile_ranks(total), dtype=np.uint64), side="right")
        wanted = np.union1d(heavy, deciles)
        wanted = wanted[now.widths[wanted] > 0]
        if not len(wanted):
            return None
        if int(now.counts[wanted].sum()) <= min(_KEPT_ROWS, total // _KEPT_ONE_IN):
            self._open = wanted
            return Keep(keys.DOMAINS[self.domain], now.lows[wanted], now.widths[wanted].tolist())
        width = int(now.widths[wanted].max())
        self._open = wanted[now.widths[wanted] == width]
        self._split = max(1, min(width, _TOP_BITS, (_SPLIT_BUDGET // len(self._open)).bit_length() - 1))
        return Split(keys.DOMAINS[self.domain], now.lows[self._open], width, self._split)

    def take(self, counts: UInt64) -> None:
        """The result of splitting: replaces the open intervals by their pieces."""
        lows, width = self.ranked.lows[self._open], int(self.ranked.widths[self._open[0]])
        self._replace(_core.pieces_with_rows(lows, width, self._split, counts))

    def take_kept(self, kept: UInt64) -> None:
        """The result of keeping, row by row: replaces the open intervals by the values in them."""
        found, counts = np.unique(kept, return_counts=True)
        self._replace((found, np.zeros(len(found), dtype=np.int64), counts.astype(np.uint64)))

    def _replace(self, pieces: tuple[UInt64, npt.NDArray[np.int64], UInt64]) -> None:
        """Sorted intervals in the place of the open ones."""
        own = self.ranked.lows, self.ranked.widths, self.ranked.counts
        self.ranked = Ranked(self.domain, *_core.replaced_intervals(own, self._open, pieces))


def quantile_knots(ranked: Ranked) -> UInt64:
    """Knots so that no gap holds more than one in ``GAP_ONE_IN`` rows: heavy values, and first keys of intervals."""
    total = ranked.total
    heavy = ranked.heavy(heavy_rows(total))
    return ranked.lows[_core.knot_places(ranked.ends.view(np.int64), heavy, total // GAP_ONE_IN)]


def coarse_knots(knots: UInt64, ranked: Ranked, must: UInt64) -> npt.NDArray[np.uint32]:
    """Indices of at most ``COARSE_KNOTS`` knots: ``must``, then heavy values, then evenly spread quantiles."""
    chosen = set(np.searchsorted(knots, must).tolist())
    total = max(1, ranked.total)
    heavy = ranked.heavy(max(1, total // COARSE_KNOTS))
    low, rows = ranked.lows[heavy], ranked.counts[heavy].astype(np.int64)
    at = np.searchsorted(knots, low)
    is_knot = at < len(knots)
    is_knot[is_knot] = knots[at[is_knot]] == low[is_knot]
    for i in np.lexsort([low, -rows]).tolist():
        if len(chosen) >= COARSE_KNOTS:
            break
        if is_knot[i]:
            chosen.add(int(at[i]))
    room = COARSE_KNOTS - len(chosen)
    if room > 0 and len(ranked.lows):
        ends = ranked.ends
        targets = (np.arange(1, room + 1, dtype=np.uint64) * np.uint64(total)) // np.uint64(room + 1)
        places = ranked.lows[np.minimum(np.searchsorted(ends, targets), len(ends) - 1)]
        near = np.minimum(np.searchsorted(knots, places), len(knots) - 1)
        for i in near.tolist():
            if len(chosen) < COARSE_KNOTS:
                chosen.add(int(i))
    return np.array(sorted(chosen), dtype=np.uint32)


def numeric_column(
    name: str,
    role: str,
    kind: pa.DataType,
    ranked: Ranked,
    *,
    exact: bool,
    edges: Sequence[Edge] | None = None,
    also: Sequence[int] = (),
) -> NumericColumn:
    """The baseline column: fine grid, coarse grid, and bins cut at the deciles, or at ``edges`` in its own units.
    ``also``: keys of knots that both grids have although nothing is binned at them."""
    domain, scale = ranked.domain, scale_of(kind)
    outer = keys.infinities(domain)
    found: list[tuple[int | None, float]]
    if edges is None:
        steps = deciles(ranked) if ranked.total else []
        found = [(keys.edge_key(e, domain, right_closed=True), in_units(e, scale)) for e in steps]
    else:
        # Edges below every value of the type cut nothing, and those with no value between them cut the same.
        first: dict[int, float] = {}
        for edge in edges:
            key = keys.edge_key(edge, domain, right_closed=True, scale=scale)
            if key is not None:
                first.setdefault(key, float(edge))
        found = list(first.items())
    cuts = np.unique(np.array([key for key, _ in found if key is not None], dtype=np.uint64))
    extremes: list[int] = [ranked.key_at(0), ranked.key_at(ranked.total - 1)] if ranked.total else []
    inner = ranked.lows if exact else quantile_knots(ranked)
    must = np.unique(np.concatenate([outer, cuts, np.array([*extremes, *also], dtype=np.uint64)]))
    knots = with_keys(inner, must)
    pivot = 0
    if not keys.is_float(domain) and len(knots):
        pivot = int(knots[len(knots) // 2])
    return NumericColumn(
        name=name,
        role=role,
        type=str(kind),
        domain=domain,
        knots=knots,
        coarse=coarse_knots(knots, ranked, must),
        edges=np.searchsorted(knots, cuts).astype(np.uint32),
        deciles=tuple(edge for _, edge in found),
        exact=exact,
        pivot=pivot,
        scale=scale,
    )


def with_keys(many: UInt64, few: UInt64) -> UInt64:
    """Sorted keys with some more, each once. NumPy's ``unique`` puts all of them in a hash table first."""
    at = many.searchsorted(few)
    there = at < len(many)
    there[there] = many[at[there]] == few[there]
    return np.insert(many, at[~there], few[~there])


def exact_ranked(domain: str, found: dict[str, Any]) -> Ranked:
    """From what ``_core.DistinctPass.column`` returns."""
    return Ranked(domain, found["keys"], np.zeros(len(found["keys"]), dtype=np.int64), found["counts"])
