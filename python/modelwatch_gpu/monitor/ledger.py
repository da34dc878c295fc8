"""What a run reads from the store and writes to it, one transaction at a time.

A file's row, its parts and the mark on the windows they belong to are one transaction; so is everything that finishes a
run. Between two transactions a process may die at any moment: what is committed is whole, what is not is done again.
Only what finishes a run waits for the disk: before it nobody is told anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Engine, and_, delete, func, insert, select, true, update

from modelwatch_gpu.monitor.clock import Clock, utc_text
from modelwatch_gpu.monitor.counts import Counted, Counter, Piece
from modelwatch_gpu.monitor.discover import Found
from modelwatch_gpu.monitor.lease import Lease
from modelwatch_gpu.monitor.store.engine import reading, repeatable
from modelwatch_gpu.monitor.store.tables import (
    OF_FILES,
    evidence,
    facts,
    files,
    findings,
    measures,
    parts,
    runs,
    states,
    windows,
)

#: Rows of one statement at most.
_AT_A_TIME: Final = 500
#: An etag that no file has: it is counted again at the next look.
AGAIN: Final = ""
_LATE: Final = (
    "The file changed after windows of it had been closed (retention.corrections_until): what it counted before stays."
)

#: Called in the transaction that finishes a run: (connection, run id, now).
InTransaction = Callable[[Connection, str, datetime], None]


class Known(NamedTuple):
    """A file as the store knows it."""

    path: str
    etag: str
    size: int
    state: str
    sha256: str | None
    part_sha256: str | None
    same_as: str | None
    error: str | None


class Contents(NamedTuple):
    """What a window is merged from: ``packed``: its state and the parts that came since, or all parts where something
    was taken from it, each with the name that messages call it. ``rows``, ``files``: of all its parts."""

    packed: Sequence[tuple[str, bytes]]
    rows: int
    files: int


@dataclass(frozen=True)
class WindowResult:
    """What a run made of one window. ``packed``, ``sha256``: its state, None where it has no rows any more.
    ``measures``, ``findings``: rows without run and report. ``evidence``: of ``anytime``."""

    window_start: int
    rows: int
    files: int
    packed: bytes | None = None
    sha256: str = ""
    measures: Sequence[Mapping[str, Any]] = ()
    findings: Sequence[Mapping[str, Any]] = ()
    severity: str | None = None
    report: str | None = None
    evidence: bytes | None = None

    def with_findings(
        self,
        measures: Sequence[Mapping[str, Any]],
        findings: Sequence[Mapping[str, Any]],
        severity: str | None,
        report: str | None,
        evidence: bytes | None = None,
    ) -> WindowResult:
        """The same window, judged."""
        judged = replace(self, measures=measures, findings=findings, severity=severity, report=report)
        return replace(judged, evidence=evidence)


class Ledger:
    """Reads and writes of one monitor; every write is under its lease."""

    def __init__(self, engine: Engine, lease: Lease, clock: Clock, counter: Counter) -> None:
        self.engine, self._lease, self._clock, self._counter = engine, lease, clock, counter

    # ---- reading -----------------------------------------------------------------------------------------------------

    def fact(self, name: str) -> str | None:
        """A single fact."""
        with reading(self.engine) as connection:
            return connection.execute(select(facts.c.value).where(facts.c.name == name)).scalar()

    def known(self, kind: str = "log") -> dict[str, Known]:
        """Every file by path."""
        names = ("path", "etag", "size", "state", "sha256", "part_sha256", "same_as", "error")
        with reading(self.engine) as connection:
            rows = connection.execute(select(*(files.c[name] for name in names)).where(files.c.kind == kind))
            return {row.path: Known(*row) for row in rows}

    def alike(self, counted: Counted, found: Found) -> str | None:
        """Another file of the same size that counted the same; None where there is none."""
        counts = files.c.state.in_(("counted", "kept", "late"))
        with reading(self.engine) as connection:
            return connection.execute(
                select(files.c.path)
                .where(files.c.part_sha256 == counted.part_sha256, files.c.size == found.size, counts)
                .where(files.c.path != found.path)
                .order_by(files.c.path)
                .limit(1)
            ).scalar()

    def dirty(self) -> list[int]:
        """Windows that changed since they were judged, ascending."""
        with reading(self.engine) as connection:
            query = select(windows.c.window_start).where(windows.c.dirty).order_by(windows.c.window_start)
            return [int(start) for start in connection.execute(query).scalars()]

    def contents_of(self, start: int) -> Contents:
        """What a window is merged from."""
        own = parts.c.window_start == start
        with reading(self.engine) as connection:
            tally = select(func.coalesce(func.sum(parts.c.rows), 0), func.count()).where(own).subquery()
            state = and_(states.c.window_start == windows.c.window_start, ~windows.c.rebuild)
            both = windows.outerjoin(states, state).join(tally, true())
            about = select(windows.c.rebuild, states.c.bytes, *tally.c).select_from(both)
            rebuild, before, rows, count = connection.execute(about.where(windows.c.window_start == start)).one()
            query = select(parts.c.path, parts.c.bytes).where(own).order_by(parts.c.path)
            packed = [] if before is None else [("the state of a window", before)]
            packed += [tuple(row) for row in connection.execute(query if rebuild else query.where(~parts.c.merged))]
            return Contents(packed, int(rows), int(count))

    def state_before(self, start: int, but: Sequence[int]) -> tuple[int, bytes] | None:
        """The latest window before this one that has rows, and its state; none of the windows ``but``."""
        own = and_(states.c.window_start < start, states.c.window_start.not_in(but))
        return self._beside(own, states.c.window_start.desc())

    def state_after(self, start: int) -> tuple[int, bytes] | None:
        """The first window after this one that has rows, and its state."""
        return self._beside(states.c.window_start > start, states.c.window_start)

    def _beside(self, where: Any, order: Any) -> tuple[int, bytes] | None:
        query = select(states.c.window_start, states.c.bytes).where(where, states.c.window_start > OF_FILES)
        with reading(self.engine) as connection:
            row = connection.execute(query.order_by(order).limit(1)).first()
            return None if row is None else (int(row[0]), row[1])

    def state_sha256(self, start: int) -> str | None:
        """The hash of a window's state when it was judged last; None where it has none."""
        with reading(self.engine) as connection:
            return connection.execute(select(states.c.sha256).where(states.c.window_start == start)).scalar()

    def evidence_before(self, start: int, but: Sequence[int]) -> tuple[int, bytes] | None:
        """The latest window before this one with evidence, and that; none of the windows ``but``."""
        where = (evidence.c.window_start < start, evidence.c.window_start.not_in(but))
        query = select(evidence.c.window_start, evidence.c.bytes).where(*where)
        with reading(self.engine) as connection:
            row = connection.execute(query.order_by(evidence.c.window_start.desc()).limit(1)).first()
            return None if row is None else (int(row[0]), row[1])

    def evidence_of(self, start: int) -> bytes | None:
        """The evidence with which a window was judged last."""
        with reading(self.engine) as connection:
            return connection.execute(select(evidence.c.bytes).where(evidence.c.window_start == start)).scalar()

    def judged_after(self, start: int) -> list[int]:
        """All windows after this one that have a state."""
        query = select(states.c.window_start).where(states.c.window_start > max(start, OF_FILES))
        with reading(self.engine) as connection:
            return [int(one) for one in connection.execute(query).scalars()]

    # ---- files -------------------------------------------------------------------------------------------------------

    def record(
        self, run_id: str, found: Found, counted: Counted, *, sha256: str | None = None, same_as: str | None = None
    ) -> str:
        """A file and its parts, instead of those it had; the windows of both become dirty. Returns its new state.

        ``sha256``: of its content, where it was read. ``same_as``: the file whose copy it is, which is the one that
        counts.
        """
        row = {
            **_row_of(found, run_id, "log"),
            "sha256": sha256,
            "rows": counted.rows,
            "state": "counted" if same_as is None else "duplicate",
            "part_sha256": counted.part_sha256,
            "same_as": same_as,
            "error": None,
        }
        with repeatable(self.engine) as connection:
            self._lease.hold(connection)
            known = connection.execute(select(files).where(files.c.path == found.path)).first()
            before = _parts_of(connection, found.path)
            if known is not None and known.state == row["state"] and known.part_sha256 == counted.part_sha256:
                _put_file(connection, found.path, {**row, "run_id": known.run_id})
                return str(row["state"])  # it was written again with the same rows
            if any(not one.bytes for one in before):
                # Its counts were added to others for good, and nothing is ever subtracted.
                row |= {"state": "late", "error": _LATE}
                row |= {"rows": known.rows, "part_sha256": known.part_sha256} if known is not None else {}
                self._mark(connection, OF_FILES)
            else:
                self._take_out(connection, found.path, before)
                self._put_in(connection, found.path, counted, counted.pieces if same_as is None else ())
            if known is not None and known.state in ("unreadable", "late"):
                self._mark(connection, OF_FILES)
            _put_file(connection, found.path, row, new=known is None)
            _forget_copies(connection, found.path)
            if counted.newest is not None:
                _raise_newest(connection, counted.newest)
            _add_to_run(connection, run_id, counted.rows)
            return str(row["state"])

    def record_same(self, found: Found) -> None:
        """A file whose time changed and whose content did not."""
        with repeatable(self.engine) as connection:
            self._lease.hold(connection)
            connection.execute(update(files).where(files.c.path == found.path).values(etag=found.etag))

    def record_unreadable(self, run_id: str, found: Found, error: str, *, kind: str = "log") -> None:
        """A file that cannot be read; what it counted before stays."""
        with repeatable(self.engine) as connection:
            self._lease.hold(connection)
            _put_file(connection, found.path, {**_row_of(found, run_id, kind), "state": "unreadable", "error": error})
            self._mark(connection, OF_FILES)

    def record_labels(self, run_id: str, found: Found, rows: int, affected: Iterable[str]) -> None:
        """A file of labels; the log's files that have rows of it are counted again."""
        row = {**_row_of(found, run_id, "labels"), "state": "counted", "rows": rows, "error": None}
        with repeatable(self.engine) as connection:
            self._lease.hold(connection)
            _put_file(connection, found.path, row)
            _add_to_run(connection, run_id, rows)
            for path in affected:
                connection.execute(update(files).where(files.c.path == path).values(etag=AGAIN))

    def drop(self, run_id: str, path: str, *, keep: bool) -> None:
        """A file that is gone: its counts go too, or stay."""
        with repeatable(self.engine) as connection:
            self._lease.hold(connection)
            before = _parts_of(connection, path)
            if before and (keep or any(not one.bytes for one in before)):
                row = {"state": "kept", "run_id": run_id, "error": None}
                connection.execute(update(files).where(files.c.path == path).values(**row))
            else:
                self._take_out(connection, path, before)
                connection.execute(delete(files).where(files.c.path == path))
                _forget_copies(connection, path)
            self._mark_files_if_judged(connection)

    def _mark_files_if_judged(self, connection: Connection) -> None:
        """Findings about files are looked at again where there are some."""
        connection.execute(update(windows).where(windows.c.window_start == OF_FILES).values(dirty=True))

    def _take_out(self, connection: Connection, path: str, before: Sequence[Any]) -> None:
        if before:
            connection.execute(delete(parts).where(parts.c.path == path))
        for one in before:
            self._mark(connection, one.window_start, rebuild=one.merged)

    def _put_in(self, connection: Connection, path: str, counted: Counted, pieces: Sequence[Piece]) -> None:
        own = {"path": path, "part_sha256": counted.part_sha256, "merged": False}
        for piece in pieces:
            row = {"window_start": piece.window_start, "rows": piece.rows, "bytes": piece.packed}
            connection.execute(insert(parts).values(**own, **row))
            self._mark(connection, piece.window_start)

    def _mark(self, connection: Connection, start: int, *, rebuild: bool = False) -> None:
        """A window that has to be judged again; one that is new gets a row, and one that was closed is open until its
        new parts are added up too."""
        changed = {"dirty": True, "state": "open", **({"rebuild": True} if rebuild else {})}
        if connection.execute(update(windows).where(windows.c.window_start == start).values(**changed)).rowcount:
            return
        begin, end, label = self._counter.texts_of(start)
        texts = {"window_start": start, "window": begin, "window_end": end, "label": label}
        about = {"state": "open", "rows": 0, "files": 0, "dirty": True, "rebuild": rebuild}
        connection.execute(insert(windows).values(**texts, **about))

    # ---- runs --------------------------------------------------------------------------------------------------------

    def begin_run(self, about: Mapping[str, str]) -> str:
        """A new run; one that was still running has been killed. Returns its id."""
        now = utc_text(self._clock.now())
        with repeatable(self.engine) as connection:
            self._lease.hold(connection)
            ended = {"state": "interrupted", "ended_at": now}
            connection.execute(update(runs).where(runs.c.state == "running").values(**ended))
            last = connection.execute(select(func.max(runs.c.id))).scalar()
            run_id = f"{int(last or 0) + 1:012d}"
            row = {"id": run_id, "started_at": now, "state": "running", "files": 0, "windows": 0, "rows": 0}
            connection.execute(insert(runs).values(**row, **about))
            _set_fact(connection, "looked_at", now)
        return run_id

    def fail_run(self, run_id: str, error: str) -> None:
        """A run that ended by an error; what its files counted stays."""
        ended = {"state": "failed", "error": error, "ended_at": utc_text(self._clock.now())}
        with repeatable(self.engine) as connection:
            self._lease.hold(connection)
            connection.execute(update(runs).where(runs.c.id == run_id).values(**ended))

    def finish_run(
        self, run_id: str, results: Sequence[WindowResult], also_dirty: Iterable[int], in_transaction: InTransaction
    ) -> datetime:
        """Replaces what is known of the windows a run judged, and ends it; ``in_transaction`` belongs to it.

        ``also_dirty``: windows that are compared with one of these. Returns the time that the run says it ended.
        Windows without files go once everybody has seen that they are empty: whoever never saw these files has none.
        """
        now = self._clock.now()
        with self.engine.begin() as connection:
            self._lease.hold(connection)
            for result in results:
                _replace_window(connection, run_id, result)
            for start in also_dirty:
                self._mark(connection, start)
            done = {"state": "finished", "ended_at": utc_text(now), "windows": len(results)}
            connection.execute(update(runs).where(runs.c.id == run_id).values(**done))
            in_transaction(connection, run_id, now)
            connection.execute(delete(windows).where(windows.c.files == 0, ~windows.c.dirty))
        return now

    def looked(self) -> None:
        """Notes a look that found nothing to do."""
        with repeatable(self.engine) as connection:
            self._lease.hold(connection)
            _set_fact(connection, "looked_at", utc_text(self._clock.now()))

    def start_anew(self, settings: str) -> None:
        """Forgets everything that was counted, for a recount; runs, alerts and audit stay."""
        with self.engine.begin() as connection:
            self._lease.hold(connection)
            for table in (files, parts, windows, states, evidence, measures, findings, facts):
                connection.execute(delete(table))
            _set_fact(connection, "settings", settings)


def _row_of(found: Found, run_id: str, kind: str) -> dict[str, Any]:
    return {"kind": kind, "size": found.size, "etag": found.etag, "run_id": run_id}


def _parts_of(connection: Connection, path: str) -> Sequence[Any]:
    names = (parts.c.window_start, parts.c.merged, parts.c.bytes)
    return connection.execute(select(*names).where(parts.c.path == path).order_by(parts.c.window_start)).all()


def _put_file(connection: Connection, path: str, row: Mapping[str, Any], *, new: bool = False) -> None:
    """``new``: whether the caller's transaction has seen that there is no row of it."""
    if new or not connection.execute(update(files).where(files.c.path == path).values(**row)).rowcount:
        connection.execute(insert(files).values(**{"path": path, "rows": 0, **row}))


def _forget_copies(connection: Connection, path: str) -> None:
    """Files that were copies of this one are new files again: the next look counts one of them, if they still are."""
    connection.execute(delete(files).where(files.c.same_as == path))


def _add_to_run(connection: Connection, run_id: str, rows: int) -> None:
    more = {"files": runs.c.files + 1, "rows": runs.c.rows + rows}
    connection.execute(update(runs).where(runs.c.id == run_id).values(**more))


def _set_fact(connection: Connection, name: str, value: str) -> None:
    if not connection.execute(update(facts).where(facts.c.name == name).values(value=value)).rowcount:
        connection.execute(insert(facts).values(name=name, value=value))


def _raise_newest(connection: Connection, second: int) -> None:
    before = connection.execute(select(facts.c.value).where(facts.c.name == "newest")).scalar()
    if before is None or int(before) < second:
        _set_fact(connection, "newest", str(second))


def _replace_window(connection: Connection, run_id: str, result: WindowResult) -> None:
    start = result.window_start
    for table in (states, evidence, measures, findings):
        connection.execute(delete(table).where(table.c.window_start == start))
    if result.evidence is not None:
        connection.execute(insert(evidence).values(window_start=start, bytes=result.evidence))
    if result.packed is not None:
        row = {"window_start": start, "sha256": result.sha256, "bytes": result.packed}
        connection.execute(insert(states).values(**row))
    own = {"run_id": run_id}
    _insert_all(connection, measures, [{**row, **own} for row in result.measures])
    _insert_all(connection, findings, [{**row, **own, "report": result.report} for row in result.findings])
    connection.execute(update(parts).where(parts.c.window_start == start, ~parts.c.merged).values(merged=True))
    judged = {"rows": result.rows, "files": result.files, "severity": result.severity, "report": result.report}
    connection.execute(
        update(windows)
        .where(windows.c.window_start == start)
        .values(dirty=False, rebuild=False, run_id=run_id, **judged)
    )


def _insert_all(connection: Connection, table: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    for first in range(0, len(rows), _AT_A_TIME):
        connection.execute(insert(table), [dict(row) for row in rows[first : first + _AT_A_TIME]])
