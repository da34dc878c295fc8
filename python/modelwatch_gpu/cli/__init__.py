"""The ``modelwatch`` command. Exit codes: 0 done, 1 alerts, 2 bad input or output, 3 interrupted or broken."""

from __future__ import annotations

import copy
import importlib
import sys
from typing import TYPE_CHECKING, Any, Final

from modelwatch_gpu import early
from modelwatch_gpu.cli.outputs import ALERTS, BAD_INPUT, BROKEN, DONE, written

if TYPE_CHECKING:
    from modelwatch_gpu import demo as demo_run
    from modelwatch_gpu import doctor as doctor_report
    from modelwatch_gpu.cli.root import app

__all__ = ["ALERTS", "BAD_INPUT", "BROKEN", "DONE", "app", "demo_run", "doctor_report", "main", "written"]

#: Where each command is. A process runs one of them, and to import and build the others would take longer than many
#: runs do, so ``main`` takes only that.
PLACES: Final = {
    "fit": "commands",
    "compare": "commands",
    "validate": "commands",
    "demo": "commands",
    "doctor": "commands",
    "version": "commands",
    "expectations": "quality",
    "config": "monitoring",
    "run": "monitoring",
    "init": "monitoring",
    "status": "status",
    "alerts": "alerting",
    "silence": "alerting",
    "feedback": "alerting",
    "audit": "governance",
    "deployments": "governance",
    "metrics": "governance",
    "serve": "governance",
}
_NAMES: Final = {"demo_run": "modelwatch_gpu.demo", "doctor_report": "modelwatch_gpu.doctor"}


def __getattr__(name: str) -> Any:
    if name == "app":
        return _app(None)
    if name in _NAMES:
        return importlib.import_module(_NAMES[name])
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _app(asked: str | None) -> Any:
    """The command with the one sub-command that is asked for, or with all."""
    for place in dict.fromkeys(PLACES.values()) if asked is None else [PLACES[asked]]:
        importlib.import_module(f"{__name__}.{place}")
    whole = importlib.import_module(f"{__name__}.root").app
    if asked is None:
        return whole
    own = copy.copy(whole)
    own.registered_commands = [one for one in whole.registered_commands if _name_of(one) == asked]
    own.registered_groups = [one for one in whole.registered_groups if one.name == asked]
    return own


def _name_of(command: Any) -> str:
    return str(command.name or command.callback.__name__)


def main() -> None:
    """Entry point of the command."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a name must not end a report in a terminal without UTF-8
    asked = sys.argv[1] if len(sys.argv) > 1 else None
    try:
        _app(asked if asked in PLACES else None)(prog_name="modelwatch")
    except SystemExit as end:
        early.leave(end.code)
        raise
