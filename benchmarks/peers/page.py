"""Writes docs/peers.md from the results.

python benchmarks/peers/page.py [RESULTS] [PAGE]
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE))

from plan import CASES, Case  # noqa: E402

Turn = dict[str, Any]

HEAD = """# Beside other tools

Written by `benchmarks/peers/page.py` from [the results](../benchmarks/results/peers.json); `make bench-peers` runs what
is not there yet (an hour or two for everything), and `benchmarks/peers/run.py --help` says how to run a part. Every
tool has an environment of its own with [pinned versions](../benchmarks/peers/requirements), reads the same files and
runs as a process of its own, in turns with ours. Reading is not timed: peers get pandas DataFrames (Polars, DuckDB and
the array libraries what is theirs), we get Arrow tables with text as plain strings. Each process runs the job once on
2,000 rows before it is timed. The data: 20 float64 columns of five shapes, two of them with 1% missing, and two columns
of text with 8 and 1,000 values; seven of the 22 change.

"Times as fast" is the median over turns of their seconds over ours of the same turn; with a saved baseline, of their
seconds over those of loading the baseline and comparing. Machines like this one are shared: where the seconds on the
clock exceed the CPU's by much, a turn was disturbed, so the CPU's are here too.
"""


def total(side: dict[str, Any]) -> float:
    """Seconds of a side; of ours the comparison with a saved baseline is apart."""
    return sum(seconds for name, seconds in side["seconds"].items() if name != "saved baseline")


def saved(side: dict[str, Any]) -> float | None:
    """Seconds of a comparison with a baseline read from its file, where there is one."""
    found: float | None = side["seconds"].get("saved baseline")
    return found


def median(turns: Iterable[Turn], of: Callable[[Turn], float]) -> float:
    return statistics.median(of(turn) for turn in turns)


def ratio(turns: list[Turn], ours: Callable[[dict[str, Any]], float | None]) -> float | None:
    """How many times as fast ours is, the median over turns."""
    found = [total(t["theirs"]) / mine for t in turns if (mine := ours(t["ours"])) is not None]
    return statistics.median(found) if found else None


def digits(number: float | None) -> str:
    """About three digits."""
    if number is None:
        return ""
    return f"{number:,.0f}" if number >= 100 else f"{number:.1f}" if number >= 10 else f"{number:#.2g}".rstrip(".")


def row(case: Case, entry: dict[str, Any]) -> str:
    """One line of the table of a number of rows."""
    turns = entry["turns"]
    cells = [
        f"{case.peer}, {case.case.replace('-', ' ')}",
        digits(median(turns, lambda t: total(t["theirs"]))),
        digits(median(turns, lambda t: t["theirs"]["cpu_seconds"])),
        digits(median(turns, lambda t: total(t["ours"]))),
        digits(median(turns, lambda t: t["ours"]["cpu_seconds"])),
        with_bar(ratio(turns, total), case.bars.get("fit+compare"), entry["rows"]),
        with_bar(ratio(turns, saved), case.bars.get("saved baseline"), entry["rows"]),
        str(len(turns)),
        f"{median(turns, lambda t: t['theirs']['peak_megabytes']):,.0f}",
        f"{median(turns, lambda t: t['ours']['peak_megabytes']):,.0f}",
        ", ".join(dict.fromkeys(t["commit"][:7] for t in turns)),
    ]
    return "| " + " | ".join(cells) + " |"


def with_bar(found: float | None, bar: float | None, rows: int) -> str:
    """A ratio, and at a million rows whether it is what it should be."""
    if found is None or bar is None or rows < 1_000_000:
        return digits(found)
    return f"{digits(found)} (bar {bar:g}: {'met' if found >= bar else '**not met**'})"


def tables(results: dict[str, Any]) -> list[str]:
    """A table for every number of rows and of cores."""
    lines: list[str] = []
    for cores in ("one", "all"):
        for rows in sorted({e["rows"] for e in results.values() if e["cores"] == cores}, reverse=True):
            entries = [(c, results.get(f"{c.name}/{rows}/{cores}")) for c in CASES]
            how = "one core, one thread" if cores == "one" else "every tool as it comes, all cores"
            lines += [
                "",
                f"## {rows:,} + {rows:,} rows, {how}",
                "",
                "| peer, job | theirs, s | CPU s | ours, s | CPU s | times as fast | with a saved baseline | turns "
                "| their MB | our MB | our commit |",
                "|---|---|---|---|---|---|---|---|---|---|---|",
                *(row(case, entry) for case, entry in entries if entry is not None),
            ]
    return lines


def computed(results: dict[str, Any]) -> list[str]:
    """What each side computed, and whether that is the same."""
    names = {entry["case"] for entry in results.values()}
    return [
        "",
        "## What each computed",
        "",
        "| peer, job | the peer | we | the numbers |",
        "|---|---|---|---|",
        *(
            f"| {c.peer}, {c.case.replace('-', ' ')} | {c.theirs} | {c.ours} | {c.comparable} |"
            for c in CASES
            if c.name in names
        ),
    ]


def circumstances(results: dict[str, Any]) -> list[str]:
    """Machine, versions, commits and dates of all entries, each once."""
    machines = {json.dumps(e["machine"], sort_keys=True): e["machine"] for e in results.values()}
    versions = {
        f"{name} {number}" for e in results.values() for name, number in e["versions"]["theirs"].items() if name
    }
    ours = {f"{name} {number}" for e in results.values() for name, number in e["versions"]["ours"].items()}
    dates = sorted({e["date"] for e in results.values()})
    return [
        "",
        "## Machine, versions, dates",
        "",
        *(
            f"- {m['cpu']}, {m['cores']} cores, {m['memory_gigabytes']} GB, Python {m['python']}"
            for m in machines.values()
        ),
        f"- theirs: {', '.join(sorted(versions))}; everything else is in the pins",
        f"- ours: {', '.join(sorted(ours))}; the commit is in each row",
        f"- dates: {', '.join(dates)}",
        "- threads: on one core, set by affinity, MODELWATCH_THREADS, OMP_NUM_THREADS, OPENBLAS_NUM_THREADS, "
        "MKL_NUM_THREADS, NUMEXPR_MAX_THREADS, POLARS_MAX_THREADS and RAYON_NUM_THREADS are 1; DuckDB is given one. "
        "Nothing of this is set where a tool runs as it comes. Usage reports of the peers are off.",
    ]


def rendered(results: dict[str, Any]) -> str:
    """The page."""
    return "\n".join([HEAD.rstrip(), *tables(results), *computed(results), *circumstances(results)]) + "\n"


def main(arguments: list[str]) -> int:
    results = Path(arguments[0]) if arguments else ROOT / "benchmarks" / "results" / "peers.json"
    page = Path(arguments[1]) if len(arguments) > 1 else ROOT / "docs" / "peers.md"
    page.write_text(rendered(json.loads(results.read_text(encoding="utf-8"))), encoding="utf-8")
    print(page)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
