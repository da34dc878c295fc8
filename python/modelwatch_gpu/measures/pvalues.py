"""P-values of the Kolmogorov-Smirnov and the chi-square test and of Student's t, without SciPy."""

from __future__ import annotations

import functools
import math
from typing import Final

import numpy as np
import numpy.typing as npt

from modelwatch_gpu import _core

#: Up to this many rows on either side, the p-value of the two-sample KS test is exact, as SciPy's ``auto`` chooses.
KS_EXACT_ROWS: Final = 10_000
#: Up to this sample size the one-sample distribution comes from a matrix power, beyond it from an expansion.
_MATRIX_ROWS: Final = 1000
#: Up to this sample size the one-sided distribution is summed term by term.
_SUM_ROWS: Final = 1_000_000
#: From so many tails on they are worked out together.
_MANY: Final = 32
#: From here on (n d^2) both sides of the band are hardly ever crossed: two-sided is twice one-sided to 2e-6 of itself.
_TAIL: Final = 2.2


def ks_pvalue(d: float, n: int, m: int) -> float:
    """P(D >= d) for two samples of n and m rows of one continuous distribution.

    Exact up to ``KS_EXACT_ROWS`` rows a side, else ``ks_asymptotic``. Ties make it conservative.
    """
    return ks_exact(d, n, m) if max(n, m) <= KS_EXACT_ROWS else ks_asymptotic(d, n, m)


def ks_exact(d: float, n: int, m: int) -> float:
    """Exact P(D >= d): the share of orders of n + m rows whose path leaves the band abs(x/n - y/m) < d.

    Equal sizes: Gnedenko and Korolyuk's alternating sum (1951). Else Hodges' recursion (1958) over the lattice, one
    anti-diagonal at a time, on the probability of *having left* the band: only positive terms, so tiny p-values keep
    their digits.
    """
    common = math.gcd(n, m)
    step_x, step_y = m // common, n // common
    band = round(d * n * step_x)  # D is a multiple of 1 / lcm(n, m)
    if band == 0:
        return 1.0
    if n == m:
        return _equal_sizes(n, band)
    left = np.ones(n + 2)  # of the point (x, s - x), at x + 1
    left[1] = 0.0
    for s in range(1, n + m + 1):
        low = max(0, s - m, (s * step_y - band) // (step_x + step_y) + 1)
        high = min(n, s, -((-s * step_y - band) // (step_x + step_y)) - 1)
        if low > high:
            return 1.0
        x = np.arange(low, high + 1)
        left[low + 1 : high + 2] = (x * left[low : high + 1] + (s - x) * left[low + 1 : high + 2]) / s
        left[low] = 1.0  # the point before the first is out of the band, or beyond m, where nobody looks
    return float(min(1.0, left[n + 1]))


def _equal_sizes(n: int, band: int) -> float:
    """2 SUM over k >= 1 of (-1)^(k-1) C(2n, n - k band) / C(2n, n), nested from the last term inwards."""
    total = 0.0
    j = np.arange(band, dtype=np.float64)
    for k in range(n // band, 0, -1):
        near = (k - 1) * band
        total = float(np.prod((n - near - j) / (n + near + 1 + j))) * (1.0 - total)
    return min(1.0, max(0.0, 2 * total))


def ks_asymptotic(d: float, n: int, m: int) -> float:
    """P(D_k > d) of the one-sample statistic with k = nm / (n + m) rounded to a whole number (Smirnov 1939)."""
    return ks_one_sample(d, max(1, round(n * m / (n + m))))


def ks_one_sample(d: float, n: int) -> float:
    """P(D_n > d) of the two-sided one-sample Kolmogorov statistic.

    Tails: twice ``_one_sided``. The middle: Marsaglia, Tsang and Wang's matrix power (2003) up to ``_MATRIX_ROWS``,
    Pelz and Good's expansion (1976) beyond, whose error is of the order n^-2.
    """
    if d >= 1:
        return 0.0
    if d <= 0.5 / n:
        return 1.0
    if d >= 0.5 or n * d * d > _TAIL:
        return min(1.0, 2 * _one_sided(d, n))
    inside = _matrix_power(d, n) if n <= _MATRIX_ROWS else _pelz_good(d * math.sqrt(n), n)
    return min(1.0, max(0.0, 1.0 - inside))


def _one_sided(d: float, n: int) -> float:
    """P(D+ > d): Birnbaum and Tingey's sum (1951), or for very many rows exp(-(6nd + 1)^2 / (18n)) (Maag and Dicaire
    1971)."""
    if n > _SUM_ROWS:
        return math.exp(-((6 * n * d + 1) ** 2) / (18 * n))
    j = np.arange(int(n * (1 - d)) + 1, dtype=np.float64)
    rest = 1 - d - j / n
    j, rest = j[rest > 0], rest[rest > 0]
    steps = np.log((n - j[:-1]) / (j[:-1] + 1))
    choose = np.concatenate([[0.0], np.cumsum(steps)])
    return float(d * np.sum(np.exp(choose + (j - 1) * np.log(d + j / n) + (n - j) * np.log(rest))))


def _matrix_power(d: float, n: int) -> float:
    """P(D_n < d) = n! / n^n times the middle entry of H^n; powers of ten are carried apart."""
    k = int(n * d) + 1
    h = k - n * d
    size = 2 * k - 1
    i, j = np.indices((size, size))
    matrix = np.where(i - j + 1 >= 0, 1.0, 0.0)
    powers = h ** np.arange(1, size + 1)
    matrix[:, 0] -= powers
    matrix[-1, :] -= powers[::-1]
    if 2 * h > 1:
        matrix[-1, 0] += (2 * h - 1) ** size
    order = np.maximum(i - j + 1, 0)
    factorial = np.array([math.lgamma(o + 1.0) for o in range(size + 1)])
    matrix *= np.exp(-factorial[order])
    result, exponent, own, left = np.eye(size), 0.0, 0.0, n
    while left:
        if left & 1:
            result, exponent = result @ matrix, exponent + own
            scale = float(result.max())
            result, exponent = result / scale, exponent + math.log(scale)
        matrix, own = matrix @ matrix, 2 * own
        scale = float(matrix.max())
        matrix, own = matrix / scale, own + math.log(scale)
        left >>= 1
    middle = float(result[k - 1, k - 1])
    if middle <= 0:
        return 0.0
    return math.exp(math.log(middle) + exponent + math.lgamma(n + 1) - n * math.log(n))


def _pelz_good(z: float, n: int) -> float:
    """P(sqrt(n) D_n < z) to the order n^-3/2, in the form of Simard and L'Ecuyer (2011), equation 12."""
    a = (math.pi * (np.arange(-40, 40) + 0.5)) ** 2
    b = (math.pi * np.arange(-40, 41)) ** 2
    z2 = z * z
    odd, even = np.exp(-a / (2 * z2)), np.exp(-b / (2 * z2))
    root = math.sqrt(math.pi / 2)
    k0 = 2 * root / z * float(np.sum(odd[40:]))
    k1 = root / (6 * z2**2) * float(np.sum((a - z2) * odd))
    second = (6 * z2**3 + 2 * z2**2) + a * (2 * z2**2 - 5 * z2) + a**2 * (1 - 2 * z2)
    k2 = root / (72 * z**7) * float(np.sum(second * odd)) - root / (36 * z**3) * float(np.sum(b * even))
    third = (
        a**3 * (5 - 30 * z2)
        + a**2 * (212 * z2**2 - 60 * z2)
        + a * (135 * z2**2 - 96 * z2**3)
        - (30 * z2**3 + 90 * z2**4)
    )
    k3 = root / (6480 * z**10) * float(np.sum(third * odd))
    k3 += root / (108 * z2**3) * float(np.sum((3 * b * z2 - b**2) * even))
    return float(k0 + k1 / math.sqrt(n) + k2 / n + k3 / n**1.5)


def chi_square_pvalue(statistic: float, freedom: int) -> float:
    """P(X > statistic) of chi-square with ``freedom`` degrees: the upper regularised incomplete gamma function at
    (freedom / 2, statistic / 2). With no freedom the statistic is always 0, and so is never exceeded by chance: 1."""
    if freedom < 1 or statistic <= 0:
        return 1.0
    if math.isinf(statistic):
        return 0.0
    a, x = freedom / 2, statistic / 2
    front = math.exp(a * math.log(x) - x - math.lgamma(a))
    if x < a + 1:  # series of the lower function (Abramowitz and Stegun 6.5.29)
        term = total = 1 / a
        k = a
        while term > total * 1e-17:
            k += 1
            term *= x / k
            total += term
        return max(0.0, 1 - front * total)
    # Continued fraction (6.5.31), evaluated forwards with the numbers kept near one (Lentz).
    tiny = 1e-300
    c, f = 1 / tiny, 1 / (x + 1 - a)
    inverse, k = f, 0
    while True:
        k += 1
        numerator, denominator = -k * (k - a), x + 2 * k + 1 - a
        inverse = 1 / ((numerator * inverse + denominator) or tiny)
        c = (denominator + numerator / c) or tiny
        f *= c * inverse
        if abs(c * inverse - 1) < 1e-15:
            return min(1.0, front * f)


def expected_freedom(*counts: npt.NDArray[np.uint64]) -> int:
    """Degrees of freedom of a 2 x bins table: bins that occur on either side, less one."""
    return int(np.count_nonzero(sum(c.astype(np.float64) for c in counts))) - 1


def student_t_tail(t: float, freedom: float) -> float:
    """P(T > t) of Student's t: half the regularised incomplete beta function at freedom / (freedom + t^2), with shapes
    freedom / 2 and 1/2 (Abramowitz and Stegun 26.7.1). ``freedom`` may be infinite: the normal distribution."""
    if math.isinf(freedom):
        return 0.5 * math.erfc(t / math.sqrt(2))
    if math.isinf(t):
        return 0.0 if t > 0 else 1.0
    half = 0.5 * _incomplete_beta(freedom / 2, 0.5, freedom / (freedom + t * t))
    return half if t >= 0 else 1.0 - half


def student_t_quantile(tail: float, freedom: float) -> float:
    """The t with P(T > t) = ``tail``, by bisection to the last bit; ``tail`` in (0, 1)."""
    if tail > 0.5:
        return -student_t_quantile(1 - tail, freedom)
    low, high = 0.0, 1.0
    while student_t_tail(high, freedom) > tail:
        low, high = high, 2 * high
    while (middle := (low + high) / 2) not in (low, high):
        low, high = (middle, high) if student_t_tail(middle, freedom) > tail else (low, middle)
    return high


def _incomplete_beta(a: float, b: float, x: float) -> float:
    """Regularised incomplete beta function: the continued fraction of Abramowitz and Stegun 26.5.8, of whichever end
    converges."""
    if x <= 0:
        return 0.0
    if x >= 1:
        return 1.0
    if x > (a + 1) / (a + b + 2):
        return 1.0 - _incomplete_beta(b, a, 1 - x)
    return _beta_front(a, b, x) * _core.beta_fraction(a, b, x)


def _beta_front(a: float, b: float, x: float) -> float:
    """x^a (1 - x)^b / (a B(a, b)), by logarithms."""
    return math.exp(_beta_constant(a, b) + a * math.log(x) + b * math.log1p(-x) - math.log(a))


@functools.lru_cache(maxsize=4096)
def _beta_constant(a: float, b: float) -> float:
    return math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)


def student_t_tails(t: npt.NDArray[np.float64], freedom: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """``student_t_tail`` of many, to the same bits."""
    if len(t) < _MANY:
        return np.array([student_t_tail(*pair) for pair in zip(t.tolist(), freedom.tolist(), strict=True)])
    out = np.empty(len(t))
    with np.errstate(over="ignore", invalid="ignore"):
        x = freedom / (freedom + t * t)
    plain = np.isfinite(freedom) & (x > 0) & (x < 1)
    rest = np.flatnonzero(~plain)
    out[rest] = [student_t_tail(*pair) for pair in zip(t[rest].tolist(), freedom[rest].tolist(), strict=True)]
    x, half = x[plain], freedom[plain] / 2
    other = x > (half + 1) / (half + 0.5 + 2)
    a, b, x = np.where(other, 0.5, half), np.where(other, half, 0.5), np.where(other, 1 - x, x)
    front = [_beta_front(*each) for each in zip(a.tolist(), b.tolist(), x.tolist(), strict=True)]
    found = np.array(front, dtype=np.float64) * _core.beta_fraction(a, b, x)
    found = 0.5 * np.where(other, 1.0 - found, found)
    out[plain] = np.where(t[plain] >= 0, found, 1.0 - found)
    return out
