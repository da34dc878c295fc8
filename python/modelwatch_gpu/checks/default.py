"""The checks of performance that are made without being asked for, where a log has labels (decisions 0022 and 0036)."""

from __future__ import annotations

from dataclasses import replace
from glob import escape
from statistics import NormalDist
from typing import Final

from modelwatch_gpu.checks.check import Check
from modelwatch_gpu.measures.registry import MEASURES
from modelwatch_gpu.measures.results import BASELINE, Block, Results
from modelwatch_gpu.measures.value import HAS_NUMBER
from modelwatch_gpu.profile.scoring import Scoring

#: By the task that the label asks; ``class_scores``: of several classes without a predicted one.
PERFORMANCE_CHECKS: Final = {
    "binary": Check("roc_auc_drop", warn=0.02, alert=0.05, roles=("score",)),
    "classes": Check("accuracy_drop", warn=0.02, alert=0.05, roles=("prediction",)),
    "class_scores": Check("roc_auc_macro_drop", warn=0.02, alert=0.05, roles=("label",)),
    "numbers": Check("rmse", warn=0.1, alert=0.25, roles=("prediction",), relative=True),
}
#: Areas under the ROC curve: up to the first, thresholds are as they stand; beyond the second, as at it.
PLAIN_AREA, SHARPEST_AREA = 0.75, 0.99
_OF_AREAS: Final = ("roc_auc_drop", "roc_auc_macro_drop")
_NORMAL: Final = NormalDist()


def scaled_drop(limit: float, area: float) -> float:
    """The drop of an area under the ROC curve that is as much as ``limit`` is at 0.75, in two significant digits.

    Where scores are normal and vary alike in both classes, the area is Phi(distance of the means / (sd sqrt 2)) (Green
    and Swets 1966). As much is what moves the means by the same distance: an area of 0.97 that falls by 0.011 has lost
    what one of 0.75 loses by 0.05.
    """
    if area <= PLAIN_AREA:
        return limit
    top = min(area, SHARPEST_AREA)
    moved = _NORMAL.inv_cdf(PLAIN_AREA) - _NORMAL.inv_cdf(PLAIN_AREA - limit)
    return float(f"{top - _NORMAL.cdf(_NORMAL.inv_cdf(top) - moved):.2g}")


def performance_checks(scoring: Scoring | None, results: Results) -> tuple[Check, ...]:
    """One verdict on how right answers are, where any window says it: labels that are not there yet are no finding.

    Scores of several classes are judged by the class predicted, without one by the mean of their areas against the
    rest. Thresholds of areas are those of the baseline's own, see ``scaled_drop``.
    """
    if scoring is None:
        return ()
    for name in (scoring.task, "class_scores") if scoring.task == "classes" else (scoring.task,):
        check = PERFORMANCE_CHECKS[name]
        blocks = [block for block in results.blocks if _is_known(check, block)]
        if blocks and check.measure in _OF_AREAS:
            return tuple(_scaled(check, block) for block in blocks)
        if blocks:
            return (check,)
    return ()


def _is_known(check: Check, block: Block) -> bool:
    """Whether any window of a column says what a check judges."""
    if block.place.segments is not None or block.compared_with != BASELINE:
        return False
    values = block.values.get(check.measure) if check.applies_to(block.column) else None
    return values is not None and bool((values.reason == HAS_NUMBER).any())


def _scaled(check: Check, block: Block) -> Check:
    """A check of one column, with the thresholds of its area in the baseline."""
    told = block.reference.get(MEASURES[check.measure].of or check.measure)
    area = PLAIN_AREA if told is None or told.value is None else told.value
    assert check.warn is not None
    assert check.alert is not None
    return replace(
        check,
        columns=(escape(block.column.name),),
        warn=scaled_drop(check.warn, area),
        alert=scaled_drop(check.alert, area),
    )
