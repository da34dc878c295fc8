"""Check the rules about the shape of this repository that no compiler and no linter knows.

    python tools/check_layout.py [ROOT]

1. Dependencies point one way, in C++ (`CPP_MAY_USE`) and in Python (`PYTHON_MAY_USE`).
2. `cpp/core` and `cpp/reference` hold no preprocessor conditionals: one text for every backend.
3. No source file is longer than `MOST_LINES`.
4. No note-to-self is left in a file: open work is an issue.
5. No file names a folder of somebody's own machine.
6. Nothing lies at the top but what `TOP_LEVEL` names: what a run leaves behind is not committed by mistake.
7. Every folder, module and file that the tables below name is there: a table of what was once planned checks nothing.

Each broken rule is one line, `file:line: what to do`. Exit status 1 when there is any.
"""

from __future__ import annotations

import ast
import posixpath
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

# A folder of cpp/ or cuda/ may include its own headers and those of the folders named here.
CPP_MAY_USE = {
    "core": set[str](),
    "reference": {"core"},
    "cpu": {"core"},
    "engine": {"cpu", "core"},
    "binding": {"engine", "cpu", "core", "reference"},
    "cuda/runtime": {"core"},
    "cuda/kernels": {"cuda/runtime", "core"},
    "cuda/backend": {"cuda/kernels", "cuda/runtime", "engine", "cpu", "core"},
    "cuda/binding": {"cuda/backend", "cuda/kernels", "cuda/runtime", "binding", "engine", "cpu", "core"},
}
# Headers that exist to hide a difference between compilers or backends.
CONDITIONALS_ALLOWED = {"cpp/core/macros.hpp", "cpp/core/team.hpp"}

OWN_PATH = "tools/check_layout.py"
PACKAGE = "modelwatch_gpu"
PACKAGE_FOLDER = PurePosixPath("python") / PACKAGE
# Root modules that every folder may import; they import only each other.
PYTHON_GROUND = {
    "_core",
    "_cuda",
    "_version",
    "errors",
    "arrays",
    "device",
    "device_arrays",
    "device_cost",
    "device_text",
    "early",
    "keys",
    "plain",
    "several",
    "units",
    "wording",
}
BUILT = {"_version"}  # made by the build, so git does not know it
# Root modules that tie the folders together: they may import everything and no folder imports them.
PYTHON_ROOF = {"__init__", "__main__", "cli", "compare", "demo", "demo_monitor", "doctor", "embed", "ranked", "skew"}
# The flow of data.  `stats` stands beside it: arrays in, numbers out, by the measures' own formulas.
PYTHON_FLOW = ["log", "profile", "measures", "checks", "report", "monitor", "serve"]
PYTHON_MAY_USE = {folder: set(PYTHON_FLOW[:place]) for place, folder in enumerate(PYTHON_FLOW)}
PYTHON_MAY_USE["stats"] = {"measures"}
for _folder in PYTHON_FLOW[PYTHON_FLOW.index("measures") + 1 :]:
    PYTHON_MAY_USE[_folder].add("stats")

MOST_LINES = 500
CPP_SUFFIXES = {".cpp", ".hpp", ".cc", ".h", ".cu", ".cuh"}
MEASURED_SUFFIXES = CPP_SUFFIXES | {".py", ".js", ".css"}
BINARY_SUFFIXES = {".parquet", ".arrow", ".png", ".jpg", ".gz", ".ico", ".woff2", ".mwb", ".mwp", ".npy", ".npz"}
NEVER_READ = {".git", ".venv", "build", "dist", "__pycache__", "node_modules"}

# What lies at the top besides files whose name begins with a dot.
TOP_LEVEL = {
    *("benchmarks", "cmake", "cpp", "cuda", "docs", "examples", "python", "tests", "tools"),
    *("CHANGELOG.md", "CMakeLists.txt", "CMakePresets.json", "CONTRIBUTING.md", "LICENSE", "Makefile", "NOTICE"),
    *("README.md", "pyproject.toml"),
}

# Written in pieces so that this file does not break its own rules.
NOTE_TO_SELF = re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "X" * 3]) + r")\b")
OWN_MACHINE = re.compile(r"(?<![\w.})-])/(?:" + "|".join(["work/", "farm/", "tmp/" + "research"]) + ")")
INCLUDE = re.compile(r'\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)')
CONDITIONAL = re.compile(r"\s*#\s*(if|ifdef|ifndef)\b\s*(\w*)")


@dataclass(frozen=True)
class Broken:
    """One broken rule and what to do about it."""

    path: str
    line: int
    advice: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.advice}"


@dataclass(frozen=True)
class File:
    """A text file of the repository; `path` is relative to its root, with forward slashes."""

    path: str
    text: str

    @property
    def parts(self) -> tuple[str, ...]:
        return PurePosixPath(self.path).parts

    @property
    def suffix(self) -> str:
        return PurePosixPath(self.path).suffix

    def lines(self) -> Iterator[tuple[int, str]]:
        return enumerate(self.text.splitlines(), start=1)


def cpp_layer(path: str) -> str | None:
    """The layer that a C++ path lies in: `core` for cpp/core/..., `cuda/kernels` for cuda/kernels/..."""
    parts = PurePosixPath(path).parts
    if len(parts) < 3 or parts[0] not in ("cpp", "cuda"):
        return None
    layer = parts[1] if parts[0] == "cpp" else f"cuda/{parts[1]}"
    return layer if layer in CPP_MAY_USE else None


def included_layer(source: str, target: str, known: set[str]) -> str | None:
    """The layer of an included header, which is named from cpp/, from the root, or from beside its user."""
    beside = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
    if target.startswith("."):
        return cpp_layer(beside)
    for candidate in (beside, posixpath.normpath(f"cpp/{target}"), target):
        if candidate in known:
            return cpp_layer(candidate)
    return cpp_layer(f"cpp/{target}") or cpp_layer(target)


def cpp_includes_point_one_way(file: File, known: set[str]) -> Iterator[Broken]:
    layer = cpp_layer(file.path)
    if layer is None or file.suffix not in CPP_SUFFIXES:
        return
    for number, line in file.lines():
        if not (found := INCLUDE.match(line)):
            continue
        target = found[1] or found[2]
        used = included_layer(file.path, target, known)
        if used is not None and used != layer and used not in CPP_MAY_USE[layer]:
            allowed = " and ".join(sorted(CPP_MAY_USE[layer])) or "nothing else of ours"
            yield Broken(file.path, number, f"{layer} may include {allowed}: move what you need out of {target}")


def shared_code_has_no_conditionals(file: File, known: set[str]) -> Iterator[Broken]:
    shared = cpp_layer(file.path) in {"core", "reference"} and file.suffix in CPP_SUFFIXES
    if not shared or file.path in CONDITIONALS_ALLOWED:
        return
    lines = file.text.splitlines()
    directives = [(number, line) for number, line in enumerate(lines) if line.lstrip().startswith("#")]
    guard = directives[0][0] if directives and _opens_a_guard([line for _, line in directives[:2]]) else None
    for number, line in directives:
        if (found := CONDITIONAL.match(line)) and number != guard:
            advice = f"no #{found[1]} in shared code: make the difference a type (Team) or put it in core/macros.hpp"
            yield Broken(file.path, number + 1, advice)


def _opens_a_guard(first_two: list[str]) -> bool:
    opening = CONDITIONAL.match(first_two[0])
    if opening is None or opening[1] != "ifndef" or len(first_two) < 2:
        return False
    return re.match(rf"\s*#\s*define\s+{re.escape(opening[2])}\s*$", first_two[1]) is not None


def python_imports_point_one_way(file: File, known: set[str]) -> Iterator[Broken]:
    path = PurePosixPath(file.path)
    if file.suffix != ".py" or not path.is_relative_to(PACKAGE_FOLDER):
        return
    inside = path.relative_to(PACKAGE_FOLDER).with_suffix("").parts
    home = inside[0]
    if home in PYTHON_ROOF or home == "data":
        return
    if home in PYTHON_GROUND:
        allowed = set(PYTHON_GROUND)
    elif home in PYTHON_MAY_USE:
        allowed = PYTHON_MAY_USE[home] | PYTHON_GROUND | {home}
    else:
        yield Broken(file.path, 1, f"{home} has no place yet: give it one in tools/check_layout.py")
        return
    for number, used in imported_parts(file, list(inside)):
        if used not in allowed:
            own = ", ".join(sorted(allowed - PYTHON_GROUND - {home})) or "only the ground modules"
            name = f"{PACKAGE}.{used}" if used else PACKAGE
            advice = f"{home} may import {own}, not {name}"
            yield Broken(file.path, number, f"{advice}: move what you need to an earlier folder")


def imported_parts(file: File, inside: list[str]) -> Iterator[tuple[int, str]]:
    """Line and first part below the package of each import of our own code ('' for the package itself)."""
    try:
        tree = ast.parse(file.text)
    except SyntaxError:
        return  # the linter says so, and better
    here = [PACKAGE, *inside]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules = [alias.name.split(".") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = (here[: len(here) - node.level] if node.level else []) + (
                node.module.split(".") if node.module else []
            )
            # In `from package import name` the name is the part.
            modules = [[*base, alias.name] for alias in node.names] if base == [PACKAGE] else [base]
        else:
            continue
        for module in modules:
            if module and module[0] == PACKAGE:
                part = module[1] if len(module) > 1 else ""
                if part != "data":
                    yield node.lineno, part


def file_is_short(file: File, known: set[str]) -> Iterator[Broken]:
    if file.suffix not in MEASURED_SUFFIXES or file.path.endswith(".min.js"):
        return
    length = len(file.text.splitlines())
    if length > MOST_LINES:
        yield Broken(file.path, length, f"{length} lines, more than {MOST_LINES}: split it by what it does")


def no_note_to_self(file: File, known: set[str]) -> Iterator[Broken]:
    for number, line in file.lines():
        if found := NOTE_TO_SELF.search(line):
            yield Broken(file.path, number, f"{found[0]}: do it now, or open an issue and take the note out")


def no_folder_of_ones_own_machine(file: File, known: set[str]) -> Iterator[Broken]:
    for number, line in file.lines():
        if found := OWN_MACHINE.search(line):
            yield Broken(file.path, number, f"{found[0]} exists on one machine only: use a path within the repository")


Rule = Callable[[File, set[str]], Iterator[Broken]]
SOURCE_RULES: list[Rule] = [
    cpp_includes_point_one_way,
    shared_code_has_no_conditionals,
    python_imports_point_one_way,
    file_is_short,
]
TEXT_RULES: list[Rule] = [no_note_to_self, no_folder_of_ones_own_machine]


def repository_paths(root: Path) -> list[str]:
    """What git tracks or would track; without git, every file outside build folders."""
    command = ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    if (root / ".git").exists():
        listed = subprocess.run(command, capture_output=True, check=True).stdout.decode()
        return sorted(path for path in set(listed.split("\0")) if path and (root / path).is_file())
    found = (path.relative_to(root) for path in root.rglob("*") if path.is_file())
    return sorted(path.as_posix() for path in found if NEVER_READ.isdisjoint(path.parts))


def strange_at_the_top(paths: list[str]) -> Iterator[Broken]:
    tops = {PurePosixPath(path).parts[0] for path in paths}
    for top in sorted(tops - TOP_LEVEL):
        if not top.startswith("."):
            yield Broken(top, 1, "is not of this repository: take it away, or name it in TOP_LEVEL")


def named_here() -> Iterator[tuple[str, str]]:
    """The table and the path, without suffix for a module, of everything that the tables of this file name."""
    for layer in CPP_MAY_USE:
        yield "CPP_MAY_USE", layer if layer.startswith("cuda/") else f"cpp/{layer}"
    for path in CONDITIONALS_ALLOWED:
        yield "CONDITIONALS_ALLOWED", path
    for table, names in (
        ("PYTHON_GROUND", PYTHON_GROUND),
        ("PYTHON_ROOF", PYTHON_ROOF),
        ("PYTHON_FLOW", PYTHON_MAY_USE.keys()),
    ):
        for name in names - BUILT:
            yield table, str(PACKAGE_FOLDER / name)
    for name in TOP_LEVEL:
        yield "TOP_LEVEL", name


def named_but_not_there(paths: list[str]) -> Iterator[Broken]:
    there = {str(parent) for path in paths for parent in (PurePosixPath(path), *PurePosixPath(path).parents)}
    if OWN_PATH not in there:  # a made-up tree
        return
    there |= {path.removesuffix("i").removesuffix(".py") for path in paths}
    for table, path in sorted(named_here()):
        if path not in there:
            yield Broken(OWN_PATH, 1, f"{table} names {path}, which is not there: take it out")


def broken_rules(root: Path) -> list[Broken]:
    """Every broken rule of the tree under `root`, by path and line."""
    paths = repository_paths(root)
    known = set(paths)
    found = [*strange_at_the_top(paths), *named_but_not_there(paths)]
    for path in paths:
        content = (root / path).read_bytes()
        vendored = path.endswith(".min.js")
        if vendored or PurePosixPath(path).suffix in BINARY_SUFFIXES or b"\0" in content[:8192]:
            continue
        file = File(path, content.decode("utf-8", errors="replace"))
        for rule in SOURCE_RULES + TEXT_RULES:
            found.extend(rule(file, known))
    return sorted(found, key=lambda broken: (broken.path, broken.line, broken.advice))


def main(arguments: list[str]) -> int:
    root = Path(arguments[0]) if arguments else Path(__file__).resolve().parents[1]
    found = broken_rules(root)
    for broken in found:
        print(broken)
    print(f"layout: {len(found)} broken rules" if found else "layout: ok")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
