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
_VECTORS: Final = ("embedding",)
_ALL: Final = (*_BOTH, *_VECTORS)

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
        MeasureInfo("missing", "Share of missing rows", _ALL, "share", 0, 1),
        MeasureInfo("missing_change", "Change of the missing share", _ALL, "points", -1, 1),
        MeasureInfo("nan", "Share of NaN rows", ("numeric",), "share", 0, 1),
        MeasureInfo("unseen", "Share of values the baseline does not have", ("categorical",), "share", 0, 1),
        MeasureInfo("distinct", "Distinct values", _BOTH, "values", 0, None),
        MeasureInfo("row_count", "Rows", _ALL, "rows", 0, None),
        MeasureInfo("malformed", "Share of vectors that cannot be used", _VECTORS, "share", 0, 1),
        MeasureInfo("embedding_drift", "Evidence of drift (1 - corrected p)", _VECTORS, "share", 0, 1),
        MeasureInfo("domain_auc", "AUC of the domain classifier", _VECTORS, "share", 0, 1),
        MeasureInfo("novelty", "Log ratio of distances to nearest neighbours", _VECTORS, "log", None, None),
        MeasureInfo("density", "Density of neighbours", _VECTORS, "ratio", 0, None),
        MeasureInfo("centroid_distance", "Distance of centroids in baseline spreads", _VECTORS, "spreads", 0, None),
        MeasureInfo("centroid_z", "Distance of centroids over its noise", _VECTORS, "sd", None, None),
        MeasureInfo("cosine_distance", "Cosine distance of centroids", _VECTORS, "distance", 0, 2),
        MeasureInfo("frechet", "Frechet distance beyond chance", _VECTORS, "baseline variances", None, None),
        MeasureInfo("effective_rank", "Effective rank", _VECTORS, "dimensions", 1, None),
        MeasureInfo("rff_mmd", "Squared MMD by random features", _VECTORS, "squared distance", None, None),
        MeasureInfo("rff_mmd_pvalue", "P-value of the random-feature MMD", _VECTORS, "share", 0, 1),
        MeasureInfo("direction_ks", "Largest KS distance along a direction", _VECTORS, "share", 0, 1),
        MeasureInfo("sliced_wasserstein", "Mean Wasserstein-1 distance along directions", _VECTORS, "sd", 0, None),
        MeasureInfo("drifted_share", "Share of principal directions that moved", _VECTORS, "share", 0, 1),
        MeasureInfo("norm_shift", "Shift of the vectors' length in baseline sd", _VECTORS, "sd", None, None),
    )
}
