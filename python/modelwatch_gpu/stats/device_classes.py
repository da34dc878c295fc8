"""Scores of several classes that are counted on a device (``multiclass``)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from itertools import combinations
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from modelwatch_gpu import keys
from modelwatch_gpu.arrays import common_domain, in_domain
from modelwatch_gpu.device import engine
from modelwatch_gpu.errors import InputError
from modelwatch_gpu.measures.performance import ScoreTable
from modelwatch_gpu.stats.grouped import numbers_there, weights_there
from modelwatch_gpu.stats.labelled import numbers_as, same_rows

#: Rows of every group.
_ANY: Final = -1
#: Distinct scores, increasing, and how many rows have each, or their weight.
Counted = tuple[npt.NDArray[Any], npt.NDArray[Any]]


class DeviceClassScores:
    """``multiclass.ClassScores`` of rows that lie on a device: each column is sorted there for each label that it is
    asked of. ``classes``: (K,); ``rows`` take part, of weight ``total``, ``missing`` do not."""

    total: float

    def __init__(
        self,
        classes: list[Any],
        label: Any,
        columns: Sequence[Any],
        weights: Any,
        device: str,
        *,
        probability: bool,
    ) -> None:
        self.classes = classes
        counting: Any = engine(device)
        self._engine = counting
        self._probability = probability
        self._known: dict[tuple[int, int], tuple[npt.NDArray[Any], npt.NDArray[Any], int]] = {}
        self._weights = None if weights is None else weights_there(weights, len(label), device)
        self._columns, self._domains = [], []
        for column in columns:
            same_rows(label, column, "scores")
            column = numbers_as(column)
            self._domains.append(common_domain(column, column, ("scores", "scores")))
            self._columns.append(in_domain(column, self._domains[-1], "scores"))
        values, numbers = numbers_there(label, "labels", device)
        strangers = [v for v in values if v is not None and v not in classes]
        if strangers:
            raise InputError(f"label {strangers[0]!r} is none of the classes that have scores.")
        self._group_of = {classes.index(v): group for group, v in enumerate(values) if v is not None}
        self._class_of = [0 if v is None else classes.index(v) for v in values] or [0]
        self._groups = counting.only_rows(self._columns, numbers)
        self.rows = self._sorted(0, _ANY)[2]
        self.total = self.rows
        if self._weights is not None:
            self.total = float(counting.weights_of_groups(self._groups, self._weights).sum())
        self.missing = len(label) - self.rows
        if probability:
            for k in range(len(classes)):
                scores = self._all(k)[0]
                if len(scores) and not (scores[0] >= 0 and scores[-1] <= 1):
                    raise InputError("scores must be probabilities, from 0 to 1.")

    def against_the_rest(self) -> list[ScoreTable]:
        """As ``multiclass.ClassScores``."""
        found = []
        for k in range(len(self.classes)):
            if self._weights is not None:
                found.append(merged(self._of(k, k), self._rest(k)))
                continue
            (every, counts), (own, of) = self._all(k), self._of(k, k)
            positives = np.zeros_like(counts)
            positives[np.searchsorted(every, own)] = of
            found.append(ScoreTable(every, positives, counts - positives))
        return found

    def rows_against_the_rest(self) -> list[ScoreTable]:
        """As ``multiclass.ClassScores``: equal scores are one entry here."""
        return self.against_the_rest()

    def labelled_rows(self) -> list[ScoreTable]:
        """As ``multiclass.ClassScores``: equal scores are one entry here."""
        own = [self._of(k, k) for k in range(len(self.classes))]
        return [ScoreTable(scores, counts, np.zeros_like(counts)) for scores, counts in own]

    def pairs(self) -> list[tuple[ScoreTable, ScoreTable]]:
        """As ``multiclass.ClassScores``."""
        return [
            (merged(self._of(a, a), self._of(a, b)), merged(self._of(b, b), self._of(b, a)))
            for a, b in combinations(range(len(self.classes)), 2)
        ]

    def pooled(self) -> ScoreTable:
        """As ``multiclass.ClassScores``."""
        sides = self.against_the_rest()
        every, at = np.unique(np.concatenate([t.scores for t in sides]), return_inverse=True)
        masses: list[Any] = [
            np.bincount(at, np.concatenate(m), minlength=len(every)).astype(m[0].dtype)  # counts are below 2^53
            for m in ([t.positives for t in sides], [t.negatives for t in sides])
        ]
        return ScoreTable(every, masses[0], masses[1])

    def places(self) -> npt.NDArray[Any]:
        """As ``multiclass.ClassScores``."""
        domain = reduce(_wider, self._domains)
        columns = [in_domain(column, domain, "scores") for column in self._columns]
        if self._weights is not None:
            places = self._engine.place_numbers(columns, self._groups, self._class_of)
            sums: npt.NDArray[Any] = self._engine.weights_of_groups(places, self._weights)
            return sums
        found: npt.NDArray[Any] = self._engine.places_of_labels(columns, self._groups, self._class_of)
        return found.astype(np.int64)

    def _all(self, k: int) -> Counted:
        return self._sorted(k, _ANY)[:2]

    def _of(self, k: int, label: int) -> Counted:
        group = self._group_of.get(label)
        if group is None:  # no row has this label
            return self._all(k)[0][:0], self._all(k)[1][:0]
        return self._sorted(k, group)[:2]

    def _rest(self, k: int) -> Counted:
        """Weights of the rows with another label than k, in one sum a score as the host has them."""
        others = [int(number != k) for number in self._class_of]
        return self._distinct(k, self._engine.renumbered(self._groups, others, 2), 1)[:2]

    def _sorted(self, k: int, group: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any], int]:
        """Distinct scores of a class's column, their counts or weights, and how many rows there are."""
        if (k, group) not in self._known:
            self._known[k, group] = self._distinct(k, self._groups, group)
        return self._known[k, group]

    def _distinct(self, k: int, groups: Any, group: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any], int]:
        domain = self._domains[k]
        if self._weights is None:
            found = self._engine.distinct_keys(self._columns[k], keys.DOMAINS[domain], groups, group)
            mass, rows = found["counts"].astype(np.int64), int(found["counts"].sum())
        else:
            found = self._engine.weighted_keys(self._columns[k], keys.DOMAINS[domain], self._weights, groups, group)
            mass, rows = found["sums"], found["rows"]
        scores = keys.values_of(found["keys"], domain)
        whole = scores.dtype.kind in "iu" and self._probability
        return scores.astype(np.float64) if whole else scores, mass, rows


def merged(positive: tuple[Any, Any], negative: tuple[Any, Any]) -> ScoreTable:
    """One table of two sorted lists of distinct scores with their counts, or weights."""
    every = np.concatenate([positive[0], negative[0]])
    every.sort(kind="stable")  # two runs, which are merged
    distinct = every[np.concatenate([[True], every[1:] != every[:-1]])] if len(every) else every
    masses = []
    for scores, mass in (positive, negative):
        own = np.zeros(len(distinct), mass.dtype)
        own[np.searchsorted(distinct, scores)] = mass
        masses.append(own)
    return ScoreTable(distinct, masses[0], masses[1])


def _wider(a: str, b: str) -> str:
    """The domain that holds the values of both, where one does; ``in_domain`` refuses values that it does not."""
    if a == b:
        return a
    return "float64" if {"float32", "float64"} & {a, b} else "int64"
