"""Edges of bins that a user gives instead of the baseline's deciles."""

from __future__ import annotations

import datetime as dt
import json
import math
import os
import sys
import tomllib
from collections.abc import Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from modelwatch_gpu.errors import InputError

#: With both infinities and both extremes the edges must leave room for others on a coarse grid (DESIGN 3.4).
MOST_EDGES: Final = 60

#: An edge: a number in the column's units, or ticks of a date or time.
Edge = int | float | Fraction


def edges_from_file(path: str | os.PathLike[str]) -> dict[str, list[Any]]:
    """Edges from a TOML or JSON file with a list of edges for each column; raises InputError that names the file."""
    name = os.fspath(path)
    suffix = Path(path).suffix.lower()
    if suffix not in (".json", ".toml"):
        raise InputError(f"The edges file {name!r} is neither .json nor .toml; rename or rewrite it.")
    try:
        text = Path(path).read_text(encoding="utf-8")
        found = json.loads(text) if suffix == ".json" else tomllib.loads(text)
    except OSError as error:
        raise InputError(
            f"The edges file {name!r} cannot be read: {error.strerror or error}; check the path."
        ) from None
    except (ValueError, RecursionError) as error:
        first = (str(error).splitlines() or ["no text"])[0].rstrip(".")
        raise InputError(f"The edges file {name!r} is not valid {suffix[1:].upper()}: {first}.") from None
    if not isinstance(found, dict) or not all(isinstance(edges, list) for edges in found.values()):
        raise InputError(f"The edges file {name!r} is not one object with a list of edges for each column.")
    return found


def checked_edges(name: str, given: Sequence[Any], kind: pa.DataType) -> list[Edge]:
    """A column's edges as exact numbers; raises InputError where they cannot cut a column of this type."""
    if isinstance(given, (str, bytes, Mapping)) or not hasattr(given, "__iter__"):
        raise InputError(f"The edges of column '{name}' are not a list of numbers: {given!r}.")
    listed = list(given)
    if not 1 <= len(listed) <= MOST_EDGES:
        raise InputError(f"Column '{name}' has {len(listed)} edges; give 1 to {MOST_EDGES}.")
    edges = [_edge(name, e, kind) for e in listed]
    for (before, after), (first, second) in zip(pairwise(edges), pairwise(listed), strict=True):
        if not before < after:
            raise InputError(f"The edges of column '{name}' must increase, but {second} comes after {first}.")
    return edges


def _edge(name: str, given: Any, kind: pa.DataType) -> Edge:
    if isinstance(given, np.generic) and given.dtype.kind in "iuf":
        given = given.item()
    if isinstance(given, bool) or given is None:
        raise InputError(f"The edge {given!r} of column '{name}' is not a number.")
    if isinstance(given, (float, Decimal)) and not math.isfinite(given):
        advice = "the outer bins are open anyway, so leave it out" if given == given else "give numbers"
        raise InputError(f"The edge {given} of column '{name}' cuts nothing; {advice}.")
    if isinstance(given, (int, float, Decimal, Fraction)):
        exact = given if isinstance(given, (int, float)) else Fraction(given)
        if not -sys.float_info.max <= exact <= sys.float_info.max:
            raise InputError(f"An edge of column '{name}' is larger than what can be counted; leave it out.")
        return exact
    if pa.types.is_temporal(kind) and isinstance(given, (str, dt.date, dt.time, dt.timedelta, np.generic)):
        try:
            moment = pa.scalar(given).cast(kind)
            return int(moment.cast(pa.int32() if kind.bit_width == 32 else pa.int64()).as_py())
        except (pa.ArrowException, ValueError, TypeError, OverflowError):
            pass
    raise InputError(f"The edge {given!r} of column '{name}' cannot cut values of type {kind}.")
