"""What is served: metrics that Prometheus can read, bounded whatever the log holds, and findings as JSON."""

from __future__ import annotations

import asyncio
import json
import math
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from govern_makers import CONFIG, DAY, FIRST, Monitor, small_monitor
from patience import PATIENCE
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import Engine, insert
from typer.testing import CliRunner

from modelwatch_gpu.cli import app
from modelwatch_gpu.errors import InputError, OutputError
from modelwatch_gpu.monitor.config.model import MonitorConfig
from modelwatch_gpu.monitor.config.several import load_configs
from modelwatch_gpu.monitor.runner import Runner
from modelwatch_gpu.monitor.store.engine import open_store
from modelwatch_gpu.monitor.store.tables import findings, measures
from modelwatch_gpu.monitor.versions.deployments import add_deployment
from modelwatch_gpu.serve.app import make_app
from modelwatch_gpu.serve.metrics import label_value
from modelwatch_gpu.serve.server import _listen

TOKEN = "a-token-of-some-length"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Monitor:
    """Three days, the last of which drifted."""
    monitor = small_monitor(tmp_path_factory.mktemp("served"))
    monitor.add(22, shift=3.0)
    monitor.run()
    return monitor


@pytest.fixture
def engine(shared: Monitor) -> Iterator[Engine]:
    engine = shared.engine
    yield engine
    engine.dispose()


class Client:
    """Asks an application without a network."""

    def __init__(self, app: Any) -> None:
        self._app = app

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.ask("GET", path, **options)

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        async def answer() -> httpx.Response:
            transport = httpx.ASGITransport(self._app)
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
                return await client.request(method, path, **options)

        return asyncio.run(answer())


def client_of(monitor: Monitor, engine: Engine, config: MonitorConfig | None = None) -> Client:
    return Client(make_app([(engine, config or monitor.config)], monitor.clock))


def samples(text: str) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    """Metric -> labels without the monitor's -> value."""
    found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = {name: value for name, value in sample.labels.items() if name != "monitor"}
            assert tuple(sorted(labels.items())) not in found.get(sample.name, {}), "a series is there twice"
            found.setdefault(sample.name, {})[tuple(sorted(labels.items()))] = sample.value
    return found


def test_metrics_are_what_the_store_says(shared: Monitor, engine: Engine) -> None:
    answer = client_of(shared, engine).get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    found = samples(answer.text)
    assert found["modelwatch_up"] == {(): 1}
    own = (("check", "ks"), ("column", "temp"), ("compared_with", "baseline"))
    assert found["modelwatch_finding_severity"][own] == 3
    assert found["modelwatch_rows"] == {(): 1_200}
    assert found["modelwatch_window_start_timestamp_seconds"] == {(): FIRST + 22 * DAY}
    assert found["modelwatch_window_rows"] == {(): 400}
    assert found["modelwatch_run_lag_seconds"] == {(): 0}
    assert found["modelwatch_last_run_timestamp_seconds"] == {(): shared.clock.now().timestamp()}
    newest = found["modelwatch_newest_row_timestamp_seconds"][()]
    assert FIRST + 22 * DAY <= newest < FIRST + 23 * DAY
    assert found["modelwatch_data_lag_seconds"][()] == shared.clock.now().timestamp() - newest
    with engine.connect() as connection:
        row = connection.execute(
            measures.select()
            .where(measures.c.column == "temp", measures.c.measure == "ks")
            .order_by(measures.c.window_start.desc())
        ).first()
    assert row is not None
    key = (("column", "temp"), ("compared_with", "baseline"), ("measure", "ks"))
    assert found["modelwatch_measure"][key] == row.value
    assert found["modelwatch_findings"][(("severity", "alert"),)] >= 1
    assert found["modelwatch_windows"][(("severity", "alert"),)] == 1
    assert found["modelwatch_runs"][(("state", "finished"),)] >= 1
    assert found["modelwatch_files"] == {(("state", "counted"),): 3}
    assert "modelwatch_series_left_out" not in found


def test_lag_grows_with_the_clock_and_never_falls_below_zero(shared: Monitor, engine: Engine) -> None:
    from modelwatch_gpu.monitor.clock import FixedClock

    for passed, lag in ((timedelta(hours=5), 18_000), (-timedelta(days=400), 0)):
        clock = FixedClock(shared.clock.now() + passed)
        client = Client(make_app([(engine, shared.config)], clock))
        assert samples(client.get("/metrics").text)["modelwatch_run_lag_seconds"] == {(): lag}


def test_openmetrics_is_given_to_who_asks_for_it(shared: Monitor, engine: Engine) -> None:
    answer = client_of(shared, engine).get("/metrics", headers={"Accept": "application/openmetrics-text;version=1.0.0"})
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")


def test_what_is_served_is_listed_and_is_there(shared: Monitor) -> None:
    client = client_of(shared, shared.engine)
    listed = client.get("/").json()
    assert listed["monitors"] == [shared.config.name]
    assert {client.get(address).status_code for address in listed["addresses"]} == {200}


def test_an_empty_store_has_metrics_too(tmp_path: Path) -> None:
    monitor = small_monitor(tmp_path)
    found = samples(client_of(monitor, monitor.engine).get("/metrics").text)
    assert found["modelwatch_up"] == {(): 1}
    assert not {"modelwatch_finding_severity", "modelwatch_run_lag_seconds"} & set(found)
    assert found["modelwatch_runs"][(("state", "finished"),)] == 0


def test_a_store_that_is_broken_is_down_and_says_nothing_more(shared: Monitor, tmp_path: Path) -> None:
    monitor = small_monitor(tmp_path)
    engine = monitor.engine
    engine.dispose()
    (tmp_path / "monitor.db").write_bytes(b"not a database" * 1_000)
    client = client_of(monitor, engine)
    found = samples(client.get("/metrics").text)
    assert found["modelwatch_up"] == {(): 0}
    assert set(found) == {"modelwatch_up", "modelwatch_build_info"}
    assert client.get("/healthz").status_code == 503
    answer = client.get("/api/v1/findings")
    assert (answer.status_code, answer.json()) == (503, {"error": "the store cannot be read"})


LONG = ["x" * 5_000, "x" * 4_999 + "y"]
HOSTILE = ['a"b', "a\nb", "a\\b", "", "{__name__}", "é\u202e", "'; DROP TABLE findings; --", *LONG]


def hostile_store(monitor: Monitor, columns: list[str]) -> Engine:
    engine = monitor.engine
    start = FIRST + 22 * DAY
    common = {
        "run_id": "1",
        "window_start": start,
        "window": "2025-01-23T00:00:00",
        "compared_with": "BASELINE",
        "n": 1,
    }
    with engine.begin() as connection:
        for at, column in enumerate(columns):
            connection.execute(
                insert(findings).values(
                    **common, id=f"h{at}", column=column, check="ks", severity="alert", value=1.0, reason="<b>&"
                )
            )
            connection.execute(
                insert(measures).values(**common, id=f"h{at}", column=column, measure="ks", value=float(at))
            )
    return engine


def test_whatever_columns_are_called_metrics_can_be_read_and_are_bounded(tmp_path: Path) -> None:
    monitor = small_monitor(tmp_path, CONFIG + "serving: {series: 50}\n")
    monitor.add(22)
    monitor.run()
    engine = hostile_store(monitor, HOSTILE + [f"column {at:04d}" for at in range(300)])
    client = client_of(monitor, engine)
    first, second = client.get("/metrics").text, client.get("/metrics").text
    assert first == second
    found = samples(first)
    own = found["modelwatch_finding_severity"]
    assert len(own) == 50
    assert len(found["modelwatch_measure"]) == 50
    left = found["modelwatch_series_left_out"]
    assert left[(("kind", "finding_severity"),)] >= 250
    names = {dict(key)["column"] for key in own}
    assert {'a"b', "a\nb", "a\\b", "", "'; DROP TABLE findings; --"} <= names
    assert max(map(len, names)) <= 128


def test_long_labels_stay_apart() -> None:
    one, two = label_value("x" * 500 + "1"), label_value("x" * 500 + "2")
    assert one != two
    assert len(one) == len(two) == 128
    assert label_value("x" * 128) == "x" * 128
    assert label_value("\ud800") == "?"


def test_numbers_that_are_not_finite_are_not_served(tmp_path: Path) -> None:
    monitor = small_monitor(tmp_path)
    monitor.run()
    with monitor.engine.begin() as connection:
        connection.execute(measures.update().where(measures.c.measure == "ks").values(value=math.inf))
    found = samples(client_of(monitor, monitor.engine).get("/metrics").text)
    assert all(math.isfinite(value) for value in found["modelwatch_measure"].values())


def test_deployments_are_a_series_each(tmp_path: Path) -> None:
    monitor = small_monitor(tmp_path)
    now = monitor.clock.now()
    with monitor.engine.begin() as connection:
        add_deployment(connection, model="flights", model_version="1", now=now, code_version="abc")
        add_deployment(connection, model="flights", model_version="2", stage="canary", now=now)
    client = client_of(monitor, monitor.engine)
    found = samples(client.get("/metrics").text)["modelwatch_deployment"]
    assert [(dict(key)["model_version"], dict(key)["stage"], dict(key)["code_version"]) for key in sorted(found)] == [
        ("2", "canary", ""),
        ("1", "production", "abc"),
    ]
    listed = client.get("/api/v1/deployments").json()["deployments"]
    assert [row["model_version"] for row in listed] == ["1", "2"] or [row["model_version"] for row in listed] == [
        "2",
        "1",
    ]


def test_findings_are_json_worst_first(shared: Monitor, engine: Engine) -> None:
    client = client_of(shared, engine)
    rows = client.get("/api/v1/findings").json()["findings"]
    order = ["alert", "warning", "not_enough_data", "ok"]
    assert [order.index(row["severity"]) for row in rows] == sorted(order.index(row["severity"]) for row in rows)
    assert rows[0]["column"] == "temp"
    assert {row["window"] for row in rows} == {rows[0]["window"]}
    assert any(row["segment"] == {"model_version": "v1"} for row in rows)
    everything = client.get("/api/v1/findings", params={"window": "", "limit": 10_000}).json()["findings"]
    assert len({row["window"] for row in everything}) == 3
    only = client.get("/api/v1/findings", params={"severity": "alert", "column": "temp"}).json()["findings"]
    assert only
    assert {(row["severity"], row["column"]) for row in only} == {("alert", "temp")}
    past = client.get("/api/v1/findings", params={"window": everything[-1]["window"]}).json()["findings"]
    assert {row["window"] for row in past} == {everything[-1]["window"]}


@pytest.mark.parametrize(
    "asked",
    ["severity=bad", "limit=0", "limit=10001", "limit=-1", "limit=x", "limit=%C2%B2", "limit=99999999999999999999"],
)
def test_questions_that_make_no_sense_are_refused(shared: Monitor, engine: Engine, asked: str) -> None:
    answer = client_of(shared, engine).get(f"/api/v1/findings?{asked}")
    assert answer.status_code == 400
    assert "error" in answer.json()


@pytest.mark.parametrize("path", ["windows", "runs", "alerts", "deployments", "audit/head"])
def test_every_answer_is_json_and_no_page(shared: Monitor, engine: Engine, path: str) -> None:
    answer = client_of(shared, engine).get(f"/api/v1/{path}")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    json.loads(answer.text)
    assert client_of(shared, engine).ask("POST", f"/api/v1/{path}").status_code == 405


def test_hostile_words_in_questions_find_nothing(shared: Monitor, engine: Engine) -> None:
    client = client_of(shared, engine)
    for word in ("' OR 1=1 --", "%", "_", "<script>", "\0"):
        assert client.get("/api/v1/findings", params={"column": word}).json() == {"findings": []}
    assert client.get("/api/v1/findings").json()["findings"]


def test_other_names_of_the_host_are_refused(shared: Monitor, engine: Engine) -> None:
    """A page of somebody else's whose name was made to point here cannot read what is served."""
    client = client_of(shared, engine)
    assert client.get("/metrics", headers={"Host": "evil.example"}).status_code == 400
    assert client.get("/metrics", headers={"Host": "localhost:9469"}).status_code == 200


def test_a_token_is_asked_for_where_there_is_one(
    shared: Monitor, engine: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TOKEN", TOKEN)
    file = tmp_path / "monitor.yaml"
    file.write_text(CONFIG + 'serving: {host: 0.0.0.0, token: "${TOKEN}", names: [monitor.internal]}\n')
    client = client_of(shared, engine, MonitorConfig.load(file))
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": TOKEN}, {"Authorization": "Bearer \xe9"}):
        for path in ("/metrics", "/api/v1/findings", "/nothing"):
            answer = client.get(path, headers={k: v.encode("latin-1") for k, v in headers.items()})
            assert answer.status_code == 401
            assert TOKEN not in answer.text
    good = {"Authorization": f"Bearer {TOKEN}", "Host": "monitor.internal"}
    assert client.get("/metrics", headers=good).status_code == 200
    assert client.get("/healthz").json() == {"status": "ok", "monitors": ["flights"]}


@pytest.mark.parametrize(
    ("serving", "said"),
    [
        ("{host: 0.0.0.0}", "can be reached from other machines; set token"),
        ("{host: example.org}", "can be reached from other machines"),
        ('{token: "${TOKEN}"}', "shorter than 16 letters"),
        ("{token: plain-text-token-in-the-file}", "a secret is not written into the file"),
        ("{measures: [psy]}", "did you mean 'psi'"),
        ("{prot: 1}", "did you mean 'port'"),
        ("{port: 70000}", "65535"),
    ],
)
def test_configs_that_would_serve_too_much_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, serving: str, said: str
) -> None:
    monkeypatch.setenv("TOKEN", "short")
    file = tmp_path / "monitor.yaml"
    file.write_text(CONFIG + f"serving: {serving}\n")
    with pytest.raises(InputError, match=said) as error:
        MonitorConfig.load(file)
    assert "plain-text-token" not in str(error.value)
    assert "line 9" in str(error.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_own_addresses_need_no_token(tmp_path: Path, host: str) -> None:
    file = tmp_path / "monitor.yaml"
    file.write_text(CONFIG + f"serving: {{host: '{host}'}}\n")
    assert MonitorConfig.load(file).serving.is_local


def test_an_address_that_is_taken_is_said(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OutputError, match=f"127.0.0.1:{port} cannot be listened at"):
            _listen("127.0.0.1", port)


def test_the_command_serves_on_loopback_until_it_is_stopped(shared: Monitor) -> None:
    command = [sys.executable, "-m", "modelwatch_gpu", "serve", str(shared.path), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        timer = threading.Timer(PATIENCE, process.kill)
        timer.start()
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("Serving flights at http://127.0.0.1:"), process.stderr and process.stderr.read()
            address = line.split()[3].rstrip(":")
            with urllib.request.urlopen(f"{address}/metrics", timeout=PATIENCE) as answer:
                assert b"modelwatch_up" in answer.read()
                assert "server" not in answer.headers
            process.terminate()
            _, errors = process.communicate(timeout=PATIENCE)
        finally:
            timer.cancel()
            process.kill()
    assert errors == ""
    assert process.returncode in (0, -15)


MODELS = """\
version: 1
log: {path: "log/*.parquet"}
window: 1d
units: rows
baseline: baseline.mwb
reports: {folder: null}
models:
  fraud: {}
  churn: {window: 1mo}
"""


def test_several_models_are_served_as_one(tmp_path: Path) -> None:
    monitor = small_monitor(tmp_path, MODELS)
    for one in load_configs(monitor.path):
        Runner(one, clock=monitor.clock).once()
    configs = load_configs(monitor.path)
    monitors = [(open_store(one.store.url, folder=tmp_path), one) for one in configs]
    client = Client(make_app(monitors, monitor.clock))
    text = client.get("/metrics").text
    names = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")]
    assert len(names) == len(set(names))
    windows = {
        (sample.labels["monitor"], sample.labels["severity"]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "modelwatch_windows"
    }
    assert sum(value for (name, _), value in windows.items() if name == "fraud") == 2
    assert sum(value for (name, _), value in windows.items() if name == "churn") == 1
    assert client.get("/healthz").json()["monitors"] == ["fraud", "churn"]
    assert client.get("/api/v1/windows").json() == {"error": "monitor can be fraud, churn"}
    assert len(client.get("/api/v1/windows", params={"monitor": "fraud"}).json()["windows"]) == 2
    assert len(client.get("/api/v1/windows", params={"monitor": "churn"}).json()["windows"]) == 1


def test_models_that_are_to_be_served_at_two_places_are_refused(tmp_path: Path) -> None:
    monitor = small_monitor(tmp_path, MODELS.replace("fraud: {}", "fraud: {serving: {port: 1}}"))
    done = CliRunner().invoke(app, ["serve", str(monitor.path)])
    assert done.exit_code == 2
    assert "The models differ in serving.port; write it once, above models:." in done.output


def test_a_host_of_the_command_line_needs_a_token_too(shared: Monitor) -> None:
    done = CliRunner().invoke(app, ["serve", str(shared.path), "--host", "0.0.0.0"])
    assert done.exit_code == 2
    assert "can be reached from other machines" in done.output


def test_serving_changes_nothing_in_the_store(shared: Monitor, engine: Engine) -> None:
    def content() -> list[Any]:
        with engine.connect() as connection:
            return [
                sorted(map(str, connection.exec_driver_sql(f"SELECT * FROM {name}").all()))
                for name in ("runs", "findings", "measures", "windows", "audit", "deployments", "facts")
            ]

    before = content()
    client = client_of(shared, engine)
    for path in ("/metrics", "/healthz", "/api/v1/findings", "/api/v1/runs", "/api/v1/audit/head"):
        client.get(path)
    assert content() == before


def test_secrets_are_nowhere_but_in_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    secrets = {"SERVE_TOKEN": "serve-hush-hush-hush", "MLFLOW_SECRET": "http://ada:mlflow-hush@127.0.0.1:9/x"}
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    more = 'serving: {token: "${SERVE_TOKEN}"}\nversions: {mlflow: {uri: "${MLFLOW_SECRET}", experiment: x}}\n'
    monitor = small_monitor(tmp_path, CONFIG + more)
    monitor.run()
    page, data = tmp_path / "report.html", tmp_path / "report.json"
    done = CliRunner().invoke(app, ["audit", "report", str(monitor.path), "--html", str(page), "--json", str(data)])
    assert done.exit_code == 0
    client = client_of(monitor, monitor.engine)
    own = {"Authorization": f"Bearer {secrets['SERVE_TOKEN']}"}
    answers = [
        client.get(path, headers=headers)
        for path in ("/metrics", "/healthz", "/api/v1/runs", "/api/v1/findings")
        for headers in (own, {})
    ]
    said = capfd.readouterr()
    told = [done.output, said.out, said.err, caplog.text, repr(monitor.config), str(monitor.config.model_dump())]
    written = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert monitor.folder / "monitor.db" in written
    for secret in ("hush",):
        assert not [path for path, content in written.items() if secret.encode() in content]
        assert not [answer.url for answer in answers if secret in answer.text]
        assert not [text for text in told if secret in text]
