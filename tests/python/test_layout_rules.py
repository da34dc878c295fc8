"""The rules of tools/check_layout.py, on tiny made-up repositories."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


def _load_tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check_layout", ROOT / "tools" / "check_layout.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up by name
    spec.loader.exec_module(module)
    return module


check_layout = _load_tool()

CLEAN = {
    "cpp/core/macros.hpp": "#pragma once\n#if defined(__CUDACC__)\n#define MW_HD __host__ __device__\n#endif\n",
    "cpp/core/views.hpp": '#pragma once\n#include <cstdint>\n#include "core/macros.hpp"\n',
    "cpp/core/guarded.hpp": "#ifndef MW_GUARDED_HPP\n#define MW_GUARDED_HPP\n#endif\n",
    "cpp/reference/count.hpp": '#pragma once\n#include "core/views.hpp"\n',
    "cpp/cpu/count.cpp": '#include "../core/views.hpp"\n#ifdef __AVX2__\n#endif\n',
    "cpp/engine/engine.cpp": '#include "cpu/count.hpp"\n#include "engine/engine.hpp"\n',
    "cpp/binding/module.cpp": '#include <pybind11/pybind11.h>\n#include "engine/engine.hpp"\n',
    "python/modelwatch_gpu/__init__.py": "from .cli import main\nfrom .report import render\n",
    "python/modelwatch_gpu/errors.py": "import json\n",
    "python/modelwatch_gpu/arrays.py": "from modelwatch_gpu import _core\nfrom .errors import ModelwatchError\n",
    "python/modelwatch_gpu/log/sources.py": "from ..errors import ModelwatchError\nfrom . import schema\n",
    "python/modelwatch_gpu/profile/count.py": "from modelwatch_gpu.log.sources import open_log\n",
    "python/modelwatch_gpu/measures/drift.py": "from ..profile import Profile\n",
    "python/modelwatch_gpu/stats/ks.py": "from ..measures.drift import ks\nfrom .. import arrays\n",
    "python/modelwatch_gpu/report/html.py": "from ..checks import Finding\nfrom ..stats import ks\n",
    "docs/plot.min.js": "x\n" * 900,
}


def broken(root: Path, **files: str) -> list[str]:
    """The broken rules of the clean tree with these files, by path, put over it."""
    for path, text in (CLEAN | files).items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")
    return [str(rule) for rule in check_layout.broken_rules(root)]


def test_a_clean_tree_breaks_no_rule(tmp_path: Path) -> None:
    assert broken(tmp_path) == []


@pytest.mark.parametrize(
    ("path", "include"),
    [
        ("cpp/core/views.hpp", "engine/engine.hpp"),
        ("cpp/core/views.hpp", "../cpu/count.hpp"),
        ("cpp/core/views.hpp", "reference/count.hpp"),
        ("cpp/reference/count.hpp", "cpu/count.hpp"),
        ("cpp/cpu/count.cpp", "engine/engine.hpp"),
        ("cpp/engine/engine.cpp", "binding/module.hpp"),
        ("cuda/kernels/profile.cu", "cpp/engine/engine.hpp"),
    ],
)
def test_an_include_against_the_flow_is_named_with_its_line(tmp_path: Path, path: str, include: str) -> None:
    (found,) = broken(tmp_path, **{path: f'// first line\n#include "{include}"\n'})
    assert found.startswith(f"{path}:2: ")
    assert include in found


@pytest.mark.parametrize("directive", ["#ifdef __AVX2__", "#if defined(X)", "# ifndef NDEBUG"])
@pytest.mark.parametrize("path", ["cpp/core/views.hpp", "cpp/reference/count.hpp"])
def test_shared_code_may_not_ask_the_preprocessor(tmp_path: Path, path: str, directive: str) -> None:
    (found,) = broken(tmp_path, **{path: f"#pragma once\n{directive}\n#endif\n"})
    assert found.startswith(f"{path}:2: ")


def test_only_the_first_conditional_of_a_header_is_its_guard(tmp_path: Path) -> None:
    header = "#ifndef A_HPP\n#define A_HPP\n#ifndef B\n#define B\n#endif\n#endif\n"
    (found,) = broken(tmp_path, **{"cpp/core/a.hpp": header})
    assert found.startswith("cpp/core/a.hpp:3: ")


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("log/sources.py", "from ..profile import Profile"),
        ("log/sources.py", "import modelwatch_gpu.report.html"),
        ("profile/count.py", "from modelwatch_gpu.measures import drift"),
        ("profile/count.py", "from ..stats import ks"),
        ("measures/drift.py", "from modelwatch_gpu import stats"),
        ("stats/ks.py", "from .. import profile"),
        ("checks/findings.py", "from ..cli import main"),
        ("report/html.py", "import modelwatch_gpu"),
        ("report/html.py", "from modelwatch_gpu import Report"),
        ("errors.py", "from .log import sources"),
        ("log/sources.py", "def late():\n    from ..report import html"),
    ],
)
def test_an_import_against_the_flow_is_found_however_it_is_spelled(tmp_path: Path, path: str, line: str) -> None:
    full = f"python/modelwatch_gpu/{path}"
    (found,) = broken(tmp_path, **{full: f"{line}\n"})
    assert found.startswith(f"{full}:{line.count(chr(10)) + 1}: ")


def test_a_new_python_module_must_be_given_its_place(tmp_path: Path) -> None:
    (found,) = broken(tmp_path, **{"python/modelwatch_gpu/helpers.py": "import json\n"})
    assert "helpers has no place yet" in found


@pytest.mark.parametrize("path", ["cpp/cpu/count.cpp", "python/modelwatch_gpu/cli.py", "docs/page.js", "docs/page.css"])
def test_a_file_of_five_hundred_lines_passes_and_one_more_does_not(tmp_path: Path, path: str) -> None:
    assert broken(tmp_path, **{path: "\n" * 500}) == []
    (found,) = broken(tmp_path, **{path: "\n" * 501})
    assert found.startswith(f"{path}:501: ")


@pytest.mark.parametrize("note", ["TO" + "DO", "FIX" + "ME", "X" * 3])
def test_a_note_to_self_is_found_in_any_text_file(tmp_path: Path, note: str) -> None:
    (found,) = broken(tmp_path, **{"docs/page.md": f"fine\n{note}: later\n"})
    assert found.startswith("docs/page.md:2: ")


@pytest.mark.parametrize("folder", ["/" + "work/shared", "/" + "farm/data", "/tmp/" + "research3"])
def test_a_path_of_somebodys_machine_is_found_in_any_text_file(tmp_path: Path, folder: str) -> None:
    (found,) = broken(tmp_path, **{"Makefile": f"\nDATA = {folder}\n"})
    assert found.startswith("Makefile:2: ")


@pytest.mark.parametrize("harmless", ["docs/" + "work/page.md", "$HOME/" + "work/x", "/" + "working/hours"])
def test_a_relative_or_longer_path_is_nobodys_machine(tmp_path: Path, harmless: str) -> None:
    assert broken(tmp_path, **{"docs/page.md": harmless}) == []


@pytest.mark.parametrize(("path", "top"), [("mlflow.db", "mlflow.db"), ("runs/1/log.txt", "runs")])
def test_what_a_run_left_at_the_top_is_found(tmp_path: Path, path: str, top: str) -> None:
    (found,) = broken(tmp_path, **{path: "x\n", ".hidden/file": "x\n"})
    assert found.startswith(f"{top}:1: ")


def test_a_table_that_names_what_is_not_there_is_found(tmp_path: Path) -> None:
    found = broken(tmp_path, **{"tools/check_layout.py": "\n", "python/modelwatch_gpu/_core.pyi": "\n"})
    assert all(one.startswith("tools/check_layout.py:1: ") for one in found)
    named = {one.split(": ", 1)[1].removesuffix(", which is not there: take it out") for one in found}
    assert named >= {
        "PYTHON_FLOW names python/modelwatch_gpu/monitor",
        "PYTHON_GROUND names python/modelwatch_gpu/plain",
        "PYTHON_ROOF names python/modelwatch_gpu/compare",
        "CPP_MAY_USE names cuda/kernels",
        "CONDITIONALS_ALLOWED names cpp/core/team.hpp",
        "TOP_LEVEL names NOTICE",
    }
    assert not {name for name in named if name.endswith(("/report", "/errors", "/_core", "cpp/core", "names python"))}


def test_binary_files_and_build_folders_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "build").mkdir()
    (tmp_path / "build" / "note.txt").write_text("TO" + "DO")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "picture.png").write_bytes(b"TO" + b"DO")
    assert broken(tmp_path) == []


def test_the_command_prints_one_line_a_broken_rule_and_exits_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert broken(tmp_path) == []
    assert check_layout.main([str(tmp_path)]) == 0
    broken(tmp_path, **{"cpp/core/views.hpp": '#include "engine/a.hpp"\n#include "cpu/b.hpp"\n'})
    capsys.readouterr()
    assert check_layout.main([str(tmp_path)]) == 1
    assert len(capsys.readouterr().out.splitlines()) == 3
