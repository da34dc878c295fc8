"""Several devices that count as one: each has some of the columns, and sees every batch of them.

Nothing that is counted of one column depends on another, so any number of devices gives the same bytes, moments
included: all rows of a column pass one device in their order.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pyarrow as pa


class SeveralDevices:
    """The engines of several devices under the names of one (``device.Engine``). What counts batches of columns deals
    these out; everything else, which is of one array, is the first device's."""

    def __init__(self, engines: Sequence[Any]) -> None:
        self._engines = tuple(engines)

    def Counter(self, columns: Sequence[Any], sets: Sequence[Any]) -> DealtCounter:
        """As the engine's."""
        return DealtCounter(self._engines, columns, sets)

    def DistinctPass(self, domains: Sequence[int], cap: int) -> DealtPass:
        """As the engine's."""
        return DealtPass(self._engines, domains, lambda engine, own: engine.DistinctPass(own, cap))

    def SplitPass(self, columns: Sequence[Any]) -> DealtPass:
        """As the engine's."""
        return DealtPass(self._engines, columns, lambda engine, own: engine.SplitPass(own))

    def KeepPass(self, columns: Sequence[Any]) -> DealtPass:
        """As the engine's."""
        return DealtPass(self._engines, columns, lambda engine, own: engine.KeepPass(own))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engines[0], name)


class _Dealt:
    """Counts of columns that are dealt out. ``make``: from an engine and its columns what counts them there."""

    def __init__(
        self,
        engines: Sequence[Any],
        columns: Sequence[Any],
        make: Callable[[Any, list[Any]], Any],
        kinds: Sequence[Any],
    ) -> None:
        places = dealt_out(kinds, len(engines))
        # One device counts nothing where there are no columns, so that whoever asks gets an answer.
        used = [(engine, own) for engine, own in zip(engines, places, strict=True) if own] or [(engines[0], [])]
        self._counting = [(make(engine, [columns[i] for i in own]), own) for engine, own in used]
        self._of_column = {i: (counting, at) for counting, own in self._counting for at, i in enumerate(own)}

    def _each(self, work: Callable[[Any, pa.RecordBatch], None], batch: pa.RecordBatch) -> None:
        """Calls ``work`` for every device with its columns, at the same time."""
        at_once([partial(work, counting, batch.select(own)) for counting, own in self._counting])


class DealtPass(_Dealt):
    """A pass of a fit; as the engine's."""

    def __init__(self, engines: Sequence[Any], columns: Sequence[Any], make: Callable[[Any, list[Any]], Any]) -> None:
        super().__init__(engines, columns, make, [None] * len(columns))

    def add(self, batch: pa.RecordBatch, threads: int = 0) -> None:
        """As the engine's."""
        self._each(lambda counting, own: counting.add(own, threads), batch)

    def column(self, column: int) -> Any:
        """As the engine's."""
        counting, at = self._of_column[column]
        return counting.column(at)


class DealtCounter(_Dealt):
    """A counter; as the engine's."""

    def __init__(self, engines: Sequence[Any], columns: Sequence[Any], sets: Sequence[Any]) -> None:
        sets = list(sets)
        super().__init__(engines, columns, lambda engine, own: engine.Counter(own, sets), [type(c) for c in columns])
        self.rows = 0

    def add(self, batch: pa.RecordBatch, groups: list[Any], threads: int = 0, weights: Any = None) -> None:
        """As the engine's."""
        self._each(lambda counting, own: counting.add(own, groups, threads, weights), batch)
        self.rows += len(batch)

    @property
    def bytes(self) -> int:
        """As the engine's: of all devices."""
        return sum(int(counting.bytes) for counting, _ in self._counting)

    def numeric(self, column: int, set: int) -> dict[str, Any]:
        """As the engine's."""
        counting, at = self._of_column[column]
        found: dict[str, Any] = counting.numeric(at, set)
        return found

    def category(self, column: int, set: int) -> dict[str, Any]:
        """As the engine's."""
        counting, at = self._of_column[column]
        found: dict[str, Any] = counting.category(at, set)
        return found

    def set_limits(self, **limits: int) -> None:
        """As a device's; of each device."""
        for counting, _ in self._counting:
            counting.set_limits(**limits)


def dealt_out(kinds: Sequence[Any], hands: int) -> list[list[int]]:
    """The numbers of the columns that each of ``hands`` devices gets: of every kind in turn, since kinds take very
    different times."""
    out: list[list[int]] = [[] for _ in range(hands)]
    order = sorted(range(len(kinds)), key=lambda i: kinds.index(kinds[i]))
    for turn, i in enumerate(order):
        out[turn % hands].append(i)
    return [sorted(own) for own in out]


def at_once(work: Sequence[Callable[[], None]]) -> None:
    """Calls all of these at the same time, the first of them in this thread; raises what the first of them that failed
    raised, when all have ended."""
    failed: list[BaseException | None] = [None] * len(work)

    def run(at: int) -> None:
        try:
            work[at]()
        except BaseException as error:
            failed[at] = error

    # Threads of their own, not a pool's: a fork of this process would have the pool, but not its threads.
    others = [threading.Thread(target=run, args=(at,), name="modelwatch-device") for at in range(1, len(work))]
    for thread in others:
        thread.start()
    try:
        if work:
            run(0)
    finally:
        for thread in others:
            thread.join()
    if (error := next((e for e in failed if e is not None), None)) is not None:
        raise error
