"""A monitor with alerts from end to end: files come, messages go, a retraining starts; and the commands about them."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import sys
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from servers import Receiver, receiver, wait_until
from sqlalchemy import text
from typer.testing import CliRunner
from watch_makers import NOW, World, rows_of

from modelwatch_gpu.cli import app
from modelwatch_gpu.monitor.actions import start_due
from modelwatch_gpu.monitor.audit import verify_store
from modelwatch_gpu.monitor.clock import FixedClock
from modelwatch_gpu.monitor.config.alerts import Rule
from modelwatch_gpu.monitor.config.model import MonitorConfig
from modelwatch_gpu.monitor.config.triggers import Trigger
from modelwatch_gpu.monitor.runner import Runner
from modelwatch_gpu.monitor.store.engine import open_store
from modelwatch_gpu.profile import Baseline, Profile

HOOK = """
alerts:
  reports: https://reports.example.org
  rules:
    - {{name: drift, columns: x, runbook: "https://wiki.example.org/x"}}
    - {{name: files, columns: "*", checks: [file*, unreadable], group_by: []}}
  channels:
    - {{name: ops, kind: webhook, url: "{url}/hook"}}
"""


@pytest.fixture
def there():
    with receiver() as one:
        yield one


def events(there: Receiver) -> list[tuple[str, str]]:
    return [(one.json["event"], one.json["where"]["window"][:10]) for one in there.taken]


def test_days_come_one_by_one_and_the_one_that_drifted_is_told(world: World, store: str, there: Receiver):
    runner = world.runner(store + HOOK.format(url=there.url), reports="reports", clock=FixedClock(NOW))
    for day, shift in enumerate([0.0, 0.0, 3.0, 3.0, 0.0]):
        world.day(day, rows=400, shift=shift)
        runner.once()
    assert events(there) == [("opened", "2024-03-03"), ("resolved", "2024-03-04")]
    first = there.taken[0].json
    assert first["alert"]["key"] == {"column": "x"}
    assert first["since"].startswith("2024-03-03")
    assert "threshold" in first["how_sure"]
    assert first["report"].startswith("https://reports.example.org/reports/")
    assert Path(world.folder / first["report"].removeprefix("https://reports.example.org/")).is_file()
    # Nothing new: nothing is told.
    runner.once()
    assert len(there.taken) == 2
    # The third day is corrected: what was told of it is taken back by its own name, and no other.
    world.day(2, rows=400, seed=1)
    world.day(3, rows=400, seed=1)
    runner.once()
    assert len(there.taken) == 2


def test_a_message_that_was_refused_comes_with_a_look_that_finds_nothing(world: World, there: Receiver):
    clock = FixedClock(NOW)
    runner = world.runner(HOOK.format(url=there.url), clock=clock)
    there.stop()
    world.day(0, rows=400, shift=3.0)
    runner.once()
    there.start()
    clock.set(NOW + timedelta(hours=2))
    runner.once()
    assert events(there) == [("opened", "2024-03-01")]


def retraining(argv: list[str], rows: int = 20) -> str:
    return HOOK.format(url="http://127.0.0.1:9") + (
        "actions:\n  triggers:\n"
        f"    - {{name: retrain, feedback: {rows}, run: {{kind: command, argv: {json.dumps(argv)}}}}}\n"
    )


def test_a_drifted_day_starts_a_retraining_with_its_evidence_and_a_feedback_set(world: World, store: str):
    runner = world.runner(store + retraining([sys.executable, "-c", "print('trained')"]), reports="reports")
    for day, shift in enumerate([0.0, 3.0]):
        world.day(day, rows=400, shift=shift)
        runner.once()

    def ended() -> bool:
        start_due(runner.engine, runner.config, NOW)
        (folder,) = (world.folder / "evidence").glob("[0-9a-f]*")
        return (folder / "result.json").exists()

    wait_until(ended)
    (folder,) = (world.folder / "evidence").glob("[0-9a-f]*")
    assert json.loads((folder / "result.json").read_text())["exit"] == 0
    assert (folder / "output.log").read_text() == "trained\n"
    (profile,) = (folder / "profiles").glob("*.mwp")
    assert Profile.load(profile).rows == 400
    (window,) = json.loads((folder / "windows.json").read_text())
    assert [(f["path"], f["rows_in_window"]) for f in window["files"]] == [("log/day-001.parquet", 400)]
    feedback = pq.read_table(folder / "feedback.parquet")
    assert feedback.num_rows == 20
    assert set(feedback.column("feedback_file").to_pylist()) == {str(world.folder / "log" / "day-001.parquet")}
    assert {"drifted", "unsure"} <= {r for v in feedback.column("feedback_reason").to_pylist() for r in v.split(",")}
    assert stat.S_IMODE((folder / "feedback.parquet").stat().st_mode) == 0o600


HOSTILE = ["'; DROP TABLE alerts; --", "\x00\x1b[2J\n", "x" * 9_000, "<script>{{.}}</script>", "$(reboot)"]


def test_hostile_values_of_segments_are_only_text_to_stores_and_receivers(world: World, store: str, there: Receiver):
    rules = "rules:\n    - {name: each, segments: each, group_by: [column, segment], columns: x}\n"
    channels = f"  channels:\n    - {{name: ops, kind: webhook, url: '{there.url}'}}\n"
    runner = world.runner(f"{store}\nsegments: [kind]\nalerts:\n  {rules}{channels}")
    table = rows_of(0, rows=2_000, shift=3.0)
    values = pa.array([HOSTILE[i % len(HOSTILE)] for i in range(2_000)])
    world.add("hostile.parquet", table.set_column(table.schema.get_field_index("kind"), "kind", values))
    runner.once()
    keys = [one.json["alert"]["key"]["segment"]["kind"] for one in there.taken]
    assert len(there.taken) == len(HOSTILE)
    assert set(keys) >= {value for value in HOSTILE if len(value) < 1_000}
    assert any(key.startswith("x" * 64 + "… ") for key in keys)
    for one in there.taken:
        assert one.json["title"].isprintable()
        assert all(line.isprintable() for line in one.json["text"].splitlines())
        assert len(one.json["text"]) < 2_000
    # They are known by their names the next time.
    world.add("hostile-2.parquet", table.set_column(table.schema.get_field_index("kind"), "kind", values))
    world.day(1)
    runner.once()
    assert len({one.json["alert"]["id"] for one in there.taken}) == len(HOSTILE)


def command(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, list(arguments))
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture(scope="module")
def drifted_once(tmp_path_factory, month: Baseline) -> Path:
    world = World(tmp_path_factory.mktemp("drifted"), month)
    for day in (0, 1):
        world.day(day, rows=400, shift=3.0)
    Runner(world.config(retraining(["true"])), clock=FixedClock(NOW)).once()
    return world.folder


@pytest.fixture
def drifted(drifted_once: Path, tmp_path: Path) -> str:
    """A monitor with an open alert whose message could not be sent, and a retraining that was started."""
    shutil.copytree(drifted_once, tmp_path / "drifted")
    return str(tmp_path / "drifted" / "monitor.yaml")


def test_the_commands_about_alerts(drifted: str):
    code, out, _ = command("alerts", "list", drifted)
    assert code == 0
    assert "x" in out
    assert "1 message waits for channel ops (tried 1 time, last error: ConnectError" in out
    code, out, _ = command("alerts", "list", drifted, "--json", "--all")
    found = json.loads(out)
    assert [(a["about"], a["status"], a["rule"]) for a in found["alerts"]] == [("x", "open", "drift")]
    assert found["waiting"][0]["messages"] == 1
    code, out, _ = command("alerts", "actions", drifted)
    assert "retrain" in out
    code, out, _ = command("alerts", "actions", drifted, "--json")
    assert json.loads(out)["actions"][0]["request"]["alerts"] == [found["alerts"][0]["id"]]
    code, out, err = command("alerts", "deliver", drifted)
    assert (code, out) == (0, "Sent 0, waiting 1, started 0.\n") or "ops" in err


def test_the_commands_about_silences(drifted: str):
    code, out, _ = command("silence", "list", drifted)
    assert (code, out) == (0, "There are no silences.\n")
    said = ["--for", "2h", "--comment", "known", "--by", "ann"]
    code, out, _ = command("silence", "add", drifted, "--column", "x*", *said)
    assert code == 0
    assert out.endswith("1 open alert matches now.\n")
    code, out, _ = command("silence", "list", drifted, "--json")
    (one,) = json.loads(out)["silences"]
    assert (one["matchers"], one["created_by"], one["comment"]) == ({"column": "x*"}, "ann", "known")
    code, out, _ = command("silence", "end", drifted, one["id"][:6])
    assert code == 0
    assert command("silence", "list", drifted)[1] == "There are no silences.\n"
    code, out, _ = command("silence", "list", drifted, "--all")
    assert "column=x*" in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["silence", "add", "CONFIG", "--for", "2h", "--comment", "x"], "needs something to match"),
        (
            ["silence", "add", "CONFIG", "--rule", "a", "--for", "2 moons", "--comment", "x"],
            "not a length of time",
        ),
        (["silence", "add", "CONFIG", "--segment", "AA", "--for", "2h", "--comment", "x"], "COLUMN=VALUE"),
        (["silence", "end", "CONFIG", "abc"], "No silence has an id"),
        (["alerts", "list", "nowhere.yaml"], "cannot be read"),
        (["feedback", "CONFIG", "-o", "no/where.parquet"], "there is no folder"),
        (["feedback", "CONFIG", "-o", "f.parquet", "--window", "1999"], "There is no window called '1999'"),
        (["feedback", "CONFIG", "-o", "f.parquet", "--reason", "ugly"], "There is no reason 'ugly'"),
    ],
)
def test_what_is_asked_wrongly_ends_with_2_and_one_sentence(drifted: str, arguments, said, monkeypatch):
    monkeypatch.chdir(Path(drifted).parent)
    code, out, err = command(*[drifted if a == "CONFIG" else a for a in arguments])
    assert (code, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1


def test_the_command_that_writes_a_feedback_set(drifted: str, tmp_path: Path):
    target = tmp_path / "to_label.parquet"
    code, out, _ = command("feedback", drifted, "-o", str(target), "--rows", "30", "--window", "2024-03-02")
    assert code == 0
    assert out.startswith(f"Wrote {target}: 30 rows (")
    table = pq.read_table(target)
    assert {os.path.basename(f) for f in table.column("feedback_file").to_pylist()} == {"day-001.parquet"}
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    # By default, the windows of open alerts.
    command("feedback", drifted, "-o", str(target), "--rows", "700", "--reason", "drifted", "-q")
    files = {os.path.basename(f) for f in pq.read_table(target).column("feedback_file").to_pylist()}
    assert files == {"day-000.parquet", "day-001.parquet"}


def test_a_feedback_set_needs_an_open_alert_or_a_window(world: World, tmp_path: Path):
    world.day(0)
    Runner(world.config(HOOK.format(url="http://127.0.0.1:9")), clock=FixedClock(NOW)).once()
    code, _, err = command("feedback", str(world.folder / "monitor.yaml"), "-o", str(tmp_path / "f.parquet"))
    assert code == 2
    assert "No alert is open" in err


ROOT = Path(__file__).parents[2]


def test_the_config_that_the_page_shows_is_read_and_every_setting_is_on_the_page(tmp_path: Path, monkeypatch):
    page = (ROOT / "docs" / "alerts.md").read_text(encoding="utf-8")
    shown = page.split("```yaml\n")[1].split("```")[0]
    (tmp_path / "monitor.yaml").write_text(f"baseline: b.mwb\nlog: {{path: log}}\n{shown}")
    monkeypatch.setenv("SLACK_URL", "slack://a/b/c")
    monkeypatch.setenv("HOOK_SECRET", "whsec_" + "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LTEyMzQ=")
    config = MonitorConfig.load(tmp_path / "monitor.yaml")
    assert [rule.name for rule in config.alerts.rules] == ["drift", "carriers"]
    for section in (Rule, Trigger):
        for name in section.model_fields:
            assert f"{name}:" in shown or f"`{name}`" in page, name


def test_the_page_has_the_options_of_the_commands():
    page = (ROOT / "docs" / "alerts.md").read_text(encoding="utf-8")
    stated = {line.split("`")[1] for line in page.splitlines() if line.startswith("| `modelwatch ")}
    for own in stated:
        words = own.split(" ")
        names = [w for w in words[1:] if w.islower()][:2] if words[1] != "feedback" else ["feedback"]
        code, out, _ = command(*names, "--help")
        assert code == 0
        offered = set(re.findall(r"(--[a-z]+)", out.split("Exit codes")[0])) - {"--help", "--model", "--quiet"}
        assert set(re.findall(r"--[a-z]+", own)) | {"--output"} >= offered, own


def test_an_opened_message_has_the_fields_of_the_page(world: World, there: Receiver):
    world.day(0, rows=400, shift=3.0)
    world.day(1, rows=400)
    Runner(world.config(HOOK.format(url=there.url)), clock=FixedClock(NOW)).once()
    page = (ROOT / "docs" / "alerts.md").read_text(encoding="utf-8")
    table = page.split("As JSON (webhooks):")[1].split("\n\n")[1]
    stated = {name for line in table.splitlines()[2:] for name in re.findall(r"`(\w+)`", line.split("|")[1])}
    assert {key for one in there.taken for key in one.json} | {"why"} == stated | {"why"}


def test_the_audit_says_who_silenced_what(drifted: str):
    said = ["--for", "2h", "--comment", "known", "--by", "ann"]
    assert command("silence", "add", drifted, "--rule", "drift", *said)[0] == 0
    own = MonitorConfig.load(drifted)
    engine = open_store(own.store.url, folder=own.folder)
    assert verify_store(engine).ok
    with engine.connect() as connection:
        (body,) = connection.execute(text("SELECT body FROM audit WHERE kind = 'silence'")).scalars()
        run = connection.execute(text("SELECT body FROM audit WHERE kind = 'run'")).scalars().first()
    told = json.loads(body)
    assert (told["created_by"], told["comment"], told["matchers"]) == ("ann", "known", {"rule": "drift"})
    assert [alert["rule"] for alert in json.loads(run)["alerts"]] == ["drift"]
    assert [action["state"] for action in json.loads(run)["actions"]] == ["queued"]
