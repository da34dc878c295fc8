"""Divergences freed of what noise adds, and what moved: what a verdict and its sentence are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Final

import numpy as np
import numpy.typing as npt

from modelwatch_gpu.measures import bins, rank
from modelwatch_gpu.measures.batch import Batch
from modelwatch_gpu.measures.categorical import CategoryGroups, Paired
from modelwatch_gpu.measures.cells import Floats, Ints, max_by_group
from modelwatch_gpu.measures.numeric import Binned, in_units, pivots_of
from modelwatch_gpu.measures.value import Values
from modelwatch_gpu.measures.weighted import independent
from modelwatch_gpu.profile.columns import COARSE_FIRST, FIRST_CATEGORY, CategoricalColumn, label_of


@dataclass(frozen=True, slots=True)
class Effect:
    """A divergence freed of what noise adds on average (DESIGN 3.9): ``value`` is judged, ``raw`` stands beside it.

    ``chance``: what ``value`` exceeds in 1% of pairs of samples of one distribution. ``lower``: what is left of it when
    chance has added that much. Both take rows as independent.
    """

    value: float
    raw: float
    noise_floor: float
    chance: float = 0.0
    lower: float = 0.0


@dataclass(frozen=True, eq=False, slots=True)
class Effects:
    """The effects of one measure in many groups: (groups,) arrays, NaN where there is none. ``baseline_rows``,
    ``rows``: as how many independent rows either side counts."""

    value: Floats
    raw: Floats
    noise_floor: Floats
    chance: Floats
    lower: Floats
    baseline_rows: Floats
    rows: Floats

    def there(self, at: int) -> bool:
        """Whether group ``at`` has this effect."""
        value: float = self.value.item(at)
        return value == value

    def __getitem__(self, at: int) -> Effect:
        return Effect(
            self.value.item(at), self.raw.item(at), self.noise_floor.item(at), self.chance.item(at), self.lower.item(at)
        )

    def only(self, where: npt.NDArray[np.bool_]) -> Effects:
        """None but in the groups of a (groups,) mask."""
        if where.all():
            return self
        return Effects(*(np.where(where, getattr(self, name), np.nan) for name in EFFECTS))

    def at(self, groups: slice) -> Effects:
        """Those of a run of groups."""
        return Effects(*(getattr(self, name)[groups] for name in EFFECTS))


#: The arrays of ``Effects``, in order.
EFFECTS: Final = tuple(f.name for f in fields(Effects))


@dataclass(frozen=True, slots=True)
class Shift:
    """What moved, for the reason a person reads: the baseline's number and the window's.

    ``what``: "mean", or the category whose share moved most; ``share``: both numbers are shares.
    """

    what: str
    before: float
    after: float
    share: bool


@dataclass(frozen=True, eq=False, slots=True)
class Shifts:
    """What moved in many groups: (groups,) arrays, ``before`` NaN where nothing can be said.

    ``which``: slots of a category, or, below 0, -1 - the index of an unseen value; None where means moved.
    """

    before: Floats
    after: Floats
    which: Ints | None = None


#: The first names of the slots of a category, on either grid.
_SLOT_NAMES: Final = ("missing", "other values", "new values")


def slot_name(column: CategoricalColumn, slot: int, grid: str, unseen: tuple[bytes, ...]) -> str:
    """A category as a sentence names it; see ``Shifts.which``."""
    if slot < 0:
        return f"'{label_of(unseen[-1 - slot])}'"
    first = FIRST_CATEGORY if grid == "fine" else COARSE_FIRST
    if slot < first:
        return _SLOT_NAMES[slot]
    at = slot - first
    return f"'{column.labels[at if grid == 'fine' else int(column.kept[at])]}'"


def numeric_effects(batch: Batch, binned: Binned, ks: Values) -> tuple[dict[str, Effects], Shifts]:
    """Effects by measure, and how the mean moved. ``binned``: both sides over the baseline's bins. ``ks``: as
    measured."""
    baseline, current, of = batch.baseline, batch.current, batch.of_baseline
    n, m = independent(baseline.weights, baseline.count)[of], independent(current.weights, current.count)
    some = (n > 0) & (m > 0)
    effects = _joined([(at, bin_effects(h, some[at])) for at, h in binned], current.groups)
    with np.errstate(divide="ignore", invalid="ignore"):
        chance, noise = rank.ks_chance(n, m), rank.ks_noise(n, m)
    distance = ks.value
    sides = n.astype(np.float64), m.astype(np.float64)
    effects["ks"] = Effects(distance, distance, noise, chance, np.maximum(0.0, distance - chance), *sides).only(some)
    pivots = pivots_of(batch)
    means = baseline.moments.mean[of] + pivots, current.moments.mean + pivots
    known = some & (baseline.moments.count > 0)[of] & (current.moments.count > 0)
    before, after = (in_units(batch.column, np.where(known, mean, np.nan)) for mean in means)
    return effects, Shifts(before, after)


def _joined(each: Sequence[tuple[Ints, dict[str, Effects]]], groups: int) -> dict[str, Effects]:
    """The effects of all groups from those of some at a time, which stand at given places."""
    if len(each) == 1:
        return each[0][1]
    out = {}
    for name in each[0][1]:
        sides = [np.empty(groups) for _ in EFFECTS]
        for at, effects in each:
            for side, own in zip(sides, EFFECTS, strict=True):
                side[at] = getattr(effects[name], own)
        out[name] = Effects(*sides)
    return out


def bin_effects(h: bins.Histograms, some: npt.NDArray[np.bool_]) -> dict[str, Effects]:
    """Jensen-Shannon, PSI and, as Cramer's V, chi-square without what noise adds on average, rare values pooled.
    ``some``: where both sides have rows."""
    with np.errstate(divide="ignore", invalid="ignore"):
        h = bins.pooled(h)
        used = bins.used_bins(h)
        js, psi = bins.js_divergence_of(h), bins.psi_of(h)
        excess = bins.chance_excess(used)
        sides = h.independent[0].astype(np.float64), h.independent[1].astype(np.float64)
        divergence = _freed(js, bins.js_floor(used, *sides), excess, sides)
        index = _freed(psi, bins.psi_floor(used, *sides), excess, sides)
        d = divergence
        roots = [np.sqrt(number) for number in (d.value, d.raw, d.noise_floor, d.chance, d.lower)]
        distance = Effects(roots[0], roots[1], roots[2], roots[3], roots[4], *sides)
        found = {"js_divergence": divergence, "js_distance": distance, "psi": index}
        if h.per_count is None:
            found["chi_square"] = _association(bins.chi_square_of(h), used.astype(np.float64), excess, sides)
    return {name: effects.only(some) for name, effects in found.items()}


def _association(raw: Floats, used: Floats, excess: Floats, sides: tuple[Floats, Floats]) -> Effects:
    """Chi-square as Cramer's V, which does not grow with the number of rows."""
    rows, freedom = sides[0] + sides[1], used - 1
    value, chance, lower = (
        bins.cramers_v(x, used, rows) for x in (raw, freedom * (1 + excess), raw - freedom * excess)
    )
    return Effects(value, raw, freedom, chance, lower, *sides)


def _freed(raw: Floats, floor: Floats, excess: Floats, sides: tuple[Floats, Floats]) -> Effects:
    """A divergence that is like chi-square under chance: ``floor`` on average, ``floor * excess`` beyond it in 1%."""
    value = np.maximum(0.0, raw - floor)
    return Effects(value, raw, floor, floor * excess, np.maximum(0.0, value - floor * excess), *sides)


def category_effects(
    baseline: CategoryGroups, current: CategoryGroups, paired: Paired
) -> tuple[dict[str, Effects], Shifts]:
    """Effects by measure, and the value whose share moved most."""
    some = (np.broadcast_to(baseline.rows, current.groups) > 0) & (current.rows > 0)
    h = paired.histograms
    with np.errstate(divide="ignore", invalid="ignore"):
        moved = bins.change(*h.shares)
    moved = np.where(some[:, None], moved, 0.0)
    groups = np.arange(current.groups)
    which: Ints = np.argmax(moved, axis=1).astype(np.int64)
    before = np.broadcast_to(h.shares[0], moved.shape)[groups, which]
    after = h.shares[1][groups, which]
    if h.extra is not None and h.extra_shares is not None:
        e, (p, q) = h.extra, h.extra_shares
        apart = bins.change(p, q)
        furthest = max_by_group(apart, e.begin)
        chosen = (apart == furthest[e.group]) & (furthest > moved[groups, which])[e.group]
        at, first = np.unique(e.group[chosen], return_index=True)
        entry = np.flatnonzero(chosen)[first]
        which[at], before = -1 - paired.unseen[entry], before.copy()
        before[at], after[at] = p[entry], q[entry]
    shifts = Shifts(np.where(some, before, np.nan), np.where(some, after, np.nan), which)
    return bin_effects(h, some), shifts
