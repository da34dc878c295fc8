"""A Grafana dashboard of the metrics, as the JSON that Grafana imports."""

from __future__ import annotations

from typing import Any, Final

from modelwatch_gpu.monitor.config.model import MonitorConfig
from modelwatch_gpu.serve.rules import selector

#: Of Grafana's dashboard model; 39 is Grafana 10.4, and later ones read it.
SCHEMA_VERSION: Final = 39
_SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
_WIDTH: Final = 24
_COLUMN: Final = 'column=~"$column"'
_SEVERITIES: Final = [
    {"type": "value", "options": {"0": {"text": "ok", "color": "green", "index": 0}}},
    {"type": "value", "options": {"1": {"text": "not enough data", "color": "text", "index": 1}}},
    {"type": "value", "options": {"2": {"text": "warning", "color": "orange", "index": 2}}},
    {"type": "value", "options": {"3": {"text": "alert", "color": "red", "index": 3}}},
]


def dashboard_of(config: MonitorConfig) -> dict[str, Any]:
    """The dashboard of one monitor. Its data source is chosen on import, its columns in the page."""
    own = selector(config)
    column = f"{own[:-1]},{_COLUMN}}}"
    board = _Board()
    late = config.serving.late_after.total_seconds()
    stale = config.serving.stale_after.total_seconds()
    board.stat("Worst finding", f"max(modelwatch_finding_severity{own})", mappings=_SEVERITIES)
    board.stat("Open alerts", f"sum(modelwatch_open_alerts{own})", limit=1)
    board.stat("Since the last run", f"modelwatch_run_lag_seconds{own}", unit="s", limit=late)
    board.stat("Since the newest row", f"modelwatch_data_lag_seconds{own}", unit="s", limit=stale)
    board.stat("Rows of the window", f"modelwatch_window_rows{own}", unit="short")
    board.stat("Messages waiting", f"modelwatch_waiting_messages{own}", limit=1)
    board.states("Verdicts", f"max by (column, check) (modelwatch_finding_severity{column})", "{{column}} {{check}}")
    board.lines("Measures", f"modelwatch_measure{column}", "{{column}} {{measure}} {{compared_with}}")
    board.lines("Findings by severity", f"modelwatch_findings{own}", "{{severity}}", width=12)
    board.lines(
        "Segments with findings",
        f"sum by (column, severity) (modelwatch_segment_findings{column})",
        "{{column}} {{severity}}",
        width=12,
    )
    board.table("Deployments", f"modelwatch_deployment{own}", width=12)
    board.lines("Files", f"modelwatch_files{own}", "{{state}}", width=12)
    return {
        "title": f"modelwatch: {config.name}",
        "uid": _uid(config.name),
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": True,
        "tags": ["modelwatch"],
        "time": {"from": "now-30d", "to": "now"},
        "refresh": "1m",
        "timezone": "utc",
        "templating": {
            "list": [
                {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Data source"},
                {
                    "name": "column",
                    "type": "query",
                    "label": "Column",
                    "datasource": _SOURCE,
                    "query": {
                        "query": f"label_values(modelwatch_finding_severity{own}, column)",
                        "refId": "column",
                    },
                    "refresh": 2,
                    "includeAll": True,
                    "multi": True,
                    "allValue": ".*",
                    "current": {"text": "All", "value": "$__all"},
                    "sort": 1,
                },
            ]
        },
        "annotations": {
            "list": [
                {
                    "name": "Deployments",
                    "enable": True,
                    "iconColor": "blue",
                    "datasource": _SOURCE,
                    "expr": f"modelwatch_deployment{own} unless modelwatch_deployment{own} offset 5m",
                    "titleFormat": "{{model}} {{model_version}}",
                    "textFormat": "{{stage}}",
                    "step": "5m",
                }
            ]
        },
        "panels": board.panels,
    }


def expressions(dashboard: dict[str, Any]) -> list[str]:
    """The PromQL of all panels and annotations."""
    found = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    return [*found, *(one["expr"] for one in dashboard["annotations"]["list"])]


def _uid(name: str) -> str:
    """Grafana takes 40 letters."""
    import hashlib

    return f"modelwatch-{hashlib.sha256(name.encode()).hexdigest()[:16]}"


class _Board:
    """Panels from left to right and from top to bottom."""

    def __init__(self) -> None:
        self.panels: list[dict[str, Any]] = []
        self._x = self._y = self._row = 0

    def stat(
        self,
        title: str,
        expr: str,
        *,
        unit: str = "none",
        limit: float | None = None,
        mappings: list[dict[str, Any]] | None = None,
    ) -> None:
        """A single number; red from ``limit`` on."""
        steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
        if limit is not None:
            steps.append({"color": "red", "value": limit})
        self._add(
            "stat",
            title,
            expr,
            width=4,
            height=4,
            instant=True,
            defaults={"unit": unit, "mappings": mappings or [], "thresholds": {"mode": "absolute", "steps": steps}},
            options={"reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}, "colorMode": "value"},
        )

    def lines(self, title: str, expr: str, legend: str, *, width: int = _WIDTH) -> None:
        """Lines over time."""
        options = {"legend": {"displayMode": "table", "placement": "right", "calcs": ["lastNotNull"]}}
        self._add("timeseries", title, expr, width=width, height=9, legend=legend, options=options)

    def states(self, title: str, expr: str, legend: str) -> None:
        """A strip of verdicts for each line."""
        defaults = {"mappings": _SEVERITIES, "color": {"mode": "fixed"}}
        options = {"mergeValues": True, "showValue": "never", "rowHeight": 0.9}
        self._add(
            "state-timeline", title, expr, width=_WIDTH, height=10, legend=legend, defaults=defaults, options=options
        )

    def table(self, title: str, expr: str, *, width: int) -> None:
        """Labels as a table."""
        hidden = {"Time": True, "Value": True, "__name__": True, "instance": True, "job": True, "monitor": True}
        self._add("table", title, expr, width=width, height=9, instant=True, table=True)
        self.panels[-1]["transformations"] = [{"id": "organize", "options": {"excludeByName": hidden}}]

    def _add(
        self,
        kind: str,
        title: str,
        expr: str,
        *,
        width: int,
        height: int,
        legend: str = "",
        instant: bool = False,
        table: bool = False,
        defaults: dict[str, Any] | None = None,
        options: dict[str, Any] | None = None,
    ) -> None:
        if self._x + width > _WIDTH:
            self._x, self._y, self._row = 0, self._y + self._row, 0
        target = {"refId": "A", "datasource": _SOURCE, "expr": expr, "legendFormat": legend, "instant": instant}
        if table:
            target["format"] = "table"
        self.panels.append(
            {
                "id": len(self.panels) + 1,
                "type": kind,
                "title": title,
                "datasource": _SOURCE,
                "gridPos": {"x": self._x, "y": self._y, "w": width, "h": height},
                "targets": [target],
                "fieldConfig": {"defaults": defaults or {}, "overrides": []},
                "options": options or {},
            }
        )
        self._x, self._row = self._x + width, max(self._row, height)
