"""Errors of predicted numbers beside their labels, by scikit-learn's definitions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from modelwatch_gpu.errors import InputError
from modelwatch_gpu.measures.errors import Errors, error_measure
from modelwatch_gpu.measures.errors import error_quantiles as error_quantiles_of
from modelwatch_gpu.measures.errors import quantile_loss as quantile_loss_of
from modelwatch_gpu.measures.performance import REASONS
from modelwatch_gpu.measures.value import Value
from modelwatch_gpu.stats.device_errors import errors_beside
from modelwatch_gpu.stats.grouped import resolve_labelled
from modelwatch_gpu.stats.labelled import weights_of
from modelwatch_gpu.stats.moments import checked_shares
from modelwatch_gpu.stats.result import ColumnResult, checked, over_pairs

Floats = npt.NDArray[np.float64]


def rmse(
    labels: Any, predictions: Any, *, weights: Any = None, device: str = "auto", threads: int = 0, full: bool = False
) -> Any:
    """Root of the mean squared error, in the labels' units, from 0.

    Args:
        labels, predictions: (n,), predictions also (n, columns): numbers; a row without one of them is left out.
        weights: (n,) weights of rows, finite and not negative.
        device: "auto" (where the arrays lie), "cpu", "cuda" or "cuda:N"; with weights the CPU adds up.
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


def mpe(
    labels: Any, predictions: Any, *, weights: Any = None, device: str = "auto", threads: int = 0, full: bool = False
) -> Any:
    """Mean of error / max(|label|, 2.2e-16), a signed share: positive where predictions are too high. Arguments as for
    ``rmse``."""
    return _regression("mpe", labels, predictions, weights, device, threads, full)


def smape(
    labels: Any, predictions: Any, *, weights: Any = None, device: str = "auto", threads: int = 0, full: bool = False
) -> Any:
    """Symmetric mean absolute percentage error: mean of 2 |error| / (|label| + |prediction|), 0 to 2; 0 beside 0 is 0.
    Arguments as for ``rmse``."""
    return _regression("smape", labels, predictions, weights, device, threads, full)


def max_error(
    labels: Any, predictions: Any, *, weights: Any = None, device: str = "auto", threads: int = 0, full: bool = False
) -> Any:
    """The largest |error|, in the labels' units; rows of weight 0 take no part. Arguments as for ``rmse``."""
    return _regression("max_error", labels, predictions, weights, device, threads, full)


def median_absolute_error(
    labels: Any, predictions: Any, *, weights: Any = None, device: str = "auto", threads: int = 0, full: bool = False
) -> Any:
    """Median of |error|, in the labels' units; of an even number of rows the mean of the two in the middle. Arguments
    as for ``rmse``."""
    return _regression("median_absolute_error", labels, predictions, weights, device, threads, full)


def explained_variance(
    labels: Any, predictions: Any, *, weights: Any = None, device: str = "auto", threads: int = 0, full: bool = False
) -> Any:
    """1 - (variance of the errors) / (variance of the labels), at most 1: ``r2`` of errors without their mean.
    Arguments as for ``rmse``. No number for one row or constant labels."""
    return _regression("explained_variance", labels, predictions, weights, device, threads, full)


def poisson_deviance(
    labels: Any, predictions: Any, *, weights: Any = None, device: str = "auto", threads: int = 0, full: bool = False
) -> Any:
    """Mean deviance of Poisson's distribution, from 0: 2 (y ln(y / p) - y + p) of label y and prediction p. Arguments
    as for ``rmse``; labels from 0 and predictions above 0."""
    return _regression("poisson_deviance", labels, predictions, weights, device, threads, full)


def gamma_deviance(
    labels: Any, predictions: Any, *, weights: Any = None, device: str = "auto", threads: int = 0, full: bool = False
) -> Any:
    """Mean deviance of the gamma distribution, from 0: 2 (ln(p / y) + y / p - 1) of label y and prediction p. Arguments
    as for ``rmse``; labels and predictions above 0."""
    return _regression("gamma_deviance", labels, predictions, weights, device, threads, full)


def quantile_loss(
    labels: Any,
    predictions: Any,
    *,
    q: float = 0.5,
    weights: Any = None,
    device: str = "auto",
    threads: int = 0,
    full: bool = False,
) -> Any:
    """Pinball loss of predictions of the quantile ``q``, in the labels' units, from 0: mean of q (label - prediction)
    where the label is higher, else of (1 - q) (prediction - label). Arguments as for ``rmse``; ``q``: 0 to 1."""
    share = checked_shares(q)
    if share.ndim:
        raise InputError("quantile_loss needs one q, the quantile that was predicted.")
    return _over_errors(
        "quantile_loss",
        lambda e: quantile_loss_of(e, float(share), threads),
        labels,
        predictions,
        weights,
        device,
        full,
    )


@dataclass(frozen=True, eq=False)
class ErrorQuantiles:
    """``q``: (k,) shares; ``values``: (k,) errors; ``n`` rows took part, ``missing`` did not; ``device``: what
    answered."""

    q: Floats
    values: Floats
    n: int
    missing: int
    device: str


def error_quantiles(
    labels: Any,
    predictions: Any,
    *,
    q: Any = (0.05, 0.25, 0.5, 0.75, 0.95),
    absolute: bool = False,
    weights: Any = None,
    device: str = "auto",
    threads: int = 0,
    full: bool = False,
) -> Any:
    """Quantiles of the errors, prediction - label, in the labels' units: the smallest error that a share q of the rows
    (or of their weight) does not exceed, one of the errors itself.

    Args:
        labels, predictions: As for ``rmse``.
        q: A share, or (k,) shares, 0 to 1.
        absolute: Of |error| instead.
        weights, device: As for ``rmse``.
        threads: Of no effect: errors are selected.
        full: Return an ErrorQuantiles, or a tuple of them.

    Returns:
        A float; (k,) where ``q`` is an array; (columns,) or (k, columns) where predictions have columns.

    Raises:
        InputError: As for ``rmse``, or a share is not between 0 and 1.
    """
    chosen, shares = resolve_labelled(device, labels, predictions, weights), checked_shares(q)

    def one(a: pa.Array, b: pa.Array) -> ErrorQuantiles:
        errors = errors_beside(a, b, weights_of(weights, len(a)), chosen)
        found = error_quantiles_of(errors, np.atleast_1d(shares).tolist(), absolute=absolute)
        if isinstance(found, str):
            raise InputError(f"error_quantiles has no answer: {REASONS[found]}")
        n = errors.rows
        return ErrorQuantiles(np.atleast_1d(shares), found, n, len(a) - n, chosen)

    results = over_pairs(labels, predictions, one, full=True, names=("labels", "predictions"), shared=True)
    if full:
        return results
    if isinstance(results, tuple):
        out = np.stack([r.values for r in results], axis=1) if results else np.empty((len(np.atleast_1d(shares)), 0))
    else:
        out = results.values
    return out[0] if shares.ndim == 0 else out


def _regression(name: str, labels: Any, predictions: Any, weights: Any, device: str, threads: int, full: bool) -> Any:
    return _over_errors(name, lambda e: error_measure(name, e, threads), labels, predictions, weights, device, full)


def _over_errors(
    name: str,
    measure: Callable[[Errors], Value],
    labels: Any,
    predictions: Any,
    weights: Any,
    device: str,
    full: bool,
) -> Any:
    chosen = resolve_labelled(device, labels, predictions, weights)

    def one(a: pa.Array, b: pa.Array) -> ColumnResult:
        errors = errors_beside(a, b, weights_of(weights, len(a)), chosen)
        n = errors.rows
        return ColumnResult(checked(measure(errors), name, REASONS)[0], n, len(a) - n, chosen)

    return over_pairs(labels, predictions, one, full=full, names=("labels", "predictions"), shared=True)
