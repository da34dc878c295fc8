"""Builds the machine and what its tests run, once per change, whichever test process asks first.

The build lies in build/ptx of the repository and is made by CMake (tests/ptx/CMakeLists.txt). Processes of one test
run take turns under a file lock; whoever comes second finds everything made.
"""

from __future__ import annotations

import fcntl
import functools
import os
import shutil
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
BUILD = REPOSITORY / "build" / "ptx"
OUTPUTS = BUILD / "tests" / "ptx"
NVCC_PLACES = ("/usr/local/cuda/bin",)
#: Targets for which whole programs are built: the texts for 75 to 90 are much alike, 100 and 120 differ from them.
FRONT_ENDS = ("75", "100")


def architectures() -> list[str]:
    """Compute capabilities to test: one of each front end, unless MODELWATCH_PTX_ARCHS says otherwise."""
    return os.environ.get("MODELWATCH_PTX_ARCHS", "75 100").split()


def own_file(name: str) -> str:
    """Path of a compiled kernel or program of the machine's own checks."""
    return str(OUTPUTS / "own" / name)


def tool(name: str) -> str | None:
    """A build tool: beside this Python first, since a distribution's CMake may be too old."""
    return shutil.which(name, path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))


def nvcc() -> str | None:
    """The CUDA compiler, if there is one."""
    folders = [os.environ.get(name, "") for name in ("CUDA_PATH", "CUDA_HOME")]
    places = [str(Path(folder) / "bin") for folder in folders if folder] + list(NVCC_PLACES)
    named = os.environ.get("CUDACXX")
    return named or shutil.which("nvcc") or shutil.which("nvcc", path=os.pathsep.join(places))


@functools.cache
def ensure(target: str) -> str | None:
    """Build a target of tests/ptx; None when it is there, else why it cannot be."""
    cmake, ninja = tool("cmake"), tool("ninja")
    if cmake is None or ninja is None:
        return "the PTX machine needs CMake and Ninja to be built, and they are not here"
    if target != "ptx_machine" and nvcc() is None:
        return "needs nvcc (CUDA toolkit 13) to compile kernels to PTX, and it is not here"
    BUILD.mkdir(parents=True, exist_ok=True)
    with (BUILD / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        options = [
            f"-DPTX_ARCHS={';'.join(architectures())}",
            "-DCMAKE_BUILD_TYPE=Release",
            f"-DCMAKE_MAKE_PROGRAM={ninja}",
        ]
        if compiler := nvcc():
            options.append(f"-DPTX_NVCC={compiler}")
        if cache := shutil.which("ccache"):
            options.append(f"-DCMAKE_CXX_COMPILER_LAUNCHER={cache}")
        _run([cmake, "-S", str(REPOSITORY), "-B", str(BUILD), "-G", "Ninja", *options])
        _run([cmake, "--build", str(BUILD), "--target", target])
    return None


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{(done.stdout + done.stderr)[-4000:]}")
