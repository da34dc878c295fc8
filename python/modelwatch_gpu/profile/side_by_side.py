"""Work on columns that is done by the engine and NumPy, which leave the interpreter free: several columns at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from modelwatch_gpu import _core

T = TypeVar("T")
R = TypeVar("R")


def side_by_side(function: Callable[[T], R], work: Sequence[T], threads: int) -> list[R]:
    """The results of a function that touches nothing of the other calls, in the order of ``work``.

    ``threads``: at most so many at a time; 0: as many as the engine takes.
    """
    most = min(threads or _core.default_threads(), len(work))
    if most <= 1:
        return [function(one) for one in work]
    with ThreadPoolExecutor(most, thread_name_prefix="modelwatch-columns") as pool:
        return list(pool.map(function, work))
