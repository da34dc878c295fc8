"""Anomalies in the history of any measure: what its own past does not let one expect.

A history is one number a window, in the order of time. Nothing here knows a threshold: it says where a number leaves
what came before it, and from when on. Windows without a number (NaN) are left out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from modelwatch_gpu.errors import InputError
from modelwatch_gpu.measures.value import Floats

#: A history must be so long before anything in it can be unusual.
LEAST_HISTORY: Final = 8
#: The median absolute deviation of a normal distribution is its sd divided by this.
MAD_TO_SD: Final = 1 / NormalDist().inv_cdf(0.75)


@dataclass(frozen=True, slots=True)
class Anomaly:
    """A number that its history does not let one expect.

    ``at``: which of the numbers given. ``expected``: what the past says; of a change point the mean before it.
    ``score``: how far off, in standard deviations of what the past leaves unexplained; None where that is 0.
    ``reason``: a sentence.
    """

    at: int
    value: float
    expected: float
    score: float | None
    method: str
    reason: str


def robust_z(values: Floats, *, limit: float = 3.5, least: int = LEAST_HISTORY) -> list[Anomaly]:
    """Numbers far from the median of all before them: |x - median| / (1.4826 MAD) above ``limit`` (Iglewicz and Hoaglin
    1993). Where more than half of the past is one number, its MAD is 0 and any other number is an anomaly."""
    out = []
    known = np.flatnonzero(~np.isnan(values))
    for place in range(least, len(known)):
        at, past = int(known[place]), values[known[:place]]
        median = float(np.median(past))
        spread = MAD_TO_SD * float(np.median(np.abs(past - median)))
        off = float(values[at]) - median
        score = off / spread if spread else None
        if (score is None and off != 0) or (score is not None and abs(score) > limit):
            out.append(
                _anomaly(
                    at, float(values[at]), median, score, "robust_z", f"the {place} windows before have the median"
                )
            )
    return out


def holt_winters(
    values: Floats, *, season: int | None = None, limit: float = 3.5, least: int = LEAST_HISTORY
) -> list[Anomaly]:
    """Numbers far from a forecast of one step by additive exponential smoothing (Winters 1960), fitted to all before
    them that were no anomalies themselves: |error| above ``limit`` sd of the fit's own errors.

    ``season``: numbers in a season, such as 7 for days; then two seasons must have passed. Needs statsmodels (the extra
    ``history``).
    """
    smoothing = _imported("statsmodels.tsa.holtwinters", "Holt-Winters").ExponentialSmoothing
    if season is not None and season < 2:
        raise InputError(f"A season has at least 2 windows, not {season}.")
    least = max(least, 2 * season + 2 if season is not None else 0)
    out, clean = [], values.copy()
    known = np.flatnonzero(~np.isnan(values))
    for place in range(least, len(known)):
        at, past = int(known[place]), clean[known[:place]]
        kind = "add" if season is not None else None
        model = smoothing(
            past, trend=None, seasonal=kind, seasonal_periods=season, initialization_method="estimated"
        ).fit(optimized=True)
        expected = float(model.forecast(1)[0])
        spread = float(np.std(past - model.fittedvalues, ddof=1))
        off = float(values[at]) - expected
        score = off / spread if spread else None
        if (score is None and off != 0) or (score is not None and abs(score) > limit):
            out.append(_anomaly(at, float(values[at]), expected, score, "holt_winters", "the windows before foretell"))
            clean[at] = expected
    return out


def change_points(values: Floats, *, penalty: float | None = None, least: int = 4) -> list[Anomaly]:
    """Where the level changes for good: PELT on sums of squares (Killick, Fearnhead and Eckley 2012), for parts of at
    least ``least`` windows.

    ``penalty``: in variances of what is left when jumps are taken out; default 3 log(windows), which hardly finds any
    in noise. Needs ruptures (the extra ``history``).
    """
    ruptures = _imported("ruptures", "Change points")
    known = np.flatnonzero(~np.isnan(values))
    series = values[known]
    if len(series) < max(2 * least, LEAST_HISTORY):
        return []
    steps = np.diff(series)
    # Half the spread of steps is that of noise; a median does not mind the few steps that are jumps.
    variance = (MAD_TO_SD * float(np.median(np.abs(steps - np.median(steps))))) ** 2 / 2
    if variance == 0:
        variance = float(np.var(series)) / len(series)
    if variance == 0:
        return []
    asked = 3 * np.log(len(series)) if penalty is None else penalty
    found = ruptures.Pelt(model="l2", min_size=least, jump=1).fit(series).predict(pen=asked * variance)
    out = []
    ends = [0, *found]
    for begin, at, end in zip(ends[:-2], ends[1:-1], ends[2:], strict=True):
        before, after = float(series[begin:at].mean()), float(series[at:end].mean())
        score = (after - before) / variance**0.5
        out.append(_anomaly(int(known[at]), after, before, score, "change_point", f"the {at - begin} windows before"))
    return out


#: Ways to find anomalies, by name.
METHODS: Final[dict[str, Callable[..., list[Anomaly]]]] = {
    "robust_z": robust_z,
    "holt_winters": holt_winters,
    "change_point": change_points,
}


def anomalies(values: npt.ArrayLike, *, method: str = "robust_z", **options: Any) -> list[Anomaly]:
    """Anomalies of a history, oldest first.

    Args:
        values: (windows,) numbers in the order of time, NaN (or None) where a window has none.
        method: "robust_z", "holt_winters" or "change_point".
        options: Of the method: ``limit``, ``least``, ``season``, ``penalty``.

    Raises:
        InputError: The method is not known, or its package is not installed.
    """
    if method not in METHODS:
        raise InputError(f"There is no method '{method}' for anomalies; there are {', '.join(METHODS)}.")
    return METHODS[method](np.asarray(values, dtype=np.float64).reshape(-1), **options)


def _anomaly(at: int, value: float, expected: float, score: float | None, method: str, past: str) -> Anomaly:
    far = "where nothing ever differed" if score is None else f"{abs(score):.1f} standard deviations off"
    if method == "change_point":
        reason = f"From here on the level is {value:.4g}, after {expected:.4g} in {past} ({far})."
    else:
        reason = f"{value:.4g} where {past} {expected:.4g}, {far}."
    return Anomaly(at, value, expected, score, method, reason)


def _imported(module: str, what: str) -> Any:
    import importlib

    try:
        return importlib.import_module(module)
    except ImportError:
        package = module.partition(".")[0]
        raise InputError(f"{what} needs {package}; install modelwatch-gpu[history].") from None
