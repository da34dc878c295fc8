"""Errors of predicted numbers as statistics: sums of errors and squares, day by day, and what rows add by chance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from modelwatch_gpu.checks.cell_values import (
    ROWS,
    SQUARES,
    VALUES,
    centre_of,
    sums_of_blocks,
    sums_of_windows,
)
from modelwatch_gpu.log.residuals import error_columns
from modelwatch_gpu.measures.moments import GroupMoments, folded
from modelwatch_gpu.measures.residuals import LOSS_QUANTILE, weights_of_errors
from modelwatch_gpu.measures.value import Floats, Ints
from modelwatch_gpu.measures.weighted import GroupWeights
from modelwatch_gpu.profile.baseline import Baseline
from modelwatch_gpu.profile.columns import NumericColumn
from modelwatch_gpu.profile.parts import Part
from modelwatch_gpu.profile.scoring import Scoring
from modelwatch_gpu.profile.tables import NumericTable

#: The columns that a measure is made of, by their place: the residual, its size, its shares, and the label.
_RESIDUAL, _SIZE, _SHARE, _SYMMETRIC, _LABEL = range(5)
_OF: Final = {
    "me": (_RESIDUAL,),
    "mae": (_SIZE,),
    "mape": (_SHARE,),
    "smape": (_SYMMETRIC,),
    "rmse": (_RESIDUAL,),
    "quantile_loss": (_RESIDUAL, _SIZE),
    "r2": (_RESIDUAL, _LABEL),
    "explained_variance": (_RESIDUAL, _LABEL),
}


def _mean(sums: Floats) -> Floats:
    found: Floats = sums[:, VALUES] / sums[:, ROWS]
    return found


def _loss(sums: Floats) -> Floats:
    size = sums[:, 3 + VALUES] / sums[:, 3 + ROWS]
    found: Floats = size / 2 + (0.5 - LOSS_QUANTILE) * _mean(sums)
    return found


def _left(sums: Floats, *, centred: bool) -> Floats:
    """Share of the labels' variance that errors do not have."""
    own, label = sums[:, :3], sums[:, 3:]
    spread = label[:, SQUARES] / label[:, ROWS] - _mean(label) ** 2
    square = own[:, SQUARES] / own[:, ROWS] - (_mean(own) ** 2 if centred else 0.0)
    return 1 - square / np.where(spread > 0, spread, np.nan)


_MEASURED: Final[dict[str, Callable[[Floats], Floats]]] = {
    "rmse": lambda sums: np.sqrt(sums[:, SQUARES] / sums[:, ROWS]),
    "quantile_loss": _loss,
    "r2": lambda sums: _left(sums, centred=False),
    "explained_variance": lambda sums: _left(sums, centred=True),
}


@dataclass(frozen=True, eq=False)
class Errors:
    """Of one measure. ``grid``: of the log's windows; the baseline's are fine."""

    baseline: Baseline
    scoring: Scoring
    grid: str
    measure: str

    #: Sums of floating numbers: no whole ones.
    whole = False

    @staticmethod
    def known(measure: str) -> bool:
        """Whether sums by day say anything of a measure."""
        return measure in _OF

    @cached_property
    def _columns(self) -> list[NumericColumn] | None:
        names = [*error_columns(str(self.scoring.prediction), self.scoring.label), self.scoring.label]
        found = [self.baseline.by_name[names[at]] for at in _OF[self.measure]]
        columns = [column for column in found if isinstance(column, NumericColumn)]
        return columns if len(columns) == len(found) else None

    @cached_property
    def _centres(self) -> list[float]:
        """Errors are squared as they are, labels around their mean."""
        label = self.scoring.label
        return [centre_of(c, self.baseline.part) if c.name == label else 0.0 for c in self._columns or ()]

    def tables(self, part: Part, name: str, grid: str) -> Floats | None:
        """(groups, 3 columns) of blocks, or of windows: rows, sum and sum of squares of each column."""
        of = sums_of_blocks if name == "block" else sums_of_windows
        own = "fine" if part is self.baseline.part else self.grid
        found = [of(c, part, own, centre) for c, centre in zip(self._columns or (), self._centres, strict=True)]
        sums = [one for one in found if one is not None]
        return np.concatenate(sums, axis=1) if sums and len(sums) == len(found) else None

    def measured(self, sums: Floats) -> Floats:
        """(replicates,) the measure of (replicates, 3 columns) sums."""
        with np.errstate(divide="ignore", invalid="ignore"):
            found: Floats = _MEASURED.get(self.measure, _mean)(sums)
        return found

    def variances(self, part: Part, name: str, grid: str, groups: Ints) -> Floats:
        """(groups asked for,) from the moments of errors in each; where two numbers of a row take part whose covariance
        is not kept, as if one rose with the other: at most."""
        nothing = np.full(len(groups), np.nan)
        columns = self._columns
        tables = [part.tables.get((name, column.name)) for column in columns or ()]
        numbers = [table for table in tables if isinstance(table, NumericTable)]
        if columns is None or len(numbers) < len(tables):
            return nothing
        moments = [_of_groups(table, groups) for table in numbers]
        rows = moments[0].count.astype(np.float64)
        if name in part.weights:
            weights = weights_of_errors(part, name)
            if weights is None:
                weights = GroupWeights.of(part.group_rows[name].astype(np.int64), part.weights[name])
            rows = rows * weights.per_count[groups]
        with np.errstate(divide="ignore", invalid="ignore"):
            found: Floats = self._deviation(moments) ** 2 / rows
        return np.where(rows > 1, found, np.nan)

    def _deviation(self, moments: list[GroupMoments]) -> Floats:
        """(groups,) of what one row adds to the measure, times the rows."""
        first = moments[0]
        if self.measure not in _MEASURED:
            return first.sd
        if self.measure == "quantile_loss":
            return (LOSS_QUANTILE - 0.5) * first.sd + moments[1].sd / 2
        mean_square, square_sd = _squares(first, 0.0 * first.mean)
        if self.measure == "rmse":
            own: Floats = square_sd / (2 * np.sqrt(mean_square))
            return own
        label = moments[1]
        spread = label.m2 / label.count
        label_sd = _squares(label, -label.mean)[1]
        if self.measure == "explained_variance":
            mean_square, square_sd = _squares(first, -first.mean)
        found: Floats = square_sd / spread + mean_square / spread**2 * label_sd
        return found


def _of_groups(table: NumericTable, groups: Ints) -> GroupMoments:
    found = folded(table, 0, table.groups)
    count, mean, m2, m3, m4 = (getattr(found, name)[groups] for name in ("count", "mean", "m2", "m3", "m4"))
    return GroupMoments(count, mean, m2, m3, m4, found.kept)


def _squares(moments: GroupMoments, shift: Floats) -> tuple[Floats, Floats]:
    """(groups,) mean and standard deviation of squares of values moved by ``shift``."""
    n = moments.count.astype(np.float64)
    mean = moments.mean + shift
    second = moments.m2 / n + mean**2
    fourth = (moments.m4 + 4 * mean * moments.m3 + 6 * mean**2 * moments.m2) / n + mean**4
    return second, np.sqrt(np.maximum(0.0, fourth - second**2))
