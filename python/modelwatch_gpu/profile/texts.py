"""What texts look like: their shape, their spelling, and whether they are numbers in disguise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from modelwatch_gpu.plain import plain_array

Ints = npt.NDArray[np.int64]

#: Ways in which people write that there is no value, in lower case.
NULL_SPELLINGS: Final = ("na", "n/a", "#n/a", "nan", "null", "none", "nil", "unknown", "?", "-", "--", "missing")
#: Shapes are cut to so many characters, and so many of them are counted apart.
SHAPE_LENGTH: Final = 48

#: Runs of letters, digits and blanks stand for one: "AB-1234" and "XYZ-7" have the shape "A-9".
_SHAPES: Final = ((r"\p{Lu}+", "A"), (r"[\p{Ll}\p{Lt}\p{Lm}\p{Lo}]+", "a"), (r"\p{Nd}+", "9"), (r"\s+", " "))
_NUMBER: Final = r"^\s*[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?\s*$"


def values_and_rows(array: pa.Array) -> tuple[pa.Array, Ints]:
    """The distinct texts of a column without null, and the rows of each."""
    counted = pc.value_counts(plain_array(array))
    values, rows = counted.field("values"), counted.field("counts").to_numpy(zero_copy_only=False).astype(np.int64)
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    values = values.cast(pa.large_string())
    there = values.is_valid().to_numpy(zero_copy_only=False)
    return values.drop_null(), rows[there]


def shapes_of(values: pa.Array) -> pa.Array:
    """The shape of each text: runs of capitals as A, of other letters as a, of digits as 9, of blanks as one blank."""
    for pattern, replacement in _SHAPES:
        values = pc.replace_substring_regex(values, pattern, replacement)
    return pc.utf8_slice_codeunits(values, 0, SHAPE_LENGTH)


def any_pattern(patterns: Sequence[str]) -> str:
    """One regular expression that matches where any of several does."""
    return patterns[0] if len(patterns) == 1 else "|".join(f"(?:{one})" for one in patterns)


def pattern_fault(pattern: str) -> str | None:
    """Why a text is no regular expression (RE2), None where it is one."""
    try:
        pc.match_substring_regex(pa.array([""], pa.large_string()), pattern)
    except pa.ArrowInvalid as error:
        return f"which is no regular expression of RE2 ({' '.join(str(error).split())})"
    return None


def matching(values: pa.Array, pattern: str) -> npt.NDArray[np.bool_]:
    """(values,) whether a regular expression (RE2) matches somewhere in each text."""
    found: npt.NDArray[np.bool_] = pc.match_substring_regex(values, pattern).to_numpy(zero_copy_only=False)
    return found.astype(bool)


def text_counts(values: pa.Array, rows: Ints) -> dict[str, int]:
    """Rows by what their text is: see ``facts.Facts``."""
    trimmed = pc.utf8_trim_whitespace(values)
    lower = pc.utf8_lower(trimmed)
    empty = pc.equal(pc.utf8_length(trimmed), 0)
    tests: dict[str, Any] = {
        "empty": empty,
        "padded": pc.and_not(pc.not_equal(trimmed, values), empty),
        "spelled_null": pc.is_in(lower, pa.array(NULL_SPELLINGS, pa.large_string())),
        "special": pc.and_not(pc.invert(pc.match_substring_regex(values, r"[\p{L}\p{N}]")), empty),
        "number": pc.match_substring_regex(values, _NUMBER),
        "broken": pc.match_substring(values, "\ufffd"),
    }
    return {name: int(rows[test.to_numpy(zero_copy_only=False)].sum()) for name, test in tests.items()}
