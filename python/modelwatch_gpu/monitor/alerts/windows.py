"""The stored fold of one rule: what windows said, and what follows for its alerts."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any, NamedTuple

from sqlalchemy import Connection, and_, bindparam, case, delete, func, insert, null, select

from modelwatch_gpu.monitor.alerts import verdicts
from modelwatch_gpu.monitor.alerts.machine import UNKNOWN, Folded, Judged, State, fold
from modelwatch_gpu.monitor.alerts.verdicts import TIMELESS, Said, Sayings
from modelwatch_gpu.monitor.config.alerts import Rule
from modelwatch_gpu.monitor.judging import canonical
from modelwatch_gpu.monitor.store.alert_tables import alert_rules, alert_windows


class Refolded(NamedTuple):
    """A group whose windows changed: its fold from the first of these on, and what was there before it. ``said``: what
    each of these windows says, as ``Said.as_json``."""

    key: str
    folded: Folded
    before: State
    said: dict[int, str]

    @property
    def last(self) -> int:
        """The latest window that was folded."""
        return max(self.said)


class RuleWindows:
    """What windows said of the groups of one rule, in the store. ``folded_by``: the hash of the rule as it was when its
    windows were folded, None where they never were."""

    def __init__(self, connection: Connection, rule: Rule, run_id: str, folded_by: str | None) -> None:
        self._connection, self._rule, self._run_id, self._folded_by = connection, rule, run_id, folded_by
        self._policy = verdicts.policy_of(rule)
        self._of_rule = alert_windows.c.rule == rule.name

    def update(self, judged: Collection[int], there: set[int]) -> list[Refolded]:
        """Takes in the windows that a run judged, and folds the groups anew that this changes. ``there``: all windows.

        The rows of the last fold hold as long as the rule is what it was; else all windows are taken in anew.
        """
        rebuild = self._rule_changed()
        known = self._first_windows(_first_of(there))  # none after a rebuild
        starts: set[int] | None = None if rebuild else set(judged) | self._gone(there)
        said = verdicts.firing(self._connection, self._rule, starts)
        firsts = {key: min(windows) for key, windows in said.items()}
        for key in known:
            said.setdefault(key, {})
        if not said:
            return []
        verdicts.quiet(self._connection, self._rule, starts, said)
        if starts is not None:
            self._fill_behind(said, firsts, known, there - starts)
        evaluated = there if starts is None else starts
        fresh = {}
        for key, windows in said.items():
            first = min(start for start in (known.get(key), firsts.get(key)) if start is not None)
            fresh[key] = self._fresh(windows, evaluated, first)
        return self._refolded(fresh, nothing_kept=rebuild)

    def _rule_changed(self) -> bool:
        """Whether the rule is not what its windows were folded by; notes what it is now."""
        sha256, name = verdicts.rule_sha256(self._rule), self._rule.name
        if self._folded_by == sha256:
            return False
        self._connection.execute(delete(alert_rules).where(alert_rules.c.name == name))
        self._connection.execute(insert(alert_rules).values(name=name, sha256=sha256))
        self._connection.execute(delete(alert_windows).where(self._of_rule))
        return True

    def _first_windows(self, first: int | None) -> dict[str, int]:
        """The first window that is kept of each group; windows before ``first``, which the store has forgotten, are
        forgotten here too, but for the last state of each group."""
        w = alert_windows.c
        before = null() if first is None else func.max(case((w.window_start < first, w.window_start)))
        query = select(w.key, func.min(w.window_start), before).where(self._of_rule).group_by(w.key)
        known: dict[str, int] = {}
        for key, start, last in self._connection.execute(query).all():
            known[key] = int(start)
            if last is not None and start < last:
                older = and_(self._of_rule, w.key == key, w.window_start < last)
                self._connection.execute(delete(alert_windows).where(older))
        return known

    def _gone(self, there: set[int]) -> set[int]:
        """Windows that are kept and that the log has no more: their files were deleted."""
        query = select(alert_windows.c.window_start).where(self._of_rule, alert_windows.c.verdict != UNKNOWN).distinct()
        first = _first_of(there)
        gone = set(self._connection.scalars(query)) - there
        return gone if first is None else {start for start in gone if start > first}

    def _fill_behind(self, said: Sayings, firsts: dict[str, int], known: dict[str, int], others: set[int]) -> None:
        """A group that fires earlier than was known needs what was said of it between then and what is kept."""
        behind: dict[str, set[int]] = {}
        for key, first in firsts.items():
            until = known.get(key)
            missing = {start for start in others if start > first and (until is None or start < until)}
            if missing:
                behind[key] = missing
        if not behind:
            return
        more: Sayings = {key: {} for key in behind}
        verdicts.quiet(self._connection, self._rule, set().union(*behind.values()), more)
        for key, missing in behind.items():
            for start in missing:
                said[key][start] = more[key].get(start, Said())

    def _fresh(self, said: dict[int, Said], evaluated: Collection[int], first: int) -> dict[int, Said]:
        """What the windows of a group that were evaluated say, from its first firing on."""
        told = {*evaluated, *said}
        told = told & {first} if first in TIMELESS else {start for start in told - TIMELESS if start >= first}
        return {start: said.get(start, Said()).decided(self._rule.at_least) for start in told}

    def _refolded(self, fresh: dict[str, dict[int, Said]], *, nothing_kept: bool) -> list[Refolded]:
        """Writes what changed and folds each group from there on. Groups that changed from the same window on are read
        together: there may be thousands."""
        kept = {} if nothing_kept else self._kept({start for own in fresh.values() for start in own})
        changed: dict[str, dict[int, Said]] = {}
        for key, own in fresh.items():
            new = {start: one for start, one in own.items() if kept.get((key, start)) != (one.verdict, one.as_json)}
            if new:
                changed[key] = new
        by_start: dict[int, list[str]] = {}
        for key, own in changed.items():
            by_start.setdefault(min(own), []).append(key)
        found: list[Refolded] = []
        rows: list[dict[str, Any]] = []
        for since, keys in sorted(by_start.items()):
            before = {} if nothing_kept else self._states_before(since)
            later: dict[str, dict[int, dict[str, Any]]] = {} if nothing_kept else self._rows_from(since)
            for key in sorted(keys):
                own_rows = later.get(key, {}) | {s: self._row(key, s, one) for s, one in changed[key].items()}
                state = before.get(key, State())
                windows = [Judged(start, row["verdict"], row["severity"]) for start, row in own_rows.items()]
                folded = fold(self._policy, windows, state)
                for window, after in folded.states:
                    own_rows[window.order]["state"] = canonical(after.to_json())
                rows += own_rows.values()
                found.append(Refolded(key, folded, state, {s: row["findings"] for s, row in own_rows.items()}))
        if not rows:
            return []
        if not nothing_kept:
            gone = delete(alert_windows).where(
                self._of_rule,
                alert_windows.c.key == bindparam("of_key"),
                alert_windows.c.window_start >= bindparam("from_start"),
            )
            which = [{"of_key": key, "from_start": since} for since, keys in by_start.items() for key in keys]
            self._connection.execute(gone, which)
        self._connection.execute(insert(alert_windows), rows)
        return found

    def _kept(self, starts: set[int]) -> dict[tuple[str, int], tuple[str, str]]:
        """(group, window) -> verdict and findings, of these windows."""
        w = alert_windows.c
        query = select(w.key, w.window_start, w.verdict, w.findings).where(self._of_rule)
        return {
            (row.key, row.window_start): (row.verdict, row.findings)
            for some in verdicts.chunks(starts)
            for row in self._connection.execute(query.where(w.window_start.in_(some)))
        }

    def _states_before(self, start: int) -> dict[str, State]:
        """The last state of each group before a window."""
        w = alert_windows.c
        latest = select(w.key, func.max(w.window_start).label("latest")).where(self._of_rule, w.window_start < start)
        last = latest.group_by(w.key).subquery()
        query = select(w.key, w.state).join(last, and_(w.key == last.c.key, w.window_start == last.c.latest))
        rows = self._connection.execute(query.where(self._of_rule))
        return {key: State.from_json(json.loads(kept)) for key, kept in rows}

    def _rows_from(self, start: int) -> dict[str, dict[int, dict[str, Any]]]:
        """The rows of each group from a window on."""
        found: dict[str, dict[int, dict[str, Any]]] = {}
        query = select(alert_windows).where(self._of_rule, alert_windows.c.window_start >= start)
        for row in self._connection.execute(query):
            found.setdefault(row.key, {})[row.window_start] = row._asdict()
        return found

    def _row(self, key: str, start: int, said: Said) -> dict[str, Any]:
        return {
            "rule": self._rule.name,
            "key": key,
            "window_start": start,
            "verdict": said.verdict,
            "severity": said.severity,
            "findings": said.as_json,
            "run_id": self._run_id,
            "state": "",
        }


def _first_of(there: set[int]) -> int | None:
    """The first window with a time."""
    return min(there - TIMELESS, default=None)


def latest_said(connection: Connection, rule: str, key: str, start: int) -> dict[str, Any]:
    """What a group's window says, as ``Said.as_json`` has it; nothing where it is not kept."""
    query = select(alert_windows.c.findings).where(alert_windows.c.rule == rule, alert_windows.c.key == key)
    kept = connection.scalar(query.where(alert_windows.c.window_start == start))
    said: dict[str, Any] = {"firing": 0, "named": []} if kept is None else json.loads(kept)
    return said
