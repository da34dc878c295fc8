"""What a run reads from the store and writes to it, one transaction at a time.

A file's row, its parts and the mark on the windows they belong to are one transaction; so is everything that finishes a
run. Between two transactions a process may die at any moment: what is committed is whole, what is not is done again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Engine, delete, func, insert, select, update

from modelwatch_gpu.monitor.clock import Clock, utc_text
from modelwatch_gpu.monitor.counts import Counted, Counter
from modelwatch_gpu.monitor.discover import Found
from modelwatch_gpu.monitor.lease import Lease
from modelwatch_gpu.monitor.store.engine import reading
from modelwatch_gpu.monitor.store.tables import facts, files, findings, measures, parts, runs, states, windows
from modelwatch_gpu.profile.parts import UNTIMED

#: Values in one statement at most: SQLite takes 32,766, PostgreSQL 65,535.
_AT_A_TIME: Final = 500


@dataclass(frozen=True)
class Known:
    """A file as the store knows it."""

    path: str
    etag: str
    size: int
    state: str
    part_sha256: str | None
    same_as: str | None


class Ledger:
    """Reads and writes of one monitor; every write is under its lease."""

    def __init__(self, engine: Engine, lease: Lease, clock: Clock) -> None:
        self.engine, self._lease, self._clock = engine, lease, clock

    # ---- reading -----------------------------------------------------------------------------------------------------

    def fact(self, name: str) -> str | None:
        """A single fact."""
        with reading(self.engine) as connection:
            return connection.execute(select(facts.c.value).where(facts.c.name == name)).scalar()

    def known(self, kind: str = "log") -> dict[str, Known]:
        """Every file by path."""
        columns = (files.c.path, files.c.etag, files.c.size, files.c.state, files.c.part_sha256, files.c.same_as)
        with reading(self.engine) as connection:
            rows = connection.execute(select(*columns).where(files.c.kind == kind))
            return {row.path: Known(*row) for row in rows}

    def alike(self, counted: Counted, found: Found) -> str | None:
        """Another file of the same size that counted the same; None where there is none."""
        with reading(self.engine) as connection:
            return connection.execute(
                select(files.c.path)
                .where(
                    files.c.part_sha256 == counted.part_sha256,
                    files.c.size == found.size,
                    files.c.path != found.path,
                    files.c.state.in_(("counted", "kept", "late")),
                )
                .order_by(files.c.path)
                .limit(1)
            ).scalar()

    def dirty(self) -> list[int]:
        """Windows that changed since they were judged, ascending."""
        with reading(self.engine) as connection:
            query = select(windows.c.window_start).where(windows.c.dirty).order_by(windows.c.window_start)
            return [int(start) for start in connection.execute(query).scalars()]

    def contents_of(self, start: int) -> tuple[list[tuple[str, bytes]], int, int]:
        """What a window is merged from, each with the name messages call it: its state and the parts that came since,
        or all parts where something was taken from it. Then its rows and files."""
        with reading(self.engine) as connection:
            rebuild = connection.execute(select(windows.c.rebuild).where(windows.c.window_start == start)).scalar_one()
            own = parts.c.window_start == start
            query = select(parts.c.path, parts.c.bytes).where(own).order_by(parts.c.path)
            contents: list[tuple[str, bytes]] = []
            if not rebuild:
                query = query.where(~parts.c.merged)
                state = connection.execute(select(states.c.bytes).where(states.c.window_start == start)).scalar()
                contents += [("the state of a window", state)] if state is not None else []
            contents += [(row.path, row.bytes) for row in connection.execute(query)]
            counts = connection.execute(select(func.coalesce(func.sum(parts.c.rows), 0), func.count()).where(own)).one()
            return contents, int(counts[0]), int(counts[1])

    def state_before(self, start: int) -> tuple[int, bytes] | None:
        """The latest window before this one that has rows, and its state."""
        with reading(self.engine) as connection:
            row = connection.execute(
                select(states.c.window_start, states.c.bytes)
                .where(states.c.window_start < start, states.c.window_start > UNTIMED)
                .order_by(states.c.window_start.desc())
                .limit(1)
            ).first()
            return None if row is None else (int(row[0]), row[1])

    # ---- writing -----------------------------------------------------------------------------------------------------

    def begin_run(self, about: Mapping[str, str]) -> str:
        """A new run; one that was still running has been killed. Returns its id."""
        now = utc_text(self._clock.now())
        with self.engine.begin() as connection:
            self._lease.hold(connection)
            connection.execute(update(runs).where(runs.c.state == "running").values(state="interrupted", ended_at=now))
            last = connection.execute(select(func.max(runs.c.id))).scalar()
            run_id = f"{int(last or 0) + 1:012d}"
            row = {"id": run_id, "started_at": now, "state": "running", "files": 0, "windows": 0, "rows": 0}
            connection.execute(insert(runs).values(**row, **about))
        return run_id

    def fail_run(self, run_id: str, error: str) -> None:
        """A run that ended by an error; what its files counted stays."""
        with self.engine.begin() as connection:
            self._lease.hold(connection)
            ended = {"state": "failed", "error": error, "ended_at": utc_text(self._clock.now())}
            connection.execute(update(runs).where(runs.c.id == run_id).values(**ended))

    def set_fact(self, name: str, value: str) -> None:
        """Notes a single fact."""
        with self.engine.begin() as connection:
            self._lease.hold(connection)
            _set_fact(connection, name, value)

    def record(self, run_id: str, found: Found, counted: Counted, counter: Counter, *, same_as: str | None) -> str:
        """A file and its parts, instead of those it had; the windows of both become dirty. Returns its new state.

        ``same_as``: the file whose copy it is, which then is the one that counts.
        """
        with self.engine.begin() as connection:
            self._lease.hold(connection)
            state = "counted" if same_as is None else "duplicate"
            before = connection.execute(
                select(parts.c.window_start, parts.c.merged, parts.c.bytes).where(parts.c.path == found.path)
            ).all()
            closed = [row.window_start for row in before if not row.bytes]
            pieces = counted.pieces if same_as is None else ()
            if closed:
                # Its counts were added to others for good, and nothing is ever subtracted: the old ones stay.
                state, pieces = "late", ()
            else:
                self._take_out(connection, found.path, {row.window_start: row.merged for row in before}, counter)
                self._put_in(connection, found.path, pieces, counted, counter)
            row = {
                "kind": "log",
                "size": found.size,
                "etag": found.etag,
                "rows": counted.rows,
                "state": state,
                "part_sha256": counted.part_sha256,
                "same_as": same_as,
                "error": _LATE if closed else None,
                "run_id": run_id,
            }
            _upsert_file(connection, found.path, row)
            _forget_copies(connection, found.path)
            if counted.newest is not None:
                _raise_newest(connection, counted.newest)
            rows = runs.c.rows + counted.rows
            connection.execute(update(runs).where(runs.c.id == run_id).values(files=runs.c.files + 1, rows=rows))
            return state

    def record_unreadable(self, run_id: str, found: Found, error: str) -> None:
        """A file that cannot be read; what it counted before stays."""
        row = {"kind": "log", "size": found.size, "etag": found.etag, "state": "unreadable", "error": error}
        with self.engine.begin() as connection:
            self._lease.hold(connection)
            there = connection.execute(select(files.c.path).where(files.c.path == found.path)).first()
            _upsert_file(connection, found.path, {**row, "run_id": run_id, **({} if there else {"rows": 0})})

    def drop(self, run_id: str, path: str, counter: Counter, *, keep: bool) -> None:
        """A file that is gone: its counts go too, or stay."""
        with self.engine.begin() as connection:
            self._lease.hold(connection)
            before = connection.execute(
                select(parts.c.window_start, parts.c.merged, parts.c.bytes).where(parts.c.path == path)
            ).all()
            if keep or any(not row.bytes for row in before):
                connection.execute(update(files).where(files.c.path == path).values(state="kept", run_id=run_id))
                return
            self._take_out(connection, path, {row.window_start: row.merged for row in before}, counter)
            connection.execute(delete(files).where(files.c.path == path))
            _forget_copies(connection, path)

    def finish_run(self, run_id: str, results: Sequence[WindowResult], in_transaction: Any) -> datetime:
        """Replaces what is known of the windows a run judged, and ends it; ``in_transaction(connection, run id, now)``
        belongs to it. Returns the time that it says."""
        now = self._clock.now()
        with self.engine.begin() as connection:
            self._lease.hold(connection)
            for result in results:
                _replace_window(connection, run_id, result)
            done = {"state": "finished", "ended_at": utc_text(now), "windows": len(results)}
            connection.execute(update(runs).where(runs.c.id == run_id).values(**done))
            in_transaction(connection, run_id, now)
        return now

    def start_anew(self, settings: str) -> None:
        """Forgets everything that was counted, for a recount; runs, alerts and audit stay."""
        with self.engine.begin() as connection:
            self._lease.hold(connection)
            for table in (files, parts, windows, states, measures, findings):
                connection.execute(delete(table))
            connection.execute(delete(facts))
            _set_fact(connection, "settings", settings)

    def _take_out(self, connection: Connection, path: str, merged: Mapping[int, bool], counter: Counter) -> None:
        connection.execute(delete(parts).where(parts.c.path == path))
        for start, was_merged in merged.items():
            _mark(connection, start, counter, rebuild=was_merged)

    def _put_in(
        self, connection: Connection, path: str, pieces: Iterable[Any], counted: Counted, counter: Counter
    ) -> None:
        for piece in pieces:
            connection.execute(
                insert(parts).values(
                    path=path,
                    window_start=piece.window_start,
                    part_sha256=counted.part_sha256,
                    rows=piece.rows,
                    merged=False,
                    bytes=piece.content,
                )
            )
            _mark(connection, piece.window_start, counter, rebuild=False)


@dataclass(frozen=True)
class WindowResult:
    """What a run made of one window. ``content``, ``sha256``: its state, None where it has no rows any more.
    ``measures``, ``findings``: rows without run and report."""

    window_start: int
    rows: int
    files: int
    content: bytes | None
    sha256: str
    measures: Sequence[Mapping[str, Any]] = ()
    findings: Sequence[Mapping[str, Any]] = ()
    severity: str | None = None
    report: str | None = None


_LATE: Final = (
    "The file changed after its windows had been closed (retention.corrections_until): the counts it had then stay."
)


def _mark(connection: Connection, start: int, counter: Counter, *, rebuild: bool) -> None:
    """A window that has to be judged again; one that is new gets a row."""
    changed = {"dirty": True, **({"rebuild": True} if rebuild else {})}
    if connection.execute(update(windows).where(windows.c.window_start == start).values(**changed)).rowcount:
        return
    begin, end, label = counter.texts_of(start)
    row = {"window_start": start, "window": begin, "window_end": end, "label": label, "state": "open", "rows": 0}
    connection.execute(insert(windows).values(**row, files=0, dirty=True, rebuild=rebuild))


def _upsert_file(connection: Connection, path: str, row: Mapping[str, Any]) -> None:
    if not connection.execute(update(files).where(files.c.path == path).values(**row)).rowcount:
        connection.execute(insert(files).values(path=path, **row))


def _forget_copies(connection: Connection, path: str) -> None:
    """Files that were copies of this one are new files again: the next look counts one of them, if they still are."""
    connection.execute(delete(files).where(files.c.same_as == path))


def _set_fact(connection: Connection, name: str, value: str) -> None:
    if not connection.execute(update(facts).where(facts.c.name == name).values(value=value)).rowcount:
        connection.execute(insert(facts).values(name=name, value=value))


def _raise_newest(connection: Connection, second: int) -> None:
    before = connection.execute(select(facts.c.value).where(facts.c.name == "newest")).scalar()
    if before is None or int(before) < second:
        _set_fact(connection, "newest", str(second))


def _replace_window(connection: Connection, run_id: str, result: WindowResult) -> None:
    start = result.window_start
    for table in (states, measures, findings):
        connection.execute(delete(table).where(table.c.window_start == start))
    if result.content is not None:
        row = {"window_start": start, "sha256": result.sha256, "bytes": result.content}
        connection.execute(insert(states).values(**row))
    own = {"run_id": run_id}
    _insert_all(connection, measures, [{**row, **own} for row in result.measures])
    _insert_all(connection, findings, [{**row, **own, "report": result.report} for row in result.findings])
    connection.execute(update(parts).where(parts.c.window_start == start, ~parts.c.merged).values(merged=True))
    connection.execute(
        update(windows)
        .where(windows.c.window_start == start)
        .values(
            dirty=False,
            rebuild=False,
            rows=result.rows,
            files=result.files,
            run_id=run_id,
            severity=result.severity,
            report=result.report,
        )
    )


def _insert_all(connection: Connection, table: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    for first in range(0, len(rows), _AT_A_TIME):
        connection.execute(insert(table), [dict(row) for row in rows[first : first + _AT_A_TIME]])
