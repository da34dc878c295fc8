"""From findings to a tree: the table, groups of columns, columns, segments, each with the worst that lies below it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from modelwatch_gpu.checks.finding import OK, SEVERITIES, Finding
from modelwatch_gpu.measures.results import segment_value


@dataclass(frozen=True)
class Node:
    """``level``: "table", "group", "column" or "segment". ``severity``: of the whole window for a column, of the
    segment for a segment; of a group and the table the worst of their columns. ``off``, ``of``: how many of the columns
    below (of a column: of its segments) are at warning or alert, and how many were judged. ``children``: worst first.
    """

    level: str
    name: str
    severity: str
    off: int
    of: int
    children: tuple[Node, ...] = ()

    @property
    def share(self) -> float:
        """The share of what is below that is off, 0 where nothing was judged."""
        return self.off / self.of if self.of else 0.0


def tree(findings: Sequence[Finding], groups: Mapping[str, str]) -> Node:
    """The tree of one window's findings. ``groups``: column -> the group it belongs to, such as its role."""
    by_column: dict[str, list[Finding]] = {}
    for finding in findings:
        by_column.setdefault(finding.column, []).append(finding)
    by_group: dict[str, list[Node]] = {}
    for name, own in by_column.items():
        by_group.setdefault(groups.get(name, "other"), []).append(_column(name, own))
    return _above("table", "table", [_above("group", name, columns) for name, columns in by_group.items()])


def _column(name: str, findings: Sequence[Finding]) -> Node:
    segments: dict[tuple[tuple[str, ...], str | None], list[Finding]] = {}
    for f in findings:
        if f.segment is not None:
            segments.setdefault((f.by, segment_value(f.segment)), []).append(f)
    below = [
        Node("segment", f"{', '.join(by)} = {'null' if value is None else value}", _worst(own), 0, 0)
        for (by, value), own in segments.items()
    ]
    whole = [f for f in findings if f.segment is None]
    severity = _worst(whole) if whole else SEVERITIES[OK]
    return Node("column", name, severity, _off(below), len(below), _worst_first(below))


def _above(level: str, name: str, children: Sequence[Node]) -> Node:
    """A group of columns, or the table of groups; both count columns."""
    if level == "table":
        off, of = sum(c.off for c in children), sum(c.of for c in children)
    else:
        off, of = _off(children), len(children)
    worst = min((SEVERITIES.index(c.severity) for c in children), default=OK)
    return Node(level, name, SEVERITIES[worst], off, of, _worst_first(children))


def _worst(findings: Sequence[Finding]) -> str:
    return SEVERITIES[min(SEVERITIES.index(f.severity) for f in findings)]


def _off(nodes: Sequence[Node]) -> int:
    return sum(n.severity in ("alert", "warning") for n in nodes)


def _worst_first(nodes: Sequence[Node]) -> tuple[Node, ...]:
    return tuple(sorted(nodes, key=lambda n: (SEVERITIES.index(n.severity), -n.share, n.name)))
