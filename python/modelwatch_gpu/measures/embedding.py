"""Measures of an embedding column in every window and segment: from sums, from the grids of its projections, and for
windows from their samples of rows."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from modelwatch_gpu.measures.embedding_ensemble import MEMBERS, Ensemble, ensemble
from modelwatch_gpu.measures.embedding_sums import (
    Cloud,
    axes_of,
    centroid_squared,
    centroid_z,
    cloud_of,
    cosine_distance,
    effective_rank,
    feature_mmd,
    frechet_of,
)
from modelwatch_gpu.measures.results import BASELINE, CONSECUTIVE, Block, Exemplar, Place, WindowVectors
from modelwatch_gpu.measures.value import HAS_NUMBER, NOT_THERE, REASON_CODES, Values
from modelwatch_gpu.profile.baseline import Baseline
from modelwatch_gpu.profile.embedding_sums import EmbeddingTable
from modelwatch_gpu.profile.embeddings import BANDWIDTHS, EmbeddingColumn
from modelwatch_gpu.profile.parts import Part

Floats = npt.NDArray[np.float64]

#: A direction has moved where its Wasserstein-1 distance is above so many standard deviations of the baseline.
MOVED: Final = 0.1
#: Sampled rows a verdict needs on each side.
_FEWEST: Final = 8
#: Exemplars that are kept of a window, and rows that a sentence counts the values of.
EXEMPLARS: Final = 20
#: Points of a cloud that a report shows.
SHOWN_POINTS: Final = 400
#: Values that take longer to read than this are no names.
_SHORT: Final = 24

#: Measures of every group that come from sums alone.
SUM_MEASURES: Final = ("centroid_distance", "centroid_z", "cosine_distance", "frechet", "effective_rank")


@dataclass(frozen=True, eq=False)
class _Side:
    """What a group is compared with: a group of a table of windows."""

    table: EmbeddingTable
    group: int

    @property
    def missing(self) -> float:
        """The share of rows without a vector."""
        out = self.table.left_out[self.group]
        return int(out[0]) / max(1, int(self.table.taken[self.group]) + int(out.sum()))


@dataclass
class _Numbers:
    """One measure of all groups while it is filled."""

    value: Floats
    reason: npt.NDArray[np.uint8]

    @classmethod
    def of(cls, groups: int, reason: int) -> _Numbers:
        return cls(np.full(groups, np.nan), np.full(groups, reason, dtype=np.uint8))

    def put(self, at: int, number: float, otherwise: str = "constant_baseline") -> None:
        there = np.isfinite(number)
        self.value[at] = number if there else np.nan
        self.reason[at] = HAS_NUMBER if there else REASON_CODES[otherwise]


def embedding_block(
    baseline: Baseline,
    column: EmbeddingColumn,
    merged: Part,
    table: EmbeddingTable | None,
    place: Place,
    first: int,
    grid: str,
    projected: Mapping[str, Block],
    *,
    earlier: bool = False,
) -> Block:
    """Every group of a set against the baseline; ``earlier``: every window but the first against the one before it.

    ``table``: the set's sums, whose group ``first`` is the first of ``place``. ``projected``: the blocks of the
    column's projections, compared with the same.
    """
    compared_with = CONSECUTIVE if earlier else BASELINE
    if earlier:
        place, first = place.after(1), first + 1
    groups, window = len(place), place.segments is None
    row_count = Values.exact(place.rows.astype(np.float64), place.rows)
    gone = "incomparable" if column.name in merged.incomparable else "gone"
    if table is None:
        return _block(place, column, compared_with, grid, np.zeros(groups), gone, {"row_count": row_count}, {}, (), {})
    own = baseline.part.embeddings[("window", column.name)]
    against = [_Side(table, first + at - 1) if earlier else _Side(own, 0) for at in range(groups)]
    at = slice(first, first + groups)
    taken = table.taken[at].astype(np.int64)
    out = table.left_out[at].astype(np.int64)
    counted = taken + out.sum(axis=1)
    values = _shares(against, table, at, counted)
    values["row_count"] = row_count
    numbers = _from_sums(column, against, table, first, taken, window=window)
    details: dict[int, WindowVectors] = {}
    remarks = [""] * groups
    if window:
        _from_rows(column, against, table, first, taken, numbers, details, remarks)
    for name, found in numbers.items():
        values[name] = Values(found.value, found.value, found.value, taken, found.reason)
    values |= _from_grids(column, projected, taken)
    none = counted == 0
    if none.any():
        values = {n: v if n == "row_count" else v.replaced(none, NOT_THERE) for n, v in values.items()}
    present = np.where(place.rows > 0, counted / np.maximum(place.rows, 1), 1.0)
    counts = {"count": taken, "missing": out[:, 0]}
    # Exemplars and clouds are of what is new to the baseline.
    shown = {} if earlier else details
    return _block(place, column, compared_with, grid, present, gone, values, counts, tuple(remarks), shown)


def _block(
    place: Place,
    column: EmbeddingColumn,
    compared_with: str,
    grid: str,
    present: Floats,
    gone: str,
    values: dict[str, Values],
    numbers: dict[str, Any],
    remarks: tuple[str, ...],
    details: dict[int, WindowVectors],
) -> Block:
    return Block(
        place=place,
        column=column,
        compared_with=compared_with,
        grid=grid,
        present=present,
        absent_reason=gone,
        values=values,
        effects={},
        shifts=None,
        numbers=numbers,
        quantiles={},
        table=None,
        first=0,
        remarks=remarks,
        vectors=details,
    )


def _shares(
    against: Sequence[_Side], table: EmbeddingTable, at: slice, counted: npt.NDArray[np.int64]
) -> dict[str, Values]:
    """Shares of rows without a vector, and with one that cannot be used."""
    before = np.array([side.missing for side in against])
    out = table.left_out[at].astype(np.float64)
    total = np.maximum(counted, 1)
    missing = out[:, 0] / total
    return {
        "missing": Values.exact(missing, counted),
        "missing_change": Values.exact(missing - before, counted),
        "malformed": Values.exact(out[:, 1:].sum(axis=1) / total, counted),
    }


def _from_sums(
    column: EmbeddingColumn,
    against: Sequence[_Side],
    table: EmbeddingTable,
    first: int,
    taken: npt.NDArray[np.int64],
    *,
    window: bool,
) -> dict[str, _Numbers]:
    groups = len(taken)
    names = (*SUM_MEASURES, "rff_mmd", "rff_mmd_pvalue") if window else SUM_MEASURES
    numbers = {name: _Numbers.of(groups, REASON_CODES["all_missing"]) for name in names}
    bases: dict[int, Cloud] = {}
    for at, side in enumerate(against):
        base = bases.get(side.group)
        if base is None:
            base = cloud_of(side.table, column, side.group, window=True)
            base = base if window else base.within(axes_of(column))
            bases = {side.group: base}
        if base.n == 0 or taken[at] == 0:
            continue
        cloud = cloud_of(table, column, first + at, window=window)
        numbers["cosine_distance"].put(at, cosine_distance(column.center + base.mean, column.center + cloud.mean))
        _of_clouds(column, base, cloud, at, numbers)
        if window:
            found = feature_mmd(side.table, side.group, table, first + at) if min(base.n, cloud.n) > 1 else None
            numbers["rff_mmd"].put(at, found.squared[BANDWIDTHS.index(1.0)] if found else np.nan, "few_rows")
            numbers["rff_mmd_pvalue"].put(at, found.pvalue if found else np.nan, "few_rows")
    return numbers


def _of_clouds(column: EmbeddingColumn, base: Cloud, cloud: Cloud, at: int, numbers: dict[str, _Numbers]) -> None:
    if min(base.n, cloud.n) < 2:
        for name in ("centroid_distance", "centroid_z", "frechet", "effective_rank"):
            numbers[name].put(at, np.nan, "few_rows")
        return
    spread = column.spread
    numbers["centroid_distance"].put(at, float(np.sqrt(max(centroid_squared(base, cloud), 0.0))) / spread)
    numbers["centroid_z"].put(
        at, centroid_z(base, cloud), "few_rows" if min(base.n, cloud.n) < 4 else "constant_baseline"
    )
    numbers["effective_rank"].put(at, effective_rank(cloud.covariance), "constant_window")
    if min(base.n, cloud.n) <= len(base.first):
        numbers["frechet"].put(at, np.nan, "few_rows")
    else:
        raw, floor = frechet_of(base, cloud)
        numbers["frechet"].put(at, (raw - floor) / spread**2)


def _from_rows(
    column: EmbeddingColumn,
    against: Sequence[_Side],
    table: EmbeddingTable,
    first: int,
    taken: npt.NDArray[np.int64],
    numbers: dict[str, _Numbers],
    details: dict[int, WindowVectors],
    remarks: list[str],
) -> None:
    """The verdict on the sampled rows of every window, its exemplars and its projection."""
    names = ("embedding_drift", "domain_auc", "novelty", "density")
    few = REASON_CODES["few_rows"]
    numbers |= {name: _Numbers.of(len(taken), few) for name in names}
    plane = column.directions[:, :2].astype(np.float64)
    for at, side in enumerate(against):
        reference = side.table.sample[side.table.sampled(side.group)]
        where = table.sampled(first + at)
        rows, labels = table.sample[where], table.labels[where]
        if min(len(rows), len(reference)) < _FEWEST:
            continue
        found = ensemble(reference, rows)
        for name, number in zip(names, (1 - found.pvalue, found.auc, found.novelty, found.density), strict=True):
            numbers[name].put(at, number, "few_rows")
        exemplars = tuple(
            Exemplar(json.loads(labels[i]), float(found.distance[i])) for i in found.ranked[:EXEMPLARS].tolist()
        )
        base, points = ((s[:SHOWN_POINTS].astype(np.float64) - column.center) @ plane for s in (reference, rows))
        details[at] = WindowVectors(
            member=found.member,
            pvalue=found.pvalue,
            scores=found.scores,
            exemplars=exemplars,
            baseline_points=base,
            points=points,
        )
        remarks[at] = _remark(found, exemplars)


def _remark(found: Ensemble, exemplars: tuple[Exemplar, ...]) -> str:
    """What fired, and what it is sensitive to."""
    if found.pvalue > 0.05:
        return ""
    name, sees = MEMBER_NAMES[found.member], MEMBERS[found.member]
    alone = found.scores[found.member] > 1
    fired = f"{name} fired" if alone else f"no statistic by itself but all together fired, most of all {name}"
    said = f"{fired}, which is sensitive to {sees} (classifier AUC {found.auc:.2f})"
    counts = Counter(
        value
        for e in exemplars
        for name, value in e.labels.items()
        if value is not None and len(value) <= _SHORT and sum(o.labels.get(name) == value for o in exemplars) > 1
    )
    named = ", ".join(f"{value} ({count})" for value, count in counts.most_common(3))
    return f"{said}, and of the {len(exemplars)} rows that moved most: {named}" if named else said


#: Members as a sentence names them.
MEMBER_NAMES: Final = {
    "centroid": "the centroid distance",
    "mmd": "the kernel distance (MMD)",
    "frechet": "the Frechet distance",
    "classifier": "the domain classifier",
    "novelty": "the distance to nearest neighbours",
    "density": "the density of neighbours",
}


def _from_grids(
    column: EmbeddingColumn, projected: Mapping[str, Block], taken: npt.NDArray[np.int64]
) -> dict[str, Values]:
    """Largest KS, mean Wasserstein distance and share of moved ones over the directions; the shift of the length."""
    directions = [projected[name].values for name in column.projections[:-1] if name in projected]
    out: dict[str, Values] = {}
    ks = [v["ks"] for v in directions if "ks" in v]
    if ks:
        lower, value, upper = (np.max([getattr(v, f) for v in ks], axis=0) for f in ("lower", "value", "upper"))
        out["direction_ks"] = Values(value, lower, upper, taken, ks[0].reason)
    moved = [v["wasserstein_sd"] for v in directions if "wasserstein_sd" in v]
    # Along a direction in which the baseline is constant there is no distance in its standard deviations.
    moved = [v for v in moved if not (v.reason == REASON_CODES["constant_baseline"]).any()]
    if moved:
        ends = [np.mean([getattr(v, f) for v in moved], axis=0) for f in ("value", "lower", "upper")]
        out["sliced_wasserstein"] = Values(ends[0], ends[1], ends[2], taken, moved[0].reason)
        axes = moved[: column.principal]
        share = np.mean([v.value > MOVED for v in axes], axis=0)
        there = moved[0].reason == HAS_NUMBER
        share = np.where(there, share, np.nan)
        out["drifted_share"] = Values(share, share, share, taken, moved[0].reason)
    length = projected.get(column.projections[-1])
    if length is not None and "mean_shift" in length.values:
        found = length.values["mean_shift"]
        out["norm_shift"] = Values(found.value, found.lower, found.upper, taken, found.reason)
    return out
