"""One window of a log, or the baseline, as checks of data quality look at it: every number comes from stored state."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from modelwatch_gpu.log.windows import Window, zone_of
from modelwatch_gpu.measures.evaluate import evaluate
from modelwatch_gpu.measures.results import BASELINE, Block, Results, Summary
from modelwatch_gpu.measures.value import Value
from modelwatch_gpu.profile.baseline import Baseline
from modelwatch_gpu.profile.columns import CategoricalColumn, NumericColumn, label_of
from modelwatch_gpu.profile.facts import Facts, Schema
from modelwatch_gpu.profile.parts import UNTIMED, WHOLE, Part, SetSpec
from modelwatch_gpu.profile.profile import Profile
from modelwatch_gpu.profile.smallest import Smallest
from modelwatch_gpu.profile.tables import CategoryTable, NumericTable
from modelwatch_gpu.profile.texts import matching

#: Rows of the columns' sample that a first look at all pairs takes.
_FIRST_LOOK = 64


@dataclass(frozen=True, eq=False)
class Seen:
    """One window. ``start``: as in ``Part.groups``. ``days``: start of every block of its own with rows -> rows."""

    baseline: Baseline
    part: Part
    start: int
    rows: int
    grid: str
    blocks: dict[str, Block]
    at: int
    days: dict[int, int]
    facts: Facts | None
    timezone: str

    @property
    def schemas(self) -> dict[Schema, int]:
        """(name, type) of all columns in order -> rows that came so, of the whole log; empty where nobody looked."""
        return self.part.facts.schemas if self.part.facts is not None else {}

    @property
    def names(self) -> tuple[str, ...]:
        """Columns that facts were noted of."""
        return tuple(self.facts.counts) if self.facts is not None else ()

    def share(self, column: str, counter: str) -> tuple[int, int] | None:
        """How many rows of a column a counter has, and out of how many: those with a value, or all for null and nan."""
        if self.facts is None or counter not in self.facts.counts.get(column, {}):
            return None
        counts = self.facts.counts[column]
        if counter == "equals_label":
            return counts[counter], counts["with_label"]
        of = counts["rows"] if counter in ("null", "nan") else counts["rows"] - counts["null"]
        return counts[counter], of

    def value(self, column: str, measure: str) -> Value | None:
        """A measure of the column against the baseline."""
        block = self.blocks.get(column)
        if block is None or measure not in block.values or not block.values[measure].there(self.at):
            return None
        found = block.values[measure][self.at]
        return found if found.value is not None else None

    @cached_property
    def _summaries(self) -> dict[str, Summary]:
        return {name: block.result(self.at).summary for name, block in self.blocks.items()}

    def summary(self, column: str) -> Summary | None:
        """A column's own numbers; None where it was not there."""
        own = self._summaries.get(column)
        return own if own is not None and own.count else None

    def present(self, column: str) -> float:
        """Share of rows for which a compared column was there and comparable."""
        block = self.blocks.get(column)
        return 1.0 if block is None else float(block.present[self.at])

    def categories(self, column: str) -> dict[str, int] | None:
        """Rows of every value of a categorical column; None where they were not counted apart. A key "" may be a value;
        rows of values beyond the cap are missing."""
        block = self.blocks.get(column)
        own = self.baseline.by_name.get(column)
        if not isinstance(own, CategoricalColumn) or block is None or block.grid != "fine" or block.table is None:
            return None
        assert isinstance(block.table, CategoryTable)
        counts = block.table.of_group(block.first + self.at, own.slots)[2:]
        found = {label: int(n) for label, n in zip(own.labels, counts.tolist(), strict=True) if n}
        for value, n in block.table.unseen_of(block.first + self.at).items():
            found[label_of(value)] = found.get(label_of(value), 0) + n
        return found

    def cells(self, column: str) -> tuple[NumericColumn, np.ndarray[Any, Any]] | None:
        """Counts over the cells of a numeric column's fine grid, without missing."""
        block, own = self.blocks.get(column), self.baseline.by_name.get(column)
        if not isinstance(own, NumericColumn) or block is None or block.grid != "fine" or block.table is None:
            return None
        assert isinstance(block.table, NumericTable)
        return own, block.table.of_group(block.first + self.at, own.slots)[:-2].astype(np.int64)

    def outside(self, column: str, low: float | None, high: float | None) -> tuple[int, int] | None:
        """Rows that are certainly below ``low`` or above ``high``, in the column's units, and all rows with a value."""
        found = self.cells(column)
        if found is None:
            return None
        own, counts = found
        values = own.values.astype(np.float64) * float(own.unit)
        knots, gaps = counts[1::2], counts[0::2]
        out = 0
        if high is not None:
            above = values > high
            # A gap lies above where its lower knot does not lie below.
            out += int(knots[above].sum()) + int(gaps[1:][values >= high].sum())
        if low is not None:
            out += int(knots[values < low].sum()) + int(gaps[:-1][values <= low].sum())
        return out, int(counts.sum())

    def not_among(self, column: str, allowed: Sequence[Any]) -> tuple[int, int, list[str]] | None:
        """Rows whose value is not one of these, all rows with a value, and examples of such values."""
        counts = self.categories(column)
        if counts is not None:
            texts = {_text(value) for value in allowed}
            wrong = {value: n for value, n in counts.items() if value not in texts}
            rest = 0
            block, own = self.blocks[column], self.baseline.by_name[column]
            if block.table is not None:
                rest = int(block.table.of_group(block.first + self.at, own.slots)[1])
            examples = sorted(wrong, key=lambda value: (-wrong[value], value))[:3]
            return sum(wrong.values()) + rest, sum(counts.values()) + rest, examples
        found = self.cells(column)
        if found is None:
            return None
        own_column, cells = found
        values = own_column.values.astype(np.float64) * float(own_column.unit)
        good = np.isin(values, np.array([float(v) for v in allowed if isinstance(v, int | float)]))
        wrong_knots = np.flatnonzero(~good & (cells[1::2] > 0))
        order = np.argsort(-cells[1::2][wrong_knots], kind="stable")
        examples = [f"{values[i]:g}" for i in wrong_knots[order][:3].tolist()]
        total = int(cells.sum())
        return total - int(cells[1::2][good].sum()), total, examples

    def not_matching(self, column: str, pattern: str) -> tuple[int, int, list[str]] | None:
        """Rows whose text a regular expression does not match, all rows with a text, and examples of such texts.

        As it was noted of the rows, else from the distinct values where all of them were counted apart; None where
        neither is known.
        """
        values = self._texts(column)
        wrong = {}
        if values:
            hits = matching(pa.array(list(values), pa.large_string()), pattern).tolist()
            wrong = {value: n for (value, n), hit in zip(values.items(), hits, strict=True) if not hit}
        examples = sorted(wrong, key=lambda value: (-wrong[value], value))[:3]
        counts = self.facts.counts.get(column, {}) if self.facts is not None else {}
        there = counts.get("rows", 0) - counts.get("null", 0)
        if f"held to {pattern}" in counts and counts[f"held to {pattern}"] == there:
            return there - counts[f"matches {pattern}"], there, examples
        if values is None or self.baseline.weighting is not None:
            return None
        return sum(wrong.values()), sum(values.values()), examples

    def _texts(self, column: str) -> dict[str, int] | None:
        """Rows of every text of a column; None where it is no text, or some were not counted apart."""
        own, counts = self.baseline.by_name.get(column), self.categories(column)
        if counts is None or own is None or not any(word in own.type for word in ("string", "utf8")):
            return None
        block = self.blocks[column]
        assert isinstance(own, CategoricalColumn)
        assert block.table is not None
        return counts if not block.table.of_group(block.first + self.at, own.slots)[1] else None

    def largest(self, column: str) -> tuple[int, int] | None:
        """Rows of the most frequent value, and all rows with a value."""
        counts = self.categories(column)
        if counts is not None:
            return (max(counts.values()), sum(counts.values())) if counts else None
        found = self.cells(column)
        if found is None or not found[1].any():
            return None
        own = self.summary(column)
        total = int(found[1].sum())
        if own is not None and own.minimum is not None and own.minimum == own.maximum:
            return total, total
        return int(found[1][1::2].max(initial=0)), total

    def repeats(self, name: str) -> Smallest | None:
        """The hashes kept of "ids", "rows", "features" or "columns"."""
        return self.facts.repeats.get(name) if self.facts is not None else None

    @cached_property
    def alike(self) -> dict[tuple[str, str], float]:
        """Pairs of columns that have the same value in most rows of the sample, and in which share of it."""
        sample = self.repeats("columns")
        if sample is None or len(sample.key) < 30:
            return {}
        names = [name for name, own in sorted(sample.low.items()) if len(np.unique(own)) > 2]
        if len(names) < 2:
            return {}
        values = np.stack([sample.low[name] for name in names])
        found = {}
        for i in range(len(names) - 1):
            first = (values[i + 1 :, :_FIRST_LOOK] == values[i, :_FIRST_LOOK]).mean(axis=1)
            for j in np.flatnonzero(first > 0.5).tolist():
                share = float((values[i] == values[i + 1 + j]).mean())
                found[names[i], names[i + 1 + j]] = share
        return found

    @cached_property
    def conflicts(self) -> tuple[int, int] | None:
        """Rows whose features come with different labels, and rows of the features that were kept."""
        own = self.repeats("features")
        if own is None or not len(own.key):
            return None
        return int(own.count[own.low["label"] != own.high["label"]].sum()), own.rows

    @cached_property
    def id_and_label(self) -> float | None:
        """How much the order of the ids says of the label: Cramer's V of 20 runs of ids by label, bias-corrected
        (Bergsma 2013); labels of more than 10 values are cut into tenths. None where fewer than 500 ids have one."""
        own = self.repeats("ids")
        if own is None or "label" not in own.low:
            return None
        known = own.low["label"] > 0
        ids, labels = own.low["order"][known], own.low["label"][known]
        if len(ids) < 500:
            return None
        runs = np.argsort(np.argsort(ids, kind="stable"), kind="stable") * 20 // len(ids)
        distinct, codes = np.unique(labels, return_inverse=True)
        if len(distinct) > 10:
            ranks = np.searchsorted(np.sort(labels), labels)
            codes = ranks * 10 // len(labels)
        table = np.zeros((20, int(codes.max()) + 1))
        np.add.at(table, (runs, codes), 1)
        return _cramers_v(table[:, table.any(axis=0)])


def _cramers_v(table: np.ndarray[Any, Any]) -> float:
    """Bias-corrected Cramer's V of a table of counts (Bergsma 2013)."""
    n, (rows, columns) = table.sum(), table.shape
    if columns < 2:
        return 0.0
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / n
    phi = float(((table - expected) ** 2 / expected).sum()) / n
    phi = max(0.0, phi - (rows - 1) * (columns - 1) / (n - 1))
    r, c = rows - (rows - 1) ** 2 / (n - 1), columns - (columns - 1) ** 2 / (n - 1)
    return float(np.sqrt(phi / min(r - 1, c - 1)))


def seen_windows(
    baseline: Baseline, profile: Profile, merged: Part | None, results: Results | None = None
) -> Iterator[Seen]:
    """Every window of a counted log, in order; ``results``: of ``evaluate``, where they are there already."""
    if merged is None:
        return
    results = evaluate(baseline, profile, merged) if results is None else results
    own = [b for b in results.blocks if b.place.segments is None and b.compared_with == BASELINE]
    if not own:
        return
    blocks = {b.column.name: b for b in own}
    place = own[0].place
    grid = own[0].grid
    days = days_of(merged) if profile.block in (None, "1d") else {}
    zone = zone_of(profile.timezone)
    window = Window.parse(profile.window) if profile.window is not None and "rows" not in profile.window else None
    for at, start in enumerate(place.starts.tolist()):
        mine = days
        if window is not None:
            end = int(window.boundaries(start, start, zone)[-1])
            mine = {day: rows for day, rows in days.items() if start <= day < end}
        elif profile.window is not None:
            mine = {}
        yield Seen(
            baseline=baseline,
            part=merged,
            start=start,
            rows=int(place.rows[at]),
            grid=grid,
            blocks=blocks,
            at=at,
            days=mine,
            facts=merged.facts.windows.get(start) if merged.facts is not None else None,
            timezone=profile.timezone,
        )


def seen_baseline(baseline: Baseline) -> Seen:
    """The baseline itself, as if it were a log."""
    profile = Profile(
        baseline=baseline,  # type: ignore[arg-type]  # see profile._Fingerprint
        window=None,
        block=None,
        timezone=baseline.timezone,
        segments=(),
        segment_cap=0,
        sets=(SetSpec("window", "fine", True),),
        parts=(baseline.part,),
        weighting=baseline.weighting,
    )
    (seen,) = seen_windows(baseline, profile, baseline.part)
    return seen


def days_of(part: Part) -> dict[int, int]:
    """Rows of every block that has a time."""
    if "block" not in part.groups:
        return {}
    keys, rows = part.groups["block"], part.group_rows["block"].tolist()
    return {int(key[0]): n for key, n in zip(keys, rows, strict=True) if key[0] not in (UNTIMED, WHOLE)}


def _text(value: Any) -> str:
    """A value of YAML as a categorical column tells it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
