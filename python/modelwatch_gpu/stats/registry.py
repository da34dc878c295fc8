"""Every function of ``mw.stats`` with what it is, once: documentation and tests read this table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from modelwatch_gpu.measures.registry import MEASURES, PERFORMANCE, TOP_PLACES


@dataclass(frozen=True)
class StatInfo:
    """``takes``: "pair" (reference, current), "column" (values), "labelled" (labels, and scores or predictions),
    "ranked" (the same with queries=), "grouped" (with groups=), "vectors" (reference, current: one vector a row) or
    "counts" (successes, trials).
    ``measure``: the id of the report's measure that is the same number, None where reports have none. ``compat``:
    whether it gives peers' numbers too."""

    name: str
    takes: str
    measure: str | None
    compat: bool = False


def _info(name: str, takes: str, *, reported: bool = True, compat: bool = False) -> StatInfo:
    return StatInfo(name, takes, name if reported else None, compat)


STATS: Final[dict[str, StatInfo]] = {
    s.name: s
    for s in (
        _info("ks", "pair", compat=True),
        _info("cvm", "pair"),
        _info("wasserstein", "pair", compat=True),
        _info("wasserstein_sd", "pair"),
        _info("energy_distance", "pair", reported=False),
        _info("psi", "pair", compat=True),
        _info("js_distance", "pair", compat=True),
        _info("js_divergence", "pair", compat=True),
        _info("kl", "pair"),
        _info("hellinger", "pair", compat=True),
        _info("tv", "pair"),
        _info("chi_square", "pair", compat=True),
        _info("l_infinity", "pair"),
        _info("mean_shift", "pair"),
        _info("sd_ratio", "pair"),
        _info("out_of_range", "pair"),
        _info("unseen", "pair"),
        _info("missing_change", "pair"),
        _info("missing", "column"),
        _info("nan", "column"),
        _info("distinct", "column"),
        _info("row_count", "column"),
        _info("quantile", "column", reported=False),
        _info("moments", "column", reported=False),
        _info("histogram", "column", reported=False),
        _info("log_linear_histogram", "column", reported=False),
        _info("approx_distinct", "column", reported=False),
        *(
            _info(name, "labelled", reported=name in PERFORMANCE and name != "best_threshold")
            for name in (
                "roc_auc",
                "average_precision",
                "gini",
                "score_separation",
                "cumulative_gain",
                "lift",
                "log_loss",
                "brier",
                "ece",
                "calibration_curve",
                "threshold_table",
                "best_threshold",
                "top_k_accuracy",
                "accuracy",
                "balanced_accuracy",
                "precision",
                "negative_predictive_value",
                "recall",
                "specificity",
                "false_positive_rate",
                "false_negative_rate",
                "f1",
                "fbeta",
                "mcc",
                "cohen_kappa",
                "expected_cost",
                "confusion",
                "classification_report",
                "rmse",
                "mae",
                "median_absolute_error",
                "max_error",
                "me",
                "mape",
                "mpe",
                "smape",
                "r2",
                "explained_variance",
                "quantile_loss",
                "error_quantiles",
                "poisson_deviance",
                "gamma_deviance",
            )
        ),
        *(
            _info(name, "ranked", reported=False)
            for name in ("ndcg", "mean_average_precision", "mrr", "hit_rate", "precision_at_k", "recall_at_k")
        ),
        *(
            _info(name, "grouped", reported=False)
            for name in (
                "fairness",
                "demographic_parity_difference",
                "demographic_parity_ratio",
                "equalized_odds_difference",
                "equalized_odds_ratio",
                "equal_opportunity_difference",
                "equal_opportunity_ratio",
            )
        ),
        *(
            _info(name, "vectors", reported=False)
            for name in (
                "mmd",
                "frechet_distance",
                "sliced_wasserstein",
                "domain_classifier",
                "knn_novelty",
                "prdc",
                "cosine_centroid",
                "cka",
                "neighbour_overlap",
                "cluster_js",
            )
        ),
        _info("embedding_drift", "vectors"),
        _info("proportion_interval", "counts", reported=False),
        _info("proportion_difference", "counts", reported=False),
    )
}

#: Measures of reports that have no function here, and why.
REPORT_ONLY: Final[dict[str, str]] = {
    **{m.id: f"The difference of {m.of} of two logs." for m in MEASURES.values() if m.of is not None},
    **{
        f"{name}_{mean}": f"mw.stats.{name} with average='{mean}'."
        for name in ("precision", "recall", "f1")
        for mean in ("macro", "micro", "weighted")
    },
    "roc_auc_macro": "mw.stats.roc_auc with classes=.",
    "roc_auc_weighted": "mw.stats.roc_auc with classes= and average='weighted'.",
    **{f"top_{k}_accuracy": f"mw.stats.top_k_accuracy with k={k}." for k in TOP_PLACES},
    "log_loss_classes": "mw.stats.log_loss with classes=.",
    "brier_classes": "mw.stats.brier with classes=.",
    "best_f1": "mw.stats.best_threshold has it beside the threshold.",
    "best_threshold": "mw.stats.best_threshold has it beside what happens there.",
    "lowest_cost": "mw.stats.best_threshold with by='cost' has it.",
    "cheapest_threshold": "mw.stats.best_threshold with by='cost'.",
    "calibration_gap": "mw.stats.fairness has it of groups.",
    "selection_rate": "mw.stats.fairness has it of groups.",
    "positive_rate": "The mean of the labels.",
    "labelled": "1 less the share of missing labels.",
    **dict.fromkeys(
        (
            "centroid_distance",
            "centroid_z",
            "cosine_distance",
            "frechet",
            "effective_rank",
            "rff_mmd",
            "rff_mmd_pvalue",
        ),
        "It is of the sums that a profile keeps of vectors.",
    ),
    **dict.fromkeys(
        ("direction_ks", "sliced_wasserstein", "drifted_share", "norm_shift"),
        "It is of a baseline's frozen directions.",
    ),
    **dict.fromkeys(("domain_auc", "novelty", "density"), "It is of the rows that a window's sample keeps."),
    "malformed": "An array has no vectors of another length.",
}
