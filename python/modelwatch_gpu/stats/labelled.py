"""Labels beside scores, classes or numbers: rows that have both, as the tables of ``measures.performance``."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from modelwatch_gpu.arrays import as_columns, common_domain, differences, in_domain, is_numeric
from modelwatch_gpu.errors import InputError
from modelwatch_gpu.measures.errors import ErrorSample
from modelwatch_gpu.measures.performance import ScoreTable
from modelwatch_gpu.stats.categories import plain
from modelwatch_gpu.units import scale_of

Array = npt.NDArray[Any]
Weights = npt.NDArray[np.float64] | None


def weights_of(weights: Any, rows: int) -> Weights:
    """(rows,) weights, finite and not negative; None stays None."""
    if weights is None:
        return None
    (column, *more), batched = as_columns(weights, "weights")
    if batched or more or not is_numeric(column) or column.null_count:
        raise InputError("weights must be one column of numbers without nulls.")
    values: npt.NDArray[np.float64] = column.to_numpy(zero_copy_only=False).astype(np.float64)
    if len(values) != rows:
        raise InputError(f"weights has {len(values)} rows and labels has {rows}; give both the same rows.")
    if not np.all(np.isfinite(values) & (values >= 0)):
        raise InputError("weights must be finite and not negative.")
    return values


def same_rows(labels: pa.Array, other: pa.Array, name: str) -> None:
    if len(labels) != len(other):
        raise InputError(f"labels has {len(labels)} rows and {name} has {len(other)}; give both the same rows.")


def numbers_as(array: pa.Array) -> pa.Array:
    """Booleans as 0 and 1."""
    return array.cast(pa.uint8()) if pa.types.is_boolean(array.type) else array


def numbers_of(array: pa.Array, domain: str, name: str) -> tuple[Array, npt.NDArray[np.bool_]]:
    """Values of a column in a domain, and which of them are there."""
    array = in_domain(numbers_as(array), domain, name)
    there = pc.is_valid(array).to_numpy(zero_copy_only=False)
    if pa.types.is_temporal(array.type):
        array = array.cast(pa.int32() if array.type.bit_width == 32 else pa.int64())
    values = (array.fill_null(0) if array.null_count else array).to_numpy(zero_copy_only=False)
    return values, there & ~np.isnan(values) if values.dtype.kind == "f" else there


@dataclass(frozen=True, eq=False)
class Classes:
    """Labels and predictions as class numbers of one sorted list. ``values``: the (K,) classes; ``labels``,
    ``predictions``: (rows,) numbers into it, of the rows with both; ``kept``: (all rows,) which those are."""

    values: list[Any]
    labels: npt.NDArray[np.int64]
    predictions: npt.NDArray[np.int64]
    kept: npt.NDArray[np.bool_]

    def table(self, weights: Any) -> Array:
        """(K, K) rows of each label (rows) and prediction (columns): int64, or float64 sums of ``weights``, which are
        as ``weights_of`` takes them."""
        k = len(self.values)
        own = weights_of(weights, len(self.kept))
        own = None if own is None else own[self.kept]
        return np.bincount(self.labels * k + self.predictions, own, minlength=k * k).reshape(k, k)

    @property
    def rows(self) -> int:
        """Rows with both."""
        return len(self.labels)

    def number_of(self, positive: Any) -> int | None:
        """As the function."""
        return number_of(self.values, positive)


@dataclass(frozen=True, eq=False)
class CountedClasses:
    """``Classes`` of which only the table is known. ``values``: the (K,) classes; ``counts``: (K, K) rows of each label
    (rows) and prediction (columns); ``sums``: of their weights, None where rows have none."""

    values: list[Any]
    counts: npt.NDArray[np.int64]
    sums: npt.NDArray[np.float64] | None = None

    def table(self, weights: Any) -> Array:
        """As ``Classes.table``; ``weights``: None, or those that ``sums`` are of."""
        if weights is None:
            return self.counts
        return self.counts.astype(np.float64) if self.sums is None else self.sums

    @property
    def rows(self) -> int:
        """Rows with both."""
        return int(self.counts.sum())

    def number_of(self, positive: Any) -> int | None:
        """As the function."""
        return number_of(self.values, positive)


def number_of(values: list[Any], positive: Any) -> int | None:
    """The number of the positive class; None where no row has it. ``positive=None``: 1 or True, where the classes are
    among 0 and 1, or -1 and 1."""
    if positive is None:
        if not ({*values} <= {0, 1} or {*values} <= {-1, 1}):
            shown = ", ".join(repr(v) for v in values[:5])
            raise InputError(f"the classes are {shown}; name the positive one with positive=.")
        positive = 1
    return values.index(positive) if positive in values else None


def two_classes(values: list[Any]) -> list[Any]:
    """The classes that a score tells apart; raises InputError where there are more than two."""
    if len(values) > 2:
        raise InputError(
            f"labels have {len(values)} classes; a score tells two apart. Name the classes of several columns of "
            "scores with classes=."
        )
    return values


def classes_of(labels: pa.Array, predictions: pa.Array, name: str = "predictions") -> Classes:
    """Class numbers of the rows that have a label and a prediction."""
    same_rows(labels, predictions, name)
    labels, predictions = plain(labels), plain(predictions)
    booleans = [pa.types.is_boolean(c.type) for c in (labels, predictions)]
    if all(is_numeric(c) or b for c, b in zip((labels, predictions), booleans, strict=True)):
        sides = numbers_as(labels), numbers_as(predictions)
        domain = common_domain(*sides, ("labels", name))
        (y, y_there), (z, z_there) = numbers_of(sides[0], domain, "labels"), numbers_of(sides[1], domain, name)
        kept = y_there & z_there
        distinct, at = np.unique(np.concatenate([y[kept], z[kept]]), return_inverse=True)
        values = [bool(v) for v in distinct] if all(booleans) else as_written(distinct, labels.type)
    else:
        if not all(is_text(c) for c in (labels, predictions)):
            raise InputError(f"labels is {labels.type} and {name} is {predictions.type}; give both one type.")
        binary = any(pa.types.is_binary(c.type) or pa.types.is_large_binary(c.type) for c in (labels, predictions))
        wide = pa.large_binary() if binary else pa.large_string()
        labels, predictions = labels.cast(wide), predictions.cast(wide)
        kept = pc.and_(pc.is_valid(labels), pc.is_valid(predictions)).to_numpy(zero_copy_only=False)
        mask = pa.array(kept)
        both = pa.concat_arrays([labels.filter(mask), predictions.filter(mask)]).dictionary_encode()
        listed = both.dictionary.to_pylist()
        order = sorted(range(len(listed)), key=listed.__getitem__)
        values = [listed[i] for i in order]
        place = np.empty(len(order), dtype=np.int64)
        place[order] = np.arange(len(order))
        at = place[both.indices.to_numpy(zero_copy_only=False)]
    half = int(np.count_nonzero(kept))
    return Classes(values, at[:half].astype(np.int64), at[half:].astype(np.int64), kept)


def as_written(distinct: Array, arrow_type: pa.DataType) -> list[Any]:
    """Classes of a domain as values of their column: decimals, dates and times again."""
    if pa.types.is_decimal(arrow_type):
        return [Decimal(v).scaleb(-scale_of(arrow_type)) for v in distinct.tolist()]
    if not pa.types.is_temporal(arrow_type):
        return list(distinct.tolist())
    ticks = pa.array(distinct.astype(np.int64)).cast(pa.int32() if arrow_type.bit_width == 32 else pa.int64())
    typed = ticks.cast(arrow_type)
    # Python's own times have no nanoseconds.
    return list(typed.to_numpy()) if getattr(arrow_type, "unit", "") == "ns" else list(typed.to_pylist())


def is_text(array: pa.Array) -> bool:
    t, own = pa.types, array.type
    text = t.is_string(own) or t.is_large_string(own) or t.is_string_view(own)
    return bool(text or t.is_binary(own) or t.is_large_binary(own))


def score_table(
    labels: pa.Array, scores: pa.Array, positive: Any, weights: Weights, *, probability: bool
) -> tuple[ScoreTable, int]:
    """The table of distinct scores, and how many rows it holds.

    ``probability``: scores must lie between 0 and 1.
    """
    same_rows(labels, scores, "scores")
    domain = common_domain(scores, scores, ("scores", "scores"))
    values, there = numbers_of(scores, domain, "scores")
    classes = classes_of(labels, labels, "labels")
    two_classes(classes.values)
    number = classes.number_of(positive)
    label = np.full(len(labels), -1, dtype=np.int64)
    label[classes.kept] = classes.labels == (-1 if number is None else number)
    kept = there & classes.kept
    values, label = values[kept], label[kept]
    if probability and len(values) and not (values.min() >= 0 and values.max() <= 1):
        raise InputError("scores must be probabilities, from 0 to 1.")
    if values.dtype.kind in "iu" and probability:
        values = values.astype(np.float64)  # 0 and 1
    return table_of(values, label == 1, None if weights is None else weights[kept]), int(np.count_nonzero(kept))


def table_of(scores: Array, positive: npt.NDArray[np.bool_], weights: Weights) -> ScoreTable:
    """The table of distinct scores of rows, which are sorted once."""
    distinct, at = np.unique(scores, return_inverse=True)
    masses = []
    for chosen in (positive, ~positive):
        own = None if weights is None else weights[chosen]
        masses.append(np.bincount(at[chosen], own, minlength=len(distinct)))
    return ScoreTable(distinct, masses[0], masses[1])


def errors_of(labels: pa.Array, predictions: pa.Array, weights: Weights) -> ErrorSample:
    """Errors of a regression; whole numbers beyond 2^53 are subtracted before they are rounded."""
    same_rows(labels, predictions, "predictions")
    labels, predictions = numbers_as(labels), numbers_as(predictions)
    domain = common_domain(labels, predictions, ("labels", "predictions"))
    (y, y_there), (z, z_there) = numbers_of(labels, domain, "labels"), numbers_of(predictions, domain, "predictions")
    kept = y_there & z_there
    y, z = y[kept], z[kept]
    pivot = y.min() if y.dtype.kind in "iu" and len(y) else y.dtype.type(0)
    own = None if weights is None else weights[kept]
    labelled = differences(y, np.full_like(y, pivot))
    return ErrorSample(differences(z, y), labelled, z.astype(np.float64), float(pivot), own)
