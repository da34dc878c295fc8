"""Rows in groups by the values of a column, and labels beside scores or classes, counted where the columns lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from modelwatch_gpu import _core, keys
from modelwatch_gpu.arrays import as_columns, common_domain, in_domain, is_numeric
from modelwatch_gpu.device import engine
from modelwatch_gpu.device_arrays import DeviceColumn, location, resolve_for, resolve_host
from modelwatch_gpu.errors import InputError
from modelwatch_gpu.measures.performance import ScoreTable
from modelwatch_gpu.stats.categories import plain
from modelwatch_gpu.stats.cells import distinct_of, knots_of
from modelwatch_gpu.stats.labelled import (
    Classes,
    CountedClasses,
    Weights,
    as_written,
    classes_of,
    is_text,
    number_of,
    numbers_as,
    same_rows,
    score_table,
    two_classes,
    weights_of,
)

Keys = npt.NDArray[np.uint64]


@dataclass(frozen=True, eq=False)
class Groups:
    """``of_row``: the group of every row, as the engine takes it: (rows,) int32, negative for none, or numbers that lie
    on the device. ``count``: how many it may name, at least 1; ``places``: which of those are the groups of ``values``,
    in their order."""

    of_row: Any
    count: int
    places: npt.NDArray[np.intp]
    values: tuple[Any, ...]


def groups_by(values: Any, device: str) -> Groups:
    """Groups by the values of one column: numbers, text, bytes or booleans. Null and NaN are in none.

    Raises InputError where there is more than one column, or it holds something else.
    """
    (column, *more), batched = as_columns(values, "groups")
    if batched or more:
        raise InputError("groups must be one column (n,).")
    if not isinstance(column, (DeviceColumn, pa.Array)):
        raise InputError(f"groups has type {column.type} on a device; pass whole numbers.")
    if device == "cpu" or not is_numeric(column):
        return _groups_here(column)
    domain = str(keys.domain_of(column.type))
    column = in_domain(column, domain, "groups")
    own = distinct_of(column, domain, device)[0]
    return Groups(*_numbered(column, domain, own, device), tuple(as_written(keys.values_of(own, domain), column.type)))


def _groups_here(column: pa.Array) -> Groups:
    column = plain(column)
    if not (is_numeric(column) or pa.types.is_boolean(column.type) or is_text(column)):
        raise InputError(f"groups has type {column.type}; numbers, dates, times, text or booleans are needed.")
    found = classes_of(column, column, "groups")
    of_row = np.full(len(column), -1, dtype=np.int32)
    of_row[found.kept] = found.labels
    count = len(found.values)
    return Groups(of_row, max(count, 1), np.arange(count), tuple(found.values))


def numbers_there(column: Any, name: str, device: str) -> tuple[list[Any], Any]:
    """The values of a column, sorted, and the number of every row's among them, on the device; none where it has no
    value. Of the host's columns also text."""
    counting: Any = engine(device)
    if isinstance(column, pa.Array):
        found = _groups_here(column)
        return list(found.values), counting.upload_groups(found.of_row, found.count)
    column, domain = _on_device(column, name)
    own = distinct_of(column, domain, device)[0]
    numbers, count, places = _numbered(column, domain, own, device)
    if isinstance(numbers, np.ndarray):
        return [], counting.upload_groups(numbers, count)
    values = as_written(keys.values_of(own, domain), column.type)
    by_place = dict(zip(places.tolist(), values, strict=True))
    # The infinities of a float domain are places too, which no row may have.
    return [by_place.get(place) for place in range(count)], numbers


def _numbered(column: Any, domain: str, own: Keys, device: str) -> tuple[Any, int, npt.NDArray[np.intp]]:
    """The place of every row's value among the sorted keys and the infinities of a float domain, on the device; how
    many places there are; and those of ``own``."""
    knots = knots_of(domain, own)
    if not len(knots):  # whole numbers, and no row has one
        return np.full(len(column), -1, dtype=np.int32), 1, np.empty(0, dtype=np.intp)
    counting: Any = engine(device)
    numbers = counting.knot_numbers(column, _core.Grid(keys.DOMAINS[domain], knots))
    return numbers, len(knots), np.searchsorted(knots, own)


def resolve_labelled(device: str, labels: Any, other: Any, weights: Any, *, weighs: bool = False) -> str:
    """The device that counts labels beside scores or classes; with "auto" arrays of the host that a device would refuse
    are the CPU's. ``weighs``: whether a device adds up weights for what is asked; else those are the CPU's too.

    Raises InputError and DeviceUnavailable as ``resolve_for``, or with weights that no device takes as
    ``resolve_host``.
    """
    return resolve_beside(device, [labels, other], weights, weighs=weighs)


def resolve_beside(device: str, sides: Sequence[Any], weights: Any, *, weighs: bool = False) -> str:
    """``resolve_labelled`` of any columns beside each other."""
    if weights is not None:
        if not weighs:
            return resolve_host(device, *sides, weights)
        sides = [*sides, weights]
    if device == "auto" and not any(location(s) for s in sides) and not all(_is_of_numbers(s) for s in sides):
        return "cpu"
    return resolve_for(device, *sides)


def _is_of_numbers(values: Any) -> bool:
    """Whether an array of the host holds what a device tells apart."""
    if isinstance(values, np.ndarray):
        return values.dtype.kind in "biuf"
    return isinstance(values, (pa.Array, pa.ChunkedArray)) and (is_numeric(values) or pa.types.is_boolean(values.type))


def scores_by_label(
    labels: Any, scores: Any, positive: Any, weights: Any, device: str, *, probability: bool
) -> tuple[ScoreTable, int]:
    """``labelled.score_table``, counted on a device: scores are sorted apart for each class."""
    if device == "cpu":
        return score_table(labels, scores, positive, weights_of(weights, len(labels)), probability=probability)
    same_rows(labels, scores, "scores")
    domain = common_domain(scores, scores, ("scores", "scores"))
    scores = in_domain(scores, domain, "scores")
    labels, label_domain = _on_device(labels, "labels")
    own = distinct_of(labels, label_domain, device)[0]
    classes = two_classes(as_written(keys.values_of(own, label_domain), labels.type))
    number = number_of(classes, positive)
    groups, _, places = _numbered(labels, label_domain, own, device)
    counting: Any = engine(device)
    sides, rows = [], 0
    beside = None if weights is None else weights_there(weights, len(labels), device)
    for place in places.tolist():
        if beside is None:
            found = counting.distinct_keys(scores, keys.DOMAINS[domain], groups, place)
            sides.append((found["keys"], found["counts"].astype(np.int64)))
            rows += int(found["counts"].sum())
        else:
            found = counting.weighted_keys(scores, keys.DOMAINS[domain], beside, groups, place)
            sides.append((found["keys"], found["sums"]))
            rows += found["rows"]
    every = np.unique(np.concatenate([np.empty(0, dtype=np.uint64), *(side for side, _ in sides)]))
    kind = np.int64 if beside is None else np.float64
    masses: list[Any] = [np.zeros(len(every), dtype=kind), np.zeros(len(every), dtype=kind)]
    for at, (side, counts) in enumerate(sides):
        masses[0 if at == number else 1][np.searchsorted(every, side)] = counts
    values = keys.values_of(every, domain)
    if probability and len(values) and not (values.min() >= 0 and values.max() <= 1):
        raise InputError("scores must be probabilities, from 0 to 1.")
    if values.dtype.kind in "iu" and probability:
        values = values.astype(np.float64)
    return ScoreTable(values, masses[0], masses[1]), rows


def weights_there(weights: Any, rows: int, device: str) -> Any:
    """``labelled.weights_of`` as a column for a device to read, where it may lie."""
    (column, *more), batched = as_columns(weights, "weights")
    if isinstance(column, pa.Array):
        return pa.array(weights_of(weights, rows))
    if batched or more or not isinstance(column, DeviceColumn) or column.null_count:
        raise InputError("weights must be one column of numbers without nulls.")
    if len(column) != rows:
        raise InputError(f"weights has {len(column)} rows and labels has {rows}; give both the same rows.")
    counting: Any = engine(device)
    found = counting.column_moments(column)
    least = keys.values_of(np.array([found["low"]], dtype=np.uint64), str(keys.domain_of(column.type)))
    if rows and (found["count"] != rows or not least[0] >= 0):
        raise InputError("weights must be finite and not negative.")
    return column


def distinct_weights(
    weights: Any, rows: int, device: str, groups: Any = None
) -> tuple[Weights, npt.NDArray[np.int64] | None]:
    """Weights of rows as float64, one by one and None where they lie on the host; of a device the distinct ones, and
    how many rows that are in a group have each."""
    if weights is None:
        return None, None
    column = pa.array(weights_of(weights, rows)) if device == "cpu" else weights_there(weights, rows, device)
    if isinstance(column, pa.Array) and groups is None:
        return column.to_numpy(), None
    counting: Any = engine(device)
    domain = str(keys.domain_of(column.type))
    found = counting.distinct_keys(column, keys.DOMAINS[domain], groups, -1)
    return keys.values_of(found["keys"], domain).astype(np.float64), found["counts"].astype(np.int64)


def classes_by_label(labels: Any, predictions: Any, device: str, weights: Any = None) -> Classes | CountedClasses:
    """``labelled.classes_of``, counted on a device; with weights so is the table of their sums."""
    if device == "cpu":
        return classes_of(labels, predictions)
    beside = None if weights is None else weights_there(weights, len(labels), device)
    same_rows(labels, predictions, "predictions")
    types = labels.type, predictions.type
    (labels, _), (predictions, _) = _on_device(labels, "labels"), _on_device(predictions, "predictions")
    domain = common_domain(labels, predictions, ("labels", "predictions"))
    labels, predictions = in_domain(labels, domain, "labels"), in_domain(predictions, domain, "predictions")
    found = np.union1d(*(distinct_of(side, domain, device)[0] for side in (labels, predictions)))
    groups, count, places = _numbered(labels, domain, found, device)
    table, sums = np.zeros((len(found), len(found)), dtype=np.int64), None
    counting: Any = engine(device)
    if len(found):
        (counted,) = counting.count_bins_of([predictions], keys.DOMAINS[domain], [found], groups, count)
        # The bin behind each cut holds one value: every value is a cut.
        table = counted[places][:, 1 : len(found) + 1].astype(np.int64)
    # A class is a value that some row with both has.
    met = (table.sum(axis=0) + table.sum(axis=1)) > 0
    values = keys.values_of(found[met], domain)
    booleans = all(pa.types.is_boolean(kind) for kind in types)
    named = [bool(v) for v in values] if booleans else as_written(values, types[0])
    if beside is not None and met.any():
        # Places are those of both sides' values, which are the same ones.
        cells = counting.crossed(groups, _numbered(predictions, domain, found, device)[0])
        weighed = counting.weights_of_groups(cells, beside).reshape(count, count)
        sums = weighed[np.ix_(places[met], places[met])]
    return CountedClasses(named, table[np.ix_(met, met)], sums)


@dataclass(frozen=True, eq=False)
class GroupTables:
    """``tables``: (G, K, K) rows of each group, label and prediction; ``classes``: (K,), of rows with label and
    prediction, ``groups``: (G,), both sorted; ``score_sums``: (G,), None without scores. On the device: ``of_row``,
    the group of every row, ``of_label`` and ``of_prediction``, its classes, each -1 for none; ``class_of``: which of
    ``classes`` each number of those is, -1 for none."""

    groups: list[Any]
    classes: list[Any]
    tables: npt.NDArray[np.int64]
    score_sums: npt.NDArray[np.float64] | None
    of_row: Any
    of_label: Any
    of_prediction: Any
    class_of: npt.NDArray[np.int32]

    def outcomes(self, positive: int, weights: Any, device: str) -> tuple[npt.NDArray[np.float64], Any]:
        """(G, 2, 2) sums of weights by whether label and prediction are a class, and the device's numbers of the rows
        that have all three. ``weights``: from ``weights_there``."""
        counting: Any = engine(device)
        to = np.where(self.class_of == positive, 1, 0) if positive >= 0 else np.zeros_like(self.class_of)
        sides = [counting.renumbered(side, to.tolist(), 2) for side in (self.of_label, self.of_prediction)]
        cells = counting.crossed(self.of_row, counting.crossed(*sides))
        found: npt.NDArray[np.float64] = counting.weights_of_groups(cells, weights)
        return found.reshape(-1, 2, 2)[: len(self.groups)], cells


def tables_by_group(
    labels: Any, predictions: Any, groups: Any, scores: Any, device: str, weights: Any = None
) -> GroupTables:
    """Labels beside predictions, counted for each group on a device; groups of the host may be text. ``weights``: from
    ``weights_there``, of the scores' sums; rows are counted."""
    same_rows(labels, predictions, "predictions")
    counting: Any = engine(device)
    (column, *more), batched = as_columns(groups, "groups")
    if batched or more:
        raise InputError("groups must be one column.")
    same_rows(labels, column, "groups")
    if pa.types.is_floating(column.type):
        raise InputError(f"groups has type {column.type}; text or whole numbers are needed.")
    names, of_row = numbers_there(column, "groups", device)
    score, score_domain = None, ""
    if scores is not None:
        (score, *more), batched = as_columns(scores, "scores")
        if batched or more:
            raise InputError("scores must be one column.")
        same_rows(labels, score, "scores")
        score, score_domain = _on_device(score, "scores")
        held = keys.values_of(distinct_of(score, score_domain, device)[0], score_domain)
        if len(held) and not (held[0] >= 0 and held[-1] <= 1):
            raise InputError("scores must be probabilities, from 0 to 1.")
    types = labels.type, predictions.type
    (labels, _), (predictions, _) = _on_device(labels, "labels"), _on_device(predictions, "predictions")
    domain = common_domain(labels, predictions, ("labels", "predictions"))
    labels, predictions = in_domain(labels, domain, "labels"), in_domain(predictions, domain, "predictions")
    if score is not None:
        of_row = counting.only_rows([score, labels, predictions], of_row)
    found = np.union1d(*(distinct_of(side, domain, device)[0] for side in (labels, predictions)))
    of_label, count, places = _numbered(labels, domain, found, device)
    of_prediction = _numbered(predictions, domain, found, device)[0]
    if isinstance(of_label, np.ndarray):  # no row has a class
        of_label = of_prediction = counting.upload_groups(of_label, count)
    size = max(len(names), 1)
    tables = np.zeros((size, len(found), len(found)), dtype=np.int64)
    met = np.zeros(len(found), dtype=bool)
    if len(found):
        both = counting.crossed(of_row, of_label)
        for groups_there, many in ((of_label, 1), (both, size)):
            (counted,) = counting.count_bins_of(
                [predictions], keys.DOMAINS[domain], [found], groups_there, many * count
            )
            # The bin behind each cut holds one value: every value is a cut.
            tables = counted.reshape(many, count, -1)[:, places, 1 : len(found) + 1].astype(np.int64)
            # A class is a value that some row with both has.
            met |= tables.sum(axis=(0, 1)) + tables.sum(axis=(0, 2)) > 0
    sums = None
    if score is not None:
        sums = np.array([_sum_of(counting, score, score_domain, of_row, g, weights) for g in range(len(names))])
    booleans = all(pa.types.is_boolean(kind) for kind in types)
    values = keys.values_of(found[met], domain)
    classes = [bool(v) for v in values] if booleans else as_written(values, types[0])
    class_of = np.full(count, -1, dtype=np.int32)
    class_of[places[met]] = np.arange(len(classes))
    own = tables[: len(names)][:, met][:, :, met]
    return GroupTables(names, classes, own, sums, of_row, of_label, of_prediction, class_of)


def _sum_of(counting: Any, scores: Any, domain: str, groups: Any, group: int, weights: Any) -> float:
    """The sum of a group's scores, from its distinct ones and their counts, or weights."""
    if weights is None:
        found = counting.distinct_keys(scores, keys.DOMAINS[domain], groups, group)
    else:
        found = counting.weighted_keys(scores, keys.DOMAINS[domain], weights, groups, group)
    values = keys.values_of(found["keys"], domain).astype(np.float64)
    return float(np.dot(values, found["counts" if weights is None else "sums"]))


def _on_device(column: Any, name: str) -> tuple[Any, str]:
    """A column of numbers or booleans in its own domain; raises InputError for all else, which the host tells apart."""
    if isinstance(column, pa.Array):
        column = numbers_as(plain(column))
    if not isinstance(column, (DeviceColumn, pa.Array)) or not is_numeric(column):
        raise InputError(
            f"{name} has type {column.type}; on a device labels and classes are numbers or booleans. Pass numbers, or "
            "arrays of the host and device='cpu'."
        )
    domain = str(keys.domain_of(column.type))
    return in_domain(column, domain, name), domain
