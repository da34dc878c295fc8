"""Gives memory that the C library holds on to back to the system."""

from __future__ import annotations

import ctypes
import sys
from typing import Final

#: Counters of at least so many bytes are worth the walk over the heap when they are let go.
WORTH_IT: Final = 128 * 2**20


def trim() -> None:
    """Returns freed memory to the system, with glibc; elsewhere does nothing.

    The counters of thousands of segments are small blocks, made by several threads: after a file they are free, but
    glibc keeps their pages, and what is made next does not fit into the holes. Counters of the full width for 10,000
    segments by 25 columns left 220 MB behind. Smaller ones are made anew in the same places for the next file.
    """
    if sys.platform == "linux":
        found = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if found is not None:
            found(0)
