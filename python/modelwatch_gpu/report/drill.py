"""From a finding to the segments that it comes from and to rows that show it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from modelwatch_gpu.checks.finding import Finding
from modelwatch_gpu.errors import InputError
from modelwatch_gpu.log.windows import RowWindow, parse_window, zone_of
from modelwatch_gpu.measures.evaluate import baseline_histogram
from modelwatch_gpu.measures.results import BASELINE, Result
from modelwatch_gpu.profile.adapt import coded_array, exact_numbers
from modelwatch_gpu.profile.columns import CategoricalColumn, NumericColumn
from modelwatch_gpu.profile.parts import WHOLE
from modelwatch_gpu.profile.profile import Profile
from modelwatch_gpu.report.report import Report

#: Checks that are about rows without a value.
_ABOUT_MISSING = ("missing", "missing_change", "nan", "nulls", "empty_column")


@dataclass(frozen=True)
class Part:
    """A segment of the finding's window. ``value``: the finding's measure there. ``share``: of the window's rows.
    ``score``: value times share, by which segments are ranked."""

    by: tuple[str, ...]
    segment: dict[str, str | None]
    value: float
    share: float
    score: float


@dataclass(frozen=True, eq=False)
class DrillDown:
    """``segments``: worst first. ``rows``: sampled rows that show the finding, their id, time and the column; None
    where there is no sample. ``looked_at``: sampled rows of the window."""

    finding: Finding
    segments: tuple[Part, ...]
    rows: pa.Table | None
    looked_at: int


def drill_down(
    report: Report, finding: Finding, sample: Profile | pa.Table | None = None, *, most: int = 10
) -> DrillDown:
    """The segments and sampled rows behind a finding.

    Args:
        report: That has the finding; segments come from its segmentations.
        finding: About a column.
        sample: A Profile that was counted with ``sample=``, or a table of rows; they hold values of the log.
        most: Segments and rows, at most.

    Raises:
        InputError: The finding is about the whole table, or the sample lacks its column.
    """
    if finding.column not in report.baseline.by_name:
        raise InputError(f"The finding is about {finding.column!r}, which is no compared column; it has no segments.")
    inside = [
        r
        for block in report.results.blocks
        if block.column.name == finding.column
        and block.compared_with == BASELINE
        and (block.place.segments is None) == (not block.place.by)
        for r in _rows_of(block, finding.start)
    ]
    whole = next((r for r in inside if r.segment is None), None)
    rows = sum(r.rows for r in inside if r.segment is None) or 1
    parts = [found for r in inside if r.segment is not None and (found := _part(report, r, finding, rows)) is not None]
    parts.sort(key=lambda p: (-p.score, sorted((k, v or "") for k, v in p.segment.items())))
    table = sample.sample if isinstance(sample, Profile) else sample
    if isinstance(sample, Profile) and table is None:
        raise InputError("The profile keeps no rows; count the log with sample=1000.")
    shown, looked_at = (None, 0) if table is None else _rows(report, finding, whole, table, most)
    return DrillDown(finding, tuple(parts[:most]), shown, looked_at)


def _rows_of(block: Any, start: int) -> list[Result]:
    return [block.result(int(at)) for at in np.flatnonzero(block.place.starts == start)]


def _part(report: Report, result: Result, finding: Finding, rows: int) -> Part | None:
    effect, value = result.effects.get(finding.check), result.values.get(finding.check)
    size = effect.value if effect is not None else value.value if value is not None else None
    if size is None or finding.check not in result.values:
        return None
    share = result.rows / rows
    segment = report.segment_of(result)
    assert segment is not None
    return Part(result.by, segment, size, share, abs(size) * share)


def _rows(report: Report, finding: Finding, whole: Result | None, table: pa.Table, most: int) -> tuple[pa.Table, int]:
    """Rows of the window in the bin that grew most, or without a value where that is what the finding says."""
    if finding.column not in table.schema.names:
        raise InputError(f"The sample has no column '{finding.column}'; take the rows of the log that was compared.")
    baseline = report.baseline
    if finding.start > WHOLE + 1 and report.window is not None and baseline.timestamp in table.schema.names:
        interval = parse_window(report.window)
        if not isinstance(interval, RowWindow):
            end = int(interval.boundaries(finding.start, finding.start, zone_of(report.timezone))[-1])
            seconds = pc.cast(pc.cast(table.column(baseline.timestamp), pa.timestamp("s"), safe=False), pa.int64())
            inside = pc.and_(pc.greater_equal(seconds, finding.start), pc.less(seconds, end))
            table = table.filter(inside)
    column = baseline.by_name[finding.column]
    chunked = table.column(finding.column)
    array = chunked.combine_chunks() if chunked.num_chunks != 1 else chunked.chunk(0)
    array = pa.concat_arrays(array.chunks) if isinstance(array, pa.ChunkedArray) else array
    if finding.check in _ABOUT_MISSING or whole is None or whole.histogram is None:
        show = pc.is_null(array, nan_is_null=True)
    else:
        show = _in_bin(column, array, _grown(baseline_histogram(baseline, column), whole.histogram))
    keep = [n for n, role in baseline.roles.items() if role in ("id", "timestamp") and n in table.schema.names]
    names = list(dict.fromkeys([*keep, finding.column]))
    return table.filter(show).select(names).slice(0, most), table.num_rows


def _grown(before: Any, after: Any) -> int:
    """The bin whose share grew most."""
    before = np.append(before, np.zeros(len(after) - len(before)))
    return int(np.argmax(after / max(1, int(after.sum())) - before / max(1.0, float(before.sum()))))


def _in_bin(column: NumericColumn | CategoricalColumn, array: pa.Array, at: int) -> pa.Array:
    """Whether each value lies in a bin of the baseline, or is one of its categories (null, other, categories, new)."""
    if isinstance(column, CategoricalColumn):
        texts = coded_array(array).dictionary_decode().cast(pa.string())
        if at == 0:
            return texts.is_null()
        if 2 <= at < 2 + len(column.categories):
            return pc.fill_null(pc.equal(texts, column.labels[at - 2]), False)
        known = pc.is_in(texts, pa.array(column.labels, pa.string()))
        return pc.and_(texts.is_valid(), pc.invert(known))
    try:
        numbers = exact_numbers(array, array.type).to_numpy(zero_copy_only=False).astype(np.float64)
    except pa.ArrowInvalid as error:
        raise InputError(f"Column '{column.name}' of the sample cannot be read as numbers ({error}).") from None
    edges = column.values[column.edges].astype(np.float64)
    bins = np.searchsorted(edges, numbers, side="left")
    return pa.array((bins == at) & ~np.isnan(numbers))
