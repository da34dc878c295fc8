"""Puts bugs into the CUDA backend, one at a time, and sees that a named test finds each.

    python tests/planted/runner.py [NAME ...]

A bug is an entry of ``bugs.toml``: a piece of source, what it is replaced by, and the test that must fail then, with
the words it must fail with. The sources are copied, so the checkout is never touched; the copy is built with the
stand-in for the CUDA runtime (tests/ptx). First every named test passes on the copy as it is. Needs nvcc.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
#: What `_cuda` is built from.
SOURCES = ("CMakeLists.txt", "cmake", "cpp", "cuda", "tests/ptx")
TARGET = "80"
FAILED = 1  # pytest's exit status where tests failed; others mean that they could not run


@dataclass(frozen=True)
class Bug:
    """``file``: where, from the root of the repository. ``old``, ``new``: text that is there exactly once, and the
    bug. ``caught_by``: pytest's name of a test. ``says``: a pattern in what it prints. ``settings``: environment of the
    PTX machine."""

    name: str
    kind: str
    file: str
    old: str
    new: str
    caught_by: str
    says: str
    settings: dict[str, str]


def bugs() -> tuple[Bug, ...]:
    """All of them, as bugs.toml has them."""
    with open(HERE / "bugs.toml", "rb") as file:
        entries = tomllib.load(file)["bug"]
    return tuple(Bug(**{"settings": {}, **entry}) for entry in entries)


class Copy:
    """A copy of the sources, and its build."""

    def __init__(self, home: Path) -> None:
        # As deep below the sources as `make test-cuda` builds, so that a compiler's cache knows most of it already.
        self.sources, self.build = home, home / "build" / "copy"
        os.environ["CCACHE_BASEDIR"] = str(home)
        # Names the files that had a bug when what is built was: a later run, or one after a kill, builds them again.
        self.planted = home / "planted"
        for name in SOURCES:
            to = self.sources / name
            shutil.rmtree(to, ignore_errors=True)
            to.parent.mkdir(parents=True, exist_ok=True)
            # The times of files are kept, so that a build of the same sources has nothing to do.
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, to, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy2(ROOT / name, to)

        for name in self.had_bugs():
            (self.sources / name).touch()

    def had_bugs(self) -> list[str]:
        return self.planted.read_text().split() if self.planted.exists() else []

    def configure(self) -> None:
        tools = subprocess.run(
            [sys.executable, "-m", "pybind11", "--cmakedir"], capture_output=True, text=True, check=True
        )
        options = {
            "SKBUILD": "1",
            "SKBUILD_PROJECT_VERSION": "0",
            "CMAKE_BUILD_TYPE": "Release",
            "MODELWATCH_CUDA": "ON",
            "MODELWATCH_WERROR": "ON",
            "MODELWATCH_CUDART": "ptx_cudart",
            "CMAKE_CUDA_ARCHITECTURES": f"{TARGET}-virtual",
            "CMAKE_CUDA_FLAGS": "--compress-mode=none",
            "Python_EXECUTABLE": sys.executable,
            "pybind11_DIR": tools.stdout.strip(),
        }
        if shutil.which("ccache"):
            options |= {"CMAKE_CXX_COMPILER_LAUNCHER": "ccache"}
        defined = [f"-D{name}={value}" for name, value in options.items()]
        command = [
            "cmake",
            "-S",
            str(self.sources),
            "-B",
            str(self.build),
            "-G",
            "Ninja",
            "--log-level=WARNING",
            *defined,
        ]
        subprocess.run(command, check=True)

    def make(self) -> Path:
        """Builds `_cuda`; raises CalledProcessError where it does not compile."""
        command = ["cmake", "--build", str(self.build), "--parallel", str(os.cpu_count()), "--target", "_cuda"]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        if ran.returncode != 0:
            print(ran.stdout[-3000:], ran.stderr[-3000:])
            ran.check_returncode()
        return next(self.build.glob("_cuda*.so"))


def run_test(test: str, module: Path, settings: dict[str, str]) -> tuple[int, str]:
    """(pytest's exit status, what it printed)."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", test, "--cuda-module", str(module)]
    ran = subprocess.run(command, cwd=ROOT, env={**os.environ, **settings}, capture_output=True, text=True, check=False)
    return ran.returncode, ran.stdout + ran.stderr


def judge(bug: Bug, copy: Copy) -> str | None:
    """What is wrong where a planted bug is not caught as it should be; None where it is."""
    place = copy.sources / bug.file
    text = place.read_text()
    if text.count(bug.old) != 1:
        return f"its piece of source is in {bug.file} {text.count(bug.old)} times, not once"
    copy.planted.write_text(" ".join([*copy.had_bugs(), bug.file]))
    place.write_text(text.replace(bug.old, bug.new))
    try:
        module = copy.make()
        copy.planted.write_text(bug.file)
        status, said = run_test(bug.caught_by, module, bug.settings)
    finally:
        place.write_text(text)
    if status != FAILED:
        return f"{bug.caught_by} ended with status {status}, not with a failure: {said[-600:]}"
    return (
        None
        if re.search(bug.says, said)
        else f"{bug.caught_by} fails, but says nothing like {bug.says!r}: {said[-1500:]}"
    )


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description="Plants bugs in the CUDA backend and sees that tests find them.")
    parser.add_argument("names", nargs="*", help="only these")
    parser.add_argument("--home", default="build/planted", help="where the copy of the sources and its build go")
    options = parser.parse_args(arguments)
    chosen = [bug for bug in bugs() if not options.names or bug.name in options.names]
    copy = Copy(ROOT / options.home)
    copy.configure()
    module = copy.make()
    copy.planted.unlink(missing_ok=True)
    failed = 0
    for test, settings in sorted({(bug.caught_by, tuple(bug.settings.items())) for bug in chosen}):
        status, said = run_test(test, module, dict(settings))
        if status != 0:
            print(f"{test} does not pass without a bug ({dict(settings)}): {said[-2000:]}")
            return 1
    for bug in chosen:
        wrong = judge(bug, copy)
        print(f"{'caught' if wrong is None else 'MISSED'}: {bug.name} ({bug.kind}) by {bug.caught_by}", flush=True)
        if wrong is not None:
            failed += 1
            print(f"  {wrong}")
    print(f"planted bugs: {len(chosen) - failed} of {len(chosen)} caught")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
