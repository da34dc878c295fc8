"""Versions of the model, its data and its code: what was deployed when, and two versions beside one another."""

from __future__ import annotations

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
