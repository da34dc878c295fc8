"""Opens a store: SQLite beside the config, or PostgreSQL."""

from __future__ import annotations

import os
import stat
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from modelwatch_gpu.errors import InputError, OutputError
from modelwatch_gpu.monitor.store.migrations import migrate

#: How long a writer waits for another one's transaction.
_BUSY_MS: Final = 60_000
#: Only the owner may read and write.
_PRIVATE: Final = 0o600


def open_store(url: str, *, schema: str | None = None, folder: str | os.PathLike[str] = ".") -> Engine:
    """The store at an address, made or brought to this version where needed.

    Args:
        url: ``sqlite:///file.db`` (relative to ``folder``) or ``postgresql+psycopg://user:password@host/name``.
        schema: PostgreSQL: the schema of the tables, made where it is not there.
        folder: Where relative paths begin.

    Raises:
        InputError: The address is none that a store can have, or the store is of a newer version.
        OutputError: The file cannot be written.
    """
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite":
            if schema is not None:
                raise InputError("The store is SQLite, which has no schemas; leave schema out.")
            engine = _sqlite(parsed, Path(folder))
        elif parsed.get_backend_name() == "postgresql":
            engine = _postgresql(parsed, schema)
        else:
            raise InputError(f"The store cannot be in {parsed.get_backend_name()}; use sqlite or postgresql+psycopg.")
    except (ArgumentError, NoSuchModuleError):
        # The error's own text repeats the address, which may hold a password.
        raise InputError(
            "The store's address is not one; write sqlite:///monitor.db, or postgresql+psycopg://... ."
        ) from None
    try:
        with engine.begin() as connection:
            if engine.dialect.name == "postgresql":
                # Two that open a new store at once make its tables one after the other.
                connection.execute(text("SELECT pg_advisory_xact_lock(5717341022)"))
            if schema is not None:
                connection.execute(text(f'CREATE SCHEMA IF NOT EXISTS "{schema}"'))
            migrate(connection)
    except DBAPIError as error:
        engine.dispose()
        raise OutputError(f"The store {shown(parsed)} cannot be opened ({_said(error)}).") from None
    return engine


@contextmanager
def repeatable(engine: Engine) -> Iterator[Connection]:
    """A transaction of which nothing is told to anybody before a later one of ``engine.begin()``: in SQLite it does not
    wait for the disk.

    Commits become durable in their order, so where the machine dies, and this process with it, the latest of these are
    lost as if it had been killed before them, and the next run does them again. A process that dies alone loses
    nothing. A server of PostgreSQL can die alone: there every commit waits.
    """
    with engine.connect() as connection, connection.execution_options(repeatable=True).begin():
        yield connection


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A connection that only reads, one state of the store, and never waits for a writer."""
    options: dict[str, Any] = {"only_reads": True}
    if engine.dialect.name == "postgresql":
        options["isolation_level"] = "REPEATABLE READ"  # else every statement would see a state of its own
    with engine.connect() as connection:
        yield connection.execution_options(**options)


def shown(url: URL) -> str:
    """An address without its password and user."""
    return (
        url.database or "in memory" if url.get_backend_name() == "sqlite" else f"{url.host or 'local'}/{url.database}"
    )


def _said(error: DBAPIError) -> str:
    lines = str(error.orig).strip().splitlines() or [type(error).__name__]
    return lines[0].rstrip(".")[:200]


def _sqlite(url: URL, folder: Path) -> Engine:
    name = url.database
    if name and name != ":memory:":
        path = Path(name) if os.path.isabs(name) else folder / name
        try:
            descriptor = os.open(path, os.O_CREAT | os.O_RDWR, _PRIVATE)
            try:
                if stat.S_IMODE(os.fstat(descriptor).st_mode) & 0o077:
                    os.fchmod(descriptor, _PRIVATE)  # SQLite's files beside it take the mode of this one
            finally:
                os.close(descriptor)
        except OSError as error:
            raise OutputError(f"The store {path} cannot be written ({error.strerror or error}).") from None
        url = url.set(database=str(path))
    engine = create_engine(url, connect_args={"timeout": _BUSY_MS / 1000, "check_same_thread": False})
    # The last one to close a store puts the log that is written ahead into its file; also where a process just ends.
    weakref.finalize(engine, engine.pool.dispose)

    @event.listens_for(engine, "connect")
    def connected(connection: Any, record: Any) -> None:
        connection.isolation_level = None  # the driver would begin transactions late, and not for all statements
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=FULL", f"busy_timeout={_BUSY_MS}", "foreign_keys=ON"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begun(connection: Any) -> None:
        # At once as a writer: one that began as a reader could not become a writer after another one's commit.
        options = connection.get_execution_options()
        if not options.get("only_reads", False):
            # Of the log that is written ahead, a commit that is synced syncs all that came before it.
            connection.exec_driver_sql(f"PRAGMA synchronous={'NORMAL' if options.get('repeatable') else 'FULL'}")
        connection.exec_driver_sql("BEGIN" if options.get("only_reads", False) else "BEGIN IMMEDIATE")

    return engine


def _postgresql(url: URL, schema: str | None) -> Engine:
    if url.drivername == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    options = {"options": f"-csearch_path={schema}"} if schema is not None else {}
    try:
        return create_engine(url, pool_pre_ping=True, connect_args={"connect_timeout": 10, **options})
    except ModuleNotFoundError:
        raise InputError(
            "A store in PostgreSQL needs the package psycopg; install the extra: pip install "
            "'modelwatch-gpu[postgres]'."
        ) from None
