"""Evidence that goes on from window to window where each is judged by itself: what ``sequential`` does with all windows
at hand, one at a time.

With w_j = 1/(j (j + 1)) the e-process of ``sequential.e_process`` is E_k = S_k + 1/(k + 1), where S_k = e_k (S_(k-1) +
w_k) and S_0 = 0. So of all windows before only their number and S have to be kept, and a test without an e-value in
some windows (e = 1) catches up at once: the w of windows i + 1 to k - 1 add up to 1/(i + 1) - 1/k.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from modelwatch_gpu.checks.check import Check
from modelwatch_gpu.checks.sequential import MOST
from modelwatch_gpu.errors import InputError
from modelwatch_gpu.measures.results import Block
from modelwatch_gpu.measures.value import Floats


@dataclass
class RunningEvidence:
    """What ``windows`` windows so far have shown. ``sums``: test -> number of the last window in which it had an
    e-value (from 1), and S after it. The next window's tests are noted in ``after``."""

    windows: int = 0
    sums: Mapping[str, tuple[int, float]] = field(default_factory=dict)
    after: dict[str, tuple[int, float]] = field(default_factory=dict)

    def collect(self, e: Floats, block: Block, check: Check, level: int, limit: float) -> Floats:
        """(groups,) the e-processes of the tests of one check on one block of the next window, from their e-values; NaN
        where there is none."""
        out = np.full(len(e), np.nan)
        k = self.windows + 1
        for at in np.flatnonzero(~np.isnan(e)).tolist():
            name = _name(block, at, check, level, limit)
            last, before = self.sums.get(name, (0, 0.0))
            missed = 1 / (last + 1) - 1 / k
            total = min(MOST, float(e[at]) * (before + missed + 1 / (k * (k + 1))))
            self.after[name] = (k, total)
            out[at] = total + 1 / (k + 1)
        return out

    def next(self) -> RunningEvidence:
        """What there is after the next window."""
        return RunningEvidence(self.windows + 1, {**self.sums, **self.after})

    def to_json(self) -> str:
        """Equal evidence, equal text."""
        return json.dumps([self.windows, self.sums], sort_keys=True, separators=(",", ":"), allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> RunningEvidence:
        """The inverse of ``to_json``; raises InputError for a text that is something else."""
        try:
            windows, sums = json.loads(text)
            return cls(int(windows), {str(name): (int(k), float(s)) for name, (k, s) in sums.items()})
        except (ValueError, TypeError, AttributeError):
            raise InputError("The store's evidence is damaged; run with --recount.") from None


def _name(block: Block, at: int, check: Check, level: int, limit: float) -> str:
    """What tells a test from all others of a window, whichever window it is."""
    segments = block.place.segments
    segment: Any = None if segments is None else [list(block.place.by), [list(key) for key in segments[at]]]
    of_check = (check.measure, check.against, check.relative, check.learn, check.season)
    return json.dumps([block.column.name, block.compared_with, *of_check, level, limit, segment])
