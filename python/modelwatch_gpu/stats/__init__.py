"""Arrays in, numbers out. Every function takes one column (n,) or several (n, columns) on each side."""

from modelwatch_gpu.stats.columns import distinct, missing, missing_change, nan, out_of_range, row_count, unseen
from modelwatch_gpu.stats.distances import cvm, energy_distance, wasserstein, wasserstein_sd
from modelwatch_gpu.stats.divergence import (
    chi_square,
    hellinger,
    js_distance,
    js_divergence,
    kl,
    l_infinity,
    psi,
    tv,
)
from modelwatch_gpu.stats.histogram import Histogram, histogram
from modelwatch_gpu.stats.ks import ks
from modelwatch_gpu.stats.moments import Moments, mean_shift, moments, quantile, sd_ratio
from modelwatch_gpu.stats.performance import (
    Confusion,
    accuracy,
    average_precision,
    brier,
    confusion,
    ece,
    f1,
    log_loss,
    precision,
    recall,
    roc_auc,
    specificity,
)
from modelwatch_gpu.stats.prepared import Prepared
from modelwatch_gpu.stats.regression import mae, mape, me, r2, rmse
from modelwatch_gpu.stats.result import ColumnResult, StatResult
from modelwatch_gpu.stats.sketch import LogLinearHistogram, approx_distinct, log_linear_histogram

__all__ = [
    "ColumnResult",
    "Confusion",
    "Histogram",
    "LogLinearHistogram",
    "Moments",
    "Prepared",
    "StatResult",
    "accuracy",
    "approx_distinct",
    "average_precision",
    "brier",
    "chi_square",
    "confusion",
    "cvm",
    "distinct",
    "ece",
    "energy_distance",
    "f1",
    "hellinger",
    "histogram",
    "js_distance",
    "js_divergence",
    "kl",
    "ks",
    "l_infinity",
    "log_linear_histogram",
    "log_loss",
    "mae",
    "mape",
    "me",
    "mean_shift",
    "missing",
    "missing_change",
    "moments",
    "nan",
    "out_of_range",
    "precision",
    "psi",
    "quantile",
    "r2",
    "recall",
    "rmse",
    "roc_auc",
    "row_count",
    "sd_ratio",
    "specificity",
    "tv",
    "unseen",
    "wasserstein",
    "wasserstein_sd",
]
