"""Each planted bug must be reported with its kind, on its source line; correct kernels must run clean."""

import numpy as np
from building import own_file
from checking import check
from planted import is_reported, planted, report_of
from vm import SCHEDULES, VM

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
    for kernel, bugs in planted("bugs.cu").items():
        for options in SCHEDULES:
            vm = VM(own_file(f"bugs.{arch}.ptx"))
            vm.options(**options, limit=100000)
            threads = THREADS.get(kernel, 64)
            a = np.arange(256 if kernel != "global_overrun" else threads, dtype=np.int32)
            blocks = 4 if kernel == "lost_update" else 1
            report = report_of(vm, kernel, blocks, threads, a, np.zeros(256, np.int32), shared=128)
            check(f"{kernel} {arch}", is_reported("bugs.cu", bugs, report), f"{options} expected {bugs}, got: {report}")
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


def test_races_in_global_memory_are_reported_on_their_line_and_ordered_accesses_are_not(arch):
    for kernel, bugs in planted("races.cu").items():
        for options in SCHEDULES:
            vm = VM(own_file(f"races.{arch}.ptx"))
            vm.options(**options, limit=100000, races="global")
            report = report_of(vm, kernel, 4, 64, np.arange(256, dtype=np.int32), np.zeros(4096, np.int32))
            check(
                f"{kernel} {arch}", is_reported("races.cu", bugs, report), f"{options} expected {bugs}, got: {report}"
            )


def test_a_race_names_the_other_access_too(arch):
    vm = VM(own_file(f"races.{arch}.ptx"))
    vm.options(races="global")
    report = report_of(vm, "blocks_overlap", 2, 1, np.arange(256, dtype=np.int32), np.zeros(64, np.int32))
    (line, _), *_ = planted("races.cu")["blocks_overlap"]
    check("other", "by thread 0 of block 0, PTX line" in report and report.count(f"races.cu:{line})") == 2, report)
    check("where", "0 bytes into an allocation of 256 bytes" in report, report)


def test_races_in_global_memory_are_not_looked_for_unless_asked(arch):
    vm = VM(own_file(f"races.{arch}.ptx"))
    check("off", not report_of(vm, "blocks_overlap", 4, 64, np.arange(256, dtype=np.int32), np.zeros(4096, np.int32)))


def test_a_launch_orders_what_comes_before_it(arch):
    vm = VM(own_file(f"races.{arch}.ptx"))
    vm.options(races="global")
    out = np.zeros(4096, np.int32)
    for _ in range(2):
        for kernel in ("every_thread_its_own", "exchange_with_barrier", "atomic_update"):
            report = report_of(vm, kernel, 4, 64, np.arange(256, dtype=np.int32), out)
            check(kernel, not report, report)
