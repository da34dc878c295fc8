"""Every measure id with what it is, once: documentation and reports read this table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class MeasureInfo:
    """``kinds``: the kinds of columns that have it. ``unit``: of its value. ``least``, ``most``: its range."""

    id: str
    title: str
    kinds: tuple[str, ...]
    unit: str
    least: float | None
    most: float | None


_BOTH: Final = ("numeric", "categorical")

MEASURES: Final[dict[str, MeasureInfo]] = {
    m.id: m
    for m in (
        MeasureInfo("ks", "Kolmogorov-Smirnov distance", ("numeric",), "share", 0, 1),
        MeasureInfo("cvm", "Cramer-von Mises statistic", ("numeric",), "statistic", None, None),
        MeasureInfo("psi", "Population stability index", _BOTH, "index", 0, None),
        MeasureInfo("js_distance", "Jensen-Shannon distance", _BOTH, "distance", 0, 1),
        MeasureInfo("js_divergence", "Jensen-Shannon divergence", _BOTH, "bits", 0, 1),
        MeasureInfo("kl", "Kullback-Leibler divergence", _BOTH, "nats", None, None),
        MeasureInfo("hellinger", "Hellinger distance", _BOTH, "distance", 0, 1),
        MeasureInfo("tv", "Total variation distance", _BOTH, "share", 0, 1),
        MeasureInfo("chi_square", "Pearson's chi-square", _BOTH, "statistic", 0, None),
        MeasureInfo("l_infinity", "Largest change of a share", _BOTH, "share", 0, 1),
        MeasureInfo("wasserstein", "Wasserstein-1 distance", ("numeric",), "column units", 0, None),
        MeasureInfo("wasserstein_sd", "Wasserstein-1 in baseline standard deviations", ("numeric",), "sd", 0, None),
        MeasureInfo("mean_shift", "Shift of the mean in baseline standard deviations", ("numeric",), "sd", None, None),
        MeasureInfo("sd_ratio", "Standard deviation over the baseline's", ("numeric",), "ratio", 0, None),
        MeasureInfo("out_of_range", "Share outside the baseline's range", ("numeric",), "share", 0, 1),
        MeasureInfo("missing", "Share of missing rows", _BOTH, "share", 0, 1),
        MeasureInfo("missing_change", "Change of the missing share", _BOTH, "points", -1, 1),
        MeasureInfo("nan", "Share of NaN rows", ("numeric",), "share", 0, 1),
        MeasureInfo("unseen", "Share of values the baseline does not have", ("categorical",), "share", 0, 1),
        MeasureInfo("distinct", "Distinct values", _BOTH, "values", 0, None),
        MeasureInfo("row_count", "Rows", _BOTH, "rows", 0, None),
    )
}
