"""Runs a monitor: looks for files, counts those that are new or changed, judges the windows they changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from sqlalchemy import Engine

from modelwatch_gpu import _core
from modelwatch_gpu.errors import InputError
from modelwatch_gpu.log import Derived
from modelwatch_gpu.monitor import hooks
from modelwatch_gpu.monitor.clock import Clock, utc_text
from modelwatch_gpu.monitor.config.model import MonitorConfig
from modelwatch_gpu.monitor.counts import Counter, compatible, sha256
from modelwatch_gpu.monitor.discover import Found, discover, is_unchanged, opened, settled, sha256_of
from modelwatch_gpu.monitor.judging import Judge
from modelwatch_gpu.monitor.lease import TTL, Lease, Seen
from modelwatch_gpu.monitor.ledger import Known, Ledger, WindowResult
from modelwatch_gpu.monitor.store.engine import open_store
from modelwatch_gpu.profile import Baseline
from modelwatch_gpu.profile.parts import UNTIMED

#: Windows that one run judges at most; the next one goes on.
WINDOWS_PER_RUN: Final = 64

#: Called with a sentence about what is done.
Tell = Callable[[str], None]


@dataclass
class Done:
    """What runs came to. ``runs``: ids. ``files``: counted. ``dropped``: files that are gone. ``unreadable``: path ->
    why. ``windows``: start -> severity of its worst finding. ``busy``: who else holds the lease, None: nobody."""

    runs: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    duplicates: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)
    windows: dict[int, str | None] = field(default_factory=dict)
    busy: Seen | None = None


class Runner:
    """One monitor: its config, baseline and store.

    Args:
        config: What to do.
        clock: All times come from it.
        derived: Functions of derived columns, where the baseline or the segments need some.
        filesystem: For ``log.path`` on a filesystem of one's own (``pyarrow.fs`` or fsspec).
        tell: Is told what is done, in sentences.
        ttl: Seconds after which a runner that is silent is taken for dead.

    Raises:
        InputError: The baseline cannot be read, or does not fit the config; the store is another monitor's.
        OutputError: The store cannot be opened.
    """

    def __init__(
        self,
        config: MonitorConfig,
        *,
        clock: Clock | None = None,
        derived: Sequence[Derived] = (),
        engine: Engine | None = None,
        tell: Tell | None = None,
        ttl: float = TTL,
    ) -> None:
        self.config = config
        self.clock = clock if clock is not None else Clock()
        self._tell: Tell = tell if tell is not None else (lambda said: None)
        self.baseline = Baseline.load(config.path_of(config.baseline))
        self.counter = Counter(config, self.baseline, derived)
        self._judge = Judge(config, self.counter)
        store = config.store
        self.engine = (
            engine if engine is not None else open_store(store.url, schema=store.schema_name, folder=config.folder)
        )
        self.lease = Lease(self.engine, config.name, self.clock, ttl=ttl)
        self.ledger = Ledger(self.engine, self.lease, self.clock)
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
            while self.step(done):
                pass
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

    def step(self, done: Done) -> bool:
        """One run, if there is something to do; returns whether there was."""
        left = self._to_judge()
        # What a run before left to be judged comes first: each run judges what it counted, interrupted or not.
        changed, gone = ([], []) if left else self._changes()
        self.ledger.set_fact("looked_at", utc_text(self.clock.now()))
        if not (left or changed or gone):
            return False
        run_id = self.ledger.begin_run(self._about)
        try:
            for path in gone:
                self.ledger.drop(run_id, path, self.counter, keep=self.config.log.deleted == "keep")
                done.dropped.append(path)
            for found in changed:
                self._count(run_id, found, done)
            results = [self._result(start) for start in (left or self._to_judge())[:WINDOWS_PER_RUN]]
            now = self.ledger.finish_run(
                run_id, results, lambda connection, run, when: hooks.in_transaction(connection, self.config, run, when)
            )
        except InputError as error:
            self.ledger.fail_run(run_id, str(error))
            raise
        done.runs.append(run_id)
        done.windows |= {result.window_start: result.severity for result in results}
        hooks.after_commit(self.engine, self.config, now)
        return True

    def _changes(self) -> tuple[list[Found], list[str]]:
        """Files that are new or changed, at most so many as a run counts, and paths of files that are gone."""
        known = self.ledger.known()
        there = discover(self.config.log.path, self.config.folder)
        ready = settled(there, self.clock.now(), self.config.log.settle)
        paths = {found.path for found in there}
        gone = [path for path, one in known.items() if path not in paths and one.state != "kept"]
        changed = [found for found in ready if _differs(known.get(found.path), found)]
        return changed[: self.config.files_per_run], sorted(gone)

    def _count(self, run_id: str, found: Found, done: Done) -> None:
        """Counts one file; one that cannot be read is noted, and the others go on."""
        try:
            counted = self.counter.count(opened(found))
        except InputError as error:
            if is_unchanged(found):
                self.ledger.record_unreadable(run_id, found, str(error))
                done.unreadable[found.path] = str(error)
                self._tell(f"{found.path} cannot be counted: {error}")
            return
        if not is_unchanged(found):
            return  # it was written while it was read: the next look takes it
        same_as = self._copied_from(found, self.ledger.alike(counted, found))
        state = self.ledger.record(run_id, found, counted, self.counter, same_as=same_as)
        (done.duplicates if state == "duplicate" else done.files).append(found.path)
        if same_as is not None:
            self._tell(f"{found.path} has the rows of {same_as}, so it is not counted again.")

    def _copied_from(self, found: Found, alike: str | None) -> str | None:
        """The file whose copy this is; None where it only counted the same."""
        if alike is None:
            return None
        other = next((f for f in discover(self.config.log.path, self.config.folder) if f.path == alike), None)
        if other is None:
            return alike  # it is gone, such as by a rotation: the same rows under another name
        return alike if sha256_of(other) == sha256_of(found) else None

    def _to_judge(self) -> list[int]:
        """Dirty windows whose time has come."""
        dirty = self.ledger.dirty()
        if self.config.judge == "always" or self.counter.window is None:
            return dirty
        newest = self.ledger.fact("newest")
        grace = int(self.config.grace / timedelta(seconds=1))
        return [s for s in dirty if newest is not None and int(newest) >= self.counter.end_of(s) + grace]

    def _result(self, start: int) -> WindowResult:
        """Merges and judges one window."""
        contents, rows, count = self.ledger.contents_of(start)
        if not contents:
            return WindowResult(start, 0, 0, None, "")
        state = self.counter.merged([self.counter.part_of(content, name) for name, content in contents])
        content = self.counter.content_of(state)
        if start == UNTIMED:
            return WindowResult(start, rows, count, content, sha256(content))
        judged = self._judge.judge(start, state)
        return WindowResult(
            window_start=start,
            rows=rows,
            files=count,
            content=content,
            sha256=sha256(content),
            measures=judged.measures,
            findings=judged.findings,
            severity=judged.severity,
        )


def _differs(known: Known | None, found: Found) -> bool:
    return known is None or known.etag != found.etag
