"""Many tests at once: the Benjamini-Hochberg procedure for p-values, e-BH for e-values."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from modelwatch_gpu.measures.value import Bools, Floats

#: What ``correction=`` can be besides None.
CORRECTIONS: Final = ("bh", "e-bh")


def adjusted(p: Floats) -> Floats:
    """(tests,) Benjamini and Hochberg's (1995) adjusted p-values: rejecting those at or below alpha keeps the expected
    share of false rejections at alpha or below, for independent tests and under positive dependence.

    NaN is no test, and stays NaN. As ``statsmodels.stats.multitest.multipletests(method="fdr_bh")``.
    """
    out = np.full(len(p), np.nan)
    tests = np.flatnonzero(~np.isnan(p))
    order = tests[np.argsort(p[tests], kind="stable")]
    m = len(order)
    if m:
        ranked = p[order] * m / np.arange(1, m + 1)
        out[order] = np.minimum(1.0, np.minimum.accumulate(ranked[::-1])[::-1])
    return out


def e_adjusted(e: Floats) -> Floats:
    """(tests,) adjusted values of e-BH (Wang and Ramdas 2022): rejecting those at or below alpha keeps the expected
    share of false rejections at alpha or below, whatever the dependence.

    The k tests with the largest e are rejected at alpha for the largest k with e_(k) >= m / (alpha k). NaN is no test.
    """
    with np.errstate(divide="ignore"):
        return adjusted(1 / e)


def e_values(p: Floats) -> Floats:
    """(tests,) e-values from p-values: the integral over kappa in (0, 1) of kappa p^(kappa - 1), which is
    (1 - p + p ln p) / (p ln(p)^2) (Vovk and Wang 2021, section 2). Nothing about the p-values' dependence is lost."""
    safe = np.maximum(p, np.finfo(np.float64).tiny)
    log = np.log(safe)
    near = np.abs(log) < 1e-3
    with np.errstate(divide="ignore", invalid="ignore"):
        found = (1 - safe + safe * log) / (safe * log * log)
    # Near p = 1 both vanish: the series of the integral.
    return np.where(near, 0.5 - log / 6 + log * log / 24, found)


def rejected(p: Floats, alpha: float, correction: str | None) -> Bools:
    """(tests,) whether each rejects at ``alpha`` after a correction of ``CORRECTIONS``, or none; NaN never does."""
    if correction == "bh":
        p = adjusted(p)
    elif correction == "e-bh":
        p = e_adjusted(e_values(p))
    found: npt.NDArray[np.bool_] = p <= alpha
    return found
