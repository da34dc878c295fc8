"""The ``modelwatch`` command itself: what its commands join, and what becomes of whatever ends one early."""

from __future__ import annotations

import os
import sys
import traceback
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from modelwatch_gpu import __version__, early
from modelwatch_gpu.cli.outputs import BAD_INPUT, BROKEN, EXIT_CODES, fail, written, wrong_call
from modelwatch_gpu.errors import DeviceUnavailable, InputError, OutputError


class Commands(TyperGroup):
    """The commands; whatever ends one early becomes one line and an exit code."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Reads the options before a command's name."""
        try:
            return super().parse_args(ctx, args)
        except Exception as error:
            wrong_call(error)
            raise

    def invoke(self, ctx: Any) -> Any:
        """Runs the command that was asked for."""
        early.done()
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
            return result
        except (InputError, OutputError, DeviceUnavailable) as error:
            fail(str(error), BAD_INPUT)
        except KeyboardInterrupt:
            kept = f"{' and '.join(written)} had been written, whole" if written else ""
            fail(f"interrupted; {kept}." if kept else early.MESSAGE, BROKEN)
        except BrokenPipeError:
            # Whoever read our output has gone; the interpreter must not try to flush the rest.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(BROKEN)
        except Exception as error:
            wrong_call(error)
            if type(error).__module__.split(".")[0] in ("typer", "click"):
                raise  # exits, and help instead of an error
            if os.environ.get("MODELWATCH_DEBUG"):
                traceback.print_exc()
            fail(f"unexpected {type(error).__name__}: {error} (set MODELWATCH_DEBUG=1 for the details)", BROKEN)


app = typer.Typer(
    name="modelwatch",
    cls=Commands,
    help="Model monitoring from logs of any size: one pass, exact, mergeable.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version and exit.")
    ] = False,
) -> None:
    """Model monitoring from logs of any size: one pass, exact, mergeable."""
