"""Columns that come in another type than the baseline's: a device counts them in the bytes of the CPU."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

import modelwatch_gpu as mw

pytestmark = pytest.mark.gpu


def test_whole_numbers_that_come_as_floats_are_the_same_bytes() -> None:
    rng = np.random.default_rng(0)
    reference = pa.table({"n": rng.integers(-1_000_000, 1_000_000, 2_000), "m": rng.integers(0, 9, 2_000)})
    baseline = mw.Baseline.fit(reference, roles=mw.Roles(numeric=["n", "m"]), exact_up_to=300, device="cpu")
    floats = rng.integers(-1_100_000, 1_100_000, 3_000).astype(np.float64)
    floats[::50] += 0.25  # no whole number, so that its own bits are hashed
    floats[:8] = np.nan, np.inf, -np.inf, -0.0, 2.0**62, -(2.0**63), 2.0**63, 1e300
    few = rng.integers(0, 12, 3_000).astype(np.float32)
    log = pa.table({"n": pa.array(floats, mask=rng.random(3_000) < 0.05), "m": few})
    own, there = (mw.Profile.count(baseline, log, device=device) for device in ("cpu", "cuda"))
    assert there.to_bytes() == own.to_bytes()
    merged = own.merged()
    assert merged is not None
    assert merged.tables["window", "n"].sketches.registers.any(), "nothing was hashed"
