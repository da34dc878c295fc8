"""Numbered steps from an empty database to the tables of this version, each recorded in ``schema_version``."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import Column, Connection, Integer, String, Table, func, insert, inspect, select

from modelwatch_gpu.errors import InputError
from modelwatch_gpu.monitor.clock import utc_text
from modelwatch_gpu.monitor.store.metadata import metadata

#: Modules that define tables; each is created by the step that knows it.
_MODULES: Final = ("tables", "alert_tables", "governance_tables")

schema_version = Table(
    "schema_version",
    metadata,
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("applied_at", String(32), nullable=False),
)


def _create_all(connection: Connection) -> None:
    """Every table that is not there yet: version 1 all, version 2 ``evidence``."""
    for name in _MODULES:
        module = f"modelwatch_gpu.monitor.store.{name}"
        if importlib.util.find_spec(module) is not None:
            importlib.import_module(module)
    metadata.create_all(connection)


#: Step n (counted from 1) brings a store from version n - 1 to n. A step that was released is never changed.
STEPS: Final[tuple[Callable[[Connection], None], ...]] = (_create_all, _create_all)


def migrate(connection: Connection) -> int:
    """Brings the store to this version in the caller's transaction; returns how many steps that took.

    Raises InputError for a store of a newer version.
    """
    there = inspect(connection).has_table("schema_version")
    version = 0
    if there:
        version = connection.execute(select(func.max(schema_version.c.version))).scalar() or 0
    if version > len(STEPS):
        raise InputError(
            f"The store has version {version}, and this version knows up to {len(STEPS)}; upgrade modelwatch-gpu."
        )
    if not there:
        schema_version.create(connection)
    for number in range(version, len(STEPS)):
        STEPS[number](connection)
        row = {"version": number + 1, "applied_at": utc_text(datetime.now(UTC))}
        connection.execute(insert(schema_version).values(row))
    return len(STEPS) - version
