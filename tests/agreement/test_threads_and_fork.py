"""The engine's threads among others: forked children, callers side by side, Ctrl-C, and MODELWATCH_THREADS."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from patience import PATIENCE

from modelwatch_gpu import _core, keys
from modelwatch_gpu.errors import InputError

ROWS = 300_000


def total_on(threads: int) -> int:
    """Counts a column of ROWS rows; long enough that every thread gets a stripe."""
    grid = _core.Grid(keys.DOMAINS["int64"], keys.keys_of(np.arange(0, 1000, 7), "int64"))
    values = pa.array(np.arange(ROWS, dtype=np.int64) % 1000)
    return int(_core.count_cells(values, grid, threads).sum())


def _send_total(threads: int, results: multiprocessing.Queue[int]) -> None:
    results.put(total_on(threads))


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_counts_after_its_parent_has_counted() -> None:
    assert total_on(4) == ROWS
    context = multiprocessing.get_context("fork")
    results: multiprocessing.Queue[int] = context.Queue()
    children = [context.Process(target=_send_total, args=(threads, results)) for threads in (1, 4, 7)]
    for child in children:
        child.start()
    assert [results.get(timeout=PATIENCE) for _ in children] == [ROWS] * 3
    for child in children:
        child.join(PATIENCE)
        assert child.exitcode == 0
    assert total_on(4) == ROWS


def test_python_threads_may_count_side_by_side() -> None:
    totals: list[int] = []
    callers = [threading.Thread(target=lambda: totals.extend(total_on(3) for _ in range(5))) for _ in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(30)
    assert totals == [ROWS] * 20


LONG_WORK = {
    "calls of ks": """
        import numpy as np
        import modelwatch_gpu as mw
        reference, current = np.random.default_rng(0).normal(size=(2, 1 << 23))
        # pyarrow imports pandas in its first conversion, and an interrupt that falls into that import is lost.
        mw.stats.ks(reference[:10], current[:10])
        begin()
        while True:
            mw.stats.ks(reference[:100_000], current, threads={threads})
    """,
    "calls of count_cells": """
        import numpy as np
        import pyarrow as pa
        from modelwatch_gpu import _core, keys
        grid = _core.Grid(keys.DOMAINS["int64"], keys.keys_of(np.arange(1 << 18, dtype=np.int64) ** 2, "int64"))
        rows = pa.array(np.random.default_rng(0).integers(0, 1 << 36, 1 << 24))
        begin()
        while True:
            _core.count_cells(rows, grid, {threads})
    """,
    "batches added to a counter": """
        import numpy as np
        import pyarrow as pa
        from modelwatch_gpu import _core, keys
        grid = _core.Grid(keys.DOMAINS["int64"], keys.keys_of(np.arange(100), "int64"))
        empty = np.empty(0, np.uint32)
        maps = dict(to_fine=empty, fine_slots=grid.slots, to_coarse=empty, coarse_slots=0, gap_shift=0)
        plans = [_core.NumericPlan(grid=grid, pivot=0, **maps) for _ in range(16)]
        counter = _core.Counter(plans, [_core.SetPlan(coarse=False, moments=True)])
        batch = pa.RecordBatch.from_arrays([pa.array(np.arange(1 << 20))] * 16, names=[str(i) for i in range(16)])
        begin()
        while True:
            counter.add(batch, [None], {threads})
    """,
}


BEGIN = """
import atexit, time
atexit.register(lambda: print(time.process_time()))
def begin(): print("busy", flush=True)
"""


def cpu_seconds(process: int) -> float:
    """What a process that runs has had of the CPUs."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def interrupted_after(code: str) -> tuple[float, str]:
    """Seconds of a CPU from Ctrl-C to the end of a process that was busy, and the last line it wrote.

    The clock on the wall also has what others do on the machine.
    """
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "busy\n", child.communicate()[1]
        time.sleep(0.2)  # into the work
        asked = cpu_seconds(child.pid)
        child.send_signal(signal.SIGINT)
        taken, errors = child.communicate(timeout=PATIENCE)
        return float(taken) - asked, errors.strip().splitlines()[-1]
    finally:
        child.kill()
        child.wait()


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("work", list(LONG_WORK))
def test_ctrl_c_is_answered_within_two_seconds_of_work_by_keyboard_interrupt(work: str, threads: int) -> None:
    lines = [line[8:] for line in LONG_WORK[work].replace("{threads}", str(threads)).splitlines()]
    code = "\n".join([BEGIN, *lines])
    seconds, last = interrupted_after(code)
    assert last == "KeyboardInterrupt"
    assert seconds < 2


@pytest.mark.parametrize("junk", ["0", "-1", "1025", "two", "2x", "2.5"])
def test_a_number_of_threads_that_makes_no_sense_is_refused_by_name(junk: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELWATCH_THREADS", junk)
    with pytest.raises(InputError, match=f"MODELWATCH_THREADS={junk} "):
        _core.default_threads()


def test_an_instruction_set_this_machine_has_not_is_refused_by_name() -> None:
    code = "from modelwatch_gpu import _core; _core.isa()"
    environment = {**os.environ, "MODELWATCH_ISA": "abacus"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.returncode == 1
    assert "MODELWATCH_ISA=abacus" in done.stderr
    assert "baseline" in done.stderr or "neon" in done.stderr
