"""Times a peer beside the benchmark, on the same data in the same run."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture
def against(benchmark: Any, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """``against(ours, theirs, name)``: benchmarks ``ours``, times ``theirs`` (median of three), notes the ratio."""

    def run(ours: Callable[[], Any], theirs: Callable[[], Any], name: str) -> tuple[Any, Any]:
        times, answer = [], None
        for _ in range(3):
            begin = time.perf_counter()
            answer = theirs()
            times.append(time.perf_counter() - begin)
        mine = benchmark(ours)
        ratio = statistics.median(times) / benchmark.stats.stats.median
        benchmark.extra_info["peer"] = name
        benchmark.extra_info["times_faster_than_peer"] = round(ratio, 2)
        with capsys.disabled():
            print(f"\n{benchmark.name}: {ratio:.1f} times as fast as {name}")
        return mine, answer

    return run
