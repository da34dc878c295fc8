"""How often default checks cry wolf, and how often they see what is there: cell by cell, resumable.

    python benchmarks/calibration/run.py [--cells TEXT] [--repeats 1000] [--seconds 600] [--salt TEXT] [--out FILE]

A cell is a check, a number of rows, how they hang together, and a true effect. Each is run ``repeats`` times with a
seed of its own and written to the results file when it is done; a cell that is there is not run again. Every repeat
draws a baseline and a window at the level of state (worlds.py) and takes the library's own path from tables of units to
a severity. ``table.py`` makes the table of docs/calibration.md.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import worlds
from worlds import Floats

from modelwatch_gpu import DEFAULT_CHECKS, Check
from modelwatch_gpu.checks import intervals
from modelwatch_gpu.checks.answer_rows import auc_variances, variances_by_deletion
from modelwatch_gpu.checks.default import PERFORMANCE_CHECKS, scaled_drop
from modelwatch_gpu.checks.finding import ALERT, OK, WARNING, decide
from modelwatch_gpu.checks.statistics import STATISTICS, OwnTables, Statistic, auc, drop, growth, shares_upto
from modelwatch_gpu.measures import bins, rank
from modelwatch_gpu.measures.effects import Effects, bin_effects
from modelwatch_gpu.measures.value import Values

RESULTS = Path(__file__).parent / "results.json"
ROWS = (100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000)
#: (name, days of the window, whether days differ): the baseline has 90 days and as many rows a day.
DESIGNS = (("rows", 30, False), ("30 days", 30, True), ("8 days", 8, True), ("7 days", 7, True), ("1 day", 1, True))
BASELINE_DAYS = 90


@dataclass(frozen=True)
class Cell:
    """``effect``: "none", "warn", "alert" (just at that threshold), "double" (twice the alert threshold)."""

    check: str
    rows: int
    design: str
    effect: str

    @property
    def name(self) -> str:
        return f"{self.check} {self.rows} {self.design} {self.effect}"


def cells() -> Iterator[Cell]:
    """Every cell, those of few rows first."""
    for rows in ROWS:
        for design, _, _ in DESIGNS:
            for check in worlds.WORLDS:
                for effect in ("none", "warn", "alert", "double"):
                    yield Cell(check, rows, design, effect)


#: Checks that nobody makes without being asked.
ASKED = {
    "wasserstein_sd": Check("wasserstein_sd", warn=0.1, alert=0.25),
    "sd_ratio": Check("sd_ratio", warn=1.1, alert=1.25),
}


def check_of(name: str) -> Check:
    """The check of a world."""
    if name in ASKED:
        return ASKED[name]
    measure = name.removesuffix("_sharp")
    check = next(c for c in (*DEFAULT_CHECKS, *PERFORMANCE_CHECKS.values()) if c.measure == measure)
    if name == measure:
        return check
    warn, alert = (scaled_drop(float(limit), worlds.SHARP_AREA) for limit in (check.warn or 0, check.alert or 0))
    return replace(check, warn=warn, alert=alert)


def size_of(cell: Cell) -> float:
    """The true effect of a cell."""
    check = check_of(cell.check)
    assert check.warn is not None
    assert check.alert is not None
    twice = check.alert**2 if cell.check == "sd_ratio" else 2 * check.alert
    return {"none": 0.0, "warn": check.warn, "alert": check.alert, "double": twice}[cell.effect]


def tables(measure: str, counts: Floats) -> Floats:
    """What the statistic sums: see ``Statistic.table``."""
    if measure in ("ks", "wasserstein_sd"):
        return np.cumsum(counts, axis=1)
    return counts if measure == "js_distance" else np.stack([counts[:, 0], counts.sum(axis=1)], axis=1)


def one(cell: Cell, world: worlds.World, rng: np.random.Generator) -> tuple[int, float, float]:
    """Severity, p-value at the threshold and p-value of no change of one repeat."""
    _, days, clustered = next(d for d in DESIGNS if d[0] == cell.design)
    if cell.check in ANSWERED:
        return of_answers(cell, world, rng, days, clustered)
    measure, statistic, check = cell.check, OF_CELLS[cell.check], check_of(cell.check)
    baseline = worlds.counts(rng, world.day(rng, False, BASELINE_DAYS, clustered), cell.rows * BASELINE_DAYS // days)
    current = worlds.counts(rng, world.day(rng, True, days, clustered), cell.rows)
    judged, values, effects = judged_of(measure, baseline.sum(axis=0)[None], current.sum(axis=0)[None])
    if cell.design == "rows":
        found = intervals.of_rows(statistic, judged)
    else:
        sides = [intervals.Table(tables(measure, side)) for side in (baseline, current)]
        spread = intervals.spread_of(statistic, *sides, sides[0], intervals.Table(baseline))
        found = intervals.of_windows(statistic, [spread], judged)
    verdict = decide(check, values, effects, 1, found)
    limit = check.warn if cell.effect in ("none", "warn") else check.alert
    assert limit is not None
    return int(verdict.severity[0]), float(found.tails(limit)[0]), float(found.change[0])


#: What a measure of cells is made of.
OF_CELLS: dict[str, Statistic] = {
    **STATISTICS,
    "wasserstein_sd": Statistic(lambda _, counts, __: counts, worlds.PLACED.apart, shares_upto, cumulative=True),
}


def deviations(sums: Floats) -> Floats:
    """(replicates,) standard deviations of (replicates, 4) powers, as ``moved.Sums`` has them."""
    found: Floats = np.sqrt(sums[:, 2] / sums[:, 0] - (sums[:, 1] / sums[:, 0]) ** 2)
    return found


#: What a measure of answers is made of; any object there says that these are no cells of a column.
ANSWERED: dict[str, Statistic] = {
    name: Statistic(
        lambda _, counts, __: counts,
        of,
        side,
        linear=True,
        low=-np.inf,
        own=cast("OwnTables", object()),
        growth=of is growth and name == "rmse",
        logarithm=name == "sd_ratio",
        folded=name == "sd_ratio",
    )
    for name, of, side in (
        ("roc_auc_drop", drop, auc),
        ("roc_auc_drop_sharp", drop, auc),
        ("roc_auc_macro_drop", drop, worlds.macro_area),
        ("sd_ratio", growth, deviations),
        ("accuracy_drop", drop, lambda counts: counts[:, 0] / counts.sum(axis=1)),
        ("rmse", growth, lambda sums: np.sqrt(sums[:, 1] / sums[:, 0])),
    )
}


DRAWS = {"rmse": worlds.squares, "sd_ratio": worlds.powers}


def of_answers(
    cell: Cell, world: worlds.World, rng: np.random.Generator, days: int, clustered: bool
) -> tuple[int, float, float]:
    """The same of a check of performance."""
    measure, statistic, check = cell.check, ANSWERED[cell.check], check_of(cell.check)
    draw = DRAWS.get(measure, worlds.counts)
    baseline = draw(rng, world.day(rng, False, BASELINE_DAYS, clustered), cell.rows * BASELINE_DAYS // days)
    current = draw(rng, world.day(rng, True, days, clustered), cell.rows)
    if measure == "roc_auc_macro_drop":
        baseline, current = worlds.against_the_rest(baseline), worlds.against_the_rest(current)
    before, after = (side.sum(axis=0)[None] for side in (baseline, current))
    with np.errstate(invalid="ignore"):
        value = statistic.drawn(before, after)
    value = np.abs(value) if statistic.folded else value
    nothing, rows = np.zeros(1), np.array([cell.rows])
    each = [row_variance(measure, side) for side in (before, after)]
    whole = np.array([cell.rows * BASELINE_DAYS // days])
    judged = intervals.Judged(value, value, nothing, nothing, whole, rows, *each)
    if cell.design == "rows":
        found = intervals.of_rows(statistic, judged)
    else:
        sides = [intervals.Table(side) for side in (baseline, current)]
        spread = intervals.spread_of(statistic, *sides, sides[0], sides[0], relabel=cell.effect == "none")
        found = intervals.of_windows(statistic, [spread], judged)
    values = Values.exact(statistic.unscaled(value), rows)
    verdict = decide(replace(check, relative=False), values, None, 1, found)
    limit = check.warn if cell.effect in ("none", "warn") else check.alert
    assert limit is not None
    return int(verdict.severity[0]), float(found.tails(limit)[0]), float(found.change[0])


def row_variance(measure: str, total: Floats) -> Floats:
    """Of one side, when rows are independent."""
    if measure.startswith("roc_auc_drop"):
        return auc_variances(total, np.ones(1))
    if measure == "roc_auc_macro_drop":  # as ``class_scores.Together`` has it: all areas move together, at most
        found: Floats = np.mean([np.sqrt(auc_variances(x, np.ones(1))) for x in np.split(total, 3, axis=1)], axis=0)
        return found**2
    if measure == "sd_ratio":
        n, first, second, fourth = total[0]
        spread = second / n - (first / n) ** 2
        return np.array([(fourth / n / spread**2 - 1) / (4 * n)])  # the mean is near 0 beside the deviation
    if measure == "accuracy_drop":
        return variances_by_deletion(ANSWERED[measure].side, total, np.ones(1))
    n, square, fourth = total[0]
    mean = square / n
    return np.array([(fourth / n - mean * mean) / (4 * n * mean * mean)])  # of the logarithm of a root


def judged_of(measure: str, b: Floats, c: Floats) -> tuple[intervals.Judged, Values, Effects | None]:
    """What is judged of a pair of histograms, as ``Sampling`` makes it of results."""
    n, m = b.sum(axis=1), c.sum(axis=1)
    statistic, nothing, rows = OF_CELLS[measure], np.zeros(1), m.astype(np.int64)
    if measure == "wasserstein_sd":
        value = statistic.drawn(*(np.cumsum(side, axis=1) for side in (b, c)))
        sd = [worlds.PLACED.deviation(np.cumsum(side / side.sum(), axis=1)) for side in (b, c)]
        judged = intervals.Judged(value, value, nothing, nothing, n, m, 1 / n, (sd[1] / sd[0]) ** 2 / m)
        return judged, Values.exact(value, rows), None
    if measure in ("missing_change", "unseen"):
        now, before = c[:, 0] / m, b[:, 0] / n
        value = now - before if measure == "missing_change" else now
        spread = [intervals.share_variance(x, r) for x, r in ((before, n), (now, m))]
        if measure == "unseen":
            spread[0] = nothing
        return intervals.Judged(value, value, nothing, nothing, n, m, *spread), Values.exact(value, rows), None
    if measure == "ks":
        value = np.abs(np.cumsum(b / n, axis=1) - np.cumsum(c / m, axis=1)).max(axis=1)
        chance = rank.ks_chance(n, m)
        effects = Effects(value, value, rank.ks_noise(n, m), chance, np.maximum(0.0, value - chance), n, m)
    else:
        effects = bin_effects(bins.Histograms(b, c), np.ones(1, dtype=bool))[measure]
    floor = effects.noise_floor**2 if statistic.root else nothing
    assert statistic.row_variance is not None
    each = statistic.row_variance(effects.value)
    judged = intervals.Judged(effects.value, effects.raw, floor, nothing, n, m, each / n, each / m)
    return judged, Values.exact(effects.raw, rows), effects


def run(cell: Cell, repeats: int, salt: str = "") -> dict[str, Any]:
    """One cell: shares of severities, and how even its p-values are."""
    rng = np.random.Generator(np.random.Philox(zlib.crc32((cell.name + salt).encode())))
    world = worlds.WORLDS[cell.check](size_of(cell))
    began = time.perf_counter()
    found = np.array([one(cell, world, rng) for _ in range(repeats)])
    severity, change = found[:, 0], found[:, 2]
    known = change[~np.isnan(change)]
    return {
        **asdict(cell),
        "repeats": repeats,
        "alert": int((severity == ALERT).sum()),
        "warning": int((severity == WARNING).sum()),
        "ok": int((severity == OK).sum()),
        "p_value_below": {str(a): int((found[:, 1] <= a).sum()) for a in (0.025, 0.05)},
        "p_no_change_below": {str(a): int((known <= a).sum()) for a in (0.01, 0.05, 0.1, 0.25, 0.5)}
        if len(known)
        else None,
        "seconds": round(time.perf_counter() - began, 2),
    }


def main() -> None:
    """Runs the cells that are not there yet, until the time is over."""
    options = argparse.ArgumentParser()
    options.add_argument("--cells", default="", help="only cells whose name contains this")
    options.add_argument("--repeats", type=int, default=1000)
    options.add_argument("--seconds", type=float, default=600)
    options.add_argument("--salt", default="", help="other draws than those of the page")
    options.add_argument("--out", type=Path, default=RESULTS)
    asked = options.parse_args()
    done: dict[str, Any] = json.loads(asked.out.read_text())["cells"] if asked.out.exists() else {}
    began = time.perf_counter()
    for cell in cells():
        if cell.name in done or asked.cells not in cell.name:
            continue
        if time.perf_counter() - began > asked.seconds:
            break
        done[cell.name] = run(cell, asked.repeats, asked.salt)
        machine = f"{platform.machine()}, Python {platform.python_version()}, NumPy {np.__version__}"
        text = json.dumps({"machine": machine, "cells": done}, indent=1)
        asked.out.with_suffix(".part").write_text(text + "\n")
        asked.out.with_suffix(".part").replace(asked.out)
        print(cell.name, {k: done[cell.name][k] for k in ("alert", "warning", "ok", "seconds")}, flush=True)


if __name__ == "__main__":
    main()
