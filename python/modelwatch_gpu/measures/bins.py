"""Divergences between two histograms with the same bins. All sums run over bins in order, in float64."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.uint64] | npt.NDArray[np.int64] | npt.NDArray[np.float64]
Floats = npt.NDArray[np.float64]

#: Shares below this are raised to it in psi and kl, and not renormalised (DESIGN 7).
SHARE_FLOOR: Final = 1e-4
#: Categories with fewer expected rows are pooled before an effect is judged (DESIGN 3.9).
EXPECTED_ROWS: Final = 5.0


def shares(counts: Counts) -> Floats:
    """Counts as shares of their total; raises ZeroDivisionError for an empty histogram."""
    total = float(counts.sum())
    if total == 0:
        raise ZeroDivisionError("an empty histogram has no shares")
    return counts.astype(np.float64) / total


def psi(baseline: Counts, current: Counts) -> float:
    """Population stability index SUM (q - p) ln(q / p), shares floored at 1e-4; at least 0 (Siddiqi 2006)."""
    p, q = np.maximum(shares(baseline), SHARE_FLOOR), np.maximum(shares(current), SHARE_FLOOR)
    return float(np.sum((q - p) * np.log(q / p)))


def kl(baseline: Counts, current: Counts) -> float:
    """Kullback-Leibler divergence of the current distribution from the baseline, SUM q ln(q / p) in nats.

    Shares are floored at 1e-4 like those of psi, so a new category gives a number; it can then fall below 0 a little.
    """
    p, q = np.maximum(shares(baseline), SHARE_FLOOR), np.maximum(shares(current), SHARE_FLOOR)
    return float(np.sum(q * np.log(q / p)))


def js_divergence(baseline: Counts, current: Counts) -> float:
    """Jensen-Shannon divergence in bits, 0 to 1, with 0 log 0 = 0 (Lin 1991)."""
    p, q = shares(baseline), shares(current)
    middle = (p + q) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        left = np.where(p > 0, p * np.log2(p / middle), 0.0)
        right = np.where(q > 0, q * np.log2(q / middle), 0.0)
    return float(min(1.0, max(0.0, np.sum(left + right) / 2)))


def js_distance(baseline: Counts, current: Counts) -> float:
    """Jensen-Shannon distance, the square root of the divergence: 0 to 1 (Endres and Schindelin 2003)."""
    return float(np.sqrt(js_divergence(baseline, current)))


def hellinger(baseline: Counts, current: Counts) -> float:
    """Hellinger distance sqrt(SUM (sqrt p - sqrt q)^2 / 2), 0 to 1."""
    gap = np.sqrt(shares(baseline)) - np.sqrt(shares(current))
    return float(min(1.0, np.sqrt(np.sum(gap * gap) / 2)))


def tv(baseline: Counts, current: Counts) -> float:
    """Total variation distance SUM |p - q| / 2, 0 to 1."""
    return float(min(1.0, np.sum(np.abs(shares(baseline) - shares(current))) / 2))


def l_infinity(baseline: Counts, current: Counts) -> float:
    """Largest difference of a share, max |p - q|, 0 to 1."""
    return float(np.max(np.abs(shares(baseline) - shares(current))))


def chi_square(baseline: Counts, current: Counts) -> float:
    """Pearson's chi-square of the 2 x bins table, without continuity correction; bins empty on both sides left out."""
    observed = np.stack([baseline, current]).astype(np.float64)
    observed = observed[:, observed.sum(axis=0) > 0]
    expected = observed.sum(axis=1, keepdims=True) * observed.sum(axis=0, keepdims=True) / observed.sum()
    return float(np.sum((observed - expected) ** 2 / expected))


def pool_rare(baseline: Counts, current: Counts) -> tuple[Counts, Counts]:
    """Both histograms with all bins of fewer than ``EXPECTED_ROWS`` expected rows (in the smaller sample) pooled."""
    n, m = float(baseline.sum()), float(current.sum())
    expected = (baseline.astype(np.float64) + current.astype(np.float64)) * min(n, m) / (n + m)
    rare = expected < EXPECTED_ROWS
    if int(rare.sum()) < 2:
        return baseline, current
    return (
        np.append(baseline[~rare], baseline[rare].sum()),
        np.append(current[~rare], current[rare].sum()),
    )


def js_floor(bins: int, n: int, m: int) -> float:
    """What the divergence is on average between two samples of one distribution: (B-1)(1/n+1/m)/(8 ln 2) bits."""
    return (bins - 1) * (1 / n + 1 / m) / (8 * float(np.log(2)))


def psi_floor(bins: int, n: int, m: int) -> float:
    """What psi is on average between two samples of one distribution: (B-1)(1/n+1/m)."""
    return (bins - 1) * (1 / n + 1 / m)


def chance_excess(bins: int) -> float:
    """How far chi-square with B-1 degrees of freedom lies above its mean at the 99% point, as a share of the mean.

    Wilson and Hilferty's approximation (1931): k (1 - 2/(9k) + 2.3263 sqrt(2/(9k)))^3.
    """
    k = max(1, bins - 1)
    return float((1 - 2 / (9 * k) + 2.3263478740408408 * np.sqrt(2 / (9 * k))) ** 3) - 1


#: Measures of two histograms, by id.
BIN_MEASURES = {
    "psi": psi,
    "js_distance": js_distance,
    "js_divergence": js_divergence,
    "kl": kl,
    "hellinger": hellinger,
    "tv": tv,
    "chi_square": chi_square,
    "l_infinity": l_infinity,
}
