"""Runs the product beside the tools people use: same data, same run, one after the other.

    python benchmarks/peers/run.py                      # everything; hours on a small machine
    python benchmarks/peers/run.py --only evidently --rows 100000
    python benchmarks/peers/page.py                     # writes docs/peers.md from the results

Every peer has a virtual environment of its own with pinned versions (``requirements/``), made where it is not there,
and runs as a process of its own. A turn is one process of ours and then one of theirs; each reads the data, runs the
job once on 2,000 rows, and times it once. Their answers are compared where they should be the same, and the run fails
where they differ. Each turn is written to the results when it is done; what is there is not run again (``--again``).
The Python that runs this needs modelwatch_gpu, NumPy and pyarrow.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import signal
import subprocess
import sys
import tempfile
import venv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE))

import data  # noqa: E402
from cases.timing import WARM_ROWS  # noqa: E402
from plan import CASES, Case  # noqa: E402

#: Nobody reports anything to anybody, and no library starts threads beyond those it is given.
QUIET = {"DO_NOT_TRACK": "1", "NML_DISABLE_USAGE_LOGGING": "1", "WHYLOGS_NO_ANALYTICS": "1"}
THREADS = (
    "MODELWATCH_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_MAX_THREADS",
    "POLARS_MAX_THREADS",
    "RAYON_NUM_THREADS",
)


def key_of(case: Case, rows: int, cores: str) -> str:
    """The name of an entry in the results."""
    return f"{case.name}/{rows}/{cores}"


def still_to_do(entry: dict[str, Any] | None, turns: int, again: bool) -> int:
    """How many turns are missing."""
    return turns if again or entry is None else max(0, turns - len(entry["turns"]))


def environment(peer: str, venvs: Path) -> Path:
    """The Python of a peer's virtual environment, which is made, or made again where its pins have changed."""
    home, pins = venvs / peer, HERE / "requirements" / f"{peer}.txt"
    python, done = home / "bin" / "python", home / "pins"
    if not done.exists() or done.read_text() != pins.read_text():
        print(f"making {home}", flush=True)
        venv.create(home, with_pip=True, clear=True)
        # The pins name every package, so there is nothing to resolve.
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-deps", "-r", pins], check=True)
        done.write_text(pins.read_text())
    return python


def one_side(
    python: Path, script: str, case: str, folder: Path, warm: Path, core: int | None, check: bool
) -> dict[str, Any]:
    """Runs a case script as a process and returns what it wrote. ``core``: the only one it may use, or None."""
    settings = {**os.environ, **QUIET}
    settings |= {name: "1" for name in THREADS} if core is not None else {}
    with tempfile.TemporaryDirectory() as place:
        out = Path(place) / "out.json"
        command = [python, HERE / "cases" / f"{script}.py", case, "--data", folder, "--warm", warm, "--out", out]
        subprocess.run(
            [*map(str, command), *(["--check"] if check else [])],
            check=True,
            env=settings,
            stdout=subprocess.DEVNULL,
            preexec_fn=None if core is None else lambda: os.sched_setaffinity(0, {core}),
        )
        found: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    return found


def machine() -> dict[str, Any]:
    """CPU and cores, as Linux names them."""
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    names = {line.split(":")[0].strip(): line.split(":")[1].strip() for line in text.splitlines() if ":" in line}
    flags = names.get("flags", "").split()
    wide = [f for f in ("avx2", "avx512f") if f in flags]
    family = f"family {names.get('cpu family', '?')} model {names.get('model', '?')}"
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "cpu": f"{names.get('model name', 'unknown')} ({family}; {', '.join(wide)})",
        "cores": os.cpu_count(),
        "memory_gigabytes": round(memory / 1e9),
        "python": sys.version.split()[0],
    }


def commit() -> str:
    """The commit, with a plus where tracked files of the product differ from it."""

    def git(*words: str) -> str:
        return subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=True).stdout

    changed = git("status", "--porcelain", "--untracked-files=no", "--", "python", "cpp")
    return git("rev-parse", "--short=10", "HEAD").strip() + ("+" if changed.strip() else "")


def turn(case: Case, rows: int, cores: str, venvs: Path, check: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """One turn: ours, then theirs; with ``check`` their answers are compared."""
    folder, warm = data.made(venvs / "data", rows), data.made(venvs / "data", WARM_ROWS)
    core = min(os.sched_getaffinity(0)) if cores == "one" else None
    theirs_python = environment(case.peer, venvs)
    ours = one_side(Path(sys.executable), "with_modelwatch", case.name, folder, warm, core, check)
    theirs = one_side(theirs_python, case.script, case.case, folder, warm, core, check)
    if check:
        case.agree(ours, theirs)
    return ours, theirs


def brief(side: dict[str, Any]) -> dict[str, Any]:
    """What of a turn is kept."""
    return {name: side[name] for name in ("seconds", "cpu_seconds", "peak_megabytes")}


def run(case: Case, rows: int, cores: str, options: argparse.Namespace) -> None:
    """The turns of a case that are missing, each written when it is done."""
    key, wanted = key_of(case, rows, cores), options.turns or case.turns[rows]
    entry = load(options.results).get(key)
    missing = still_to_do(entry, wanted, options.again)
    if missing == 0:
        print(f"{key}: there already", flush=True)
        return
    turns = [] if options.again or entry is None else entry["turns"]
    for _ in range(missing):
        ours, theirs = turn(case, rows, cores, options.venvs, check=not turns)
        turns.append({"commit": commit(), "ours": brief(ours), "theirs": brief(theirs)})
        entry = {
            "case": case.name,
            "rows": rows,
            "cores": cores,
            "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
            "machine": machine(),
            "versions": {"ours": ours["versions"], "theirs": theirs["versions"]},
            "cores_used": theirs["cores"],
            "answers_agree": True,
            "turns": turns,
        }
        results = load(options.results)
        results[key] = entry
        store(options.results, results)
        print(f"{key}: {sum(ours['seconds'].values()):.3g} s, {sum(theirs['seconds'].values()):.3g} s", flush=True)


def load(path: Path) -> dict[str, Any]:
    """The results so far."""
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return found


def store(path: Path, results: dict[str, Any]) -> None:
    """Writes the results, whole or not at all."""
    part = path.with_suffix(".part")
    part.write_text(json.dumps(dict(sorted(results.items())), indent=1) + "\n", encoding="utf-8")
    part.replace(path)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=[], help="peers or cases; default: all")
    parser.add_argument("--rows", nargs="*", type=int, default=[], help="of each side; default: 10000 100000 1000000")
    parser.add_argument("--cores", choices=("one", "all"), default="one", help="all: each tool as it comes")
    parser.add_argument("--turns", type=int, help="how often each side runs; default: as the plan says")
    parser.add_argument("--again", action="store_true", help="also what is there already")
    parser.add_argument("--venvs", type=Path, default=ROOT / ".venvs", help="for virtual environments and data")
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks" / "results" / "peers.json")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # and with it the case that is running
    for case in CASES:
        for rows in case.turns:
            wanted = not options.only or {case.peer, case.name} & set(options.only)
            if wanted and (not options.rows or rows in options.rows):
                run(case, rows, options.cores, options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
