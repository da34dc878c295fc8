"""Which version of the model, data and code a row is of; see docs/governance.md."""

from __future__ import annotations

from modelwatch_gpu.monitor.config.values import Section


class VersionsConfig(Section):
    """Which version of the model, data and code a row is of; see docs/governance.md."""
