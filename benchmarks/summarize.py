"""Shortens what pytest-benchmark wrote to the numbers that docs/benchmarks.md shows.

    pytest benchmarks/kernels -o addopts=--strict-markers --benchmark-only --benchmark-json=out.json
    python benchmarks/summarize.py out.json benchmarks/results/NAME.json

Prints the rows of a Markdown table.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PEERS = ("numpy", "scipy", "polars", "duckdb", "pyarrow", "boost-histogram", "datasketches", "numba")


def installed() -> dict[str, str]:
    """Versions of the peers that this Python has."""
    found = {}
    for name in PEERS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def shortened(run: dict[str, Any]) -> dict[str, Any]:
    """Machine, commit and versions, and for each benchmark its median, its spread and the numbers beside it."""
    machine, commit = run["machine_info"], run["commit_info"]
    return {
        "date": run["datetime"],
        "commit": commit.get("id"),
        "changed_since_commit": commit.get("dirty"),
        "cpu": machine["cpu"].get("brand_raw"),
        "python": machine["python_version"],
        "peers": installed(),
        "results": [
            {
                "name": one["name"],
                "median_seconds": one["stats"]["median"],
                "interquartile_seconds": one["stats"]["iqr"],
                **one["extra_info"],
            }
            for one in run["benchmarks"]
        ],
    }


def rows(short: dict[str, Any]) -> list[str]:
    """One row of a table for each benchmark."""
    return [
        f"| {r['name'].removeprefix('test_').replace('_', ' ')} | {r['nanoseconds_per_value']:.2f} "
        f"| {r['percent_of_read_bandwidth']:.0f}% | {r['times_faster_than_peer']:.1f} | {r['peer']} |"
        for r in short["results"]
        if "nanoseconds_per_value" in r
    ]


def main(arguments: list[str]) -> int:
    if len(arguments) != 2:
        print(__doc__)
        return 2
    short = shortened(json.loads(Path(arguments[0]).read_text(encoding="utf-8")))
    Path(arguments[1]).write_text(json.dumps(short, indent=1) + "\n", encoding="utf-8")
    print("\n".join(rows(short)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
