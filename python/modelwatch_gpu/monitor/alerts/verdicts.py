"""What each window says of each group of findings, by a rule."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, and_, select, true

from modelwatch_gpu.monitor.alerts.machine import CLEAR, FIRING, LEVELS, UNKNOWN, Policy, Span, worse
from modelwatch_gpu.monitor.config.alerts import Rule
from modelwatch_gpu.monitor.judging import canonical
from modelwatch_gpu.monitor.store.tables import OF_FILES, findings
from modelwatch_gpu.profile.parts import UNTIMED

#: What findings can be about beside windows.
TIMELESS: Final = frozenset((UNTIMED, OF_FILES))
#: Findings of a window that an alert names one by one.
MOST_NAMED: Final = 5
#: Fields of a finding that messages show.
_SHOWN: Final = (
    *("window", "segment", "column", "check", "compared_with", "severity", "value", "lower", "upper", "threshold"),
    *("p_value", "e_value", "n", "reason", "report"),
)
#: Letters of a group's key, and of each name in one that is longer.
_MOST_LETTERS: Final = 1_500
_SHORT: Final = 64
#: Values of one IN (...) at most.
_MOST_VALUES: Final = 500


@dataclass
class Said:
    """What one window says of one group. ``named``: the worst findings that fire, as the store has them."""

    verdict: str = UNKNOWN
    severity: str | None = None
    firing: int = 0
    judged: bool = False
    unsure: bool = False
    named: list[dict[str, Any]] = field(default_factory=list)

    def decided(self, at_least: int) -> Said:
        """With its verdict: where something above its threshold is not surely so, a window says neither."""
        if self.firing >= at_least:
            self.verdict = FIRING
        elif self.judged and not self.unsure:
            self.verdict = CLEAR
        if self.verdict != FIRING:
            self.severity, self.named = None, []
        return self

    @property
    def as_json(self) -> str:
        """How many findings fire, and the worst of them, for the store."""
        return canonical({"firing": self.firing if self.verdict == FIRING else 0, "named": self.named})


#: Group -> window -> what it says.
Sayings = dict[str, dict[int, Said]]


def policy_of(rule: Rule) -> Policy:
    """The machine's settings of a rule."""
    return Policy(
        fires=rule.windows,
        of=rule.of or rule.windows,
        clear_after=rule.clear_after,
        cooldown=_span(rule.cooldown),
        repeat_every=_span(rule.repeat_every),
    )


def _span(length: Any) -> Span:
    if length is None:
        return Span()
    return Span(windows=length) if isinstance(length, int) else Span(seconds=int(length.total_seconds()))


def rule_sha256(rule: Rule) -> str:
    """Of what decides which windows fire and when alerts open; not of who is told."""
    told = {"channels", "runbook", "labels"}
    return hashlib.sha256(canonical(rule.model_dump(mode="json", exclude=told)).encode()).hexdigest()


def matches(rule: Rule, found: Row[Any]) -> bool:
    """Whether a finding is one that the rule is about."""
    about = {"whole": found.segment is None, "each": found.segment is not None, "any": True}[rule.segments]
    return about and _like(found.column, rule.columns) and _like(found.check, rule.checks)


def _like(name: str, patterns: Iterable[str]) -> bool:
    return any(pattern == "*" or fnmatchcase(name, pattern) for pattern in patterns)


def key_of(rule: Rule, found: Row[Any]) -> str:
    """The group of a finding. What belongs to no window is no step of the log's time, so it is a group of its own."""
    key: dict[str, Any] = {name: getattr(found, name) for name in rule.group_by if name != "segment"}
    if "segment" in rule.group_by:
        key["segment"] = None if found.segment is None else json.loads(found.segment)
    if found.window_start in TIMELESS:
        key["about"] = "files" if found.window_start == OF_FILES else "rows without a time"
    text = canonical(key)
    return text if len(text) <= _MOST_LETTERS else canonical(_shortened(key))


def _shortened(value: Any) -> Any:
    """With long texts cut and their hash behind them: an index of PostgreSQL takes 2,700 bytes, the data any name."""
    if isinstance(value, dict):
        return {_shortened(name): _shortened(one) for name, one in value.items()}
    if not isinstance(value, str) or len(value) <= _SHORT:
        return value
    digest = hashlib.sha256(value.encode("utf-8", errors="surrogatepass")).hexdigest()
    return f"{value[:_SHORT].encode('ascii', errors='replace').decode()}… {digest[:16]}"


def firing(connection: Connection, rule: Rule, starts: Collection[int] | None) -> Sayings:
    """The groups with findings that fire, in windows with these starts (None: all), and what those say.

    A group has no entry for a window in which none of its findings fires.
    """
    severities = LEVELS[LEVELS.index(rule.severity) :]
    said: Sayings = {}
    for found in _rows(connection, rule, starts, findings.c.severity.in_(severities)):
        if not matches(rule, found):
            continue
        one = said.setdefault(key_of(rule, found), {}).setdefault(found.window_start, Said())
        one.firing += 1
        one.severity = worse(one.severity, found.severity)
        one.named.append({name: _finite(getattr(found, name)) for name in _SHOWN})
        if len(one.named) > 8 * MOST_NAMED:
            one.named = _worst(one.named)
    for windows in said.values():
        for one in windows.values():
            one.named = _worst(one.named)
    return said


def quiet(connection: Connection, rule: Rule, starts: Collection[int] | None, said: Sayings) -> None:
    """Adds to ``said`` what windows say of the groups in it by findings that do not fire."""
    severities = LEVELS[LEVELS.index(rule.severity) :]
    for found in _rows(connection, rule, starts, findings.c.severity.not_in(severities)):
        if not matches(rule, found) or (windows := said.get(key_of(rule, found))) is None:
            continue
        one = windows.setdefault(found.window_start, Said())
        if found.severity != "not_enough_data":
            one.judged = True
        elif found.value is not None and found.threshold is not None and found.value > found.threshold:
            one.unsure = True


def _finite(value: Any) -> Any:
    """JSON has no infinity."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _worst(named: list[dict[str, Any]]) -> list[dict[str, Any]]:
    def rank(found: dict[str, Any]) -> tuple[Any, ...]:
        value, threshold = found["value"], found["threshold"]
        excess = abs(value / threshold) if value is not None and threshold else float("inf")
        return (-LEVELS.index(found["severity"]), -excess, found["column"], found["check"], found["segment"] or "")

    return sorted(named, key=rank)[:MOST_NAMED]


def _rows(connection: Connection, rule: Rule, starts: Collection[int] | None, more: Any) -> Iterator[Row[Any]]:
    for condition in _in_windows(starts):
        query: Select[Any] = select(findings).where(and_(condition, more))
        if rule.segments != "any":
            whole = findings.c.segment.is_(None)
            query = query.where(whole if rule.segments == "whole" else ~whole)
        yield from connection.execute(query.order_by(findings.c.id))


def _in_windows(starts: Collection[int] | None) -> Iterator[Any]:
    if starts is None:
        yield true()
        return
    for some in chunks(starts):
        yield findings.c.window_start.in_(some)


def chunks(values: Collection[Any]) -> Iterator[list[Any]]:
    """Values in order, as many at a time as a query takes."""
    ordered = sorted(values)
    for at in range(0, len(ordered), _MOST_VALUES):
        yield ordered[at : at + _MOST_VALUES]
