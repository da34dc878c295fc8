"""Errors of predicted numbers of many groups, from the columns of errors that are counted like any other.

Means and squares come from the ordered moments of these columns, so they are floating sums in a fixed order (DESIGN
3.5) without bounds, in windows and segments alike. The formulas are those of ``errors``, scikit-learn's where it has
one.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from modelwatch_gpu import keys
from modelwatch_gpu.log.residuals import error_columns
from modelwatch_gpu.measures.answers import Labelled
from modelwatch_gpu.measures.cells import Floats, Ints
from modelwatch_gpu.measures.moments import GroupMoments, folded
from modelwatch_gpu.measures.value import Bools, Values
from modelwatch_gpu.measures.weighted import GroupWeights, reworded
from modelwatch_gpu.profile.baseline import Baseline
from modelwatch_gpu.profile.columns import NumericColumn
from modelwatch_gpu.profile.parts import Part
from modelwatch_gpu.profile.scoring import Scoring
from modelwatch_gpu.profile.tables import NumericTable

#: The quantile whose loss is reported: predicting too little costs nine times as much as too much.
LOSS_QUANTILE: Final = 0.9


def error_measures(
    baseline: Baseline, scoring: Scoring, grid: str, part: Part, name: str
) -> dict[str, dict[str, Values]]:
    """Measures of the prediction in every group of a set, and how many rows have a label."""
    assert scoring.prediction is not None
    weights = None
    rows = part.group_rows[name].astype(np.int64)
    if name in part.weights:
        weights = GroupWeights.of(rows, part.weights[name])
        rows = weights.total
    label, labels = baseline.by_name[scoring.label], part.tables.get((name, scoring.label))
    counted = isinstance(label, NumericColumn) and isinstance(labels, NumericTable)
    there = _count(label, grid, labels) if counted else np.zeros(len(rows), dtype=np.int64)  # type: ignore[arg-type]
    coverage = Values.exact(there / np.maximum(rows, 1), rows).replaced(rows == 0, "empty")
    found = {scoring.label: {"labelled": coverage}}
    columns = [baseline.by_name[made] for made in error_columns(scoring.prediction, scoring.label)]
    tables = [part.tables.get((name, column.name)) for column in columns]
    numbers = [t for t in tables if isinstance(t, NumericTable)]
    if len(numbers) < len(tables):
        return found
    moments = [folded(t, 0, t.groups) for t in numbers]
    n = _count(columns[0], grid, numbers[0])  # type: ignore[arg-type]
    infinite = moments[0].count != n
    own = _means(n, moments, numbers[1])
    if counted:
        own |= _of_variance(n, moments[0], *_spread(label, labels))  # type: ignore[arg-type]
    own = {k: v.replaced(infinite, "infinite").replaced(n == 0, "no_rows") for k, v in own.items()}
    if weights is not None:
        own = reworded(own, weights_of_errors(part, name) or weights)
    found[scoring.prediction] = own
    return found


def weights_of_errors(part: Part, name: str) -> GroupWeights | None:
    """Of the rows of each group of a set that have an error; None where rows have no weights, or in a profile of before
    these were kept apart."""
    crossed = Labelled.of(part, name)
    return None if crossed is None else crossed.known_weights


def _count(column: NumericColumn, grid: str, table: NumericTable) -> Ints:
    """(G,) rows with a value."""
    slots = 2 * (len(column.knots) if grid == "fine" else len(column.coarse)) + 1
    out = np.zeros(table.groups, dtype=np.int64)
    inside = table.cells.index < slots
    np.add.at(out, table.cells.group[inside].astype(np.int64), table.cells.value[inside].astype(np.int64))
    return out


def _means(n: Ints, moments: list[GroupMoments], sizes: NumericTable) -> dict[str, Values]:
    """``moments``: of the residual, its size, that as a share of the label, and the symmetric share."""
    residual, size, share, symmetric = moments
    largest = np.zeros(len(n))
    ranked = sizes.lowest <= sizes.highest
    largest[ranked] = keys.values_of(sizes.highest[ranked], "float64")
    with np.errstate(over="ignore", invalid="ignore"):
        rmse = np.sqrt(residual.m2 / np.maximum(n, 1) + residual.mean**2)
    q = LOSS_QUANTILE
    # (1 - q) of the sum of positive errors and q of that of negative ones, each half of size and mean together.
    loss = np.maximum(0.0, size.mean / 2 + (0.5 - q) * residual.mean)
    numbers = {
        "rmse": rmse,
        "me": residual.mean,
        "mae": size.mean,
        "mape": share.mean,
        "smape": symmetric.mean,
        "max_error": largest,
        "quantile_loss": loss,
    }
    return {name: Values.exact(value, n) for name, value in numbers.items()}


def _spread(column: NumericColumn, table: NumericTable) -> tuple[Floats, Ints]:
    """(G,) population variance of the labels, in their units, and how many there are."""
    moments = folded(table, 0, table.groups)
    sd = np.array([column.in_units(v) if v == v else np.nan for v in moments.sd.tolist()], dtype=np.float64)
    return sd * sd, moments.count


def _of_variance(n: Ints, residual: GroupMoments, variance: Floats, labelled: Ints) -> dict[str, Values]:
    """R squared and explained variance: shares of the variance of the labels of the same rows."""
    some: Bools = variance > 0
    below = np.where(some, variance, 1.0)
    with np.errstate(over="ignore", invalid="ignore"):
        own = residual.m2 / np.maximum(n, 1)
        found = {"r2": 1 - (own + residual.mean**2) / below, "explained_variance": 1 - own / below}
    return {
        name: Values.exact(value, n)
        .replaced(~some, "constant_labels")
        .replaced(labelled != n, "other_rows")
        .replaced(n == 1, "one_row")
        for name, value in found.items()
    }
