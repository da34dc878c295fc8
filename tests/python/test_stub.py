"""``_core.pyi`` says what the compiled module is: the same names, parameters, kinds and defaults.

``make lint`` also runs mypy's stubtest, which cannot see the signatures of compiled functions; pybind11 writes them
into the first lines of their docstrings, and these are compared here.
"""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import modelwatch_gpu
from modelwatch_gpu import _core

#: (name, "/", "*" or "" for positional-only, keyword-only or either, default as text or None) of every parameter.
Parameters = list[tuple[str, str, str | None]]


def split_outside_brackets(text: str) -> list[str]:
    """Cut at the commas that are in no brackets."""
    parts, depth, last = [], 0, 0
    for at, letter in enumerate(text):
        depth += (letter in "([{<") - (letter in ")]}" or (letter == ">" and text[at - 1] != "-"))
        if letter == "," and depth == 0:
            parts.append(text[last:at])
            last = at + 1
    return [part.strip() for part in [*parts, text[last:]] if part.strip()]


def compiled(documentation: str) -> Parameters:
    """What a docstring of pybind11 says, without self."""
    line = documentation.splitlines()[0]
    inside = line[line.index("(") + 1 : line.rindex(") ->")]
    out: Parameters = []
    keyword = ""
    for part in split_outside_brackets(inside):
        if part in ("*", "/"):
            keyword = "*" if part == "*" else keyword
            continue
        name, _, rest = part.partition(":")
        if name == "self":
            continue
        default = rest.rsplit(" = ", 1)[1] if " = " in rest else None
        # pybind11 calls what has no name arg0, arg1, ...: it cannot be passed by name.
        nameless = re.fullmatch(r"arg\d+", name) is not None
        out.append(("" if nameless else name, "/" if nameless else keyword, default))
    return out


def stubbed(function: ast.FunctionDef) -> Parameters:
    """What the stub says, without self."""
    arguments = function.args
    either = [*arguments.posonlyargs, *arguments.args]
    defaults = [None] * (len(either) - len(arguments.defaults)) + [ast.unparse(d) for d in arguments.defaults]
    out: Parameters = []
    for argument, default in zip(either, defaults, strict=True):
        if argument.arg != "self":
            positional = argument in arguments.posonlyargs
            out.append(("" if positional else argument.arg, "/" if positional else "", default))
    for argument, value in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        out.append((argument.arg, "*", None if value is None else ast.unparse(value)))
    return out


def differences(stub: list[ast.stmt], there: Any, where: str) -> list[str]:
    """Names that only one side has, and functions whose parameters differ."""
    found = []
    said = {s.name: s for s in stub if isinstance(s, (ast.FunctionDef, ast.ClassDef))}
    constants = {s.target.id for s in stub if isinstance(s, ast.AnnAssign) and isinstance(s.target, ast.Name)}
    public = {n for n in vars(there) if not n.startswith("_")}
    initial = {"__init__"} if inspect.isclass(there) else set()
    for name in sorted((public | initial) ^ (constants | {n for n in said if not n.startswith("_") or n in initial})):
        found.append(f"{where}.{name} is in {'the module' if name in public else 'the stub'} only")
    for name, own in said.items():
        actual = getattr(there, name, None)
        if actual is None:
            continue
        if isinstance(own, ast.ClassDef):
            found += differences(own.body, actual, f"{where}.{name}")
        elif isinstance(actual, property):
            if not any(isinstance(d, ast.Name) and d.id == "property" for d in own.decorator_list):
                found.append(f"{where}.{name} is a property")
        elif compiled(actual.__doc__ or "") != stubbed(own):
            found.append(f"{where}.{name}: {compiled(actual.__doc__ or '')} compiled, {stubbed(own)} in the stub")
    return found


def stub_text() -> str:
    return (Path(modelwatch_gpu.__file__).parent / "_core.pyi").read_text()


def test_the_stub_says_what_the_compiled_module_is() -> None:
    assert isinstance(_core.reference, ModuleType)  # type: ignore[unreachable]
    assert differences(ast.parse(stub_text()).body, _core, "_core") == []


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("threads: int = 0", "threads: int = 1", "count_cells"),
        ("threads: int = 0", "workers: int = 0", "count_cells"),
        ("values: Any, grid: Grid, threads: int = 0)", "values: Any, grid: Grid)", "count_cells"),
        ("def isa() -> str: ...", "", "isa is in the module only"),
        ("def isa() -> str: ...", "def isa() -> str: ...\ndef isas() -> str: ...", "isas is in the stub only"),
        ("*, coarse: bool", "coarse: bool", "SetPlan.__init__"),
        ("gap_shift: int,", "", "NumericPlan.__init__"),
        ("@property\n    def slots", "def slots", "slots is a property"),
        ("def moments(values: Any, /)", "def moments(values: Any, pivot: Any, /)", "reference.moments"),
    ],
)  # fmt: skip
def test_a_stub_that_has_drifted_is_noticed(before: str, after: str, said: str) -> None:
    assert before in stub_text()
    found = differences(ast.parse(stub_text().replace(before, after)).body, _core, "_core")
    assert any(said in line for line in found), found
