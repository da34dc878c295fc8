"""Which device answers. This version has the CPU backend only."""

from __future__ import annotations

import os

from modelwatch_gpu import _core
from modelwatch_gpu.errors import DeviceUnavailable, InputError


def cuda_reason() -> str:
    """Why there is no CUDA device: one sentence."""
    return "This version of modelwatch-gpu was built without the CUDA backend, which does not exist yet."


def resolve(device: str = "auto") -> str:
    """The device that will answer: "cpu".

    Args:
        device: "auto" (MODELWATCH_DEVICE, else what is there), "cpu", "cuda" or "cuda:N".

    Raises:
        DeviceUnavailable: "cuda" is asked for; the text says why it is not there. Nothing falls back in silence.
        InputError: The name is no device's.
    """
    if device == "auto":
        device = os.environ.get("MODELWATCH_DEVICE") or "cpu"
    if device in ("auto", "cpu"):
        return "cpu"
    if device == "cuda" or (device.startswith("cuda:") and device[5:].isdecimal()):
        raise DeviceUnavailable(f"device='{device}' is not available: {cuda_reason()} Use device='cpu' or 'auto'.")
    raise InputError(f"device='{device}' is unknown; use 'auto', 'cpu', 'cuda' or 'cuda:N'.")


def isa() -> str:
    """The instruction set whose kernels answer."""
    return str(_core.isa())
