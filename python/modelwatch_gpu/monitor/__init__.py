"""A monitor: a config that runs again and again over a growing log, and a store of what it counted and found.

Needs the extra ``monitor``; importing this package alone needs nothing. What programs use:

>>> from modelwatch_gpu import monitor
>>> monitor.record_deployment("monitor.yaml", "2024-05", stage="canary")  # doctest: +SKIP
>>> monitor.compare_versions(baseline, log, current="v1", candidate="v2").recommendation  # doctest: +SKIP
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from modelwatch_gpu.monitor.config.model import MonitorConfig
    from modelwatch_gpu.monitor.runner import Runner
    from modelwatch_gpu.monitor.versions.comparison import VersionComparison, compare_versions
    from modelwatch_gpu.monitor.versions.dependencies import snapshot
    from modelwatch_gpu.monitor.versions.deployments import Deployment
    from modelwatch_gpu.monitor.versions.recording import record_deployment

__all__ = [
    "Deployment",
    "MonitorConfig",
    "Runner",
    "VersionComparison",
    "compare_versions",
    "record_deployment",
    "snapshot",
]

#: Where each name is; they are imported when they are asked for, since they need the extra.
_PLACES: Final = {
    "Deployment": "versions.deployments",
    "MonitorConfig": "config.model",
    "Runner": "runner",
    "VersionComparison": "versions.comparison",
    "compare_versions": "versions.comparison",
    "record_deployment": "versions.recording",
    "snapshot": "versions.dependencies",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from modelwatch_gpu.monitor.extras import check_extra

    check_extra("monitor", "A monitor")
    return getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)
