"""Moments and quantiles of columns, and how far they moved."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from modelwatch_gpu import _core, keys
from modelwatch_gpu.arrays import as_columns, in_domain, is_numeric, present_values
from modelwatch_gpu.device import Engine, engine
from modelwatch_gpu.device_arrays import resolve_for
from modelwatch_gpu.errors import InputError
from modelwatch_gpu.measures.value import REASONS, Value
from modelwatch_gpu.stats.cells import comparable, distinct_of
from modelwatch_gpu.stats.result import StatResult, checked, over_pairs


@dataclass(frozen=True)
class Moments:
    """Moments of the finite values of a column. ``count``: how many. ``sd``: the population's. ``skewness``,
    ``kurtosis``: the population's, of the normal distribution 0; None where the column is constant. ``min``, ``max``:
    in the column's own type, so whole numbers keep every digit. They are None where ``count`` is 0, and a moment is
    where it is too large for a double. Dates and times count in ticks of their type.

    ``null_count``, ``nan_count``, ``positive_infinity_count``, ``negative_infinity_count``: the rows that take no part;
    with ``count`` they add up to all. ``zero_count``: finite values that are 0 or -0."""

    count: int
    mean: float | None
    sd: float | None
    skewness: float | None
    kurtosis: float | None
    min: float | int | None
    max: float | int | None
    null_count: int = 0
    nan_count: int = 0
    positive_infinity_count: int = 0
    negative_infinity_count: int = 0
    zero_count: int = 0


#: Power sums about the mean: count, mean less the pivot, and SUM (x - mean)^p for p of 2, 3, 4.
Sums = tuple[int, float, float, float, float]


def ordered_sums(array: pa.Array, domain: str, pivot: int, threads: int, counting: Engine = _core) -> Sums:
    """Power sums of the finite values of a column of the domain, in the engine's fixed order (blocks of 1,024 rows,
    16 lanes): the same bits for any number of threads. ``pivot`` is taken off whole numbers before they are rounded."""
    about = None if keys.is_float(domain) else _key(pivot, domain)
    found = counting.column_moments(in_domain(array, domain, "values"), about, threads)
    return found["count"], found["mean"], found["m2"], found["m3"], found["m4"]


def _key(value: int, domain: str) -> int:
    return int(keys.keys_of(np.array([value], dtype=domain), domain)[0])


def _value(key: int, domain: str) -> Any:
    return keys.values_of(np.array([key], dtype=np.uint64), domain)[0].item()


def _pivot(values: npt.NDArray[Any]) -> int:
    return int(values.min()) if values.dtype.kind in "iu" and len(values) else 0


def moments_of(array: pa.Array, threads: int, counting: Engine = _core) -> Moments:
    """Moments of one column."""
    if not is_numeric(array):
        raise InputError(f"values have type {array.type}; numbers, dates or times are needed.")
    domain = str(keys.domain_of(array.type))
    found = counting.column_moments(in_domain(array, domain, "values"), None, threads)
    special = tuple(found[kind] for kind in ("null", "nan", "positive_infinity", "negative_infinity", "zero"))
    count, mean, m2, m3, m4 = (found[name] for name in ("count", "mean", "m2", "m3", "m4"))
    if count == 0:
        return Moments(0, None, None, None, None, None, None, *special)
    low, high = _value(found["low"], domain), _value(found["high"], domain)
    variance = m2 / count
    skewness = kurtosis = None
    sd = 0.0 if low == high else math.sqrt(max(0.0, variance)) if math.isfinite(variance) else None
    # A constant column may keep a variance of rounding errors; its range says that it is constant.
    if low != high and variance**2 > 0 and math.isfinite(m4):
        skewness, kurtosis = m3 / count / variance**1.5, m4 / count / variance**2 - 3
    pivot = 0 if keys.is_float(domain) else _value(found["pivot"], domain)
    return Moments(count, mean + pivot if math.isfinite(mean) else None, sd, skewness, kurtosis, low, high, *special)


def moments(values: Any, *, device: str = "auto", threads: int = 0) -> Any:
    """Count, mean, standard deviation, skewness, kurtosis and range of the finite values, and how many values are
    special: null, NaN, infinite, zero. The column is read once.

    Args:
        values: (n,) or (n, columns).
        device: "auto" (where the arrays lie), "cpu", "cuda" or "cuda:N".
        threads: 0 means MODELWATCH_THREADS or all CPUs of the process; the bits do not depend on it.

    Returns:
        Moments, or a tuple of them, one for each column.
    """
    counting = engine(resolve_for(device, values))
    columns, batched = as_columns(values, "values")
    found = [
        Moments(0, None, None, None, None, None, None, len(c))
        if pa.types.is_null(c.type)
        else moments_of(c, threads, counting)
        for c in columns
    ]
    return tuple(found) if batched else found[0]


def mean_shift(reference: Any, current: Any, *, device: str = "auto", threads: int = 0, full: bool = False) -> Any:
    """(mean of current - mean of reference) / sd of reference, finite values only, population sd.

    Args:
        reference, current: (n,) and (m,), or (n, columns) and (m, columns).
        device: "auto" (where the arrays lie), "cpu", "cuda" or "cuda:N".
        threads: 0 means MODELWATCH_THREADS or all CPUs of the process.
        full: Return a StatResult (or a tuple of them) instead of a float (or a (columns,) float64 array).

    Raises:
        InputError: A side has no finite values, or the reference is constant.
    """
    return _moved(reference, current, "mean_shift", device, threads, full)


def sd_ratio(reference: Any, current: Any, *, device: str = "auto", threads: int = 0, full: bool = False) -> Any:
    """sd of current / sd of reference, at least 0. Arguments and errors as for ``mean_shift``."""
    return _moved(reference, current, "sd_ratio", device, threads, full)


def _moved(reference: Any, current: Any, name: str, device: str, threads: int, full: bool) -> Any:
    chosen = resolve_for(device, reference, current)

    def one(a: pa.Array, b: pa.Array) -> StatResult:
        a, b, domain = comparable(a, b)
        values = present_values(a)
        pivot = _pivot(values)  # one pivot for both, so that their difference is exact beyond 2^53
        n, mean_a, m2_a = ordered_sums(a, domain, pivot, threads, engine(chosen))[:3]
        m, mean_b, m2_b = ordered_sums(b, domain, pivot, threads, engine(chosen))[:3]
        if n == 0 or m == 0:
            value = Value.absent("baseline_all_missing" if n == 0 else "all_missing", m)
        elif not math.isfinite(m2_a):
            value = Value.absent("not_finite", m)
        elif not m2_a > 0 or values[values > -np.inf].min() == values[values < np.inf].max():
            value = Value.absent("constant_baseline", m)
        elif name == "mean_shift":
            value = Value.exact((mean_b - mean_a) / math.sqrt(m2_a / n), m)
        else:
            value = Value.exact(math.sqrt(max(0.0, m2_b) / m) / math.sqrt(m2_a / n), m)
        return StatResult(*checked(value, name), n=n, m=m, missing=len(b) - len(present_values(b)), device=chosen)

    return over_pairs(reference, current, one, full=full)


def checked_shares(q: Any) -> npt.NDArray[np.float64]:
    """Shares of quantiles as () or (k,) float64; raises InputError where one is not between 0 and 1."""
    shares = np.asarray(q)
    if shares.dtype.kind not in "iuf" or shares.ndim > 1 or not np.all((shares >= 0) & (shares <= 1)):
        raise InputError(f"q={q}: a quantile needs shares from 0 to 1.")
    return shares.astype(np.float64)


def quantile(values: Any, q: Any, *, device: str = "auto", threads: int = 0) -> Any:
    """The smallest value x with F(x) >= q, exactly: the inverse of the empirical distribution function.

    No interpolation, so the answer is one of the values and keeps their dtype: whole numbers beyond 2^53 every digit,
    dates and times their unit. ``numpy.quantile(method="inverted_cdf")`` is the same except where its product of q and
    n is rounded across a whole number. Null and NaN are left out; infinities are ordinary values.

    Args:
        values: (n,) or (n, columns).
        q: A share, or (k,) shares, 0 to 1.
        device: "auto" (where the arrays lie), "cpu", "cuda" or "cuda:N".
        threads: Of no effect: values are selected, not counted.

    Returns:
        A scalar of the values' dtype; (k,) where ``q`` is an array; (columns,) or (k, columns) where values have
        columns.

    Raises:
        InputError: A share is not between 0 and 1, or a column has no values.
    """
    chosen = resolve_for(device, values)
    shares = checked_shares(q)
    columns, batched = as_columns(values, "values")
    found = [_selected(c, np.atleast_1d(shares), chosen) for c in columns]
    if not found:
        return np.empty((0,) if shares.ndim == 0 else (len(shares), 0))
    out = np.stack(found, axis=1) if batched else found[0]
    return out[0] if shares.ndim == 0 else out


def _selected(array: pa.Array, shares: npt.NDArray[np.float64], device: str) -> npt.NDArray[Any]:
    if pa.types.is_null(array.type):
        raise InputError("values has no values.")
    if not is_numeric(array):
        raise InputError(f"values have type {array.type}; numbers, dates or times are needed.")
    own = array.type
    domain = str(keys.domain_of(own))
    column = in_domain(array, domain, "values")
    if device == "cpu":
        held = present_values(column)
        rows = len(held)
    else:
        found, counts = distinct_of(column, domain, device)
        held, upto = keys.values_of(found, domain), np.cumsum(counts)
        rows = int(upto[-1]) if len(upto) else 0
    if rows == 0:
        raise InputError(f"quantile has no answer: {REASONS['all_missing']}")
    at = np.array([_place(share, rows) for share in shares.tolist()], dtype=np.int64)
    if device != "cpu":
        picked = held[np.searchsorted(upto, at, side="right")]
    else:
        picked = np.partition(held, np.unique(at))[at] if len(at) else held[:0]
    if pa.types.is_temporal(own):
        width = pa.int32() if own.bit_width == 32 else pa.int64()
        typed: npt.NDArray[Any] = pa.array(picked, pa.int64()).cast(width).cast(own).to_numpy(zero_copy_only=False)
        return typed
    return picked.astype(own.to_pandas_dtype())


def _place(share: float, n: int) -> int:
    """Smallest k with (k + 1) / n >= share, as doubles compare."""
    k = max(0, min(n - 1, math.ceil(share * n) - 1))
    while k > 0 and k / n >= share:
        k -= 1
    while (k + 1) / n < share:
        k += 1
    return k
