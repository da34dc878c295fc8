"""Scores of several classes against scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn import metrics
from tolerances import PERFORMANCE

import modelwatch_gpu as mw

NEAR: dict[str, Any] = {"rel": PERFORMANCE, "abs": PERFORMANCE}
CLASSES = ["ant", "bee", "cat", "dog"]


def sample(seed: int, rows: int = 400, ties: bool = False) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    random = np.random.default_rng(seed)
    labels = random.integers(0, 4, rows)
    scores = random.dirichlet(np.ones(4), rows) + 0.3 * np.eye(4)[labels]
    if ties:
        scores = np.round(scores, 1) + 0.01
    return labels, scores / scores.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("average", ["macro", "weighted"])
@pytest.mark.parametrize("multi_class", ["ovr", "ovo"])
def test_areas_under_curves(multi_class: str, average: str, weighted: bool) -> None:
    labels, scores = sample(1, ties=True)
    weights = np.random.default_rng(2).random(len(labels)) if weighted else None
    if weighted and multi_class == "ovo":
        pytest.skip("scikit-learn has no weights there")
    wanted = metrics.roc_auc_score(labels, scores, multi_class=multi_class, average=average, sample_weight=weights)
    found = mw.stats.roc_auc(
        labels, scores, classes=[0, 1, 2, 3], multi_class=multi_class, average=average, weights=weights
    )
    assert found == pytest.approx(wanted, **NEAR)


@pytest.mark.parametrize("weighted", [False, True])
def test_losses(weighted: bool) -> None:
    labels, scores = sample(3)
    weights = np.random.default_rng(2).random(len(labels)) if weighted else None
    options: dict[str, Any] = {"classes": [0, 1, 2, 3], "weights": weights}
    wanted = metrics.log_loss(labels, scores, sample_weight=weights)
    assert mw.stats.log_loss(labels, scores, **options) == pytest.approx(wanted, **NEAR)
    squares = ((scores - np.eye(4)[labels]) ** 2).sum(axis=1)
    assert mw.stats.brier(labels, scores, **options) == pytest.approx(np.average(squares, weights=weights), **NEAR)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_labels_among_the_highest_scores(k: int) -> None:
    labels, scores = sample(4, ties=True)
    wanted = metrics.top_k_accuracy_score(labels, scores, k=k)
    assert mw.stats.top_k_accuracy(labels, scores, k=k, classes=[0, 1, 2, 3]) == pytest.approx(wanted, **NEAR)


def test_classes_have_names_and_scores_come_as_columns() -> None:
    labels, scores = sample(5)
    named = np.array(CLASSES)[labels]
    columns = [scores[:, k] for k in range(4)]
    for name in ("log_loss", "brier", "roc_auc", "top_k_accuracy"):
        function = getattr(mw.stats, name)
        by_number = function(labels, scores, classes=[0, 1, 2, 3])
        assert function(named.tolist(), columns, classes=CLASSES) == by_number


def test_worked_out_by_hand() -> None:
    scores = np.array([[0.5, 0.25, 0.25], [0.25, 0.5, 0.25]])
    assert mw.stats.brier([0, 2], scores, classes=[0, 1, 2]) == pytest.approx((0.375 + 0.875) / 2, **NEAR)
    assert mw.stats.log_loss([0, 2], scores, classes=[0, 1, 2]) == pytest.approx((np.log(2) + np.log(4)) / 2, **NEAR)
