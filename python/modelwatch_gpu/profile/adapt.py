"""From the Arrow type a column has in a log to what the engine counts: numbers in a domain, or dictionary codes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from modelwatch_gpu import _core, keys
from modelwatch_gpu.keys import domain_of
from modelwatch_gpu.profile.columns import COARSE_FIRST, CategoricalColumn, Column, NumericColumn, UInt32

Convert = Callable[[pa.Array], pa.Array]

#: Integers up to this size are exact as float64.
_EXACT_IN_FLOAT = 1 << 53


def is_text(arrow_type: pa.DataType) -> bool:
    """Whether values are text or bytes, dictionary-encoded or not."""
    t = pa.types
    if t.is_dictionary(arrow_type):
        return True
    return bool(
        t.is_string(arrow_type)
        or t.is_large_string(arrow_type)
        or t.is_binary(arrow_type)
        or t.is_large_binary(arrow_type)
        or arrow_type in _views()
    )


def _views() -> tuple[pa.DataType, ...]:
    return tuple(getattr(pa, name)() for name in ("string_view", "binary_view") if hasattr(pa, name))


def is_supported(arrow_type: pa.DataType) -> bool:
    """Whether a column of this type can be counted at all."""
    return domain_of(arrow_type) is not None or is_text(arrow_type) or pa.types.is_boolean(arrow_type)


def numeric_array(array: pa.Array) -> pa.Array:
    """A numeric array whose memory the engine reads as it is."""
    return array.cast(pa.float32()) if pa.types.is_float16(array.type) else array


def category_array(array: pa.Array) -> pa.Array:
    """A dictionary array with text or bytes as values. Numbers and booleans become their text ("3", "true")."""
    t = pa.types
    if t.is_dictionary(array.type):
        values = array.dictionary
        if t.is_string(values.type) or t.is_large_string(values.type) or t.is_binary(values.type):
            return array
        return pa.DictionaryArray.from_arrays(array.indices, _as_text(values))
    if t.is_null(array.type):
        return pa.nulls(len(array), pa.dictionary(pa.int32(), pa.string()))
    if array.type in _views():
        array = array.cast(pa.large_string() if array.type == _views()[0] else pa.large_binary())
    encoded = pc.dictionary_encode(array)
    return pa.DictionaryArray.from_arrays(encoded.indices, _as_text(encoded.dictionary))


def _as_text(values: pa.Array) -> pa.Array:
    t = pa.types
    if (
        t.is_string(values.type)
        or t.is_large_string(values.type)
        or t.is_binary(values.type)
        or t.is_large_binary(values.type)
    ):
        return values
    if t.is_floating(values.type):
        # A column of whole numbers with nulls arrives as floats from pandas: 3.0 is category "3".
        return pa.array([_number_text(v) for v in values.to_pylist()], pa.string())
    return values.cast(pa.string())


def _number_text(value: float | None) -> str | None:
    if value is None or value != value:  # NaN is missing, as everywhere
        return None
    return str(int(value)) if float(value).is_integer() else repr(float(value))


@dataclass(frozen=True)
class Reading:
    """How one column of one file is counted: the engine's plan and what turns an Arrow array into its input.

    ``lifted`` is the domain of the counting grid where it is wider than the baseline's, else None.
    """

    plan: _core.NumericPlan | _core.CategoryPlan
    convert: Convert
    lifted: str | None = None


def reading_of(column: Column, arrow_type: pa.DataType) -> Reading | None:
    """How data of ``arrow_type`` is counted against a baseline column; None where they cannot be compared."""
    if isinstance(column, CategoricalColumn):
        if not (is_supported(arrow_type) or pa.types.is_null(arrow_type)):
            return None
        return Reading(_category_plan(column), category_array)
    if pa.types.is_null(arrow_type):
        return Reading(_numeric_plan(column), _cast_to(_plain_type(column.domain)))
    domain = domain_of(arrow_type)
    if domain is None:
        return None
    temporal = pa.types.is_temporal(arrow_type)
    if str(arrow_type) == column.type:
        return Reading(_numeric_plan(column), numeric_array)
    if temporal or _is_temporal_name(column.type):
        target = _temporal_type(column.type)
        return Reading(_numeric_plan(column), _cast_to(target)) if temporal and target is not None else None
    narrow = pa.types.is_integer(arrow_type) and arrow_type.bit_width <= 32
    if domain == column.domain:
        return Reading(_numeric_plan(column), numeric_array)
    if column.domain == "float64":
        return Reading(
            _numeric_plan(column), numeric_array if domain == "float32" or narrow else _cast_to(pa.float64())
        )
    if column.domain == "float32" or keys.is_float(domain):
        plan = _lifted_plan(column)
        if plan is None:
            return None
        direct = narrow or keys.is_float(domain)
        return Reading(plan, numeric_array if direct else _cast_to(pa.float64()), lifted="float64")
    return Reading(_numeric_plan(column), _cast_to(pa.int64() if column.domain == "int64" else pa.uint64()))


def _cast_to(target: pa.DataType) -> Convert:
    # A safe cast: raises pa.ArrowInvalid where a value would change.
    return lambda array: array.cast(target)


def _plain_type(domain: str) -> pa.DataType:
    return {"float32": pa.float32(), "float64": pa.float64(), "int64": pa.int64(), "uint64": pa.uint64()}[domain]


def _is_temporal_name(name: str) -> bool:
    return name.startswith(("timestamp", "date", "time", "duration"))


def _temporal_type(name: str) -> pa.DataType | None:
    """The Arrow type a baseline column's type string names, for dates, times, timestamps and durations."""
    kind, _, rest = name.partition("[")
    unit, _, zone = rest.rstrip("]").partition(", tz=")
    if kind == "timestamp":
        return pa.timestamp(unit, zone or None)
    if kind == "duration":
        return pa.duration(unit)
    if kind in ("date32", "date64"):
        return pa.date32() if kind == "date32" else pa.date64()
    if kind in ("time32", "time64"):
        return pa.time32(unit) if kind == "time32" else pa.time64(unit)
    return None


def _numeric_plan(column: NumericColumn) -> _core.NumericPlan:
    return _core.NumericPlan(
        grid=column.grid,
        to_fine=np.empty(0, dtype=np.uint32),
        fine_slots=column.slots,
        to_coarse=column.to_coarse,
        coarse_slots=column.coarse_slots,
        gap_shift=0,
        pivot=column.pivot,
    )


def _category_plan(column: CategoricalColumn) -> _core.CategoryPlan:
    from modelwatch_gpu.profile.parts import UNSEEN_CAP

    return _core.CategoryPlan(
        known=list(column.categories),
        to_coarse=column.to_coarse,
        coarse_slots=COARSE_FIRST + len(column.kept),
        unseen_cap=UNSEEN_CAP,
        known_cap=column.cap,
    )


def _lifted_plan(column: NumericColumn) -> _core.NumericPlan | None:
    """The column's grid in float64; None where a knot is not exact there. An integer grid gains the infinities."""
    values = column.values
    if not keys.is_float(column.domain):
        exact = values.astype(object)
        if len(values) and max(abs(int(exact[0])), abs(int(exact[-1]))) > _EXACT_IN_FLOAT:
            return None
    lifted = keys.keys_of(values.astype(np.float64), "float64")
    slots = np.arange(column.slots, dtype=np.uint32)
    gap_shift = 0
    if not keys.is_float(column.domain):
        low, high = keys.infinities("float64")
        lifted = np.concatenate([[low], lifted, [high]]).astype(np.uint64)
        cells = np.arange(2 * len(column.knots) + 1, dtype=np.uint32)
        # gap below -inf, -inf itself, the cells, +inf itself, the gap above it, NaN, null
        slots = np.concatenate([[0, 0], cells, [cells[-1], cells[-1]], slots[-2:]]).astype(np.uint32)
        gap_shift = 1
    to_coarse: UInt32 = column.to_coarse[slots]
    return _core.NumericPlan(
        grid=_core.Grid(keys.DOMAINS["float64"], lifted),
        to_fine=slots,
        fine_slots=column.slots,
        to_coarse=to_coarse,
        coarse_slots=column.coarse_slots,
        gap_shift=gap_shift,
        pivot=0,
    )
