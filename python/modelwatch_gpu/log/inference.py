"""What type a column has whose source has none: learnt from all of its values, one chunk after the other.

The type does not depend on how the values are cut into chunks: it is the narrowest one that holds every value.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date, datetime, time
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from .files import Span, span_of, ticks_of, wider

#: Types that text is tried as, narrowest first. A date is also a timestamp, a whole number also a decimal fraction.
TIMES = (
    pa.date32(),
    pa.timestamp("us"),
    pa.timestamp("ns"),
    pa.timestamp("us", "UTC"),
    pa.timestamp("ns", "UTC"),
)
NUMBERS_AND_TIMES = (pa.int64(), pa.uint64(), pa.float64(), pa.bool_(), *TIMES)

TRUE = ("true", "True", "TRUE")
FALSE = ("false", "False", "FALSE")

#: Decimals with more digits than an int64 holds become float64.
DECIMAL_DIGITS = 18

_TEXT = pa.string()
_LOOKS = (16, 1024)
_NS_SECONDS = 2**63 // 10**9 - 1  # a timestamp in nanoseconds reaches so many seconds from 1970


class ColumnKind:
    """The type of one column, from the chunks seen so far.

    type: the narrowest type that holds every value; ``pa.null()`` while there is none. plain: whether text is written
    as the type's own parser takes it, without blanks around it. mixed: whether values of different kinds, such as
    numbers and text, made the column text. span: first and last epoch second where the type is a time.
    """

    def __init__(self, candidates: Sequence[pa.DataType] = TIMES) -> None:
        self.type: pa.DataType = pa.null()
        self.plain = True
        self.mixed = False
        self.span: Span = None
        self.stored: pa.DataType = pa.null()
        self._candidates = candidates
        self._low = 0
        self._blank = False

    def see(self, values: pa.Array, *, mixed: bool = False) -> None:
        """Take one more chunk into account; ``mixed``: it is text made of values of different kinds."""
        if values.null_count == len(values) or self.mixed:
            return
        if pa.types.is_signed_integer(values.type):
            self._low = min(self._low, pc.min(values).as_py())
        stored = None if mixed else self._joined(self.stored, values.type)
        if stored is None:
            self.mixed, self.stored, self.type, self.span = True, _TEXT, _TEXT, None
            return
        self.stored = stored
        if stored == _TEXT:
            self._see_text(values)
            return
        self.type = stored
        if ticks_of(stored) is not None:
            self.span = wider(self.span, span_of(values.cast(stored)))

    def finished(self) -> pa.DataType:
        """The type after the last chunk: text that is nothing but blanks stays text."""
        if pa.types.is_null(self.type) and self._blank:
            self.type = _TEXT
        return self.type

    def _see_text(self, text: pa.Array) -> None:
        if self.type == _TEXT:
            return
        tidy: pa.Array | None = None
        kinds = (self.type,) if not pa.types.is_null(self.type) else ()
        for kind in (*kinds, *self._candidates):
            values = _parsed(text, kind)
            if values is None:
                tidy = _tidy(text) if tidy is None else tidy
                if tidy.null_count == len(tidy):
                    self._blank, self.plain = True, False
                    return
                values = _parsed(tidy, kind)
                if values is None:
                    continue
                self.plain = False
            self._widen(kind, values)
            return
        self.type, self.span = _TEXT, None

    def _widen(self, kind: pa.DataType, values: pa.Array) -> None:
        if pa.types.is_signed_integer(kind):
            self._low = min(self._low, pc.min(values).as_py())
        if ticks_of(kind) is not None:
            self.span = wider(self.span, span_of(values))
        self.type = self._joined(self.type, kind) or _TEXT
        far = self.span is not None and max(-self.span[0], self.span[1]) > _NS_SECONDS
        if self.type == _TEXT or (pa.types.is_timestamp(self.type) and self.type.unit == "ns" and far):
            self.type, self.span = _TEXT, None

    def _joined(self, a: pa.DataType, b: pa.DataType) -> pa.DataType | None:
        if {a, b} == {pa.int64(), pa.uint64()} and self._low >= 0:
            return pa.uint64()
        return joined(a, b)


def joined(a: pa.DataType, b: pa.DataType) -> pa.DataType | None:
    """The narrowest type that holds the values of both, or None where they are of different kinds."""
    t = pa.types
    if a == b or t.is_null(b):
        return a
    if t.is_null(a):
        return b
    if _is_number(a) and _is_number(b):
        return _joined_numbers(a, b)
    if ticks_of(a) is not None and ticks_of(b) is not None:
        return _joined_times(a, b)
    if t.is_nested(a) and t.is_nested(b):
        try:
            fields = [pa.schema([pa.field("x", kind)]) for kind in (a, b)]
            return pa.unify_schemas(fields, promote_options="permissive").field("x").type
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
            return None
    return None


def _is_number(kind: pa.DataType) -> bool:
    t = pa.types
    return bool(t.is_integer(kind) or t.is_floating(kind) or t.is_decimal(kind) or t.is_boolean(kind))


def _joined_numbers(a: pa.DataType, b: pa.DataType) -> pa.DataType | None:
    t = pa.types
    if t.is_boolean(a) or t.is_boolean(b):
        return None
    if not (t.is_decimal(a) and t.is_decimal(b)):
        return pa.float64()
    return decimal_or_float(max(a.precision - a.scale, b.precision - b.scale), max(a.scale, b.scale))


def decimal_or_float(whole: int, scale: int) -> pa.DataType:
    """A decimal type with so many digits before and after the point; float64 beyond 18 in all."""
    digits = max(1, whole + scale)
    return pa.decimal128(digits, scale) if digits <= DECIMAL_DIGITS else pa.float64()


def _joined_times(a: pa.DataType, b: pa.DataType) -> pa.DataType | None:
    kinds = [kind for kind in (a, b) if pa.types.is_timestamp(kind)]
    if not kinds:
        return a
    zones = {kind.tz for kind in kinds}
    if None in zones and (len(zones) > 1):
        return None
    if len(kinds) == 1 and kinds[0].tz is not None:
        return None  # a date has no instant
    unit = "ns" if any(kind.unit == "ns" for kind in kinds) else "us"
    return pa.timestamp(unit, zones.pop() if len(zones) == 1 else "UTC")


def converted(values: pa.Array, kind: pa.DataType) -> pa.Array:
    """A chunk in the type that the whole column has. Raises pa.ArrowInvalid for text that is not of this type."""
    if values.type == kind:
        return values
    if pa.types.is_null(kind):
        return pa.nulls(len(values))
    if kind == _TEXT:
        return pa.array([text_of(value) for value in values.to_pylist()], _TEXT)
    if values.type != _TEXT:
        return values.cast(kind, safe=False)
    found = _parsed(values, kind)
    if found is None:
        found = _parsed(_tidy(values), kind)
    if found is None:
        raise pa.ArrowInvalid(f"a value is not of type {kind}")
    return found


def text_of(value: Any) -> str | None:
    """One value as text, for columns that hold values of different kinds."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, default=text_of)
    return value.isoformat() if isinstance(value, date | datetime | time) else str(value)


def _tidy(text: pa.Array) -> pa.Array:
    """Text without blanks around it; what is nothing but blanks is missing."""
    trimmed = pc.utf8_trim_whitespace(text)
    return pc.if_else(pc.equal(trimmed, ""), pa.scalar(None, _TEXT), trimmed)


def _parsed(text: pa.Array, kind: pa.DataType) -> pa.Array | None:
    """Text as this type; None where a value is not written as one."""
    if pa.types.is_boolean(kind):
        return _booleans(text)
    try:
        # A value that is not of the type costs a hundred times one that is: most text shows itself by its first rows.
        for rows in _LOOKS:
            if rows < len(text):
                text.slice(0, rows).cast(kind)
        return text.cast(kind)
    except pa.ArrowInvalid:
        return None


def _booleans(text: pa.Array) -> pa.Array | None:
    if not pc.all(pc.is_in(text, value_set=pa.array([*TRUE, *FALSE, None], _TEXT))).as_py():
        return None
    return pc.if_else(pc.is_valid(text), pc.is_in(text, value_set=pa.array(TRUE)), pa.scalar(None, pa.bool_()))
