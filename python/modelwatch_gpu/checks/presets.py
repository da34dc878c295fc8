"""``preset=``: the tests that another package would choose for each column, and its thresholds, from counts alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from modelwatch_gpu.checks.deepchecks import deepchecks_findings
from modelwatch_gpu.checks.evidently import evidently_findings
from modelwatch_gpu.checks.finding import Finding
from modelwatch_gpu.errors import InputError
from modelwatch_gpu.measures.quality import Seen
from modelwatch_gpu.profile.baseline import Baseline

#: What judges the windows of a log, by the name of the package.
PRESETS: Final[dict[str, Callable[[Baseline, Iterable[Seen]], tuple[Finding, ...]]]] = {
    "evidently": evidently_findings,
    "deepchecks": deepchecks_findings,
}


def check_preset(name: str) -> None:
    """Raises InputError for a preset that is not there."""
    if name not in PRESETS:
        raise InputError(
            f"There is no preset {name!r}; there are {' and '.join(PRESETS)}. What NannyML, TFDV, Deequ and whylogs "
            "compute by default needs the rows or bins of its own: see docs/coming-from."
        )
