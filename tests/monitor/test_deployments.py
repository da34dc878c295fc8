"""Deployments, versions that the log names, and the audit's record of runs."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from govern_makers import DAY, FIRST, Monitor, small_monitor
from sqlalchemy import Engine, select, text

from modelwatch_gpu.errors import InputError
from modelwatch_gpu.monitor.audit import read_anchors, verify_store
from modelwatch_gpu.monitor.store.governance_tables import audit
from modelwatch_gpu.monitor.store.tables import files, findings, states
from modelwatch_gpu.monitor.versions.dependencies import changes, snapshot
from modelwatch_gpu.monitor.versions.deployments import add_deployment, list_deployments, running
from modelwatch_gpu.monitor.versions.seen import Triple, add_seen

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def monitor(tmp_path: Path) -> Monitor:
    return small_monitor(tmp_path)


def records(engine: Engine, kind: str) -> list[dict[str, Any]]:
    with engine.connect() as connection:
        rows = connection.execute(select(audit.c.body).where(audit.c.kind == kind).order_by(audit.c.seq)).scalars()
        return [json.loads(body) for body in rows]


def test_an_event_is_kept_once_and_audited_once(empty_store: Engine) -> None:
    own = {"model": "m", "model_version": "2", "at": NOW, "who": "ada", "dependencies": {"python": "3.12"}}
    with empty_store.begin() as connection:
        first = add_deployment(connection, now=NOW, **own)  # type: ignore[arg-type]
        again = add_deployment(connection, now=NOW + timedelta(days=3), **own)  # type: ignore[arg-type]
        assert again == first
        assert list_deployments(connection) == [first]
    assert first.dependencies == {"python": "3.12"}
    (record,) = records(empty_store, "deployment")
    assert (record["id"], record["who"], record["model_version"]) == (first.id, "ada", "2")
    assert verify_store(empty_store).ok


def test_events_are_listed_by_time_and_model(empty_store: Engine) -> None:
    with empty_store.begin() as connection:
        for model, version, days in (("m", "2", 5), ("m", "1", 1), ("other", "9", 2)):
            add_deployment(connection, model=model, model_version=version, at=NOW + timedelta(days=days), now=NOW)
        assert [d.model_version for d in list_deployments(connection)] == ["1", "9", "2"]
        assert [d.model_version for d in list_deployments(connection, model="m")] == ["1", "2"]
        since = list_deployments(connection, since=NOW + timedelta(days=2), until=NOW + timedelta(days=5))
        assert [d.model_version for d in since] == ["9"]


def test_what_runs_now_is_the_last_word_on_each_version(empty_store: Engine) -> None:
    events = [("1", "production"), ("2", "shadow"), ("2", "canary"), ("2", "production"), ("3", "canary")]
    with empty_store.begin() as connection:
        for day, (version, stage) in enumerate(events):
            at = NOW + timedelta(days=day)
            add_deployment(connection, model="m", model_version=version, stage=stage, at=at, now=NOW)
        assert [(d.model_version, d.stage) for d in running(list_deployments(connection))] == [
            ("2", "production"),
            ("3", "canary"),
        ]
        at = NOW + timedelta(days=9)
        add_deployment(connection, model="m", model_version="2", stage="rolled_back", at=at, now=NOW)
        add_deployment(connection, model="m", model_version="0", stage="seen", at=at, now=NOW)
        assert [d.model_version for d in running(list_deployments(connection))] == ["3"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"stage": "live"}, "cannot have the stage 'live'"),
        ({"source": "guess"}, "cannot come from 'guess'"),
        ({"model": ""}, "model is a text of 1 to 2,000 letters"),
        ({"note": "x" * 2_001}, "note is a text"),
        ({"who": "a\0b"}, "who is a text"),
        ({"at": datetime(2026, 1, 1)}, "no time zone"),
        ({"dependencies": {"x": float("nan")}}, "takes JSON values"),
    ],
)
def test_events_that_make_no_sense_are_refused(empty_store: Engine, options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said), empty_store.begin() as connection:
        add_deployment(connection, **{"model": "m", "model_version": "1", "now": NOW, **options})
    with empty_store.connect() as connection:
        assert list_deployments(connection) == []


@pytest.mark.parametrize("hostile", ["'; DROP TABLE audit; --", "<script>alert(1)</script>", "a\nb", "\u202e", "%s{0}"])
def test_hostile_names_are_kept_as_they_are(empty_store: Engine, hostile: str) -> None:
    with empty_store.begin() as connection:
        add_deployment(connection, model=hostile, model_version=hostile, note=hostile, now=NOW)
        assert list_deployments(connection, model=hostile)[0].note == hostile
    assert verify_store(empty_store).ok


def test_a_snapshot_names_what_is_installed_and_nothing_of_the_machine() -> None:
    import platform

    import numpy as np

    found = snapshot()
    assert found["python"] == platform.python_version()
    assert found["packages"]["numpy"] == np.__version__
    assert found == snapshot()
    assert snapshot(["NumPy", "no_such.package"])["packages"] == {"numpy": np.__version__, "no-such-package": None}
    text = json.dumps(found)
    assert platform.node() not in text or len(platform.node()) < 4
    assert str(Path.home()) not in text
    assert set(found["cuda"]) == {"built_with", "driver", "devices"}


def test_what_changed_between_snapshots_is_said() -> None:
    before = {"python": "3.11.1", "packages": {"a": "1", "b": "2"}, "cuda": {"driver": "12.4"}}
    after = {"python": "3.12.0", "packages": {"b": "3", "c": "1"}, "cuda": {"driver": "13.0"}}
    assert changes(before, after) == [
        "python 3.11.1 -> 3.12.0",
        "cuda driver 12.4 -> 13.0",
        "a 1 -> none",
        "b 2 -> 3",
        "c none -> 1",
    ]
    assert changes(before, before) == []
    assert changes(None, after) == []


def test_versions_that_the_log_names_are_events_once(monitor: Monitor) -> None:
    monitor.run()
    monitor.add(22, version="v2")
    monitor.add(23, version="v2")
    monitor.run()
    monitor.add(24, version="v2")
    monitor.run()
    with monitor.engine.connect() as connection:
        found = list_deployments(connection)
    assert [(d.model, d.model_version, d.stage, d.source) for d in found] == [
        ("flights", "v1", "seen", "column"),
        ("flights", "v2", "seen", "column"),
    ]
    assert found[1].at == datetime.fromtimestamp(FIRST + 22 * DAY, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    assert [record["model_version"] for record in records(monitor.engine, "deployment")] == ["v1", "v2"]


def test_versions_of_data_beside_the_model_are_told_together(empty_store: Engine) -> None:
    with empty_store.begin() as connection:
        add_deployment(connection, model="m", model_version="1", data_version="d1", code_version="c1", now=NOW)
        seen = {Triple("1", "d1"): 5, Triple("1"): 5, Triple("1", "d2"): 9, Triple("2", "d2"): 9, Triple("2"): 7}
        new = add_seen(connection, "m", seen, NOW)
    assert [(d.model_version, d.data_version) for d in new] == [("1", "d2"), ("2", "d2")]


def test_values_of_a_log_that_cannot_be_versions_are_left_out(
    empty_store: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modelwatch_gpu.monitor.versions.seen.MOST_VERSIONS", 20)
    with empty_store.begin() as connection:
        assert add_seen(connection, "m", {Triple("x" * 3_000): 1, Triple(""): 1, Triple("a\0"): 1}, NOW) == []
        many = {Triple(f"{number:05d}"): number for number in range(30)}
        assert [d.model_version for d in add_seen(connection, "m", many, NOW)] == sorted(t.model for t in many)[:20]
        assert add_seen(connection, "m", many, NOW) == []


def test_a_run_is_audited_with_what_it_read_and_found(monitor: Monitor) -> None:
    monitor.add(22, shift=3.0)
    done = monitor.run()
    (record,) = records(monitor.engine, "run")
    config = monitor.config
    assert record["run"] == done.runs[0]
    assert record["config_sha256"] == config.sha256
    assert (record["rows"], len(record["files"]), len(record["windows"])) == (1_200, 3, 3)
    with monitor.engine.connect() as connection:
        parts = connection.execute(select(files.c.part_sha256).order_by(files.c.path)).scalars().all()
        shas = connection.execute(select(states.c.sha256).order_by(states.c.window_start)).scalars().all()
        bad = connection.execute(select(findings).where(findings.c.severity == "alert")).all()
    assert [row[2] for row in record["files"]] == parts
    assert [row[4] for row in record["windows"]] == shas
    assert {row["id"] for row in record["told"] if row["severity"] == "alert"} == {row.id for row in bad}
    assert any(row["column"] == "temp" and row["segment"] is None for row in record["told"])
    assert record["findings"]["alert"] == len(bad) >= 1
    assert verify_store(monitor.engine).ok


def test_a_run_that_finds_nothing_to_do_leaves_no_record(monitor: Monitor) -> None:
    monitor.run()
    before = verify_store(monitor.engine)
    monitor.run()
    assert verify_store(monitor.engine) == before


def test_a_config_is_audited_when_it_changes_and_never_its_secrets(
    monitor: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLACE", "hush-hush")
    monitor.run()
    monitor.add(22)
    monitor.run()
    assert len(records(monitor.engine, "config")) == 1
    monitor.write(monitor.text + 'versions: {model: "${PLACE}"}\n')
    monitor.add(23)
    monitor.run()
    (first, second) = records(monitor.engine, "config")
    assert (first["sha256"], second["sha256"]) != (second["sha256"], first["sha256"])
    assert "${PLACE}" in second["text"]
    assert "hush-hush" not in second["text"]


def test_the_head_is_anchored_after_every_run(monitor: Monitor) -> None:
    monitor.write(monitor.text + "versions: {anchor: heads.jsonl}\n")
    monitor.run()
    monitor.add(22)
    monitor.run()
    anchors = read_anchors(monitor.folder / "heads.jsonl")
    assert len(anchors) == 2
    found = verify_store(monitor.engine, anchors)
    assert (found.ok, found.anchors) == (True, 2)
    assert anchors[-1].head == found.head
    (monitor.folder / "heads.jsonl").write_text("half a li")
    monitor.add(23)
    monitor.run()
    with pytest.raises(InputError, match="line 1: is not the head of an audit"):
        read_anchors(monitor.folder / "heads.jsonl")
    cut, whole = (monitor.folder / "heads.jsonl").read_text().splitlines()
    assert (cut, json.loads(whole)["seq"]) == ("half a li", verify_store(monitor.engine).head.seq)


def test_an_anchor_that_cannot_be_written_does_not_stop_a_run(
    monitor: Monitor, caplog: pytest.LogCaptureFixture
) -> None:
    monitor.write(monitor.text + "versions: {anchor: nowhere/heads.jsonl}\n")
    assert monitor.run().runs
    assert "the audit's head cannot be written" in caplog.text


def test_nobody_changes_the_audit_by_a_slip(monitor: Monitor) -> None:
    from sqlalchemy.exc import DBAPIError

    monitor.run()
    with pytest.raises(DBAPIError, match="only added"), monitor.engine.begin() as connection:
        connection.execute(text("UPDATE audit SET body = '{}'"))


def test_a_program_notes_what_it_deployed(monitor: Monitor) -> None:
    import modelwatch_gpu as mw

    added = mw.monitor.record_deployment(
        monitor.path, "7", stage="canary", code_version="abc", dependencies=True, clock=monitor.clock
    )
    assert added.dependencies == json.loads(json.dumps(mw.monitor.snapshot()))
    again = mw.monitor.record_deployment(monitor.config, "7", stage="canary", code_version="abc", clock=monitor.clock)
    assert again == added
    with monitor.engine.connect() as connection:
        assert list_deployments(connection) == [added]
    with pytest.raises(InputError, match="no version to note"):
        mw.monitor.record_deployment(monitor.path)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = mw.monitor.nothing


def test_the_package_imports_without_the_extras() -> None:
    import subprocess
    import sys

    code = """
import sys
for name in ("sqlalchemy", "yaml", "starlette", "uvicorn", "prometheus_client", "mlflow", "croniter"):
    sys.modules[name] = None
import modelwatch_gpu as mw
from typer.testing import CliRunner
from modelwatch_gpu.cli import app
assert "modelwatch_gpu.monitor.config.model" not in sys.modules
try:
    mw.monitor.compare_versions
except mw.InputError as error:
    print(error)
for command in (["serve", "x"], ["audit", "verify", "x"], ["deployments", "list", "x"], ["metrics", "rules", "x"]):
    done = CliRunner().invoke(app, command)
    print(done.exit_code, done.output.strip())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert len(lines) == 5
    assert all("install the extra: pip install 'modelwatch-gpu[monitor]'" in line for line in lines), lines
    assert all(line.startswith("2 ") for line in lines[1:])
