"""Runs a monitor: looks for files, counts those that are new or changed, judges the windows they changed."""

from __future__ import annotations

import threading
from collections import Counter as Counts
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, Engine

from modelwatch_gpu import _core
from modelwatch_gpu.errors import InputError
from modelwatch_gpu.log import Derived
from modelwatch_gpu.monitor import hooks
from modelwatch_gpu.monitor.clock import Clock
from modelwatch_gpu.monitor.config.model import MonitorConfig
from modelwatch_gpu.monitor.counts import Counter, Piece, compatible, pack, sha256
from modelwatch_gpu.monitor.discover import Found, discover, is_unchanged, opened, settled, sha256_of
from modelwatch_gpu.monitor.judging import Judge, file_findings
from modelwatch_gpu.monitor.late import LateLabels
from modelwatch_gpu.monitor.lease import TTL, Lease, Seen
from modelwatch_gpu.monitor.ledger import Known, Ledger, WindowResult
from modelwatch_gpu.monitor.looks import Looks
from modelwatch_gpu.monitor.pages import Pages
from modelwatch_gpu.monitor.retention import retain
from modelwatch_gpu.monitor.store.engine import open_store
from modelwatch_gpu.monitor.store.tables import OF_FILES
from modelwatch_gpu.profile import Baseline
from modelwatch_gpu.profile.parts import UNTIMED, WHOLE, Part

#: Windows that one run judges at most; the next one goes on.
WINDOWS_PER_RUN: Final = 64
#: Seconds before a file that could not be read is tried again, unless it changes.
_TRY_AGAIN: Final = 900.0

#: Windows of a file whose counts stay in memory until they are judged.
_FRESH: Final = 8

#: Windows of which a run's summary tells what was found.
_MOST_TOLD: Final = 10

#: Called with a sentence about what is done.
Tell = Callable[[str], None]


@dataclass
class Done:
    """What runs came to. ``runs``: ids. ``files``: counted. ``dropped``: files that are gone. ``unreadable``: path ->
    why. ``windows``: start -> severity of its worst finding. ``worst``: start -> that finding and its page, of windows
    with an alert or a warning. ``busy``: who else holds the lease, None: nobody."""

    runs: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    duplicates: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)
    windows: dict[int, str | None] = field(default_factory=dict)
    worst: dict[int, str] = field(default_factory=dict)
    busy: Seen | None = None

    def lines(self, counter: Counter) -> list[str]:
        """In sentences for people."""
        counted = f"{len(self.files):,} file{'' if len(self.files) == 1 else 's'} counted"
        more = [(self.duplicates, "copies"), (self.dropped, "gone"), (self.unreadable, "unreadable")]
        out = [", ".join([counted, *(f"{len(what):,} {word}" for what, word in more if what)]) + "."]
        judged = [start for start in sorted(self.windows) if start > OF_FILES or start == WHOLE]
        if judged:
            tally = Counts(self.windows[start] or "no rows" for start in judged)
            kinds = ", ".join(f"{SAID.get(kind, kind)} {tally[kind]:,}" for kind in sorted(tally, key=_order))
            out.append(f"{len(judged):,} window{'' if len(judged) == 1 else 's'} judged: {kinds}.")
        told = [start for start in judged if start in self.worst]
        out += [f"{counter.texts_of(start)[2]}: {self.worst[start]}" for start in told[:_MOST_TOLD]]
        if len(told) > _MOST_TOLD:
            out.append(f"and {len(told) - _MOST_TOLD:,} more; `modelwatch serve` and the pages have them all.")
        return out

    def take(self, result: WindowResult) -> None:
        """Notes what a run made of a window."""
        start, severity = result.window_start, result.severity
        self.windows[start] = severity
        self.worst.pop(start, None)
        if severity in ("alert", "warning"):
            found = [row for row in result.findings if row["severity"] == severity]
            page = "" if result.report is None else f" ({result.report})"
            more = f" {len(found) - 1:,} more of that severity." if len(found) > 1 else ""
            self.worst[start] = f"{severity}: {found[0]['column']}: {found[0]['reason']}{more}{page}"


#: Severities as the summary of a run says them, the gravest first.
SAID: Final = {"alert": "alert", "warning": "warning", "not_enough_data": "not sure", "ok": "well"}


def _order(severity: str) -> int:
    return list(SAID).index(severity) if severity in SAID else len(SAID)


@dataclass
class _Work:
    """What a look found to do. ``left``: windows that a run before did not judge; they come first, so that each run
    judges what it counted, interrupted or not. ``relabel``: all rows get their labels anew. ``more``: there may be more
    to do after it, so the log is looked at once more."""

    left: list[int] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    labels: list[Found] = field(default_factory=list)
    relabel: bool = False
    files: list[Found] = field(default_factory=list)
    there: Mapping[str, Found] = field(default_factory=dict)
    known: Mapping[str, Known] = field(default_factory=dict)
    more: bool = False

    def __bool__(self) -> bool:
        return bool(self.left or self.gone or self.labels or self.files)


class Runner:
    """One monitor: its config, baseline and store.

    Args:
        config: What to do.
        clock: All times come from it.
        derived: Functions of derived columns, where the baseline or the segments need some.
        source: What to look for instead of ``log.path``: ``Files`` of a filesystem of one's own.
        engine: A store that is open already.
        tell: Is told what is done, in sentences.
        ttl: Seconds after which a runner that is silent is taken for dead.

    Raises:
        InputError: The baseline cannot be read, or does not fit the config.
        OutputError: The store cannot be opened.
    """

    def __init__(
        self,
        config: MonitorConfig,
        *,
        clock: Clock | None = None,
        derived: Sequence[Derived] = (),
        source: Any = None,
        engine: Engine | None = None,
        tell: Tell | None = None,
        ttl: float = TTL,
    ) -> None:
        self.config = config
        self.clock = clock if clock is not None else Clock()
        self._tell: Tell = tell if tell is not None else (lambda said: None)
        self._source = source if source is not None else config.log.path
        self.baseline = Baseline.load(config.path_of(config.baseline))
        self.counter = Counter(config, self.baseline, derived)
        self._judge = Judge(config, self.counter)
        self._pages = Pages(config)
        self._late = LateLabels(config, self.baseline) if config.labels is not None else None
        if engine is None:
            engine = open_store(config.store.url, schema=config.store.schema_name, folder=config.folder)
        self.engine = engine
        self.lease = Lease(engine, config.name, self.clock, ttl=ttl)
        self.ledger = Ledger(engine, self.lease, self.clock, self.counter)
        #: Set by whoever wants an end after the file at hand.
        self.stop = threading.Event()
        self._tried: dict[str, float] = {}
        self._fresh: dict[tuple[str, int], Piece] = {}
        self._about = {
            "config_sha256": config.sha256,
            "code_version": str(_core.build_info()["version"]),
            "baseline_sha256": self.baseline.fingerprint,
            "device": self.counter.plan.spec.device,
        }

    def once(self, *, recount: bool = False) -> Done:
        """Everything there is to do now, in as many runs as it takes; does nothing where another runner is at work.

        ``recount``: forget what was counted and count all files again, such as for another baseline.
        """
        done = Done()
        done.busy = self.lease.take()
        if done.busy is not None:
            return done
        with self.lease:
            self.prepare(recount=recount)
            self.work(done)
        return done

    def prepare(self, *, recount: bool = False) -> None:
        """Holds the store against the config; to be called under the lease."""
        settings = self.counter.settings
        of_store = self.ledger.fact("settings")
        if of_store is None or recount:
            self.ledger.start_anew(settings)
        elif (differs := compatible(of_store, settings)) is not None:
            raise InputError(
                f"The store was counted with another {differs}, and such counts do not add up; run once with "
                "--recount to count the log again, or name another store."
            )

    def work(self, done: Done) -> None:
        """All runs that are due now; to be called under the lease."""
        before = len(done.runs)
        while not self.stop.is_set() and self._step(done):
            pass
        if len(done.runs) == before:  # what waits is sent without a run too
            hooks.after_commit(self.engine, self.config, self.clock.now())

    def _step(self, done: Done) -> bool:
        """One run, if there is something to do; returns whether there may be more."""
        work = self._look()
        if not work:
            self.ledger.looked()
            return False
        run_id = self.ledger.begin_run(self._about)
        try:
            self._fresh = {}
            self._count_all(run_id, work, done)
            due = work.left or self._to_judge()
            results, also_dirty = self._judged(due[:WINDOWS_PER_RUN])
        except InputError as error:
            self.ledger.fail_run(run_id, str(error))
            raise
        now = self.ledger.finish_run(run_id, results, also_dirty, self._with_it)
        done.runs.append(run_id)
        for result in results:
            done.take(result)
        hooks.after_commit(self.engine, self.config, now)
        return work.more or bool(also_dirty) or len(due) > WINDOWS_PER_RUN

    def _with_it(self, connection: Connection, run_id: str, now: datetime) -> None:
        """What belongs to the transaction that finishes a run."""
        hooks.in_transaction(connection, self.config, run_id, now)
        retain(connection, self.config, self.counter, now)

    # ---- files -------------------------------------------------------------------------------------------------------

    def _look(self) -> _Work:
        """What there is to do, at most so many files as a run counts."""
        work = _Work(left=self._to_judge())
        if work.left:
            work.more = True
            return work
        if self._late is not None:
            work.labels, work.relabel = self._late.changes(self.ledger.known("labels"))
        work.known = known = self.ledger.known()
        work.there = there = {f.path: f for f in discover(self._source, self.config.folder)}
        work.gone = sorted(path for path, one in known.items() if path not in there and one.state != "kept")
        ready = settled(list(there.values()), self.clock.now(), self.config.log.settle)
        changed = [found for found in ready if self._is_due(known.get(found.path), found)]
        work.files = changed[: self.config.files_per_run]
        # What goes or changes can make other files new again: those with its rows, or with the ids of its labels.
        work.more = bool(
            work.gone or work.labels or len(changed) > len(work.files) or any(one.path in known for one in work.files)
        )
        return work

    def _is_due(self, known: Known | None, found: Found) -> bool:
        """Whether a file is new or changed, or could not be read and may be by now."""
        if known is None or known.etag != found.etag:
            return True
        if known.state != "unreadable":
            return False
        tried = self._tried.get(found.path)
        return tried is None or self.clock.monotonic() - tried >= _TRY_AGAIN

    def _count_all(self, run_id: str, work: _Work, done: Done) -> None:
        for path in work.gone:
            self.ledger.drop(run_id, path, keep=self.config.log.deleted == "keep")
            done.dropped.append(path)
        for found in work.labels:
            self._take_labels(run_id, found, work, done)
        for found in work.files:
            if self.stop.is_set():
                return  # what was counted is judged, the others are for the next run
            self._count(run_id, found, work, done)

    def _take_labels(self, run_id: str, found: Found, work: _Work, done: Done) -> None:
        assert self._late is not None
        try:
            rows, keys = self._late.take(found)
        except InputError as error:
            self._unreadable(run_id, found, error, done, kind="labels")
            return
        counted = {path: one for path, one in work.there.items() if path in work.known}
        affected = list(counted) if work.relabel else self._late.affected(keys, counted.values())
        self.ledger.record_labels(run_id, found, rows, affected)
        done.files.append(found.path)

    def _count(self, run_id: str, found: Found, work: _Work, done: Done) -> None:
        """Counts one file; one that cannot be read is noted, and the others go on."""
        known = work.known.get(found.path)
        try:
            content = sha256_of(found) if self.config.log.identity == "sha256" else None
            again = known is not None and known.sha256 == content and known.state in ("counted", "duplicate")
            if content is not None and again and known is not None and known.etag:
                self.ledger.record_same(found)
                return
            counted = self.counter.count(opened(found), None if self._late is None else self._late.labels)
        except InputError as error:
            self._unreadable(run_id, found, error, done)
            return
        if not is_unchanged(found):
            work.more = True
            return  # it was written while it was read: the next look takes it
        same_as = self._copied_from(found, self.ledger.alike(counted, found), work)
        state = self.ledger.record(run_id, found, counted, sha256=content, same_as=same_as)
        if len(self._fresh) < _FRESH:
            self._fresh |= {(found.path, piece.window_start): piece for piece in counted.pieces[:_FRESH]}
        (done.duplicates if state == "duplicate" else done.files).append(found.path)
        if same_as is not None:
            self._tell(f"{found.path} has the rows of {same_as}, so it is not counted again.")

    def _unreadable(self, run_id: str, found: Found, error: InputError, done: Done, *, kind: str = "log") -> None:
        self._tried[found.path] = self.clock.monotonic()
        if is_unchanged(found):
            self.ledger.record_unreadable(run_id, found, str(error), kind=kind)
            done.unreadable[found.path] = str(error)
            self._tell(f"{found.path} is not counted: {error}")

    def _copied_from(self, found: Found, alike: str | None, work: _Work) -> str | None:
        """The file whose copy this is; None where it only counted the same."""
        if alike is None:
            return None
        other = work.there.get(alike)
        if other is None:
            return alike  # it is gone, such as by a rotation: the same rows under another name
        return alike if sha256_of(other) == sha256_of(found) else None

    # ---- windows -----------------------------------------------------------------------------------------------------

    def _to_judge(self) -> list[int]:
        """Dirty windows whose time has come."""
        dirty = self.ledger.dirty()
        if self.config.judge == "always" or self.counter.window is None:
            return dirty
        newest = self.ledger.fact("newest")
        grace = self.config.grace // timedelta(seconds=1)
        over = int(newest) - grace if newest is not None else UNTIMED
        return [start for start in dirty if start <= OF_FILES or self.counter.end_of(start) <= over]

    def _judged(self, starts: Sequence[int]) -> tuple[list[WindowResult], list[int]]:
        """What a run makes of these windows, ascending; and the windows after them whose verdicts follow from them."""
        results: list[WindowResult] = []
        before: tuple[int, Part] | None = None
        also: set[int] = set()
        looks = Looks(self.ledger, starts) if self.config.anytime else None
        for start in starts:
            if start == OF_FILES:
                results.append(self._of_files())
                continue
            if start == UNTIMED or not (self.config.consecutive or self.config.anytime):
                results.append(self._result(start, None)[0])
                continue
            compared = self._before(start, before, starts) if self.config.consecutive else None
            result, state = self._result(start, compared, looks)
            results.append(result)
            before = (start, state) if state is not None else before
            if looks is not None:
                also.update(looks.to_judge_again(start, result.evidence))
            elif self.ledger.state_sha256(start) != (result.sha256 or None):
                after = self.ledger.state_after(start)
                also.update([after[0]] if after is not None and after[0] not in starts else [])
        return results, sorted(also)

    def _before(self, start: int, judged: tuple[int, Part] | None, starts: Sequence[int]) -> Part | None:
        """The state of the window before this one that has rows: of this run, whose windows are ``starts``, or of the
        store."""
        stored = self.ledger.state_before(start, starts)
        if judged is not None and (stored is None or stored[0] <= judged[0]):
            return judged[1]
        return None if stored is None else self.counter.part_of(stored[1], "the state of a window")

    def _result(self, start: int, before: Part | None, looks: Looks | None = None) -> tuple[WindowResult, Part | None]:
        """Merges and judges one window."""
        found = self.ledger.contents_of(start)
        if not found.packed:
            self._pages.remove(self.counter.texts_of(start)[2])
            return WindowResult(start, 0, 0), None
        parts = [self._part_of(name, start, packed) for name, packed in found.packed]
        state = self.counter.merged(parts)
        # Of one file alone the state is what that counted, byte for byte.
        packed = found.packed[0][1] if len(parts) == 1 else pack(self.counter.content_of(state))
        result = WindowResult(start, found.rows, found.files, packed, sha256(packed))
        if start == UNTIMED:
            return result, state
        running = None if looks is None else looks.before(start)
        judged = self._judge.judge(start, state, before, running)
        label = self.counter.texts_of(start)[2]
        page = self._pages.write(judged.report, label, judged.severity)
        shown = None if looks is None or running is None else looks.judged(start, running)
        return result.with_findings(judged.measures, judged.findings, judged.severity, page, shown), state

    def _part_of(self, name: str, start: int, packed: bytes) -> Part:
        """A part of the store; one that this run has just counted is at hand."""
        fresh = self._fresh.pop((name, start), None)
        if fresh is not None and fresh.packed == packed:
            return fresh.part
        return self.counter.part_of(packed, name)

    def _of_files(self) -> WindowResult:
        """Findings about files: those that cannot be read, and those that changed too late."""
        known = {**self.ledger.known(), **self.ledger.known("labels")}
        wrong = {path: one.error or "" for path, one in known.items() if one.state in ("unreadable", "late")}
        found = file_findings({path: (known[path].state, why) for path, why in wrong.items()})
        severity = "warning" if found else None
        return WindowResult(OF_FILES, 0, len(wrong)).with_findings((), found, severity, None)
