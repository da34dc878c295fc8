"""Why a finding has no interval: never without a word."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from modelwatch_gpu.checks.answered import GAIN_BY_NOISE, NOT_DRAWN
from modelwatch_gpu.checks.check import Check
from modelwatch_gpu.measures.registry import MEASURES
from modelwatch_gpu.measures.results import BASELINE, Block
from modelwatch_gpu.profile.embeddings import EmbeddingColumn

#: What each reason means, by the word that results hold.
NO_INTERVAL: Final[Mapping[str, str]] = {
    "no_number": "The measure has no number.",
    "far_below": "It is so far below its threshold that nobody asks how sure it is.",
    "few_units": "There are too few days to know how far days differ.",
    "not_asked": "No intervals were asked for.",
    "learned": "The baseline's own windows set the threshold, and with it how far chance goes.",
    "counted": "All rows are counted: there is nothing that a sample could have missed.",
    "grows_with_rows": "It grows with the number of rows, so it is no size of a change.",
    "largest": "It is a largest or a best value of single rows, of which days that are drawn again say nothing.",
    "other_window": "Days are counted against the baseline's values, and this is held against those of another window.",
    "segment": "Segments keep no days of their own, and here their window's do not say how far they vary.",
    "vectors": "Days are dealt out anew for a window's evidence of drift alone, where the baseline has 8 of them.",
    "not_known": "What is counted by day does not say how far it varies.",
}

#: Numbers that more rows make larger.
_GROWING: Final = ("cvm", "distinct")
#: Shares and numbers of rows that are what they are.
_COUNTED: Final = ("row_count", "labelled")


def no_interval(check: Check, block: Block, *, asked: bool, drawn: bool) -> str:
    """Why a check on a block has no interval in any group. ``asked``: whether there are to be any; ``drawn``: whether
    the measure can be drawn again at all."""
    measure = MEASURES[check.measure].of or check.measure
    if not asked:
        return "not_asked"
    if check.learn is not None:
        return "learned"
    if check.measure not in block.values:
        return "no_number"
    if isinstance(block.column, EmbeddingColumn):
        return "vectors"
    if measure in _GROWING:
        return "grows_with_rows"
    if measure in _COUNTED:
        return "counted"
    if measure in NOT_DRAWN:
        return "largest"
    if drawn and block.compared_with != BASELINE:
        return "other_window"
    if drawn and block.place.segments is not None:
        return "segment"
    return "segment" if measure in GAIN_BY_NOISE and block.place.segments is not None else "not_known"
