"""With ``anytime``: what windows have shown so far goes from each to the next, in the store and within a run."""

from __future__ import annotations

from collections.abc import Sequence

from modelwatch_gpu.checks.running import RunningEvidence
from modelwatch_gpu.monitor.counts import pack, unpack
from modelwatch_gpu.monitor.ledger import Ledger


class Looks:
    """The evidence of one run: of windows that it judges, ascending, and of those before in the store.

    Args:
        ledger: Where the others are.
        starts: The windows of this run: what the store has of them is of an earlier judgement.
    """

    def __init__(self, ledger: Ledger, starts: Sequence[int]) -> None:
        self._ledger, self._starts = ledger, list(starts)
        self._last: tuple[int, RunningEvidence] | None = None

    def before(self, start: int) -> RunningEvidence:
        """What all windows before this one have shown."""
        stored = self._ledger.evidence_before(start, self._starts)
        if self._last is not None and (stored is None or stored[0] < self._last[0]):
            last = self._last[1]
            return RunningEvidence(last.windows, last.sums)
        if stored is None:
            return RunningEvidence()
        return RunningEvidence.from_json(unpack(stored[1], "the evidence of a window").decode())

    def judged(self, start: int, running: RunningEvidence) -> bytes:
        """Takes in what a window has shown; returns it as the store keeps it."""
        self._last = (start, running.next())
        return pack(self._last[1].to_json().encode())

    def to_judge_again(self, start: int, shown: bytes | None) -> list[int]:
        """Windows after this one, which go on from what it has shown: none where that is what it was."""
        if self._ledger.evidence_of(start) == shown:
            return []
        return [after for after in self._ledger.judged_after(start) if after not in self._starts]
