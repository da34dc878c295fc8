"""What is started when a model needs retraining; see docs/alerts.md."""

from __future__ import annotations

from modelwatch_gpu.monitor.config.values import Section


class ActionsConfig(Section):
    """What is started when a model needs retraining; see docs/alerts.md."""
