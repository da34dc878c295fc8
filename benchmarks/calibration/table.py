"""The tables of docs/calibration.md from the results: run it after run.py.

python benchmarks/calibration/table.py [RESULTS]
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

from run import DESIGNS, RESULTS, ROWS, Cell, cells
from worlds import OTHERS, WORLDS

PAGE = Path(__file__).parents[2] / "docs" / "calibration.md"
MARK = "<!-- tables: benchmarks/calibration/table.py -->"
NOMINAL = 0.025


def share(found: dict[str, Any] | None, what: str) -> str:
    """A share of repeats in percent, bold where it is more than two standard errors above nominal."""
    if found is None:
        return "not run"
    n = found["repeats"]
    wrong = found["alert"] if what == "alert" else found["alert"] + found["warning"]
    text = f"{100 * wrong / n:.1f}"
    return f"**{text}**" if what != "double" and beyond(wrong, n) else text


def beyond(wrong: int, repeats: int) -> bool:
    """Whether a false-alarm rate exceeds nominal by more than two binomial standard errors."""
    return wrong / repeats > NOMINAL + 2 * math.sqrt(NOMINAL * (1 - NOMINAL) / repeats)


def columns_of(found: dict[str, dict[str, Any]], check: str, rows: int, design: str) -> list[str]:
    """Of one line: no drift, at the warning and at the alert threshold, and power."""

    def of(effect: str) -> dict[str, Any] | None:
        return found.get(Cell(check, rows, design, effect).name)

    power = of("double")
    return [
        share(of("none"), "warning"),
        share(of("warn"), "warning"),
        share(of("alert"), "alert"),
        "not run" if power is None else f"{100 * power['alert'] / power['repeats']:.0f}",
    ]


def tables(found: dict[str, dict[str, Any]]) -> str:
    """All tables as Markdown."""
    out = []
    for check in WORLDS:
        if check in OTHERS and not any(own["check"] == check for own in found.values()):
            continue
        out += [
            f"### {check}",
            "",
            "| rows of the window | how they hang together | no drift: any alarm, % | effect at the warning threshold: "
            "any alarm, % | effect at the alert threshold: alert, % | effect twice the alert threshold: alert, % |",
            "|---|---|---|---|---|---|",
        ]
        for rows in ROWS:
            for design, _, _ in DESIGNS:
                name = "independent" if design == "rows" else design
                line = [f"{rows:,}", name, *columns_of(found, check, rows, design)]
                if check not in OTHERS or set(line[2:]) != {"not run"}:
                    out.append(f"| {' | '.join(line)} |")
        out.append("")
    return "\n".join([*out, uniform(found)])


def uniform(found: dict[str, dict[str, Any]]) -> str:
    """How even p-values of no change are where nothing changed."""
    levels = ("0.01", "0.05", "0.1", "0.25", "0.5")
    lines = [
        "### p-values of no change, without drift",
        "",
        "Share of repeats at or below a level, in percent; an even p-value has the level itself. Without drift nothing",
        "is `unseen`, so none of its p-values is small.",
        "",
        f"| check, rows, design | {' | '.join(levels)} |",
        f"|---|{'---|' * len(levels)}",
    ]
    for cell in cells():
        own = found.get(cell.name)
        if cell.effect == "none" and own is not None and own["p_no_change_below"]:
            n = own["repeats"]
            shares = [f"{100 * own['p_no_change_below'][a] / n:.1f}" for a in levels]
            lines.append(f"| {cell.check}, {cell.rows:,}, {cell.design} | {' | '.join(shares)} |")
    return "\n".join([*lines, ""])


def summary(found: dict[str, dict[str, Any]]) -> str:
    """How many cells were run and how many false-alarm rates lie beyond."""
    rates = []
    for own in found.values():
        if own["effect"] == "double":
            continue
        wrong = own["alert"] if own["effect"] == "alert" else own["alert"] + own["warning"]
        rates.append((beyond(wrong, own["repeats"]), wrong / own["repeats"]))
    far = sum(b for b, _ in rates)
    most = max(r for _, r in rates)
    default = [cell.name for cell in cells() if cell.check not in OTHERS]
    more = len(found.keys() - set(default))
    return (
        f"{len(found.keys() & set(default))} of {len(default)} cells of default checks are run, and {more} of others; "
        f"{len(rates)} of them have a false-alarm rate, {far} of "
        f"these exceed 2.5% by more than two standard errors; the largest is {100 * most:.1f}%."
    )


def main() -> None:
    """Writes the tables into the page."""
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else RESULTS
    content = json.loads(path.read_text())
    head = PAGE.read_text().split(MARK)[0]
    found = content["cells"]
    PAGE.write_text(f"{head}{MARK}\n\n{summary(found)} Machine: {content['machine']}.\n\n{tables(found)}")
    print(summary(found))


if __name__ == "__main__":
    main()
