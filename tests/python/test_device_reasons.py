"""A CUDA device that is not there is refused with the reason, whatever this installation was built with."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

import modelwatch_gpu as mw
from modelwatch_gpu import device as device_module
from modelwatch_gpu.device import cuda_module, cuda_reason, driver
from modelwatch_gpu.doctor import driver_report

INSUFFICIENT = "CUDA found no device: cudaErrorInsufficientDriver, CUDA driver version is insufficient for it."


def refused() -> str:
    with pytest.raises(mw.DeviceUnavailable) as caught:
        mw.stats.ks(np.arange(9.0), np.arange(9.0), device="cuda")
    return str(caught.value)


@pytest.mark.parametrize(
    ("library", "said"),
    [
        (None, "device='cuda' is not available: there is no NVIDIA driver: libcuda.so.1 cannot be loaded. Use"),
        (ctypes.CDLL(None), f"device='cuda' is not available: {INSUFFICIENT} Use device='cpu' or 'auto'."),
    ],
    ids=["no driver", "an old driver"],
)
def test_the_reason_is_named(monkeypatch: pytest.MonkeyPatch, library: ctypes.CDLL | None, said: str) -> None:
    module = SimpleNamespace(unavailable_reason=lambda: INSUFFICIENT, device_count=lambda: 0)
    monkeypatch.setattr(device_module, "cuda_module", lambda: module)
    monkeypatch.setattr(device_module, "driver", lambda: library)
    assert refused().startswith(said)


def test_an_installation_without_the_backend_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_module, "cuda_module", lambda: None)
    assert "was built without the CUDA backend" in refused()


@pytest.mark.skipif(driver() is not None, reason="this machine has an NVIDIA driver")
def test_nothing_but_cuda_needs_a_driver() -> None:
    program = "import modelwatch_gpu as mw; print(mw.stats.ks([1.0, 2.0], [1.0, 3.0]))"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout == "0.5\n"
    assert ran.stderr == ""
    assert driver_report() == "no driver: libcuda.so.1 cannot be loaded"
    if cuda_module() is not None and cuda_reason():  # not where a stand-in for the runtime is tested
        assert "libcuda.so.1 cannot be loaded" in refused()
