"""Intervals of shares from counts: of one share, and of the difference of two. Rows are taken as independent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from modelwatch_gpu.device_arrays import resolve_host
from modelwatch_gpu.errors import InputError
from modelwatch_gpu.measures import proportions as formulas
from modelwatch_gpu.stats.performance import checked_confidence

Floats = npt.NDArray[np.float64]

_METHODS: Final = {"wilson": formulas.wilson, "clopper_pearson": formulas.clopper_pearson}


@dataclass(frozen=True, eq=False)
class ProportionInterval:
    """``value`` and its interval ``lower`` to ``upper``: numbers, or arrays of the counts' shape. ``device``: what
    answered."""

    value: Any
    lower: Any
    upper: Any
    device: str


def proportion_interval(
    successes: Any, trials: Any, *, method: str = "wilson", confidence: float = 0.95, device: str = "auto"
) -> ProportionInterval:
    """The interval of a share, two-sided.

    Args:
        successes, trials: Counts, or arrays of them; 0 <= successes <= trials, and trials above 0. Effective rows need
            not be whole.
        method: "wilson", the score interval, close to its confidence on average; "clopper_pearson", exact: never below
            its confidence, and wider.
        confidence: Between 0 and 1.
        device: "auto" or "cpu".

    Raises:
        InputError: A count is not possible.
    """
    chosen = resolve_host(device)
    checked_confidence(confidence)
    if method not in _METHODS:
        raise InputError(f"method='{method}' is unknown; use 'wilson' or 'clopper_pearson'.")
    x, n = _counts(successes, trials)
    lower, upper = _METHODS[method](x, n, confidence)
    return ProportionInterval(_plain(x / n), _plain(lower), _plain(upper), chosen)


def proportion_difference(
    successes: Any, trials: Any, *, confidence: float = 0.95, device: str = "auto"
) -> ProportionInterval:
    """The difference of two shares, the second less the first, with Newcombe's interval (1998, method 10): from
    Wilson's of each.

    Args:
        successes, trials: Counts of the two, (2,) or (2, k); as for ``proportion_interval``.
        confidence: Between 0 and 1.
        device: "auto" or "cpu".

    Raises:
        InputError: A count is not possible, or there are not two.
    """
    chosen = resolve_host(device)
    checked_confidence(confidence)
    x, n = _counts(successes, trials)
    if not x.ndim or len(x) != 2:
        raise InputError("successes and trials must each be of two samples, the earlier first.")
    lower, upper = formulas.newcombe(x[0], n[0], x[1], n[1], confidence)
    return ProportionInterval(_plain(x[1] / n[1] - x[0] / n[0]), _plain(lower), _plain(upper), chosen)


def _counts(successes: Any, trials: Any) -> tuple[Floats, Floats]:
    try:
        x, n = np.broadcast_arrays(*(np.asarray(v, dtype=np.float64) for v in (successes, trials)))
    except (TypeError, ValueError) as error:
        raise InputError("successes and trials must be numbers of the same shape.") from error
    if x.ndim > 2:
        raise InputError("successes and trials must be numbers of the same shape, of two dimensions at most.")
    if not np.all(np.isfinite(n) & (n > 0) & (x >= 0) & (x <= n)):
        raise InputError("successes must be from 0 to trials, and trials finite and above 0.")
    return x, n


def _plain(values: Any) -> Any:
    found = np.asarray(values)
    return found.item() if found.ndim == 0 else found
