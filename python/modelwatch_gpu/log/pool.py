"""The memory that batches are decoded into."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa

_holding = threading.Lock()
_holders = 0
_before: pa.MemoryPool | None = None


@contextmanager
def decoding_pool() -> Iterator[None]:
    """Meanwhile Arrow's default pool is jemalloc where this build has it and nobody chose one.

    Decoding makes and drops the same buffers over and over. mimalloc, Arrow's choice, gives their pages back between
    batches and the system clears them anew: a log took 3% longer, with twice the page faults. Buffers know their pool,
    so others that are made meanwhile, or outlive this, are as good as any.
    """
    global _holders, _before
    pool = _wanted()
    if pool is None:
        yield
        return
    with _holding:
        if _holders == 0:
            _before = pa.default_memory_pool()
            pa.set_memory_pool(pool)
        _holders += 1
    try:
        yield
    finally:
        with _holding:
            _holders -= 1
            if _holders == 0 and _before is not None:
                pa.set_memory_pool(_before)


def _wanted() -> pa.MemoryPool | None:
    """None: stay with what there is."""
    if "ARROW_DEFAULT_MEMORY_POOL" in os.environ or pa.default_memory_pool().backend_name not in (
        "mimalloc",
        "jemalloc",
    ):
        return None
    try:
        return pa.jemalloc_memory_pool()
    except NotImplementedError:
        return None
