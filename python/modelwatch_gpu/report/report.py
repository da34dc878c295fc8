"""The report: windows, measures, findings, and their forms (JSON, Arrow, pandas, HTML)."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any, Final, NamedTuple

import pyarrow as pa

from modelwatch_gpu.checks.check import Check
from modelwatch_gpu.checks.finding import SEVERITIES, Finding
from modelwatch_gpu.errors import AlertError, InputError
from modelwatch_gpu.log.windows import RowWindow, iso, parse_window, zone_of
from modelwatch_gpu.measures.evaluate import Result, segment_text
from modelwatch_gpu.measures.registry import MEASURES
from modelwatch_gpu.profile.baseline import Baseline
from modelwatch_gpu.profile.fileio import write_file
from modelwatch_gpu.profile.parts import WHOLE

SCHEMA_VERSION: Final = 1


@dataclass(frozen=True)
class WindowInfo:
    """``start``, ``end``: ISO 8601 in the log's time zone, None for the whole log; ``second``: start as epoch
    seconds."""

    start: str | None
    end: str | None
    label: str
    rows: int
    second: int


class Tables(NamedTuple):
    """The report as three tables; the columns are stated in ``docs/report.md``."""

    profile: Any
    drift: Any
    findings: Any


@dataclass(frozen=True, eq=False)
class Report:
    """All findings of one run, worst first."""

    baseline: Baseline
    device: str
    isa: str
    library: str
    timezone: str
    window: str | None
    segments: tuple[tuple[str, ...], ...]
    rows: int
    windows: tuple[WindowInfo, ...]
    results: tuple[Result, ...]
    findings: tuple[Finding, ...]
    checks: tuple[Check, ...]
    notes: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether there is no alert."""
        return not any(f.severity == "alert" for f in self.findings)

    def worst(self, count: int = 10) -> list[Finding]:
        """The findings that ask for attention, worst first, at most ``count``."""
        return [f for f in self.findings if f.severity in ("alert", "warning")][:count]

    def raise_on_alert(self, level: str = "alert") -> None:
        """Raises AlertError if there is a finding at ``level`` ("alert" or "warning") or worse."""
        if level not in ("alert", "warning"):
            raise InputError(f"level must be 'alert' or 'warning', not '{level}'.")
        bad = [f for f in self.findings if f.severity in SEVERITIES[: SEVERITIES.index(level) + 1]]
        if bad:
            worst = bad[0]
            raise AlertError(f"{len(bad)} findings at {level} or worse; the worst is {worst.column}: {worst.reason}")

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON values: see ``to_json``."""
        return {
            "schema_version": SCHEMA_VERSION,
            "library": self.library,
            "device": self.device,
            "isa": self.isa,
            "baseline": {
                "fingerprint": self.baseline.fingerprint,
                "rows": self.baseline.rows,
                "columns": len(self.baseline.columns),
                "start": self._span(0),
                "end": self._span(1),
            },
            "timezone": self.timezone,
            "window": self.window,
            "segments": [",".join(names) for names in self.segments],
            "rows": self.rows,
            "ok": self.ok,
            "windows": [{"start": w.start, "end": w.end, "label": w.label, "rows": w.rows} for w in self.windows],
            "profile": [self._profile_row(r) for r in self.results],
            "measures": [
                {
                    **self._place(r),
                    "column": r.column.name,
                    "measure": name,
                    "value": v.value,
                    "lower": v.lower,
                    "upper": v.upper,
                    "n": v.n,
                    **({"reason": v.reason} if v.reason else {}),
                }
                for r in self.results
                for name, v in r.values.items()
            ],
            "findings": [self._finding_row(f) for f in self.findings],
            "notes": list(self.notes),
        }

    def to_json(self, path: str | os.PathLike[str] | None = None, *, indent: int | None = None) -> str:
        """The report as one JSON object (RFC 8259: no NaN, no infinity); also written to ``path`` where given."""
        text = json.dumps(self.to_dict(), indent=indent, allow_nan=False)
        if path is not None:
            write_file(path, text.encode())
        return text

    def to_arrow(self) -> Tables:
        """Three pyarrow tables: ``profile`` (a row per window, segment, column), ``drift`` (every measure of it against
        the baseline, with bounds), ``findings``. Their schemas are the same for every report."""
        drift_names = [name for name in MEASURES if name != "row_count"]
        profile = [self._flat(self._profile_row(r)) for r in self.results]
        drift = []
        for r in self.results:
            row = self._flat({**self._place(r), "column": r.column.name})
            row["compared_with"] = "BASELINE"
            for name in drift_names:
                v = r.values.get(name)
                row[name] = v.value if v else None
                row[f"{name}_lower"] = v.lower if v else None
                row[f"{name}_upper"] = v.upper if v else None
            drift.append(row)
        findings = [self._flat(self._finding_row(f)) for f in self.findings]
        place = [(n, pa.string()) for n in ("window", "segment_key", "segment_value", "column")]
        numbers = [(f"{n}{s}", pa.float64()) for n in drift_names for s in ("", "_lower", "_upper")]
        return Tables(
            pa.Table.from_pylist(profile, pa.schema([*place, *_PROFILE_FIELDS])),
            pa.Table.from_pylist(drift, pa.schema([*place, ("compared_with", pa.string()), *numbers])),
            pa.Table.from_pylist(findings, pa.schema([*place, *_FINDING_FIELDS])),
        )

    def to_pandas(self) -> Tables:
        """The tables of ``to_arrow`` as pandas DataFrames (needs pandas)."""
        return Tables(*(table.to_pandas() for table in self.to_arrow()))

    def to_html(self, path: str | os.PathLike[str] | None = None, *, title: str = "Drift report") -> str:
        """The report as one HTML file that needs no network; also written to ``path`` where given."""
        from modelwatch_gpu.report.html import render_html
        from modelwatch_gpu.report.view import view_of

        page = render_html(view_of(self, title=title))
        if path is not None:
            write_file(path, page.encode())
        return page

    def _repr_html_(self) -> str:
        from modelwatch_gpu.report.table import short_html

        return short_html(self)

    def __repr__(self) -> str:
        counts = ", ".join(f"{sum(f.severity == s for f in self.findings)} {s}" for s in SEVERITIES)
        return f"Report({self.rows:,} rows, {len(self.windows)} windows: {counts})"

    def iso_of(self, start: int) -> str | None:
        """A window's start as text: ISO 8601, or the number of its first row; None for the whole log."""
        if start <= WHOLE + 1:
            return None
        in_rows = self.window is not None and isinstance(parse_window(self.window), RowWindow)
        return str(start) if in_rows else iso(start, zone_of(self.timezone))

    def segment_of(self, item: Result | Finding) -> dict[str, str | None] | None:
        """A segment as {column: value}."""
        if item.segment is None:
            return None
        return {name: segment_text(value) for name, value in zip(item.by, item.segment, strict=True)}

    def _span(self, end: int) -> str | None:
        span = self.baseline.part.span
        return iso(span[end], zone_of(self.timezone)) if span else None

    def _place(self, item: Result | Finding) -> dict[str, Any]:
        return {"window": self.iso_of(item.start), "segment": self.segment_of(item)}

    def _profile_row(self, r: Result) -> dict[str, Any]:
        s = r.summary
        return {
            **self._place(r),
            "column": r.column.name,
            "role": r.column.role,
            "kind": r.column.kind,
            "rows": r.rows,
            "count": s.count,
            "missing": s.missing,
            "min": s.minimum,
            "max": s.maximum,
            "mean": s.mean,
            "sd": s.sd,
        }

    def _finding_row(self, f: Finding) -> dict[str, Any]:
        return {
            **self._place(f),
            "column": f.column,
            "check": f.check,
            "severity": f.severity,
            "value": f.value,
            "threshold": f.threshold,
            "reason": f.reason,
            "raw": f.raw,
            "lower": f.lower,
            "upper": f.upper,
            "noise_floor": f.noise_floor,
            "n": f.n,
        }

    @staticmethod
    def _flat(row: dict[str, Any]) -> dict[str, Any]:
        segment = row.pop("segment")
        if not segment:
            return {**row, "segment_key": None, "segment_value": None}
        texts = ["null" if v is None else v for v in segment.values()]
        value = next(iter(segment.values())) if len(segment) == 1 else ",".join(texts)
        return {**row, "segment_key": ",".join(segment), "segment_value": value}


def json_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of what ``Report.to_json`` writes."""
    text = (resources.files("modelwatch_gpu") / "report" / "report.schema.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


_PROFILE_FIELDS: Final = [
    ("role", pa.string()),
    ("kind", pa.string()),
    *((n, pa.int64()) for n in ("rows", "count", "missing")),
    *((n, pa.float64()) for n in ("min", "max", "mean", "sd")),
]
_FINDING_FIELDS: Final = [
    ("check", pa.string()),
    ("severity", pa.string()),
    ("value", pa.float64()),
    ("threshold", pa.float64()),
    ("reason", pa.string()),
    *((n, pa.float64()) for n in ("raw", "lower", "upper", "noise_floor")),
    ("n", pa.int64()),
]


def sorted_findings(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Worst first: severity, whole windows before segments, then how far beyond the threshold."""
    rank = {s: i for i, s in enumerate(SEVERITIES)}
    return tuple(
        sorted(
            findings,
            key=lambda f: (
                rank[f.severity],
                f.segment is not None,
                -f.excess,
                f.start,
                f.column,
                f.check,
                f.by,
                f.segment or (),
            ),
        )
    )
