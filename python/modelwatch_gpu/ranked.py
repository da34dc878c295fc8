"""``ranking``: how well a log's scores order the rows of each query. Needs rows, so it is a read of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from modelwatch_gpu import stats
from modelwatch_gpu.errors import InputError
from modelwatch_gpu.log import Window, iso, open_log, read_ahead, zone_of
from modelwatch_gpu.profile.grouping import time_column
from modelwatch_gpu.profile.parts import UNTIMED, WHOLE
from modelwatch_gpu.profile.sample import row_hashes

#: Measures and what they are called in ``mw.stats``; all take k.
RANKING: Final = ("ndcg", "mean_average_precision", "mrr", "hit_rate", "precision_at_k", "recall_at_k")

_SCHEMA: Final = pa.schema(
    [
        ("window", pa.string()),
        ("measure", pa.string()),
        ("value", pa.float64()),
        ("queries", pa.int64()),
        ("rows", pa.int64()),
        ("complete", pa.bool_()),
    ]
)


#: No hash is larger.
_EVERY: Final = np.uint64(2**64 - 1)


@dataclass
class _Kept:
    """Rows of one window: those of the queries with the smallest hashes. ``limit``: no larger hash is kept."""

    query: list[npt.NDArray[np.uint64]]
    rows: list[pa.RecordBatch]
    seen: set[int]
    limit: np.uint64

    def take(self, hashes: npt.NDArray[np.uint64], rows: pa.RecordBatch, cap: int) -> None:
        """Adds rows, and forgets the queries with the largest hashes where there are twice as many as may stay."""
        near = hashes <= self.limit
        if not near.all():
            hashes, rows = hashes[near], rows.filter(pa.array(near))
        self.query.append(hashes)
        self.rows.append(rows)
        self.seen.update(np.unique(hashes).tolist())
        if len(self.seen) > 2 * cap:
            self.settle(cap)

    def settle(self, cap: int) -> tuple[npt.NDArray[np.uint64], pa.Table]:
        """The rows of at most ``cap`` queries, whole ones."""
        smallest = sorted(self.seen)[:cap]
        if len(self.seen) > cap:
            self.limit = np.uint64(smallest[-1])
            self.seen = set(smallest)
        hashes = np.concatenate(self.query)
        table = pa.Table.from_batches(self.rows)
        near = hashes <= self.limit
        hashes, table = hashes[near], table.filter(pa.array(near)).combine_chunks()
        self.query, self.rows = [hashes], table.to_batches() or self.rows[:1]
        if not len(hashes):
            self.rows = [self.rows[0].slice(0, 0)]
        return hashes, table


def ranking(
    log: Any,
    *,
    query: str,
    label: str = "label",
    score: str = "score",
    k: int | None = 10,
    timestamp: str | None = None,
    window: str | None = None,
    timezone: str | None = None,
    queries: int = 100_000,
) -> pa.Table:
    """NDCG, mean average precision, MRR, hit rate, precision and recall of the first k rows of each query.

    Counts by label cannot say them, for the rows of a query belong together: this reads the log once more, these
    columns alone. Of more queries than ``queries`` in a window, those with the smallest hashes of their id are taken,
    with all their rows: the same ones for any order of rows and files, and the number is that of the sample. Rows
    without a query, a label or a score are left out.

    Args:
        log: Whatever a log can be.
        query: The column that names a query.
        label: The column with the relevance of a row, from 0; above 0 is relevant.
        score: The column that rows are ordered by, the highest first; equal ones are in random order, on average.
        k: How many rows count; None: all.
        timestamp: The column that says when, for ``window``.
        window: Calendar windows such as "1d" or "1mo"; None: the whole log is one. A query whose rows lie in two
            windows is one of each.
        timezone: IANA name of the zone the calendar is in. Default: UTC.
        queries: Queries of a window that are taken, at most.

    Returns:
        A pyarrow table, a row for each window and measure of ``RANKING``: ``window`` (ISO 8601, null for the whole
        log), ``measure``, ``value``, ``queries`` that took part and their ``rows``, ``complete``: whether all queries
        did.

    Raises:
        InputError: A column is missing or cannot be ranked by, or an option does not fit.
    """
    if queries < 1:
        raise InputError(f"queries={queries} must be at least 1.")
    if window is not None and timestamp is None:
        raise InputError("Windows need the column that says when; give timestamp=.")
    zone = zone_of(timezone)
    interval = Window.parse(window) if window is not None else None
    names = list(dict.fromkeys([query, label, score, *([timestamp] if interval is not None and timestamp else [])]))
    kept: dict[int, _Kept] = {}
    for file in open_log(log).files:
        batches = read_ahead(file.batches(names))
        try:
            for batch in batches:
                there = pc.and_(pc.is_valid(batch.column(query)), pc.is_valid(batch.column(label)))
                rows = batch.filter(pc.and_(there, pc.is_valid(batch.column(score))))
                starts = _starts(rows, timestamp, interval, zone)
                for start in np.unique(starts).tolist():
                    part = rows.filter(pa.array(starts == start))
                    hashes = row_hashes(part, [query])
                    own = kept.setdefault(start, _Kept([], [], set(), _EVERY))
                    own.take(hashes, part.select([label, score]), queries)
        finally:
            batches.close()
    out: list[dict[str, Any]] = []
    for start in sorted(s for s in kept if s != UNTIMED):
        own = kept[start]
        hashes, table = own.settle(queries)
        if not len(hashes):
            continue
        for name in RANKING:
            value = getattr(stats, name)(
                table.column(label), table.column(score), queries=hashes.astype(np.int64, casting="unsafe"), k=k
            )
            out.append(
                {
                    "window": None if start == WHOLE else iso(start, zone),
                    "measure": name,
                    "value": value,
                    "queries": len(own.seen),
                    "rows": len(hashes),
                    "complete": own.limit == _EVERY,
                }
            )
    return pa.Table.from_pylist(out, schema=_SCHEMA)


def _starts(rows: pa.RecordBatch, timestamp: str | None, interval: Window | None, zone: Any) -> npt.NDArray[np.int64]:
    """(rows,) the start of the window of each row."""
    if interval is None or timestamp is None:
        return np.full(len(rows), WHOLE, dtype=np.int64)
    ticks, per_second = time_column(rows.column(timestamp), timestamp)
    known = ticks.is_valid().to_numpy(zero_copy_only=False)
    if not known.any():
        return np.full(len(rows), UNTIMED, dtype=np.int64)
    whole = (ticks.fill_null(0).to_numpy(zero_copy_only=False) // per_second).astype(np.int64)
    bounds = interval.boundaries(int(whole[known].min()), int(whole[known].max()), zone)
    at = np.clip(np.searchsorted(bounds, whole, side="right") - 1, 0, len(bounds) - 2)
    return np.where(known, bounds[at], UNTIMED)
