"""Which CUDA backend the tests run against: the installed one, or one from a build folder.

The second is what a machine without a GPU uses: `_cuda` linked with the stand-in for the CUDA runtime (tests/ptx),
which interprets kernels. It is loaded under the package's own name before any test looks for it.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import sys
from pathlib import Path

#: The path of the module; set for every process that a test starts, too (`in_child`).
VARIABLE = "MODELWATCH_TEST_CUDA_MODULE"
NAME = "modelwatch_gpu._cuda"


def load(path: str | Path) -> None:
    """Makes an extension module the package's CUDA backend, in this process."""
    import modelwatch_gpu

    found = Path(path).resolve()
    if not found.is_file():
        raise FileNotFoundError(f"there is no CUDA module {found}; `make test-cuda` builds one.")
    spec = importlib.util.spec_from_file_location(NAME, found)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.modules[NAME] = module
    modelwatch_gpu._cuda = module


def choose(path: str | None) -> None:
    """Loads the module that the option or the environment names, and none where neither does."""
    if named := path or os.environ.get(VARIABLE):
        load(named)
        os.environ[VARIABLE] = str(Path(named).resolve())


def write_reports() -> None:
    """Writes what the stand-in was asked to report (PTX_COVERAGE, PTX_COUNTERS). It does by itself where a process ends
    as usual, which a worker of pytest-xdist does not."""
    if not {"PTX_COVERAGE", "PTX_COUNTERS"} & os.environ.keys():
        return
    module = sys.modules.get(NAME)
    if module is not None and module.__file__ is not None:
        own = ctypes.CDLL(module.__file__)
        if hasattr(own, "ptxWriteReports"):
            own.ptxWriteReports()


#: First lines of a program that a test runs in a process of its own.
IN_CHILD = f"""
import sys
sys.path.insert(0, {str(Path(__file__).resolve().parent)!r})
import cuda_module
cuda_module.choose(None)
"""
