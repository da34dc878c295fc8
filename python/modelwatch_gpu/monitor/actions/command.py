"""A program as an action: started without a shell, watched by a process of its own, found again after a restart."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from modelwatch_gpu.monitor.actions import supervise
from modelwatch_gpu.monitor.config.triggers import CommandRun

#: Variables that every program gets.
_PASSED: Final = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "VIRTUAL_ENV")
#: Letters of its output that the store keeps.
_MOST_LETTERS: Final = 500


@dataclass(frozen=True, slots=True)
class Asked:
    """What an action is started with. ``evidence``: its folder, with an absolute path."""

    id: str
    name: str
    alert: str
    evidence: Path

    def put_into(self, argument: str) -> str:
        """An argument with what stands for its own values: hexadecimal digits and a path, nothing from the data."""
        for name, value in (("{id}", self.id), ("{alert}", self.alert), ("{evidence}", str(self.evidence))):
            argument = argument.replace(name, value)
        return argument


@dataclass(frozen=True, slots=True)
class State:
    """How a program fares: ``running``, or its end with an error or none."""

    running: bool
    error: str | None = None
    told: str = ""


def start(run: CommandRun, asked: Asked, folder: Path, environ: Mapping[str, str] | None = None) -> None:
    """Starts the program in ``folder``; returns at once. Where it is running already, it is left alone."""
    there = os.environ if environ is None else environ
    own = {
        "MODELWATCH_ACTION": asked.name,
        "MODELWATCH_ACTION_ID": asked.id,
        "MODELWATCH_ALERT_ID": asked.alert,
        "MODELWATCH_EVIDENCE": str(asked.evidence),
    }
    passed = {name: there[name] for name in (*_PASSED, *run.env) if name in there}
    subprocess.Popen(
        [
            *(sys.executable, "-I", supervise.__file__, str(asked.evidence), str(run.timeout.total_seconds())),
            *map(asked.put_into, run.argv),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        cwd=folder,
        env={**passed, **own},
    )


def state_of(evidence: Path) -> State | None:
    """How the program fares whose evidence this is; None where it does not run and has no result: it was never started,
    or was killed with whoever watched it."""
    try:
        result = json.loads((evidence / supervise.RESULT).read_text())
    except FileNotFoundError:
        return State(running=True) if _locked(evidence / supervise.LOCK) else None
    except (OSError, ValueError) as error:
        return State(running=False, error=f"its result cannot be read ({error})")
    told = _tail(evidence / supervise.OUTPUT)
    if result["error"] is not None:
        return State(running=False, error=f"cannot be started ({result['error']})", told=told)
    if result["timed_out"]:
        return State(running=False, error=f"ended after {result['seconds']:.0f} s, its timeout", told=told)
    bad = None if result["exit"] == 0 else f"exit code {result['exit']}"
    return State(running=False, error=bad, told=told)


def _locked(path: Path) -> bool:
    try:
        lock = os.open(path, os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(lock)
    return False


def _tail(path: Path) -> str:
    try:
        with path.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - 4 * _MOST_LETTERS))
            return file.read().decode("utf-8", errors="replace")[-_MOST_LETTERS:]
    except OSError:
        return ""
