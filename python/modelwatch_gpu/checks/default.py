"""The checks of performance that are made without being asked for, where a log has labels (decision 0022)."""

from __future__ import annotations

from typing import Final

from modelwatch_gpu.checks.check import Check
from modelwatch_gpu.measures.results import Results
from modelwatch_gpu.measures.value import HAS_NUMBER
from modelwatch_gpu.profile.scoring import Scoring

#: By the task that the label asks.
PERFORMANCE_CHECKS: Final = {
    "binary": Check("roc_auc_drop", warn=0.02, alert=0.05, roles=("score",)),
    "classes": Check("accuracy_drop", warn=0.02, alert=0.05, roles=("prediction",)),
    "numbers": Check("rmse", warn=0.1, alert=0.25, roles=("prediction",), relative=True),
}


def performance_checks(scoring: Scoring | None, results: Results) -> tuple[Check, ...]:
    """One verdict on how right answers are, where any window says it: labels that are not there yet are no finding.
    Scores of several classes are judged by the class predicted."""
    if scoring is None:
        return ()
    check = PERFORMANCE_CHECKS[scoring.task]
    known = [
        block.values[check.measure]
        for block in results.blocks
        if block.place.segments is None and check.applies_to(block.column) and check.measure in block.values
    ]
    return (check,) if any((values.reason == HAS_NUMBER).any() for values in known) else ()
