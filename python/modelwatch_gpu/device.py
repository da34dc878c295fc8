"""Which device answers, and the engine that counts there."""

from __future__ import annotations

import os
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from modelwatch_gpu import _core
from modelwatch_gpu.errors import DeviceUnavailable, InputError

if TYPE_CHECKING:
    from types import ModuleType


class Engine(Protocol):
    """What every backend offers under the same names; ``_core`` is the CPU's. Results are equal, to the bit."""

    Counter: Any
    DistinctPass: Any
    SplitPass: Any
    KeepPass: Any
    column_moments: Any
    column_registers: Any
    count_bins: Any
    count_bins_of: Any
    count_cells: Any
    hash_rows: Any
    interval_of: Any
    log_linear_counts: Any
    merge_rows: Any
    rank_cells: Any
    sup_distance: Any


@cache
def cuda_module() -> ModuleType | None:
    """The CUDA backend's module, None where this installation was built without it."""
    try:
        return import_module("modelwatch_gpu._cuda")
    except ImportError:
        return None


def cuda_reason() -> str:
    """Why there is no CUDA device: one sentence; empty where there is one."""
    module = cuda_module()
    if module is None:
        return "this installation of modelwatch-gpu was built without the CUDA backend."
    return str(module.unavailable_reason())


def resolve(device: str = "auto") -> str:
    """The device that will answer: "cpu" or "cuda:N".

    Args:
        device: "auto" (MODELWATCH_DEVICE, else the CPU for data of the host), "cpu", "cuda" (the first) or "cuda:N".

    Raises:
        DeviceUnavailable: "cuda" is asked for; the text says why it is not there. Nothing falls back in silence.
        InputError: The name is no device's.
    """
    if device == "auto":
        device = os.environ.get("MODELWATCH_DEVICE") or "cpu"
    if device in ("auto", "cpu"):
        return "cpu"
    if device != "cuda" and not (device.startswith("cuda:") and device[5:].isdecimal()):
        raise InputError(f"device='{device}' is unknown; use 'auto', 'cpu', 'cuda' or 'cuda:N'.")
    if reason := cuda_reason():
        raise DeviceUnavailable(f"device='{device}' is not available: {reason} Use device='cpu' or 'auto'.")
    module = cuda_module()
    assert module is not None
    index = int(device[5:]) if ":" in device else 0
    if index >= (count := module.device_count()):
        raise DeviceUnavailable(f"device='{device}' is not available: CUDA found {count}, numbered from 0.")
    return f"cuda:{index}"


def engine(device: str) -> Engine:
    """The engine of a device that ``resolve`` named."""
    if device == "cpu":
        return _core
    return _engine_of(int(device[5:]))


@cache
def _engine_of(index: int) -> Engine:
    module = cuda_module()
    assert module is not None
    backend: Engine = module.Backend(index)
    return backend


def isa() -> str:
    """The instruction set whose kernels answer."""
    return str(_core.isa())
