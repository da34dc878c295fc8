"""What kernels that stream columns ask of memory, by the counters of the PTX machine: sectors of 32 bytes close to the
least, and every value read once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import cuda_module
import pytest
from device_array import runtime

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "ptx"))
import reports

pytestmark = pytest.mark.gpu

#: Of what loads of a column's values could take at least.
MOST = 1.05
#: Where columns are loaded: once for all kernels.
LOADS = "cpp/core/tile_load.hpp"

CHILD = (
    cuda_module.IN_CHILD
    + """
import os, sys
import numpy as np, pyarrow as pa
from modelwatch_gpu import _core, keys
from modelwatch_gpu.device import engine

dtype, rows = sys.argv[1], int(sys.argv[2])
e = engine("cuda:0")
arrays = [pa.array(np.random.default_rng(i).normal(0, 9, rows).astype(dtype)) for i in range(3)]
values = np.arange(-20, 21).astype(dtype)
ends = [] if dtype.startswith("int") else [-np.inf, np.inf]
knots = keys.keys_of(np.sort(np.append(values, np.array(ends, dtype))).astype(dtype), dtype)
grid = _core.Grid(keys.DOMAINS[dtype], knots)
same = np.empty(0, np.uint32)
plan = _core.NumericPlan(
    grid=grid, to_fine=same, fine_slots=grid.slots, to_coarse=same, coarse_slots=0, gap_shift=0, pivot=0
)
sets = [_core.SetPlan(coarse=False, moments=True, sketches=sketches) for sketches in (True, False)]
counter = e.Counter([plan] * 3, sets)
groups = (np.arange(rows) % 3).astype(np.int32)
counter.add(pa.RecordBatch.from_arrays(arrays, names=["a", "b", "c"]), [None, groups])
counter.numeric(0, 0)
e.count_bins_of(arrays, keys.DOMAINS[dtype], [knots] * 3)
e.count_cells(arrays[0], grid)
e.column_moments(arrays[0])
e.column_registers(arrays[0])
e.log_linear_counts(arrays[0])
cuda_module.write_reports()
os._exit(0)  # at once: what is written twice would count twice
"""
)
#: Kernels, how many columns each was given above, and how often it may read a value. The first ranks, adds moments and
#: registers up, and counts into both sets in one read; the last reads a block's first tile once more, for names.
STREAMS = {
    "profile_kernel": (3, 1),
    "count_bins_kernel": (3, 1),
    "count_cells_kernel": (1, 1),
    "column_moments_kernel": (1, 1),
    "registers_kernel": (1, 1),
    "log_linear_kernel": (1, 2),
}


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
def test_columns_stream_and_are_read_once(dtype: str, tmp_path: Path) -> None:
    if not hasattr(runtime(), "ptxWriteReports"):
        pytest.skip("a real device does not count sectors here")
    rows = 8 * 1024 + 29
    file = tmp_path / "counters"
    settings: dict[str, str] = {**os.environ, "PTX_COUNTERS": str(file)}
    settings.pop("PTX_COVERAGE", None)
    subprocess.run([sys.executable, "-c", CHILD, dtype, str(rows)], env=settings, check=True)
    found = reports.counters([file])
    for kernel, (columns, reads) in STREAMS.items():
        loads: list[dict[str, Any]] = [
            line
            for (name, _), record in found.items()
            if kernel in name
            for place, line in record["lines"].items()
            if LOADS in place and line["requests"]
        ]
        sectors, least, read = (sum(line[name] for line in loads) for name in ("sectors", "ideal_sectors", "bytes"))
        assert 0 < sectors <= MOST * least, kernel
        values = rows * columns * (4 if dtype == "float32" else 8)
        assert values <= read <= reads * values, kernel
