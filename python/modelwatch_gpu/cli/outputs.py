"""What the command leaves behind: its exit code, one line for an error, files that are whole, tables."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Final, NoReturn

import typer

from modelwatch_gpu import _core
from modelwatch_gpu.device import isa
from modelwatch_gpu.errors import OutputError
from modelwatch_gpu.log import Log
from modelwatch_gpu.profile.fileio import write_file
from modelwatch_gpu.report import Report
from modelwatch_gpu.report.printable import printable
from modelwatch_gpu.wording import counted

DONE: Final = 0
ALERTS: Final = 1
BAD_INPUT: Final = 2
BROKEN: Final = 3

EXIT_CODES: Final = (
    "Exit codes: 0 done; 1 alerts (compare, validate and run, see --fail-on); 2 bad input, or an output that cannot be "
    "written; 3 interrupted or broken."
)
#: Files of this run that are on disk, whole.
written: list[str] = []


def check_settings() -> None:
    """Raises InputError for a wrong MODELWATCH_ISA or MODELWATCH_THREADS before a file is blamed for it."""
    isa()
    _core.default_threads()


def check_outputs(*paths: Path | None) -> None:
    """Raises OutputError before the work begins for what could not be written after it."""
    files = [path for path in paths if path is not None and str(path) != "-"]
    for number, path in enumerate(files):
        if not path.parent.is_dir():
            raise OutputError(f"{path}: cannot be written (there is no folder {path.parent}).")
        if path.exists() and not path.is_file():
            raise OutputError(
                f"{path}: cannot be written (it is {'a folder' if path.is_dir() else 'not a regular file'})."
            )
        if not os.access(path.parent, os.W_OK):
            raise OutputError(f"{path}: cannot be written (no permission in the folder {path.parent}).")
        if path.resolve() in (other.resolve() for other in files[:number]):
            raise OutputError(f"{path}: cannot be written (it is named as two outputs).")


def spare_inputs(outputs: Sequence[Path | None], *inputs: Log | str | Path | None) -> None:
    """Raises OutputError where an output would take the place of a file that is read."""
    read = [
        name
        for one in inputs
        for name in ([file.name for file in one.files] if isinstance(one, Log) else [] if one is None else [str(one)])
        if os.path.isfile(name)
    ]
    for path in outputs:
        if path is not None and path.is_file() and any(os.path.samefile(path, name) for name in read):
            raise OutputError(f"{path}: cannot be written (it is read here); name another file.")


@contextmanager
def undisturbed() -> Iterator[None]:
    """Ctrl-C waits until the files are written: what was computed is not lost, and none of several is missing."""
    waiting: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        waiting.append(number)

    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield  # somebody else decides what Ctrl-C means
        return
    signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if waiting:
        raise KeyboardInterrupt


def write(report: Report, html: Path | None, json_path: Path | None) -> None:
    """All outputs. JSON may be long, so it is written as it is made."""
    page = report.to_html() if html is not None else ""
    with undisturbed():
        if html is not None:
            write_file(html, page.encode())
            written.append(str(html))
        if json_path is not None and str(json_path) != "-":
            report.write_json(json_path)
            written.append(str(json_path))
    if json_path is not None and str(json_path) == "-":
        for chunk in report.json_chunks():
            sys.stdout.write(chunk)
        sys.stdout.write("\n")


def fail(text: str, code: int) -> NoReturn:
    typer.echo(f"modelwatch: {printable(text)}", err=True)
    sys.exit(code)


def wrong_call(error: Exception) -> None:
    """Ends with one line where this is a wrong option or argument; nothing else, and not where help was asked for."""
    say, place = getattr(error, "format_message", None), getattr(error, "ctx", None)
    if say is None or place is None or type(error).__name__ == "NoArgsIsHelpError":
        return
    said = " ".join(say().split()).replace("Value error, ", "").rstrip(".")  # pydantic's words
    fail(f"{said}{' See' if said.endswith('?') else '; see'} {place.command_path} --help.", BAD_INPUT)


def said_of(counts: dict[str, int]) -> str:
    """How many alerts and warnings, in words."""
    named = ((counts["alert"], "alert"), (counts["warning"], "warning"))
    return " and ".join(counted(count, name) for count, name in named)
