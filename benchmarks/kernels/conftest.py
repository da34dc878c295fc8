"""Columns of every kind, and how a kernel's speed stands to a peer's and to the memory's."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

Array = np.ndarray[Any, Any]
MANY, FEW = 4_000_000, 100_000


@dataclass(frozen=True)
class Kind:
    """A column: its type, rows, the shape of its values and the share of NaN."""

    dtype: str = "float32"
    rows: int = MANY
    shape: str = "normal"
    nan: float = 0.0

    def __str__(self) -> str:
        return f"{self.dtype}-{self.rows}-{self.shape}" + (f"-nan{self.nan:g}" if self.nan else "")

    def values(self, seed: int = 1) -> Array:
        """The column; of whole numbers a thousand is one standard deviation, or what the type holds."""
        rng = np.random.default_rng(seed)
        if self.shape == "constant":
            values = np.full(self.rows, 0.5)
        elif self.shape == "ten-values":
            values = rng.integers(-5, 5, self.rows) / 4.0
        elif self.shape == "lognormal":
            values = rng.lognormal(0, 2, self.rows)
        else:
            values = rng.normal(0, 1, self.rows)
        if np.dtype(self.dtype).kind == "i":
            info = np.iinfo(self.dtype)
            return np.clip(np.rint(values * min(1000, info.max // 4)), info.min, info.max).astype(self.dtype)
        values[rng.random(self.rows) < self.nan] = np.nan
        return values.astype(self.dtype)


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
    """``race(ours, theirs, name, values, bytes)``: both in turn, five times; notes the ratio of the medians and how
    fast ours reads. Returns both answers."""

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
