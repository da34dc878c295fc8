"""Segmentations: by which columns a log is cut into segments, and what a segment is called."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np

from modelwatch_gpu.errors import InputError
from modelwatch_gpu.keys import UInt64
from modelwatch_gpu.log.predicates import Where
from modelwatch_gpu.profile.columns import CategoricalColumn, NumericColumn
from modelwatch_gpu.profile.embeddings import AnyColumn
from modelwatch_gpu.profile.parts import SEGMENT_PREFIX, Part
from modelwatch_gpu.profile.tables import NumericTable

#: Columns that one segmentation may cross.
MOST_COLUMNS: Final = 3
#: A column that is numeric in the baseline is cut at these quantiles of the baseline: into quarters.
CUT_AT: Final = (1 / 4, 2 / 4, 3 / 4)

Names = tuple[str, ...]
#: One column, several segmentations of one column each, or crossings of two or three among them; None: none.
Segments = str | Where | Sequence[str | Where | Sequence[str | Where]] | None


def _listed(segments: Any) -> Iterable[Any]:
    """The segmentations that were given, one or several or (None) none; raises InputError for what is neither."""
    if segments is None:
        return ()
    if isinstance(segments, str | Where):
        return (segments,)
    if not isinstance(segments, Iterable):
        raise InputError(
            f"segments= takes a column name, a condition or a list of them, not {segments!r}; leave it out for none."
        )
    return segments


def segmentations_of(segments: Segments) -> tuple[Names, ...]:
    """Every segmentation as the names of its columns; raises InputError for one that makes no sense."""
    found: list[Names] = []
    for item in _listed(segments):
        names = (item,) if isinstance(item, str | Where) else tuple(item) if isinstance(item, list | tuple) else ()
        names = tuple(name.name if isinstance(name, Where) else name for name in names)
        if not names or not all(isinstance(name, str) and name for name in names):
            raise InputError(f"A segmentation is a column name or a list of up to {MOST_COLUMNS}, not {item!r}.")
        if len(names) > MOST_COLUMNS:
            raise InputError(
                f"A segmentation crosses at most {MOST_COLUMNS} columns, not {len(names)} ({', '.join(names)}); "
                "give fewer, or several segmentations."
            )
        if len(set(names)) < len(names):
            raise InputError(f"The segmentation {', '.join(names)} names a column twice; name it once.")
        for other in found:
            if set(other) == set(names) or set_name(other) == set_name(names):
                raise InputError(f"The segmentation {', '.join(names)} is given twice; give it once.")
        found.append(names)
    return tuple(found)


def conditions_of(segments: Segments) -> tuple[Where, ...]:
    """The conditions among the columns of segmentations."""
    every = [one for item in _listed(segments) for one in (item if isinstance(item, list | tuple) else (item,))]
    found: dict[str, Where] = {}
    for one in every:
        if isinstance(one, Where):
            if one.name in found and str(found[one.name].expression) != str(one.expression):
                raise InputError(f"Two conditions are called '{one.name}'; give one another name.")
            found[one.name] = one
    return tuple(found.values())


def set_name(columns: Names) -> str:
    """Name of the counter set of a segmentation."""
    return SEGMENT_PREFIX + ",".join(columns)


@dataclass(frozen=True, eq=False)
class Cut:
    """How a numeric column of the baseline is cut into segments: at knots of its coarse grid, into (a, b].

    ``knots``: uint64 keys, strictly increasing. ``labels``: one more, the intervals as a person reads them.
    """

    column: NumericColumn
    knots: UInt64
    labels: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Segmentation:
    """Columns whose values are counted apart, and what is known of these values before the first row.

    ``cuts``: for each column how it is cut, None where it is taken by value. ``in_baseline``: for each column how many
    segments the baseline has, 0 where it does not know the column.
    """

    columns: Names
    cuts: tuple[Cut | None, ...]
    in_baseline: tuple[int, ...]

    @property
    def name(self) -> str:
        """Name of its counter set."""
        return set_name(self.columns)

    @property
    def likely(self) -> int:
        """Segments to expect at least, as far as the baseline tells."""
        return max(self.in_baseline)

    @property
    def most(self) -> int | None:
        """Segments there can be at most, null included; None where that is not known."""
        if any(cut is None for cut in self.cuts):
            return None
        return int(np.prod([len(cut.labels) + 1 for cut in self.cuts if cut is not None]))


def segmentation(names: Names, columns: Mapping[str, AnyColumn], baseline: Part) -> Segmentation:
    """What the baseline, its columns by name and its own counts, knows of a segmentation. The column with the role
    version is always taken by value."""
    cuts: list[Cut | None] = []
    sizes: list[int] = []
    for name in names:
        column = columns.get(name)
        cut = None
        if isinstance(column, NumericColumn) and column.role != "version":
            table = baseline.tables[("window", name)]
            assert isinstance(table, NumericTable)
            cut = quantile_cut(column, table)
        cuts.append(cut)
        sizes.append(len(cut.labels) if cut else len(column.categories) if isinstance(column, CategoricalColumn) else 0)
    return Segmentation(names, tuple(cuts), tuple(sizes))


def quantile_cut(column: NumericColumn, baseline: NumericTable) -> Cut:
    """Cuts a column at the knots of its coarse grid that are nearest to ``CUT_AT`` of the baseline's rows.

    Knots of the coarse grid, so that segments and any other group agree on who is where. A knot that has all or none of
    the baseline's rows below it cuts nothing and is left out; so a constant column is one segment.
    """
    cells = np.zeros(column.coarse_slots, dtype=np.uint64)
    index, count = baseline.cells.row(0)
    np.add.at(cells, column.to_coarse[index], count.astype(np.uint64))
    upto = np.cumsum(cells[:-2])[1::2].astype(np.float64)
    total = float(cells[:-2].sum())
    finite = np.isfinite(column.values[column.coarse].astype(np.float64))
    inside = np.flatnonzero((upto > 0) & (upto < total) & finite)
    at = sorted({int(inside[np.argmin(np.abs(upto[inside] - share * total))]) for share in CUT_AT if len(inside)})
    chosen = column.coarse[at].astype(np.int64)
    values = column.values[chosen].tolist()
    edges = [column.in_units(v) for v in values] if column.scale else values
    return Cut(column, column.knots[chosen], tuple(interval_labels(edge_texts(edges))))


def edge_texts(edges: Sequence[int | float]) -> list[str]:
    """Different numbers as different texts: an integer as it is, else at least six significant digits."""
    if all(isinstance(edge, int) for edge in edges):
        return [str(edge) for edge in edges]
    for digits in range(6, 18):
        texts = [f"{edge:.{digits}g}" for edge in edges]
        if len(set(texts)) == len(edges):
            break
    return texts


def interval_labels(edges: Sequence[str]) -> list[str]:
    """The intervals (a, b] between these edges, the outer ones open, as a person reads them."""
    if not edges:
        return ["all values"]
    return [f"≤ {edges[0]}", *(f"({a}, {b}]" for a, b in pairwise(edges)), f"> {edges[-1]}"]
