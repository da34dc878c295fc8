"""Answers beside labels as the page's script reads them: measures, calibration curves, confusion tables, classes, and
segments beside one another."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable, Iterable
from itertools import groupby, islice
from operator import itemgetter
from typing import Any, Final

from modelwatch_gpu.measures.answer_tables import CalibrationRow, ConfusionRow
from modelwatch_gpu.measures.registry import MEASURES
from modelwatch_gpu.measures.results import Result, segment_dict
from modelwatch_gpu.measures.value import REASONS
from modelwatch_gpu.report.report import Report
from modelwatch_gpu.report.rows import class_rows

#: Classes of an answer a page shows: those with most labels in the baseline.
SHOWN_CLASSES: Final = 30
#: Classes of a confusion table, those with most labels in the baseline; the others are one row and one column.
SHOWN_CONFUSED: Final = 12
#: What a page and a terminal show of answers beside labels, where there is a number: the most telling first.
SHOWN_PERFORMANCE: Final = (
    "roc_auc",
    "average_precision",
    "roc_auc_macro",
    "top_2_accuracy",
    "top_3_accuracy",
    "accuracy",
    "balanced_accuracy",
    "precision",
    "recall",
    "f1",
    "f1_macro",
    "f1_weighted",
    "mcc",
    "log_loss",
    "log_loss_classes",
    "brier",
    "brier_classes",
    "ece",
    "calibration_gap",
    "lift",
    "best_f1",
    "expected_cost",
    "rmse",
    "mae",
    "me",
    "mape",
    "smape",
    "r2",
    "quantile_loss",
    "labelled",
)


def performance_view(report: Report, results: dict[str, dict[int, Result]]) -> list[dict[str, Any]]:
    """A row for each answer and measure that has a number anywhere: the baseline's, and that of every window."""
    rows = []
    for column in report.baseline.columns:
        own = results.get(column.name, {})
        reference = next((r.reference for r in own.values() if r.reference), {})
        for name in SHOWN_PERFORMANCE:
            found = [own[w.second].values.get(name) if w.second in own else None for w in report.windows]
            before = reference.get(name)
            numbers = [None if v is None else v.value for v in found]
            if all(number is None for number in numbers) and (before is None or before.value is None):
                continue
            if before is None and all(v is None for v in found):
                continue
            rows.append(
                {
                    "column": column.name,
                    "measure": name,
                    "title": MEASURES[name].title,
                    "better": MEASURES[name].better,
                    "baseline": None if before is None else before.value,
                    "values": numbers,
                    "lower": [None if v is None else v.lower for v in found],
                    "upper": [None if v is None else v.upper for v in found],
                    "reasons": [None if v is None or v.reason is None else REASONS[v.reason] for v in found],
                }
            )
    return rows


def class_view(report: Report) -> dict[str, Any] | None:
    """Precision, recall and F1 of each class, where there are more than the two of a score: a row for each answer and
    class, the baseline's first in each list; ``left_out``: how many classes are not shown."""
    scoring = report.baseline.scoring
    if scoring is None or scoring.task != "classes":
        return None
    at_window = {report.iso_of(w.second): i for i, w in enumerate(report.windows, start=1)}
    numbers = ("rows", "precision", "recall", "f1")
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for row in class_rows(report):
        own = found.setdefault(
            (row["column"], row["class"]),
            {
                **{name: row[name] for name in ("column", "class")},
                **{name: [None] * (1 + len(report.windows)) for name in numbers},
            },
        )
        at = 0 if row["of"] == "baseline" else at_window[row["window"]]
        for name in numbers:
            own[name][at] = row[name]
    most = sorted(found.values(), key=lambda own: (own["column"], -(own["rows"][0] or 0), own["class"]))
    shown = [own for _, rows in groupby(most, key=itemgetter("column")) for own in islice(rows, SHOWN_CLASSES)]
    return {"rows": shown, "left_out": len(most) - len(shown)} if shown else None


def answer_view(report: Report) -> list[dict[str, Any]]:
    """For each answer its calibration curve and its confusion table, of the baseline and of every window; either is
    None where there is none."""
    curves = _grouped(report.answers.calibration, "column")
    tables = _grouped(report.answers.confusion, "column")
    return [
        {
            "column": name,
            "calibration": _of_all(report, curves[name], _curve) if name in curves else None,
            "confusion": _confusion(report, tables[name]) if name in tables else None,
        }
        for name in dict.fromkeys([*curves, *tables])
    ]


def _grouped(rows: Iterable[Any], field: str) -> dict[Any, list[Any]]:
    found: dict[Any, list[Any]] = {}
    for row in rows:
        found.setdefault(getattr(row, field), []).append(row)
    return found


def _of_all(report: Report, rows: list[Any], shown: Callable[[list[Any]], list[Any]]) -> dict[str, Any]:
    """What ``shown`` makes of the baseline's rows and of every window's; None for a window without any."""
    by_start = _grouped(rows, "start")
    windows = [shown(by_start[w.second]) if w.second in by_start else None for w in report.windows]
    return {"baseline": shown(by_start.get(None, [])), "windows": windows}


def _curve(rows: list[CalibrationRow]) -> list[list[float]]:
    """Of each bin: low, high, rows, mean score, share of positives, its lower and upper bound."""
    return [
        [row.low, row.high, row.rows, *(_short(x) for x in (row.mean_score[0], *row.share_positive))] for row in rows
    ]


def _confusion(report: Report, rows: list[ConfusionRow]) -> dict[str, Any]:
    """``classes``: the names of rows and columns. Then [label, answer, rows] of every pair with rows, as numbers."""
    labels = Tally[str]()
    for row in rows:
        if row.start is None and row.label is not None:
            labels[row.label] += row.rows
    names = dict.fromkeys(name for row in rows for name in (row.label, row.prediction) if name is not None)
    most = set(sorted(names, key=lambda name: (-labels[name], name))[:SHOWN_CONFUSED])
    # A score's table is of "positive" and "negative", in this order; classes are in the order of the label's values.
    order = {name: i for i, name in enumerate(report.baseline.scoring.classes)} if report.baseline.scoring else {}
    classes = sorted((name for name in names if name in most), key=lambda name: order.get(name, len(order)))
    numbers: dict[str | None, int] = {name: i for i, name in enumerate(classes)}
    if len(names) > len(classes):
        numbers |= dict.fromkeys((name for name in names if name not in most), len(classes))
        classes.append(f"{len(names) - len(classes)} other classes")
    if any(None in (row.label, row.prediction) for row in rows):
        numbers[None] = len(classes)
        classes.append("no class")

    def pairs(own: list[ConfusionRow]) -> list[list[int]]:
        found = Tally[tuple[int, int]]()
        for row in own:
            found[numbers[row.label], numbers[row.prediction]] += row.rows
        return [[*pair, n] for pair, n in sorted(found.items()) if n]

    return {"classes": classes, **_of_all(report, rows, pairs)}


def fairness_view(report: Report) -> list[dict[str, Any]]:
    """A row for each segmentation, answer and rate: of every window the two segments furthest apart, else None."""
    at = {w.second: i for i, w in enumerate(report.windows)}
    found: dict[tuple[tuple[str, ...], str, str], dict[str, Any]] = {}
    for row in report.answers.fairness:
        own = found.setdefault(
            (row.by, row.column, row.rate),
            {"by": list(row.by), "column": row.column, "rate": row.rate, "windows": [None] * len(report.windows)},
        )
        ends = (row.lowest_rate, row.highest_rate, row.difference, row.lower, row.upper)
        own["windows"][at[row.start]] = {
            "segments": row.segments,
            "lowest": segment_dict(row.by, row.lowest),
            "highest": segment_dict(row.by, row.highest),
            **dict(
                zip(("lowest_rate", "highest_rate", "difference", "lower", "upper"), map(_short, ends), strict=True)
            ),
            "disjoint": row.disjoint,
        }
    return list(found.values())


def _short(x: float) -> float:
    """As many digits as a page can show."""
    return float(f"{x:.6g}")
