"""A monitor as Prometheus metrics, read from its store when somebody asks.

However many columns a log has, and whatever they are called, there are at most ``series`` time series of a kind, and
``modelwatch_series_left_out`` says how many more there would be.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy import Engine

from modelwatch_gpu import _core
from modelwatch_gpu.checks.default import PERFORMANCE_CHECKS
from modelwatch_gpu.errors import OutputError
from modelwatch_gpu.monitor.clock import Clock
from modelwatch_gpu.monitor.config.model import MonitorConfig
from modelwatch_gpu.serve.current import Current, Row, current

#: Letters of a label's value at most.
MOST_LETTERS: Final = 128
#: What ``modelwatch_finding_severity`` says.
LEVELS: Final = {"ok": 0, "not_enough_data": 1, "warning": 2, "alert": 3}

Labels = tuple[str, ...]


class MonitorCollector(Collector):
    """The metrics of one monitor. A store that cannot be read gives ``modelwatch_up`` 0 and nothing else."""

    def __init__(self, engine: Engine, config: MonitorConfig, clock: Clock | None = None) -> None:
        self._engine, self._config = engine, config
        self._clock = clock if clock is not None else Clock()
        self._names = served_measures(config)
        self._left_out: dict[str, int] = {}

    def describe(self) -> Iterable[Any]:
        """Nothing: what there is depends on the store."""
        return ()

    def collect(self) -> Iterator[Any]:
        """All metric families."""
        name = self._config.name
        version = {"monitor": name, "version": str(_core.build_info()["version"])}
        yield InfoMetricFamily("modelwatch_build", "The version that serves these metrics.", value=version)
        try:
            now = current(self._engine, self._names)
        except OutputError:
            yield self._gauge("up", "Whether the monitor's store can be read.", [((), 0.0)])
            return
        self._left_out = {}
        yield self._gauge("up", "Whether the monitor's store can be read.", [((), 1.0)])
        yield from self._of_time(now)
        yield from self._of_counts(now)
        yield from self._of_findings(now)
        yield from self._of_measures(now.measures)
        running = [
            ((d.model, d.model_version, d.data_version or "", d.code_version or "", d.stage), 1.0) for d in now.running
        ]
        yield self._gauge(
            "deployment",
            "1 for every version that is deployed.",
            running,
            ("model", "model_version", "data_version", "code_version", "stage"),
        )
        left_out = [((kind,), float(count)) for kind, count in sorted(self._left_out.items())]
        yield self._gauge(
            "series_left_out", "Time series that are not served, because there are too many.", left_out, ("kind",)
        )

    def _of_time(self, now: Current) -> Iterator[Any]:
        wall = self._clock.now().timestamp()
        ended = [] if now.ended is None else [((), now.ended.timestamp())]
        yield self._gauge("last_run_timestamp_seconds", "When the last finished run ended.", ended)
        lag = [((), max(0.0, wall - at)) for _, at in ended]
        yield self._gauge("run_lag_seconds", "Time since the last finished run ended.", lag)
        newest = [] if now.newest is None else [((), float(now.newest))]
        yield self._gauge("newest_row_timestamp_seconds", "The time of the newest row counted.", newest)
        lag = [((), max(0.0, wall - at)) for _, at in newest]
        yield self._gauge("data_lag_seconds", "Time since the newest row counted.", lag)
        if now.window is not None:
            start = [((), float(now.window["window_start"]))] if now.window["window"] is not None else []
            yield self._gauge("window_start_timestamp_seconds", "Start of the latest window.", start)
            yield self._gauge("window_rows", "Rows in the latest window.", [((), float(now.window["rows"]))])

    def _of_counts(self, now: Current) -> Iterator[Any]:
        yield self._gauge("runs", "Runs that the store remembers, by state.", _by_name(now.runs), ("state",))
        yield self._gauge("files", "Files by what became of them.", _by_name(now.files), ("state",))
        yield self._gauge("rows", "Rows counted in all windows.", [((), float(now.rows))])
        yield self._gauge("windows", "Windows by their worst finding.", _by_name(now.windows), ("severity",))
        yield self._gauge("open_alerts", "Alerts that are open.", _by_name(now.alerts), ("severity",))
        yield self._gauge("waiting_messages", "Messages that have not been delivered.", [((), float(now.waiting))])
        yield self._gauge("audit_records", "Records of the audit.", [((), float(now.audit))])

    def _of_findings(self, now: Current) -> Iterator[Any]:
        help_text = "Findings of the latest window by severity, segments included."
        yield self._gauge("findings", help_text, _by_name(now.counts), ("severity",))
        worst: dict[Labels, float] = {}
        for row in now.findings:
            key = (row["column"], row["check"], row["compared_with"].lower())
            worst[key] = max(worst.get(key, 0.0), float(LEVELS.get(row["severity"], 0)))
        yield self._gauge(
            "finding_severity",
            "Of the latest window: 0 ok, 1 not enough data, 2 warning, 3 alert.",
            list(worst.items()),
            ("column", "check", "compared_with"),
        )
        yield self._gauge(
            "segment_findings",
            "Segments of the latest window with a warning or an alert.",
            [(key, float(count)) for key, count in sorted(now.segments.items())],
            ("column", "check", "severity"),
        )

    def _of_measures(self, rows: Sequence[Row]) -> Iterator[Any]:
        # What is left out must not change from scrape to scrape, so measures go in the order of the config.
        place = {name: at for at, name in enumerate(self._names)}
        rows = sorted(rows, key=lambda row: (place[row["measure"]], row["column"], row["compared_with"]))
        for name, field, what in (
            ("measure", "value", "Value of a measure in the latest window."),
            ("measure_lower", "lower", "What the measure is at least, where the grid only bounds it."),
            ("measure_upper", "upper", "What the measure is at most, where the grid only bounds it."),
        ):
            found = [
                ((row["column"], row["measure"], row["compared_with"].lower()), float(row[field]))
                for row in rows
                if row[field] is not None and (field == "value" or row[field] != row["value"])
            ]
            yield self._gauge(name, what, found, ("column", "measure", "compared_with"))

    def _gauge(
        self, name: str, what: str, samples: Sequence[tuple[Labels, float]], labels: tuple[str, ...] = ()
    ) -> GaugeMetricFamily:
        family = GaugeMetricFamily(f"modelwatch_{name}", what, labels=("monitor", *labels))
        for values, number in self._bounded(name, samples):
            family.add_metric([self._config.name, *values], number)
        return family

    def _bounded(self, kind: str, samples: Sequence[tuple[Labels, float]]) -> Iterator[tuple[Labels, float]]:
        """The first so many samples whose labels differ; Prometheus refuses a scrape with two that do not."""
        seen: set[Labels] = set()
        for values, number in samples:
            own = tuple(label_value(value) for value in values)
            if own in seen or not math.isfinite(number):
                continue
            if len(seen) == self._config.serving.series:
                self._left_out[kind] = self._left_out.get(kind, 0) + 1
                continue
            seen.add(own)
            yield own, number


class MonitorsCollector(Collector):
    """The metrics of several monitors, each kind once, as Prometheus wants them."""

    def __init__(self, monitors: Sequence[MonitorCollector]) -> None:
        self._monitors = monitors

    def describe(self) -> Iterable[Any]:
        """Nothing: what there is depends on the stores."""
        return ()

    def collect(self) -> Iterator[Any]:
        """All metric families, the samples of all monitors in each."""
        families: dict[str, Any] = {}
        for monitor in self._monitors:
            for family in monitor.collect():
                if family.name in families:
                    families[family.name].samples += family.samples
                else:
                    families[family.name] = family
        yield from families.values()


def served_measures(config: MonitorConfig) -> list[str]:
    """The measures that are served, those first that checks judge."""
    if config.serving.measures is not None:
        return list(dict.fromkeys(config.serving.measures))
    checks = [*config.rules(), *(PERFORMANCE_CHECKS.values() if config.checks is None else ())]
    return list(dict.fromkeys([*(check.measure for check in checks), "row_count"]))


def label_value(text: str) -> str:
    """Text as a label can hold it: UTF-8, and not too long. Long ones keep their ends apart by a hash."""
    plain = text.encode("utf-8", errors="replace").decode()
    if len(plain) <= MOST_LETTERS:
        return plain
    return f"{plain[: MOST_LETTERS - 17]}~{_core.hash_bytes(text.encode('utf-8', errors='surrogatepass')):016x}"


def _by_name(counts: Any) -> list[tuple[Labels, float]]:
    return [((name,), float(count)) for name, count in sorted(counts.items())]
