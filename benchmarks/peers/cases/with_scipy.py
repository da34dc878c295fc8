"""SciPy: two-sample statistics of 20 columns, one after the other, on NumPy arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from timing import answer, arrays, main, timed


def scipy_ks(folder: Path, check: bool) -> dict[str, Any]:
    """D and p of 20 columns."""
    from scipy.stats import ks_2samp

    a, b = arrays(folder)
    run = timed(lambda: [ks_2samp(x, y) for x, y in zip(a, b, strict=True)])
    return answer(run, [float(r.statistic) for r in run.answer])


def scipy_wasserstein(folder: Path, check: bool) -> dict[str, Any]:
    """Wasserstein-1 of 20 columns."""
    from scipy.stats import wasserstein_distance

    a, b = arrays(folder)
    run = timed(lambda: [wasserstein_distance(x, y) for x, y in zip(a, b, strict=True)])
    return answer(run, [float(r) for r in run.answer])


main({"ks": scipy_ks, "wasserstein": scipy_wasserstein}, ("scipy", "numpy"))
