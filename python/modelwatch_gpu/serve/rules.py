"""Alert rules for Prometheus, made for one monitor: what drifted, and that the monitor itself is well."""

from __future__ import annotations

import json
from typing import Any, Final

from modelwatch_gpu.monitor.config.model import MonitorConfig
from modelwatch_gpu.monitor.extras import module_of

#: How long a condition holds before it is an alert, and how long a finding that is not there any more is still one:
#: longer than a scrape or two that fail. A scrape that fails takes all series away, so without it a drift would be told
#: as over, and again as new.
_FOR: Final = "5m"


def rules_of(config: MonitorConfig, *, hold: str = _FOR, keep: str = _FOR) -> dict[str, Any]:
    """The content of a rule file, as JSON values.

    Args:
        config: Its name selects its metrics; ``serving.late_after`` and ``stale_after`` are thresholds.
        hold: How long the conditions about the monitor itself must hold. Findings are alerts at once: they change only
            when a run judges, and a run judges once.
        keep: How long alerts about findings go on firing after the last scrape that shows them (Prometheus 2.42).
    """
    monitor = selector(config)
    late = int(config.serving.late_after.total_seconds())
    stale = int(config.serving.stale_after.total_seconds())
    where = "{{ $labels.check }} of {{ $labels.column }} in {{ $labels.monitor }}"
    drift = [
        _rule(
            "ModelwatchAlert",
            f"modelwatch_finding_severity{monitor} >= 3",
            "critical",
            f"{where}: alert",
            "The latest window is beyond the alert threshold. The report and /api/v1/findings say by how much and why.",
            keep=keep,
        ),
        _rule(
            "ModelwatchWarning",
            f"modelwatch_finding_severity{monitor} == 2",
            "warning",
            f"{where}: warning",
            "The latest window is beyond the warning threshold.",
            keep=keep,
        ),
        _rule(
            "ModelwatchSegmentAlert",
            f"sum by (monitor, column, check) (modelwatch_segment_findings{_and(monitor, severity='alert')}) > 0",
            "critical",
            f"{where}: alert in {{{{ $value }}}} segments",
            "Segments of the latest window are beyond the alert threshold.",
            keep=keep,
        ),
    ]
    health = [
        _rule(
            "ModelwatchDown",
            f"modelwatch_up{monitor} == 0 or absent(modelwatch_up{monitor})",
            "critical",
            f"{config.name} is not served, or its store cannot be read",
            "Prometheus does not see the monitor. Nothing is known of the model until it does.",
            hold,
        ),
        _rule(
            "ModelwatchRunLate",
            f"modelwatch_run_lag_seconds{monitor} > {late}",
            "critical",
            "{{ $labels.monitor }} has not run for {{ $value | humanizeDuration }}",
            "The runner has stopped, or fails: see /api/v1/runs.",
            hold,
        ),
        _rule(
            "ModelwatchDataStale",
            f"modelwatch_data_lag_seconds{monitor} > {stale}",
            "warning",
            "{{ $labels.monitor }} has counted no row newer than {{ $value | humanizeDuration }}",
            "The log does not grow, or its rows cannot be read.",
            hold,
        ),
        _rule(
            "ModelwatchFilesUnreadable",
            f"modelwatch_files{_and(monitor, state='unreadable')} > 0",
            "warning",
            "{{ $labels.monitor }} cannot read {{ $value }} files",
            "These files are not counted; the runner's output names them.",
            hold,
        ),
        _rule(
            "ModelwatchMessagesStuck",
            f"min_over_time(modelwatch_waiting_messages{monitor}[1h]) > 0",
            "warning",
            "{{ $labels.monitor }} has {{ $value }} messages that nobody has got",
            "A channel refuses them; they are tried again.",
            hold,
        ),
        _rule(
            "ModelwatchAuditShrank",
            f"resets(modelwatch_audit_records{monitor}[1d]) > 0",
            "critical",
            "The audit of {{ $labels.monitor }} has fewer records than before",
            "Records are only ever added: run modelwatch audit verify with the anchor file.",
        ),
        _rule(
            "ModelwatchSeriesLeftOut",
            f"sum by (monitor) (modelwatch_series_left_out{monitor}) > 0",
            "warning",
            "{{ $labels.monitor }} does not serve {{ $value }} time series",
            "There are more than serving.series; name fewer measures, or raise it.",
            hold,
        ),
    ]
    return {
        "groups": [
            {"name": f"modelwatch-{config.name}-findings", "rules": drift},
            {"name": f"modelwatch-{config.name}-health", "rules": health},
        ]
    }


def rules_text(*configs: MonitorConfig, hold: str = _FOR, keep: str = _FOR) -> str:
    """The rule file of some monitors as YAML."""
    yaml = module_of("yaml", "monitor", "A rule file")
    groups = [group for config in configs for group in rules_of(config, hold=hold, keep=keep)["groups"]]
    text: str = yaml.safe_dump({"groups": groups}, sort_keys=False, width=120, allow_unicode=True)
    return text


def selector(config: MonitorConfig) -> str:
    """Selects the metrics of this monitor: as PromQL writes text, which is as JSON does."""
    return f"{{monitor={json.dumps(config.name)}}}"


def _and(selected: str, **labels: str) -> str:
    more = ",".join(f"{name}={json.dumps(value)}" for name, value in labels.items())
    return f"{selected[:-1]},{more}}}"


def _rule(
    name: str,
    expr: str,
    severity: str,
    summary: str,
    description: str,
    hold: str | None = None,
    *,
    keep: str | None = None,
) -> Any:
    return {
        "alert": name,
        "expr": expr,
        **({"for": hold} if hold is not None else {}),
        **({"keep_firing_for": keep} if keep is not None else {}),
        "labels": {"severity": severity, "source": "modelwatch"},
        "annotations": {"summary": summary, "description": description},
    }
