"""What tests of monitors share: a small world to watch, and stores in both databases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from local_servers import object_store, object_store_server, postgres
from sqlalchemy import Engine, create_engine, text
from watch_makers import World, baseline_of_a_month

from modelwatch_gpu.monitor.store.engine import open_store
from modelwatch_gpu.profile import Baseline

__all__ = ["object_store", "object_store_server", "postgres"]


@pytest.fixture(scope="session")
def month() -> Baseline:
    """A baseline of thirty days."""
    return baseline_of_a_month()


@pytest.fixture
def world(tmp_path: Path, month: Baseline) -> World:
    """A folder with a baseline and an empty log."""
    return World(tmp_path, month)


@pytest.fixture
def empty_store(tmp_path: Path) -> Iterator[Engine]:
    """A store in SQLite that nothing was written to."""
    engine = open_store("sqlite:///monitor.db", folder=tmp_path)
    yield engine
    engine.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, world: World) -> Iterator[str]:
    """An empty store in each database: the lines of the config that name it."""
    if request.param == "sqlite":
        yield "store: {url: 'sqlite:///monitor.db'}"
        return
    where = dict(part.split("=", 1) for part in request.getfixturevalue("postgres").split())
    url = f"postgresql+psycopg://{where['user']}@/{where['dbname']}?host={where['host']}"
    schema = f"m{abs(hash(request.node.nodeid)):x}"
    yield f"store: {{url: '{url}', schema: {schema}}}"
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text(f'DROP SCHEMA IF EXISTS "{schema}" CASCADE'))
    engine.dispose()
