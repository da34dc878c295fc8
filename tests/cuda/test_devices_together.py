"""Several devices at once give the bytes of one, and of the CPU. With the stand-in, which has as many as it is told."""

from __future__ import annotations

import os
import subprocess
import sys

import cuda_module
import pytest
from device_array import runtime

pytestmark = pytest.mark.gpu

PROGRAM = (
    cuda_module.IN_CHILD
    + """
import numpy as np
import pyarrow as pa
import modelwatch_gpu as mw
from modelwatch_gpu.device import cuda_module as module, engine, resolve

def log(rows, seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=rows)
    day = 1_400_000_000_000_000 + rng.integers(0, 3 * 86_400, rows) * 1_000_000
    return pa.table({
        "when": pa.array(day).cast(pa.timestamp("us", "UTC")),
        "x": pa.array(x, mask=x < -1), "y": rng.random(rows, dtype="f4"), "n": rng.integers(0, 1000, rows),
        "text": pa.array(np.array(["a", "b", "c", "\u00fc"])[rng.integers(0, 4, rows)]),
        "code": pa.array(np.array(["eu", "us"])[rng.integers(0, 2, rows)]).dictionary_encode(),
    })

assert module().device_count() == 3
assert resolve("cuda:all") == "cuda:0,1,2"
fit = {"roles": mw.Roles(timestamp="when"), "exact_up_to": 300}
options = {"window": "1d", "segments": ["code"], "sample": 5}
reference, one, many = log(1500, 0), log(1100, 1), [log(300 + 100 * i, 2 + i) for i in range(4)]
expected = mw.Baseline.fit(reference, device="cpu", **fit)
for device in ("cuda:2", "cuda:0,2", "cuda:all"):
    assert mw.Baseline.fit(reference, device=device, **fit).to_bytes() == expected.to_bytes(), device
    for what in (one, many):
        own = mw.Profile.count(expected, what, device="cpu", **options).to_bytes()
        assert mw.Profile.count(expected, what, device=device, **options).to_bytes() == own, device
    live = mw.LiveProfile(expected, device=device, window="1d")
    for batch in one.to_batches(max_chunksize=500):
        live.add(batch)
    assert live.rows == 1100, device
report = mw.compare(expected, many, device="cuda:all")
assert report.device == "cuda:0,1,2", report.device
from modelwatch_gpu.doctor import selftest
found = selftest("cuda:0,2")
assert all(agrees for _, agrees in found) and len(found) == 18, found
print("equal")
"""
)


@pytest.mark.parametrize("settings", [{}, {"PTX_SEED": "1", "PTX_STREAMS": "lazy"}], ids=["in order", "lazy"])
def test_three_devices_count_what_one_does(settings: dict[str, str]) -> None:
    if not hasattr(runtime(), "ptxFailNth"):
        pytest.skip("a real machine has the devices that it has")
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "PTX_DEVICES": "3", **settings},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    assert ran.stdout.split() == ["equal"]
