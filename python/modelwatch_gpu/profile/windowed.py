"""One window of a part: what a monitor stores of a file, so that a window is the merge of its own pieces only.

The groups of every set are sorted by the start of their window (of their block, which nests in a window), so a window's
groups lie side by side and a piece is cut out without a look at the others.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import replace

import numpy as np

from modelwatch_gpu.profile.embedding_sums import EmbeddingTable
from modelwatch_gpu.profile.facts import LogFacts
from modelwatch_gpu.profile.moments import MomentRows
from modelwatch_gpu.profile.parts import LABELLED_PREFIX, UNTIMED, Part
from modelwatch_gpu.profile.sketches import Sketches
from modelwatch_gpu.profile.sparse import SparseRows, narrow
from modelwatch_gpu.profile.tables import CategoryTable, NumericTable, Table
from modelwatch_gpu.profile.weights import WeightSums

_BLOCK = "block"


def window_starts(part: Part) -> list[int]:
    """The starts of the windows that a part has rows in, ascending; ``UNTIMED`` among them where some have no time."""
    return [int(key[0]) for key in part.groups["window"]]


def piece_of(part: Part, start: int, end: int) -> Part:
    """What a part counted in one window.

    Pieces of several files merge into what counting these files and keeping this window gives, to the same bits of
    moments too: a piece goes by its file's fingerprint. What is said of the file as a whole (columns that are gone or
    new, the sample of rows) is not cut; a sample is left out.

    Args:
        part: Of one file; raises ValueError for several that were added up.
        start: Of the window, as in the keys of its groups.
        end: Where the next window begins: blocks from ``start`` on and before ``end`` belong to this one.
    """
    if len(part.origins) > 1:
        raise ValueError("files that have been added up cannot be cut into windows")
    at = {
        name: _range(keys, start, end if name.removeprefix(LABELLED_PREFIX) == _BLOCK else start + 1)
        for name, keys in part.groups.items()
    }
    own = {name: rows[slice(*at[name])] for name, rows in part.group_rows.items()}
    rows = int(own["window"].sum())
    return replace(
        part,
        rows=rows,
        span=_span(part.span, start, end),
        groups={name: part.groups[name][slice(*at[name])] for name in part.groups},
        group_rows=own,
        tables={key: _table(table, *at[key[0]]) for key, table in part.tables.items()},
        sample=None,
        facts=_facts(part.facts, start, rows),
        weights={name: _weights(sums, *at[name]) for name, sums in part.weights.items()},
        embeddings={key: _embedding(sums, *at[key[0]]) for key, sums in part.embeddings.items()},
    )


def _range(keys: list[tuple[int | str, ...]], start: int, end: int) -> tuple[int, int]:
    return bisect_left(keys, (start,)), bisect_left(keys, (end,))


def _span(span: tuple[int, int] | None, start: int, end: int) -> tuple[int, int] | None:
    """The part's first and last second, as far as they can lie in the window."""
    if span is None or start <= UNTIMED:
        return span
    return max(span[0], start), min(span[1], end - 1)


def _table(table: Table, a: int, b: int) -> Table:
    if isinstance(table, CategoryTable):
        unseen = _rows(table.unseen_rows, a, b)
        used = np.unique(unseen.index)
        return CategoryTable(
            cells=_rows(table.cells, a, b),
            # Values that only other windows have are none of this one's.
            unseen=tuple(table.unseen[i] for i in used.tolist()),
            unseen_rows=SparseRows.of(unseen.begin, np.searchsorted(used, unseen.index), unseen.value),
            sketches=_sketches(table.sketches, a, b),
        )
    return NumericTable(
        cells=_rows(table.cells, a, b),
        gaps=_rows(table.gaps, a, b),
        lowest=table.lowest[a:b],
        highest=table.highest[a:b],
        moments_by_origin=_moments(table.moments_by_origin, a, b),
        tails={group - a: sums for group, sums in table.tails.items() if a <= group < b},
        sketches=_sketches(table.sketches, a, b),
    )


def _rows(rows: SparseRows, a: int, b: int) -> SparseRows:
    first, last = int(rows.begin[a]), int(rows.begin[b])
    return SparseRows.of(rows.begin[a : b + 1] - first, rows.index[first:last], rows.value[first:last])


def _moments(rows: MomentRows, a: int, b: int) -> MomentRows:
    first, last = int(rows.begin[a]), int(rows.begin[b])
    return MomentRows(
        rows.begin[a : b + 1] - first,
        narrow(rows.origin[first:last]),
        narrow(rows.count[first:last]),
        rows.sums[first:last],
    )


def _sketches(sketches: Sketches, a: int, b: int) -> Sketches:
    buckets = slice(*np.searchsorted(sketches.bucket_group, [a, b]).tolist())
    registers = slice(*np.searchsorted(sketches.register_group, [a, b]).tolist())
    return Sketches(
        sketches.bucket_group[buckets] - np.uint32(a),
        sketches.bucket[buckets],
        sketches.bucket_count[buckets],
        sketches.register_group[registers] - np.uint32(a),
        sketches.registers[registers],
    )


def _weights(sums: WeightSums, a: int, b: int) -> WeightSums:
    return WeightSums(sums.total[a:b], sums.low[a:b], sums.high[a:b])


def _embedding(sums: EmbeddingTable, a: int, b: int) -> EmbeddingTable:
    rows = slice(*np.searchsorted(sums.sample_group, [a, b]).tolist())
    return EmbeddingTable(
        taken=sums.taken[a:b],
        left_out=sums.left_out[a:b],
        total=sums.total[a:b],
        squares=sums.squares[a:b],
        products=sums.products[a:b],
        dealt=sums.dealt[a:b],
        features=sums.features[a:b],
        sample_group=sums.sample_group[rows] - np.uint32(a),
        sample_key=sums.sample_key[rows],
        sample=sums.sample[rows],
        labels=sums.labels[rows],
    )


def _facts(facts: LogFacts | None, start: int, rows: int) -> LogFacts | None:
    """The facts of one window; a file has one schema, in all of its windows."""
    if facts is None:
        return None
    own = {at: found for at, found in facts.windows.items() if at == start}
    return LogFacts(own, {schema: rows for schema in facts.schemas})
