"""While a log is counted Arrow's default memory pool is another one, and afterwards what it was."""

from __future__ import annotations

import threading

import pyarrow as pa
import pytest

import modelwatch_gpu as mw
from modelwatch_gpu.log.pool import decoding_pool


@pytest.fixture
def jemalloc() -> pa.MemoryPool:
    if "jemalloc" not in pa.supported_memory_backends() or pa.default_memory_pool().backend_name != "mimalloc":
        pytest.skip("this Arrow has no jemalloc, or its default is not mimalloc")
    return pa.jemalloc_memory_pool()


def test_the_pool_is_back_after_the_last_that_used_it(jemalloc: pa.MemoryPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ARROW_DEFAULT_MEMORY_POOL", raising=False)
    with decoding_pool():
        assert pa.default_memory_pool().backend_name == "jemalloc"
        with decoding_pool():
            assert pa.default_memory_pool().backend_name == "jemalloc"
        assert pa.default_memory_pool().backend_name == "jemalloc"
    assert pa.default_memory_pool().backend_name == "mimalloc"
    with pytest.raises(ValueError, match="broken"), decoding_pool():
        raise ValueError("broken")
    assert pa.default_memory_pool().backend_name == "mimalloc"


def test_a_pool_that_was_chosen_stays(jemalloc: pa.MemoryPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARROW_DEFAULT_MEMORY_POOL", "mimalloc")
    with decoding_pool():
        assert pa.default_memory_pool().backend_name == "mimalloc"
    monkeypatch.delenv("ARROW_DEFAULT_MEMORY_POOL")
    before = pa.default_memory_pool()
    pa.set_memory_pool(pa.system_memory_pool())
    try:
        with decoding_pool():
            assert pa.default_memory_pool().backend_name == "system"
    finally:
        pa.set_memory_pool(before)


def test_counts_of_several_threads_leave_the_pool_as_it_was(jemalloc: pa.MemoryPool) -> None:
    table = pa.table({"x": pa.array(range(1000)), "kind": pa.array(["a", "b"] * 500)})
    baseline = mw.Baseline.fit(table)
    threads = [threading.Thread(target=lambda: mw.Profile.count(baseline, table)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert pa.default_memory_pool().backend_name == "mimalloc"
