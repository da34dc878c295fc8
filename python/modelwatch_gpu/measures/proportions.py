"""Confidence intervals of shares and of their differences, for independent rows."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

#: ln n! less Stirling's sqrt(2 pi n) (n/e)^n is a series from here on.
_STIRLING_FROM = 16


def normal_quantile(confidence: float) -> float:
    """How many standard deviations a two-sided interval of a normal distribution reaches to each side."""
    # By the lower tail, which keeps its digits where the confidence is close to 1.
    return -NormalDist().inv_cdf((1 - confidence) / 2)


def wilson(successes: npt.ArrayLike, trials: npt.ArrayLike, confidence: float = 0.95) -> tuple[Floats, Floats]:
    """Wilson's score interval (1927) of x out of n, n > 0: the shares p with |x/n - p| <= z sqrt(p (1 - p) / n)."""
    x, n = (np.asarray(v, dtype=np.float64) for v in (successes, trials))
    z = normal_quantile(confidence)
    share, square = x / n, z * z / n
    middle = (share + square / 2) / (1 + square)
    half = z * np.sqrt(share * (1 - share) / n + square / (4 * n)) / (1 + square)
    # The ends meet 0 and 1 exactly where nothing or everything succeeds.
    lower = np.where(x <= 0, 0.0, np.maximum(0.0, middle - half))
    upper = np.where(x >= n, 1.0, np.minimum(1.0, middle + half))
    return np.minimum(lower, share), np.maximum(upper, share)


def clopper_pearson(successes: npt.ArrayLike, trials: npt.ArrayLike, confidence: float = 0.95) -> tuple[Floats, Floats]:
    """The exact interval of x out of n (Clopper and Pearson 1934): the shares that neither tail of the binomial
    distribution refutes at (1 - confidence) / 2. It is never too narrow."""
    x, n = np.broadcast_arrays(*(np.asarray(v, dtype=np.float64) for v in (successes, trials)))
    tail = (1 - confidence) / 2
    lower, upper = np.zeros(x.shape), np.ones(x.shape)
    for at in np.ndindex(x.shape):
        hits, rows = float(x[at]), float(n[at])
        if hits > 0:
            lower[at] = beta_quantile(tail, hits, rows - hits + 1)
        if hits < rows:
            upper[at] = beta_quantile(tail, hits + 1, rows - hits, above=True)
    return lower, upper


def newcombe(
    successes: npt.ArrayLike, trials: npt.ArrayLike, later_successes: Any, later_trials: Any, confidence: float = 0.95
) -> tuple[Floats, Floats]:
    """The interval of a difference of two shares, later - earlier, from Wilson's of each: square and add (Newcombe
    1998, method 10)."""
    x, n, y, m = (np.asarray(v, dtype=np.float64) for v in (successes, trials, later_successes, later_trials))
    p, q = x / n, y / m
    (p_low, p_high), (q_low, q_high) = wilson(x, n, confidence), wilson(y, m, confidence)
    lower, upper = np.hypot(q - q_low, p_high - p), np.hypot(q_high - q, p - p_low)
    return np.maximum(-1.0, q - p - lower), np.minimum(1.0, q - p + upper)


# ---- the beta distribution -------------------------------------------------------------------------------------------


def beta_quantile(tail: float, a: float, b: float, *, above: bool = False) -> float:
    """x with ``tail`` of the beta distribution below it, or ``above`` it, for 0 < tail < 1: Newton's steps inside a
    bracket."""
    low, high = 0.0, 1.0
    x = a / (a + b)
    for _ in range(200):
        over = beta_tails(x, a, b)[above] - tail
        if (over < 0) != above:
            low = x
        else:
            high = x
        slope = math.exp(_log_beta_power(x, a, b)) / (x * (1 - x)) if 0 < x < 1 else 0.0
        step = x - (-over if above else over) / slope if slope > 0 else math.nan
        guess = step if low < step < high else (low + high) / 2
        if abs(guess - x) <= 2e-16 * guess or guess in (low, high):
            return guess
        x = guess
    return x


def beta_tails(x: float, a: float, b: float) -> tuple[float, float]:
    """I_x(a, b), the regularised incomplete beta function, and 1 - I_x(a, b); the smaller one keeps its digits."""
    if x <= 0 or x >= 1:
        return (0.0, 1.0) if x <= 0 else (1.0, 0.0)
    if x <= (a + 1) / (a + b + 2):
        below = min(1.0, math.exp(_log_beta_power(x, a, b)) * _fraction(x, a, b) / a)
        return below, 1 - below
    above = min(1.0, math.exp(_log_beta_power(x, a, b)) * _fraction(1 - x, b, a) / b)
    return 1 - above, above


def _fraction(x: float, a: float, b: float) -> float:
    """The continued fraction of I_x(a, b) by Lentz's method (1976); it takes about as many terms as the root of the
    larger parameter."""
    tiny = 1e-300
    c, d = 1.0, 1 - (a + b) * x / (a + 1)
    d = 1 / (d if abs(d) > tiny else tiny)
    fraction = d
    for k in range(1, 1000 + 20 * math.isqrt(math.ceil(max(a, b)))):
        for term in (
            k * (b - k) * x / ((a + 2 * k - 1) * (a + 2 * k)),
            -(a + k) * (a + b + k) * x / ((a + 2 * k) * (a + 2 * k + 1)),
        ):
            d, c = 1 + term * d, 1 + term / c
            d, c = 1 / (d if abs(d) > tiny else tiny), c if abs(c) > tiny else tiny
            fraction *= d * c
        if abs(d * c - 1) < 1e-16:
            break
    return fraction


def _log_beta_power(x: float, a: float, b: float) -> float:
    """ln of x^a (1 - x)^b / B(a, b), without the cancellation of large logarithms (Loader 2000)."""
    n = a + b
    over = a - n * x  # and b is as much less than n (1 - x), which is rounded
    apart = -_deviance(a, n * x, over) - _deviance(b, n * (1 - x), -over)
    rest = _stirling_error(n) - _stirling_error(a) - _stirling_error(b)
    return apart + rest + 0.5 * (math.log(a) + math.log(b) - math.log(n) - math.log(2 * math.pi))


def _deviance(k: float, mean: float, over: float) -> float:
    """k ln(k / mean) + mean - k, from 0, where k is ``over`` more than the mean."""
    t = over / (k + mean)
    if abs(t) < 0.1:
        # 2k atanh(t) - over, the first term of the series taken off by hand.
        total, power = over * t, 2 * k * t * t * t
        for j in range(1, 200):
            term = power / (2 * j + 1)
            if total + term == total:
                break
            total, power = total + term, power * t * t
        return total
    return k * math.log(k / mean) - over


def _stirling_error(n: float) -> float:
    """ln Gamma(n + 1) less Stirling's formula."""
    if n < _STIRLING_FROM:
        return math.lgamma(n + 1) - (n + 0.5) * math.log(n) + n - 0.5 * math.log(2 * math.pi)
    square = 1 / (n * n)
    return (1 / 12 - (1 / 360 - (1 / 1260 - (1 / 1680 - square / 1188) * square) * square) * square) / n
