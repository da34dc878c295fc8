"""How measures are served; see docs/serving.md."""

from __future__ import annotations

from modelwatch_gpu.monitor.config.values import Section


class ServingConfig(Section):
    """How measures are served; see docs/serving.md."""
