"""Expectations of data quality: inferred from a baseline, written as YAML that a person reads and edits, and judged."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Self

from modelwatch_gpu.checks.expected import TABLE, Question, Rule
from modelwatch_gpu.checks.expected_columns import COLUMN_RULES
from modelwatch_gpu.checks.expected_tables import TABLE_RULES
from modelwatch_gpu.checks.expected_texts import pattern_of
from modelwatch_gpu.checks.finding import Finding
from modelwatch_gpu.errors import InputError
from modelwatch_gpu.measures.quality import Seen, days_of, seen_baseline
from modelwatch_gpu.profile.baseline import Baseline
from modelwatch_gpu.profile.fileio import write_file
from modelwatch_gpu.profile.parts import WHOLE

#: Version of the file's form.
FILE_VERSION: Final = 1
#: Every rule by its id.
RULES: Final[dict[str, Rule]] = {rule.id: rule for rule in (*TABLE_RULES, *COLUMN_RULES)}

_SEVERITIES: Final = ("warning", "alert")
_HEAD: Final = """\
# What is expected of every log that is compared with this baseline. Limits may be changed and lines taken out;
# `severity: warning` or `severity: alert` may be added to any of them. docs/quality.md explains each.
"""


@dataclass(frozen=True)
class Expectation:
    """One rule for one column, or for the table (``:table``). ``severity``: of a finding where it does not hold."""

    column: str
    check: str
    limits: Mapping[str, Any]
    severity: str


@dataclass(frozen=True)
class Expectations:
    """Expectations of a log. Make them with ``Expectations.infer`` or ``Expectations.load``.

    ``baseline``: fingerprint of the baseline they were inferred from; None where a person or another tool wrote them.
    ``notes``: what a reader of another tool's file had to leave out.
    """

    items: tuple[Expectation, ...]
    baseline: str | None = None
    notes: tuple[str, ...] = field(default=(), compare=False)

    @classmethod
    def infer(cls, baseline: Baseline) -> Self:
        """What a log like the baseline keeps to, with room for chance.

        A baseline that was fitted with ``quality=True`` knows about text, ids, rows that repeat and the schema; of any
        other only ranges, values and missing rows are expected.
        """
        seen = seen_baseline(baseline)
        columns = [c.name for c in baseline.columns]
        columns = [n for n in baseline.roles if n in columns or n in seen.names]
        columns = [n for n in columns if baseline.roles[n] not in ("ignore", "weight", "residual")]
        items = [Expectation(TABLE, r.id, limits, r.severity) for r, limits in _inferred(TABLE_RULES, seen, TABLE)]
        for name in columns:
            items += [Expectation(name, r.id, limits, r.severity) for r, limits in _inferred(COLUMN_RULES, seen, name)]
        return cls(tuple(items), baseline.fingerprint)

    @classmethod
    def from_sagemaker(
        cls, *, statistics: str | os.PathLike[str] | None = None, constraints: str | os.PathLike[str] | None = None
    ) -> Expectations:
        """From the files of a SageMaker baseline job: see ``checks.foreign.sagemaker.read_sagemaker``."""
        from modelwatch_gpu.checks.foreign.sagemaker import read_sagemaker

        return read_sagemaker(statistics=statistics, constraints=constraints)

    @classmethod
    def from_tfdv(cls, path: str | os.PathLike[str]) -> Expectations:
        """From a statistics file of TFDV, without TensorFlow: see ``checks.foreign.tfdv.read_tfdv``."""
        from modelwatch_gpu.checks.foreign.tfdv import read_tfdv

        return read_tfdv(path)

    @classmethod
    def from_whylogs(cls, profile: Any) -> Expectations:
        """From a whylogs profile: see ``checks.foreign.whylogs.read_whylogs``."""
        from modelwatch_gpu.checks.foreign.whylogs import read_whylogs

        return read_whylogs(profile)

    @property
    def patterns(self) -> dict[str, list[str]]:
        """Column -> regular expressions that its texts are held to: ``patterns=`` of what counts a log."""
        found: dict[str, list[str]] = {}
        for e in self.items:
            if e.check == "text_pattern":
                found.setdefault(e.column, []).append(pattern_of(e.limits))
        return found

    def __len__(self) -> int:
        return len(self.items)

    def __add__(self, other: Expectations) -> Expectations:
        """Both; where both have one for the same column and check, that of ``other``."""
        mine = {(e.column, e.check): e for e in self.items} | {(e.column, e.check): e for e in other.items}
        return replace(self, items=tuple(mine.values()), notes=(*self.notes, *other.notes))

    def to_dict(self) -> dict[str, Any]:
        """As it is written: {version, baseline, table: {check: limits}, columns: {name: {check: limits}}}."""
        table: dict[str, Any] = {}
        columns: dict[str, dict[str, Any]] = {}
        for e in self.items:
            usual = e.severity == RULES[e.check].severity
            limits = {**e.limits, **({} if usual else {"severity": e.severity})}
            (table if e.column == TABLE else columns.setdefault(e.column, {}))[e.check] = limits
        own = {"baseline": self.baseline} if self.baseline is not None else {}
        return {"version": FILE_VERSION, **own, "table": table, "columns": columns}

    def to_yaml(self) -> str:
        """The text of the file; needs PyYAML."""
        yaml = _yaml("expectations are written as YAML")
        text: str = yaml.safe_dump(
            self.to_dict(), sort_keys=False, allow_unicode=True, width=120, default_flow_style=None
        )
        return _HEAD + text

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the file; raises OutputError and leaves an old file as it was where that fails."""
        write_file(path, self.to_yaml().encode())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Reads a YAML (or JSON) file; raises InputError with the column and check that is wrong and what to do."""
        yaml = _yaml(f"{path} is YAML")
        try:
            content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror or error}).") from error
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            text = " ".join(str(error).split())
            raise InputError(f"{path}: not a YAML file of expectations ({text}).") from error
        found = cls.from_dict(content, where=str(path))
        return replace(found, items=tuple(_located(e, Path(path).parent) for e in found.items))

    @classmethod
    def from_dict(cls, content: Any, *, where: str = "expectations") -> Self:
        """The inverse of ``to_dict``; raises InputError for what does not fit."""
        if not isinstance(content, dict):
            raise InputError(f"{where}: expected a mapping with 'table' and 'columns'.")
        unknown = set(content) - {"version", "baseline", "table", "columns"}
        if unknown:
            raise InputError(f"{where}: '{sorted(map(str, unknown))[0]}' is not known; there are table and columns.")
        if content.get("version", FILE_VERSION) != FILE_VERSION:
            raise InputError(
                f"{where}: version {content.get('version')!r} is not known; this package reads version {FILE_VERSION}."
            )
        columns = content.get("columns") or {}
        if not isinstance(columns, dict):
            raise InputError(f"{where}: 'columns' is not a mapping of column names.")
        items = list(_read(where, TABLE, content.get("table") or {}, "table"))
        for name, own in columns.items():
            items += _read(where, str(name), own or {}, "column")
        baseline = content.get("baseline")
        return cls(tuple(items), str(baseline) if baseline is not None else None)


@dataclass(frozen=True)
class Expected:
    """``findings``: what did not hold, worst first. ``held``, ``unknown``: how many questions (an expectation of one
    window) held, and how many could not be answered."""

    findings: tuple[Finding, ...]
    held: int
    unknown: int
    notes: tuple[str, ...]


def judge_expectations(
    expectations: Expectations, baseline: Baseline, windows: Iterable[Seen], *, as_of: int | None = None
) -> Expected:
    """Holds every window to every expectation.

    Args:
        expectations: What to ask.
        baseline: Which the log was counted against; sentences name its numbers.
        windows: Of ``seen_windows``.
        as_of: Epoch seconds that ages are counted to; None: ages are not judged.
    """
    normal = seen_baseline(baseline)
    findings: list[Finding] = []
    held = unknown = 0
    first = True
    for seen in windows:
        whole = replace(seen, days=_all_days(seen)) if first else seen
        for e in expectations.items:
            rule = RULES[e.check]
            if rule.scope == "log" and not first:
                continue
            own = whole if rule.scope == "log" else seen
            answer = rule.judge(Question(own, normal, e.column, e.limits, as_of))
            outcomes = list(answer) if isinstance(answer, Sequence) else [answer]
            for outcome in outcomes:
                if outcome is None:
                    unknown += 1
                elif outcome.held:
                    held += 1
                else:
                    findings.append(
                        Finding(
                            start=WHOLE if rule.scope == "log" else seen.start,
                            segment=None,
                            column=e.column,
                            check=outcome.check or e.check,
                            severity=e.severity,
                            value=outcome.value,
                            threshold=outcome.threshold,
                            reason=outcome.reason,
                            raw=outcome.value,
                            n=outcome.n,
                        )
                    )
        first = False
    notes = []
    if expectations.baseline is not None and expectations.baseline != baseline.fingerprint:
        notes.append(
            "The expectations were inferred from another baseline "
            f"({expectations.baseline[:12]}, not {baseline.fingerprint[:12]})."
        )
    asked = held + len(findings)
    answered = f"{held:,} of {asked:,} expectations hold"
    notes.append(f"Data quality: {answered}{f'; {unknown:,} could not be judged' if unknown else ''}.")
    findings.sort(key=lambda f: (f.severity != "alert", f.start, f.column, f.check))
    return Expected(tuple(findings), held, unknown, tuple(notes))


def _all_days(seen: Seen) -> dict[int, int]:
    """Rows of all days of the log."""
    return days_of(seen.part) if seen.days else {}


def _inferred(rules: Iterable[Rule], seen: Seen, column: str) -> Iterator[tuple[Rule, dict[str, Any]]]:
    for rule in rules:
        limits = rule.infer(seen, column)
        if limits is not None:
            yield rule, limits


def _read(where: str, column: str, own: Any, about: str) -> Iterator[Expectation]:
    """The expectations of one column or the table."""
    name = "the table" if column == TABLE else f"column '{column}'"
    known = [rule.id for rule in RULES.values() if rule.about == about]
    if not isinstance(own, dict):
        raise InputError(f"{where}: {name} is not a mapping of checks to limits.")
    for check, limits in own.items():
        if check not in known:
            near = difflib.get_close_matches(str(check), known, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"there are {', '.join(known)}."
            raise InputError(f"{where}: {name} has the check '{check}', which is not known; {hint}")
        rule = RULES[check]
        if not isinstance(limits, dict):
            raise InputError(f"{where}: {check} of {name} is not a mapping; it takes {', '.join(rule.fields)}.")
        limits = dict(limits)
        severity = limits.pop("severity", rule.severity)
        if severity not in _SEVERITIES:
            raise InputError(
                f"{where}: {check} of {name} has the severity {severity!r}; it can be {' or '.join(_SEVERITIES)}."
            )
        for what, value in limits.items():
            kinds = rule.fields.get(what)
            if kinds is None:
                raise InputError(
                    f"{where}: {check} of {name} has the field '{what}'; it takes {', '.join(rule.fields)}."
                )
            if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
                wanted = " or ".join("a number" if k is float else _KINDS[k] for k in kinds if k is not int)
                raise InputError(f"{where}: {what} of {check} of {name} is {value!r}; it must be {wanted}.")
        needed = {"max", "min", "is", "after", "max_days", "names"} & set(rule.fields)
        if len(rule.fields) == 1 and needed and not needed & set(limits):
            raise InputError(f"{where}: {check} of {name} has no '{next(iter(rule.fields))}'; give one.")
        if not limits:
            raise InputError(f"{where}: {check} of {name} has no limits; it takes {', '.join(rule.fields)}.")
        for what in rule.needs:
            if what not in limits:
                raise InputError(f"{where}: {check} of {name} has no '{what}'; give one.")
        fault = rule.fault(limits) if rule.fault is not None else None
        if fault is not None:
            raise InputError(f"{where}: {check} of {name} {fault}.")
        yield Expectation(column, check, limits, severity)


_KINDS: Final = {float: "a number", str: "text", list: "a list", bool: "true or false", int: "a whole number"}


def _located(e: Expectation, folder: Path) -> Expectation:
    """Lists are named from where the file lies."""
    if "list" not in e.limits:
        return e
    return replace(e, limits={**e.limits, "list": str(folder / e.limits["list"])})


def _yaml(why: str) -> Any:
    try:
        import yaml
    except ImportError:
        raise InputError(f"{why}, which needs PyYAML; install modelwatch-gpu[yaml].") from None
    return yaml
