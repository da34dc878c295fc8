"""Rules and dashboard against the real programs: promtool reads them, Prometheus scrapes, Alertmanager tells."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jsonschema
import pytest
import yaml
from govern_makers import CONFIG, Monitor, small_monitor
from patience import PATIENCE
from prometheus_servers import prometheus
from servers import Receiver, alertmanager, get_json, program, receiver, wait_until
from typer.testing import CliRunner

from modelwatch_gpu.cli import app
from modelwatch_gpu.monitor.clock import FixedClock
from modelwatch_gpu.monitor.config.model import MonitorConfig
from modelwatch_gpu.serve.dashboard import dashboard_of, expressions
from modelwatch_gpu.serve.rules import rules_of, rules_text

HERE = Path(__file__).parent


@pytest.fixture
def config(tmp_path: Path) -> MonitorConfig:
    file = tmp_path / "monitor.yaml"
    file.write_text(CONFIG)
    return MonitorConfig.load(file)


def promtool(*arguments: str, folder: Path) -> str:
    command = [program("promtool"), *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_promtool_finds_no_fault_in_the_rules(config: MonitorConfig, tmp_path: Path) -> None:
    (tmp_path / "rules.yml").write_text(rules_text(config))
    said = promtool("check", "rules", "rules.yml", folder=tmp_path)
    assert "SUCCESS: 10 rules found" in said


def test_promtool_finds_no_fault_in_what_the_dashboard_asks(config: MonitorConfig, tmp_path: Path) -> None:
    dashboard = dashboard_of(config)
    own = [expr.replace("$column", "temp") for expr in expressions(dashboard)]
    rules = [{"record": f"panel:{at}", "expr": expr} for at, expr in enumerate(own)]
    (tmp_path / "panels.yml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    assert f"SUCCESS: {len(own)} rules found" in promtool("check", "rules", "panels.yml", folder=tmp_path)


def series(name: str, values: str, **labels: str) -> dict[str, str]:
    text = ",".join(f'{key}="{value}"' for key, value in {"monitor": "flights", **labels}.items())
    return {"series": f"modelwatch_{name}{{{text}}}", "values": values}


@pytest.mark.parametrize(
    ("inputs", "at", "expected"),
    [
        ([series("finding_severity", "0 3 3 0 0", column="temp", check="ks")], "1m", {"ModelwatchAlert"}),
        # A scrape that fails makes it stale, which ends nothing; five minutes without do.
        ([series("finding_severity", "0 3 3 stale 3 3", column="temp", check="ks")], "3m", {"ModelwatchAlert"}),
        ([series("finding_severity", "0 3 3 0x9", column="temp", check="ks")], "7m", {"ModelwatchAlert"}),
        ([series("finding_severity", "0 3 3 0x9", column="temp", check="ks")], "9m", set()),
        ([series("finding_severity", "2x9", column="temp", check="ks")], "1m", {"ModelwatchWarning"}),
        ([series("finding_severity", "1x9", column="temp", check="ks")], "1m", set()),
        (
            [series("segment_findings", "2x9", column="temp", check="ks", severity="alert")],
            "1m",
            {"ModelwatchSegmentAlert"},
        ),
        ([series("run_lag_seconds", "93000+60x20")], "3m", set()),
        ([series("run_lag_seconds", "93600+60x20")], "8m", {"ModelwatchRunLate"}),
        ([series("data_lag_seconds", "172801x20")], "8m", {"ModelwatchDataStale"}),
        ([series("up", "0x20")], "8m", {"ModelwatchDown"}),
        ([series("waiting_messages", "1x100")], "90m", {"ModelwatchMessagesStuck"}),
        ([series("waiting_messages", "1 0 1x90")], "50m", set()),
        ([series("audit_records", "5 6 7 3 4")], "4m", {"ModelwatchAuditShrank"}),
        ([series("audit_records", "5 6 7 7 9")], "4m", set()),
        ([series("series_left_out", "9x20", kind="measure")], "8m", {"ModelwatchSeriesLeftOut"}),
        ([series("files", "3x20", state="unreadable")], "8m", {"ModelwatchFilesUnreadable"}),
        ([{"series": 'modelwatch_finding_severity{monitor="other"}', "values": "3x9"}], "1m", set()),
    ],
)
def test_rules_fire_when_they_should_and_only_then(
    config: MonitorConfig, tmp_path: Path, inputs: list[dict[str, str]], at: str, expected: set[str]
) -> None:
    (tmp_path / "rules.yml").write_text(rules_text(config))
    names = [rule["alert"] for group in rules_of(config)["groups"] for rule in group["rules"]]
    # Without a series of its own a monitor is down.
    given = inputs if any("_up{" in one["series"] for one in inputs) else [*inputs, series("up", "1x200")]
    # promtool compares all labels, so a rule that fires is asked for by a rule over ALERTS.
    watch = [
        {"record": f"fired:{name}", "expr": f'count(ALERTS{{alertname="{name}",alertstate="firing"}}) or vector(0)'}
        for name in names
    ]
    (tmp_path / "watch.yml").write_text(yaml.safe_dump({"groups": [{"name": "watch", "rules": watch}]}))
    tests = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": given,
                "promql_expr_test": [
                    {
                        "expr": f'count(ALERTS{{alertname="{name}",alertstate="firing"}}) or vector(0)',
                        "eval_time": at,
                        "exp_samples": [{"labels": "{}", "value": 1 if name in expected else 0}],
                    }
                    for name in names
                ],
            }
        ],
    }
    (tmp_path / "tests.yml").write_text(yaml.safe_dump(tests))
    promtool("test", "rules", "tests.yml", folder=tmp_path)


def test_names_of_monitors_select_their_own_series_alone(tmp_path: Path) -> None:
    file = tmp_path / "monitor.yaml"
    file.write_text(CONFIG.replace("name: flights", "name: a.b-c_d"))
    own = MonitorConfig.load(file)
    for group in rules_of(own)["groups"]:
        for rule in group["rules"]:
            assert '{monitor="a.b-c_d"' in rule["expr"]
    for expr in expressions(dashboard_of(own)):
        assert '{monitor="a.b-c_d"' in expr


#: What Grafana's dashboard model demands of what is used here.
DASHBOARD: dict[str, Any] = {
    "type": "object",
    "required": ["title", "uid", "schemaVersion", "panels", "templating", "annotations", "time"],
    "properties": {
        "uid": {"type": "string", "pattern": "^[a-zA-Z0-9_-]{1,40}$"},
        "schemaVersion": {"type": "integer", "minimum": 36},
        "panels": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["id", "type", "title", "gridPos", "targets", "datasource", "fieldConfig"],
                "properties": {
                    "id": {"type": "integer", "minimum": 1},
                    "type": {"enum": ["stat", "timeseries", "state-timeline", "table"]},
                    "gridPos": {
                        "type": "object",
                        "required": ["x", "y", "w", "h"],
                        "properties": {
                            "x": {"type": "integer", "minimum": 0, "maximum": 23},
                            "w": {"type": "integer", "minimum": 1, "maximum": 24},
                            "h": {"type": "integer", "minimum": 1},
                        },
                    },
                    "targets": {
                        "type": "array",
                        "minItems": 1,
                        "items": {"type": "object", "required": ["refId", "expr", "datasource"]},
                    },
                    "fieldConfig": {"type": "object", "required": ["defaults", "overrides"]},
                },
            },
        },
        "templating": {
            "type": "object",
            "properties": {
                "list": {"type": "array", "items": {"required": ["name", "type", "query"]}},
            },
        },
    },
}


def test_the_dashboard_is_one_that_grafana_imports(config: MonitorConfig) -> None:
    dashboard = json.loads(json.dumps(dashboard_of(config), allow_nan=False))
    jsonschema.validate(dashboard, DASHBOARD)
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        own = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not own & taken, f"{panel['title']} lies over another panel"
        taken |= own
    variables = {one["name"] for one in dashboard["templating"]["list"]}
    assert variables == {"datasource", "column"}
    assert dashboard == json.loads(json.dumps(dashboard_of(config)))


#: What Grafana's model of a dashboard leaves to the data source: how Prometheus asks for an annotation.
OF_PROMETHEUS = {"titleFormat", "textFormat", "step"}


def missing(ours: Any, theirs: Any, where: str = "") -> Iterator[str]:
    """What is not the same in what was read back."""
    if isinstance(ours, dict):
        for name, value in ours.items():
            if name not in theirs:
                yield f"{where}/{name}"
            else:
                yield from missing(value, theirs[name], f"{where}/{name}")
    elif isinstance(ours, list):
        assert len(ours) == len(theirs), where
        for number, (own, read) in enumerate(zip(ours, theirs, strict=True)):
            yield from missing(own, read, f"{where}/{number}")
    elif ours != theirs:
        yield f"{where}: {ours!r} became {theirs!r}"


def test_grafanas_own_models_know_every_key_of_the_dashboard(config: MonitorConfig) -> None:
    """Read by the models that Grafana Labs publishes, and written again: what they do not know would be gone."""
    plugins = pytest.importorskip("grafana_foundation_sdk.cog.plugins")
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.models.dashboard import Dashboard

    plugins.register_default_plugins()
    ours = json.loads(json.dumps(dashboard_of(config)))
    theirs = json.loads(json.dumps(Dashboard.from_json(ours), cls=JSONEncoder))
    gone = set(missing(ours, theirs))
    assert gone == {f"/annotations/list/0/{name}" for name in OF_PROMETHEUS}
    ours["panels"][0]["fieldConfig"]["defaults"]["thresholdz"] = {}  # a key that there is not is found
    theirs = json.loads(json.dumps(Dashboard.from_json(ours), cls=JSONEncoder))
    assert any(one.endswith("/thresholdz") for one in missing(ours, theirs))


def test_every_metric_that_rules_and_dashboard_name_is_served(tmp_path: Path) -> None:
    source = (Path(sys.modules["modelwatch_gpu.serve.rules"].__file__ or "").parent / "metrics.py").read_text()
    monitor = small_monitor(tmp_path)
    named = {
        name
        for expr in [
            *expressions(dashboard_of(monitor.config)),
            *(rule["expr"] for group in rules_of(monitor.config)["groups"] for rule in group["rules"]),
        ]
        for name in re.findall(r"modelwatch_(\w+)", expr)
    }
    assert named
    for name in named:
        assert f'"{name}"' in source, f"{name} is not served"


def test_the_commands_write_both_files(tmp_path: Path) -> None:
    file = tmp_path / "monitor.yaml"
    file.write_text(CONFIG)
    runner = CliRunner()
    done = runner.invoke(app, ["metrics", "rules", str(file), "-o", str(tmp_path / "rules.yml")])
    assert (done.exit_code, done.output) == (0, f"Wrote {tmp_path / 'rules.yml'}.\n")
    assert yaml.safe_load((tmp_path / "rules.yml").read_text()) == rules_of(MonitorConfig.load(file))
    done = runner.invoke(app, ["metrics", "dashboard", str(file)])
    assert done.exit_code == 0
    assert json.loads(done.output) == dashboard_of(MonitorConfig.load(file))


@contextmanager
def served(monitor: Monitor) -> Iterator[str]:
    """``modelwatch serve`` on a free port; its address."""
    command = [sys.executable, "-m", "modelwatch_gpu", "serve", str(monitor.path), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        timer = threading.Timer(300, process.kill)
        timer.start()
        try:
            assert process.stdout is not None
            yield process.stdout.readline().split()[3].rstrip(":")
        finally:
            timer.cancel()
            process.terminate()


def told(hook: Receiver) -> list[dict[str, Any]]:
    """Every alert that Alertmanager sent, in the order they came."""
    return [alert for message in list(hook.taken) for alert in message.json["alerts"]]


def test_from_a_drifted_day_to_a_message_and_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scrape, rule, firing, webhook, resolved, with the programs themselves, and a token on the way."""
    program("prometheus")
    monkeypatch.setenv("TOKEN", "a-token-of-some-length")
    (tmp_path / "token").write_text("a-token-of-some-length")
    monitor = small_monitor(tmp_path, CONFIG + 'serving: {token: "${TOKEN}"}\n')
    monitor.clock = FixedClock(datetime.now(UTC))
    monitor.run()
    rules = tmp_path / "rules.yml"
    rules.write_text(rules_text(monitor.config, hold="10s", keep="2s"))
    with (
        receiver() as hook,
        served(monitor) as address,
        alertmanager(tmp_path, hook.url) as manager,
        prometheus(tmp_path, address, rules, manager, token=tmp_path / "token") as database,
    ):

        def query(expr: str) -> list[Any]:
            found: list[Any] = get_json(f"{database}/api/v1/query?query={quote(expr)}")["data"]["result"]
            return found

        def drift() -> list[dict[str, Any]]:
            return [
                alert
                for alert in told(hook)
                if alert["labels"]["alertname"] == "ModelwatchAlert" and alert["labels"]["column"] == "temp"
            ]

        quiet = wait_until(lambda: query('modelwatch_finding_severity{column="temp",check="ks"}'))
        assert float(quiet[0]["value"][1]) < 2
        assert not drift()

        monitor.add(22, shift=3.0)
        monitor.run()
        firing = wait_until(drift)[0]
        assert firing["status"] == "firing"
        assert firing["labels"]["severity"] == "critical"
        assert firing["annotations"]["summary"] == "ks of temp in flights: alert"
        assert query('ALERTS{alertname="ModelwatchAlert",alertstate="firing"}')

        monitor.add(23)
        monitor.run()
        wait_until(lambda: len(drift()) > 1 and drift()[-1]["status"] == "resolved")
        assert drift()[-1]["labels"] == firing["labels"]
        assert [alert["status"] for alert in drift()] == ["firing", "resolved"]

        def targets() -> list[tuple[str, str]]:
            found = get_json(f"{database}/api/v1/targets")["data"]["activeTargets"]
            return [(one["health"], one["lastError"]) for one in found]

        wait_until(lambda: targets() == [("up", "")])  # on a machine that stood still a scrape may just have failed
        # The data are of last year, and the rules about the monitor itself say so.
        assert {alert["labels"]["alertname"] for alert in told(hook)} <= {
            "ModelwatchAlert",
            "ModelwatchSegmentAlert",
            "ModelwatchDataStale",
        }
