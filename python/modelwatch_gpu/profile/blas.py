"""Products of matrices while threads of ours work side by side."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

_HELD: Final = threading.Lock()


@contextmanager
def one_thread_each() -> Iterator[bool]:
    """Inside, a product of matrices takes the thread that asks for it and no other. Says whether it is so.

    A BLAS with threads of its own lets them spin while they wait for one another, and beside ours there is no core
    left for that: of two cores it took two fifths. The limit is the whole process's, and OpenBLAS takes it back only
    from the thread that set it; so who comes while it is held by another goes without, as where threadpoolctl is not
    installed or the BLAS does not obey. Then threads of ours should not ask for products at the same time.
    """
    if not _HELD.acquire(blocking=False):
        yield False
        return
    try:
        try:
            threadpoolctl: Any = importlib.import_module("threadpoolctl")
        except ImportError:
            yield False
            return
        with threadpoolctl.threadpool_limits(limits=1, user_api="blas"):
            libraries = [pool for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]
            yield bool(libraries) and all(pool["num_threads"] == 1 for pool in libraries)
    finally:
        _HELD.release()
