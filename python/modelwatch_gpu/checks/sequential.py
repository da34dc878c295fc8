"""Verdicts that hold however often somebody looks: evidence as e-values, collected from window to window."""

from __future__ import annotations

from typing import Final

import numpy as np

from modelwatch_gpu.measures.results import Block
from modelwatch_gpu.measures.value import Floats

#: Bets that a confidence sequence for a mean mixes, as shares of the largest that cannot lose everything.
_BETS: Final = np.linspace(0.02, 0.98, 49)


def e_process(e: Floats) -> Floats:
    """(times,) an e-process for "nothing has changed so far", from one e-value a time.

    E_k = SUM over starts j <= k of w_j e_j e_(j+1) ... e_k, and the weight of starts to come, with w_j = 1/(j (j + 1)):
    whenever the change begins, evidence is collected from there on. While nothing has changed, P(any E_k >= 1/a) <= a
    (Ville 1939; mixtures of restarted products as in Shin, Ramdas and Rinaldo 2023). A time without an e-value (NaN)
    adds nothing. Every e-value must be valid given those before it: windows that share no rows.
    """
    found: Floats = e_processes(np.where(np.isnan(e), 1.0, e)[None])[0]
    return found


def e_processes(e: Floats) -> Floats:
    """(sequences, times) of many sequences at once."""
    out = np.empty_like(e)
    begun = np.zeros(len(e))
    for k in range(e.shape[1]):
        begun = e[:, k] * (begun + 1 / ((k + 1) * (k + 2)))
        out[:, k] = begun + 1 / (k + 2)
    return out


def collected(e: Floats, block: Block) -> Floats:
    """(groups,) the e-processes of a block's groups from their e-values: of every segment, or of all rows, in the order
    of windows. NaN where a group has no e-value."""
    place = block.place
    times, at = np.unique(place.starts, return_inverse=True)
    row = np.zeros(len(e), dtype=np.int64)
    if place.segments is not None:
        numbers: dict[object, int] = {}
        row = np.array([numbers.setdefault(s, len(numbers)) for s in place.segments], dtype=np.int64)
    laid = np.ones((int(row.max(initial=-1)) + 1, len(times)))
    laid[row, at] = np.where(np.isnan(e), 1.0, e)
    found: Floats = np.where(np.isnan(e), np.nan, e_processes(laid)[row, at])
    return found


def confidence_sequence(values: Floats, *, alpha: float = 0.05, grid: int = 1000) -> tuple[Floats, Floats]:
    """A band for the mean of values in [0, 1] that holds at all times at once, with probability 1 - alpha.

    Args:
        values: (times,) values between 0 and 1 with one mean, given those before: shares of days or hours, say.
        alpha: How likely it may be that the mean ever lies outside.
        grid: How many means are tried; the band is rounded outwards to multiples of 1 / grid.

    Returns:
        (times,) lower and upper ends after each value, ever narrower. The mean m is out once a fortune that bets on it
        has grown 2/alpha-fold: the mean over bets b of PROD (1 + b (x - m) / m) and of PROD (1 - b (x - m) / (1 - m))
        (Waudby-Smith and Ramdas 2024, hedged capital with a mixture of constant bets).

    Raises:
        ValueError: A value is not between 0 and 1.
    """
    if len(values) and not bool(((values >= 0) & (values <= 1)).all()):
        raise ValueError("values must lie between 0 and 1")
    means: Floats = np.arange(grid + 1) / grid
    fortunes = np.zeros((2, len(_BETS), grid + 1))  # logarithms
    inside: np.ndarray[tuple[int], np.dtype[np.bool_]] = np.ones(grid + 1, dtype=bool)
    lower, upper = np.empty(len(values)), np.empty(len(values))
    with np.errstate(divide="ignore", invalid="ignore"):
        above = _BETS[:, None] / np.maximum(means, 1e-300)[None]
        below = _BETS[:, None] / np.maximum(1 - means, 1e-300)[None]
        for k, x in enumerate(values.tolist()):
            fortunes[0] += np.log1p(above * (x - means))
            fortunes[1] += np.log1p(-below * (x - means))
            most = fortunes.max(axis=1)
            mixed = most + np.log(np.exp(fortunes - most[:, None]).mean(axis=1))
            inside &= ~(mixed.max(axis=0) >= np.log(2 / alpha))
            there = np.flatnonzero(inside)
            if len(there):
                lower[k], upper[k] = max(0.0, (there[0] - 1) / grid), min(1.0, (there[-1] + 1) / grid)
            else:  # values that cannot have one mean: the last band is all there is to say
                lower[k], upper[k] = lower[k - 1], upper[k - 1]
    return lower, upper
