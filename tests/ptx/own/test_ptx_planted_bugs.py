"""Each planted bug must be reported with its kind, on its source line; correct kernels must run clean."""

import re
from pathlib import Path

import numpy as np
from building import own_file
from checking import check
from vm import SCHEDULES, VM, PtxError

KERNELS = Path(__file__).resolve().parents[1] / "kernels"


def planted():
    """Kernel name -> [(line, pattern of the message)], empty for a clean kernel."""
    found, kernel = {}, None
    for number, line in enumerate((KERNELS / "bugs.cu").open(), 1):
        if match := re.match(r"KERNEL (\w+)", line):
            kernel = match[1]
            found[kernel] = []
        if kernel and (match := re.search(r"BUG: (.*)", line)):
            found[kernel].append((number, match[1]))
    return found


THREADS = {
    "missing_syncthreads": 128,
    "overwrite_before_all_read": 128,
    "divergent_barrier": 32,
    "shared_overrun": 32,
    "shuffle_outside_mask": 32,
    "missing_syncwarp": 32,
    "write_after_others_read": 32,
    "correct_syncwarp": 32,
    "misaligned_vector": 8,
    "lane_not_in_mask": 32,
    "local_overrun": 32,
    "dynamic_shared_overrun": 32,
    "mask_names_exited_lanes": 32,
}


def test_every_planted_bug_is_reported_on_its_line_and_correct_kernels_run_clean(arch):
    for kernel, bug in planted().items():
        for options in SCHEDULES:
            vm = VM(own_file(f"bugs.{arch}.ptx"))
            vm.options(**options, limit=100000)
            threads = THREADS.get(kernel, 64)
            a = np.arange(256 if kernel != "global_overrun" else threads, dtype=np.int32)
            error = ""
            try:
                vm.launch(kernel, 4 if kernel == "lost_update" else 1, threads, a, np.zeros(256, np.int32), shared=128)
            except PtxError as e:
                error = str(e)
            if bug:
                check(
                    f"{kernel} {arch}",
                    any(re.search(kind, error) and f"bugs.cu:{line})" in error for line, kind in bug),
                    f"{options} expected {bug}, got: {error or 'ran clean'}",
                )
            else:
                check(f"{kernel} {arch}", not error, error)
            if kernel == "mask_names_exited_lanes":
                check(f"{kernel} warns {arch}", any("exited" in w for w in vm.warnings()))
    vm = VM(own_file(f"bugs.{arch}.ptx"))
    sums = []
    for options in SCHEDULES:
        vm.options(**options)
        o = np.zeros(256, np.int32)
        vm.launch("lost_update", 4, 64, np.zeros(4, np.int32), o)
        sums.append(o[0])
    check(f"lost updates show as wrong values {arch}", all(s != 256 for s in sums))
