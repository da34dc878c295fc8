"""Logs with labels and answers, what scikit-learn says of their rows, and the measures of a comparison."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from sklearn import metrics

import modelwatch_gpu as mw
from modelwatch_gpu.measures.value import Value

Array = npt.NDArray[Any]


def scored_log(rows: int, seed: int, *, days: int = 40, distinct: int | None = None, noise: float = 1.0) -> pa.Table:
    """Scores with null and NaN, labels with null, two predictions, a segment and a time. ``distinct``: scores are
    multiples of 1 / distinct."""
    rng = np.random.default_rng(seed)
    odds = rng.normal(-1, 1.5, rows)
    label = (odds + rng.logistic(0, noise, rows) > 0).astype(int)
    score = 1 / (1 + np.exp(-odds))
    if distinct is not None:
        score = np.round(score * distinct) / distinct
    score[rng.random(rows) < 0.02] = np.nan
    when = 1_700_000_000 + rng.integers(0, days * 86_400, rows)
    guess = (rng.random(rows) < 0.3).astype(int)
    return pa.table(
        {
            "id": pa.array(rng.permutation(rows) + 1_000_000 * seed),
            "when": pa.array(when).cast(pa.timestamp("s", "UTC")),
            "side": rng.choice(["a", "b", "c"], rows, p=[0.6, 0.3, 0.1]),
            "score": pa.array(score, mask=rng.random(rows) < 0.03),
            "prediction": pa.array(np.where(rng.random(rows) < 0.7, label, guess), mask=rng.random(rows) < 0.02),
            "label": pa.array(label, mask=rng.random(rows) < 0.1),
        }
    )


ROLES = mw.Roles(label="label", score="score", prediction="prediction", timestamp="when", id="id")


def arrays(table: pa.Table, answer: str = "score") -> tuple[Array, Array]:
    """Labels and answers of the rows that have both."""
    y = table["label"].to_numpy().astype(float)
    s = table[answer].to_numpy().astype(float)
    kept = ~np.isnan(y) & ~np.isnan(s)
    return y[kept].astype(int), s[kept]


def of_scores(y: Array, s: Array, w: Array | None = None, threshold: float = 0.5) -> dict[str, float]:
    """scikit-learn's numbers of the scores of two classes; those that it does not define are left out."""
    out: dict[str, float] = {}
    options: dict[str, Any] = {"sample_weight": w}
    total = np.ones(len(y)) if w is None else w
    positive, negative = total[y == 1].sum(), total[y == 0].sum()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if positive and negative:
            out["roc_auc"] = metrics.roc_auc_score(y, s, **options)
            out["gini"] = 2 * out["roc_auc"] - 1
            false, true, _ = metrics.roc_curve(y, s, drop_intermediate=False, **options)
            out["score_separation"] = float(np.max(np.abs(true - false)))
        if positive:
            out["average_precision"] = metrics.average_precision_score(y, s, **options)
            at, up, _ = metrics.precision_recall_curve(y, s, **options)
            both = at + up
            out["best_f1"] = float(np.max(np.where(both > 0, 2 * at * up / np.where(both > 0, both, 1), 0)))
        if positive + negative and s.min() >= 0 and s.max() <= 1:
            out["log_loss"] = metrics.log_loss(y, s, labels=[0, 1], **options)
            out["brier"] = metrics.brier_score_loss(y, s, **options)
            bins = np.minimum(np.searchsorted(np.arange(1, 10) / 10, s, side="left"), 9)
            gaps = [abs(np.sum(total[bins == b] * (y - s)[bins == b])) for b in range(10)]
            out["ece"] = float(sum(gaps) / total.sum())
            out["calibration_gap"] = float(np.sum(total * (s - y)) / total.sum())
    if positive + negative:
        out |= of_classes(y, (s >= threshold).astype(int), w)
    return out


def of_classes(y: Array, z: Array, w: Array | None = None) -> dict[str, float]:
    """scikit-learn's numbers of predictions of two classes; those that it does not define are left out."""
    options: dict[str, Any] = {"sample_weight": w}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (tn, fp), (fn, tp) = metrics.confusion_matrix(y, z, labels=[0, 1], **options)
        total = tn + fp + fn + tp
        out = {
            "accuracy": metrics.accuracy_score(y, z, **options),
            "balanced_accuracy": metrics.balanced_accuracy_score(y, z, **options),
            "selection_rate": (tp + fp) / total,
            "positive_rate": (tp + fn) / total,
        }
        defined = {
            "precision": (tp + fp, lambda: metrics.precision_score(y, z, **options)),
            "recall": (tp + fn, lambda: metrics.recall_score(y, z, **options)),
            "specificity": (tn + fp, lambda: metrics.recall_score(y, z, pos_label=0, **options)),
            "f1": (tp + fp + fn, lambda: metrics.f1_score(y, z, **options)),
            "fbeta": (tp + fp + fn, lambda: metrics.fbeta_score(y, z, beta=2, **options)),
            "false_positive_rate": (tn + fp, lambda: fp / (tn + fp)),
            "false_negative_rate": (tp + fn, lambda: fn / (tp + fn)),
            "negative_predictive_value": (tn + fn, lambda: tn / (tn + fn)),
            "mcc": ((tp + fp) * (tn + fn) * (tp + fn) * (tn + fp), lambda: metrics.matthews_corrcoef(y, z, **options)),
            "cohen_kappa": (
                (tp + fp) * (tn + fp) + (tp + fn) * (tn + fn),
                lambda: metrics.cohen_kappa_score(y, z, **options),
            ),
        }
        out |= {name: float(number()) for name, (some, number) in defined.items() if some}
    return out


def told(report: mw.Report, column: str, start: int | None = None, segment: str | None = None) -> dict[str, Value]:
    """The measures of a column in one group: of the whole log, or of the window that starts at an epoch second."""
    for result in report.results:
        same = start is None or result.start == start
        text = None if result.segment is None else result.segment[0][1]
        if result.column.name == column and same and text == segment and result.compared_with == "BASELINE":
            return dict(result.values.items())
    raise AssertionError(f"no result of {column} in {segment} at {start}")


def agrees(value: Value, wanted: float, near: float) -> bool:
    """Whether a number is what it should be: within its bounds, and equal where they are one."""
    assert value.value is not None
    if value.lower is None or value.upper is None:
        return math.isclose(value.value, wanted, rel_tol=near, abs_tol=near)
    slack = near * max(1.0, abs(wanted))
    inside = value.lower - slack <= wanted <= value.upper + slack
    return inside and value.lower - slack <= value.value <= value.upper + slack
