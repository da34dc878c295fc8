"""False alarms of the verdicts on embeddings, the power of the ensemble and of its members, and verdicts by days.

    python benchmarks/embeddings/calibration.py false-alarms [--minutes 60]
    python benchmarks/embeddings/calibration.py power [--minutes 60]
    python benchmarks/embeddings/calibration.py days [--minutes 60]
    python benchmarks/embeddings/calibration.py again [--minutes 10]
    python benchmarks/embeddings/calibration.py page

Every repeat has a seed of its own and is one line of `benchmarks/results/embeddings-*.jsonl`, so a run that is stopped
goes on where it was: a tenth of the repeats of every cell, cheap cells first, then the next tenth. `page` prints what
the lines say, with standard errors. `again` repeats a sample of the lines and says whether today's code gives them.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from clouds import DAY_EFFECTS, DISTRIBUTIONS, SHIFTS, days, mixture, sample, unit

from modelwatch_gpu.checks.vector_days import sums_of_blocks
from modelwatch_gpu.measures.embedding_days import pvalue_by_units
from modelwatch_gpu.measures.embedding_ensemble import MEMBERS, ensemble
from modelwatch_gpu.measures.embedding_sums import feature_mmd
from modelwatch_gpu.profile import embeddings
from modelwatch_gpu.profile.embedding_counter import EmbeddingCounter

RESULTS = Path(__file__).parents[1] / "results"
#: (rows, dimensions, repeats), cheapest first.
CELLS = [
    *((100, d, 200) for d in (1, 16, 384, 768)),
    *((1_000, d, 200) for d in (1, 16, 384, 768)),
    *((10_000, d, 60) for d in (16, 384)),
    (1_000_000, 64, 20),
]
LEVEL = 0.05
POWER_ROWS, POWER_DIMENSION, POWER_REPEATS = 1_000, 256, 40
#: Days of baselines and of windows, rows of a day, elements, repeats; the share of a new topic in windows with drift.
BASELINE_DAYS, WINDOW_DAYS = (8, 30, 90), (1, 7, 30)
DAY_ROWS, DAY_DIMENSION, DAY_REPEATS, NEW_SHARE = 100, 16, 100, 0.1


def fitted(reference: Any) -> Any:
    """The column of a baseline with these vectors."""
    field = pa.field("v", pa.list_(pa.float32(), reference.shape[1]))
    return embeddings._fitted("v", field, reference[: embeddings.FIT_ROWS].astype(np.float64), normalize=False)


def tables(reference: Any, current: Any) -> tuple[Any, Any, Any]:
    """The column fitted on a reference, and what one pass keeps of both sides."""
    column = fitted(reference)
    out = []
    for side in (reference, current):
        counter = EmbeddingCounter(column, ["window"], ["id"], [])
        for begin in range(0, len(side), 65_536):
            part = np.ascontiguousarray(side[begin : begin + 65_536])
            flat = pa.FixedSizeListArray.from_arrays(pa.array(part.reshape(-1)), part.shape[1])
            ids = pa.array(np.arange(begin, begin + len(part)))
            batch = pa.RecordBatch.from_arrays([flat, ids], names=["v", "id"])
            counter.add(batch, counter.read(batch)[0], [None])
        out.append(counter.table(0, 1))
    return column, out[0], out[1]


def verdicts(reference: Any, current: Any) -> dict[str, Any]:
    """P-values of the ensemble, of each member alone, and of MMD by random features."""
    _, a, b = tables(reference, current)
    found = ensemble(a.sample, b.sample)
    # A member's scale has 5% of its permutations beyond 1.
    return {
        "ensemble": found.pvalue,
        "rff_mmd": feature_mmd(a, 0, b, 0).pvalue,
        "fired": {name: score > 1 for name, score in found.scores.items()},
    }


def by_days(effect: str, count: int, rng: np.random.Generator) -> dict[str, Any]:
    """P-values by days of windows against a baseline of so many days, without and with a new topic; and by rows of the
    windows of 7 days without."""
    reference = days(effect, count, DAY_ROWS, DAY_DIMENSION, rng)
    column, found = fitted(reference), {}

    def counted(values: Any) -> tuple[Any, Any]:
        counter = EmbeddingCounter(column, ["window", "block"], ["id"], [])
        flat = pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), DAY_DIMENSION)
        batch = pa.RecordBatch.from_arrays([flat, pa.array(np.arange(len(values)))], names=["v", "id"])
        counter.add(batch, counter.read(batch)[0], [None, np.arange(len(values)) // DAY_ROWS])
        blocks = counter.table(1, len(values) // DAY_ROWS)
        return counter.table(0, 1).sample, sums_of_blocks(column, blocks, lambda sums: sums)

    sample_before, before = counted(reference)
    for length in WINDOW_DAYS:
        for name, share in (("calm", 0.0), ("new", NEW_SHARE)):
            sample_now, now = counted(days(effect, length, DAY_ROWS, DAY_DIMENSION, rng, share))
            found[f"{name} {length}"] = pvalue_by_units(now, before)
            if (name, length) == ("calm", 7):
                found["rows 7"] = ensemble(sample_before, sample_now).pvalue
    return found


def lines(path: Path) -> list[dict[str, Any]]:
    """What was run so far."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def run(path: Path, todo: list[tuple[dict[str, Any], Any]], minutes: float) -> None:
    """Runs what is not in the file yet, until the time is over."""
    done = {json.dumps(row["cell"], sort_keys=True) for row in lines(path)}
    end = time.monotonic() + 60 * minutes
    with path.open("a") as file:
        for cell, make in todo:
            if json.dumps(cell, sort_keys=True) in done:
                continue
            if time.monotonic() > end:
                return
            file.write(json.dumps({"cell": cell, **make()}) + "\n")
            file.flush()


def false_alarms() -> list[tuple[dict[str, Any], Any]]:
    """Two samples of one distribution; a tenth of every cell's repeats, then the next."""
    out: list[tuple[int, dict[str, Any], Any]] = []
    for rows, dimension, repeats in CELLS:
        for repeat in range(repeats):
            for kind in DISTRIBUTIONS:

                def make(kind: str = kind, n: int = rows, d: int = dimension, r: int = repeat) -> dict[str, Any]:
                    rng = np.random.default_rng([n, d, r, DISTRIBUTIONS.index(kind)])
                    return verdicts(sample(kind, n, d, rng), sample(kind, n, d, rng))

                cell = {"n": rows, "d": dimension, "kind": kind, "repeat": repeat}
                out.append((10 * repeat // repeats, cell, make))
    return [(cell, make) for _, cell, make in sorted(out, key=lambda one: one[0])]


def power() -> list[tuple[dict[str, Any], Any]]:
    """A sample of the mixture, and one that has moved."""
    out = []
    for repeat in range(POWER_REPEATS):
        for at, (name, shifted) in enumerate(SHIFTS.items()):

            def make(shifted: Any = shifted, at: int = at, r: int = repeat) -> dict[str, Any]:
                rng = np.random.default_rng([77, at, r])
                n, d = POWER_ROWS, POWER_DIMENSION
                return verdicts(unit(mixture(n, d, rng)), np.asarray(shifted(n, d, rng), dtype=np.float32))

            out.append(({"shift": name, "repeat": repeat}, make))
    return out


def of_days() -> list[tuple[dict[str, Any], Any]]:
    """Windows of days like the baseline's, and of such with a new topic."""
    out = []
    for repeat in range(DAY_REPEATS):
        for at, effect in enumerate(DAY_EFFECTS):
            for count in BASELINE_DAYS:

                def make(effect: str = effect, at: int = at, count: int = count, r: int = repeat) -> dict[str, Any]:
                    return by_days(effect, count, np.random.default_rng([5, at, count, r]))

                out.append(({"effect": effect, "days": count, "repeat": repeat}, make))
    return out


def again(minutes: float) -> str:
    """Lines of every cell of both files, drawn at random, made once more."""
    end, same, others = time.monotonic() + 60 * minutes, 0, []
    chosen = []
    for name, todo in (("false-alarms", false_alarms()), ("power", power())):
        stored = {json.dumps(row["cell"], sort_keys=True): row for row in lines(RESULTS / f"embeddings-{name}.jsonl")}
        named = [(json.dumps(cell, sort_keys=True), make) for cell, make in todo if cell.get("n") != 1_000_000]
        chosen += [(stored[cell], make) for cell, make in named if cell in stored]
    order = np.random.default_rng(1).permutation(len(chosen))
    for at in order.tolist():
        if time.monotonic() > end:
            break
        row, make = chosen[at]
        found = {"cell": row["cell"], **make()}
        if found == row:
            same += 1
        else:
            others.append({"was": row, "is": found})
    told = [json.dumps(one) for one in others]
    return "\n".join([f"{same} of {same + len(others)} lines are what they were, to the last digit", *told])


def page() -> str:
    """All tables."""
    out = ["| n | d | distribution | repeats | ensemble | MMD by random features |", "|---|---|---|---|---|---|"]
    cells: dict[Any, list[Any]] = defaultdict(list)
    for row in lines(RESULTS / "embeddings-false-alarms.jsonl"):
        cells[row["cell"]["n"], row["cell"]["d"], row["cell"]["kind"]].append(row)
    for (n, d, kind), rows in sorted(cells.items()):
        shares = [_share([row[name] <= LEVEL for row in rows]) for name in ("ensemble", "rff_mmd")]
        out.append(f"| {n:,} | {d} | {kind} | {len(rows)} | {shares[0]} | {shares[1]} |")
    out += ["", "| shift | repeats | ensemble | " + " | ".join(MEMBERS) + " |", "|---" * (3 + len(MEMBERS)) + "|"]
    shifts: dict[str, list[Any]] = defaultdict(list)
    for row in lines(RESULTS / "embeddings-power.jsonl"):
        shifts[row["cell"]["shift"]].append(row)
    for name, rows in shifts.items():
        alone = [f"{np.mean([row['fired'][m] for row in rows]):.2f}" for m in MEMBERS]
        whole = np.mean([row["ensemble"] <= LEVEL for row in rows])
        out.append(f"| {name} | {len(rows)} | {whole:.2f} | {' | '.join(alone)} |")
    names = [f"{kind} {length}" for kind in ("calm", "new") for length in WINDOW_DAYS]
    out += ["", f"| days differ by | days of the baseline | repeats | rows 7 | {' | '.join(names)} |"]
    out.append("|---" * (4 + len(names)) + "|")
    worlds: dict[Any, list[Any]] = defaultdict(list)
    for row in lines(RESULTS / "embeddings-days.jsonl"):
        worlds[row["cell"]["effect"], row["cell"]["days"]].append(row)
    for (effect, count), rows in sorted(worlds.items()):
        shares = [_share([row[n] <= LEVEL for row in rows]) if "calm" in n else _plain(rows, n) for n in names]
        out.append(f"| {effect} | {count} | {len(rows)} | {_plain(rows, 'rows 7')} | {' | '.join(shares)} |")
    return "\n".join(out)


def _plain(rows: list[Any], name: str) -> str:
    return f"{100 * np.mean([row[name] <= LEVEL for row in rows]):.0f}%"


def _share(fired: list[bool]) -> str:
    """A share with its standard error at the level, and a mark where it is more than two of them above."""
    error = np.sqrt(LEVEL * (1 - LEVEL) / len(fired))
    share = np.mean(fired)
    return f"{100 * share:.1f}% (2 se: {200 * error:.1f})" + (" **too many**" if share > LEVEL + 2 * error else "")


def main() -> None:
    """Runs one of the two parts, or prints the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["false-alarms", "power", "days", "again", "page"])
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--only", type=int, help="only cells of so many rows")
    parser.add_argument("--part", default="0/1", help="i/k: the i-th of k runs at the same time, from 0")
    given = parser.parse_args()
    if given.what in ("page", "again"):
        print(page() if given.what == "page" else again(given.minutes))
        return
    todo = {"false-alarms": false_alarms, "power": power, "days": of_days}[given.what]()
    if given.only is not None:
        todo = [one for one in todo if one[0].get("n") == given.only]
    part, parts = (int(number) for number in given.part.split("/"))
    run(RESULTS / f"embeddings-{given.what}.jsonl", todo[part::parts], given.minutes)


if __name__ == "__main__":
    main()
