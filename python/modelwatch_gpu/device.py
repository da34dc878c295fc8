"""Which device answers, and the engine that counts there."""

from __future__ import annotations

import ctypes
import os
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Protocol

from modelwatch_gpu import _core
from modelwatch_gpu.errors import DeviceUnavailable, InputError
from modelwatch_gpu.several import SeveralDevices

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


#: What CUDA's runtime loads.
DRIVER: Final = "libcuda.so.1"
#: CUDA device -> the process that asked for its engine first.
_USED_BY: dict[str, int] = {}


@cache
def cuda_module() -> ModuleType | None:
    """The CUDA backend's module, None where this installation was built without it."""
    try:
        return import_module("modelwatch_gpu._cuda")
    except ImportError:
        return None


@cache
def driver() -> ctypes.CDLL | None:
    """The NVIDIA driver's library, None where there is none."""
    try:
        return ctypes.CDLL(DRIVER)
    except OSError:
        return None


def driver_devices(library: ctypes.CDLL) -> tuple[str, list[str]]:
    """The highest CUDA version that an initialised driver knows, and its devices by name."""
    version, count = ctypes.c_int(0), ctypes.c_int(0)
    library.cuDriverGetVersion(ctypes.byref(version))
    library.cuDeviceGetCount(ctypes.byref(count))
    names = []
    for at in range(count.value):
        device, name = ctypes.c_int(0), ctypes.create_string_buffer(128)
        library.cuDeviceGet(ctypes.byref(device), at)
        library.cuDeviceGetName(name, 128, device)
        names.append(name.value.decode(errors="replace"))
    return f"{version.value // 1000}.{version.value % 1000 // 10}", names


def cuda_reason() -> str:
    """Why there is no CUDA device: one sentence; empty where there is one."""
    module = cuda_module()
    if module is None:
        return "this installation of modelwatch-gpu was built without the CUDA backend."
    reason = str(module.unavailable_reason())
    # CUDA says of a machine without a driver that its version is insufficient.
    return reason and (reason if driver() is not None else f"there is no NVIDIA driver: {DRIVER} cannot be loaded.")


def resolve(device: str = "auto") -> str:
    """What will answer: "cpu", "cuda:N", or several devices as "cuda:N,M".

    Args:
        device: "auto" (MODELWATCH_DEVICE, else the CPU; for rows of the host see ``device_cost``), "cpu", "cuda" (the
            first), "cuda:N", several such as "cuda:0,2", or "cuda:all".

    Raises:
        DeviceUnavailable: "cuda" is asked for; the text says why it is not there. Nothing falls back in silence.
        InputError: The name is no device's.
    """
    if device == "auto":
        device = os.environ.get("MODELWATCH_DEVICE") or "cpu"
    if device in ("auto", "cpu"):
        return "cpu"
    if (wanted := _numbers(device)) is None:
        raise InputError(
            f"device='{device}' is unknown; use 'auto', 'cpu', 'cuda', 'cuda:N', several such as 'cuda:0,1', or "
            "'cuda:all'."
        )
    if reason := cuda_reason():
        raise DeviceUnavailable(f"device='{device}' is not available: {reason} Use device='cpu' or 'auto'.")
    module = cuda_module()
    assert module is not None
    count = module.device_count()
    chosen = wanted or list(range(count))
    if max(chosen) >= count:
        raise DeviceUnavailable(f"device='{device}' is not available: CUDA found {count}, numbered from 0.")
    return f"cuda:{','.join(map(str, chosen))}"


def _numbers(device: str) -> list[int] | None:
    """The numbers of the devices that a name means; empty: all of them. None where it is no name of devices."""
    if device in ("cuda", "cuda:all"):
        return [0] if device == "cuda" else []
    named = device.removeprefix("cuda:").split(",")
    if not device.startswith("cuda:") or not all(one.isascii() and one.isdecimal() for one in named):
        return None
    numbers = sorted(int(one) for one in named)
    return numbers if len(set(numbers)) == len(numbers) else None


def devices_of(device: str) -> list[str]:
    """The single devices of one that ``resolve`` named: "cuda:0" and "cuda:2" of "cuda:0,2"."""
    return [device] if device == "cpu" else [f"cuda:{one}" for one in device.removeprefix("cuda:").split(",")]


def engine(device: str) -> Engine:
    """The engine of a device that ``resolve`` named; of several, one that deals columns out among them."""
    return _core if device == "cpu" else _engine_of(device)


@cache
def _engine_of(device: str) -> Engine:
    names = devices_of(device)
    if len(names) > 1:
        several: Any = SeveralDevices([engine(one) for one in names])
        together: Engine = several
        return together
    module = cuda_module()
    assert module is not None
    backend: Engine = module.Backend(int(device.removeprefix("cuda:")))
    _USED_BY[device] = os.getpid()
    return backend


def is_forked() -> bool:
    """Whether CUDA is another process's, of which this one is a fork: it cannot be used here."""
    return any(pid != os.getpid() for pid in _USED_BY.values())


def isa() -> str:
    """The instruction set whose kernels answer."""
    return str(_core.isa())
