"""What a report shows beside single numbers: calibration curves, confusion tables, and how segments are treated."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from modelwatch_gpu.measures import fairness, proportions
from modelwatch_gpu.measures.answers import Labelled, chunks_of_groups, score_grids, slots_of
from modelwatch_gpu.measures.calibration import ECE_BINS, uniform_edges
from modelwatch_gpu.measures.cells import Floats, Ints
from modelwatch_gpu.measures.predicted import has_bools, one, predictions_of
from modelwatch_gpu.measures.results import Segment
from modelwatch_gpu.measures.scored import ScoreGrids
from modelwatch_gpu.profile.baseline import Baseline
from modelwatch_gpu.profile.columns import NumericColumn
from modelwatch_gpu.profile.parts import LABELLED_PREFIX, UNTIMED, GroupKey, Part
from modelwatch_gpu.profile.profile import Profile
from modelwatch_gpu.profile.scoring import Scoring
from modelwatch_gpu.profile.tables import NumericTable

#: Segments with fewer labelled rows are not compared with one another: their rates are noise.
LEAST_ROWS: Final = 30
CONFIDENCE: Final = 0.95
#: What is compared between segments, in this order; "calibration_gap" only where there are probabilities.
COMPARED: Final = ("selection_rate", "true_positive_rate", "false_positive_rate", "precision")


@dataclass(frozen=True, slots=True)
class CalibrationRow:
    """One bin (low, high] of a score, the first closed. ``start``: of the window, None: the baseline. ``mean_score``:
    with what it is at least and at most. ``share_positive``: with Wilson's 95% interval of independent rows."""

    start: int | None
    column: str
    low: float
    high: float
    rows: int
    mean_score: tuple[float, float, float]
    share_positive: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class ConfusionRow:
    """Rows of one label and one answer. ``start``: of the window, None: the baseline. ``prediction``: None for every
    value that is no class; of a score "positive" or "negative" by the threshold, and so is ``label``."""

    start: int | None
    column: str
    label: str | None
    prediction: str | None
    rows: int


@dataclass(frozen=True, slots=True)
class FairnessRow:
    """One rate of the segments of a window: the two that are furthest apart.

    ``by``: the segmentation; ``segments``: how many have the rate, of at least ``LEAST_ROWS`` labelled rows.
    ``difference`` of the highest and the lowest, with an interval of independent rows; ``ratio`` lowest over highest;
    ``disjoint``: whether the intervals of the two do not meet. Nothing corrects for the choice of two among many."""

    start: int
    by: tuple[str, ...]
    column: str
    rate: str
    segments: int
    lowest: Segment
    highest: Segment
    lowest_rate: float
    highest_rate: float
    difference: float
    lower: float
    upper: float
    ratio: float | None
    disjoint: bool


@dataclass(frozen=True)
class AnswerTables:
    """All of them, of a run: of the baseline first, then of every window."""

    calibration: tuple[CalibrationRow, ...] = ()
    confusion: tuple[ConfusionRow, ...] = ()
    fairness: tuple[FairnessRow, ...] = field(default=())


def answer_tables(baseline: Baseline, profile: Profile, merged: Part) -> AnswerTables:
    """Of windows; of segments only what compares them with one another."""
    scoring = baseline.scoring
    if scoring is None or scoring.task == "numbers":
        return AnswerTables()
    grid = next(s.grid for s in profile.sets if s.name == "window")
    before = baseline.kept("answers", lambda: _of_part(baseline, scoring, "fine", baseline.part))
    after = _of_part(baseline, scoring, grid, merged)
    rows = [row for s in profile.sets if s.columns and not s.labelled for row in _fairness(baseline, s, merged)]
    return AnswerTables((*before[0], *after[0]), (*before[1], *after[1]), tuple(rows))


def _of_part(
    baseline: Baseline, scoring: Scoring, grid: str, part: Part
) -> tuple[list[CalibrationRow], list[ConfusionRow]]:
    """Calibration and confusion of the baseline's part, or of every window of a log's."""
    calibration: list[CalibrationRow] = []
    confusion: list[ConfusionRow] = []
    whole = part is baseline.part
    starts = [None if whole else int(key[0]) for key in part.groups["window"]]
    for name in scoring.scores if scoring.task == "binary" else ():
        for at, grids in _each(baseline, scoring, name, grid, part, "window", alone=True):
            start = starts[at]
            if start == UNTIMED:
                continue
            calibration += _calibration(grids, start, name)
            confusion += _outcomes(grids.outcomes[:, 0], start, name)
    if scoring.prediction is not None:
        confusion += _predicted(baseline, scoring, grid, part, starts)
    return calibration, confusion


def _each(
    baseline: Baseline, scoring: Scoring, name: str, grid: str, part: Part, set_name: str, *, alone: bool
) -> Iterator[tuple[int, ScoreGrids]]:
    """The grids of all groups of a set, some at a time or each ``alone``, and the number of the first."""
    crossed = Labelled.of(part, set_name)
    table = part.tables.get((LABELLED_PREFIX + set_name, name))
    column = baseline.by_name[name]
    if crossed is None or not isinstance(table, NumericTable) or not isinstance(column, NumericColumn):
        return
    positive = crossed.is_class(str(scoring.positive))
    for begin, end in chunks_of_groups(crossed, table, slots_of(column, grid)):
        grids = score_grids(column, grid, table, crossed, positive, begin, end, scoring.threshold)
        if alone:
            yield from ((at, grids.of_group(at - begin)) for at in range(begin, end))
        else:
            yield begin, grids


def _calibration(g: ScoreGrids, start: int | None, name: str) -> Iterator[CalibrationRow]:
    if not g.probabilities[0]:
        return
    edges = uniform_edges(ECE_BINS)
    bins = np.searchsorted(edges, g.first, side="left")
    ends = [0.0, *edges.tolist(), 1.0]
    sums = (g.positive_sums + g.negative_sums)[:, 0]
    begin = np.searchsorted(bins, np.arange(ECE_BINS + 1))
    hits, rests = (np.diff(np.append(0, np.cumsum(side[0]))[begin]) for side in (g.positives, g.negatives))
    total = hits + rests
    lows, highs = proportions.wilson(hits.astype(np.float64), np.maximum(total, 1).astype(np.float64), CONFIDENCE)
    for b in np.flatnonzero(total).tolist():
        found, rows = int(hits[b]), int(total[b])
        least, most = (sums[:, begin[b] : begin[b + 1]].sum(axis=1) / rows).tolist()
        mean = (least + most) / 2
        share = (found / rows, float(lows[b]), float(highs[b]))
        yield CalibrationRow(start, name, ends[b], ends[b + 1], rows, (mean, least, most), share)


def _outcomes(counts: Ints, start: int | None, name: str) -> list[ConfusionRow]:
    tp, fp, fn, tn = counts.tolist()
    table = (("positive", "positive", tp), ("positive", "negative", fn), ("negative", "positive", fp))
    return [ConfusionRow(start, name, *row) for row in (*table, ("negative", "negative", tn))]


def _predicted(
    baseline: Baseline, scoring: Scoring, grid: str, part: Part, starts: list[int | None]
) -> list[ConfusionRow]:
    assert scoring.prediction is not None
    found = predictions_of(scoring, baseline.by_name[scoring.prediction], grid, part, "window")
    if found is None:
        return []
    names = [*found.classes, None]
    out = []
    for at, start in enumerate(starts):
        if start == UNTIMED:
            continue
        table = found.tables(at, at + 1)[0]
        for label, prediction in zip(*np.nonzero(table), strict=True):
            rows = int(table[label, prediction])
            out.append(ConfusionRow(start, scoring.prediction, names[label], names[prediction], rows))
    return out


# ---- segments beside one another -------------------------------------------------------------------------------------


def _fairness(baseline: Baseline, spec: Any, part: Part) -> Iterator[FairnessRow]:
    """Every rate of every window of one segmentation."""
    scoring = baseline.scoring
    assert scoring is not None
    if scoring.positive is None or len(scoring.classes) > 2 or spec.name not in part.groups:
        return
    keys = part.groups[spec.name]
    starts = np.array([int(key[0]) for key in keys], dtype=np.int64)
    crossed = Labelled.of(part, spec.name)
    if crossed is None:
        return
    weights = crossed.known_weights
    per_count = np.ones(len(keys)) if weights is None else weights.per_count
    for name in scoring.scores:
        counts = np.zeros((4, len(keys)), dtype=np.int64)
        means = np.full(len(keys), np.nan)
        for begin, grids in _each(baseline, scoring, name, spec.grid, part, spec.name, alone=False):
            here = slice(begin, begin + len(grids.rows))
            counts[:, here] = grids.outcomes
            sums = (grids.positive_sums + grids.negative_sums).sum(axis=2).mean(axis=0)
            means[here] = np.where(grids.probabilities, sums / np.maximum(grids.rows, 1), np.nan)
        yield from _compared(counts, means, per_count, starts, keys, spec.columns, name)
    if scoring.prediction is not None:
        found = predictions_of(scoring, baseline.by_name[scoring.prediction], spec.grid, part, spec.name)
        if found is not None:
            counts = _two_class_counts(found.tables(0, found.groups), found.classes, scoring)
            unknown = np.full(len(keys), np.nan)
            yield from _compared(counts, unknown, per_count, starts, keys, spec.columns, scoring.prediction)


def _two_class_counts(tables: Ints, classes: tuple[str, ...], scoring: Scoring) -> Ints:
    """(4, G) TP, FP, FN and TN of (G, K, K) tables."""
    at = classes.index(one(str(scoring.positive), has_bools(scoring)))
    hit = np.arange(tables.shape[1]) == at
    tp = tables[:, at, at]
    fn, fp = tables[:, at, ~hit].sum(axis=1), tables[:, ~hit, at].sum(axis=1)
    return np.stack([tp, fp, fn, tables.sum(axis=(1, 2)) - tp - fn - fp])


def _compared(
    counts: Ints,
    means: Floats,
    per_count: Floats,
    starts: Ints,
    keys: list[GroupKey],
    by: tuple[str, ...],
    name: str,
) -> Iterator[FairnessRow]:
    """``per_count``: as how many independent rows one row, or unit of weight, of each segment counts."""
    rows = counts.sum(axis=0) * per_count
    for start in np.unique(starts).tolist():
        if start == UNTIMED:
            continue
        here = np.flatnonzero((starts == start) & (rows >= LEAST_ROWS))
        if len(here) < 2:
            continue
        own, worth = counts[:, here], per_count[here]
        for rate in COMPARED:
            found = fairness.rate(rate, own, CONFIDENCE, worth)
            yield from _row(found, start, [keys[i] for i in here.tolist()], by, name, rate)
        gaps = fairness.calibration(own.sum(axis=0), means[here] * own.sum(axis=0), own[0] + own[2], CONFIDENCE, worth)
        ends = (gaps.mean_score - gaps.upper, gaps.mean_score - gaps.lower)
        apart = fairness.Rate(gaps.gap, *ends, own.sum(axis=0))
        yield from _row(apart, start, [keys[i] for i in here.tolist()], by, name, "calibration_gap")


def _row(
    found: fairness.Rate, start: int, keys: list[GroupKey], by: tuple[str, ...], name: str, rate: str
) -> Iterator[FairnessRow]:
    there = np.flatnonzero(np.isfinite(found.value))
    if len(there) < 2:
        return
    values = found.value[there]
    low, high = int(there[np.argmin(values)]), int(there[np.argmax(values)])
    if low == high:  # all are equal
        low, high = int(there[0]), int(there[1])
    least, most = float(found.value[low]), float(found.value[high])
    apart = most - least
    # The interval of a difference from those of its sides (Zou and Donner 2008; Newcombe's of shares is a case).
    lower = apart - math.hypot(most - float(found.lower[high]), float(found.upper[low]) - least)
    upper = apart + math.hypot(float(found.upper[high]) - most, least - float(found.lower[low]))
    yield FairnessRow(
        start=start,
        by=by,
        column=name,
        rate=rate,
        segments=len(there),
        lowest=_segment(keys[low]),
        highest=_segment(keys[high]),
        lowest_rate=least,
        highest_rate=most,
        difference=apart,
        lower=lower,
        upper=upper,
        ratio=least / most if rate != "calibration_gap" and most > 0 else None,
        disjoint=bool(found.upper[low] < found.lower[high]),
    )


def _segment(key: GroupKey) -> Segment:
    return tuple((int(k), str(t)) for k, t in zip(key[1::2], key[2::2], strict=True))
