"""Errors of predicted numbers beside their labels, by scikit-learn's definitions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from modelwatch_gpu.device import resolve
from modelwatch_gpu.errors import InputError
from modelwatch_gpu.measures.performance import REASONS
from modelwatch_gpu.measures.value import Value
from modelwatch_gpu.stats.labelled import Errors, Weights, errors_of, weights_of
from modelwatch_gpu.stats.moments import sums_of
from modelwatch_gpu.stats.result import ColumnResult, checked, over_pairs

Floats = npt.NDArray[np.float64]

#: mape divides by at least this, as scikit-learn does.
_LEAST_LABEL = float(np.finfo(np.float64).eps)


def rmse(
    labels: Any, predictions: Any, *, weights: Any = None, device: str = "auto", threads: int = 0, full: bool = False
) -> Any:
    """Root of the mean squared error, in the labels' units, from 0.

    Args:
        labels, predictions: (n,), predictions also (n, columns): numbers; a row without one of them is left out.
        weights: (n,) weights of rows, finite and not negative.
        device: "auto" or "cpu".
        threads: 0 means MODELWATCH_THREADS or all CPUs of the process; the bits do not depend on it.
        full: Return a ColumnResult (or a tuple of them) instead of a float (or a (columns,) float64 array).

    Raises:
        InputError: No row has both, a value is infinite, or rows do not match.
    """
    return _regression("rmse", labels, predictions, weights, device, threads, full)


def mae(
    labels: Any, predictions: Any, *, weights: Any = None, device: str = "auto", threads: int = 0, full: bool = False
) -> Any:
    """Mean absolute error, in the labels' units, from 0. Arguments as for ``rmse``."""
    return _regression("mae", labels, predictions, weights, device, threads, full)


def me(
    labels: Any, predictions: Any, *, weights: Any = None, device: str = "auto", threads: int = 0, full: bool = False
) -> Any:
    """Mean error, prediction - label, in the labels' units: the bias. Arguments as for ``rmse``."""
    return _regression("me", labels, predictions, weights, device, threads, full)


def mape(
    labels: Any, predictions: Any, *, weights: Any = None, device: str = "auto", threads: int = 0, full: bool = False
) -> Any:
    """Mean of |error| / max(|label|, 2.2e-16), a share, from 0: a label of 0 makes it huge, as scikit-learn's.
    Arguments as for ``rmse``."""
    return _regression("mape", labels, predictions, weights, device, threads, full)


def r2(
    labels: Any, predictions: Any, *, weights: Any = None, device: str = "auto", threads: int = 0, full: bool = False
) -> Any:
    """1 - (sum of squared errors) / (sum of squared deviations of the labels from their mean), at most 1. Arguments as
    for ``rmse``. No number for one row or constant labels."""
    return _regression("r2", labels, predictions, weights, device, threads, full)


def _mean(values: Floats, weights: Weights, threads: int) -> float:
    if weights is None:
        return sums_of(values, threads)[1]
    return float(np.sum(values * weights) / np.sum(weights))


def _mean_square(values: Floats, weights: Weights, threads: int, *, centred: bool = False) -> float:
    """Mean of the squares, or of the squared deviations from the mean."""
    if weights is None:
        count, mean, m2 = sums_of(values, threads)[:3]
        return m2 / count + (0.0 if centred else mean * mean)
    if centred:
        values = values - _mean(values, weights, threads)
    return _mean(values * values, weights, threads)


def _rmse(e: Errors, threads: int) -> float:
    return math.sqrt(_mean_square(e.errors, e.weights, threads))


def _mae(e: Errors, threads: int) -> float:
    return _mean(np.abs(e.errors), e.weights, threads)


def _me(e: Errors, threads: int) -> float:
    return _mean(e.errors, e.weights, threads)


def _mape(e: Errors, threads: int) -> float:
    size = np.maximum(np.abs(e.labels + e.pivot), _LEAST_LABEL)
    return _mean(np.abs(e.errors) / size, e.weights, threads)


def _r2(e: Errors, threads: int) -> float:
    spread = _mean_square(e.labels, e.weights, threads, centred=True)
    return 1 - _mean_square(e.errors, e.weights, threads) / spread


_MEASURES: dict[str, Callable[[Errors, int], float]] = {
    "rmse": _rmse,
    "mae": _mae,
    "me": _me,
    "mape": _mape,
    "r2": _r2,
}


def _regression(name: str, labels: Any, predictions: Any, weights: Any, device: str, threads: int, full: bool) -> Any:
    chosen = resolve(device)

    def one(a: pa.Array, b: pa.Array) -> ColumnResult:
        errors = errors_of(a, b, weights_of(weights, len(a)))
        n = len(errors.errors)
        with np.errstate(over="ignore", invalid="ignore"):
            value = _value(name, errors, n, threads)
        return ColumnResult(checked(value, name, REASONS)[0], n, len(a) - n, chosen)

    return over_pairs(labels, predictions, one, full=full, names=("labels", "predictions"), shared=True)


def _value(name: str, errors: Errors, n: int, threads: int) -> Value:
    weighted = n if errors.weights is None else float(errors.weights.sum())
    if not weighted:
        return Value.absent("no_rows")
    if not np.isfinite(errors.errors).all():
        raise InputError(f"{name} has no answer: labels or predictions hold infinite values, or differ by too much.")
    if name == "r2":
        used = errors.labels if errors.weights is None else errors.labels[errors.weights > 0]
        if len(used) == 1 or used.min() == used.max():
            return Value.absent("one_row" if len(used) == 1 else "constant_labels", n)
    try:
        return Value.exact(_MEASURES[name](errors, threads), n)
    except OverflowError:
        return Value.absent("not_finite", n)
