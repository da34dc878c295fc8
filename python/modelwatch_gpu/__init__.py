"""Model monitoring from logs of any size: one pass, exact, mergeable, the same bits everywhere.

>>> import modelwatch_gpu as mw
>>> report = mw.compare("reference.parquet", "production/*.parquet", window="1mo")  # doctest: +SKIP
>>> report.worst(3)  # doctest: +SKIP
"""

from modelwatch_gpu import early as _early  # noqa: F401  before all others: Ctrl-C while they load
from modelwatch_gpu import monitor, stats
from modelwatch_gpu._core import build_info as _build_info
from modelwatch_gpu.checks import DEFAULT_CHECKS, Check, Finding
from modelwatch_gpu.checks.against import compare_with, rolling
from modelwatch_gpu.checks.expectations import Expectations
from modelwatch_gpu.checks.history import anomalies
from modelwatch_gpu.checks.slicing import worst_slices
from modelwatch_gpu.compare import compare
from modelwatch_gpu.embed import embed
from modelwatch_gpu.errors import (
    AlertError,
    DeviceError,
    DeviceMemoryWarning,
    DeviceUnavailable,
    InputError,
    ModelwatchError,
    OutputError,
)
from modelwatch_gpu.log import Derived, Files, Labels, Query, Roles, join_labels
from modelwatch_gpu.log.derived import derived
from modelwatch_gpu.log.predicates import Where
from modelwatch_gpu.profile import Baseline, LiveProfile, Profile
from modelwatch_gpu.ranked import ranking
from modelwatch_gpu.report import Report
from modelwatch_gpu.report.drill import drill_down
from modelwatch_gpu.skew import SKEW_CHECKS, skew

__version__: str = _build_info()["version"]

__all__ = [
    "DEFAULT_CHECKS",
    "SKEW_CHECKS",
    "AlertError",
    "Baseline",
    "Check",
    "Derived",
    "DeviceError",
    "DeviceMemoryWarning",
    "DeviceUnavailable",
    "Expectations",
    "Files",
    "Finding",
    "InputError",
    "Labels",
    "LiveProfile",
    "ModelwatchError",
    "OutputError",
    "Profile",
    "Query",
    "Report",
    "Roles",
    "Where",
    "__version__",
    "anomalies",
    "compare",
    "compare_with",
    "derived",
    "drill_down",
    "embed",
    "join_labels",
    "monitor",
    "ranking",
    "rolling",
    "skew",
    "stats",
    "worst_slices",
]
