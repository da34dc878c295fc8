"""The audit of a monitor in each database: written at once by many, verified while it grows, refused to be changed."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, select, text
from sqlalchemy.exc import DBAPIError
from watch_makers import NOW, World

from modelwatch_gpu.checks.finding import SEVERITIES
from modelwatch_gpu.monitor.audit import append, verify_store
from modelwatch_gpu.monitor.audit.report import governance_report
from modelwatch_gpu.monitor.store.engine import open_store, reading
from modelwatch_gpu.monitor.store.governance_tables import audit
from modelwatch_gpu.monitor.versions.deployments import add_deployment, list_deployments
from modelwatch_gpu.serve.current import alerts_of, findings_of, runs_of, windows_of
from modelwatch_gpu.serve.metrics import MonitorCollector


@pytest.fixture
def engine(world: World, store: str) -> Iterator[Engine]:
    """An empty store."""
    config = world.config(store)
    engine = open_store(config.store.url, schema=config.store.schema_name, folder=world.folder)
    yield engine
    engine.dispose()


def test_many_that_append_at_once_make_one_chain_that_verifies_meanwhile(engine: Engine) -> None:
    def work(number: int) -> None:
        for at in range(10):
            with engine.begin() as connection:
                append(connection, "finding", {"worker": number, "at": at}, NOW)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert verify_store(engine).faults == ()
    for thread in threads:
        thread.join()
    found = verify_store(engine)
    assert (found.ok, found.records) == (True, 40)
    with engine.connect() as connection:
        bodies = [json.loads(body) for body in connection.execute(select(audit.c.body)).scalars()]
    assert sorted((b["worker"], b["at"]) for b in bodies) == [(w, a) for w in range(4) for a in range(10)]


def test_one_that_is_rolled_back_leaves_no_gap(engine: Engine) -> None:
    with engine.begin() as connection:
        append(connection, "finding", {}, NOW)
    with engine.connect() as connection:
        append(connection, "finding", {}, NOW)
        connection.rollback()
    with engine.begin() as connection:
        assert append(connection, "finding", {}, NOW).seq == 2
    assert verify_store(engine).ok


def test_the_database_itself_refuses_changes(engine: Engine) -> None:
    with engine.begin() as connection:
        append(connection, "finding", {}, NOW)
    statements = ["UPDATE audit SET body = '{}'", "DELETE FROM audit"]
    if engine.dialect.name == "postgresql":
        statements.append("TRUNCATE audit")
    for statement in statements:
        with pytest.raises(DBAPIError, match="only added"), engine.begin() as connection:
            connection.execute(text(statement))
    assert verify_store(engine).records == 1


@pytest.mark.parametrize("hostile", ["'; DROP TABLE audit; --", "\u202e\ud83d\ude00é", "%s %(x)s :x", "\\0\\u0000"])
def test_whatever_text_there_is_comes_back(engine: Engine, hostile: str) -> None:
    told = hostile.encode("utf-16", "surrogatepass").decode("utf-16")
    with engine.begin() as connection:
        append(connection, "finding", {told: [told, "\0", 1.5]}, NOW)
        add_deployment(connection, model=told, model_version=told, now=NOW)
    with engine.connect() as connection:
        body = connection.execute(select(audit.c.body).where(audit.c.seq == 1)).scalar_one()
        assert json.loads(body) == {told: [told, "\0", 1.5]}
        assert [d.model for d in list_deployments(connection)] == [told]
    assert verify_store(engine).ok


def test_runs_are_audited_the_same_in_both(world: World, store: str) -> None:
    for day in range(3):
        world.day(day, shift=3.0 if day == 2 else 0.0)
    runner = world.runner(store)
    runner.once()
    found = governance_report(runner.engine, name="x", now=NOW)
    assert found["audit"]["ok"]
    assert (found["runs"]["count"], found["runs"]["files"], found["runs"]["windows"]) == (1, 3, 3)
    assert {row["column"] for row in found["findings"]} >= {"x"}
    runner.engine.dispose()


def test_what_is_served_is_the_same_in_both(world: World, store: str) -> None:
    for day in range(3):
        world.day(day, shift=3.0 if day == 2 else 0.0)
    runner = world.runner(store)
    runner.once()
    families = list(MonitorCollector(runner.engine, runner.config, runner.clock).collect())
    found = {family.name: {tuple(s.labels.values()): s.value for s in family.samples} for family in families}
    assert found["modelwatch_up"] == {("monitor",): 1}
    assert found["modelwatch_finding_severity"][("monitor", "x", "ks", "baseline")] == 3
    assert found["modelwatch_windows"][("monitor", "alert")] == 1
    assert found["modelwatch_rows"] == {("monitor",): 180}
    with reading(runner.engine) as connection:
        rows = findings_of(connection, window="latest")
        assert [row["severity"] for row in rows] == sorted((row["severity"] for row in rows), key=SEVERITIES.index)
        assert rows[0]["severity"] == "alert"
        assert len(windows_of(connection)) == 3
        assert len(runs_of(connection)) == 1
        assert alerts_of(connection, status="open") == []
    runner.engine.dispose()
