"""Errors of predicted numbers, from rows of labels and predictions. scikit-learn's definitions where it has one."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from modelwatch_gpu import _core
from modelwatch_gpu.errors import InputError
from modelwatch_gpu.measures.quantiles import ranks_of
from modelwatch_gpu.measures.value import Value

Floats = npt.NDArray[np.float64]

#: mape and mpe divide by at least this, as scikit-learn does.
_LEAST_LABEL = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, eq=False)
class ErrorSample:
    """Rows with a label and a prediction, (n,) each. ``errors``: prediction - label, rounded once; ``labels``: less
    ``pivot``, so that large whole numbers keep their differences; ``predictions``: rounded once; ``weights``: None
    where every row counts alike."""

    errors: Floats
    labels: Floats
    predictions: Floats
    pivot: float
    weights: Floats | None

    @property
    def whole_labels(self) -> Floats:
        """The labels themselves."""
        return self.labels + self.pivot


def _mean(values: Floats, weights: Floats | None, threads: int) -> float:
    """In the engine's fixed order of summation, where rows have no weights: the same bits for any number of threads."""
    if weights is None:
        mean: float = _core.column_moments(pa.array(values), None, threads)["mean"]
        return mean
    return float(np.sum(values * weights) / np.sum(weights))


def _mean_square(values: Floats, weights: Floats | None, threads: int, *, centred: bool = False) -> float:
    """Mean of the squares, or of the squared deviations from the mean."""
    if weights is None:
        found = _core.column_moments(pa.array(values), None, threads)
        spread: float = found["m2"] / found["count"]
        return spread + (0.0 if centred else found["mean"] * found["mean"])
    if centred:
        values = values - _mean(values, weights, threads)
    return _mean(values * values, weights, threads)


def _rmse(e: ErrorSample, threads: int) -> float:
    return math.sqrt(_mean_square(e.errors, e.weights, threads))


def _mae(e: ErrorSample, threads: int) -> float:
    return _mean(np.abs(e.errors), e.weights, threads)


def _me(e: ErrorSample, threads: int) -> float:
    return _mean(e.errors, e.weights, threads)


def _mape(e: ErrorSample, threads: int) -> float:
    return _mean(np.abs(e.errors) / np.maximum(np.abs(e.whole_labels), _LEAST_LABEL), e.weights, threads)


def _mpe(e: ErrorSample, threads: int) -> float:
    return _mean(e.errors / np.maximum(np.abs(e.whole_labels), _LEAST_LABEL), e.weights, threads)


def _smape(e: ErrorSample, threads: int) -> float:
    # In units of the larger side, so that sums of large numbers stay finite. No error of 0 beside 0 is 0.
    y, z = np.abs(e.whole_labels), np.abs(e.predictions)
    unit = np.maximum(y, z)
    unit = np.where(unit > 0, unit, 1.0)
    size = (y / unit + z / unit) / 2
    return _mean(np.abs(e.errors) / unit / np.where(size > 0, size, 1.0), e.weights, threads)


def _r2(e: ErrorSample, threads: int) -> float:
    spread = _mean_square(e.labels, e.weights, threads, centred=True)
    return 1 - _mean_square(e.errors, e.weights, threads) / spread


def _explained_variance(e: ErrorSample, threads: int) -> float:
    spread = _mean_square(e.labels, e.weights, threads, centred=True)
    return 1 - _mean_square(e.errors, e.weights, threads, centred=True) / spread


def _max_error(e: ErrorSample, threads: int) -> float:
    return float(np.max(np.abs(_weighty(e))))


def _median_absolute_error(e: ErrorSample, threads: int) -> float:
    size = np.abs(e.errors)
    if e.weights is None:
        return float(np.median(size))
    # The smallest error that half of the weight does not exceed, and the largest that half of it reaches, as of
    # repeated rows.
    order = np.argsort(size, kind="stable")
    order = order[e.weights[order] > 0]
    upto = np.cumsum(e.weights[order])
    half = upto[-1] / 2
    low = size[order[np.searchsorted(upto, half, side="left")]]
    high = size[order[np.searchsorted(upto, half, side="right")]]
    return float(low / 2 + high / 2)


def _poisson_deviance(e: ErrorSample, threads: int) -> float:
    y, z = e.whole_labels, e.predictions
    some = y > 0
    logs = np.log(np.where(some, y, 1.0) / z)
    return _mean(2 * (np.where(some, y * logs, 0.0) + e.errors), e.weights, threads)


def _gamma_deviance(e: ErrorSample, threads: int) -> float:
    y, z = e.whole_labels, e.predictions
    return _mean(2 * (np.log(z / y) - e.errors / z), e.weights, threads)


_MEASURES: Final[dict[str, Callable[[ErrorSample, int], float]]] = {
    "rmse": _rmse,
    "mae": _mae,
    "me": _me,
    "mape": _mape,
    "mpe": _mpe,
    "smape": _smape,
    "r2": _r2,
    "explained_variance": _explained_variance,
    "max_error": _max_error,
    "median_absolute_error": _median_absolute_error,
    "poisson_deviance": _poisson_deviance,
    "gamma_deviance": _gamma_deviance,
}
#: Shares of a variance of the labels, which constant labels do not have.
_OF_VARIANCE: Final = ("r2", "explained_variance")


def _weighty(e: ErrorSample) -> Floats:
    return e.errors if e.weights is None else e.errors[e.weights > 0]


def _refused(name: str, e: ErrorSample) -> Value | None:
    """A reason why there is no number; raises InputError for values that the measure is not made for."""
    if not (len(e.errors) if e.weights is None else float(e.weights.sum())):
        return Value.absent("no_rows")
    if not np.isfinite(e.errors).all():
        raise InputError(f"{name} has no answer: labels or predictions hold infinite values, or differ by too much.")
    if name in _OF_VARIANCE:
        used = e.labels if e.weights is None else e.labels[e.weights > 0]
        if len(used) == 1 or used.min() == used.max():
            return Value.absent("one_row" if len(used) == 1 else "constant_labels", len(e.errors))
    if name.endswith("deviance"):
        positive = name == "gamma_deviance"
        least = e.whole_labels.min()
        if least < 0 or (positive and least == 0) or e.predictions.min() <= 0:
            which = "labels and predictions above 0" if positive else "labels from 0 and predictions above 0"
            raise InputError(f"{name} has no answer: it needs {which}.")
    return None


def error_measure(name: str, e: ErrorSample, threads: int) -> Value:
    """One of ``_MEASURES``."""
    refused = _refused(name, e)
    if refused is not None:
        return refused
    try:
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            return Value.exact(_MEASURES[name](e, threads), len(e.errors))
    except OverflowError:
        return Value.absent("not_finite", len(e.errors))


def quantile_loss(e: ErrorSample, q: float, threads: int) -> Value:
    """Mean of q (label - prediction) where that is positive, else of (1 - q) (prediction - label): the loss that the
    quantile q makes smallest (Koenker and Bassett 1978)."""
    refused = _refused("quantile_loss", e)
    if refused is not None:
        return refused
    with np.errstate(over="ignore"):
        losses = np.maximum(-q * e.errors, (1 - q) * e.errors)
    return Value.exact(_mean(losses, e.weights, threads), len(e.errors))


def error_quantiles(e: ErrorSample, shares: Sequence[float], *, absolute: bool) -> Floats | str:
    """The smallest errors x that a share q of the rows does not exceed, or the reason why there are none."""
    refused = _refused("error_quantiles", e)
    if refused is not None:
        return str(refused.reason)
    size = np.abs(e.errors) if absolute else e.errors
    if e.weights is None:
        places = ranks_of(shares, np.array([len(size)]))[:, 0] - 1
        found: Floats = np.partition(size, np.unique(places))[places] if len(places) else size[:0]
        return found
    order = np.argsort(size, kind="stable")
    order = order[e.weights[order] > 0]
    upto = np.cumsum(e.weights[order])
    wanted = np.minimum(np.searchsorted(upto, np.asarray(shares) * upto[-1], side="left"), len(order) - 1)
    picked: Floats = size[order[wanted]]
    return picked
