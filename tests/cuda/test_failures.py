"""Calls of the CUDA runtime that fail, each in turn: one exception with CUDA's words, nothing leaked, and the next call
works. Only the stand-in can be told to fail."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from typing import Any

import cuda_module
import numpy as np
import pyarrow as pa
import pytest
from device_array import leaked, runtime

import modelwatch_gpu as mw
from modelwatch_gpu import _core, keys
from modelwatch_gpu.device import engine

pytestmark = pytest.mark.gpu

#: ptxFailureKind of the stand-in (tests/ptx/runtime/ptx_runtime.h).
KINDS = {"allocation": 0, "copy": 1, "launch": 2}
#: More calls of a kind than any of the operations makes.
MOST_CALLS = 60
#: An operation that goes on after a failed allocation has so many of these at most.
ENOUGH = 12
ROWS = 3000

VALUES = np.random.default_rng(1).normal(size=ROWS)
ARRAY = pa.array(VALUES, mask=VALUES > 2)
TEXT = pa.array(np.array(["a", "bb", "unseen", None], dtype=object)[np.arange(ROWS) % 4])
GRID = _core.Grid(keys.DOMAINS["float64"], keys.keys_of(np.array([-np.inf, -1.0, 0.0, 1.0, np.inf]), "float64"))


def counted(e: Any) -> Any:
    """A batch of a numeric and a text column, counted and read back."""
    nothing = np.empty(0, dtype=np.uint32)
    plans = [
        _core.NumericPlan(
            grid=GRID,
            to_fine=nothing,
            fine_slots=GRID.slots,
            to_coarse=nothing,
            coarse_slots=0,
            gap_shift=0,
            pivot=0,
        ),
        _core.CategoryPlan(known=[b"a", b"bb"], to_coarse=nothing, coarse_slots=3, unseen_cap=9, known_cap=None),
    ]
    counter = e.Counter(plans, [_core.SetPlan(coarse=False, moments=True, sketches=True)])
    counter.add(pa.RecordBatch.from_arrays([ARRAY, TEXT], names=["x", "c"]), [None])
    return counter.numeric(0, 0)["count"].tolist(), counter.category(1, 0)["count"].tolist()


def distinct(e: Any) -> Any:
    found = e.DistinctPass([keys.DOMAINS["float64"]], 1 << 40)
    found.add(pa.RecordBatch.from_arrays([ARRAY], names=["x"]))
    return found.column(0)["counts"].tolist()


def named(e: Any) -> str:
    return "cpu" if e is _core else "cuda:0"


def ranked(e: Any) -> Any:
    queries, relevance = np.arange(ROWS) % 7, (VALUES > 0).astype(np.int8)
    return mw.stats.hit_rate(relevance, VALUES, queries=queries, k=3, device=named(e))


def novelty(e: Any) -> Any:
    rows = VALUES[:120].reshape(40, 3)
    return round(mw.stats.knn_novelty(rows[:25], rows[25:], k=2, device=named(e)), 9)


def of_vectors(name: str, **options: Any) -> Callable[[Any], Any]:
    rows = VALUES[:120].reshape(40, 3)
    return lambda e: round(getattr(mw.stats, name)(rows[:25], rows[25:], device=named(e), **options), 9)


def balls(e: Any) -> Any:
    found = mw.stats.prdc(VALUES[:60].reshape(20, 3), VALUES[60:120].reshape(20, 3), k=2, device=named(e))
    return found.precision, found.recall, found.density, found.coverage


def weighted(e: Any) -> Any:
    values = VALUES.round(1)
    if e is _core:
        return np.bincount(np.unique(values, return_inverse=True)[1], np.abs(VALUES)).tolist()
    return e.weighted_keys(pa.array(values), keys.DOMAINS["float64"], pa.array(np.abs(VALUES)))["sums"].tolist()


OPERATIONS: dict[str, Callable[[Any], Any]] = {
    "count_cells": lambda e: e.count_cells(ARRAY, GRID).tolist(),
    "count_bins": lambda e: e.count_bins(ARRAY, keys.DOMAINS["float64"], GRID.knots).tolist(),
    "column_moments": lambda e: e.column_moments(ARRAY)["m2"],
    "log_linear_counts": lambda e: e.log_linear_counts(ARRAY)["count"].tolist(),
    "sup_distance": lambda e: e.sup_distance(pa.array(np.sort(VALUES)), pa.array(np.sort(VALUES[:1000]))),
    "hash_rows": lambda e: e.hash_rows(pa.RecordBatch.from_arrays([ARRAY, TEXT], names=["x", "c"])).tolist(),
    "Counter": counted,
    "DistinctPass": distinct,
    "errors": lambda e: mw.stats.mape(VALUES, np.roll(VALUES, 1), device=named(e)),
    "ranking": ranked,
    "neighbours": novelty,
    "weights": weighted,
    "sums of vectors": of_vectors("frechet_distance"),
    "projections": of_vectors("sliced_wasserstein", projections=1),
    "balls": balls,
}


@pytest.fixture
def stand_in() -> Any:
    """The stand-in's runtime; skipped on a real one."""
    found = runtime()
    if not hasattr(found, "ptxFailNth"):
        pytest.skip("a real device cannot be told to fail")
    return found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.filterwarnings("ignore::modelwatch_gpu.DeviceMemoryWarning")
def test_a_failed_call_ends_in_one_exception_and_leaves_nothing(stand_in: Any, operation: str, kind: str) -> None:
    run = OPERATIONS[operation]
    device = engine("cuda:0")
    expected = run(_core)
    assert run(device) == expected  # what is kept between calls is there from here on
    held = leaked()
    successes, said = 0, list[str]()
    for nth in range(1, MOST_CALLS):
        stand_in.ptxFailNth(KINDS[kind], nth)
        try:
            found = run(device)
        except mw.DeviceError as error:
            said.append(str(error))
        else:
            successes += 1
            assert found == expected
        finally:
            stand_in.ptxFailNth(KINDS[kind], 0)
            stand_in.ptxClearFault()
        assert held() == (0, 0), f"the {kind} number {nth} of {operation} leaks"
        if successes > ENOUGH:
            break  # there are no more such calls
    assert all("CUDA could not" in text and "cudaError" in text for text in said)
    assert said or kind == "allocation", f"no {kind} of {operation} failed"
    assert run(device) == expected


def test_where_memory_does_not_suffice_chunks_are_halved_and_counting_goes_on(stand_in: Any) -> None:
    device: Any = engine("cuda:0")
    before = device.chunk_rows
    try:
        device.chunk_rows = 1 << 16
        many = pa.array(np.random.default_rng(2).normal(size=200_000))
        expected = _core.count_cells(many, GRID)
        device.count_cells(many, GRID)  # the grid is there
        said = 0
        for nth in range(1, 8):
            stand_in.ptxFailNth(KINDS["allocation"], nth)
            with warnings.catch_warnings(record=True) as heard:
                warnings.simplefilter("always")
                try:
                    assert np.array_equal(device.count_cells(many, GRID), expected)
                except mw.DeviceError:
                    continue  # what has no halves: the counters themselves
            said += sum(issubclass(w.category, mw.DeviceMemoryWarning) for w in heard)
        assert said > 0
        assert device.chunk_rows == (1 << 16) >> said
    finally:
        stand_in.ptxFailNth(KINDS["allocation"], 0)
        device.chunk_rows = before


LOST = (
    cuda_module.IN_CHILD
    + """
import numpy as np
import modelwatch_gpu as mw
try:
    mw.stats.ks(np.arange(5000.0), np.arange(100.0), device="cuda")
except (mw.DeviceError, mw.DeviceUnavailable) as error:
    assert "cudaError" in str(error), str(error)
    print("said so")
"""
)


@pytest.mark.parametrize("call", [1, 2, 5, 9, 14])
def test_a_lost_device_is_said_to_be(stand_in: Any, call: int) -> None:
    settings = {**os.environ, "PTX_FAIL_DEVICE": str(call), "PTX_QUIET": "1"}
    ran = subprocess.run([sys.executable, "-c", LOST], env=settings, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr[-2000:]
    assert "said so" in ran.stdout
