"""Who is told of what; see docs/alerts.md."""

from __future__ import annotations

from modelwatch_gpu.monitor.config.values import Section


class AlertsConfig(Section):
    """Who is told of what; see docs/alerts.md."""
