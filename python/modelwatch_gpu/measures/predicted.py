"""Predicted classes beside labels, of many groups at once: tables of label and prediction, and what follows of them.

scikit-learn's definitions, as in ``classes``; the tables are exact on every grid, for every class is a category of its
own. Predictions that are no class of any label or of the baseline are one column more, which is never right.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from modelwatch_gpu.measures.answers import Labelled
from modelwatch_gpu.measures.cells import Floats, Ints
from modelwatch_gpu.measures.scored import outcome_measures
from modelwatch_gpu.measures.value import Values, concatenated
from modelwatch_gpu.profile.columns import COARSE_FIRST, FIRST_CATEGORY, CategoricalColumn, Column, NumericColumn
from modelwatch_gpu.profile.parts import LABELLED_PREFIX, SEGMENT_VALUE, Part
from modelwatch_gpu.profile.scoring import LABEL_CAP, Scoring, class_text
from modelwatch_gpu.profile.tables import CategoryTable, NumericTable

#: Entries of the tables of all groups of a chunk.
_CHUNK: Final = 1 << 22
#: Classes and other predictions that are told apart: a table has the square of them.
_MOST_NAMES: Final = 2 * LABEL_CAP
#: How a bool is told beside 0 and 1.
_BOOLS: Final = {"false": "0", "true": "1"}


@dataclass(frozen=True, eq=False)
class Predictions:
    """Counted predictions of one set. ``classes``: their names, sorted; behind them stands every other prediction.
    ``base``, ``label``, ``prediction``, ``count``: (E,) the group, the classes and the rows (or weight) of each entry;
    rows without a label or a prediction are in none. ``groups``: of the set."""

    classes: tuple[str, ...]
    base: Ints
    label: Ints
    prediction: Ints
    count: Ints
    groups: int

    def tables(self, begin: int, end: int) -> Ints:
        """(groups, K, K) rows by label and prediction of some of the groups; the last class is every other one."""
        k = len(self.classes) + 1
        used = (self.base >= begin) & (self.base < end)
        out = np.zeros((end - begin, k, k), dtype=np.int64)
        np.add.at(out, (self.base[used] - begin, self.label[used], self.prediction[used]), self.count[used])
        return out


def predictions_of(scoring: Scoring, column: Column, grid: str, part: Part, name: str) -> Predictions | None:
    """What a part has of a prediction in the groups of a set; None where it was not counted."""
    crossed = Labelled.of(part, name)
    table = part.tables.get((LABELLED_PREFIX + name, column.name))
    if crossed is None or table is None:
        return None
    texts, group, text_at, count = entries_of(column, grid, table)
    labels = [text if kind == SEGMENT_VALUE else None for kind, text in crossed.labels]
    mixed = has_bools(scoring)
    positive = [] if scoring.positive is None else [scoring.positive]
    said = {one(t, mixed) for t in (*scoring.classes, *positive, *(t for t in labels if t is not None))}
    predicted = {one(t, mixed) for t in texts}
    names = sorted(said | predicted if len(said | predicted) <= _MOST_NAMES else said)
    at = {text: i for i, text in enumerate(names)}
    of_label = np.array([len(names) if t is None else at[one(t, mixed)] for t in labels], dtype=np.int64)
    of_text = np.array([*(at.get(one(t, mixed), len(names)) for t in texts), len(names)], dtype=np.int64)
    known = crossed.known[group]
    group, text_at, count = group[known], text_at[known], count[known]
    return Predictions(
        tuple(names), crossed.base[group], of_label[group], of_text[text_at], count.astype(np.int64), crossed.groups
    )


def has_bools(scoring: Scoring) -> bool:
    """Whether the classes are 0 and 1, or the bools, which are the same."""
    return {*scoring.classes} <= {"0", "1"} or {*scoring.classes} <= {"false", "true"}


def one(text: str, mixed: bool) -> str:
    """A class by its name, bools as 0 and 1 where the classes are these."""
    return _BOOLS.get(text, text) if mixed else text


def entries_of(
    column: Column, grid: str, table: NumericTable | CategoryTable
) -> tuple[list[str], Ints, Ints, npt.NDArray[Any]]:
    """Names of classes, and of each entry the group, the number of its class (of no class: beyond the last) and its
    rows; entries without a prediction are left out."""
    group, cell = table.cells.group.astype(np.int64), table.cells.index.astype(np.int64)
    count = table.cells.value.astype(np.int64)
    if isinstance(column, NumericColumn):
        knots = column.values if grid == "fine" else column.values[column.coarse]
        names = [class_text(v) for v in knots.tolist()]
        texts = [t for t in names if t is not None]
        place = np.full(2 * len(knots) + 1, len(texts), dtype=np.int64)
        on = 0
        for i, text in enumerate(names):
            if text is not None:
                place[2 * i + 1] = on
                on += 1
        inside = cell < len(place)
        return texts, group[inside], place[cell[inside]], count[inside]
    assert isinstance(column, CategoricalColumn)
    assert isinstance(table, CategoryTable)
    if grid == "fine":
        first, texts = FIRST_CATEGORY, list(column.labels)
    else:
        first, texts = COARSE_FIRST, [column.labels[i] for i in column.kept.tolist()]
    inside = cell > 0
    at = np.where(cell >= first, cell - first, len(texts))[inside]
    group, count = group[inside], count[inside]
    if grid == "fine" and len(table.unseen):
        unseen = [value.decode("utf-8", errors="backslashreplace") for value in table.unseen]
        at = np.where(at == len(texts), len(texts) + len(unseen), at)
        at = np.concatenate([at, len(texts) + table.unseen_rows.index.astype(np.int64)])
        group = np.concatenate([group, table.unseen_rows.group.astype(np.int64)])
        count = np.concatenate([count, table.unseen_rows.value.astype(np.int64)])
        texts = [*texts, *unseen]
    return texts, group, at, count


def prediction_measures(scoring: Scoring, column: Column, grid: str, part: Part, name: str) -> dict[str, Values] | None:
    """Measures of a predicted class in every group of a set; None where nothing was counted."""
    found = predictions_of(scoring, column, grid, part, name)
    if found is None:
        return None
    k = len(found.classes) + 1
    step = max(1, _CHUNK // (k * k))
    chunks = []
    for begin in range(0, found.groups, step):
        tables = found.tables(begin, min(begin + step, found.groups))
        mixed = has_bools(scoring)
        if scoring.positive is not None and len(scoring.classes) <= 2:
            chunks.append(of_two(tables, found.classes.index(one(scoring.positive, mixed)), scoring.costs))
        else:
            chunks.append(of_several(tables))
    return concatenated(chunks) if chunks else {}


def of_two(tables: Ints, positive: int | None, costs: Any = None) -> dict[str, Values]:
    """Measures of (G, K, K) tables with one class as the positive one and all others as the negative one."""
    rest = np.arange(tables.shape[1]) != positive
    hit = ~rest
    tp, fn = tables[:, hit][:, :, hit].sum(axis=(1, 2)), tables[:, hit][:, :, rest].sum(axis=(1, 2))
    fp, tn = tables[:, rest][:, :, hit].sum(axis=(1, 2)), tables[:, rest][:, :, rest].sum(axis=(1, 2))
    return outcome_measures(np.stack([tp, fp, fn, tn]), costs)


def of_several(tables: Ints) -> dict[str, Values]:
    """Measures of (G, K, K) tables; a class that has neither a label nor a prediction in a group has no say in it."""
    rows = tables.sum(axis=(1, 2))
    total = np.where(rows > 0, rows, 1).astype(np.float64)
    hits = np.diagonal(tables, axis1=1, axis2=2).astype(np.float64)
    labelled, predicted = tables.sum(axis=2).astype(np.float64), tables.sum(axis=1).astype(np.float64)
    # The last class pools what is no class: two rows of it are no match.
    hits[:, -1] = 0.0
    there = (labelled + predicted) > 0
    size = np.maximum(there.sum(axis=1), 1)

    def over(above: Floats, below: Floats) -> Floats:
        return np.divide(above, below, out=np.zeros(above.shape), where=below > 0)

    per_class = {
        "precision": over(hits, predicted),
        "recall": over(hits, labelled),
        "f1": over(2 * hits, labelled + predicted),
    }
    right = hits.sum(axis=1)
    out = {"accuracy": right / total}
    some = labelled > 0
    out["balanced_accuracy"] = (per_class["recall"] * some).sum(axis=1) / np.maximum(some.sum(axis=1), 1)
    for name, numbers in per_class.items():
        out[f"{name}_macro"] = (numbers * there).sum(axis=1) / size
        out[f"{name}_micro"] = right / total  # every row has one label and one prediction
        out[f"{name}_weighted"] = (numbers * labelled).sum(axis=1) / total
    expected = (labelled * predicted).sum(axis=1) / total
    values = {name: Values.exact(numbers, rows) for name, numbers in out.items()}
    alone = expected >= total
    kappa = np.where(alone, 0.0, (right - expected) / np.where(alone, 1.0, total - expected))
    values["cohen_kappa"] = Values.exact(kappa, rows).replaced(alone, "chance_agrees")
    spread = [total**2 - (side**2).sum(axis=1) for side in (labelled, predicted)]
    one_sided = (spread[0] <= 0) | (spread[1] <= 0)
    root = np.sqrt(np.where(one_sided, 1.0, spread[0])) * np.sqrt(np.where(one_sided, 1.0, spread[1]))
    correlation = np.clip((right * total - (labelled * predicted).sum(axis=1)) / root, -1.0, 1.0)
    values["mcc"] = Values.exact(np.where(one_sided, 0.0, correlation), rows).replaced(one_sided, "one_sided")
    return {name: found.replaced(rows == 0, "no_rows") for name, found in values.items()}
