"""Mergeable summaries of columns of any length: log-linear histograms for quantiles, registers for distinct values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from modelwatch_gpu import keys
from modelwatch_gpu.arrays import as_columns, in_domain
from modelwatch_gpu.device import Engine, engine
from modelwatch_gpu.device_arrays import resolve_for
from modelwatch_gpu.errors import InputError
from modelwatch_gpu.measures.sketch import BUCKET_SHIFT, distinct_estimate
from modelwatch_gpu.measures.value import REASONS
from modelwatch_gpu.stats.moments import checked_shares
from modelwatch_gpu.stats.result import ColumnResult, over_columns
from modelwatch_gpu.units import scale_of, unit_of

UInt32 = npt.NDArray[np.uint32]
UInt64 = npt.NDArray[np.uint64]
Floats = npt.NDArray[np.float64]

_ONE: Final = np.uint64(1)


@dataclass(frozen=True, eq=False)
class LogLinearHistogram:
    """Counts of a column's values in 128 buckets between a power of two and the next, of either sign, so two values of
    one bucket are no further apart than 2^-7 of either.

    ``bucket``: (k,) uint32, ascending, those that hold values: the first 19 bits of the order-preserving key of a value
    as float64. ``count``: (k,) uint64. ``nan``, ``null``: rows that have no value. ``scale``: digits after the point of
    a decimal column, which is counted in whole steps. Infinities are values. Histograms of parts add up with ``+`` to
    that of the whole, in any order.
    """

    bucket: UInt32
    count: UInt64
    nan: int
    null: int
    scale: int = 0

    @property
    def n(self) -> int:
        """Rows that have a value."""
        return int(self.count.sum())

    def __add__(self, other: LogLinearHistogram) -> LogLinearHistogram:
        if not isinstance(other, LogLinearHistogram):
            return NotImplemented
        if self.scale != other.scale:
            raise InputError(
                f"a histogram of {self.scale} digits after the point cannot be added to one of {other.scale}; "
                "give both columns one decimal type."
            )
        bucket, place = np.unique(np.concatenate([self.bucket, other.bucket]), return_inverse=True)
        count = np.zeros(len(bucket), dtype=np.uint64)
        np.add.at(count, place, np.concatenate([self.count, other.count]))
        return LogLinearHistogram(bucket, count, self.nan + other.nan, self.null + other.null, self.scale)

    def bounds(self) -> tuple[Floats, Floats]:
        """(k,) smallest and largest value that each bucket could hold, in the column's units."""
        first = self.bucket.astype(np.uint64) << BUCKET_SHIFT
        lower = keys.values_of(first, "float64")
        upper = keys.values_of(first + (_ONE << BUCKET_SHIFT) - _ONE, "float64")
        # The buckets of infinities hold them alone, and NaN's keys.
        lower, upper = np.where(np.isnan(lower), upper, lower), np.where(np.isnan(upper), lower, upper)
        if self.scale:
            unit = float(unit_of(self.scale))
            lower, upper = lower * unit, upper * unit
        return lower, upper

    def quantile(self, q: Any) -> Any:
        """The middle of the bucket that holds the smallest value x with F(x) >= q: at most 2^-8 of x away from it.

        Args:
            q: A share, or (k,) shares, 0 to 1.

        Returns:
            A float, or (k,) float64; of dates and times in ticks of their type.

        Raises:
            InputError: A share is not between 0 and 1, or there are no values.
        """
        shares = checked_shares(q)
        lower, upper = self.quantile_bounds(shares)
        # A bucket from 0 on holds zeros, but for subnormal numbers; infinities have no middle.
        whole = (lower == 0) | np.isinf(lower)
        with np.errstate(invalid="ignore"):
            middle = np.where(whole, lower, lower + (upper - lower) / 2)
        return float(middle) if shares.ndim == 0 else middle

    def quantile_bounds(self, q: Any) -> tuple[Any, Any]:
        """Smallest and largest value that the quantile could have; arguments and errors as for ``quantile``."""
        shares = checked_shares(q)
        upto = np.cumsum(self.count)
        if not len(upto):
            raise InputError(f"quantile has no answer: {REASONS['all_missing']}")
        # As doubles compare, like stats.quantile: the first bucket whose share is not below q.
        at = np.searchsorted(upto / float(upto[-1]), shares, side="left")
        lower, upper = self.bounds()
        at = np.minimum(at, len(upto) - 1)
        return lower[at], upper[at]


def log_linear_histogram(values: Any, *, device: str = "auto", threads: int = 0) -> Any:
    """The log-linear histogram of a column, from which quantiles come with a relative error of 2^-8.

    Exact and mergeable: the same counts for any order, split and number of threads. Whole numbers are rounded to
    float64 first.

    Args:
        values: (n,) or (n, columns): numbers, dates or times.
        device: "auto" (where the arrays lie), "cpu", "cuda" or "cuda:N".
        threads: 0 means MODELWATCH_THREADS or all CPUs of the process.

    Returns:
        LogLinearHistogram, or a tuple of them, one for each column.

    Raises:
        InputError: Values are not numbers.
    """
    counting = engine(resolve_for(device, values))
    columns, batched = as_columns(values, "values")
    found = tuple(_histogram_of(c, threads, counting) for c in columns)
    return found if batched else found[0]


def _histogram_of(array: pa.Array, threads: int, counting: Engine) -> LogLinearHistogram:
    if pa.types.is_null(array.type):
        return LogLinearHistogram(np.empty(0, np.uint32), np.empty(0, np.uint64), 0, len(array))
    counted = counting.log_linear_counts(_plain_numbers(array), threads)
    return LogLinearHistogram(
        counted["bucket"], counted["count"], counted["nan"], counted["null"], scale_of(array.type)
    )


def _plain_numbers(array: pa.Array) -> pa.Array:
    domain = keys.domain_of(array.type)
    if domain is None:
        raise InputError(f"values have type {array.type}; numbers, dates or times are needed.")
    return in_domain(array, domain, "values")


def approx_distinct(values: Any, *, device: str = "auto", threads: int = 0, full: bool = False) -> Any:
    """How many different values a column has, by HyperLogLog with 2^12 registers: standard error 1.6%.

    Null and NaN are left out, -0.0 and 0.0 are one value. The same number for any order, split and number of threads.
    ``distinct`` counts exactly.

    Args:
        values: (n,) or (n, columns): numbers, dates or times.
        device: "auto" (where the arrays lie), "cpu", "cuda" or "cuda:N".
        threads: 0 means MODELWATCH_THREADS or all CPUs of the process.
        full: Return a ColumnResult (or a tuple of them) instead of a float (or a (columns,) float64 array).

    Raises:
        InputError: Values are not numbers.
    """
    chosen = resolve_for(device, values)

    def one(array: pa.Array) -> ColumnResult:
        if pa.types.is_null(array.type):
            return ColumnResult(0.0, 0, len(array), chosen)
        found = engine(chosen).column_registers(_plain_numbers(array), threads)
        return ColumnResult(
            distinct_estimate(found["registers"]), found["values"], len(array) - found["values"], chosen
        )

    return over_columns(values, one, full=full)
