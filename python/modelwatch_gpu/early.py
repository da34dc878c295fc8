"""Ctrl-C while the command is still importing: one line and exit code 3, as at any later moment.

Imported before everything else, since the imports themselves take most of the first half second. Does nothing where the
package is not run as the ``modelwatch`` command: then Ctrl-C is the caller's business.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from types import FrameType
from typing import Final

MESSAGE: Final = "interrupted; nothing was written."
INTERRUPTED: Final = 3


def _end(number: int, frame: FrameType | None) -> None:
    os.write(2, f"modelwatch: {MESSAGE}\n".encode())
    os._exit(INTERRUPTED)  # nothing is open yet, and an exception could be swallowed by a half-imported module


def _is_command() -> bool:
    return os.path.basename(sys.argv[0]) == "modelwatch" or sys.orig_argv[1:3] == ["-m", "modelwatch_gpu"]


def begin() -> None:
    """Ctrl-C ends the process at once, if this is the command and nobody else decides what Ctrl-C means."""
    if (
        sys.argv
        and _is_command()
        and threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    ):
        signal.signal(signal.SIGINT, _end)


def done() -> None:
    """From here on Ctrl-C is a KeyboardInterrupt again."""
    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)


begin()
