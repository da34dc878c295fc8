"""Options that several commands have, and what their texts stand for."""

from __future__ import annotations

import enum
import importlib
import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import typer

from modelwatch_gpu.errors import InputError
from modelwatch_gpu.log import Derived, Labels, Roles
from modelwatch_gpu.profile import Baseline


class Correction(enum.StrEnum):
    """How many tests at once are held to one rate of false verdicts."""

    bh = "bh"
    e_bh = "e-bh"
    none = "none"


class FailOn(enum.StrEnum):
    """From which severity on the exit code is 1."""

    never = "never"
    warning = "warning"
    alert = "alert"


Threads = Annotated[
    int, typer.Option(min=0, metavar="N", help="Threads; 0: MODELWATCH_THREADS, or all CPUs of the process.")
]
Device = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="auto, cpu, cuda, cuda:N, cuda:0,1 or cuda:all; auto: MODELWATCH_DEVICE, else whichever is done first.",
    ),
]
Memory = Annotated[
    str | None,
    typer.Option(metavar="SIZE", help="Memory for counters, such as 1GB. Default: MODELWATCH_MEMORY, or 512MiB."),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")]
Zone = Annotated[
    str | None,
    typer.Option(
        metavar="ZONE", help="IANA time zone in which days and months begin, such as Europe/Paris. Default: the log's."
    ),
]
HtmlPath = Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write the report as one HTML page.")]
JsonPath = Annotated[
    Path | None, typer.Option("--json", metavar="FILE", help="Write the report as JSON; - is standard output.")
]
LogPaths = Annotated[
    list[str],
    typer.Argument(
        metavar="LOG",
        help="Parquet, Arrow, CSV or JSON lines files, folders, patterns in quotes, or addresses (s3://bucket/log).",
    ),
]


DerivedColumns = Annotated[
    list[str] | None,
    typer.Option(
        metavar="FILE:FUNCTION",
        help="Column to compute: a function with @derived in a Python file or module; without :FUNCTION all of them. "
        "May be given several times.",
    ),
]

ExpectationsFile = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="Judge data quality too: a YAML file of expectations, or 'auto' for those inferred from the baseline.",
    ),
]
AsOf = Annotated[
    str | None, typer.Option(metavar="TIME", help="The time that ages of rows are counted to, in ISO 8601.")
]


Costs = Annotated[
    str | None,
    typer.Option(
        metavar="TN,FP,FN,TP",
        help="What a true negative, a false positive, a false negative and a true positive cost, such as 0,1,5,0: for "
        "the mean cost of decisions and the cheapest threshold. Gains are negative.",
    ),
]


def costs_of(option: str | None) -> list[list[float]] | None:
    """What ``Baseline.fit`` takes for the option; raises InputError where it is not four numbers."""
    if option is None:
        return None
    try:
        numbers = [float(text) for text in option.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != 4:
        raise InputError(f"--costs {option} must be four numbers, TN,FP,FN,TP, such as --costs 0,1,5,0.")
    return [numbers[:2], numbers[2:]]


def expectations_of(option: str | None) -> str | bool:
    """What ``compare`` takes for the option."""
    return option == "auto" or option or False


Checks = Annotated[
    Path | None,
    typer.Option(
        "--checks", metavar="FILE", help="Checks from a TOML, JSON or YAML file, instead of the default ones."
    ),
]
Units = Annotated[
    str,
    typer.Option(
        "--units",
        metavar="LENGTH",
        help="What intervals draw again: 1d, 1w; rows: rows are independent; none: no intervals. Default: 1d.",
    ),
]
Corrections = Annotated[Correction, typer.Option("--correction", help="For many tests at once.")]
Anytime = Annotated[
    bool, typer.Option("--anytime", help="Verdicts hold however often somebody looks at the growing log.")
]
Hierarchy = Annotated[
    bool, typer.Option("--hierarchy", help="Test segments only where their column is off in the same window.")
]


def certainty_of(units: str, correction: Correction, *, anytime: bool, hierarchy: bool) -> dict[str, Any]:
    """The options of ``compare`` that say how sure a verdict has to be."""
    return {
        "units": None if units == "none" else units,
        "correction": None if correction is Correction.none else correction.value,
        "anytime": anytime,
        "hierarchy": hierarchy,
    }


def column_option(text: str) -> Any:
    return typer.Option(metavar="COLUMN", help=text)


def one_or_many(log: list[str]) -> str | list[str]:
    return log[0] if len(log) == 1 else log


def crossings(options: list[str] | None) -> list[tuple[str, ...]]:
    """Segmentations: the columns between the commas of each option."""
    return [tuple(name.strip() for name in option.split(",")) for option in options or ()]


def roles_of(file: Path | None, named: dict[str, str | list[str] | None]) -> Roles:
    given = {role: value for role, value in named.items() if value}
    if file is None:
        return Roles.from_dict(given)
    return Roles.from_dict({**Roles.from_file(file).to_dict(), **given})


def derived_of(options: list[str] | None) -> list[Derived]:
    """The derived columns that ``FILE:FUNCTION``, ``module:FUNCTION`` or ``FILE`` name, in this order."""
    modules: dict[str, ModuleType] = {}
    found: list[Derived] = []
    for option in options or ():
        place, _, name = option.partition(":") if not option.endswith(".py") else (option, "", "")
        module = modules.get(place)
        if module is None:
            module = modules[place] = _imported(place)
        there = {key: value for key, value in vars(module).items() if isinstance(value, Derived)}
        if name and name not in there:
            if hasattr(module, name):
                raise InputError(f"{place}: {name} is not a derived column; decorate it with @modelwatch_gpu.derived.")
            raise InputError(f"{place}: there is no {name}; derived columns there: {', '.join(there) or 'none'}.")
        if not there:
            raise InputError(f"{place}: no function is decorated with @modelwatch_gpu.derived.")
        found += [there[name]] if name else [one for one in there.values() if one not in found]
    return found


def _imported(place: str) -> ModuleType:
    """The module of a Python file, which may import its neighbours, or one that Python finds by its name."""
    path = Path(place)
    is_file = place.endswith(".py")
    if is_file and not path.is_file():
        raise InputError(f"{place}: there is no such file.")
    folder = os.path.abspath(path.parent) if is_file else os.getcwd()
    sys.path.insert(0, folder)
    try:
        if not is_file:
            return importlib.import_module(place)
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
    except InputError as error:
        raise InputError(f"{place}: {error}") from None
    except (Exception, SystemExit) as error:  # whatever the user's file does
        said = (str(error).splitlines() or [""])[0].rstrip(".")
        raise InputError(f"{place}: cannot be imported ({type(error).__name__}: {said}).") from None
    finally:
        sys.path.remove(folder)


def late_labels(
    baseline: Any, files: list[str] | None, at: str | None, derived: list[Derived], threads: int, device: str
) -> tuple[Baseline, Labels]:
    """The baseline, fitted where it is a reference log, and the labels of files by its id and label columns."""
    if not files:
        raise InputError("--labelled-at is of --labels, which is not given; give the label files.")
    known = baseline
    if isinstance(baseline, str):
        known = Baseline.load(baseline)
    elif not isinstance(baseline, Baseline):
        known = Baseline.fit(baseline, derived=derived, threads=threads, device=device)
    ids, label = known.ids, known.label
    if not ids or label is None:
        raise InputError("--labels needs a baseline with an id and a label; give --id and --label when you fit it.")
    return known, Labels().add(one_or_many(files), id=ids, label=label, at=at)
