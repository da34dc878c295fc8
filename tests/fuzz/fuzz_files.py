"""Looks for files that break the loader.

``python tests/fuzz/fuzz_files.py FOLDER --seconds 600``: with atheris where it is installed, guided by coverage; FOLDER
keeps the inputs that reached something new. ``--plain`` (or no atheris): seeded random inputs. ``--raw``: random damage
to whole files whose hash is left as it is, which is fast. The first finding ends the run and is written to FOLDER's
parent as ``crash-...``; run it again with ``--case FILE``.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import resource
import sys
import time
from pathlib import Path

try:
    import atheris
except ImportError:
    atheris = None

#: A file that asks for more memory than this is a finding.
MOST_MEMORY = 6 << 30


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--runs", type=int, default=10_000_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plain", action="store_true")
    parser.add_argument("--raw", action="store_true")
    parser.add_argument("--case", type=Path)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    sys.path.insert(0, str(Path(__file__).parent))
    if atheris is not None and not (options.plain or options.raw or options.case):
        with atheris.instrument_imports(include=["modelwatch_gpu.profile", "modelwatch_gpu.measures"]):
            import file_target
    else:
        import file_target
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, resource.RLIM_INFINITY))
    file_target.originals()
    if options.case:
        print(file_target.one_input(options.case.read_bytes()))
        return
    if options.raw:
        damage(file_target, options)
    elif atheris is not None and not options.plain:
        prefix = f"{options.folder.parent}/crash-"
        flags = [
            f"-max_total_time={options.seconds}",
            f"-runs={options.runs}",
            "-max_len=256",
            f"-artifact_prefix={prefix}",
        ]
        atheris.Setup([sys.argv[0], str(options.folder), *flags], lambda data: file_target.one_input(data) and None)
        atheris.Fuzz()
    else:
        random_inputs(file_target, options)


def random_inputs(target: object, options: argparse.Namespace) -> None:
    """Inputs of 4 to 60 random bytes; case i depends on the seed and i only."""
    end, ran, accepted = time.monotonic() + options.seconds, 0, 0
    for i in range(options.runs):
        if time.monotonic() > end:
            break
        rng = random.Random(f"{options.seed}/{i}")
        data = rng.randbytes(rng.randrange(4, 60))
        try:
            accepted += target.one_input(data)  # type: ignore[attr-defined]
        except BaseException as error:
            name = options.folder.parent / f"crash-{hashlib.sha256(data).hexdigest()[:16]}"
            name.write_bytes(data)
            print(f"finding in {name}: {type(error).__name__}: {error}; {ran} ran")
            raise
        ran += 1
    print(f"{ran} executions behind the hash, {accepted} accepted, seed {options.seed}")


def damage(target: object, options: argparse.Namespace) -> None:
    """Damaged bytes under an old hash: nearly all die there, which is what is checked."""
    from modelwatch_gpu.errors import InputError
    from modelwatch_gpu.profile import fileio

    rng, end, ran = random.Random(options.seed), time.monotonic() + options.seconds, 0
    files = [raw for kind, raw in target.originals() if kind == "baseline"]  # type: ignore[attr-defined]
    smallest = min(files, key=len)
    while ran < options.runs and time.monotonic() < end:
        for _ in range(1000):
            made = bytearray(smallest)
            for _ in range(rng.randrange(1, 4)):
                made[rng.randrange(len(made))] ^= rng.randrange(1, 256)
            try:
                fileio.from_bytes(bytes(made), "baseline", "case")
            except InputError:
                continue
            if bytes(made) != smallest:
                (options.folder.parent / "crash-raw").write_bytes(made)
                raise AssertionError("a damaged file was accepted")
        ran += 1000
    print(f"{ran} damaged files refused, seed {options.seed}")


if __name__ == "__main__":
    main()
