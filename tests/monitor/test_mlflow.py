"""MLflow beside a monitor, against a store of its own in files and one in SQLite."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

import pytest
from govern_makers import CONFIG, Monitor, small_monitor
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select
from typer.testing import CliRunner

from modelwatch_gpu.cli import app
from modelwatch_gpu.errors import InputError, OutputError
from modelwatch_gpu.monitor.audit import verify_store
from modelwatch_gpu.monitor.store.tables import findings, measures
from modelwatch_gpu.monitor.versions.deployments import list_deployments
from modelwatch_gpu.monitor.versions.mlflow_link import log_run, look_up, metric_name, metrics_of

mlflow = pytest.importorskip("mlflow")


@pytest.fixture
def uri(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty store of files. They are the fast ones; MLflow wants to be asked for them by name."""
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    return (tmp_path / "mlruns").as_uri()


@pytest.fixture
def monitor(tmp_path: Path, uri: str) -> Monitor:
    return small_monitor(tmp_path, CONFIG + f"versions: {{mlflow: {{uri: '{uri}', experiment: flights}}}}\n")


def runs_of(uri: str, experiment: str) -> list[Any]:
    client = mlflow.MlflowClient(tracking_uri=uri)
    own = client.get_experiment_by_name(experiment)
    found = client.search_runs([own.experiment_id], order_by=["attributes.start_time ASC"]) if own else []
    return list(found)


def artifact(run: Any, name: str) -> str:
    from urllib.parse import urlsplit

    return (Path(urlsplit(run.info.artifact_uri).path) / name).read_text()


def test_a_run_is_logged_with_its_measures_and_findings(monitor: Monitor, uri: str) -> None:
    monitor.run()
    (run,) = runs_of(uri, "flights")
    assert run.info.status == "FINISHED"
    assert run.data.tags["modelwatch.config_sha256"] == monitor.config.sha256
    client = mlflow.MlflowClient(tracking_uri=uri)
    history = client.get_metric_history(run.info.run_id, "temp/ks")
    with monitor.engine.connect() as connection:
        rows = connection.execute(
            select(measures).where(measures.c.column == "temp", measures.c.measure == "ks").order_by("window_start")
        ).all()
        said = connection.execute(select(findings.c.id)).scalars().all()
    assert [(m.value, m.step, m.timestamp) for m in sorted(history, key=lambda m: m.step)] == [
        (row.value, step, row.window_start * 1000) for step, row in enumerate(rows)
    ]
    assert {row["id"] for row in json.loads(artifact(run, "findings.json"))} == set(said)
    counts = {name: value for name, value in run.data.metrics.items() if name.startswith("findings/")}
    assert sum(counts.values()) == len(said)


def test_every_run_is_logged_once(monitor: Monitor, uri: str) -> None:
    for day in (22, 23):
        monitor.run()
        monitor.run()
        monitor.add(day)
    monitor.run()
    assert [run.data.tags["modelwatch.run"] for run in runs_of(uri, "flights")] == [
        f"flights {number:012d}" for number in (1, 2, 3)
    ]
    assert verify_store(monitor.engine).ok


def test_where_mlflow_is_away_the_run_is_done_and_the_next_one_logs_both(
    monitor: Monitor, uri: str, caplog: pytest.LogCaptureFixture
) -> None:
    monitor.run()
    store, away = monitor.folder / "mlruns", monitor.folder / "away"
    store.rename(away)
    store.write_text("no folder")
    monitor.add(22)
    with caplog.at_level(logging.WARNING):
        assert monitor.run().runs
    assert "is not logged yet" in caplog.text
    assert len(list_of_states(monitor)) == 2
    store.unlink()
    away.rename(store)
    monitor.add(23)
    monitor.run()
    assert len(runs_of(uri, "flights")) == 3


def list_of_states(monitor: Monitor) -> list[str]:
    from modelwatch_gpu.monitor.store.tables import runs

    with monitor.engine.connect() as connection:
        return list(connection.execute(select(runs.c.state)).scalars())


def registered(uri: str, versions: int = 2) -> Any:
    client = mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri)
    experiment = client.create_experiment("training")
    client.create_registered_model("flights")
    for number in range(1, versions + 1):
        run = client.create_run(experiment, tags={"mlflow.source.git.commit": f"commit{number}"}).info.run_id
        data = mlflow.entities.Dataset(f"data{number}", f"digest{number}", "local", "{}")
        client.log_inputs(run, [mlflow.entities.DatasetInput(data, [])])
        client.create_model_version("flights", "file:///nowhere", run_id=run)
    client.set_registered_model_alias("flights", "champion", "1")
    return client


def test_the_registry_says_which_version_it_is(uri: str) -> None:
    registered(uri)
    champion = look_up("flights", alias="champion", uri=uri)
    assert (champion.version, champion.aliases) == ("1", ("champion",))
    assert (champion.code_version, champion.data_version) == ("commit1", "digest1")
    assert look_up("flights", uri=uri).version == "2"
    assert look_up("flights", version="2", uri=uri).code_version == "commit2"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"name": "trains"}, "no version of 'trains'"),
        ({"alias": "nobody"}, "names no such version of 'flights'"),
        ({"version": "9"}, "names no such version"),
        ({"alias": "champion", "version": "1"}, "not by both"),
        ({"name": "a' OR '1'='1"}, "is no name of a registered model"),
    ],
)
def test_versions_that_are_not_there_are_said(uri: str, options: dict[str, str], said: str) -> None:
    registered(uri, 1)
    with pytest.raises(InputError, match=said):
        look_up(**{"name": "flights", "uri": uri, **options})


def test_a_deployment_takes_its_versions_from_the_registry(monitor: Monitor, uri: str) -> None:
    registered(uri)
    done = CliRunner().invoke(
        app, ["deployments", "add", str(monitor.path), "--mlflow", "flights", "--alias", "champion"]
    )
    assert done.exit_code == 0, done.output
    with monitor.engine.connect() as connection:
        (own,) = list_deployments(connection)
    assert (own.model_version, own.code_version, own.data_version, own.source) == ("1", "commit1", "digest1", "mlflow")


@pytest.mark.skipif(
    not os.environ.get("MODELWATCH_MLFLOW_SQLITE"),
    reason="takes MLflow half a minute to make its tables, and the package alembic: MODELWATCH_MLFLOW_SQLITE=1",
)
def test_the_same_in_sqlite(tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path / 'mlflow.db'}"
    numbers = [{"window": "2025-01-01T00:00:00+00:00", "segment": None, "column": "x", "measure": "ks", "value": 0.5}]
    client = mlflow.MlflowClient(tracking_uri=address)
    client.create_experiment("m", artifact_location=(tmp_path / "artifacts").as_uri())
    run = log_run(numbers, [], experiment="m", run_name="1", uri=address)
    (metric,) = client.get_metric_history(run, "x/ks")
    assert (metric.value, metric.timestamp) == (0.5, 1_735_689_600_000)


def test_a_store_that_cannot_be_written_is_said_without_its_address(tmp_path: Path, uri: str) -> None:
    address = "http://user:hush@127.0.0.1:9/secret"
    (tmp_path / "hush").write_text("no folder")
    with pytest.raises(OutputError, match="MLflow cannot be written to") as error:
        log_run([], [], experiment="m", run_name="1", uri=(tmp_path / "hush").as_uri())
    assert "hush" not in str(error.value)
    with pytest.raises(InputError, match="MLflow names no such version") as failed:
        look_up("flights", uri=address.replace("http", "gopher"))
    assert "hush" not in str(failed.value)


def test_without_an_address_nothing_is_written_into_the_folder_at_hand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(mlflow, "is_tracking_uri_set", lambda: False)  # another test may have told it
    own, here = tmp_path / "own", tmp_path / "here"
    own.mkdir()
    here.mkdir()
    monitor = small_monitor(own, CONFIG + "versions: {mlflow: {experiment: flights}}\n")
    monkeypatch.chdir(here)
    with caplog.at_level(logging.WARNING):
        assert monitor.run().runs
    assert "MLflow has no address" in caplog.text
    with pytest.raises(InputError, match="MLFLOW_TRACKING_URI"):
        look_up("flights")
    assert not list(here.iterdir())


def test_passwords_are_not_written_into_a_config(tmp_path: Path) -> None:
    from modelwatch_gpu.monitor.config.model import MonitorConfig

    file = tmp_path / "monitor.yaml"
    file.write_text(CONFIG + "versions: {mlflow: {uri: 'http://ada:hush@host/'}}\n")
    with pytest.raises(InputError, match="environment variable") as error:
        MonitorConfig.load(file)
    assert "hush" not in str(error.value)


@given(st.text())
def test_any_name_becomes_one_that_mlflow_takes(text: str) -> None:
    from mlflow.utils.validation import _validate_metric_name

    _validate_metric_name(metric_name(text))


def test_names_stay_apart_and_plain_ones_stay() -> None:
    assert metric_name("temp/ks") == "temp/ks"
    names = ["a?b/ks", "a!b/ks", "a_b/ks", "é/ks", "/ks", "//ks", "../ks", "./ks", "x" * 400, "x" * 401]
    assert len({metric_name(name) for name in names}) == len(names)


def test_measures_become_steps_in_the_order_of_windows() -> None:
    rows = [
        {"window": f"2025-01-0{day}T00:00:00+01:00", "segment": None, "column": "x", "measure": "ks", "value": day / 10}
        for day in (3, 1)
    ]
    rows += [{**rows[0], "segment": {"a": "b"}}, {**rows[0], "value": None, "measure": "psi"}]
    assert metrics_of(rows) == [("x/ks", 0.3, 1_735_858_800, 1), ("x/ks", 0.1, 1_735_686_000, 0)]
