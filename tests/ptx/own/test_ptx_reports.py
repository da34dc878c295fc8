"""What is reported of each line and kernel: executions, requests and sectors, in one process and over several."""

from __future__ import annotations

import json
import os
import re
import subprocess

import building
import numpy as np
import pytest
import reports
from building import own_file
from checking import check
from planted import KERNELS
from vm import VM

SOURCE = KERNELS / "lines.cu"


def line_of(name):
    """The line of lines.cu that is marked with a name."""
    return next(i for i, text in enumerate(SOURCE.read_text().splitlines(), 1) if text.endswith(f"// LINE {name}"))


def by_mark(vm, kernel, name):
    """The record of a marked line, None if the kernel has no instruction for it."""
    return {line: record for (file, line), record in vm.lines(kernel).items() if file.endswith("lines.cu")}.get(
        line_of(name)
    )


def sector_aligned(count):
    """Zeros whose first byte starts a sector of 32 bytes."""
    space = np.zeros(count + 8, np.int32)
    start = -(space.ctypes.data // 4) % 8
    return space[start : start + count]


def test_lines_say_what_ran_where_it_was_written_and_where_it_was_inlined(arch):
    vm = VM(own_file(f"lines.{arch}.ptx"))
    a, out = sector_aligned(256), sector_aligned(256)
    check("nothing yet", by_mark(vm, "branches", "streaming")["executions"] == 0)
    vm.launch("branches", 4, 64, a, out, 256)
    check("run", by_mark(vm, "branches", "streaming")["executions"] == 8)
    check("inlined", by_mark(vm, "branches", "inlined")["executions"] == 8)
    check("inlined into", by_mark(vm, "branches", "store")["executions"] == 8)
    check("never", by_mark(vm, "branches", "never")["executions"] == 0)
    check("called", by_mark(vm, "branches", "called")["executions"] == 0)
    check("of another kernel", by_mark(vm, "branches", "strided") is None)
    vm.launch("branches", 1, 64, a, out, 12345)
    check("now", by_mark(vm, "branches", "never")["executions"] == 2)
    check("called now", by_mark(vm, "branches", "called")["executions"] == 2)
    vm.reset_coverage()
    check("forgotten", by_mark(vm, "branches", "streaming")["executions"] == 0)


def test_lines_say_what_their_requests_cost(arch):
    vm = VM(own_file(f"lines.{arch}.ptx"))
    a, out = sector_aligned(4096), sector_aligned(256)
    totals = vm.launch("branches", 4, 64, a, out, 256)
    want = {"executions": 8, "requests": 8, "sectors": 32, "ideal_sectors": 32, "bytes": 1024}
    check("streaming", by_mark(vm, "branches", "streaming") == want, str(by_mark(vm, "branches", "streaming")))
    check("loads", totals["load_requests"] == 8 and totals["load_sectors"] == totals["load_ideal_sectors"] == 32)
    check("bytes", totals["load_bytes"] == totals["store_bytes"] == 1024, str(totals))
    vm.launch("strided", 1, 64, a, out, 8)
    strided = by_mark(vm, "strided", "strided")
    # 64 loads of a sector each, and the store beside them in 8 sectors.
    check("strided", (strided["sectors"], strided["ideal_sectors"]) == (64 + 8, 8 + 8), str(strided))
    totals = vm.launch("wide", 1, 64, a, out)
    record = by_mark(vm, "wide", "wide")
    check("wide", (record["requests"], record["sectors"], record["bytes"]) == (2, 32, 1024), str(record))
    check("wide loads", totals["load_sectors"] == 32 and totals["load_ideal_sectors"] == 32)


def run_devices_test(front_end, **settings):
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PTX_")}
    command = [building.own_file(f"devices_test.{front_end}")]
    # Memory that was given back is overwritten, so that a report which reads some at exit is found out.
    environment |= {"PTX_QUIET": "1", "PTX_DEVICES": "2", "MALLOC_PERTURB_": "165"} | {
        key: str(value) for key, value in settings.items()
    }
    subprocess.run(command, env=environment, check=True, capture_output=True)


def test_coverage_of_several_processes_is_put_together(front_end, tmp_path):
    file = tmp_path / "coverage"
    run_devices_test(front_end, PTX_COVERAGE=file)
    run_devices_test(front_end, PTX_COVERAGE=file, PTX_DEVICES=0)  # runs nothing, but has the same lines
    source = "tests/ptx/own/devices_test.cu"
    found = reports.coverage([file])
    check("the program's own file", source in found, str(list(found)))
    text = (reports.ROOT / source).read_text().splitlines()
    kernels = [i for i, line in enumerate(text, 1) if "atomicAdd(at, 1)" in line or "mark = value" in line]
    check("lines", set(kernels) <= found[source].run, str(found[source]))
    check("all ran", found[source].percent == 100.0, str(found[source].missing))
    check("only under", not reports.coverage([file], under=["cuda"]))
    check("table", re.search(rf"{source} +\d+ +\d+ +100\.0", reports.table(found)) is not None)
    names = {record["name"] for record in reports.records([file])}
    check("readable names", "add_one(int const*, int*, int)" in names, str(names))


def test_lines_never_run_lower_the_coverage_unless_explained(tmp_path):
    source = tmp_path / "k.cu"
    source.write_text("one\ntwo\nthree // uncovered: needs a second machine\nfour\n")
    file = tmp_path / "coverage"
    record = {"kernel": "k", "target": "sm_75"}
    first = {**record, "files": {str(source): {"1": 5, "2": 0, "3": 0}}}
    second = {**record, "target": "sm_100", "files": {str(source): {"2": 0, "4": 1}, "/elsewhere/h.cuh": {"9": 0}}}
    file.write_text(f"{json.dumps(first)}\n{json.dumps(second)}\n")
    found = reports.coverage([file], root=tmp_path)
    check("files", list(found) == ["k.cu"])
    check("missing", found["k.cu"].missing == [2] and found["k.cu"].explained == {3: "needs a second machine"})
    check("percent", reports.total_percent(found) == pytest.approx(200 / 3))
    check("shown", "never run: 2\n  line 3 is never run: needs a second machine" in reports.table(found, missing=True))
    check("nothing of ours", reports.main([str(file)]) == 1)


def test_a_gate_on_coverage_fails_below_its_percentage(front_end, tmp_path, capsys):
    file = tmp_path / "coverage"
    run_devices_test(front_end, PTX_COVERAGE=file, PTX_DEVICES=0)
    check("none ran", reports.main([str(file), "--under", "tests/ptx/own", "--least", "1"]) == 1)
    run_devices_test(front_end, PTX_COVERAGE=file)
    check("all ran", reports.main([str(file), "--under", "tests/ptx/own", "--least", "100", "--missing"]) == 0)
    check("printed", "tests/ptx/own/devices_test.cu" in capsys.readouterr().out)


def test_counters_of_a_process_add_up_by_kernel(front_end, tmp_path):
    file, each = tmp_path / "counters", tmp_path / "each"
    run_devices_test(front_end, PTX_COUNTERS=file)
    run_devices_test(front_end, PTX_COUNTERS=each, PTX_COUNTERS_EACH=1)
    (shared,) = (one for (kernel, _), one in reports.counters([file]).items() if "with_shared" in kernel)
    check("once", shared["launches"] == 1 and shared["threads"] == 32 and shared["name"] == "with_shared(int*)")
    check("traffic", shared["store_bytes"] == 128 and shared["shared_requests"] >= 1, str(shared))
    check("lines", sum(line["bytes"] for line in shared["lines"].values()) == 128, str(shared["lines"]))
    launches = list(reports.records([each]))
    added, summed = reports.counters([each]), reports.counters([file])
    for key, one in summed.items():
        check("the same", {**added[key], "lines": one["lines"]} == one, str(key))
    check("each", len(launches) == sum(one["launches"] for one in summed.values()) > len(summed))
    twice = reports.counters([file, file])
    check("two processes", all(twice[key]["launches"] == 2 * one["launches"] for key, one in summed.items()))
