"""Standard output for tables."""

from __future__ import annotations

import sys
from typing import Final

from rich.console import Console

#: Width of tables where there is no terminal to ask: room for a reason in one line.
PIPE_WIDTH: Final = 200


class Output(Console):
    """Standard output; a pipe has no width, so it gets room for a reason in one line."""

    def __init__(self) -> None:
        super().__init__(width=None if sys.stdout.isatty() else PIPE_WIDTH)

    def on_broken_pipe(self) -> None:
        """Leaves the exit code to us: Rich would end with 1, which means alerts."""
        raise BrokenPipeError
