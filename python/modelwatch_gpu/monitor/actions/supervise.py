"""Runs one program to its end and writes down how it ended; a process of its own, which outlives whoever started it.

    python supervise.py FOLDER SECONDS PROGRAM [ARGUMENT ...]

Standard library only: it is started by its path, without this package. A lock on ``FOLDER/lock`` is held while the
program runs, and given back by the system if this process is killed; ``FOLDER/result.json`` is there once it has ended.
Whoever comes second does nothing, so a program never runs twice at once.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from typing import Any

LOCK, RESULT, OUTPUT = "lock", "result.json", "output.log"


def main(folder: str, seconds: float, argv: list[str]) -> None:
    """Runs ``argv`` for at most ``seconds``, its output in ``FOLDER/output.log``."""
    lock = os.open(os.path.join(folder, LOCK), os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return  # another one is at it
    if os.path.exists(os.path.join(folder, RESULT)):
        return
    began = time.monotonic()
    result: dict[str, Any] = {"exit": None, "error": None, "timed_out": False}
    output = os.open(os.path.join(folder, OUTPUT), os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    try:
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True, close_fds=True
        )
    except (OSError, ValueError) as error:
        result["error"] = f"{type(error).__name__}: {getattr(error, 'strerror', None) or error}"
    else:
        try:
            result["exit"] = process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            result["timed_out"] = True
            os.killpg(process.pid, signal.SIGKILL)
            result["exit"] = process.wait()
    result["seconds"] = round(time.monotonic() - began, 3)
    _write(os.path.join(folder, RESULT), result)


def _write(path: str, result: dict[str, Any]) -> None:
    """Whole or not at all."""
    partial = f"{path}.partial"
    descriptor = os.open(partial, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(result, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), sys.argv[3:])
