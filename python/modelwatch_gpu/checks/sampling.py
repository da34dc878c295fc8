"""From results to their intervals: the units of every window, and what segments make of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from modelwatch_gpu.checks.answered import answer_statistic
from modelwatch_gpu.checks.check import Check
from modelwatch_gpu.checks.intervals import (
    BY_ROWS,
    LEAST_UNITS,
    UNKNOWN,
    Intervals,
    Judged,
    Spread,
    Table,
    made_certain,
    of_rows,
    of_segments,
    of_windows,
    share_variance,
    spread_of,
)
from modelwatch_gpu.checks.moved import moved_statistic
from modelwatch_gpu.checks.multiplicity import CORRECTIONS
from modelwatch_gpu.checks.outside import outside_statistic
from modelwatch_gpu.checks.resampling import split
from modelwatch_gpu.checks.running import RunningEvidence
from modelwatch_gpu.checks.statistics import ROWS_GROWTH, SHARES, SMALLEST_RATIO, STATISTICS, OwnTables, Statistic
from modelwatch_gpu.checks.transported import MEASURES as TRANSPORTED
from modelwatch_gpu.checks.transported import row_variances, transport_statistic
from modelwatch_gpu.checks.units import DAY, Units, all_units, block_counts, units_by_window, used_slots
from modelwatch_gpu.checks.vector_days import evidence_by_units
from modelwatch_gpu.errors import InputError
from modelwatch_gpu.log.windows import Window, parse_window, zone_of
from modelwatch_gpu.measures import bins
from modelwatch_gpu.measures.effects import Effects
from modelwatch_gpu.measures.evaluate import evaluate_part
from modelwatch_gpu.measures.registry import MEASURES
from modelwatch_gpu.measures.results import BASELINE, Block, Results
from modelwatch_gpu.measures.value import Bools, Floats
from modelwatch_gpu.profile.baseline import Baseline
from modelwatch_gpu.profile.columns import CategoricalColumn, Column
from modelwatch_gpu.profile.embeddings import AnyColumn, EmbeddingColumn
from modelwatch_gpu.profile.parts import SEGMENT_PREFIX, Part
from modelwatch_gpu.profile.profile import Profile
from modelwatch_gpu.profile.segmentation import set_name
from modelwatch_gpu.wording import counted

#: What ``units=`` can say besides the length of a unit: rows are taken as independent.
ROWS: Final = "rows"
#: Units are drawn again where an effect is above this share of its lowest threshold: far below nobody asks.
NEAR: Final = 0.5

#: Measures of what the baseline does not have: days say how they vary against it alone, not against another window.
OF_THE_BASELINE: Final = ("unseen", "out_of_range")

#: Measure, and whether of its growth over the baseline -> its intervals, of one block.
Found = dict[tuple[str, bool], Intervals]


@dataclass(frozen=True)
class VerdictOptions:
    """How sure a verdict has to be. ``unit``: what is drawn again, None for rows; ``intervals``: whether there are any.
    ``correction``: for many tests, see ``multiplicity.CORRECTIONS``. ``anytime``: whether verdicts must hold however
    often somebody looks. ``running``: what the windows before have shown, where only the next one is judged.
    ``hierarchy``: whether segments are tested only where their column is off."""

    unit: Window | None = DAY
    intervals: bool = True
    correction: str | None = "bh"
    anytime: bool = False
    hierarchy: bool = False
    running: RunningEvidence | None = None

    @classmethod
    def of(
        cls, units: str | None, correction: str | None, *, anytime: bool = False, hierarchy: bool = False
    ) -> VerdictOptions:
        """From the options of ``compare``; raises InputError for what they cannot be."""
        if correction is not None and correction not in CORRECTIONS:
            raise InputError(f"correction={correction!r} is not known; it can be {', '.join(CORRECTIONS)} or None.")
        if anytime and units is None:
            raise InputError("anytime=True needs intervals; give units='1d', or units='rows'.")
        if units is None:
            return cls(None, False, correction, False, hierarchy)
        if units == ROWS:
            return cls(None, True, correction, anytime, hierarchy)
        try:
            unit = Window.parse(units)
        except InputError:
            raise InputError(
                f"units={units!r} is not known; it can be a day or several, such as '1d' or '1w', '{ROWS}', or None."
            ) from None
        if not unit.nests(DAY):
            raise InputError(f"units={units!r} is shorter than a day; rows of one day are too much alike for that.")
        return cls(unit, True, correction, anytime, hierarchy)


@dataclass(frozen=True, eq=False)
class Sampling:
    """What was sampled, and how. ``window``: length of the windows, None where they are not of time. ``grid``: what
    they are counted on."""

    baseline: Baseline
    merged: Part
    zone: ZoneInfo
    window: Window | None = None
    options: VerdictOptions = VerdictOptions()
    grid: str = "fine"
    _windows: dict[tuple[int, ...], list[Units]] = field(default_factory=dict)
    _statistics: dict[tuple[str, str, bool], Statistic | None] = field(default_factory=dict)

    @classmethod
    def of(cls, baseline: Baseline, merged: Part, profile: Profile, options: VerdictOptions) -> Sampling:
        """Of a baseline and a profile that was merged."""
        window = parse_window(profile.window) if profile.window is not None else None
        length = window if isinstance(window, Window) else None
        grid = next((spec.grid for spec in profile.sets if spec.name == "window"), "fine")
        return cls(baseline, merged, zone_of(profile.timezone), length, options, grid)

    @property
    def unit(self) -> Window | None:
        """What is drawn again; None for rows."""
        return self.options.unit

    @property
    def notes(self) -> tuple[str, ...]:
        """What a report must say about how sure its verdicts are."""
        if not self.options.intervals:
            return ()
        if self.unit is None:
            return ("Intervals take rows as independent, as asked: where rows of a day are alike, they are too short.",)
        if not self.by_units:
            return (
                "No column says when, so intervals take rows as independent: where rows are alike in time, they are "
                "too short.",
            )
        days = len(self.pool)
        if days < LEAST_UNITS:
            unit = ("day", "days") if self.unit == DAY else (f"unit of {self.unit}", f"units of {self.unit}")
            covers = f"only {counted(days, *unit)}"
            vectors = " (vectors are judged by their rows)" if self.baseline.embeddings else ""
            return (
                f"The baseline covers {covers}, and how far one differs from another takes {LEAST_UNITS} to know: "
                f"what is beyond a threshold stays open{vectors}. Fit it on more, or take rows as independent: "
                "units='rows' (--units rows).",
            )
        return ()

    @cached_property
    def own(self) -> dict[tuple[str, str], float]:
        """(column, measure) -> what the measure is in the baseline itself."""
        part = self.baseline.part
        results = evaluate_part(self.baseline, part)
        return {
            (block.column.name, measure): float(values.value[0])
            for block in results.blocks
            for measure, values in block.values.items()
        }

    def relative_to(self, block: Block, measure: str) -> Floats:
        """(groups,) what a measure is in the baseline, NaN where it is not known; of rows, as many a unit."""
        told = block.reference.get(measure)
        if told is not None:
            return np.full(len(block), np.nan if told.value is None else told.value)
        before = np.full(len(block), self.own.get((block.column.name, measure), np.nan))
        if measure == "row_count" and self.by_units:
            units = [len(one) for one in self.units_of(tuple(np.unique(block.place.starts).tolist()))]
            at = np.unique(block.place.starts, return_inverse=True)[1]
            before = before * np.array(units, dtype=np.float64)[at] / max(1, len(self.pool))
        return before

    @cached_property
    def segmented(self) -> bool:
        """Whether there are segments, which borrow the spread of their window."""
        return any(name.startswith(SEGMENT_PREFIX) for name in self.merged.groups)

    @property
    def by_units(self) -> bool:
        """Whether both sides know when their rows were: else rows are taken as independent."""
        sides = (self.baseline.part, self.merged)
        return self.unit is not None and all("block" in part.groups for part in sides)

    @cached_property
    def pool(self) -> Units:
        """The units of the baseline."""
        assert self.unit is not None
        return all_units(self.baseline.part, self.zone, self.unit)

    def intervals(self, results: Results, checks: Sequence[Check]) -> list[Found]:
        """For every block of results the intervals of the measures that are judged and can be resampled, by measure."""
        if not self.options.intervals:
            return [{} for _ in results.blocks]
        windows: dict[tuple[str, str, bool], tuple[Block, Intervals, Judged]] = {}
        out: list[Found] = []
        for block in results.blocks:
            found: Found = {}
            if isinstance(block.column, EmbeddingColumn):
                pool, judged_here = self.pool if self.by_units else None, judged_measures(block, checks)
                out.append(evidence_by_units(block, judged_here, self.baseline.part, self.merged, pool, self.units_of))
                continue
            tables = self.tables(block.column)
            for (measure, relative), threshold in judged_measures(block, checks).items():
                statistic = self.statistic(block.column, measure, relative=relative)
                if statistic is None or (block.compared_with != BASELINE and measure in OF_THE_BASELINE):
                    continue
                key = (block.column.name, measure, relative)
                # Of growth over the baseline's own number nothing is far below before that is known.
                unknown = relative and not statistic.growth
                limit = -np.inf if unknown else float(statistic.scaled(np.array([threshold]))[0])
                judged = self._judged(block, measure, statistic, limit)
                own: Intervals | None
                if not self.by_units and statistic.own is not None and not statistic.linear:
                    spreads = None
                    if block.place.segments is None:
                        spreads = self._spreads_of_rows(block, statistic, limit, judged.effect)
                    own = None if spreads is None else of_windows(statistic, spreads, judged)
                elif not self.by_units:
                    own = of_rows(statistic, judged)
                elif block.place.segments is None:
                    own = of_windows(statistic, self._spreads(block, statistic, tables, judged.effect, limit), judged)
                    if block.compared_with == BASELINE:
                        windows[key] = (block, own, judged)
                elif key in windows and (statistic.own is None or statistic.linear):
                    whole, of_window, of_whole = windows[key]
                    at = np.searchsorted(whole.place.starts, block.place.starts)
                    own = of_segments(statistic, of_window, at, of_whole, judged)
                else:
                    own = None
                if own is not None and statistic.logarithm:
                    own = made_certain(own, block.values[measure].value == 0)
                if own is not None:
                    found[measure, relative] = own
            out.append(found)
        return out

    def tables(self, column: Column) -> ColumnTables:
        """Of one column, by unit."""
        kept: dict[object, tuple[bytes, Table]] = self.baseline.kept("tables", dict)
        pool = self.pool if self.by_units else None
        return ColumnTables(column, (self.baseline.part, self.merged), pool, (column.name, self.unit, self.zone), kept)

    def statistic(self, column: Column, measure: str, *, relative: bool = False) -> Statistic | None:
        """What is drawn again for a measure of a column; None where that cannot be. ``relative``: for its growth over
        what it is in the baseline, in the measure's own units."""
        key = (column.name, measure, relative)
        if key not in self._statistics:
            self._statistics[key] = (
                STATISTICS.get(measure)
                or (ROWS_GROWTH if measure == "row_count" and relative else None)
                or moved_statistic(self.baseline, column, measure, self.grid)
                or outside_statistic(self.baseline, column, measure)
                or transport_statistic(self.baseline, self.merged, column, measure, self.grid)
                or answer_statistic(self.baseline, self.merged, column, measure, grid=self.grid, relative=relative)
            )
        return self._statistics[key]

    def drawn(self, column: AnyColumn, check: Check) -> bool:
        """Whether what a check judges of a column can be drawn again at all."""
        if isinstance(column, EmbeddingColumn):
            return False
        return self.statistic(column, check.measure, relative=check.relative) is not None

    def _spreads_of_rows(self, block: Block, statistic: Statistic, limit: float, effect: Floats) -> list[Spread] | None:
        """One for every window, from units that rows are dealt out to at random."""
        assert statistic.own is not None
        before = statistic.own.tables(self.baseline.part, "window", "fine")
        after = statistic.own.tables(self.merged, "window", block.grid)
        if before is None or after is None:
            return None
        reference, out = Table(split(before[0], 0)), []
        for at, size in enumerate(effect.tolist()):
            if not size > NEAR * limit:
                out.append(UNKNOWN)
                continue
            if block.compared_with != BASELINE:
                reference = Table(split(after[block.first + at - 1], 0))
            current = Table(split(after[block.first + at], 1))
            spread = spread_of(statistic, reference, current, reference, reference, relabel=False)
            out.append(spread._replace(method=BY_ROWS, units=int(after[block.first + at].sum())))
        return out

    def _judged_answers(self, block: Block, measure: str, statistic: Statistic, own: OwnTables, limit: float) -> Judged:
        """What is judged of numbers that are not the column's cells. Variances of rows are worked out where they are
        asked for: in segments and windows that lend them theirs, in windows of few units, without units of time."""
        values = block.values[measure]
        value, size = values.value, np.ones(2)
        if statistic.growth:
            size = np.stack([self.relative_to(block, measure), value])
            with np.errstate(divide="ignore", invalid="ignore"):
                value = np.log(value / size[0])
        if statistic.folded:
            with np.errstate(divide="ignore"):
                value = np.abs(np.log(np.maximum(value, SMALLEST_RATIO)) if statistic.logarithm else value)
        nothing, rows = np.zeros(len(block)), values.n.astype(np.float64)
        before, after = np.full(len(block), np.nan), np.full(len(block), np.nan)
        lends = self.segmented and block.place.segments is None
        wanted = (value > NEAR * limit) | lends
        if self.by_units and not self.segmented:
            wanted &= self._few_units(block)
        if wanted.any():
            at = np.flatnonzero(wanted)
            name = set_name(block.place.by) if block.place.by else "window"
            after[at] = own.variances(self.merged, name, block.grid, block.first + at)
            if block.compared_with == BASELINE:
                before[at] = own.variances(self.baseline.part, "window", "fine", np.zeros(1, dtype=np.int64))[0]
            else:
                before[at] = own.variances(self.merged, name, block.grid, block.first + at - 1)
        with np.errstate(divide="ignore", invalid="ignore"):
            before, after = before / size[0] ** 2, after / size[1] ** 2
        told = block.reference.get(MEASURES[measure].of or measure)
        whole = np.full(len(block), float(self.baseline.rows if told is None else told.n))
        return Judged(value, value, nothing, nothing, whole, rows, before, after)

    def _few_units(self, block: Block) -> Bools:
        """(windows,) which have too few units to be drawn themselves."""
        units = self.units_of(tuple(block.place.starts.tolist()))
        return np.array([len(one) < LEAST_UNITS for one in units], dtype=bool)

    def _judged(self, block: Block, measure: str, statistic: Statistic, limit: float) -> Judged:
        if statistic.own is not None:
            return self._judged_answers(block, measure, statistic, statistic.own, limit)
        values = block.values[measure]
        nothing = np.zeros(len(block))
        effects = block.effects.get(measure)
        if effects is None:
            value = statistic.scaled(np.where(np.isnan(values.lower), values.value, values.lower))
            n, rows = np.full(len(block), float(self.baseline.rows)), values.n.astype(np.float64)
            if statistic.growth:
                with np.errstate(divide="ignore", invalid="ignore"):
                    value = np.log(values.value / self.relative_to(block, measure))
            if measure in TRANSPORTED:
                n, rows = block.effects["ks"].baseline_rows, block.effects["ks"].rows
            before, after = self._row_variances(block, measure, statistic, value, n, rows)
            return Judged(value, value, nothing, nothing, n, rows, before, after)
        n, rows = effects.baseline_rows, effects.rows
        if measure == "chi_square":
            return _judged_association(block, effects)
        floor, coarse = nothing, nothing
        if statistic.root:
            floor = effects.noise_floor if statistic.squared else effects.noise_floor**2
            assert not isinstance(block.column, EmbeddingColumn)
            coarse = _coarse_floor(block.column, measure, n, rows)
        assert statistic.row_variance is not None
        value = statistic.scaled(effects.value)
        with np.errstate(divide="ignore", invalid="ignore"):
            each = statistic.row_variance(value)
            return Judged(value, statistic.scaled(effects.raw), floor, coarse, n, rows, each / n, each / rows)

    def _row_variances(
        self, block: Block, measure: str, statistic: Statistic, value: Floats, n: Floats, rows: Floats
    ) -> tuple[Floats, Floats]:
        """What independent rows of the baseline and of the groups add to the variance of a measure without effect."""
        if measure in TRANSPORTED:
            return row_variances(block, measure, n, rows)
        with np.errstate(divide="ignore", invalid="ignore"):
            if measure not in SHARES:
                each = np.full(len(rows), np.nan) if statistic.row_variance is None else statistic.row_variance(value)
                return each / n, each / rows
            now = block.values["missing"].value if measure == "missing_change" else value
            current = share_variance(now, rows)
            return (share_variance(now - value, n) if measure == "missing_change" else 0.0 * rows), current

    def _spreads(
        self, block: Block, statistic: Statistic, tables: ColumnTables, effect: Floats, limit: float
    ) -> list[Spread]:
        """One for every window whose effect comes near the lowest threshold, and for all where there are segments:
        those borrow it."""
        starts = tuple(block.place.starts.tolist())
        if block.compared_with == BASELINE:
            pairs = [(self.pool, units) for units in self.units_of(starts)]
        else:
            keys = [int(key[0]) for key in self.merged.groups["window"]]
            units = self.units_of((keys[keys.index(starts[0]) - 1], *starts))
            pairs = list(pairwise(units))
        out = []
        for (before, after), size in zip(pairs, effect.tolist(), strict=True):
            if not (size > NEAR * limit or self.segmented):
                out.append(UNKNOWN._replace(units=min(len(before), len(after))))
                continue
            sides = tables.of(before, statistic), tables.of(after, statistic)
            pool = tables.of(self.pool, statistic)
            few = min(len(side) for side in sides) < LEAST_UNITS
            cells = tables.of(self.pool, STATISTICS["psi"]) if few else pool
            out.append(spread_of(statistic, *sides, pool, cells, relabel=size > limit))
        return out

    def units_of(self, starts: tuple[int, ...]) -> list[Units]:
        """The units of windows that begin here."""
        assert self.unit is not None
        if starts not in self._windows:
            found = units_by_window(self.merged, np.array(starts, dtype=np.int64), self.zone, self.unit)
            self._windows[starts] = list(found)
        return self._windows[starts]


@dataclass(frozen=True, eq=False)
class ColumnTables:
    """The tables of one column that were made, by units and what is counted.

    ``parts``: both sides. ``pool``: the units of the baseline, whose tables are ``kept`` from run to run, by ``key``
    and what is counted, with the cells they were made for.
    """

    column: Column
    parts: tuple[Part, Part]
    pool: Units | None
    key: tuple[object, ...]
    kept: dict[object, tuple[bytes, Table]]
    _by_block: dict[tuple[int, object], Floats | None] = field(default_factory=dict)
    _made: dict[tuple[Units, object], Table] = field(default_factory=dict)

    @cached_property
    def used(self) -> Bools:
        """(slots,) which any unit of either side uses; the others are left out."""
        return used_slots(self.column, self.parts)

    def of(self, units: Units, statistic: Statistic) -> Table:
        """What a statistic needs; no units where the column was not there."""
        counted: object = statistic.table if statistic.own is None else statistic
        if (units, counted) not in self._made:
            self._made[units, counted] = self._table(units, statistic, counted)
        return self._made[units, counted]

    def _table(self, units: Units, statistic: Statistic, counted: object) -> Table:
        """Made, or as it was kept."""
        if units is not self.pool or statistic.own is not None:
            return self._fresh(units, statistic, counted)
        used, key = self.used.tobytes(), (*self.key, counted)
        if key not in self.kept or self.kept[key][0] != used:
            self.kept[key] = (used, self._fresh(units, statistic, counted))
        return self.kept[key][1]

    def _fresh(self, units: Units, statistic: Statistic, counted: object) -> Table:
        key = (id(units.part), counted)
        if key not in self._by_block:
            self._by_block[key] = self._counted(units.part, statistic)
        by_block = self._by_block[key]
        if by_block is None or not len(units):
            counts = np.zeros((0, self.column.coarse_slots if statistic.own is None else 0))
        else:
            counts = units.summed(by_block)
            if statistic.own is not None:  # of the units in which any row has a label
                counts = counts[counts.any(axis=1)]
        return Table(counts, statistic.own is None or statistic.own.whole)

    def _counted(self, part: Part, statistic: Statistic) -> Floats | None:
        """(blocks of the part, cells) what is summed; None where there is nothing."""
        if statistic.own is not None:
            return statistic.own.tables(part, "block", "coarse")
        key = (id(part), None)
        if key not in self._by_block:
            self._by_block[key] = block_counts(part, self.column)
        counts = self._by_block[key]
        return None if counts is None else statistic.table(self.column, counts, self.used)


def _judged_association(block: Block, effects: Effects) -> Judged:
    """Of chi-square as Cramer's V: on that scale chi-square is over all rows, and so is what noise adds. Its root is
    that of a chi, whose variance is below 1."""
    assert not isinstance(block.column, EmbeddingColumn)
    n, m = effects.baseline_rows, effects.rows
    with np.errstate(divide="ignore", invalid="ignore"):
        both = n + m
        raw, floor = np.sqrt(effects.raw / both), effects.noise_floor / both
        coarse = _coarse_floor(block.column, "chi_square", n, m)
        return Judged(effects.value, raw, floor, coarse, n, m, m / both**2, n / both**2)


def _coarse_floor(column: Column, measure: str, n: Floats, m: Floats) -> Floats:
    """What noise of independent rows adds over the cells of the coarse grid; 0 where that is what was judged."""
    if not isinstance(column, CategoricalColumn) or len(column.kept) == len(column.categories):
        return np.zeros(len(m))
    if measure == "chi_square":
        return (column.coarse_slots - 1) / (n + m)
    floor = bins.psi_floor if measure == "psi" else bins.js_floor
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Floats = floor(column.coarse_slots, n, m)
    return found


def judged_measures(block: Block, checks: Sequence[Check]) -> dict[tuple[str, bool], float]:
    """Measures of a block that a check judges, and whether by their growth, each with its lowest threshold."""
    against = "baseline" if block.compared_with == BASELINE else "consecutive"
    out: dict[tuple[str, bool], float] = {}
    for check in checks:
        measure = check.measure
        known = measure in block.values
        if known and check.against == against and check.applies_to(block.column):
            key = (measure, check.relative)
            out[key] = min(out.get(key, np.inf), check.first_threshold)
    return out
