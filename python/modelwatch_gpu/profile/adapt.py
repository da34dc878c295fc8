"""From the Arrow type a column has in a log to what the engine counts: numbers in a domain, or dictionary codes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from modelwatch_gpu import _core, keys
from modelwatch_gpu.keys import domain_of
from modelwatch_gpu.plain import array_of_bytes, plain_array, plain_type
from modelwatch_gpu.profile.columns import COARSE_FIRST, CategoricalColumn, Column, NumericColumn, UInt32
from modelwatch_gpu.units import scale_of, unscaled

Convert = Callable[[pa.Array], pa.Array]

#: Integers up to this size are exact as float64.
_EXACT_IN_FLOAT = 1 << 53
_SUBSECOND_DIGITS = {"s": 0, "ms": 3, "us": 6, "ns": 9}


def is_supported(arrow_type: pa.DataType) -> bool:
    """Whether a column of this type can be counted at all."""
    t = pa.types
    kind = _values_type(plain_type(arrow_type))
    return bool(
        domain_of(kind) is not None or t.is_boolean(kind) or t.is_fixed_size_binary(kind) or _is_text_or_bytes(kind)
    )


def _values_type(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


#: Text and bytes, which the engine reads where they lie.
_TEXT: Final = frozenset(
    [pa.string(), pa.large_string(), pa.binary(), pa.large_binary(), pa.string_view(), pa.binary_view()]
)


def _is_text_or_bytes(kind: pa.DataType) -> bool:
    """Whether the engine reads these values from a dictionary as they are."""
    return kind in _TEXT


def numeric_array(array: pa.Array) -> pa.Array:
    """A numeric array whose memory the engine reads as it is."""
    return array.cast(pa.float32()) if pa.types.is_float16(array.type) else array


def exact_numbers(array: pa.Array, kind: pa.DataType) -> pa.Array:
    """Numbers, dates or times of any type as the engine's array of type ``kind``; decimals as their whole numbers.

    Raises pa.ArrowInvalid where a value would change, or the types have nothing to do with each other.
    """
    array = _without_dictionary(plain_array(array))
    own = array.type
    decimals = pa.types.is_decimal(kind)
    if own == kind and not decimals:
        return numeric_array(array)
    if pa.types.is_null(own):
        return array.cast(pa.int64() if decimals else numeric_array(pa.nulls(0, kind)).type)
    if domain_of(own) is None or pa.types.is_temporal(own) != pa.types.is_temporal(kind):
        raise pa.ArrowInvalid(f"{own} is not {kind}")
    if decimals:
        if pa.types.is_floating(own):
            raise pa.ArrowInvalid(f"{own} is not {kind}")
        return unscaled(array, kind.scale)
    if pa.types.is_decimal(own):
        array = unscaled(array, 0)
    found = array.cast(kind)
    # The one cast that Arrow calls safe and that rounds.
    if pa.types.is_floating(own) and found.type.bit_width < own.bit_width:
        kept, back = numeric_array(array), numeric_array(found).cast(numeric_array(array).type)
        if not pc.all(pc.or_(pc.equal(kept, back), pc.is_nan(kept))).as_py():
            raise pa.ArrowInvalid(f"a value of type {own} is not exact as {kind}")
    return numeric_array(found)


def _without_dictionary(array: pa.Array) -> pa.Array:
    return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array


#: The text of every value of a type of one byte, by its bits.
_BYTES: Final = {
    pa.int8(): array_of_bytes([str(i - 256 if i > 127 else i).encode() for i in range(256)], pa.string()),
    pa.uint8(): array_of_bytes([str(i).encode() for i in range(256)], pa.string()),
}


def category_array(array: pa.Array) -> pa.Array:
    """What the engine counts by value: text or bytes as they are, all else as by ``coded_array``."""
    if array.type in _TEXT:
        return array
    return coded_array(array)


def coded_array(array: pa.Array) -> pa.Array:
    """A dictionary array with text or bytes as values. Numbers, dates and times become their text ("3", "true"), which
    does not depend on how they were stored: 3.0 and 3.00 are "3", and an instant is told in UTC."""
    if pa.types.is_dictionary(array.type) and _is_text_or_bytes(array.type.value_type):
        return array  # nearly every batch
    array = plain_array(array)
    if _values_type(array.type) == pa.null():
        return pa.nulls(len(array), pa.dictionary(pa.int32(), pa.string()))
    if not is_supported(array.type):
        raise pa.ArrowNotImplementedError(f"values of type {array.type} cannot be counted")
    if array.type in _BYTES:
        # The bytes themselves are the codes.
        kind = pa.dictionary(pa.uint8(), pa.string())
        return pa.DictionaryArray.from_buffers(kind, len(array), array.buffers(), _BYTES[array.type], -1, array.offset)
    encoded = array if pa.types.is_dictionary(array.type) else pc.dictionary_encode(array)
    if _is_text_or_bytes(encoded.dictionary.type):
        return encoded
    return pa.DictionaryArray.from_arrays(encoded.indices, _as_text(encoded.dictionary))


def _as_text(values: pa.Array) -> pa.Array:
    t, kind = pa.types, values.type
    if t.is_fixed_size_binary(kind):
        return values.cast(pa.binary())
    if t.is_floating(kind):
        # A column of whole numbers with nulls arrives as floats from pandas: 3.0 is category "3".
        return pa.array([_number_text(v) for v in values.to_pylist()], pa.string())
    if t.is_decimal(kind):
        return pa.array([None if v is None else _decimal_text(v) for v in values.to_pylist()], pa.string())
    if t.is_duration(kind):
        digits = _SUBSECOND_DIGITS[kind.unit]
        ticks = values.cast(pa.int64()).to_pylist()
        seconds = [None if v is None else _decimal_text(Decimal(v).scaleb(-digits)) + "s" for v in ticks]
        return pa.array(seconds, pa.string())
    if t.is_timestamp(kind):
        values = values.cast(pa.timestamp(kind.unit))
    text = values.cast(pa.string())
    if t.is_timestamp(kind) or t.is_time(kind):
        text = pc.replace_substring_regex(text, r"(\.\d*?)0+$", r"\1")
        text = pc.replace_substring_regex(text, r"\.$", "")
    return text


def _number_text(value: float | None) -> str | None:
    if value is None or value != value:  # NaN is missing, as everywhere
        return None
    return str(int(value)) if float(value).is_integer() else repr(float(value))


def _decimal_text(value: Decimal) -> str:
    text = f"{value:f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


@dataclass(frozen=True)
class Reading:
    """How one column of one file is counted: the engine's plan and what turns an Arrow array into its input.

    ``lifted`` is the domain of the counting grid where it is wider than the baseline's, else None.
    """

    plan: _core.NumericPlan | _core.CategoryPlan
    convert: Convert
    lifted: str | None = None


def counts_as_it_is(reading: Reading, arrow_type: pa.DataType) -> bool:
    """Whether converting data of this type would change nothing."""
    if reading.convert is numeric_array:
        return not pa.types.is_float16(arrow_type)
    text = pa.types.is_dictionary(arrow_type) and _is_text_or_bytes(arrow_type.value_type)
    return reading.convert is category_array and text


def reading_of(column: Column, arrow_type: pa.DataType) -> Reading | None:
    """How data of ``arrow_type`` is counted against a baseline column; None where they cannot be compared."""
    arrow_type = plain_type(arrow_type)
    if isinstance(column, CategoricalColumn):
        if not (is_supported(arrow_type) or _values_type(arrow_type) == pa.null()):
            return None
        return Reading(_category_plan(column), category_array)
    if pa.types.is_dictionary(arrow_type):
        inner = reading_of(column, arrow_type.value_type)
        return inner and Reading(inner.plan, _after(_without_dictionary, inner.convert), inner.lifted)
    if pa.types.is_null(arrow_type):
        return Reading(_numeric_plan(column), _cast_to(_plain_type(column.domain)))
    domain = domain_of(arrow_type)
    if domain is None:
        return None
    if pa.types.is_decimal(arrow_type) or column.scale:
        return _decimal_reading(column, arrow_type)
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


def _decimal_reading(column: NumericColumn, arrow_type: pa.DataType) -> Reading | None:
    """Decimals against numbers, or numbers against decimals: both as whole numbers of the column's unit."""
    if pa.types.is_temporal(arrow_type) or _is_temporal_name(column.type):
        return None
    if not keys.is_float(column.domain):
        if pa.types.is_floating(arrow_type):
            return None
        target = _plain_type(column.domain)
        return Reading(_numeric_plan(column), lambda array: unscaled(array, column.scale).cast(target))
    if scale_of(arrow_type):
        return None  # 0.1 is a decimal and no float
    inner = reading_of(column, pa.int64())
    return inner and Reading(inner.plan, _after(lambda array: unscaled(array, 0), inner.convert), inner.lifted)


def _after(first: Convert, then: Convert) -> Convert:
    return lambda array: then(first(array))


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
