"""How a kernel's speed stands to a peer's and to the memory's."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest


@pytest.fixture(scope="session")
def memory() -> np.ndarray[Any, Any]:
    """128 MB, more than any cache holds."""
    return np.ones(1 << 24, dtype=np.int64)


def _seconds(action: Callable[[], Any]) -> float:
    begin = time.perf_counter()
    action()
    return time.perf_counter() - begin


@pytest.fixture
def race(benchmark: Any, memory: np.ndarray[Any, Any], capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """``race(ours, theirs, name, values, size)``: in turns, since a shared machine may be slow for a while; notes the
    median ratio of five turns, and ours as a share of how fast NumPy read memory meanwhile. Returns both answers."""

    def run(ours: Callable[[], Any], theirs: Callable[[], Any], name: str, values: int, size: int) -> tuple[Any, Any]:
        answer, mine = theirs(), ours()
        own, ratios, reads = [], [], []
        for _ in range(5):
            slow, fast = _seconds(theirs), statistics.median(_seconds(ours) for _ in range(3))
            own.append(fast)
            ratios.append(slow / fast)
            reads.append(memory.nbytes / _seconds(lambda: np.max(memory)))
        median, bandwidth = statistics.median(own), statistics.median(reads)
        benchmark.pedantic(ours, rounds=3)
        benchmark.extra_info.update(
            peer=name,
            times_faster_than_peer=round(statistics.median(ratios), 2),
            least_times_faster=round(min(ratios), 2),
            nanoseconds_per_value=round(median / values * 1e9, 3),
            values_per_second=round(values / median),
            bytes_per_second=round(size / median),
            percent_of_read_bandwidth=round(100 * size / median / bandwidth, 1),
            read_bandwidth=round(bandwidth),
        )
        with capsys.disabled():
            per_value = f"{median / values * 1e9:.2f} ns a value"
            print(f"\n{benchmark.name}: {per_value}, {statistics.median(ratios):.1f} times as fast as {name}")
        return mine, answer

    return run
