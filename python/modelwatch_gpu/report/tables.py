"""The report as Arrow tables, made from arrays a column at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from modelwatch_gpu.measures.quantiles import SHOWN
from modelwatch_gpu.measures.registry import DRIFT, MEASURES
from modelwatch_gpu.measures.results import BASELINE, Block, Place, segment_value
from modelwatch_gpu.measures.value import NOT_THERE, REASON_CODES
from modelwatch_gpu.report.rows import CERTAINTY, PROFILE_NUMBERS, profile_numbers

if TYPE_CHECKING:
    from modelwatch_gpu.report.report import Report


class Tables(NamedTuple):
    """The report as tables; the columns are stated in ``docs/report.md``."""

    profile: Any
    drift: Any
    findings: Any
    performance: Any


_ENDS: Final = ("", "_lower", "_upper")
_DRIFT: Final = tuple(name for name in DRIFT if name != "row_count")
_PLACE: Final = [(n, pa.string()) for n in ("window", "segment_key", "segment_value", "column")]
_PROFILE: Final = pa.schema(
    [
        *_PLACE,
        ("role", pa.string()),
        ("kind", pa.string()),
        *((n, pa.int64()) for n in ("rows", "count", "missing")),
        *((n, pa.float64()) for n in PROFILE_NUMBERS),
        *((f"{n}{end}", pa.float64()) for n in SHOWN for end in _ENDS),
    ]
)
_DRIFTS: Final = pa.schema(
    [*_PLACE, ("compared_with", pa.string()), *((f"{n}{end}", pa.float64()) for n in _DRIFT for end in _ENDS)]
)
_PERFORMANCES: Final = pa.schema(
    [
        *_PLACE,
        ("compared_with", pa.string()),
        ("measure", pa.string()),
        *((n, pa.float64()) for n in ("value", "lower", "upper")),
        ("n", pa.int64()),
        ("baseline", pa.float64()),
        ("reason", pa.string()),
    ]
)
_NEED_LABELS: Final = frozenset(MEASURES) - frozenset(DRIFT)
_REASONS: Final = {code: reason for reason, code in REASON_CODES.items()}
_CERTAINTY: Final = {"interval_by": pa.string(), "no_interval": pa.string(), "units": pa.int64()}
_FINDINGS: Final = pa.schema(
    [
        *_PLACE,
        ("check", pa.string()),
        ("compared_with", pa.string()),
        ("severity", pa.string()),
        ("value", pa.float64()),
        ("threshold", pa.float64()),
        ("reason", pa.string()),
        *((n, pa.float64()) for n in ("raw", "lower", "upper", "noise_floor")),
        *((n, _CERTAINTY.get(n, pa.float64())) for n in CERTAINTY),
        ("n", pa.int64()),
    ]
)


def tables_of(report: Report) -> Tables:
    """Profile, drift, findings and performance; the schemas are the same for every report."""
    places = _Places(report)
    profile: list[list[Any]] = []
    drift: list[list[Any]] = []
    for block in report.results.blocks:
        place = places.columns(block)
        if block.compared_with == BASELINE:
            profile.append([*place, *_profile_columns(block)])
        drift.append([*place, *_drift_columns(block)])
    told = [own for block in report.results.blocks for own in _performance(block, places)]
    return Tables(_table(profile, _PROFILE), _table(drift, _DRIFTS), _findings(report), _table(told, _PERFORMANCES))


def _performance(block: Block, places: _Places) -> Iterator[list[Any]]:
    """The measures of a block that need labels, one after the other; a row for each group."""
    for name, values in block.values.items():
        if name not in _NEED_LABELS:
            continue
        there = values.reason != NOT_THERE
        if not there.any():
            continue
        reference = block.reference.get(name)
        number = None if reference is None else reference.value
        reasons = pa.array([_REASONS.get(code) for code in values.reason.tolist()], pa.string())
        columns = [
            *places.columns(block),
            _text(block.compared_with, len(block)),
            _text(name, len(block)),
            *(_numbers(side) for side in (values.value, values.lower, values.upper)),
            pa.array(values.n),
            pa.repeat(pa.scalar(number, pa.float64()), len(block)),
            reasons,
        ]
        yield [column.filter(pa.array(there)) for column in columns]


def _table(blocks: Sequence[Sequence[Any]], schema: pa.Schema) -> pa.Table:
    columns = [pa.chunked_array([block[i] for block in blocks], field.type) for i, field in enumerate(schema)]
    return pa.Table.from_arrays(columns, schema=schema)


def _text(value: str | None, count: int) -> pa.Array:
    return pa.repeat(pa.scalar(value, pa.string()), count)


def _numbers(values: npt.NDArray[np.float64]) -> pa.Array:
    return pa.array(values, pa.float64(), from_pandas=True)  # NaN is null


class _Places:
    """Window, segment and column of the groups of blocks; those of one set are made once."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._made: dict[int, tuple[Place, list[pa.Array]]] = {}

    def columns(self, block: Block) -> list[pa.Array]:
        place = block.place
        if id(place) not in self._made:
            self._made[id(place)] = (place, self._of(place))
        return [*self._made[id(place)][1], _text(block.column.name, len(block))]

    def _of(self, place: Place) -> list[pa.Array]:
        starts, at = np.unique(place.starts, return_inverse=True)
        windows = pa.array([self._report.iso_of(s) for s in starts.tolist()], pa.string()).take(pa.array(at))
        if place.segments is None:
            return [windows, _text(None, len(place)), _text(None, len(place))]
        values = pa.array([segment_value(s) for s in place.segments], pa.string())
        return [windows, _text(",".join(place.by), len(place)), values]


def _profile_columns(block: Block) -> list[pa.Array]:
    out = [_text(block.column.role, len(block)), _text(block.column.kind, len(block)), pa.array(block.place.rows)]
    out += [pa.array(profile_numbers(block, name), pa.int64()) for name in ("count", "missing")]
    out += [_numbers(profile_numbers(block, name)) for name in PROFILE_NUMBERS.values()]
    return out + _bounds(block.quantiles, SHOWN, len(block))


def _drift_columns(block: Block) -> list[pa.Array]:
    return [_text(block.compared_with, len(block)), *_bounds(block.values, _DRIFT, len(block))]


def _bounds(values: Any, names: Any, count: int) -> list[pa.Array]:
    """Value, lower and upper of each name; nulls where there is no such measure."""
    out = []
    for name in names:
        found = values.get(name)
        if found is None:
            out += [pa.nulls(count, pa.float64())] * 3
        else:
            out += [_numbers(numbers) for numbers in (found.value, found.lower, found.upper)]
    return out


def _findings(report: Report) -> pa.Table:
    found = report.findings
    iso = {start: report.iso_of(start) for start in {f.start for f in found}}
    columns: dict[str, list[Any]] = {
        "window": [iso[f.start] for f in found],
        "segment_key": [None if f.segment is None else ",".join(f.by) for f in found],
        "segment_value": [None if f.segment is None else segment_value(f.segment) for f in found],
    }
    arrays = [
        pa.array(columns[field.name] if field.name in columns else [getattr(f, field.name) for f in found], field.type)
        for field in _FINDINGS
    ]
    return pa.Table.from_arrays(arrays, schema=_FINDINGS)
