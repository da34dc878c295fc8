"""Times the CUDA backend on the machine at hand; one command:

    python benchmarks/cuda/run.py [--device cuda:0] [--rows 100000000] [--only PATTERN] [--json FILE] [--page FILE]

1. The agreement suite runs on the real runtime (`pytest -m gpu`); where it fails, nothing is timed.
2. The read bandwidth of the device's memory is measured, and the bandwidth of copies to it.
3. Every operation runs over types, shapes, bins and distinct values on a column in device memory, beside CuPy and
   torch (whose histograms and sorts are CUB's) where they are installed: seconds, medians of several turns, and percent
   of the read bandwidth. Answers are asserted against the CPU's, to the bit.
4. The whole job: a table of 20 columns is counted from host memory beside the CPU, and two samples of 20 columns are
   compared in device memory, from host memory and on the CPU.

On the stand-in for the CUDA runtime (tests/ptx; name its module by MODELWATCH_TEST_CUDA_MODULE) there is no time to
measure: the same cases run at toy sizes, and what is printed are counts of the PTX machine, which say so.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(ROOT / "tests"), str(ROOT / "tests" / "ptx"), str(ROOT / "tests" / "cuda")]

import cuda_module  # noqa: E402

cuda_module.choose(None)

import numpy as np  # noqa: E402
import pyarrow as pa  # noqa: E402
from cases import Case, cases, table  # noqa: E402
from page import page_of  # noqa: E402

import modelwatch_gpu as mw  # noqa: E402
from modelwatch_gpu import _core  # noqa: E402
from modelwatch_gpu.device import cuda_module as backend_module  # noqa: E402
from modelwatch_gpu.device import engine, resolve  # noqa: E402
from modelwatch_gpu.device_arrays import columns_on_device  # noqa: E402

STAND_IN = "PTX machine"
TOY_ROWS = 20_000


def machine(device: str) -> dict[str, Any]:
    """The device, its host, and what was built."""
    module = backend_module()
    assert module is not None
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return {
        "device": module.device_info(int(device[5:])),
        "built": module.build_info(),
        "host": {"processor": platform.processor() or platform.machine(), "cpus": os.cpu_count()},
        "commit": commit.stdout.strip(),
        "date": datetime.date.today().isoformat(),
    }


def putters() -> dict[str, tuple[Any, Callable[[Any], Any], Callable[[], None]]]:
    """The array libraries of this machine: module, host array -> device array, wait."""
    found: dict[str, Any] = {}
    try:
        import cupy

        found["cupy"] = (cupy, cupy.asarray, cupy.cuda.get_current_stream().synchronize)
    except ImportError:
        pass
    try:
        import torch

        if torch.cuda.is_available():
            found["torch"] = (torch, lambda x: torch.from_numpy(x).cuda(), torch.cuda.synchronize)
    except ImportError:
        pass
    return found


def on_device(values: Any, found: dict[str, Any]) -> Any:
    """A device array, by a library of the machine or by plain calls of the runtime."""
    for _, put, _ in found.values():
        return put(values)
    import device_array

    return device_array.Interface(values)


def median_seconds(f: Callable[[], Any], turns: int) -> float:
    """The median over some turns, after one to warm up."""
    f()
    seconds = []
    for _ in range(turns):
        begin = time.perf_counter()
        f()
        seconds.append(time.perf_counter() - begin)
    return statistics.median(seconds)


def time_case(case: Case, device: str, rows: int, turns: int, bandwidth: float) -> dict[str, Any]:
    """One case: asserted on a shorter column, timed on the whole one."""
    libraries = putters()
    chosen = engine(device)
    short = case.values(min(rows, 1_000_000))
    assert case.agree(case.run(chosen, pa.array(short)), case.run(_core, pa.array(short))), (
        f"{case.name}: another answer than the CPU's"
    )
    values = case.values(rows)
    array = on_device(values, libraries)
    columns = columns_on_device(array, case.name)
    assert columns is not None
    given = pa.array(values) if case.host else columns[0][0]
    ours = median_seconds(lambda: case.run(chosen, given), turns)
    peers = {}
    for name, call in case.peers.items():
        library = name.split(",")[0]
        if library in libraries:
            module, put, wait = libraries[library]
            theirs = put(values)

            def once(call: Any = call, module: Any = module, theirs: Any = theirs, wait: Any = wait) -> None:
                call(module, theirs)
                wait()

            peers[name] = median_seconds(once, turns)
    cpu = median_seconds(lambda: case.run(_core, pa.array(values)), 1)
    return {
        "name": case.name,
        "rows": len(values),
        "seconds": ours,
        "bytes_per_second": values.nbytes / ours,
        "of_bandwidth": values.nbytes / ours / bandwidth,
        "peers": peers,
        "cpu_seconds": cpu,
    }


def time_job(device: str, rows: int, turns: int) -> list[dict[str, Any]]:
    """Counting a table of 20 columns, from host memory: on the device, and on the CPU; and PSI of as many columns of a
    matrix in device memory, beside the same in host memory."""
    data = table(rows)
    baseline = mw.Baseline.fit(data.slice(0, min(rows, 1_000_000)))
    found = []
    for name in (device, "cpu"):
        seconds = median_seconds(lambda name=name: mw.Profile.count(baseline, data, device=name), turns)
        found.append({"name": f"Profile.count of 20 columns on {name}", "rows": rows, "seconds": seconds})
    matrix = np.stack([c.to_numpy().astype(np.float32) for c in data.columns], axis=1)
    half = rows // 2
    expected = mw.stats.psi(matrix[:half], matrix[half:], device="cpu")
    there = [on_device(side, putters()) for side in (matrix[:half], matrix[half:])]
    for name, sides, where in (
        ("device memory", there, "auto"),
        ("host memory", (matrix[:half], matrix[half:]), device),
        ("host memory, on the CPU", (matrix[:half], matrix[half:]), "cpu"),
    ):
        assert np.array_equal(mw.stats.psi(*sides, device=where), expected), f"psi from {name}: another answer"
        seconds = median_seconds(lambda sides=sides, where=where: mw.stats.psi(*sides, device=where), turns)
        found.append({"name": f"mw.stats.psi of 20 columns in {name}", "rows": rows, "seconds": seconds})
    return found


def toy(case: Case, device: str) -> None:
    """Runs a case at a toy size, for the machine's counters."""
    values = pa.array(case.values(TOY_ROWS))
    assert case.agree(case.run(engine(device), values), case.run(_core, values)), (
        f"{case.name}: another answer than the CPU's"
    )


def counted(case: Case, device: str) -> dict[str, Any]:
    """The counters of the kernels that a case launches, in a process of its own."""
    import reports

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "counters"
        command = [sys.executable, str(HERE / "run.py"), "--device", device, "--toy", case.name]
        subprocess.run(command, env={**os.environ, "PTX_COUNTERS": str(file)}, check=True)
        kernels = [
            {"kernel": kernel, **{k: v for k, v in numbers.items() if isinstance(v, int)}}
            for (kernel, _), numbers in sorted(reports.counters([file]).items())
        ]
    return {"name": case.name, "rows": TOY_ROWS, "kernels": kernels}


def agreement() -> None:
    """Runs the tests marked gpu; ends here where one fails."""
    command = [sys.executable, "-m", "pytest", "-m", "gpu", "-q", "tests/agreement", "tests/cuda", "tests/python"]
    if subprocess.run(command, cwd=ROOT, check=False).returncode != 0:
        sys.exit("The agreement suite fails on this device, so nothing is timed.")


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description="Benchmarks of the CUDA backend.")
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--rows", type=int, default=100_000_000)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--only", default="", help="a regular expression that names of cases must match")
    parser.add_argument("--json", help="default: results/cuda.json, of the PTX machine results/cuda-counts.json")
    parser.add_argument("--page", default=str(ROOT / "docs" / "cuda-benchmarks.md"))
    parser.add_argument("--no-agreement", action="store_true", help="the suite has run already")
    parser.add_argument("--toy", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    device = resolve(options.device)
    chosen = engine(device)
    wanted = [
        case for case in cases(lambda name: bool(re.search(options.only, name))) if hasattr(chosen, case.operation)
    ]
    if options.toy:
        toy(next(case for case in wanted if case.name == options.toy), device)
        cuda_module.write_reports()
        os._exit(0)  # at once: what is written twice would count twice
    results: dict[str, Any] = {"machine": machine(device)}
    if STAND_IN in results["machine"]["device"]["name"]:
        results["counts"] = [counted(case, device) for case in wanted]
    else:
        if not options.no_agreement:
            agreement()
        results["bandwidth"] = chosen.bandwidth()
        results["kernels"] = [
            time_case(case, device, options.rows, options.turns, results["bandwidth"]["read"]) for case in wanted
        ]
        results["jobs"] = time_job(device, options.rows // 10, options.turns)
    name = "cuda-counts.json" if "counts" in results else "cuda.json"
    Path(options.json or HERE.parent / "results" / name).write_text(json.dumps(results, indent=1) + "\n")
    Path(options.page).write_text(page_of(results))
    print(page_of(results))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
