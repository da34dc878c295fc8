"""The report as JSON values, a row at a time: what ``to_dict`` collects and ``write_json`` streams."""

from __future__ import annotations

import json
import math
from collections import Counter as Tally
from collections.abc import Iterator
from dataclasses import asdict
from itertools import groupby, islice
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from modelwatch_gpu.checks.finding import Finding
from modelwatch_gpu.measures.quantiles import SHOWN
from modelwatch_gpu.measures.results import BASELINE, Block, segment_dict
from modelwatch_gpu.measures.value import NOT_THERE, REASON_CODES, Values

if TYPE_CHECKING:
    from modelwatch_gpu.report.report import Report

SCHEMA_VERSION: Final = 1
#: Rows of JSON that are made at a time.
_BATCH: Final = 1_000
_REASONS: Final = {code: reason for reason, code in REASON_CODES.items()}
#: Fields of a finding that say how sure it is.
CERTAINTY: Final = (
    *("interval_lower", "interval_upper", "interval_by", "no_interval", "units"),
    *("p_value", "p_adjusted", "p_no_change", "e_value"),
)
#: Numbers of a profile row, by the name they have in a ``Summary``.
PROFILE_NUMBERS: Final = {
    "min": "minimum",
    "max": "maximum",
    **{name: name for name in ("mean", "sd", "skewness", "kurtosis")},
}


def head_of(report: Report) -> dict[str, Any]:
    """What a report says once."""
    return {
        "schema_version": SCHEMA_VERSION,
        "library": report.library,
        "device": report.device,
        "isa": report.isa,
        "baseline": {
            "fingerprint": report.baseline.fingerprint,
            "rows": report.baseline.rows,
            "columns": len(report.baseline.reported),
            "start": report.baseline_span(0),
            "end": report.baseline_span(1),
        },
        "timezone": report.timezone,
        "window": report.window,
        "segments": [",".join(names) for names in report.segments],
        "rows": report.rows,
        "weight": None if report.weight is None else _finite(asdict(report.weight)),
        "labels": None if report.labels is None else asdict(report.labels),
        "performance": performance_head(report),
        "ok": report.ok,
        "windows": [{"start": w.start, "end": w.end, "label": w.label, "rows": w.rows} for w in report.windows],
    }


def _finite(numbers: dict[str, Any]) -> dict[str, Any]:
    """JSON has no infinity: a sum beyond float64 is null."""
    return {name: None if isinstance(v, float) and not math.isfinite(v) else v for name, v in numbers.items()}


def sections_of(report: Report) -> dict[str, Any]:
    """Everything by its key, in order; what has many rows is an iterator over them."""
    return {
        **head_of(report),
        "profile": profile_rows(report),
        "measures": measure_rows(report),
        "calibration": calibration_rows(report),
        "confusion": confusion_rows(report),
        "classes": class_rows(report),
        "fairness": fairness_rows(report),
        "findings": (finding_row(report, f) for f in report.findings),
        "embeddings": embedding_rows(report),
        "notes": list(report.notes),
        "next_steps": report.next_steps,
    }


def json_chunks(report: Report, *, indent: int | None) -> Iterator[str]:
    """The text that ``json.dumps`` makes of the whole report, in pieces."""
    newline = "" if indent is None else "\n" + " " * indent
    comma = ", " if indent is None else ","

    def text(value: Any) -> str:
        # A string in JSON has no line break of its own, so every one is the layout's.
        return json.dumps(value, indent=indent, allow_nan=False).replace("\n", newline or "\n")

    yield "{"
    for i, (key, value) in enumerate(sections_of(report).items()):
        yield f"{comma if i else ''}{newline}{json.dumps(key)}: "
        if not isinstance(value, Iterator):
            yield text(value)
            continue
        some = False
        while batch := list(islice(value, _BATCH)):
            inside = text(batch)[1:-1]
            yield f"{comma if some else '['}{inside if indent is None else inside[: -len(newline)]}"
            some = True
        yield f"{newline}]" if some else "[]"
    yield "}" if indent is None else "\n}"


def _nullable(numbers: npt.NDArray[Any]) -> list[Any]:
    """Numbers as Python has them, None for NaN."""
    if numbers.dtype.kind != "f":
        return list(numbers.tolist())
    return [None if number != number else number for number in numbers.tolist()]


def _places(report: Report, block: Block) -> Iterator[dict[str, Any]]:
    """Window, segment and column of every group of a block."""
    place, name = block.place, block.column.name
    segments = place.segments if place.segments is not None else [None] * len(place)
    for start, segment in zip(place.starts.tolist(), segments, strict=True):
        yield {"window": report.iso_of(start), "segment": segment_dict(place.by, segment), "column": name}


def profile_numbers(block: Block, name: str) -> npt.NDArray[Any]:
    """A field of ``Summary`` in all groups of a block: 0 rows or NaN where there is nothing to say."""
    if name in block.numbers:
        return block.numbers[name]
    if name in ("count", "missing"):
        return np.zeros(len(block), dtype=np.int64)
    return np.full(len(block), np.nan)


def profile_rows(report: Report) -> Iterator[dict[str, Any]]:
    """A row for each window, segment and column."""
    for block in report.results.blocks:
        if block.compared_with != BASELINE:
            continue
        rows = block.place.rows.tolist()
        counts = [profile_numbers(block, name).tolist() for name in ("count", "missing")]
        numbers = [_nullable(profile_numbers(block, name)) for name in PROFILE_NUMBERS.values()]
        quantiles = {name: _bounds(block.quantiles[name]) for name in SHOWN if name in block.quantiles}
        for at, place in enumerate(_places(report, block)):
            yield {
                **place,
                "role": block.column.role,
                "kind": block.column.kind,
                "rows": rows[at],
                "count": counts[0][at],
                "missing": counts[1][at],
                **{name: column[at] for name, column in zip(PROFILE_NUMBERS, numbers, strict=True)},
                "quantiles": {
                    name: {"value": found[0][at], "lower": found[1][at], "upper": found[2][at]}
                    for name, found in quantiles.items()
                }
                or None,
            }


def _bounds(values: Values) -> tuple[list[Any], list[Any], list[Any]]:
    """Value, lower and upper; equal arrays are made once."""
    value = _nullable(values.value)
    lower = value if values.lower is values.value else _nullable(values.lower)
    upper = value if values.upper is values.value else _nullable(values.upper)
    return value, lower, upper


def measure_rows(report: Report) -> Iterator[dict[str, Any]]:
    """A row for each window, segment, column, what it is compared with, and measure."""
    for block in report.results.blocks:
        measures = [
            (name, *_bounds(values), values.n.tolist(), values.reason.tolist()) for name, values in block.values.items()
        ]
        for at, place in enumerate(_places(report, block)):
            place["compared_with"] = block.compared_with
            for name, value, lower, upper, n, reason in measures:
                code = reason[at]
                if code == NOT_THERE:
                    continue
                row = {**place, "measure": name, "value": value[at], "lower": lower[at], "upper": upper[at], "n": n[at]}
                if name in block.reference:
                    row["baseline"] = block.reference[name].value
                if code:
                    row["reason"] = _REASONS[code]
                yield row


def performance_head(report: Report) -> dict[str, Any] | None:
    """How answers are held against labels, and the baseline's own numbers; None where they are not."""
    scoring = report.baseline.scoring
    if scoring is None:
        return None
    own = {b.column.name: b.reference for b in report.results.blocks if b.reference and b.compared_with == BASELINE}
    return {
        **scoring.header(),
        "costs": None if scoring.costs is None else list(scoring.costs),
        "baseline": [
            {"column": column, "measure": name, "value": v.value, "lower": v.lower, "upper": v.upper, "n": v.n}
            for column, numbers in own.items()
            for name, v in numbers.items()
        ],
    }


def _window_of(report: Report, start: int | None) -> dict[str, Any]:
    """Whose row it is: the baseline's, or that of a window."""
    return {"of": "baseline" if start is None else "log", "window": None if start is None else report.iso_of(start)}


def calibration_rows(report: Report) -> Iterator[dict[str, Any]]:
    """A row for each bin of a score that holds rows, of the baseline and of every window."""
    for row in report.answers.calibration:
        yield {
            **_window_of(report, row.start),
            "column": row.column,
            "low": row.low,
            "high": row.high,
            "rows": row.rows,
            **dict(zip(("mean_score", "mean_score_lower", "mean_score_upper"), row.mean_score, strict=True)),
            **dict(zip(("share_positive", "lower", "upper"), row.share_positive, strict=True)),
        }


def confusion_rows(report: Report) -> Iterator[dict[str, Any]]:
    """A row for each label and answer, of the baseline and of every window."""
    for row in report.answers.confusion:
        where = {**_window_of(report, row.start), "column": row.column}
        yield {**where, "label": row.label, "prediction": row.prediction, "rows": row.rows}


def class_rows(report: Report) -> Iterator[dict[str, Any]]:
    """A row for each class of an answer, of the baseline and of every window: precision, recall and F1, the class taken
    as the positive one; None where that is 0 / 0."""
    for (start, column), rows in groupby(report.answers.confusion, key=lambda row: (row.start, row.column)):
        labels, predicted, right = Tally[str](), Tally[str](), Tally[str]()
        for row in rows:
            if row.label is not None:
                labels[row.label] += row.rows
            if row.prediction is not None:
                predicted[row.prediction] += row.rows
                right[row.prediction] += row.rows if row.prediction == row.label else 0
        for name in sorted(labels.keys() | predicted.keys()):
            hits, both = right[name], labels[name] + predicted[name]
            yield {
                **_window_of(report, start),
                "column": column,
                "class": name,
                "rows": labels[name],
                "precision": hits / predicted[name] if predicted[name] else None,
                "recall": hits / labels[name] if labels[name] else None,
                "f1": 2 * hits / both if both else None,
            }


def fairness_rows(report: Report) -> Iterator[dict[str, Any]]:
    """A row for each window, segmentation, answer and rate."""
    for row in report.answers.fairness:
        yield {
            "window": report.iso_of(row.start),
            "by": list(row.by),
            "column": row.column,
            "rate": row.rate,
            "segments": row.segments,
            "lowest": segment_dict(row.by, row.lowest),
            "highest": segment_dict(row.by, row.highest),
            "lowest_rate": row.lowest_rate,
            "highest_rate": row.highest_rate,
            "difference": row.difference,
            "lower": row.lower,
            "upper": row.upper,
            "ratio": row.ratio,
            "disjoint": row.disjoint,
        }


def embedding_rows(report: Report) -> Iterator[dict[str, Any]]:
    """A row for each window and embedding column with a verdict: what stands out, and the rows that moved most."""
    for block in report.results.blocks:
        for at, found in block.vectors.items():
            yield {
                "window": report.iso_of(int(block.place.starts[at])),
                "column": block.column.name,
                "pvalue": found.pvalue,
                "member": found.member,
                "scores": dict(found.scores),
                "exemplars": [{"labels": dict(e.labels), "distance": e.distance} for e in found.exemplars],
            }


def finding_row(report: Report, f: Finding) -> dict[str, Any]:
    """A finding as a JSON object."""
    return {
        "window": report.iso_of(f.start),
        "segment": report.segment_of(f),
        "column": f.column,
        "check": f.check,
        "compared_with": f.compared_with,
        "severity": f.severity,
        "value": f.value,
        "threshold": f.threshold,
        "reason": f.reason,
        "raw": f.raw,
        "lower": f.lower,
        "upper": f.upper,
        "noise_floor": f.noise_floor,
        **{name: getattr(f, name) for name in CERTAINTY},
        "n": f.n,
    }
