"""A hand-made view of a year of flights: nine months, and one of everything a report page must be able to show."""

from __future__ import annotations

import itertools
import math
from typing import Any

MONTHS = ["Apr 2013", "May 2013", "Jun 2013", "Jul 2013", "Aug 2013", "Sep 2013", "Oct 2013", "Nov 2013", "Dec 2013"]
STARTS = [f"2013-{month:02d}-01T00:00:00-04:00" for month in range(4, 13)] + ["2014-01-01T00:00:00-05:00"]
EMPTY = 4  # nothing was logged in August
HOSTILE = "<script>alert(1)</script>"

Column = dict[str, Any]


def example_view() -> dict[str, Any]:
    """Return the busy view: lasting drift, a hostile name, a gone column, an empty month, findings in segments."""
    columns = [
        _numeric("score", "score", "float32", -2.0, 0.25, [0.03, 0.04, 0.05, 0.09, None, 0.12, 0.16, 0.21, 0.24]),
        _numeric("arr_delayed", "label", "int8", 0.0, 0.1, [0.02, 0.03, 0.05, 0.04, None, 0.03, 0.02, 0.02, 0.04]),
        _numeric("temp", "feature", "float32", 32.0, 3.1, [0.35, 0.52, 0.68, 0.77, None, 0.61, 0.44, 0.23, 0.28]),
        _numeric("dewp", "feature", "float32", 20.0, 4.0, [0.18, 0.39, 0.55, 0.63, None, 0.5, 0.31, 0.12, 0.17]),
        _numeric("wind_speed", "feature", "float32", 4.0, 2.3, [0.05, 0.09, 0.11, 0.15, None, 0.13, 0.08, 0.04, 0.06]),
        _numeric("pressure", "feature", "float64", 1002.5, 3.5, [0.09, 0.07, 0.13, 0.1, None, 0.08, 0.06, 0.05, 0.04]),
        _numeric("distance", "feature", "int32", 184.0, 212.0, [0.01, 0.02, 0.02, 0.03, None, 0.02, 0.01, 0.01, 0.02]),
        _numeric("visib", "feature", "float32", 1.0, 1.0, [0.04, 0.06, 0.05, 0.11, None, None, None, None, None]),
        _categorical(
            "carrier", ["UA", "B6", "EV", "DL", "AA", "MQ"], [0.02, 0.03, 0.03, 0.04, None, 0.05, 0.05, 0.06, 0.07]
        ),
        _categorical("origin", ["EWR", "JFK", "LGA"], [0.01, 0.02, 0.02, 0.03, None, 0.02, 0.03, 0.02, 0.01]),
        _categorical(
            "sky", ["clear", "overcast", HOSTILE, "{a|b}"], [0.04, 0.05, 0.08, 0.11, None, 0.14, 0.19, 0.22, 0.27]
        ),
        _categorical(
            "equipment", [f"type {i:02d}" for i in range(18)], [0.06, 0.08, 0.07, 0.09, None, 0.1, 0.12, 0.11, 0.13]
        ),
        _unjudged("arr_delay_min"),
    ]
    columns[9]["strip"][6] = _sign("not_enough_data", None, "22 rows have a value; a verdict needs 100.")
    findings = _whole_log_findings(columns) + _segment_findings()
    findings += [
        _finding(w, None, "visib", "present", "alert", None, None, "The column is missing from the log.")
        for w in range(5, 9)
    ]
    findings.append(
        _finding(8, None, "distance", "missing", "warning", 0.061, 0.05, "Missing values rose from 0% to 6.1%.")
    )
    order = ["alert", "warning", "not_enough_data", "ok"]
    findings.sort(
        key=lambda f: (order.index(f["severity"]), -(f["value"] or 0.0), f["window"], f["column"], str(f["segment"]))
    )
    return {
        "title": "Flights, drift report",
        "generator": "modelwatch-gpu 0.1.0",
        "device": "cpu",
        "isa": "x86-64-v3",
        "timezone": "America/New_York",
        "window": "1mo",
        "baseline": {
            "rows": 77911,
            "start": "2013-01-01T05:15:00-05:00",
            "end": "2013-03-31T23:59:00-04:00",
            "columns": 26,
        },
        "rows": 258865,
        "ok": False,
        "notes": [
            "Timestamps are read in America/New_York.",
            "Column arr_delay_min is shown and not judged.",
            "August 2013 has no rows.",
            f"Column sky has a value named {HOSTILE}.",
        ],
        "windows": [
            {"start": STARTS[i], "end": STARTS[i + 1], "label": label, "rows": 0 if i == EMPTY else 28000 + 431 * i}
            for i, label in enumerate(MONTHS)
        ],
        "columns": columns,
        "findings": findings,
        "segments": ["carrier"],
    }


def calm_view() -> dict[str, Any]:
    """Return a view in which nothing changed."""
    view = example_view()
    for column in view["columns"]:
        column["strip"] = [s and _sign("ok", 0.02, "Within the noise of the baseline.") for s in column["strip"]]
        column["since"] = None
    return {**view, "ok": True, "findings": [], "notes": [], "segments": []}


def single_window_view() -> dict[str, Any]:
    """Return a whole-log report: one window without a start."""
    view = example_view()
    for column in view["columns"]:
        column["strip"] = column["strip"][:1]
        column["measures"] = {name: values[:1] for name, values in column["measures"].items()}
        column["since"] = 0 if column["strip"][0] and column["strip"][0]["severity"] in ("warning", "alert") else None
        if column["distribution"]:
            column["distribution"]["windows"] = column["distribution"]["windows"][:1]
    view["windows"] = [{"start": None, "end": None, "label": "whole log", "rows": view["rows"]}]
    view["window"] = None
    view["findings"] = [f for f in view["findings"] if f["window"] == 0]
    return view


def no_window_view() -> dict[str, Any]:
    """Return the report of a log without a single row."""
    view = example_view()
    for column in view["columns"]:
        column.update(strip=[], since=None, measures={name: [] for name in column["measures"]})
        if column["distribution"]:
            column["distribution"]["windows"] = []
    return {**view, "windows": [], "findings": [], "rows": 0, "ok": True}


def daily_view(days: int = 400) -> dict[str, Any]:
    """Return the busy view stretched over many days."""
    view = example_view()

    def stretch(values: list[Any]) -> list[Any]:
        return [values[i * len(values) // days] for i in range(days)]

    for column in view["columns"]:
        column["strip"] = stretch(column["strip"])
        column["measures"] = {name: stretch(values) for name, values in column["measures"].items()}
        column["since"] = None if column["since"] is None else -(-column["since"] * days // len(MONTHS))
        if column["distribution"]:
            column["distribution"]["windows"] = stretch(column["distribution"]["windows"])
    view["windows"] = [
        {
            "start": None,
            "end": None,
            "label": f"{2013 + i // 360}-{i // 30 % 12 + 1:02d}-{i % 30 + 1:02d}",
            "rows": 900 + i,
        }
        for i in range(days)
    ]
    return {**view, "window": "1d", "findings": []}


def _sign(severity: str, value: float | None, reason: str) -> dict[str, Any]:
    spread = None if value is None else value * 0.04
    lower = None if value is None or spread is None else round(value - spread, 4)
    upper = None if value is None or spread is None else round(value + spread, 4)
    return {"severity": severity, "value": value, "lower": lower, "upper": upper, "reason": reason}


def _severity(value: float) -> str:
    return "alert" if value >= 0.2 else "warning" if value >= 0.1 else "ok"


def _judge(name: str, check: str, value: float | None, window: int) -> dict[str, Any] | None:
    if window == EMPTY:
        return _sign("not_enough_data", None, "The window has no rows.")
    if value is None:
        return None
    severity = _severity(value)
    reasons = {
        "alert": f"{check} of {name} is {value}, well above the alert limit 0.2 and above what chance explains.",
        "warning": f"{check} of {name} is {value}, above the warning limit 0.1.",
        "ok": f"{check} of {name} is {value}, below the warning limit 0.1.",
    }
    return _sign(severity, value, reasons[severity])


def _since(strip: list[dict[str, Any] | None]) -> int | None:
    start = len(strip)
    while start and (sign := strip[start - 1]) and sign["severity"] in ("warning", "alert"):
        start -= 1
    return start if start < len(strip) else None


def _shares(weights: list[float]) -> list[float]:
    total = sum(weights)
    return [round(weight / total, 6) for weight in weights]


def _column(
    name: str, role: str, kind: str, type_: str, check: str, drift: list[float | None], distribution: Any
) -> Column:
    strip = [_judge(name, check, value, window) for window, value in enumerate(drift)]
    measures: dict[str, list[float | None]] = {check: drift}
    measures["psi"] = [None if d is None else round(d * d * 4 + d / 9, 4) for d in drift]
    if kind == "numeric":
        measures["wasserstein_sd"] = [None if d is None else round(2.1 * d, 4) for d in drift]
        measures["mean_shift"] = [None if d is None else round(1.7 * d - 0.05, 4) for d in drift]
    measures["missing"] = [None if d is None else round(0.002 + d / 50, 4) for d in drift]
    return {
        "name": name,
        "role": role,
        "kind": kind,
        "type": type_,
        "check": check,
        "warn": 0.1,
        "alert": 0.2,
        "strip": strip,
        "measures": measures,
        "since": _since(strip),
        "distribution": distribution,
    }


def _numeric(name: str, role: str, type_: str, low: float, step: float, drift: list[float | None]) -> Column:
    edges = [round(low + step * i, 2) for i in range(9)]
    labels = [f"≤ {edges[0]}", *(f"({a}, {b}]" for a, b in itertools.pairwise(edges)), f"> {edges[-1]}"]
    moved = [None if d is None else _shares([math.exp(d * 0.55 * (i - 4)) for i in range(10)]) for d in drift]
    return _column(
        name,
        role,
        "numeric",
        type_,
        "ks",
        drift,
        {"kind": "numeric", "labels": labels, "baseline": [0.1] * 10, "windows": moved},
    )


def _categorical(name: str, values: list[str], drift: list[float | None]) -> Column:
    size = len(values)
    usual = [1 / (i + 1.5) for i in range(size)]
    moved = [
        None if d is None else _shares([u * math.exp(3 * d * math.cos(2.1 * i)) for i, u in enumerate(usual)])
        for d in drift
    ]
    return _column(
        name,
        "feature",
        "categorical",
        "string",
        "js_distance",
        drift,
        {"kind": "categorical", "labels": values, "baseline": _shares(usual), "windows": moved},
    )


def _unjudged(name: str) -> Column:
    column = _numeric(name, "ignore", "float32", -20.0, 12.0, [0.05] * len(MONTHS))
    return {**column, "check": None, "warn": None, "alert": None, "strip": [None] * len(MONTHS), "since": None}


def _finding(
    window: int,
    segment: dict[str, str] | None,
    column: str,
    check: str,
    severity: str,
    value: float | None,
    threshold: float | None,
    reason: str,
) -> dict[str, Any]:
    return {
        "window": window,
        "segment": segment,
        "column": column,
        "check": check,
        "severity": severity,
        "value": value,
        "threshold": threshold,
        "reason": reason,
    }


def _whole_log_findings(columns: list[Column]) -> list[dict[str, Any]]:
    return [
        _finding(
            w,
            None,
            c["name"],
            c["check"],
            s["severity"],
            s["value"],
            c["alert"] if s["severity"] == "alert" else c["warn"],
            s["reason"],
        )
        for c in columns
        for w, s in enumerate(c["strip"])
        if s and s["severity"] != "ok"
    ]


def _segment_findings() -> list[dict[str, Any]]:
    found = []
    for i, carrier in enumerate(["UA", "B6", "EV", "DL", "AA", "MQ", "US", "9E", "WN", HOSTILE]):
        for window in range(9):
            if window == EMPTY:
                continue
            for column, scale in (("temp", 0.4), ("dewp", 0.3), ("wind_speed", 0.14)):
                value = round(scale * (1 + 0.5 * math.sin(i + window)), 3)
                if value >= 0.1:
                    severity = _severity(value)
                    limit = 0.2 if severity == "alert" else 0.1
                    reason = f"ks of {column} is {value}, above the {severity} limit {limit}."
                    found.append(_finding(window, {"carrier": carrier}, column, "ks", severity, value, limit, reason))
    return found
