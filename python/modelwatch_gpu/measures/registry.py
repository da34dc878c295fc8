"""Every measure id with what it is, once: documentation and reports read this table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class MeasureInfo:
    """``kinds``: the kinds of columns that have it. ``unit``: of its value. ``least``, ``most``: its range. ``roles``:
    the roles of columns that have it, empty: all. ``better``: "higher" or "lower" where one of them is; then ``change``
    is positive where it got worse. ``change``: the id of its change against the baseline (or the window before), None
    where there is none. ``of``: the id it is the change of."""

    id: str
    title: str
    kinds: tuple[str, ...]
    unit: str
    least: float | None
    most: float | None
    roles: tuple[str, ...] = ()
    better: str | None = None
    change: str | None = None
    of: str | None = None


_BOTH: Final = ("numeric", "categorical")
_VECTORS: Final = ("embedding",)
_ALL: Final = (*_BOTH, *_VECTORS)
_SCORES: Final = ("score",)
_ANSWERS: Final = ("score", "prediction")
_CLASSES: Final = ("prediction", "label")

_DRIFT: Final = (
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

#: Of how many scores from the top ``top_k_accuracy`` is told.
TOP_PLACES: Final = (1, 2, 3, 5)

_HIGHER, _LOWER, _NEITHER = "higher", "lower", None
#: (id, title, kinds, unit, least, most, roles, better) of what is held against labels.
_AGAINST_LABELS: Final = (
    ("roc_auc", "Area under the ROC curve", ("numeric",), "share", 0, 1, _SCORES, _HIGHER),
    ("gini", "Gini coefficient of the scores", ("numeric",), "coefficient", -1, 1, _SCORES, _HIGHER),
    ("average_precision", "Average precision", ("numeric",), "share", 0, 1, _SCORES, _HIGHER),
    ("score_separation", "KS between the classes' scores", ("numeric",), "share", 0, 1, _SCORES, _HIGHER),
    ("log_loss", "Log-loss", ("numeric",), "nats", 0, None, _SCORES, _LOWER),
    ("brier", "Brier score", ("numeric",), "score", 0, 1, _SCORES, _LOWER),
    ("ece", "Expected calibration error", ("numeric",), "share", 0, 1, _SCORES, _LOWER),
    ("calibration_gap", "Mean score less the share of positives", ("numeric",), "points", -1, 1, _SCORES, _NEITHER),
    ("cumulative_gain", "Positives among the highest tenth", ("numeric",), "share", 0, 1, _SCORES, _HIGHER),
    ("lift", "Lift of the highest tenth", ("numeric",), "ratio", 0, 10, _SCORES, _HIGHER),
    ("best_f1", "Best F1 at any threshold", ("numeric",), "share", 0, 1, _SCORES, _HIGHER),
    ("best_threshold", "Threshold of the best F1", ("numeric",), "score", None, None, _SCORES, _NEITHER),
    ("accuracy", "Accuracy", _BOTH, "share", 0, 1, _ANSWERS, _HIGHER),
    ("balanced_accuracy", "Balanced accuracy", _BOTH, "share", 0, 1, _ANSWERS, _HIGHER),
    ("precision", "Precision", _BOTH, "share", 0, 1, _ANSWERS, _HIGHER),
    ("recall", "Recall", _BOTH, "share", 0, 1, _ANSWERS, _HIGHER),
    ("specificity", "Specificity", _BOTH, "share", 0, 1, _ANSWERS, _HIGHER),
    ("f1", "F1", _BOTH, "share", 0, 1, _ANSWERS, _HIGHER),
    ("fbeta", "F-beta with beta 2", _BOTH, "share", 0, 1, _ANSWERS, _HIGHER),
    ("false_positive_rate", "False positive rate", _BOTH, "share", 0, 1, _ANSWERS, _LOWER),
    ("false_negative_rate", "False negative rate", _BOTH, "share", 0, 1, _ANSWERS, _LOWER),
    ("negative_predictive_value", "Negative predictive value", _BOTH, "share", 0, 1, _ANSWERS, _HIGHER),
    ("mcc", "Matthews' correlation coefficient", _BOTH, "coefficient", -1, 1, _ANSWERS, _HIGHER),
    ("cohen_kappa", "Cohen's kappa", _BOTH, "coefficient", None, 1, _ANSWERS, _HIGHER),
    ("lowest_cost", "Smallest mean cost at any threshold", ("numeric",), "cost", None, None, _SCORES, _LOWER),
    ("cheapest_threshold", "Threshold of the smallest cost", ("numeric",), "score", None, None, _SCORES, _NEITHER),
    ("expected_cost", "Mean cost of a decision", _BOTH, "cost", None, None, _ANSWERS, _LOWER),
    ("selection_rate", "Share predicted positive", _BOTH, "share", 0, 1, _ANSWERS, _NEITHER),
    ("positive_rate", "Share of positive labels", _BOTH, "share", 0, 1, _ANSWERS, _NEITHER),
    *(
        (f"{name}_{mean}", f"{title}, {mean} over classes", _BOTH, "share", 0, 1, ("prediction",), _HIGHER)
        for name, title in (("precision", "Precision"), ("recall", "Recall"), ("f1", "F1"))
        for mean in ("macro", "micro", "weighted")
    ),
    ("roc_auc_macro", "ROC AUC of each class against the rest, mean", _BOTH, "share", 0, 1, ("label",), _HIGHER),
    ("roc_auc_weighted", "The same, weighted by labels", _BOTH, "share", 0, 1, ("label",), _HIGHER),
    *(
        (f"top_{k}_accuracy", f"Labels among the {k} highest scores", _BOTH, "share", 0, 1, ("label",), _HIGHER)
        for k in TOP_PLACES
    ),
    ("log_loss_classes", "Log-loss of the scores of all classes", _BOTH, "nats", 0, None, ("label",), _LOWER),
    ("brier_classes", "Brier score of the scores of all classes", _BOTH, "score", 0, 2, ("label",), _LOWER),
    ("rmse", "Root mean squared error", ("numeric",), "column units", 0, None, ("prediction",), _LOWER),
    ("mae", "Mean absolute error", ("numeric",), "column units", 0, None, ("prediction",), _LOWER),
    ("me", "Mean error, prediction - label", ("numeric",), "column units", None, None, ("prediction",), _NEITHER),
    ("max_error", "Largest absolute error", ("numeric",), "column units", 0, None, ("prediction",), _LOWER),
    ("mape", "Mean absolute percentage error", ("numeric",), "share", 0, None, ("prediction",), _LOWER),
    ("smape", "Symmetric mean absolute percentage error", ("numeric",), "share", 0, 2, ("prediction",), _LOWER),
    ("r2", "R squared", ("numeric",), "share", None, 1, ("prediction",), _HIGHER),
    ("explained_variance", "Explained variance", ("numeric",), "share", None, 1, ("prediction",), _HIGHER),
    (
        "quantile_loss",
        "Quantile loss of the 90% quantile",
        ("numeric",),
        "column units",
        0,
        None,
        ("prediction",),
        _LOWER,
    ),
    ("labelled", "Share of rows with a label", _BOTH, "share", 0, 1, ("label",), _NEITHER),
)


def _performance() -> Iterator[MeasureInfo]:
    """Every measure that is held against labels, and behind it its change."""
    for name, title, kinds, unit, least, most, roles, better in _AGAINST_LABELS:
        word = {"higher": "drop", "lower": "rise", None: "change"}[better]
        change = f"{name}_{word}"
        yield MeasureInfo(name, title, kinds, unit, least, most, roles, better, change)
        width = None if least is None or most is None else most - least
        low = None if width is None else -width
        worse = None if better is None else "lower"
        yield MeasureInfo(change, f"{title}: {word}", kinds, unit, low, width, roles, worse, None, name)


MEASURES: Final[dict[str, MeasureInfo]] = {m.id: m for m in (*_DRIFT, *_performance())}
#: Measures that need labels, without their changes.
PERFORMANCE: Final = tuple(row[0] for row in _AGAINST_LABELS)
#: Measures that do not, and that every column of its kind has.
DRIFT: Final = tuple(m.id for m in _DRIFT)
