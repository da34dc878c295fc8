"""Draws of resampling units: the same input gives the same draws everywhere.

Random numbers are the raw 64-bit words of Philox 4x64 (Salmon et al. 2011), whose stream NumPy keeps from version to
version, turned into units by whole-number arithmetic alone. Resampled counts are sums of whole numbers below 2^53, so
they do not depend on the order of adding either.
"""

from __future__ import annotations

import functools
import os
import threading
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from modelwatch_gpu.measures.value import Floats

#: Replicates of a bootstrap: a standard error from them is itself good to 1/sqrt(2 x 256) = 4.4%.
REPLICATES: Final = 256
#: Relabellings of a permutation test: its p-value is a multiple of 1/200.
RELABELLINGS: Final = 199
#: Streams of random words, by what is drawn.
BASELINE_UNITS, CURRENT_UNITS, LABELS, NULL_BASELINE, NULL_CURRENT, SPLIT = range(6)
#: Units that independent rows are dealt out to where their variance has no formula (DESIGN 3.9).
ROW_UNITS: Final = 64

#: Products of so many multiplications are left to one thread by BLAS libraries; waking others for a little more costs
#: ten times the work where processors are shared.
_SMALL_PRODUCT: Final = 1 << 18
#: Replicates of such a product: as many rows as columns, about, are soonest done.
_SMALL_WIDTH: Final = 64
#: Whole numbers below it are exact in float32.
_EXACT_FLOAT32: Final = 1 << 24

#: How often each unit is drawn: whole numbers far below what float32 holds. In memory unit after unit, as they are
#: summed.
Draws = npt.NDArray[np.float32]

_KEY: Final = 0x6D6F64656C776174  # "modelwat": any fixed key would do


def words(count: int, stream: int, size: int) -> npt.NDArray[np.uint64]:
    """(count,) uint64 random words of one stream; ``size`` gives every number of units a stream of its own."""
    raw = np.random.Philox(key=[_KEY, (stream << 32) | size]).random_raw(count)
    return np.asarray(raw, dtype=np.uint64)


@functools.lru_cache(maxsize=64)
def draws(units: int, stream: int, taken: int | None = None, replicates: int = REPLICATES) -> Draws:
    """(replicates, units) how often each unit is drawn when ``taken`` (default: as many as there are) are drawn with
    replacement.

    A unit is the upper half of word x units: no unit is likelier than another by more than units / 2^32.
    """
    size = units if taken is None else taken
    raw = words(replicates * size, stream, (units << 12) ^ size)
    chosen = ((raw >> np.uint64(32)) * np.uint64(units)) >> np.uint64(32)
    row = np.repeat(np.arange(replicates, dtype=np.int64), size)
    counts = np.bincount(row * units + chosen.astype(np.int64), minlength=replicates * units)
    out = counts.reshape(replicates, units).astype(np.float32, order="F")
    out.flags.writeable = False
    return out


@functools.lru_cache(maxsize=64)
def labels(units: int, current: int, replicates: int = RELABELLINGS) -> Draws:
    """(replicates, units) 1 for the ``current`` units of each random relabelling that go to the current side, else 0:
    those with the smallest words."""
    raw = words(replicates * units, LABELS, units).reshape(replicates, units)
    out = np.zeros((replicates, units), dtype=np.float32, order="F")
    first = np.argsort(raw, axis=1, kind="stable")[:, :current]
    np.put_along_axis(out, first, 1.0, axis=1)
    out.flags.writeable = False
    return out


def summed(drawn: Draws, counts: Floats, *, whole: bool = True, lasting: bool = True) -> Floats:
    """(replicates, cells) what was drawn: ``drawn`` (replicates, units) times ``counts`` (units, cells), whole numbers
    whose sums are exact in any order. In memory cell after cell, so that all replicates are worked on at once.

    Numbers that are not ``whole`` are added unit by unit, in order: the same bits everywhere.

    Not ``lasting``: the next such call of the thread overwrites it, which saves asking for memory anew.
    """
    if not whole:
        out = np.zeros((counts.shape[1], len(drawn)))
        for unit, times in zip(counts, drawn.T.astype(np.float64), strict=True):
            out += unit[:, None] * times
        return out.T
    most = float(counts.max(initial=0.0)) * float(drawn.sum(axis=1).max(initial=0.0))
    # No sum on the way is larger than the last one: float32 holds all of them, in half the bytes.
    kind = np.float32 if most < _EXACT_FLOAT32 else np.float64
    left, right = drawn.T.astype(kind, copy=False), counts.T.astype(kind, copy=False)
    shape = len(right), len(drawn)
    out = np.empty(shape) if lasting else _scratch.array("sums", shape, np.float64)
    made = out if kind is np.float64 else _scratch.array("narrow", shape, np.float32)
    width = len(drawn) if _alone() else _SMALL_WIDTH
    cells = max(1, len(made) if _alone() else _SMALL_PRODUCT // max(1, len(left) * width))
    for first in range(0, len(drawn), width):
        some = slice(first, first + width)
        for begin in range(0, len(made), cells):
            np.matmul(right[begin : begin + cells], left[:, some], out=made[begin : begin + cells, some])
    if made is not out:
        out[:] = made
    return out.T


@functools.cache
def _alone() -> bool:
    """Whether there is one processor, so that BLAS libraries have no other threads to wake."""
    own = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    return len(own) == 1


class _Scratch(threading.local):
    """Memory that is used again and again, by name."""

    def __init__(self) -> None:
        self._arrays: dict[str, npt.NDArray[Any]] = {}

    def array(self, name: str, shape: tuple[int, int], dtype: type) -> npt.NDArray[Any]:
        """An array of this shape with anything in it."""
        size = shape[0] * shape[1]
        if name not in self._arrays or len(self._arrays[name]) < size:
            self._arrays[name] = np.empty(size, dtype=dtype)
        return self._arrays[name][:size].reshape(shape)


_scratch: Final = _Scratch()


def split(counts: Floats, stream: int) -> Floats:
    """(``ROW_UNITS``, cells) rows of (cells,) counts dealt out at random to so many units, as a hash of rows would.

    By NumPy's ``RandomState``, whose draws never change (NEP 19), over Philox.
    """
    random = np.random.RandomState(np.random.Philox(key=[_KEY, (SPLIT + stream) << 32]))
    even = np.full(ROW_UNITS, 1 / ROW_UNITS)
    return np.stack([random.multinomial(n, even) for n in counts.astype(np.int64).tolist()], axis=1).astype(np.float64)
