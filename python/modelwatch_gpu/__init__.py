"""Model monitoring from logs of any size: one pass, exact, mergeable, the same bits everywhere.

>>> import modelwatch_gpu as mw
>>> report = mw.compare("reference.parquet", "production/*.parquet", window="1mo")  # doctest: +SKIP
>>> report.worst(3)  # doctest: +SKIP
"""

import importlib as _importlib
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

from modelwatch_gpu import early as _early  # noqa: F401  before all others: Ctrl-C while they load
from modelwatch_gpu._core import build_info as _build_info
from modelwatch_gpu.checks import DEFAULT_CHECKS, Check, Finding
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
from modelwatch_gpu.report import Report
from modelwatch_gpu.skew import SKEW_CHECKS, skew

if _TYPE_CHECKING:
    from modelwatch_gpu import monitor, stats
    from modelwatch_gpu.checks.against import compare_with, rolling
    from modelwatch_gpu.checks.expectations import Expectations
    from modelwatch_gpu.checks.history import anomalies
    from modelwatch_gpu.checks.slicing import worst_slices
    from modelwatch_gpu.ranked import ranking
    from modelwatch_gpu.report.drill import drill_down

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

#: What a comparison of two logs does not need is imported when it is asked for: a tenth of a second. Not here: names
#: that are modules too (compare, embed, skew), which importing the module would give another meaning.
_PLACES = {
    "Expectations": "checks.expectations",
    "anomalies": "checks.history",
    "compare_with": "checks.against",
    "drill_down": "report.drill",
    "ranking": "ranked",
    "rolling": "checks.against",
    "worst_slices": "checks.slicing",
}


def __getattr__(name: str) -> _Any:
    if name in ("monitor", "stats"):
        return _importlib.import_module(f"{__name__}.{name}")
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(_importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
