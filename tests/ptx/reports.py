"""Reads what processes left behind by PTX_COVERAGE and PTX_COUNTERS, and prints line coverage of our own kernels.

    python tests/ptx/reports.py FILE... [--under cuda --under cpp/core] [--least 95] [--missing]

A line counts where any kernel has an instruction for it, and as run where any kernel of any process ran one. A line of
the source that says `uncovered: REASON` in a comment is not held against the rest, and is printed with its reason.
Exit status 1 where less than `--least` percent ran.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
EXPLAINED = re.compile(r"uncovered:\s*(.*?)\s*(?:\*/)?$")
#: Values of a counters record that are the largest of all launches; the others add up.
LARGEST = {"max_call_depth"}


def records(files: Iterable[str | Path]) -> Iterator[dict]:
    """The JSON objects in some files of JSON lines."""
    for file in files:
        for line in Path(file).read_text().splitlines():
            if line:
                yield json.loads(line)


def counters(files: Iterable[str | Path]) -> dict[tuple[str, str], dict]:
    """Counters by (kernel, target), added up over processes and launches; `lines` by place are added up too."""
    found: dict[tuple[str, str], dict] = {}
    for record in records(files):
        _add(found.setdefault((record["kernel"], record["target"]), {}), record)
    return found


def _add(total: dict, more: dict) -> None:
    for name, value in more.items():
        if isinstance(value, dict):
            _add(total.setdefault(name, {}), value)
        elif isinstance(value, str):
            total[name] = value
        elif name in LARGEST:
            total[name] = max(total.get(name, 0), value)
        else:
            total[name] = total.get(name, 0) + value


@dataclass
class FileCoverage:
    """Lines of one source file that have instructions, and those that ran."""

    lines: set[int] = field(default_factory=set)
    run: set[int] = field(default_factory=set)
    explained: dict[int, str] = field(default_factory=dict)

    @property
    def missing(self) -> list[int]:
        return sorted(self.lines - self.run - set(self.explained))

    @property
    def expected(self) -> int:
        return len(self.lines - (set(self.explained) - self.run))

    @property
    def percent(self) -> float:
        return 100.0 * len(self.run) / self.expected if self.expected else 100.0


def coverage(files: Iterable[str | Path], under: Iterable[str] = ("",), root: Path = ROOT) -> dict[str, FileCoverage]:
    """Line coverage of the source files below some folders of the repository, by their path in it."""
    folders = [root / folder for folder in under]
    found: dict[str, FileCoverage] = {}
    for record in records(files):
        for name, lines in record["files"].items():
            path = (root / name).resolve()
            if not any(path.is_relative_to(folder) for folder in folders):
                continue
            one = found.setdefault(path.relative_to(root).as_posix(), FileCoverage())
            one.lines.update(map(int, lines))
            one.run.update(int(line) for line, executions in lines.items() if executions)
    for name, one in found.items():
        if (root / name).is_file():
            for number, text in enumerate((root / name).read_text().splitlines(), 1):
                if number in one.lines - one.run and (reason := EXPLAINED.search(text)):
                    one.explained[number] = reason[1]
    return found


def total_percent(found: dict[str, FileCoverage]) -> float:
    """Percent of all lines that ran, of those that are not explained."""
    expected = sum(one.expected for one in found.values())
    return 100.0 * sum(len(one.run) for one in found.values()) / expected if expected else 100.0


def table(found: dict[str, FileCoverage], missing: bool = False) -> str:
    """A table for people, one row a file."""
    width = max((len(name) for name in found), default=4)
    rows = [f"{'file':<{width}}  lines    run  percent"]
    for name, one in sorted(found.items()):
        rows.append(f"{name:<{width}}  {len(one.lines):5d}  {len(one.run):5d}  {one.percent:7.1f}")
        if missing and one.missing:
            rows.append(f"  never run: {', '.join(map(str, one.missing))}")
        rows += [f"  line {line} is never run: {reason}" for line, reason in sorted(one.explained.items())]
    lines, run = (
        sum(len(part) for part in parts) for parts in zip(*((o.lines, o.run) for o in found.values()), strict=True)
    )
    rows.append(f"{'all':<{width}}  {lines:5d}  {run:5d}  {total_percent(found):7.1f}")
    return "\n".join(rows)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description="Line coverage of kernels that ran under the PTX machine.")
    parser.add_argument("files", nargs="+", help="files that PTX_COVERAGE named")
    parser.add_argument("--under", action="append", help="folder of the repository whose files count (default: all)")
    parser.add_argument("--least", type=float, default=0.0, help="percent of lines that must have run")
    parser.add_argument("--missing", action="store_true", help="list the lines that never ran")
    options = parser.parse_args(arguments)
    found = coverage(options.files, options.under or ("",))
    if not found:
        print("no line of the repository's own sources in these files: compile with -lineinfo")
        return 1
    print(table(found, options.missing))
    return 0 if total_percent(found) >= options.least else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
