"""The baseline's own side of every comparison, made once for a baseline however many logs are held against it."""

from __future__ import annotations

from collections.abc import Sequence

from modelwatch_gpu.measures import categorical
from modelwatch_gpu.measures.batch import Compared, NumericGroups, coarsened, numeric_groups
from modelwatch_gpu.measures.weighted import GroupWeights
from modelwatch_gpu.profile.baseline import Baseline
from modelwatch_gpu.profile.columns import Column, NumericColumn
from modelwatch_gpu.profile.tables import NumericTable, Table

Groups = NumericGroups | categorical.CategoryGroups


def groups_of(
    column: Column, table: Table, begin: int, end: int, grid: str, weights: GroupWeights | None = None
) -> Groups:
    """The groups of a table from ``begin`` to ``end``. ``weights``: of all groups, where rows have some."""
    if isinstance(column, NumericColumn):
        assert isinstance(table, NumericTable)
        return numeric_groups(column, table, begin, end, grid, weights)
    assert not isinstance(table, NumericTable)
    return categorical.category_groups(column, table, begin, end, grid, weights)


class Reference:
    """The counts of a baseline as one group a column, on the grids that windows and segments are counted on."""

    def __init__(self, baseline: Baseline) -> None:
        self._part = baseline.part
        self._groups: dict[tuple[str, str], Groups] = {}
        self._joined: dict[tuple[str, tuple[str, ...]], NumericGroups] = {}

    @classmethod
    def of(cls, baseline: Baseline) -> Reference:
        """That of this baseline, kept as long as the baseline is."""
        return baseline.kept("reference", lambda: cls(baseline))

    def groups(self, column: Column, grid: str) -> Groups:
        """The baseline's counts of a column, one group."""
        key = (column.name, grid)
        if key not in self._groups:
            self._groups[key] = self._fine(column) if grid == "fine" else self._coarse(column)
        return self._groups[key]

    def _fine(self, column: Column) -> Groups:
        part, weights = self._part, None
        if "window" in part.weights:
            weights = GroupWeights.of(part.group_rows["window"], part.weights["window"])
        return groups_of(column, part.tables[("window", column.name)], 0, 1, "fine", weights)

    def _coarse(self, column: Column) -> Groups:
        fine = self.groups(column, "fine")
        if isinstance(fine, NumericGroups):
            assert isinstance(column, NumericColumn)
            return coarsened(column, fine)
        assert not isinstance(column, NumericColumn)
        return categorical.coarsened(column, fine)

    def joined(self, columns: Sequence[Compared]) -> NumericGroups:
        """The baseline's side of the columns of a batch, one group each."""
        key = (columns[0].current.grid, tuple(c.column.name for c in columns))
        if key not in self._joined:
            self._joined[key] = NumericGroups.joined([c.baseline for c in columns])
        return self._joined[key]
