"""How sure evidence of drift in vectors is, given that days differ: it counts as far as whole days say it too."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from modelwatch_gpu.checks.intervals import BY_UNITS, CONFIDENCE, LEAST_UNITS, Intervals
from modelwatch_gpu.checks.statistics import Statistic
from modelwatch_gpu.checks.units import Units, all_rows
from modelwatch_gpu.measures.embedding_days import UnitSums, pvalue_by_units
from modelwatch_gpu.measures.embedding_sums import axes_of
from modelwatch_gpu.measures.results import BASELINE, Block
from modelwatch_gpu.measures.value import Floats
from modelwatch_gpu.profile.embedding_sums import UNIT_BITS, EmbeddingTable
from modelwatch_gpu.profile.embeddings import EmbeddingColumn
from modelwatch_gpu.profile.parts import Part

MEASURE: Final = "embedding_drift"
#: The scale of evidence. Nothing is drawn of it: what is dealt out anew are sums of vectors.
_EVIDENCE: Final = Statistic(all_rows, np.subtract, high=1.0)


@dataclass(frozen=True, eq=False)
class Evidence(Intervals):
    """``effect``: 1 - p of rows dealt out anew; ``centre``: 1 - p of whole units; ``change``: the p-value of these. It
    is evidence and no size, so there is no test of how far it lies above a threshold."""

    def ends(self, tail: float = (1 - CONFIDENCE) / 2) -> tuple[Floats, Floats]:
        """(groups,) the smaller of what rows and units say, and what rows say; NaN where nothing is known of units."""
        low, high = np.minimum(self.effect, self.centre), np.array(self.effect)
        return np.where(self.known, low, np.nan), np.where(self.known, high, np.nan)

    def tails(self, threshold: float) -> Floats:
        """(groups,) NaN: no test."""
        return np.full(len(self.effect), np.nan)


def evidence_by_units(
    block: Block,
    judged: Mapping[tuple[str, bool], float],
    baseline: Part,
    merged: Part,
    pool: Units | None,
    units_of: Callable[[tuple[int, ...]], list[Units]],
) -> dict[tuple[str, bool], Intervals]:
    """Of a block of windows against the baseline, where its evidence is above a threshold; nothing where rows are taken
    as independent: in segments, against other windows, with few units or no sums of theirs in the baseline.

    ``judged``: measures that are judged, with their lowest threshold; ``pool``: the units of the baseline.
    """
    column, key = block.column, (MEASURE, False)
    assert isinstance(column, EmbeddingColumn)
    if key not in judged or pool is None or block.place.segments is not None or block.compared_with != BASELINE:
        return {}
    before = unit_sums(column, baseline, pool)
    if before is None or len(before) < LEAST_UNITS:
        return {}
    value, groups = block.values[MEASURE].value, len(block)
    by_units, units = np.full(groups, np.nan), np.zeros(groups, dtype=np.int64)
    for at, own in enumerate(units_of(tuple(block.place.starts.tolist()))):
        units[at] = len(own)
        if value[at] > judged[key]:  # NaN is not
            now = unit_sums(column, merged, own)
            if now is not None and len(now):
                units[at], by_units[at] = len(now), 1 - pvalue_by_units(now, before)
    zero = np.where(np.isnan(by_units), np.nan, 0.0)
    method = np.full(groups, BY_UNITS, dtype=np.uint8)
    return {key: Evidence(_EVIDENCE, value, by_units, zero, zero, 1 - by_units, units, method)}


def unit_sums(column: EmbeddingColumn, part: Part, units: Units) -> UnitSums | None:
    """The sums of units that have vectors; None where blocks of some files kept none."""
    blocks, whole = (part.embeddings.get((name, column.name)) for name in ("block", "window"))
    if blocks is None or whole is None or int(blocks.taken.sum()) != int(whole.taken.sum()):
        return None

    return sums_of_blocks(column, blocks, units.summed)


def sums_of_blocks(column: EmbeddingColumn, blocks: EmbeddingTable, summed: Callable[[Floats], Floats]) -> UnitSums:
    """``summed``: (blocks, numbers) -> (units, numbers); units without vectors are left out."""

    def of(sums: npt.NDArray[Any]) -> Floats:
        return summed(sums.reshape(len(sums), -1).astype(np.float64))

    rows = of(blocks.taken)[:, 0]
    unit, there = 2.0**-UNIT_BITS, rows > 0
    total = of(blocks.total)[there] * unit
    return UnitSums(
        rows=rows[there],
        total=total,
        squares=of(blocks.squares)[there, 0] * unit,
        first=total @ axes_of(column),
        second=of(blocks.products)[there] * unit,
        features=of(blocks.features)[there] * unit,
    )
