"""What this installation is and can do, as lines of (what, answer)."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable
from importlib.resources import files
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from modelwatch_gpu import _core, device_cost, keys
from modelwatch_gpu.device import DRIVER, cuda_module, cuda_reason, devices_of, driver, driver_devices, engine, resolve
from modelwatch_gpu.profile.planner import memory_of


def driver_report() -> str:
    """The NVIDIA driver and its devices, or why there are none. Asks libcuda alone; nothing is initialised twice."""
    library = driver()
    if library is None:
        return f"no driver: {DRIVER} cannot be loaded"
    status = library.cuInit(0)
    if status != 0:
        return f"driver present, but cuInit answers error {status}"
    version, names = driver_devices(library)
    return f"driver for CUDA {version}, {len(names)} devices: {', '.join(names) or 'none'}"


def _bundled_log() -> str:
    folder = files("modelwatch_gpu") / "data" / "flights"
    found = sum(1 for file in folder.iterdir() if file.name.endswith(".parquet")) if folder.is_dir() else 0
    return f"{found} files" if found else "not installed: modelwatch demo cannot run"


def cuda_report() -> str:
    """Whether the CUDA backend was built, for which devices, and what it finds."""
    module = cuda_module()
    if module is None:
        return f"none: {cuda_reason()}"
    info = module.build_info()
    built = f"built by nvcc {info['cuda']} for {info['architectures']}"
    if reason := cuda_reason():
        return f"{built}; {reason}"
    found = [module.device_info(i) for i in range(module.device_count())]
    named = (f"cuda:{d['index']} {d['name']} ({d['memory'] / 2**30:,.0f} GiB)" for d in found)
    return f"{built}; {', '.join(named)}"


def lines() -> list[tuple[str, str]]:
    """Version, build, instruction sets, threads, CUDA and driver."""
    info = _core.build_info()
    why = "MODELWATCH_THREADS" if os.environ.get("MODELWATCH_THREADS") else "CPU affinity and cgroup quota"
    memory_from = "from MODELWATCH_MEMORY" if os.environ.get("MODELWATCH_MEMORY") else "default"
    return [
        ("version", str(info["version"])),
        ("python", f"{platform.python_version()} on {sys.platform} {platform.machine()}"),
        ("numpy, pyarrow", f"{np.__version__}, {pa.__version__}"),
        ("engine", f"built with {info['compiler']} as C++{int(info['cxx_standard']) // 100 % 100}"),
        ("instruction sets", f"{', '.join(_core.available_isas())}; in use: {_core.isa()}"),
        ("threads", f"{_core.default_threads()} (from {why})"),
        ("memory for counters", f"{memory_of(None) / 2**20:,.0f} MiB ({memory_from})"),
        ("bundled flights log", _bundled_log()),
        ("device", f"{resolve()} ({'MODELWATCH_DEVICE' if os.environ.get('MODELWATCH_DEVICE') else 'auto'})"),
        *(("auto on host data", line) for line in device_cost.lines()),
        ("CUDA backend", cuda_report()),
        ("NVIDIA driver", driver_report()),
    ]


def selftest(device: str = "cpu") -> list[tuple[str, bool]]:
    """Compares an engine with the plain reference on hard values: (what, whether they agree), for each device.

    device: As ``resolve`` names it."""
    single = devices_of(device)
    if len(single) > 1:
        return [(f"{what} ({one})", agrees) for one in single for what, agrees in selftest(one)]
    counting = engine(device)
    rng = np.random.default_rng(7)
    hard = [np.nan, np.inf, -np.inf, -0.0, 0.0, 5e-324, -5e-324, 1.7e308]
    values = np.concatenate([rng.normal(size=20_000), hard, np.round(rng.normal(size=5_000), 1)])
    knots = np.unique(np.concatenate([[-np.inf, np.inf, 0.0], np.round(rng.normal(size=500), 1)]))
    grid = _core.Grid(keys.DOMAINS["float64"], keys.keys_of(knots, "float64"))
    array, reference = pa.array(values), _core.reference.count_cells(pa.array(values), pa.array(knots))
    out = [("rank counts", bool(np.array_equal(counting.count_cells(array, grid), reference)))]
    out.append(("rank counts, one thread", bool(np.array_equal(counting.count_cells(array, grid, 1), reference))))
    moderate = pa.array(np.where(np.abs(values) > 1e300, np.nan, values))  # the largest would end every sum at infinity
    batch = pa.RecordBatch.from_arrays([moderate], names=["x"])
    plan = _core.NumericPlan(
        grid=grid,
        to_fine=np.empty(0, dtype=np.uint32),
        fine_slots=grid.slots,
        to_coarse=np.empty(0, dtype=np.uint32),
        coarse_slots=0,
        gap_shift=0,
        pivot=0,
    )
    counter = counting.Counter([plan], [_core.SetPlan(coarse=False, moments=True)])
    counter.add(batch, [None])
    found, plain = counter.numeric(0, 0), _core.reference.moments(moderate)
    same = found["moments"][0].tolist() == [plain["mean"], plain["m2"], plain["m3"], plain["m4"]]
    out.append(("ordered moments, bit for bit", bool(same and found["moment_count"][0] == plain["count"])))
    return out if counting is _core else out + _beside_the_cpu(counting, values, moderate, knots)


def _beside_the_cpu(
    there: Any, values: npt.NDArray[np.float64], moderate: pa.Array, knots: npt.NDArray[np.float64]
) -> list[tuple[str, bool]]:
    """A device's kernels for whole columns beside the CPU's."""
    array, domain = pa.array(values), keys.DOMAINS["float64"]
    cuts = keys.keys_of(knots[np.isfinite(knots)], "float64")
    groups = (np.arange(len(array)) % 7 - 1).astype(np.int32)
    asked: dict[str, Callable[[Any], Any]] = {
        "histogram": lambda engine: engine.count_bins(array, domain, cuts),
        "histogram of groups": lambda engine: engine.count_bins_of([array], domain, [cuts], groups, 6)[0],
        "log-linear histogram": lambda engine: engine.log_linear_counts(array),
        "registers of distinct values": lambda engine: engine.column_registers(array),
        "moments of a column, bit for bit": lambda engine: engine.column_moments(moderate),
    }
    found = [(what, _equal(ask(there), ask(_core))) for what, ask in asked.items()]
    sides = [side[~np.isnan(side)] for side in np.array_split(values, 2)]
    # The device sorts; the CPU is given what is sorted.
    apart = there.sup_distance(*map(pa.array, sides)), _core.sup_distance(*(pa.array(np.sort(side)) for side in sides))
    return [*found, ("sorted values", apart[0] == apart[1])]


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(_equal(a[name], b[name]) for name in a)
    return bool(np.array_equal(a, b))
