"""The first and the last moment of the command's process.

Ctrl-C while it is still importing is one line and exit code 3, as at any later moment.

Imported before everything else, since the imports themselves take most of the first half second. Does nothing where the
package is not run as the ``modelwatch`` command: then Ctrl-C is the caller's business.

Threads of OpenBLAS, which NumPy starts when it is imported, wait for work by spinning; here they are told to sleep,
since a command seldom has any for them.

Its end is the end of the process: taking a hundred thousand objects apart one by one, as the interpreter does before it
leaves, takes a tenth of a second.
"""

from __future__ import annotations

import atexit
import gc
import os
import signal
import sys
import threading
from types import FrameType
from typing import Final

#: A variable that OpenBLAS reads as it starts: the logarithm of the cycles that a thread spins for until it sleeps.
_SPINNING: Final = "OPENBLAS_THREAD_TIMEOUT"
#: 65,536 cycles; by its own 2^26 or more the threads take as much time as NumPy's import does.
_SPINS: Final = "16"

MESSAGE: Final = "interrupted; nothing was written."
INTERRUPTED: Final = 3


def _end(number: int, frame: FrameType | None) -> None:
    os.write(2, f"modelwatch: {MESSAGE}\n".encode())
    os._exit(INTERRUPTED)  # nothing is open yet, and an exception could be swallowed by a half-imported module


def _is_command() -> bool:
    return os.path.basename(sys.argv[0]) == "modelwatch" or sys.orig_argv[1:3] == ["-m", "modelwatch_gpu"]


#: Whether this process was started as the command: what somebody calls its arguments later does not count.
_OURS: Final = bool(sys.argv) and _is_command()
#: Whether the variable is ours, and not to be passed on to what a command starts.
_told = False


def begin() -> None:
    """In a process that is the command: threads of OpenBLAS will sleep, unless somebody else has said when, and Ctrl-C
    ends the process at once, unless somebody else decides what it means."""
    global _told
    if _OURS and "numpy" not in sys.modules and _SPINNING not in os.environ:
        os.environ[_SPINNING] = _SPINS
        _told = True
    if (
        _OURS
        and threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    ):
        signal.signal(signal.SIGINT, _end)
        gc.disable()  # nothing that is imported becomes garbage


def done() -> None:
    """From here on Ctrl-C is a KeyboardInterrupt again, garbage is collected among what comes now, and what the command
    starts has the environment that it was started with."""
    if _told:
        os.environ.pop(_SPINNING, None)
    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        gc.freeze()
        gc.enable()


def leave(code: object) -> None:
    """Ends the process with this exit code, as ``sys.exit`` would, but without taking apart what is in memory. Returns
    where that is the interpreter's business: the package is not run as a command, or a thread is still at work."""
    if not _OURS or not isinstance(code, int | None):
        return
    main = threading.main_thread()
    if threading.current_thread() is not main or any(t is not main and not t.daemon for t in threading.enumerate()):
        return
    atexit._run_exitfuncs()  # temporary folders and whatever else was promised to be done
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):
        return
    os._exit(code or 0)


begin()
