"""Versions of the model, its data and its code: what was deployed when, and two versions beside one another."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from modelwatch_gpu.monitor.versions.comparison import RECOMMENDATIONS, VersionComparison, compare_versions
    from modelwatch_gpu.monitor.versions.dependencies import changes, snapshot
    from modelwatch_gpu.monitor.versions.mlflow_due import log_to_mlflow
    from modelwatch_gpu.monitor.versions.paired import Difference

__all__ = [
    "RECOMMENDATIONS",
    "Difference",
    "VersionComparison",
    "changes",
    "compare_versions",
    "log_to_mlflow",
    "snapshot",
]

#: Where each name is; they are imported when they are asked for, since every run of a monitor imports this package.
_PLACES: Final = {
    "RECOMMENDATIONS": "comparison",
    "Difference": "paired",
    "VersionComparison": "comparison",
    "changes": "dependencies",
    "compare_versions": "comparison",
    "log_to_mlflow": "mlflow_due",
    "snapshot": "dependencies",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)
