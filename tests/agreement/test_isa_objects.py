"""The kernels of each instruction set share nothing with the linker but their table."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: Where the CMake presets and an editable install put their objects.
BUILDS = ("build/release", "build/editable")
TABLES = {"kernels_baseline": "kernels_baseline", "kernels_v3": "kernels_x86_64_v3", "kernels_v4": "kernels_x86_64_v4"}
OBJECTS = sorted(path for build in BUILDS for path in (ROOT / build).glob("CMakeFiles/kernels_*.dir/**/*.o"))

#: Asked for by the compiler, not by us: the C library, 128-bit integers of libgcc, position-independent code.
LIBRARY = {"memcpy", "memset", "memmove", "__floattidf", "_GLOBAL_OFFSET_TABLE_", "__stack_chk_fail"}


def symbols(path: Path) -> list[tuple[str, str]]:
    """(kind, mangled name) of every symbol another object could see or be asked for."""
    text = subprocess.run(["nm", "--format=posix", str(path)], capture_output=True, text=True, check=True).stdout
    found = [(kind, name) for name, kind, *_ in map(str.split, text.splitlines())]
    # Small letters are local symbols, but for weak and unique ones.
    return [(kind, name) for kind, name in found if kind.isupper() or kind in "wvu"]


@pytest.mark.skipif(shutil.which("nm") is None, reason="nm (binutils) is not installed")
@pytest.mark.skipif(not OBJECTS, reason=f"no kernel objects under {', '.join(BUILDS)}: run `make test-cpp` first")
@pytest.mark.parametrize("path", OBJECTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_an_object_for_one_instruction_set_offers_its_table_and_nothing_else(path: Path) -> None:
    """A weak copy of an inline function could be picked for the whole program and run where it must not."""
    seen = symbols(path)
    defined = [(kind, name) for kind, name in seen if kind != "U"]
    table = TABLES[path.name.split(".")[0]]
    assert [name for _, name in defined] == [f"_ZN10modelwatch3cpu{len(table)}{table}E"], defined
    assert defined[0][0] in "RD"
    asked_for = {name for kind, name in seen if kind == "U"}
    assert asked_for <= LIBRARY


def test_the_check_would_see_a_weak_symbol(tmp_path: Path) -> None:
    """The same reading of nm, on an object that does leak."""
    compiler = shutil.which("g++")
    if compiler is None or shutil.which("nm") is None:
        pytest.skip("g++ or nm is not installed")
    (tmp_path / "leak.cpp").write_text(
        "inline int shared(int x) { return x + 1; }\n"
        "int (*table)(int) = shared;\n"
        "int asked(int);\n"
        "int leak(int x) { return asked(x); }\n"
    )
    subprocess.run([compiler, "-c", "leak.cpp", "-o", "leak.o"], cwd=tmp_path, check=True)
    assert set(symbols(tmp_path / "leak.o")) >= {
        ("W", "_Z6sharedi"),
        ("U", "_Z5askedi"),
        ("T", "_Z4leaki"),
        ("D", "table"),
    }
