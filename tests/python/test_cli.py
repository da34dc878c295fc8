"""The command as a person or a scheduler meets it: outputs, exit codes, and one line for whatever goes wrong."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from patience import PATIENCE

import modelwatch_gpu as mw
from modelwatch_gpu import cli

Outcome = subprocess.CompletedProcess[str]
ARGUMENTS = ["--timezone", "America/New_York", "--ignore", "arr_delay_min"]


def run(*args: Any, cwd: Path, **environment: str) -> Outcome:
    """The command in a process of its own, as a pipe sees it."""
    return subprocess.run(
        [sys.executable, "-m", "modelwatch_gpu", *map(str, args)],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=PATIENCE,
    )


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def call(here: Path, capfd: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """The command in this process, which saves its start: for the many ways to get an error."""

    def go(*args: Any) -> Outcome:
        cli.written.clear()
        before = sys.argv
        sys.argv = ["modelwatch", *map(str, args)]
        try:
            with pytest.raises(SystemExit) as end:
                cli.main()
        finally:
            sys.argv = before
        out, err = capfd.readouterr()
        code = end.value.code
        return subprocess.CompletedProcess(args, code if isinstance(code, int) else 0, out, err)

    return go


@pytest.fixture(scope="module")
def baseline(tmp_path_factory: pytest.TempPathFactory, flights: Any) -> Path:
    path = tmp_path_factory.mktemp("baseline") / "flights.mwb"
    done = run("fit", flights.reference, "-o", path, *ARGUMENTS, "-q", cwd=path.parent)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return path


def is_one_line(done: Outcome, *says: str) -> None:
    """An error for people: code 2, one line that begins with our name, nothing else."""
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert re.fullmatch(r"modelwatch: .+\n", done.stderr), done.stderr
    for text in says:
        assert text in done.stderr


# ---- what works ------------------------------------------------------------------------------------------------------


def test_demo_writes_the_report_says_where_and_ends_with_0_whatever_it_finds(here: Path) -> None:
    done = run("demo", "--json", "demo.json", cwd=here)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert re.fullmatch(r"\d+ of 24 columns changed, \d+ of them beyond the alert threshold\.", lines[0])
    assert lines[-1] == "Wrote report.html and demo.json. Open report.html in a browser for the whole report."
    assert "temp" in lines[4]
    assert "Jul 2013" in lines[4]
    assert (here / "report.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    report = json.loads((here / "demo.json").read_text())
    assert len(report["windows"]) == 9
    assert not report["ok"]
    assert sorted(os.listdir(here)) == ["demo.json", "report.html"]


def test_fit_says_what_it_took_the_columns_for_and_equal_data_give_equal_bytes(
    here: Path, flights: Any, baseline: Path
) -> None:
    done = run("fit", flights.reference, "-o", "again.mwb", *ARGUMENTS, "--threads", 1, cwd=here)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Column 'label' is taken as label because of its name" in done.stdout
    assert re.search(
        r"Wrote again\.mwb: 77,911 rows, 25 columns \(.* numeric ones exact\), [\d.]+ [KM]iB\.\n$", done.stdout
    )
    assert (here / "again.mwb").read_bytes() == baseline.read_bytes()


def test_compare_ends_with_1_on_alerts_and_what_fail_on_says_else(
    call: Any, here: Path, baseline: Path, flights: Any
) -> None:
    (here / "calm.toml").write_text('[[checks]]\nmeasure = "ks"\ncolumns = "distance"\nwarn = 0.001\nalert = 0.9\n')
    alerts = [baseline, flights.months[0], "-q"]
    warnings = [*alerts, "--checks", "calm.toml"]
    codes = {
        ("alerts", level): call("compare", *alerts, "--fail-on", level).returncode
        for level in ("never", "warning", "alert")
    } | {
        ("warnings", level): call("compare", *warnings, "--fail-on", level).returncode
        for level in ("never", "warning", "alert")
    }
    assert codes == {
        ("alerts", "never"): 0,
        ("alerts", "warning"): 1,
        ("alerts", "alert"): 1,
        ("warnings", "never"): 0,
        ("warnings", "warning"): 1,
        ("warnings", "alert"): 0,
    }
    assert call("compare", *alerts).returncode == 1


def test_a_log_like_its_baseline_ends_with_0_and_says_so(call: Any, flights: Any, baseline: Path) -> None:
    done = call("compare", baseline, flights.reference)
    assert done.returncode == 0
    assert done.stdout.startswith("None of 24 columns changed.\n")
    assert done.stdout.endswith("--html FILE writes the whole report as a page.\n")


def test_quiet_prints_nothing_and_still_writes(here: Path, baseline: Path, flights: Any) -> None:
    done = run("compare", baseline, flights.months[0], "-q", "--json", "a.json", "--html", "a.html", cwd=here)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")
    assert sorted(os.listdir(here)) == ["a.html", "a.json"]


def test_json_on_standard_output_is_one_object_and_nothing_else(call: Any, baseline: Path, flights: Any) -> None:
    done = call("compare", baseline, flights.months[0], "--json", "-")
    assert done.returncode == 1
    assert json.loads(done.stdout)["rows"] == 28330


def test_by_judges_every_value_of_a_column_apart(call: Any, here: Path, baseline: Path, flights: Any) -> None:
    done = call("compare", baseline, *flights.months[:2], "--by", "origin", "--window", "1mo", "--json", "by.json")
    assert done.returncode == 1
    assert "origin = JFK" in done.stdout
    found = json.loads((here / "by.json").read_text())
    assert found["segments"] == ["origin"]
    assert {f["segment"]["origin"] for f in found["findings"] if f["segment"]} == {"EWR", "JFK", "LGA"}


def test_a_pattern_a_folder_and_a_list_are_the_same_log(call: Any, here: Path, baseline: Path, flights: Any) -> None:
    for month in flights.months[:2]:
        (here / "logs").mkdir(exist_ok=True)
        (here / "logs" / month.name).write_bytes(month.read_bytes())
    texts = []
    for log in (["logs/*.parquet"], ["logs"], sorted(Path("logs").iterdir())):
        texts.append(call("compare", baseline, *log, "--json", "-").stdout)
    assert texts[0] == texts[1] == texts[2]


def test_checks_from_a_file_replace_the_default_ones(call: Any, here: Path, baseline: Path, flights: Any) -> None:
    (here / "checks.json").write_text('[{"measure": "psi", "columns": ["temp", "dewp"], "alert": 0.25}]')
    done = call("compare", baseline, flights.months[0], "--checks", "checks.json", "--json", "-")
    assert {(f["check"], f["column"]) for f in json.loads(done.stdout)["findings"]} == {
        ("psi", "temp"),
        ("psi", "dewp"),
    }


def test_a_reference_log_may_stand_for_its_baseline(call: Any, flights: Any) -> None:
    done = call("compare", flights.reference, flights.months[0], "--window", "1mo", "--timezone", "America/New_York")
    assert done.returncode == 1
    assert "columns changed" in done.stdout


@pytest.mark.parametrize("args", [["--version"], ["version"]])
def test_the_version_is_one_word(args: list[str], here: Path) -> None:
    done = run(*args, cwd=here)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{mw.__version__}\n", "")


def test_doctor_says_what_is_there_and_its_selftest_passes(call: Any) -> None:
    done = call("doctor", "--selftest")
    assert done.returncode == 0
    assert mw.__version__ in done.stdout
    assert "built without the CUDA backend" in done.stdout or "built by nvcc" in done.stdout
    assert "DIFFERS" not in done.stdout
    assert done.stdout.endswith("The engine agrees with its reference.\n")


def test_doctor_ends_with_3_where_the_engine_is_wrong(call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli.doctor_report, "selftest", lambda device: [("rank counts", False)])
    done = call("doctor", "--selftest")
    assert done.returncode == 3
    assert "DIFFERS" in done.stdout
    assert "do not trust" in done.stderr or "cannot be trusted" in done.stderr


# ---- help ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [[], ["fit"], ["compare"], ["demo"], ["doctor"], ["version"]])
def test_help_names_the_exit_codes(command: list[str], call: Any) -> None:
    done = call(*command, "--help")
    assert done.returncode == 0
    text = " ".join(done.stdout.split())
    assert "Exit codes: 0 done; 1 alerts (compare, validate and run, see --fail-on); 2 bad input" in text
    assert "3 interrupted or broken." in text


@pytest.mark.parametrize("command", [[], ["compare"], ["fit"]])
def test_a_command_without_its_arguments_shows_how_to_use_it(command: list[str], call: Any) -> None:
    done = call(*command)
    assert done.returncode == 2
    text = done.stdout + done.stderr
    assert "Usage: modelwatch" in text
    if command == ["compare"]:
        assert "modelwatch compare baseline.mwb 'production/*.parquet' --window 1mo --html report.html" in text


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["frobnicate"], "No such command 'frobnicate'"),
        (["--nonsense", "demo"], "No such option: --nonsense"),
        (["compare", "a.mwb"], "Missing argument 'LOG"),
        (["demo", "--nonsense"], "No such option: --nonsense"),
        (["demo", "--threads", "-1"], "--threads"),
        (["compare", "a.mwb", "b.parquet", "--fail-on", "sometimes"], "'never', 'warning', 'alert'"),
    ],
)
def test_a_wrong_call_ends_with_2_and_says_what_is_wrong_in_one_line(args: list[str], says: str, call: Any) -> None:
    done = call(*args)
    is_one_line(done, says)
    command = " ".join(["modelwatch", *args[:1]]) if args[0] in ("compare", "demo") else "modelwatch"
    assert done.stderr.endswith(f"; see {command} --help.\n")


# ---- bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--label", "nobody"], "'nobody'"),
        (["--timezone", "Mars/Olympus"], "'Mars/Olympus'"),
        (["--device", "cuda"], "device='cuda' is not available"),
        (["--device", "abacus"], "'abacus' is unknown"),
        (["--roles", "nowhere.toml"], "nowhere.toml"),
        (["--exact-up-to", "1"], "exact_up_to"),
        (["--score", "score", "--label", "score"], "score"),
    ],
)
def test_fit_refuses_an_option_in_one_line(options: list[str], says: str, call: Any, here: Path, flights: Any) -> None:
    is_one_line(call("fit", flights.reference, "-o", "b.mwb", *options), says)
    assert os.listdir(here) == []


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--window", "5"], "The window '5' is not known"),
        (["--window", "1mo", "--timezone", "Mars/Olympus"], "'Mars/Olympus'"),
        (["--by", "nobody"], "Cannot segment by 'nobody'"),
        (["--device", "cuda:1"], "device='cuda:1' is not available"),
        (["--memory", "plenty"], "memory='plenty' is not a size"),
        (["--memory", "1KB"], "raise memory="),
        (["--checks", "nowhere.toml"], "nowhere.toml: cannot be read"),
        (["--checks", "bad.toml"], "There is no measure 'kss'; did you mean 'ks'?"),
        (["--checks", "text.parquet"], "not a TOML, JSON or YAML file of checks"),
    ],
)
def test_compare_refuses_an_option_in_one_line(
    options: list[str], says: str, call: Any, here: Path, baseline: Path, flights: Any
) -> None:
    (here / "bad.toml").write_text('[[checks]]\nmeasure = "kss"\nwarn = 0.1\n')
    (here / "text.parquet").write_text("hello\n")
    is_one_line(call("compare", baseline, flights.months[0], *options, "--html", "r.html", "--json", "r.json"), says)
    assert sorted(os.listdir(here)) == ["bad.toml", "text.parquet"]


def test_files_that_are_not_what_their_name_says_are_refused_by_name(
    call: Any, here: Path, baseline: Path, flights: Any
) -> None:
    (here / "text.parquet").write_text("hello\n")
    (here / "short.mwb").write_bytes(baseline.read_bytes()[:1000])
    flipped = bytearray(baseline.read_bytes())
    flipped[len(flipped) // 2] ^= 1
    (here / "flipped.mwb").write_bytes(bytes(flipped))
    (here / "log.csv").write_text("a,b\n1,2\n3\n")
    is_one_line(call("compare", baseline, "nowhere.parquet"), "nowhere.parquet does not exist")
    is_one_line(call("compare", baseline, "no*.parquet"), "No file matches the pattern 'no*.parquet'")
    is_one_line(call("compare", baseline, "text.parquet"), "text.parquet")
    is_one_line(call("compare", baseline, "log.csv"), "log.csv, row 3, has 1 cells where the header has 2")
    is_one_line(call("compare", "nowhere.mwb", flights.months[0]), "nowhere.mwb: cannot be read")
    is_one_line(call("compare", "short.mwb", flights.months[0]), "short.mwb")
    is_one_line(call("compare", "flipped.mwb", flights.months[0]), "flipped.mwb")
    is_one_line(call("fit", "text.parquet", "-o", "b.mwb"), "text.parquet")


@pytest.mark.parametrize(
    ("name", "value", "command"),
    [
        ("MODELWATCH_ISA", "quantum", ["demo"]),
        ("MODELWATCH_THREADS", "many", ["demo"]),
        ("MODELWATCH_DEVICE", "cuda", ["demo"]),
        ("MODELWATCH_MEMORY", "plenty", ["doctor"]),
    ],
)
def test_a_wrong_environment_variable_is_named_and_no_file_is_blamed(
    name: str, value: str, command: list[str], here: Path
) -> None:
    done = run(*command, cwd=here, **{name: value})
    is_one_line(done, value)
    assert ".parquet" not in done.stderr
    assert os.listdir(here) == []


def test_a_hostile_name_cannot_command_the_terminal(call: Any, here: Path) -> None:
    name = "a\x1b]0;owned\x07\nb"
    for file, low in (("old", 0), ("new", 500)):
        pq.write_table(pa.table({name: pa.array(range(low, low + 1000))}), here / f"{file}.parquet")
    done = call("compare", "old.parquet", "new.parquet")
    assert done.returncode == 1
    assert "\x1b" not in done.stdout
    assert r"a\x1b]0;owned\x07\nb" in done.stdout


# ---- outputs that cannot be written ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--html", "nowhere/r.html"], "there is no folder nowhere"),
        (["--html", "ok.html", "--json", "nowhere/r.json"], "there is no folder nowhere"),
        (["--json", "folder"], "it is a folder"),
        (["--html", "/dev/null"], "not a regular file"),
    ],
)
def test_an_output_that_cannot_be_written_is_refused_before_the_work_and_nothing_is_left(
    options: list[str], says: str, call: Any, here: Path, baseline: Path, flights: Any
) -> None:
    (here / "folder").mkdir()
    is_one_line(call("compare", baseline, flights.months[0], *options), says)
    assert os.listdir(here) == ["folder"]
    assert os.listdir(here / "folder") == []


def test_a_disk_that_fails_late_leaves_the_old_file_and_nothing_else(
    call: Any, here: Path, flights: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "b.mwb").write_text("old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    is_one_line(
        call("fit", flights.reference, "-o", "b.mwb", "-q"), "b.mwb: cannot be written (No space left on device)"
    )
    assert os.listdir(here) == ["b.mwb"]
    assert (here / "b.mwb").read_text() == "old"


# ---- interrupted -----------------------------------------------------------------------------------------------------


@pytest.fixture
def slow_demo(here: Path) -> Iterator[subprocess.Popen[str]]:
    """A demo that has begun to read and is in no hurry."""
    script = (
        "import sys, time\n"
        "from modelwatch_gpu import cli, demo\n"
        "def slow(**options):\n"
        "    print('reading', flush=True)\n"
        "    time.sleep(3000)\n"
        "demo.run = slow\n"
        "sys.argv = ['modelwatch', 'demo']\n"
        "cli.main()\n"
    )
    running = subprocess.Popen(
        [sys.executable, "-c", script], cwd=here, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert running.stdout is not None
    assert running.stdout.readline() == "reading\n"
    yield running
    running.kill()
    running.communicate()


def test_ctrl_c_ends_with_3_in_one_line_and_nothing_is_half_written(
    here: Path, slow_demo: subprocess.Popen[str]
) -> None:
    slow_demo.send_signal(signal.SIGINT)
    out, err = slow_demo.communicate(timeout=PATIENCE)
    assert slow_demo.returncode == 3
    assert (out, err) == ("", "modelwatch: interrupted; nothing was written.\n")
    assert os.listdir(here) == []


def test_ctrl_c_at_any_moment_leaves_a_whole_file_or_none(here: Path) -> None:
    began = time.monotonic()
    assert run("demo", "-q", cwd=here).returncode == 0
    whole, seconds = (here / "report.html").read_bytes(), time.monotonic() - began
    (here / "report.html").unlink()
    for share in (0.55, 0.75, 0.9, 0.97):
        running = subprocess.Popen(
            [sys.executable, "-m", "modelwatch_gpu", "demo", "-q"], cwd=here, stderr=subprocess.PIPE, text=True
        )
        time.sleep(seconds * share)
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=PATIENCE)
        assert running.returncode in (0, 3, -signal.SIGINT), err
        assert os.listdir(here) in ([], ["report.html"])
        if (here / "report.html").exists():
            assert (here / "report.html").read_bytes() == whole
            (here / "report.html").unlink()


def test_a_reader_that_goes_away_is_no_traceback_and_no_alert(here: Path) -> None:
    running = subprocess.Popen(
        [sys.executable, "-m", "modelwatch_gpu", "demo"], cwd=here, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert running.stdout is not None
    assert running.stderr is not None
    running.stdout.close()
    err = running.stderr.read()
    assert running.wait(timeout=PATIENCE) == 3
    assert err == b""


def test_a_bug_of_ours_ends_with_3_and_says_how_to_see_more(
    call: Any, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(**options: Any) -> None:
        raise RuntimeError("an example")

    monkeypatch.setattr(cli.demo_run, "run", broken)
    done = call("demo")
    assert done.returncode == 3
    assert done.stderr == "modelwatch: unexpected RuntimeError: an example (set MODELWATCH_DEBUG=1 for the details)\n"
    monkeypatch.setenv("MODELWATCH_DEBUG", "1")
    assert "Traceback" in call("demo").stderr
    assert os.listdir(here) == []


# ---- on a terminal ---------------------------------------------------------------------------------------------------


def test_a_terminal_sees_progress_and_a_pipe_does_not(here: Path) -> None:
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    running = subprocess.Popen(
        [sys.executable, "-m", "modelwatch_gpu", "demo"],
        cwd=here,
        stdout=subprocess.PIPE,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "100"},
    )
    os.close(theirs)
    seen = b""
    try:
        while chunk := os.read(ours, 65536):
            seen += chunk
    except OSError:  # Linux: the other end has closed
        pass
    finally:
        os.close(ours)
    out, _ = running.communicate(timeout=PATIENCE)
    assert running.returncode == 0
    assert "comparing April to December" in seen.decode()
    assert "comparing" not in out.decode()
    assert "\x1b" not in out.decode()
