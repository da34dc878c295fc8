"""Errors of predicted numbers, from rows of labels and predictions. scikit-learn's definitions where it has one."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

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


class Errors(Protocol):
    """Rows with a label and a prediction, wherever they lie: what the measures ask of them. Means are in the engine's
    fixed order of summation where rows have no weights, the same bits for any number of threads and on every device.

    ``rows``: how many; ``total``: rows, or the sum of their weights; ``finite``: whether every error is;
    ``label_range``: rows that count, and the smallest and the largest of their labels less one number; ``least_label``,
    ``least_prediction``: the smallest of them, NaN without rows.
    """

    @property
    def rows(self) -> int: ...
    @property
    def total(self) -> float: ...
    @property
    def finite(self) -> bool: ...
    @property
    def label_range(self) -> tuple[int, float, float]: ...
    @property
    def least_label(self) -> float: ...
    @property
    def least_prediction(self) -> float: ...
    def mean(self, term: str, threads: int, q: float = 0.5) -> float:
        """Mean of a term (``TERMS``), or of the errors themselves ("error")."""

    def mean_square(self, of: str, threads: int, *, centred: bool = False) -> float:
        """Mean of the squares of "errors" or "labels", or of the squared deviations from their mean."""

    def largest(self) -> float:
        """The largest |error|, of rows that have a weight."""

    def median_size(self) -> float:
        """The median of |error|."""

    def quantiles(self, shares: Sequence[float], *, absolute: bool) -> Floats:
        """The smallest errors (or sizes of errors) that shares of the rows do not exceed."""


@dataclass(frozen=True, eq=False)
class ErrorSample:
    """``Errors`` of the host, (n,) each. ``errors``: prediction - label, rounded once; ``labels``: less ``pivot``, so
    that large whole numbers keep their differences; ``predictions``: rounded once; ``weights``: None where every row
    counts alike."""

    errors: Floats
    labels: Floats
    predictions: Floats
    pivot: float
    weights: Floats | None

    @property
    def whole_labels(self) -> Floats:
        """The labels themselves."""
        return self.labels + self.pivot

    @property
    def rows(self) -> int:
        """As ``Errors``."""
        return len(self.errors)

    @property
    def total(self) -> float:
        """As ``Errors``."""
        return len(self.errors) if self.weights is None else float(self.weights.sum())

    @property
    def finite(self) -> bool:
        """As ``Errors``."""
        return bool(np.isfinite(self.errors).all())

    @property
    def label_range(self) -> tuple[int, float, float]:
        """As ``Errors``."""
        used = self.labels if self.weights is None else self.labels[self.weights > 0]
        return len(used), float(used.min(initial=math.inf)), float(used.max(initial=-math.inf))

    @property
    def least_label(self) -> float:
        """As ``Errors``."""
        return float(self.whole_labels.min()) if len(self.labels) else math.nan

    @property
    def least_prediction(self) -> float:
        """As ``Errors``."""
        return float(self.predictions.min()) if len(self.predictions) else math.nan

    def mean(self, term: str, threads: int, q: float = 0.5) -> float:
        """As ``Errors``."""
        return _mean(self.errors if term == "error" else _TERMS_HERE[term](self, q), self.weights, threads)

    def mean_square(self, of: str, threads: int, *, centred: bool = False) -> float:
        """As ``Errors``."""
        return _mean_square(self.errors if of == "errors" else self.labels, self.weights, threads, centred=centred)

    def largest(self) -> float:
        """As ``Errors``."""
        used = self.errors if self.weights is None else self.errors[self.weights > 0]
        return float(np.max(np.abs(used)))

    def median_size(self) -> float:
        """As ``Errors``."""
        size = np.abs(self.errors)
        if self.weights is None:
            return float(np.median(size))
        # The smallest error that half of the weight does not exceed, and the largest that half of it reaches, as of
        # repeated rows.
        order, upto = _by_size(size, self.weights)
        half = upto[-1] / 2
        low = size[order[np.searchsorted(upto, half, side="left")]]
        high = size[order[np.searchsorted(upto, half, side="right")]]
        return float(low / 2 + high / 2)

    def quantiles(self, shares: Sequence[float], *, absolute: bool) -> Floats:
        """As ``Errors``."""
        size = np.abs(self.errors) if absolute else self.errors
        if self.weights is None:
            places = ranks_of(shares, np.array([len(size)]))[:, 0] - 1
            found: Floats = np.partition(size, np.unique(places))[places] if len(places) else size[:0]
            return found
        order, upto = _by_size(size, self.weights)
        wanted = np.minimum(np.searchsorted(upto, np.asarray(shares) * upto[-1], side="left"), len(order) - 1)
        picked: Floats = size[order[wanted]]
        return picked


def _by_size(size: Floats, weights: Floats) -> tuple[npt.NDArray[np.intp], Floats]:
    """Rows that have a weight from the smallest on, and their weights added up."""
    order = np.argsort(size, kind="stable")
    order = order[weights[order] > 0]
    return order, np.cumsum(weights[order])


def _mean(values: Floats, weights: Floats | None, threads: int) -> float:
    """In the engine's fixed order of summation, where rows have no weights."""
    if weights is None:
        mean: float = _core.column_moments(pa.array(values), None, threads)["mean"]
        return mean
    return float(np.sum(values * weights) / np.sum(weights))


def _mean_square(values: Floats, weights: Floats | None, threads: int, *, centred: bool = False) -> float:
    if weights is None:
        return mean_square_of(_core.column_moments(pa.array(values), None, threads), centred=centred)
    if centred:
        values = values - _mean(values, weights, threads)
    return _mean(values * values, weights, threads)


def mean_square_of(moments: Mapping[str, Any], *, centred: bool) -> float:
    """Mean of the squares, or of the squared deviations from the mean, of a column's moments."""
    spread: float = moments["m2"] / moments["count"]
    return spread + (0.0 if centred else moments["mean"] * moments["mean"])


def _relative(e: ErrorSample, q: float) -> Floats:
    return np.abs(e.errors) / np.maximum(np.abs(e.whole_labels), _LEAST_LABEL)


def _signed_relative(e: ErrorSample, q: float) -> Floats:
    return e.errors / np.maximum(np.abs(e.whole_labels), _LEAST_LABEL)


def _symmetric(e: ErrorSample, q: float) -> Floats:
    # In units of the larger side, so that sums of large numbers stay finite. No error of 0 beside 0 is 0.
    y, z = np.abs(e.whole_labels), np.abs(e.predictions)
    unit = np.maximum(y, z)
    unit = np.where(unit > 0, unit, 1.0)
    size = (y / unit + z / unit) / 2
    found: Floats = np.abs(e.errors) / unit / np.where(size > 0, size, 1.0)
    return found


def _poisson(e: ErrorSample, q: float) -> Floats:
    y, z = e.whole_labels, e.predictions
    some = y > 0
    logs = np.log(np.where(some, y, 1.0) / z)
    found: Floats = 2 * (np.where(some, y * logs, 0.0) + e.errors)
    return found


def _gamma(e: ErrorSample, q: float) -> Floats:
    y, z = e.whole_labels, e.predictions
    found: Floats = 2 * (np.log(z / y) - e.errors / z)
    return found


def _quantile(e: ErrorSample, q: float) -> Floats:
    found: Floats = np.maximum(-q * e.errors, (1 - q) * e.errors)
    return found


_TERMS_HERE: Final[dict[str, Callable[[ErrorSample, float], Floats]]] = {
    "absolute": lambda e, q: np.abs(e.errors),
    "relative": _relative,
    "signed_relative": _signed_relative,
    "symmetric": _symmetric,
    "poisson": _poisson,
    "gamma": _gamma,
    "quantile": _quantile,
}
#: What measures take the mean of, by the numbers of ``cpp/core/error_rule.hpp``, where devices have the same terms.
TERMS: Final = tuple(_TERMS_HERE)


def _share_of_variance(e: Errors, threads: int, *, centred: bool) -> float:
    spread = e.mean_square("labels", threads, centred=True)
    return 1 - e.mean_square("errors", threads, centred=centred) / spread


_MEASURES: Final[dict[str, Callable[[Errors, int], float]]] = {
    "rmse": lambda e, threads: math.sqrt(e.mean_square("errors", threads)),
    "mae": lambda e, threads: e.mean("absolute", threads),
    "me": lambda e, threads: e.mean("error", threads),
    "mape": lambda e, threads: e.mean("relative", threads),
    "mpe": lambda e, threads: e.mean("signed_relative", threads),
    "smape": lambda e, threads: e.mean("symmetric", threads),
    "r2": lambda e, threads: _share_of_variance(e, threads, centred=False),
    "explained_variance": lambda e, threads: _share_of_variance(e, threads, centred=True),
    "max_error": lambda e, threads: e.largest(),
    "median_absolute_error": lambda e, threads: e.median_size(),
    "poisson_deviance": lambda e, threads: e.mean("poisson", threads),
    "gamma_deviance": lambda e, threads: e.mean("gamma", threads),
}
#: Shares of a variance of the labels, which constant labels do not have.
_OF_VARIANCE: Final = ("r2", "explained_variance")


def _refused(name: str, e: Errors) -> Value | None:
    """A reason why there is no number; raises InputError for values that the measure is not made for."""
    if not e.total:
        return Value.absent("no_rows")
    if not e.finite:
        raise InputError(f"{name} has no answer: labels or predictions hold infinite values, or differ by too much.")
    if name in _OF_VARIANCE:
        used, low, high = e.label_range
        if used == 1 or low == high:
            return Value.absent("one_row" if used == 1 else "constant_labels", e.rows)
    if name.endswith("deviance"):
        positive = name == "gamma_deviance"
        least = e.least_label
        if least < 0 or (positive and least == 0) or e.least_prediction <= 0:
            which = "labels and predictions above 0" if positive else "labels from 0 and predictions above 0"
            raise InputError(f"{name} has no answer: it needs {which}.")
    return None


def error_measure(name: str, e: Errors, threads: int) -> Value:
    """One of ``_MEASURES``."""
    refused = _refused(name, e)
    if refused is not None:
        return refused
    try:
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            return Value.exact(_MEASURES[name](e, threads), e.rows)
    except OverflowError:
        return Value.absent("not_finite", e.rows)


def quantile_loss(e: Errors, q: float, threads: int) -> Value:
    """Mean of q (label - prediction) where that is positive, else of (1 - q) (prediction - label): the loss that the
    quantile q makes smallest (Koenker and Bassett 1978)."""
    refused = _refused("quantile_loss", e)
    if refused is not None:
        return refused
    with np.errstate(over="ignore"):
        return Value.exact(e.mean("quantile", threads, q), e.rows)


def error_quantiles(e: Errors, shares: Sequence[float], *, absolute: bool) -> Floats | str:
    """The smallest errors x that a share q of the rows does not exceed, or the reason why there are none."""
    refused = _refused("error_quantiles", e)
    if refused is not None:
        return str(refused.reason)
    return e.quantiles(shares, absolute=absolute)
