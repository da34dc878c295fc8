"""False alarms of the verdicts on embeddings, and the power of the ensemble and of its members.

    python benchmarks/embeddings/calibration.py false-alarms [--minutes 60]
    python benchmarks/embeddings/calibration.py power [--minutes 60]
    python benchmarks/embeddings/calibration.py page

Every repeat has a seed of its own and is one line of `benchmarks/results/embeddings-*.jsonl`, so a run that is stopped
goes on where it was: a tenth of the repeats of every cell, cheap cells first, then the next tenth. `page` prints what
the lines say, with standard errors.
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
from clouds import DISTRIBUTIONS, SHIFTS, mixture, sample, unit

from modelwatch_gpu.measures.embedding_ensemble import MEMBERS, ensemble
from modelwatch_gpu.measures.embedding_sums import feature_mmd
from modelwatch_gpu.profile import embeddings
from modelwatch_gpu.profile.embedding_sums import EmbeddingCounter

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


def tables(reference: Any, current: Any) -> tuple[Any, Any, Any]:
    """The column fitted on a reference, and what one pass keeps of both sides."""
    field = pa.field("v", pa.list_(pa.float32(), reference.shape[1]))
    rows = reference[: embeddings.FIT_ROWS].astype(np.float64)
    column = embeddings._fitted("v", field, rows, normalize=False)
    out = []
    for side in (reference, current):
        counter = EmbeddingCounter(column, [True], ["id"], [])
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
            file.write(json.dumps({"cell": cell, **verdicts(*make())}) + "\n")
            file.flush()


def false_alarms() -> list[tuple[dict[str, Any], Any]]:
    """Two samples of one distribution; a tenth of every cell's repeats, then the next."""
    out: list[tuple[int, dict[str, Any], Any]] = []
    for rows, dimension, repeats in CELLS:
        for repeat in range(repeats):
            for kind in DISTRIBUTIONS:

                def make(kind: str = kind, n: int = rows, d: int = dimension, r: int = repeat) -> tuple[Any, Any]:
                    rng = np.random.default_rng([n, d, r, DISTRIBUTIONS.index(kind)])
                    return sample(kind, n, d, rng), sample(kind, n, d, rng)

                cell = {"n": rows, "d": dimension, "kind": kind, "repeat": repeat}
                out.append((10 * repeat // repeats, cell, make))
    return [(cell, make) for _, cell, make in sorted(out, key=lambda one: one[0])]


def power() -> list[tuple[dict[str, Any], Any]]:
    """A sample of the mixture, and one that has moved."""
    out = []
    for repeat in range(POWER_REPEATS):
        for at, (name, shifted) in enumerate(SHIFTS.items()):

            def make(shifted: Any = shifted, at: int = at, r: int = repeat) -> tuple[Any, Any]:
                rng = np.random.default_rng([77, at, r])
                n, d = POWER_ROWS, POWER_DIMENSION
                return unit(mixture(n, d, rng)), np.asarray(shifted(n, d, rng), dtype=np.float32)

            out.append(({"shift": name, "repeat": repeat}, make))
    return out


def page() -> str:
    """Both tables."""
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
    return "\n".join(out)


def _share(fired: list[bool]) -> str:
    """A share with its standard error at the level, and a mark where it is more than two of them above."""
    error = np.sqrt(LEVEL * (1 - LEVEL) / len(fired))
    share = np.mean(fired)
    return f"{100 * share:.1f}% (2 se: {200 * error:.1f})" + (" **too many**" if share > LEVEL + 2 * error else "")


def main() -> None:
    """Runs one of the two parts, or prints the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["false-alarms", "power", "page"])
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--only", type=int, help="only cells of so many rows")
    parser.add_argument("--part", default="0/1", help="i/k: the i-th of k runs at the same time, from 0")
    given = parser.parse_args()
    if given.what == "page":
        print(page())
        return
    todo = false_alarms() if given.what == "false-alarms" else power()
    if given.only is not None:
        todo = [one for one in todo if one[0].get("n") == given.only]
    part, parts = (int(number) for number in given.part.split("/"))
    run(RESULTS / f"embeddings-{given.what}.jsonl", todo[part::parts], given.minutes)


if __name__ == "__main__":
    main()
