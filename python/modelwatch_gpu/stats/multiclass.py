"""Scores of several classes beside their labels: one column of scores a class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from modelwatch_gpu.arrays import as_columns, common_domain
from modelwatch_gpu.errors import InputError
from modelwatch_gpu.measures import multiclass as tables
from modelwatch_gpu.measures.performance import REASONS, ScoreTable
from modelwatch_gpu.stats.device_classes import DeviceClassScores, merged
from modelwatch_gpu.stats.grouped import resolve_beside
from modelwatch_gpu.stats.labelled import Weights, classes_of, numbers_of, same_rows, table_of, weights_of
from modelwatch_gpu.stats.result import ColumnResult, checked

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class MulticlassResult(ColumnResult):
    """A number of the scores of several classes. ``classes``: in the order of the columns; ``per_class``: the number of
    each, None where it has none; empty where the measure is not a mean over classes."""

    classes: tuple[Any, ...] = ()
    per_class: tuple[float | None, ...] = ()


@dataclass(frozen=True, eq=False)
class ClassScores:
    """Rows with a label and every score. ``classes``: (K,); ``labels``: (n,) numbers into it; ``scores``: K columns of
    (n,); ``missing``: rows that were left out."""

    classes: list[Any]
    labels: npt.NDArray[np.int64]
    scores: list[Array]
    weights: Weights
    missing: int

    @property
    def rows(self) -> int:
        """Rows that take part."""
        return len(self.labels)

    @property
    def total(self) -> float:
        """Rows, or the sum of their weights."""
        return len(self.labels) if self.weights is None else float(self.weights.sum())

    def mass(self, chosen: npt.NDArray[np.bool_]) -> Any:
        """(n,) the weight of chosen rows, 0 of others."""
        return chosen if self.weights is None else np.where(chosen, self.weights, 0.0)

    def against_the_rest(self) -> list[ScoreTable]:
        """The table of distinct scores of each class, sorted once."""
        return [table_of(s, self.labels == k, self.weights) for k, s in enumerate(self.scores)]

    def rows_against_the_rest(self) -> list[ScoreTable]:
        """The same for measures that take scores in any order: every row an entry of its own."""
        own = [self.labels == k for k in range(len(self.classes))]
        return [ScoreTable(s, self.mass(of), self.mass(~of)) for s, of in zip(self.scores, own, strict=True)]

    def labelled_rows(self) -> list[ScoreTable]:
        """Of each class the rows with that label alone."""
        found = []
        for k, scores in enumerate(self.scores):
            of = self.labels == k
            mass = np.ones(np.count_nonzero(of), np.int64) if self.weights is None else self.weights[of]
            found.append(ScoreTable(scores[of], mass, np.zeros_like(mass)))
        return found

    def pairs(self) -> list[tuple[ScoreTable, ScoreTable]]:
        """For classes a < b the scores of a, and those of b, of the rows labelled a or b. Each column is sorted
        once."""
        by_score = [self._by_label(s) for s in self.scores]
        return [
            (merged(by_score[a][a], by_score[a][b]), merged(by_score[b][b], by_score[b][a]))
            for a, b in combinations(range(len(self.classes)), 2)
        ]

    def pooled(self) -> ScoreTable:
        """Every score of every row: positive where its class is the label."""
        of = np.concatenate([self.labels == k for k in range(len(self.classes))])
        weights = None if self.weights is None else np.tile(self.weights, len(self.classes))
        return table_of(np.concatenate(self.scores), of, weights)

    def places(self) -> Array:
        """(K,) rows, or weights, by how many classes have a higher score than the label's, or as high a one and come
        later."""
        own = np.empty(len(self.labels), np.result_type(*self.scores))
        for number, column in enumerate(self.scores):
            chosen_rows = self.labels == number
            own[chosen_rows] = column[chosen_rows]
        before = np.zeros(len(own), np.int64)
        for number, column in enumerate(self.scores):
            before += (column > own) | ((column == own) & (number > self.labels))
        return np.bincount(before, self.weights, minlength=len(self.classes))

    def _by_label(self, scores: Array) -> list[tuple[Array, Array]]:
        """Of each label the distinct scores of its rows, increasing, and their weights."""
        order = np.argsort(scores, kind="stable")
        # A stable sort by a small integer is a sort by radix.
        small = self.labels[order].astype(np.min_scalar_type(len(self.classes)))
        order = order[np.argsort(small, kind="stable")]
        ends = np.cumsum(np.bincount(self.labels, minlength=len(self.classes)))
        found = []
        for rows in np.split(order, ends[:-1]):
            held = scores[rows]
            first = np.flatnonzero(np.concatenate([[True], held[1:] != held[:-1]])) if len(held) else np.empty(0, int)
            if self.weights is None:
                mass = np.diff(first, append=len(held))
            else:
                mass = np.add.reduceat(self.weights[rows], first) if len(held) else np.empty(0)
            found.append((held[first], mass))
        return found


def of_several(scores: Any, classes: Any) -> bool:
    """Whether the columns of scores belong to classes of one model, and not to models of two classes."""
    return classes is not None or isinstance(scores, Mapping)


def _columns(scores: Any) -> list[pa.Array]:
    """A list, a table, a frame or a (n, K) array as K columns."""
    if isinstance(scores, (pa.Table, pa.RecordBatch)):
        scores = scores.columns
    elif not isinstance(scores, (list, tuple, np.ndarray)) and hasattr(scores, "columns"):
        scores = [scores[name] for name in scores.columns]
    if not isinstance(scores, (list, tuple)):
        return list(as_columns(scores, "scores")[0])
    found: list[pa.Array] = []
    for one in scores:
        (column, *more), batched = as_columns(one, "scores")
        if batched or more:
            raise InputError("scores must be a list of columns, one a class, each of one dimension.")
        found.append(column)
    return found


def _resolve(device: str, labels: Any, scores: Any, weights: Any) -> str:
    """The device that answers, of labels beside the columns of scores, wherever these are named."""
    if isinstance(scores, Mapping):
        scores = list(scores.values())
    columns = scores if isinstance(scores, (list, tuple)) else [scores]
    return resolve_beside(device, [labels, *columns], weights, weighs=True)


def class_scores(
    labels: Any, scores: Any, classes: Any, weights: Any, device: str, *, probability: bool
) -> ClassScores | DeviceClassScores:
    """Labels as numbers of the classes, beside the scores of each."""
    if isinstance(scores, Mapping):
        if classes is not None:
            raise InputError("scores names its classes; leave classes= out, or give the columns as a list.")
        classes, scores = list(scores), list(scores.values())
    names, columns = list(classes), _columns(scores)
    if len(names) != len(columns) or len({*names}) != len(names) or len(names) < 2:
        raise InputError(
            f"classes names {len({*names})} classes and scores has {len(columns)} columns; give each of two classes or "
            "more one column."
        )
    (label, *more), batched = as_columns(labels, "labels")
    if batched or more:
        raise InputError("labels must be one column beside the scores of several classes.")
    if pa.types.is_null(label.type):
        raise InputError("labels has no values.")
    if device != "cpu":
        return DeviceClassScores(names, label, columns, weights, device, probability=probability)
    found = classes_of(label, label, "labels")
    strangers = [v for v in found.values if v not in names]
    if strangers:
        raise InputError(f"label {strangers[0]!r} is none of the classes that have scores.")
    kept = found.kept.copy()
    sides = []
    for column in columns:
        same_rows(label, column, "scores")
        values, there = numbers_of(column, common_domain(column, column, ("scores", "scores")), "scores")
        kept &= there
        sides.append(values)
    whole = np.zeros(len(label), np.int64)
    place = np.array([names.index(v) for v in found.values], dtype=np.int64)
    whole[found.kept] = place[found.labels]
    sides = [values[kept] for values in sides]
    if probability:
        for values in sides:
            if len(values) and not (values.min() >= 0 and values.max() <= 1):
                raise InputError("scores must be probabilities, from 0 to 1.")
        sides = [v.astype(np.float64) if v.dtype.kind in "iu" else v for v in sides]
    own = weights_of(weights, len(label))
    return ClassScores(names, whole[kept], sides, None if own is None else own[kept], int(np.count_nonzero(~kept)))


def several(
    name: str,
    labels: Any,
    scores: Any,
    classes: Any,
    weights: Any,
    device: str,
    full: bool,
    *,
    average: str = "macro",
    multi_class: str = "ovr",
) -> Any:
    """``roc_auc``, ``log_loss`` or ``brier`` of several classes."""
    chosen = _resolve(device, labels, scores, weights)
    if average not in tables.AVERAGES or (multi_class == "ovo" and average == "micro"):
        raise InputError(f"average='{average}' is unknown; use 'macro', 'weighted' or, with 'ovr', 'micro'.")
    if multi_class not in tables.SCHEMES:
        raise InputError(f"multi_class='{multi_class}' is unknown; use 'ovr' or 'ovo'.")
    table = class_scores(labels, scores, classes, weights, chosen, probability=name != "roc_auc")
    per_class: Sequence[float | None] = ()
    if name == "log_loss":
        value = tables.log_loss(table.labelled_rows())
    elif name == "brier":
        value = tables.brier(table.rows_against_the_rest())
    elif multi_class == "ovo":
        value = tables.roc_auc_pairs(table.pairs(), average, int(table.total))
    elif average == "micro":
        value = tables.roc_auc([table.pooled()], "macro").value
    else:
        of_classes = tables.roc_auc(table.against_the_rest(), average)
        value, per_class = of_classes.value, of_classes.classes
    number, lower, upper = checked(value, name, REASONS)
    result = MulticlassResult(
        number, table.rows, table.missing, chosen, lower, upper, tuple(table.classes), tuple(per_class)
    )
    return result if full else result.value


def top_k_accuracy(
    labels: Any,
    scores: Any,
    *,
    k: int = 2,
    classes: Any = None,
    weights: Any = None,
    device: str = "auto",
    threads: int = 0,
    full: bool = False,
) -> Any:
    """Share of rows whose label has one of the ``k`` highest scores, 0 to 1. Of classes with equal scores the one whose
    column comes later is ahead, as in scikit-learn.

    Args:
        labels: (n,) of the classes.
        scores: (n, K), or K columns as a list, a table or {class: column}.
        k: How many classes are guessed, from 1.
        classes: The (K,) classes of the columns; default 0, 1, ... K - 1.
        weights: (n,) weights of rows, finite and not negative.
        device: "auto" (where the arrays lie), "cpu", "cuda" or "cuda:N".
        threads: Of no effect.
        full: Return a MulticlassResult instead of a float.

    Raises:
        InputError: No row has a label and all scores, a label is none of the classes, or rows do not match.
    """
    chosen = _resolve(device, labels, scores, weights)
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or k < 1:
        raise InputError(f"k={k!r} must be a whole number from 1.")
    if not of_several(scores, classes):
        scores = _columns(scores)
        classes = range(len(scores))
    table = class_scores(labels, scores, classes, weights, chosen, probability=False)
    value, lower, upper = checked(tables.top_k_accuracy(table.places(), int(k)), "top_k_accuracy", REASONS)
    result = MulticlassResult(value, table.rows, table.missing, chosen, lower, upper, tuple(table.classes))
    return result if full else result.value
