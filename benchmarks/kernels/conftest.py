"""How a kernel's speed stands to a peer's and to the memory's."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest


@pytest.fixture(scope="session")
def read_bandwidth() -> float:
    """Bytes per second that one thread reads here and now: the best of ten reductions of 256 MB."""
    memory = np.ones(1 << 25, dtype=np.int64)
    times = []
    for reduction in (np.max, np.bitwise_or.reduce):
        for _ in range(5):
            begin = time.perf_counter()
            reduction(memory)
            times.append(time.perf_counter() - begin)
    return float(memory.nbytes / min(times))


@pytest.fixture
def race(benchmark: Any, read_bandwidth: float, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """``race(ours, theirs, name, values, size)``: theirs three times, ours seven; notes the ratio of medians and how
    fast ours reads ``size`` bytes. Returns both answers."""

    def run(
        ours: Callable[[], Any], theirs: Callable[[], Any], name: str, values: int, size: int, **about: Any
    ) -> tuple[Any, Any]:
        slow, answer = [], None
        for _ in range(3):
            begin = time.perf_counter()
            answer = theirs()
            slow.append(time.perf_counter() - begin)
        mine = benchmark.pedantic(ours, rounds=7, warmup_rounds=1)
        median = benchmark.stats.stats.median
        ratio = statistics.median(slow) / median
        benchmark.extra_info.update(
            peer=name,
            times_faster_than_peer=round(ratio, 2),
            nanoseconds_per_value=round(median / values * 1e9, 3),
            values_per_second=round(values / median),
            bytes_per_second=round(size / median),
            percent_of_read_bandwidth=round(100 * size / median / read_bandwidth, 1),
            read_bandwidth=round(read_bandwidth),
            **about,
        )
        with capsys.disabled():
            print(f"\n{benchmark.name}: {median / values * 1e9:.2f} ns a value, {ratio:.1f} times as fast as {name}")
        return mine, answer

    return run
