"""The report as the page's script reads it: columns with a strip of windows and their distributions."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from modelwatch_gpu.checks.check import SHOWN_BESIDE
from modelwatch_gpu.checks.finding import Finding
from modelwatch_gpu.checks.listed import Findings
from modelwatch_gpu.measures.evaluate import baseline_histogram
from modelwatch_gpu.measures.numeric import bin_labels
from modelwatch_gpu.measures.results import BASELINE, Result, WindowVectors
from modelwatch_gpu.plain import type_text
from modelwatch_gpu.profile.columns import FIRST_CATEGORY, CategoricalColumn, NumericColumn
from modelwatch_gpu.profile.embeddings import AnyColumn, EmbeddingColumn
from modelwatch_gpu.report.answer_view import (
    SHOWN_PERFORMANCE,
    answer_view,
    class_view,
    fairness_view,
    performance_view,
)
from modelwatch_gpu.report.report import Report
from modelwatch_gpu.report.rows import finding_row, head_of

#: Categories a page shows one by one; the others are one bar. Beyond the first few only those that can be seen.
SHOWN_CATEGORIES: Final = 30
ALWAYS_SHOWN: Final = 10
SMALLEST_SHARE: Final = 0.005
#: Findings a page carries: worst first.
SHOWN_FINDINGS: Final = 5_000

_FINDING_FIELDS: Final = ("segment", "column", "check", "severity", "value", "threshold", "reason")
_VERDICTS: Final = ("ks", "js_distance", "embedding_drift")
_TRENDS: Final = {
    "numeric": ("ks", *SHOWN_BESIDE, "missing", "mean_shift", "out_of_range"),
    "categorical": ("js_distance", "psi", "missing", "unseen"),
    "embedding": (
        "embedding_drift",
        *("domain_auc", "centroid_distance", "frechet", "rff_mmd", "direction_ks", "novelty", "norm_shift"),
        *("effective_rank", "missing", "malformed"),
    ),
}


def view_of(report: Report, *, title: str) -> dict[str, Any]:
    """A JSON-able dict, every number finite or None."""
    results: dict[str, dict[int, Result]] = {}
    for block in report.results.blocks:
        if block.place.segments is None and block.compared_with == BASELINE:
            results[block.column.name] = {r.start: r for r in map(block.result, range(len(block)))}
    verdicts: dict[tuple[str, int], Finding] = {}
    main: dict[str, str] = {}
    own = [f for f in Findings.of(report.findings).of_windows() if f.compared_with == BASELINE]
    for f in own:
        if f.check != "present":
            if f.check not in _VERDICTS and main.get(f.column, f.check) != f.check:
                continue
            if f.check in _VERDICTS or f.column not in main:
                main[f.column] = f.check
    for f in own:
        if main.get(f.column) == f.check:
            verdicts[(f.column, f.start)] = f
    at = {w.second: i for i, w in enumerate(report.windows)}
    head, shown = head_of(report), report.findings[:SHOWN_FINDINGS]
    return {
        "title": title,
        "generator": f"modelwatch-gpu {report.library}",
        "device": report.device,
        "isa": report.isa,
        "timezone": report.timezone,
        "window": report.window,
        "baseline": head["baseline"],
        "rows": report.rows,
        "ok": report.ok,
        "notes": list(report.notes),
        "next": report.next_steps,
        "segments": head["segments"],
        "windows": head["windows"],
        "performance": performance_view(report, results),
        "answers": answer_view(report),
        "classes": class_view(report),
        "fairness": fairness_view(report),
        "columns": [
            _column_view(report, c, results.get(c.name, {}), verdicts, main.get(c.name))
            for c in report.baseline.reported
        ],
        "findings_in_all": sum(report.counts.values()),
        "findings": [
            {**{name: row[name] for name in _FINDING_FIELDS}, "window": at.get(f.start)}
            for f, row in zip(shown, (finding_row(report, f) for f in shown), strict=True)
        ],
    }


def _column_view(
    report: Report,
    column: AnyColumn,
    results: dict[int, Result],
    verdicts: dict[tuple[str, int], Finding],
    check: str | None,
) -> dict[str, Any]:
    starts = [w.second for w in report.windows]
    strip = [_cell(verdicts.get((column.name, s))) for s in starts]
    since = None
    for i in range(len(strip) - 1, -1, -1):
        cell = strip[i]
        if cell is None or cell["severity"] not in ("warning", "alert"):
            break
        since = i
    judged = next(
        (c for c in report.checks if c.measure == check and c.against == "baseline" and c.applies_to(column)), None
    )
    return {
        "name": column.name,
        "role": column.role,
        "kind": column.kind,
        "type": type_text(column.type),
        "check": check,
        "warn": judged.warn if judged else None,
        "alert": judged.alert if judged else None,
        "strip": strip,
        "measures": {
            # The number that was judged, so that the line and its thresholds belong together.
            name: [cell["value"] if cell else None for cell in strip]
            if name == check
            else [_measure(results.get(s), name) for s in starts]
            for name in dict.fromkeys([*([check] if check else []), *_TRENDS[column.kind], *_performed(results)])
        },
        "since": since,
        "distribution": _distribution(report, column, results, starts),
    }


def _performed(results: dict[int, Result]) -> list[str]:
    """The measures that need labels and have a number in some window."""
    return [n for n in SHOWN_PERFORMANCE if any(_measure(result, n) is not None for result in results.values())]


def _cell(finding: Finding | None) -> dict[str, Any] | None:
    if finding is None:
        return None
    # Bounds are of the measure itself; beside a number freed of chance they would not fit.
    corrected = finding.noise_floor is not None and finding.value != finding.raw
    return {
        "severity": finding.severity,
        "value": finding.value,
        "lower": None if corrected else finding.lower,
        "upper": None if corrected else finding.upper,
        "low": finding.interval_lower,
        "high": finding.interval_upper,
        "reason": finding.reason,
    }


def _measure(result: Result | None, name: str) -> float | None:
    value = result.values.get(name) if result is not None else None
    return value.value if value is not None else None


def _distribution(
    report: Report, column: AnyColumn, results: dict[int, Result], starts: list[int]
) -> dict[str, Any] | None:
    if isinstance(column, EmbeddingColumn):
        return _clouds(report, column, starts)
    base = baseline_histogram(report.baseline, column)
    if int(base.sum()) == 0:
        return None
    found = [results[s].histogram if s in results else None for s in starts]
    if isinstance(column, NumericColumn):
        return {
            "kind": "numeric",
            "labels": bin_labels(column),
            "baseline": _shares(base),
            "windows": [_shares(h) if h is not None else None for h in found],
        }
    # The last entry is the values the baseline does not have.
    full = np.append(base, np.uint64(0))
    labels, shown = _shown_categories(column, full, found)
    return {
        "kind": "categorical",
        "labels": labels,
        "baseline": _shares(shown(full)),
        "windows": [_shares(shown(h)) if h is not None and len(h) == len(full) else None for h in found],
    }


def _clouds(report: Report, column: EmbeddingColumn, starts: list[int]) -> dict[str, Any] | None:
    """Both samples along the baseline's first two principal axes, and the rows that moved most, for every window."""
    found = {
        int(block.place.starts[at]): own
        for block in report.results.blocks
        if block.column.name == column.name
        for at, own in block.vectors.items()
    }
    if not found:
        return None
    first = next(iter(found.values()))
    return {
        "kind": "cloud",
        "baseline": _points(first.baseline_points),
        "windows": [_cloud(found[s]) if s in found else None for s in starts],
    }


def _cloud(own: WindowVectors) -> dict[str, Any]:
    labels = [" · ".join(f"{name}: {value}" for name, value in e.labels.items()) for e in own.exemplars]
    distances = [float(f"{e.distance:.4g}") for e in own.exemplars]
    return {
        "points": _points(own.points),
        "exemplars": [[label or "-", d] for label, d in zip(labels, distances, strict=True)],
    }


def _points(points: npt.NDArray[np.float64]) -> list[list[float]]:
    """(rows, 2) as short numbers; vectors of one element lie on a line."""
    return [[float(f"{x:.4g}") for x in (*row, 0.0)[:2]] for row in points.tolist()]


def _shown_categories(
    column: CategoricalColumn, base: npt.NDArray[np.uint64], found: list[npt.NDArray[np.uint64] | None]
) -> tuple[list[str], Any]:
    """Labels and a function that pools a histogram: the categories with the largest share anywhere, then the rest."""
    peak = np.zeros(len(base))
    for h in [base, *found]:
        if h is not None and len(h) == len(base) and int(h.sum()):
            peak = np.maximum(peak, h / h.sum())
    categories = np.arange(FIRST_CATEGORY, FIRST_CATEGORY + len(column.categories))
    top = categories[np.lexsort([categories, -peak[categories]])][:SHOWN_CATEGORIES]
    top = top[(np.arange(len(top)) < ALWAYS_SHOWN) | (peak[top] >= SMALLEST_SHARE)]
    rest = np.setdiff1d(categories, top)
    labels = [column.labels[int(i) - FIRST_CATEGORY] for i in top]

    def pooled(h: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
        other = h[rest].sum() + h[1]
        return np.concatenate([h[top], [other, h[-1], h[0]]]).astype(np.uint64)

    return [*labels, "other values", "not in the baseline", "missing"], pooled


def _shares(counts: npt.NDArray[np.uint64]) -> list[float] | None:
    total = int(counts.sum())
    return [round(float(c) / total, 9) for c in counts] if total else None
