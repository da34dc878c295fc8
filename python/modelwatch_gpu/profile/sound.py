"""Whether a file's header and arrays fit together, asked before anything is made of them.

A file may come from anywhere, and a hash that matches is no proof of good faith (DESIGN 6). What is refused here would
else break the code that counts with it: numbers that name what is not there, tables out of order, counts that
overflow when they are added, text where a number belongs. Every function raises ValueError with a sentence.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Final

import numpy as np

from modelwatch_gpu.keys import DOMAINS, infinities

#: What reading a header of any shape can raise; a loader turns it into one InputError.
UNSOUND: Final = (
    KeyError,
    TypeError,
    ValueError,
    IndexError,
    AttributeError,
    OverflowError,
    RecursionError,
)

#: More rows than any log has; below it no sum over parts overflows 64 bits.
MOST_ROWS: Final = 1 << 53
#: Epoch seconds and the marks of groups without time stay within this (parts.WHOLE is -2^62).
_MOST_SECONDS: Final = 1 << 62
#: Bytes of an exact sum of values, see cpp/core/wide_sum.hpp; a sum of many parts grows by a few.
_MOST_SUM_BYTES: Final = 36 * 8 + 16

#: Weights are stored as w 2^bits: no float64 needs more bits than this.
_MOST_BITS: Final = 1100
#: What a part keeps of the weights of every set, see ``weights.WeightSums``.
_WEIGHT_SUMS: Final = ("total", "low", "high")

_Arrays = Mapping[str, np.ndarray[Any, Any]]


def check_baseline(header: Mapping[str, Any], arrays: _Arrays) -> None:
    """Checks all of a baseline file but what needs the grids (``parts.check_part``)."""
    own_arrays = by_prefix(arrays)
    by_column = by_prefix(own_arrays.get("column", {}))
    names = [_check_column(own, by_column.get(str(i), {})) for i, own in enumerate(_list(header["columns"]))]
    _distinct(names, "column")
    _texts_by_name(header["roles"])
    _text(header["timezone"])
    _whole(header["exact_up_to"], 2, _MOST_SECONDS)
    _texts(header["notes"])
    _check_part(header["part"], own_arrays.get("part", {}), _weight_bits(header))
    if "weight" in header and header["roles"].get(header["weight"]["column"]) != "weight":
        raise ValueError("the column of weights has another role")
    if not set(_derived_names(header)) <= set(header["roles"]):
        raise ValueError("a derived column has no role")
    if len(header["part"]["groups"]["window"]) > 1:
        raise ValueError("the baseline's own counts are not one group")


def check_profile(header: Mapping[str, Any], arrays: _Arrays) -> None:
    """Checks all of a profile file but what needs its baseline."""
    _text(header["baseline"])
    _text(header["timezone"])
    for name in ("window", "block"):
        if header[name] is not None:
            _text(header[name])
    for columns in _list(header["segments"]):
        # One column each in format 1.
        _text(columns) if header["format"] == 1 else _texts(columns)
    _whole(header["segment_cap"], 0, MOST_ROWS)
    sets = _list(header["sets"])
    for own in sets:
        if own["grid"] not in ("fine", "coarse") or type(own["moments"]) is not bool:
            raise ValueError("a set is counted on a grid that does not exist")
    names = [_text(own["name"]) for own in sets]
    _distinct(names, "set")
    if "window" not in names or len(header["segments"]) != sum(_is_segments(name) for name in names):
        raise ValueError("the sets are not those of the windows and segments")
    _texts(header["notes"])
    _derived_names(header)
    by_part = by_prefix(arrays)
    for i, part in enumerate(_list(header["parts"])):
        _check_part(part, by_part.get(str(i), {}), _weight_bits(header))
        if not set(part["groups"]) <= set(names):
            raise ValueError("a part has groups of a set that is not there")


def by_prefix(arrays: _Arrays) -> dict[str, dict[str, np.ndarray[Any, Any]]]:
    """The arrays by what stands before the first slash of their name, then by the rest."""
    out: dict[str, dict[str, np.ndarray[Any, Any]]] = {}
    for name, array in arrays.items():
        prefix, _, rest = name.partition("/")
        out.setdefault(prefix, {})[rest] = array
    return out


def check_range(domain: str, low: np.ndarray[Any, Any], high: np.ndarray[Any, Any]) -> None:
    """Smallest and largest keys, (groups,) each; only where low <= high was anything ranked."""
    ranked = low <= high
    first, last = _key_ends(domain)
    if (low[ranked] < first).any() or (high[ranked] > last).any():
        raise ValueError("a range ends outside its type")


def _key_ends(domain: str) -> tuple[int, int]:
    """The smallest and the largest key of a domain; those of the infinities where it has them."""
    ends = infinities(domain)
    return (int(ends[0]), int(ends[1])) if len(ends) else (0, (1 << 64) - 1)


def _check_column(header: Mapping[str, Any], arrays: _Arrays) -> str:
    """Checks one column of a baseline and returns its name."""
    name = _text(header["name"])
    _text(header["role"])
    _text(header["type"])
    if header["kind"] == "categorical":
        sizes = _unsigned(arrays["sizes"])
        raw = _unsigned(arrays["bytes"]).tobytes()
        ends = np.cumsum(sizes, dtype=np.int64).tolist()
        values = [raw[a:b] for a, b in pairwise([0, *ends])]
        if any(a >= b for a, b in pairwise(values)):
            raise ValueError(f"the categories of column {name} are not sorted")
        if len(set(_unsigned(arrays["kept"]).tolist())) != len(arrays["kept"]):
            raise ValueError(f"column {name} keeps a category twice")
        if header["cap"]:
            _whole(header["cap"][0], 0, (1 << 64) - 1)
            _text(header["cap"][1])
        return name
    if header["kind"] != "numeric" or header["domain"] not in DOMAINS:
        raise ValueError(f"column {name} is of no kind that is known")
    if type(header["exact"]) is not bool:
        raise ValueError(f"column {name} does not say whether it is exact")
    _whole(header["pivot"], 0, (1 << 64) - 1)
    for what in ("knots", "coarse", "edges"):
        if not _rises(_unsigned(arrays[what])):
            raise ValueError(f"the {what} of column {name} are not sorted")
    if arrays["deciles"].dtype.kind != "f" or np.isnan(arrays["deciles"]).any():
        raise ValueError(f"column {name} has deciles that are no numbers")
    return name


def _derived_names(header: Mapping[str, Any]) -> list[str]:
    """The names of the derived columns of a file."""
    own = _list(header.get("derived", []))
    names = [_text(one["name"]) for one in own]
    _distinct(names, "derived column")
    for one in own:
        _texts(one["inputs"])
        _text(one["source"])
    return names


def _weight_bits(header: Mapping[str, Any]) -> int | None:
    """How a file says that weights are stored; None where it has none."""
    if "weight" not in header:
        return None
    _text(header["weight"]["column"])
    return _whole(header["weight"]["bits"], -_MOST_BITS, _MOST_BITS)


def _check_part(header: Mapping[str, Any], arrays: _Arrays, bits: int | None) -> None:
    if header.get("weight_bits") != bits or type(header.get("weight_bits")) is not type(bits):
        raise ValueError("a part stores weights in another way than its file says")
    rows = _whole(header["rows"], 0, MOST_ROWS)
    if header["span"] is not None:
        first, last = (_whole(v, -_MOST_SECONDS, _MOST_SECONDS) for v in header["span"])
        if first > last:
            raise ValueError("a span of time ends before it begins")
    for names in (header["gone"], header["new"]):
        _texts(names)
    _texts_by_name(header["incomparable"])
    origins = _texts(header["origins"])
    if origins != sorted(origins):
        raise ValueError("the origins of a part are not sorted")
    groups: dict[str, int] = {}
    for name, keys in header["groups"].items():
        found = [_group_key(key) for key in _list(keys)]
        wide = {len(key) > 1 for key in found} - {_is_segments(_text(name)) or _is_labelled(name)}
        if wide or len({len(key) for key in found}) > 1 or any(a >= b for a, b in pairwise(found)):
            raise ValueError(f"the groups of set {name} are not sorted")
        counted = _unsigned(arrays[f"rows/{name}"])
        if len(counted) != len(found) or _total(counted) > MOST_ROWS:
            raise ValueError(f"set {name} has {len(found)} groups and row counts that do not fit them")
        if bits is not None:
            _check_weights(name, counted, *(_unsigned(arrays[f"weight_{what}/{name}"]) for what in _WEIGHT_SUMS))
        groups[name] = len(found)
    if rows and any(count == 0 for count in groups.values()):
        raise ValueError("a part has rows and no group for them")
    seen = []
    by_table = by_prefix(arrays)
    for at, (name, column, kind) in enumerate(_list(header["tables"])):
        own = by_table.get(str(at), {})
        seen.append((_text(name), _text(column)))
        if kind == "numeric":
            _check_numeric(own, groups[name], len(origins))
        elif kind == "categorical":
            _check_categorical(own, groups[name])
        else:
            raise ValueError(f"a table of kind {kind} is not known")
    _distinct(seen, "table")


def _check_weights(
    name: str,
    rows: np.ndarray[Any, Any],
    total: np.ndarray[Any, Any],
    low: np.ndarray[Any, Any],
    high: np.ndarray[Any, Any],
) -> None:
    """Sums of weights that whole numbers can have: SUM w <= SUM w^2, and (SUM w)^2 <= rows SUM w^2."""
    if not len(total) == len(low) == len(high) == len(rows) or _total(total) > MOST_ROWS:
        raise ValueError(f"the weights of set {name} do not fit its groups")
    if _largest(low) >= 1 << 32 or _largest(high) > MOST_ROWS:
        raise ValueError(f"the squared weights of set {name} are out of range")
    sums = (rows.tolist(), total.tolist(), low.tolist(), high.tolist())
    for n, w, small, large in zip(*sums, strict=True):
        squares = (large << 32) + small
        if not w <= squares <= w * w <= n * squares:
            raise ValueError(f"no weights have the sums that set {name} states")


def _check_numeric(a: _Arrays, groups: int, origins: int) -> None:
    _check_pairs(a, groups, "cell_group", "cell", strict=True)
    _check_pairs(a, groups, "gap_group", "gap", strict=True)
    _check_pairs(a, groups, "moment_group", "moment_origin", strict=False)
    _check_counts(a, "cell_group", "count")
    _check_counts(a, "moment_group", "moment_count")
    if _largest(a["moment_origin"]) >= max(1, origins):
        raise ValueError("moments belong to a file that is not there")
    for name, other in (("gap_group", "gap_sum"), ("range_group", "low"), ("range_group", "high")):
        _same_length(a, name, other)
    for name in ("range_group", "tail_group"):
        if not _rises(_unsigned(a[name])) or _largest(a[name]) >= groups:
            raise ValueError(f"{name} names groups that are not there, or not in order")
    sizes = _unsigned(a["tail_size"])
    if len(sizes) != 2 * len(a["tail_group"]) or (
        len(sizes) and not 0 < int(sizes.min()) <= int(sizes.max()) <= _MOST_SUM_BYTES
    ):
        raise ValueError("tail sums and groups differ in length")
    if _total(sizes) != len(_unsigned(a["tail_bytes"])):
        raise ValueError("tail sums are cut short")
    if a["moments"].dtype.kind != "f" or len(a["moments"]) != 4 * len(a["moment_group"]):
        raise ValueError("moments differ in length")


def _check_categorical(a: _Arrays, groups: int) -> None:
    _check_pairs(a, groups, "cell_group", "cell", strict=True)
    _check_pairs(a, groups, "unseen_group", "unseen_index", strict=True)
    _check_counts(a, "cell_group", "count")
    _check_counts(a, "unseen_group", "unseen_count")
    raw, sizes = _unsigned(a["unseen_bytes"]).tobytes(), _unsigned(a["unseen_size"])
    values = [raw[x:y] for x, y in pairwise([0, *np.cumsum(sizes, dtype=np.int64).tolist()])]
    if any(x >= y for x, y in pairwise(values)):
        raise ValueError("unseen values are not sorted")


def _check_pairs(a: _Arrays, groups: int, group: str, index: str, *, strict: bool) -> None:
    """(group, index) rises, and every group is there."""
    _same_length(a, group, index)
    g, i = _unsigned(a[group]).astype(np.int64), _unsigned(a[index])
    if _largest(a[group]) >= groups or _largest(i) >= 1 << 32:
        raise ValueError(f"{group} names a group that is not there")
    i = i.astype(np.int64)
    same, up = g[1:] == g[:-1], g[1:] > g[:-1]
    inside = i[1:] > i[:-1] if strict else i[1:] >= i[:-1]
    if not (up | (same & inside)).all():
        raise ValueError(f"{group} and {index} are not in order")


def _check_counts(a: _Arrays, group: str, count: str) -> None:
    _same_length(a, group, count)
    if _total(_unsigned(a[count])) > MOST_ROWS:
        raise ValueError(f"{count} counts more rows than any log has")


def _same_length(a: _Arrays, name: str, other: str) -> None:
    if len(a[name]) != len(a[other]):
        raise ValueError(f"{name} and {other} differ in length")


def _unsigned(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    if array.dtype.kind != "u":
        raise ValueError("an array of counts or indices has another type")
    return array


def _total(counts: np.ndarray[Any, Any]) -> int:
    """The sum, or more than any sum may be."""
    rough = float(counts.sum(dtype=np.float64))
    return MOST_ROWS + 1 if rough > 2.0 * MOST_ROWS else int(counts.sum(dtype=np.uint64))


def _largest(array: np.ndarray[Any, Any]) -> int:
    return int(array.max()) if len(array) else -1


def _rises(array: np.ndarray[Any, Any]) -> bool:
    return bool((array[1:] > array[:-1]).all())


def _is_segments(name: str) -> bool:
    """Whether the groups of this set are segments, else stretches of time."""
    return name.startswith("segment")


def _is_labelled(name: str) -> bool:
    """Whether the groups of this set are crossed with the label."""
    return name.startswith("label|")


def _group_key(values: Any) -> tuple[Any, ...]:
    """A group's key: its start, then a kind and a text for every column of a segment."""
    if not isinstance(values, list) or len(values) % 2 != 1:
        raise ValueError("a group has a key of another shape")
    _whole(values[0], -_MOST_SECONDS, _MOST_SECONDS)
    for kind, text in zip(values[1::2], values[2::2], strict=True):
        _whole(kind, 0, 255)
        if not isinstance(text, str):
            raise ValueError("a segment is no text")
    return tuple(values)


def _whole(value: Any, least: int, most: int) -> int:
    if type(value) is not int or not least <= value <= most:
        raise ValueError("a number is missing or out of range")
    return value


def _text(value: Any) -> str:
    """Text that can be written out again: without lone surrogates."""
    if not isinstance(value, str):
        raise ValueError("text is missing")
    value.encode()
    return value


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError("a list is missing")
    return value


def _texts(values: Any) -> list[str]:
    return [_text(v) for v in _list(values)]


def _texts_by_name(values: Any) -> None:
    if not isinstance(values, dict):
        raise ValueError("names and texts are missing")
    _texts(list(values))
    _texts(list(values.values()))


def _distinct(names: list[Any], what: str) -> None:
    if len(set(names)) != len(names):
        raise ValueError(f"a {what} is there twice")
