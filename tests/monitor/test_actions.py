"""What alerts start: triggers, cool-down, budget, evidence, programs without a shell, services by HTTP."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import stat
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest
from alert_makers import DAY, NOON, Found, Store, series
from pydantic import SecretStr, ValidationError
from servers import receiver, wait_until
from sqlalchemy import insert, update

from modelwatch_gpu.monitor.actions import command, start_due
from modelwatch_gpu.monitor.actions.triggers import action_id, pull
from modelwatch_gpu.monitor.alerts.channels.webhook import verify
from modelwatch_gpu.monitor.config.actions import ActionsConfig
from modelwatch_gpu.monitor.config.model import MonitorConfig
from modelwatch_gpu.monitor.config.triggers import AirflowRun, CommandRun, GitHubRun
from modelwatch_gpu.monitor.config.values import FromEnvironment
from modelwatch_gpu.monitor.counts import pack
from modelwatch_gpu.monitor.store import tables
from modelwatch_gpu.monitor.store.alert_tables import actions, alerts

KEY = "whsec_" + "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LTEyMzQ="
HOUR = timedelta(hours=1)
NOTHING = {"kind": "command", "argv": ["true"]}


class World:
    """A store, and a config with triggers, whose folder is the test's."""

    def __init__(self, folder: Path, *triggers: dict, rules: list[dict] | None = None) -> None:
        self.store = Store.of(rules or [{"name": "drift"}])
        (folder / "monitor.yaml").write_text("baseline: b.mwb\nlog: {path: log}\n")
        config = MonitorConfig.load(folder / "monitor.yaml")
        own = ActionsConfig.model_validate({"triggers": [{"name": "retrain", "run": NOTHING, **t} for t in triggers]})
        self.config = config.model_copy(update={"actions": own})

    def run(self, found) -> list[str]:
        """A run of the monitor; returns the actions that it queued."""
        self.store.run(found)
        with self.store.engine.begin() as connection:
            return pull(connection, self.config.actions, "run", self.store.now)

    def start(self, now=None):
        return start_due(self.store.engine, self.config, now or self.store.now)

    def rows(self) -> list:
        return self.store.rows("actions", "queued_at", "id")

    def finish(self) -> None:
        """Waits for a program to end."""

        def ended() -> bool:
            self.start(self.store.now + HOUR)
            return all(row.state in ("done", "failed") for row in self.rows())

        wait_until(ended)


def test_an_alert_starts_a_trigger_once(tmp_path):
    w = World(tmp_path, {})
    (name,) = w.run(series("F"))
    assert name == action_id("retrain", w.store.rows("alerts")[0].id)
    assert w.run(series("F")) == []
    assert w.run(series("F", 1)) == []
    assert [(row.state, row.reason) for row in w.rows()] == [("queued", "1 alert is open: delay; 1 window fired.")]


@pytest.mark.parametrize(
    ("trigger", "starts"),
    [
        ({}, True),
        ({"rules": ["other"]}, False),
        ({"rules": ["drift"]}, True),
        ({"columns": "carr*"}, True),
        ({"columns": ["x"]}, False),
        ({"windows": 2}, True),
        ({"windows": 3}, False),
        ({"at_least": 2}, True),
        ({"at_least": 3}, False),
    ],
)
def test_a_trigger_asks_for_rules_columns_windows_and_how_many(tmp_path, trigger, starts):
    w = World(tmp_path, trigger)
    both = [Found("F", "delay"), Found("F", "carrier")]
    assert bool(w.run({0: both, DAY: both})) is starts


def test_severity_of_a_trigger(tmp_path):
    rules = [{"name": "drift", "severity": "warning"}]
    assert World(tmp_path, {}, rules=rules).run(series("W")) == []
    assert World(tmp_path, {"severity": "warning"}, rules=rules).run(series("W"))


def test_a_cool_down_refuses_and_a_later_run_starts_what_is_open_still(tmp_path):
    w = World(tmp_path, {"cooldown": "2h"})
    w.run(series("F", column="delay"))
    assert w.run(series("F", 1, column="carrier")) == []
    refused = w.rows()[1]
    assert refused.state == "refused"
    assert "cooling down since" in refused.reason
    w.store.now += 3 * HOUR
    assert w.run(series("F", 2, column="fare")) == [refused.id]
    assert sorted(row.state for row in w.rows()) == ["queued", "queued"]
    # The one start is for all that were open.
    assert len(json.loads(w.rows()[1].request)["alerts"]) == 3


def test_a_budget_holds_over_any_stretch_of_time(tmp_path):
    w = World(tmp_path, {"cooldown": "1s", "budget": {"starts": 2, "per": "1d"}})
    got = [bool(w.run(series("F", at, column=f"c{at}"))) for at in range(3)]
    assert got == [True, True, False]
    assert "2 of 2 starts of its budget" in w.rows()[2].reason
    w.store.now += timedelta(days=1)
    assert w.run(series("F", 4, column="c4"))


def test_a_clock_that_goes_back_frees_no_budget(tmp_path):
    w = World(tmp_path, {"cooldown": "1h"})
    w.run(series("F", column="delay"))
    w.store.now = NOON - timedelta(days=100)
    assert w.run(series("F", 1, column="carrier")) == []


def test_what_is_no_longer_open_starts_nothing_later(tmp_path):
    w = World(tmp_path, {"cooldown": "2h"})
    w.run(series("F", column="delay"))
    w.run({DAY: [Found("F", "carrier"), Found("C", "delay")]})
    w.store.now += 3 * HOUR
    assert w.run({2 * DAY: [Found("C", "carrier")]}) == []


def script(folder: Path, text: str) -> str:
    path = folder / "train.py"
    path.write_text(text)
    return str(path)


def test_a_program_gets_its_arguments_as_they_are_and_its_evidence_and_no_other_variables(tmp_path, monkeypatch):
    monkeypatch.setenv("A_SECRET", "hidden")
    monkeypatch.setenv("WANTED", "seen")
    code = "import json, os, sys; json.dump([sys.argv[1:], dict(os.environ)], open(sys.argv[-1] + '/seen.json', 'w'))"
    argv = [sys.executable, script(tmp_path, code), "; rm -rf $HOME `id` | cat", "{id}", "{alert}", "{evidence}"]
    w = World(tmp_path, {"run": {"kind": "command", "argv": argv, "env": ["WANTED"]}})
    (name,) = w.run(series("F"))
    assert w.start().started == [name]
    w.finish()
    (row,) = w.rows()
    assert (row.state, json.loads(row.result)["error"]) == ("done", None)
    given, environ = json.loads((Path(row.evidence) / "seen.json").read_text())
    assert given == ["; rm -rf $HOME `id` | cat", name, row.alert_id, row.evidence]
    assert environ["MODELWATCH_ACTION_ID"] == name
    assert environ["MODELWATCH_EVIDENCE"] == row.evidence
    assert environ["WANTED"] == "seen"
    assert "A_SECRET" not in environ


@pytest.mark.parametrize(
    ("argv", "more", "said"),
    [
        ([sys.executable, "-c", "import sys; print('no data'); sys.exit(3)"], {}, "exit code 3"),
        (["/no/such/program"], {}, "cannot be started"),
        ([sys.executable, "-c", "import time; time.sleep(3000)"], {"timeout": "300ms"}, "its timeout"),
    ],
)
def test_a_program_that_fails_is_noted_and_not_started_again(tmp_path, argv, more, said):
    w = World(tmp_path, {"run": {"kind": "command", "argv": argv, **more}})
    w.run(series("F"))
    w.start()
    w.finish()
    (row,) = w.rows()
    result = json.loads(row.result)
    assert row.state == "failed"
    assert said in result["error"]
    assert (result["told"] == "no data") == ("exit" in said)
    assert w.run(series("F", 1)) == []


def test_a_program_outlives_the_monitor_and_runs_once_though_it_is_asked_for_again(tmp_path):
    code = "import os, sys, time\nopen(sys.argv[1] + '/ran', 'a').write('x')\n"
    code += "while not os.path.exists(sys.argv[1] + '/go'):\n    time.sleep(0.01)\n"
    argv = [sys.executable, script(tmp_path, code), "{evidence}"]
    w = World(tmp_path, {"run": {"kind": "command", "argv": argv}})
    w.run(series("F"))
    w.start()
    (row,) = w.rows()
    ran = Path(row.evidence) / "ran"
    wait_until(ran.exists)
    assert command.state_of(Path(row.evidence)) == command.State(running=True)
    # A monitor that was killed before it noted the start would start it again.
    run = w.config.actions.triggers[0].run
    assert isinstance(run, CommandRun)
    command.start(run, command.Asked(row.id, row.name, row.alert_id, Path(row.evidence)), tmp_path)
    (ran.parent / "go").touch()
    w.finish()
    time.sleep(0.3)
    assert ran.read_text() == "x"


def test_a_program_whose_watcher_was_killed_is_started_again_under_its_id(tmp_path):
    code = (
        "import os, sys, time\nfirst = not os.path.exists(sys.argv[1] + '/ran')\n"
        "open(sys.argv[1] + '/ran', 'a').write(f'{os.getppid()} {os.getpid()}\\n')\nfirst and time.sleep(3000)\n"
    )
    argv = [sys.executable, script(tmp_path, code), "{evidence}"]
    w = World(tmp_path, {"run": {"kind": "command", "argv": argv}})
    w.run(series("F"))
    w.start()
    ran = Path(w.rows()[0].evidence) / "ran"
    wait_until(lambda: ran.exists() and ran.read_text())
    for process in ran.read_text().split():
        os.kill(int(process), signal.SIGKILL)
    wait_until(lambda: command.state_of(ran.parent) is None)
    w.finish()
    assert [row.state for row in w.rows()] == ["done"]
    assert w.rows()[0].attempts == 2
    assert len(ran.read_text().splitlines()) == 2


def test_evidence_holds_profile_report_findings_and_the_window_of_data(tmp_path):
    w = World(tmp_path, {})
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "page.html").write_text("<p>drift")
    (tmp_path.parent / "elsewhere.html").write_text("not ours")
    with w.store.engine.begin() as connection:
        run = {
            "started_at": "t",
            "state": "finished",
            "config_sha256": "c",
            "code_version": "v",
            "baseline_sha256": "b",
        }
        connection.execute(insert(tables.runs).values(id="run", **run))
        connection.execute(insert(tables.states).values(window_start=0, sha256="s", bytes=pack(b"profile")))
        file = {"kind": "log", "size": 9, "etag": "e", "sha256": "f", "rows": 5, "state": "counted", "run_id": "run"}
        connection.execute(insert(tables.files).values(path="log/a.parquet", **file))
        part = {"part_sha256": "p", "rows": 5, "merged": True, "bytes": b""}
        connection.execute(insert(tables.parts).values(path="log/a.parquet", window_start=0, **part))
    w.run(series("FF"))
    with w.store.engine.begin() as connection:
        for start, path in ((0, "reports/page.html"), (DAY, "../elsewhere.html")):
            own = tables.windows.c.window_start == start
            connection.execute(update(tables.windows).where(own).values(report=path))
    w.start()
    (row,) = w.rows()
    folder = Path(row.evidence)
    files = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    own = {"action.json", "alerts.json", "findings.json", "windows.json", "run.json", "profiles/0.mwp"}
    assert own | {"reports/page.html", "MANIFEST.json"} <= files
    assert "reports/elsewhere.html" not in files
    assert (folder / "profiles" / "0.mwp").read_bytes() == b"profile"
    findings = json.loads((folder / "findings.json").read_text())
    assert [(f["window_start"], f["column"], f["severity"]) for f in findings] == [
        (0, "delay", "alert"),
        (DAY, "delay", "alert"),
    ]
    windows = json.loads((folder / "windows.json").read_text())
    assert windows[0]["files"] == [
        {"path": "log/a.parquet", "rows_in_window": 5, "size": 9, "etag": "e", "sha256": "f", "part_sha256": "p"}
    ]
    assert json.loads((folder / "run.json").read_text())["baseline_sha256"] == "b"
    asked = json.loads((folder / "action.json").read_text())
    assert asked["id"] == row.id
    assert asked["windows"] == [0, DAY]
    for name, sha256 in json.loads((folder / "MANIFEST.json").read_text())["sha256"].items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == sha256
    for path in folder.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_evidence_that_cannot_be_written_is_tried_again(tmp_path):
    w = World(tmp_path, {})
    (tmp_path / "evidence").write_text("a file is in the way")
    w.run(series("F"))
    assert "evidence cannot be written" in next(iter(w.start().failed.values()))
    (tmp_path / "evidence").unlink()
    assert w.start(w.store.now + HOUR).started


def test_a_webhook_is_asked_once_it_is_there_with_the_same_id_each_time(tmp_path):
    with receiver(started=False) as there:
        run = {"kind": "webhook", "url": f"{there.url}/retrain", "secret": FromEnvironment(KEY)}
        w = World(tmp_path, {"run": run})
        (name,) = w.run(series("F"))
        assert "refused" in w.start().failed[name]
        there.start()
        assert w.start().started == []  # it is not due
        assert w.start(w.store.now + HOUR).done == [name]
        (taken,) = there.taken
        assert taken.headers["webhook-id"] == taken.json["id"] == name
        assert taken.json["type"] == "modelwatch.action"
        assert Path(taken.json["evidence"]).is_dir()
        assert verify(SecretStr(KEY), taken.headers, taken.body, w.store.now + HOUR)
        assert w.start(w.store.now + 2 * HOUR).started == []


@pytest.mark.parametrize(("api", "more"), [("v1", {}), ("v2", {"logical_date": None})])
def test_airflow_takes_a_repeat_for_the_run_that_it_has(tmp_path, api, more):
    with receiver() as there:
        runs: set[str] = set()

        def airflow(taken):
            name = taken.json["dag_run_id"]
            known = name in runs
            runs.add(name)
            return (409 if known else 500), {}, b"{}"  # the run is made, and the answer lost

        there.answer = airflow
        headers = {"authorization": FromEnvironment("Bearer airflow-token")}
        w = World(
            tmp_path, {"run": {"kind": "airflow", "url": there.url, "dag": "retrain", "api": api, "headers": headers}}
        )
        (name,) = w.run(series("F"))
        assert w.start().failed == {name: "answered 500"}
        assert w.start(w.store.now + HOUR).done == [name]
        assert {one.path for one in there.taken} == {f"/api/{api}/dags/retrain/dagRuns"}
        first = there.taken[0]
        assert first.headers["authorization"] == "Bearer airflow-token"
        assert {key: first.json[key] for key in first.json if key != "conf"} == {
            "dag_run_id": f"modelwatch__{name}",
            **more,
        }
        assert first.json["conf"]["modelwatch"]["id"] == name


def test_github_gets_a_workflow_dispatch(tmp_path):
    with receiver() as there:
        there.status = 204
        run = {"kind": "github", "url": there.url, "repository": "o/r", "workflow": "train.yml", "ref": "main"}
        w = World(tmp_path, {"run": {**run, "token": FromEnvironment("gh-token")}})
        (name,) = w.run(series("F"))
        assert w.start().done == [name]
        (taken,) = there.taken
        assert taken.path == "/repos/o/r/actions/workflows/train.yml/dispatches"
        assert taken.headers["authorization"] == "Bearer gh-token"
        assert taken.headers["accept"] == "application/vnd.github+json"
        assert taken.json["ref"] == "main"
        assert json.loads(taken.json["inputs"]["modelwatch"])["id"] == name
        assert "gh-token" not in repr(w.rows())


def test_mlflow_gets_one_tagged_run(tmp_path):
    with receiver() as there:
        made: list[dict] = []

        def mlflow(taken):
            if "get-by-name" in taken.path:
                return 200, {}, json.dumps({"experiment": {"experiment_id": "7"}}).encode()
            if taken.path.endswith("search"):
                assert taken.json["experiment_ids"] == ["7"]
                known = [m for m in made if m["tags"][0]["value"] in taken.json["filter"]]
                return 200, {}, json.dumps({"runs": known} if known else {}).encode()
            made.append(taken.json)
            return 503, {}, b"{}"

        there.answer = mlflow
        w = World(tmp_path, {"run": {"kind": "mlflow", "url": there.url, "experiment": "flights & co"}})
        (name,) = w.run(series("F"))
        assert w.start().failed == {name: "answered 503"}
        assert w.start(w.store.now + HOUR).done == [name]
        assert len(made) == 1
        assert made[0]["experiment_id"] == "7"
        assert made[0]["tags"][0] == {"key": "modelwatch.action_id", "value": name}
        assert there.taken[0].path.endswith("get-by-name?experiment_name=flights+%26+co")


@pytest.mark.parametrize(
    ("run", "said"),
    [
        ({"kind": "command", "argv": "rm -rf /"}, "argv"),
        ({"kind": "command", "argv": []}, "argv"),
        ({"kind": "command", "argv": ["a\0b"]}, "list of a program"),
        ({"kind": "shell", "argv": ["a"]}, "kind"),
        ({"kind": "webhook", "url": "file:///etc/passwd"}, "http or https"),
        ({"kind": "webhook", "url": "gopher://x/"}, "http or https"),
        ({"kind": "webhook", "url": "http://user:pw@x/"}, "user name or password"),
        ({"kind": "webhook", "url": "http://"}, "http or https"),
        ({"kind": "webhook", "url": "http://x/\r\nHost: y"}, "control characters"),
        ({"kind": "webhook", "url": "http://x/", "secret": KEY}, "environment variable"),
        ({"kind": "webhook", "url": "http://x/", "secret": FromEnvironment("whsec_c2hvcnQ=")}, "24 to 64 bytes"),
        ({"kind": "airflow", "url": "http://x/", "dag": "../../etc"}, "dag"),
        ({"kind": "github", "repository": "o/r/x", "workflow": "a.yml", "token": FromEnvironment("t")}, "repository"),
        ({"kind": "github", "repository": "o/r", "workflow": "a.yml", "token": "t"}, "environment variable"),
    ],
)
def test_what_could_do_harm_is_refused_when_the_config_is_read(run, said):
    with pytest.raises(ValidationError) as refused:
        ActionsConfig.model_validate({"triggers": [{"name": "x", "run": run}]})
    assert said in str(refused.value)


def test_secrets_of_actions_are_not_shown():
    run = {"kind": "airflow", "url": "http://x/t0ken", "dag": "d", "headers": {"a": FromEnvironment("t0ken")}}
    own = AirflowRun.model_validate(run)
    other = GitHubRun.model_validate(
        {"kind": "github", "repository": "o/r", "workflow": "w.yml", "token": FromEnvironment("t0ken")}
    )
    for one in (own, other):
        assert "t0ken" not in repr(one) + one.model_dump_json()


def test_rows_of_the_actions_table_name_alerts_that_exist(tmp_path):
    w = World(tmp_path, {})
    w.run(series("F"))
    (row,) = w.rows()
    with w.store.engine.begin() as connection:
        assert connection.execute(alerts.select().where(alerts.c.id == row.alert_id)).one()
        assert connection.execute(actions.select()).one().state == "queued"
