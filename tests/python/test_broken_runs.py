"""Runs that are stopped from outside: Ctrl-C at any moment, a full disk, a file that may not be read, a fork."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from patience import PATIENCE

import modelwatch_gpu as mw

COMMAND = [sys.executable, "-m", "modelwatch_gpu"]


def log(rows: int = 3000) -> pa.Table:
    rng = np.random.default_rng(3)
    return pa.table({"x": rng.normal(size=rows), "text": rng.choice(["a", "b"], rows)})


@pytest.mark.parametrize("module", ["numpy", "pyarrow", "typer"])
def test_ctrl_c_while_the_command_imports_is_one_line_and_exit_code_3(module: str, tmp_path: Path) -> None:
    # A module of that name which takes its time, found before the real one.
    (tmp_path / f"{module}.py").write_text("import time\nprint('importing', flush=True)\ntime.sleep(3000)\n")
    path = os.pathsep.join([str(tmp_path), *(p for p in [os.environ.get("PYTHONPATH")] if p)])
    running = subprocess.Popen(
        [*COMMAND, "version"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert running.stdout is not None
        assert running.stdout.readline() == "importing\n"
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=PATIENCE)
    finally:
        running.kill()
    assert (running.returncode, err) == (3, "modelwatch: interrupted; nothing was written.\n")


def test_importing_the_package_leaves_ctrl_c_to_the_program_that_does() -> None:
    # Its own handler first: a shell's job in the background starts with Ctrl-C ignored, and so does what it starts.
    code = (
        "import signal; own = lambda *_: None; signal.signal(signal.SIGINT, own); "
        "import modelwatch_gpu; assert signal.getsignal(signal.SIGINT) is own"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_ctrl_c_during_fit_and_compare_leaves_whole_files_or_none(tmp_path: Path) -> None:
    pq.write_table(log(), tmp_path / "log.parquet")
    fit = [*COMMAND, "fit", "log.parquet", "-o", "b.mwb", "-q"]
    compare = [*COMMAND, "compare", "b.mwb", "log.parquet", "--json", "r.json", "--html", "r.html", "-q"]
    for command, outputs in ((fit, ["b.mwb"]), (compare, ["r.json", "r.html"])):
        began = time.monotonic()
        subprocess.run(command, cwd=tmp_path, check=True)
        seconds = time.monotonic() - began
        whole = {name: (tmp_path / name).read_bytes() for name in outputs}
        for share in (0.3, 0.85):
            for name in outputs:
                (tmp_path / name).write_bytes(b"what was there before")
            running = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
            time.sleep(seconds * share)
            running.send_signal(signal.SIGINT)
            _, err = running.communicate(timeout=PATIENCE)
            assert running.returncode in (0, 3, -signal.SIGINT), err
            assert "Traceback" not in err
            found = [(tmp_path / name).read_bytes() for name in outputs]
            assert found in ([b"what was there before"] * len(outputs), list(whole.values()))
            assert not [p for p in tmp_path.iterdir() if p.suffix == ".part"]
        for name, content in whole.items():
            (tmp_path / name).write_bytes(content)


FULL = """
import resource, sys
import modelwatch_gpu.profile.fileio as fileio
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    fileio.write_file(sys.argv[1], b"x" * 5000)
except fileio.OutputError as error:
    print(error)
"""


def test_a_disk_that_is_full_leaves_the_old_file_whole_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "old.mwb"
    path.write_bytes(b"old")
    done = subprocess.run([sys.executable, "-c", FULL, str(path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"{path}: cannot be written (File too large)." in done.stdout
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {"old.mwb": b"old"}


def test_a_device_that_is_full_is_refused_and_is_still_there() -> None:
    done = subprocess.run(
        [*COMMAND, "demo", "-q", "--html", "/dev/full"], capture_output=True, text=True, env={**os.environ}
    )
    assert done.returncode == 2
    assert "/dev/full: cannot be written" in done.stderr
    assert Path("/dev/full").is_char_device()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_baseline_without_permission_is_refused_by_name(tmp_path: Path) -> None:
    mw.Baseline.fit(log()).save(tmp_path / "b.mwb")
    (tmp_path / "b.mwb").chmod(0)
    with pytest.raises(mw.InputError, match=r"b\.mwb: cannot be read \(Permission denied\)"):
        mw.Baseline.load(tmp_path / "b.mwb")


def _compared(path: str, results: Any) -> None:
    results.put(mw.compare(path, log()).to_json())


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_process_started_after_the_engine_was_used_gives_the_same_report(method: str, tmp_path: Path) -> None:
    path = str(tmp_path / "b.mwb")
    mw.Baseline.fit(log()).save(path)
    own = mw.compare(path, log()).to_json()
    context = multiprocessing.get_context(method)
    results = context.Queue()
    child = context.Process(target=_compared, args=(path, results))
    child.start()
    assert results.get(timeout=PATIENCE) == own
    child.join(PATIENCE)
    assert child.exitcode == 0
    assert mw.compare(path, log()).to_json() == own
