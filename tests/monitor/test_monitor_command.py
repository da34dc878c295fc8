"""`modelwatch run`, `init` and `config`: what they say, what they leave behind, how they end."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import jsonschema
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from patience import PATIENCE
from typer.testing import CliRunner
from watch_makers import World, rows_of, severities

from modelwatch_gpu.cli import app, written
from modelwatch_gpu.monitor import extras
from modelwatch_gpu.monitor.config.model import MonitorConfig
from modelwatch_gpu.monitor.config.reading import parse_yaml
from modelwatch_gpu.monitor.store.engine import open_store


def called(*arguments: str) -> tuple[int, str]:
    written.clear()
    result = CliRunner().invoke(app, list(arguments))
    return result.exit_code, result.output


def test_run_says_what_it_did_and_its_exit_code_what_it_found(world: World) -> None:
    world.config()
    config = str(world.folder / "monitor.yaml")
    assert called("run", config) == (0, "monitor: nothing new.\n")
    world.day(0, rows=300)
    code, said = called("run", config)
    assert code == 0
    assert said.startswith("monitor: 1 file counted.\nmonitor: 1 window judged: ")
    world.day(1, rows=300, shift=3.0)
    code, said = called("run", config)
    assert code == 1
    assert "monitor: 1 window judged: alert 1." in said
    assert "monitor: 2024-03-02: alert: x: The mean went from" in said
    assert called("run", config) == (0, "monitor: nothing new.\n")  # an alert is told once
    world.day(2, rows=300, shift=3.0)
    assert called("run", config, "--fail-on", "never", "--quiet") == (0, "")


def test_a_command_that_ends_leaves_the_store_in_one_file(world: World) -> None:
    world.config()
    world.day(0, rows=300, shift=3.0)
    command = [sys.executable, "-m", "modelwatch_gpu", "run", str(world.folder / "monitor.yaml"), "--quiet"]
    assert subprocess.run(command, check=False).returncode == 1
    assert [path.name for path in world.folder.glob("monitor.db*")] == ["monitor.db"]


def test_status_says_how_a_monitor_stands(world: World) -> None:
    world.config("alerts: {rules: [{name: drift, columns: x}]}")
    config = str(world.folder / "monitor.yaml")
    assert called("status", config) == (0, "monitor: nothing was counted yet.\n")
    world.day(0, rows=300)
    world.day(1, rows=300, shift=3.0)
    called("run", config)
    code, said = called("status", config)
    assert code == 0
    assert "monitor: 2 files counted; 600 rows, the newest of 2024-03-02T" in said
    assert "ended just now" in said or "second" in said
    first, second = (next(line for line in said.splitlines() if line.startswith(day)) for day in said_days(said)[:2])
    assert re.match(r"2024-03-02 +300 +1 +alert +x: The mean went from", first)
    assert second.split()[:4][:3] == ["2024-03-01", "300", "1"]
    assert "Open: 1 alert; see modelwatch alerts list." in said
    code, said = called("status", config, "--json", "--windows", "1")
    (stands,) = json.loads(said)
    assert stands["alerts"] == {"alert": 1, "warning": 0}
    assert [window["worst"]["column"] for window in stands["windows"]] == ["x"]


def said_days(said: str) -> list[str]:
    return re.findall(r"^2024-03-\d\d", said, re.MULTILINE)


def test_a_run_tells_of_ten_windows_at_most(world: World) -> None:
    world.config()
    for day in range(12):
        world.day(day, rows=300, shift=3.0)
    code, said = called("run", str(world.folder / "monitor.yaml"))
    assert code == 1
    assert "monitor: 12 files counted.\nmonitor: 12 windows judged: alert 12." in said
    assert said.count(": alert: ") == 10
    assert "monitor: and 2 more; " in said


def test_run_names_what_it_could_not_read_and_goes_on(world: World) -> None:
    world.config()
    (world.log / "bad.parquet").write_bytes(b"PAR1")
    world.day(0)
    code, said = called("run", str(world.folder / "monitor.yaml"))
    assert code == 0
    assert "1 file counted, 1 unreadable." in said
    assert "bad.parquet is not counted" in said


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("windw: 1d", "line 4, windw: 'windw' is not known here; did you mean 'window'?"),
        ("expectations: none.yaml", "none.yaml: cannot be read"),
        ("store: {url: 'mysql://x/y'}", "cannot be in mysql|not one"),
    ],
)
def test_what_is_wrong_ends_with_2_and_one_line(world: World, more: str, said: str) -> None:
    (world.folder / "monitor.yaml").write_text(f"baseline: baseline.mwb\nlog: {{path: log}}\nreports: {{}}\n{more}\n")
    world.day(0)
    run = subprocess.run(
        [sys.executable, "-m", "modelwatch_gpu", "run", str(world.folder / "monitor.yaml")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 2, run.stderr
    assert re.search(said, run.stderr)
    assert len(run.stderr.strip().splitlines()) == 1


def test_watch_follows_the_log_and_stops_when_asked(world: World) -> None:
    world.config("schedule: {every: 50ms}")
    watcher = subprocess.Popen(
        [sys.executable, "-m", "modelwatch_gpu", "run", str(world.folder / "monitor.yaml"), "--watch"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        for day in range(3):
            world.day(day)
            engine = open_store("sqlite:///monitor.db", folder=world.folder)
            end = time.monotonic() + PATIENCE
            while severities(engine).get(f"2024-03-0{day + 1}") is None:  # judged
                assert time.monotonic() < end
                assert watcher.poll() is None
                time.sleep(0.1)
            engine.dispose()
    finally:
        watcher.send_signal(signal.SIGTERM)
        said, _ = watcher.communicate(timeout=PATIENCE)
    assert watcher.returncode == 0
    # Files that come while one is judged are told with it.
    assert sum(int(count) for count in re.findall(r"(\d+) files? counted", said)) == 3
    assert said.startswith("monitor: looks for new files every 50ms. Ctrl-C ends it.\n")
    assert said.endswith("Stopped; everything that was counted is in the store.\n")


def test_watch_tells_and_goes_on_when_the_log_cannot_be_listed(world: World) -> None:
    (world.folder / "monitor.yaml").write_text(
        "baseline: baseline.mwb\nlog: {path: elsewhere}\nreports: {folder: null}\nschedule: {every: 50ms}\n"
    )
    watcher = subprocess.Popen(
        [sys.executable, "-m", "modelwatch_gpu", "run", str(world.folder / "monitor.yaml"), "--watch"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert watcher.stdout is not None
        assert watcher.stdout.readline() == "monitor: looks for new files every 50ms. Ctrl-C ends it.\n"
        line = watcher.stdout.readline()
        assert "elsewhere does not exist" in line
        assert "Trying again at the next look." in line
        world.add("day.parquet", rows_of(0), folder="elsewhere")
        while "1 file counted" not in line:
            line = watcher.stdout.readline()
            assert line
    finally:
        watcher.send_signal(signal.SIGINT)
        watcher.communicate(timeout=PATIENCE)
    assert watcher.returncode == 0


def test_several_models_run_from_one_config(world: World) -> None:
    (world.folder / "models.yaml").write_text(
        "log: {path: log}\nreports: {folder: null}\nbaseline: baseline.mwb\n"
        "models:\n  all: {}\n  parts: {segments: [kind]}\n"
    )
    world.day(0)
    code, said = called("run", str(world.folder / "models.yaml"), "--fail-on", "never")
    assert code == 0, said
    assert "all: 1 file counted." in said
    assert "parts: 1 file counted." in said
    assert {path.name for path in world.folder.glob("*.db")} == {"all.db", "parts.db"}
    assert called("run", str(world.folder / "models.yaml"), "--model", "parts") == (0, "parts: nothing new.\n")


def test_init_writes_a_config_that_runs(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(world.folder)
    reference = pa.concat_tables([rows_of(day, rows=200) for day in range(-30, 0)])
    pq.write_table(reference, "reference.parquet")
    (world.folder / "baseline.mwb").unlink()
    code, said = called("init", "reference.parquet", "--log", "log", "--id", "row", "--timestamp", "at")
    assert code == 0, said
    assert said.endswith("Wrote baseline.mwb and monitor.yaml. Next: modelwatch run monitor.yaml\n")
    text = Path("monitor.yaml").read_text()
    assert {Path(name).stat().st_mode & 0o077 for name in ("monitor.yaml", "baseline.mwb")} == {0}
    assert "6,000 rows of 30 days" in text
    assert 'such as ["kind"]' in text
    world.day(0, rows=300, shift=3.0)
    assert called("run", "monitor.yaml")[0] == 1
    code, said = called("config", "check", "monitor.yaml")
    assert (code, said) == (0, "monitor.yaml: sound; monitor.\n")
    again = CliRunner().invoke(app, ["init", "reference.parquet"])
    assert again.exit_code == 2
    assert "is there already; --force" in again.stderr


@pytest.mark.parametrize(
    ("rows", "days", "window", "said"),
    [
        (
            12_000,
            3,
            "1w",
            "4,000 rows a day, as in that log, a window of 1w has some 28,000.\n# A shorter one tells sooner",
        ),
        (30_000, 3, "1d", "10,000 rows a day, as in that log, a window of 1d has some 10,000.\nwindow"),
        (9_000, 9, "1mo", "1,000 rows a day, as in that log, a window of 1mo has some 30,000."),
        (90, 9, "1mo", "10 rows a day, as in that log, a window of 1mo has some 300.\n# That is few"),
        (50, 0, "1mo", "With 50 rows a day"),
        (50, None, "null", "The log has no column that says when"),
    ],
)
def test_init_chooses_a_window_by_the_rows_a_day(
    world: World, monkeypatch: pytest.MonkeyPatch, rows: int, days: int | None, window: str, said: str
) -> None:
    monkeypatch.chdir(world.folder)
    table = pa.table({"x": np.arange(rows) % 97, "kind": pa.array(["a", "b"]).take(pa.array(np.arange(rows) % 2))})
    if days is not None:
        at = np.linspace(0, 86_400_000_000 * days, rows, dtype=np.int64)
        table = table.append_column("at", pa.array(at, pa.timestamp("us", "UTC")))
    pq.write_table(table, "reference.parquet")
    when = [] if days is None else ["--timestamp", "at"]
    code, told = called("init", "reference.parquet", "--force", *when)
    assert code == 0, told
    config = MonitorConfig.load("monitor.yaml")
    assert (config.window or "null") == window
    assert said in config.text


def test_init_takes_a_baseline_that_is_there(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(world.folder)
    before = Path("baseline.mwb").read_bytes()
    code, _ = called("init", "baseline.mwb", "--name", "fraud")
    assert code == 0
    assert Path("baseline.mwb").read_bytes() == before
    config = MonitorConfig.load("monitor.yaml")
    assert (config.name, config.baseline, config.timezone) == ("fraud", "baseline.mwb", "UTC")


def test_hostile_names_stay_texts_in_a_written_config(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(world.folder)
    evil = 'kind\nalerts: {x: 1} # "'
    reference = pa.concat_tables([rows_of(day, rows=50) for day in range(-9, 0)])
    named = reference.rename_columns([evil if name == "kind" else name for name in reference.column_names])
    pq.write_table(named, "reference.parquet")
    code, said = called("init", "reference.parquet", "--log", "a: b\n#", "--force")
    assert code == 0, said
    config = MonitorConfig.load("monitor.yaml")
    assert config.log.path == "a: b\n#"
    assert "\nalerts:" not in config.text.replace("# alerts:", "")


def test_every_option_in_the_comments_of_a_written_config_is_one(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each commented section, taken in, is still a config; and every key of configs is there."""
    monkeypatch.chdir(world.folder)
    assert called("init", "baseline.mwb")[0] == 0
    text = Path("monitor.yaml").read_text()
    lines = text.splitlines()
    variables = {
        "STORE_URL": "sqlite:///x.db",
        "SLACK_URL": "slack://a/b/c",
        "HOOK_SECRET": "whsec_" + base64.b64encode(bytes(32)).decode(),
        "MLFLOW_URI": "http://127.0.0.1:9",
    }
    rules: list[str] = []
    offered: set[str] = set()
    for at, line in enumerate(lines):
        bare = line.lstrip()
        if (
            not bare.startswith("# ")
            or ":" not in bare
            or bare[2:3].isupper()
            or bare.startswith(("#   ", "# `", "# or"))
        ):
            continue
        indent = line[: len(line) - len(bare)]
        below = []
        for more in lines[at + 1 :]:
            if not more.startswith(f"{indent}#   "):
                break
            below.append(indent + more.lstrip()[2:])
        key = bare[2:].split(":")[0]
        instead = (f"{key}:", "every:") if key == "cron" else (f"{key}:",)
        own = [one for one in lines if not one.lstrip().startswith(instead)]
        place = own.index(line)
        taken = [*own[:place], indent + bare[2:], *below, *own[place + 1 + len(below) :]]
        if key == "alerts":
            rules = [indent + bare[2:], *below]
        if key == "actions":
            taken += rules  # what they wait for
        MonitorConfig.of(parse_yaml("\n".join(taken), "monitor.yaml", variables))
        offered.add(key)
    written = set(MonitorConfig.load("monitor.yaml").model_fields_set)
    assert written | offered >= set(MonitorConfig.model_fields)


def test_the_schema_is_printed(world: World) -> None:
    code, said = called("config", "schema")
    assert code == 0
    jsonschema.Draft202012Validator.check_schema(json.loads(said))


def test_without_the_extra_one_sentence_names_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.config()
    monkeypatch.setitem(extras.EXTRAS, "monitor", ("nowhere_to_be_found",))
    result = CliRunner().invoke(app, ["run", str(world.folder / "monitor.yaml")])
    assert result.exit_code == 2
    assert "pip install 'modelwatch-gpu[monitor]'" in result.stderr


def test_the_package_loads_without_the_extra() -> None:
    hidden = "import sys\nfor name in ('sqlalchemy', 'croniter', 'apprise', 'httpx'):\n"
    script = hidden + "    sys.modules[name] = None\nimport modelwatch_gpu, modelwatch_gpu.monitor\n"
    script += "from modelwatch_gpu.cli import main\nsys.argv = ['modelwatch', 'version']\nmain()\n"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


def test_secrets_of_the_environment_are_nowhere_in_what_a_monitor_leaves(world: World) -> None:
    secret = "hunter2-hunter2"
    (world.folder / "monitor.yaml").write_text(
        "baseline: baseline.mwb\nlog: {path: log}\nreports: {when: always}\nalerts:\n"
        "  rules: [{name: drift, severity: warning}]\n"
        "  channels: [{name: hook, kind: webhook, url: 'http://127.0.0.1:9/x', headers: {authorization: '${TOKEN}'}}]\n"
    )
    world.day(0, rows=300, shift=4.0)
    run = subprocess.run(
        [sys.executable, "-m", "modelwatch_gpu", "run", str(world.folder / "monitor.yaml")],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "TOKEN": secret},
    )
    assert run.returncode == 1, run.stderr
    assert secret not in run.stdout + run.stderr
    left = [path for path in world.folder.rglob("*") if path.is_file()]
    assert {path.suffix for path in left} >= {".db", ".html", ".yaml"}
    for path in left:
        assert secret.encode() not in path.read_bytes(), path
