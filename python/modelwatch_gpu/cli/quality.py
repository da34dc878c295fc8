"""The command that writes expectations."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from modelwatch_gpu.checks.expectations import Expectations
from modelwatch_gpu.checks.expected import TABLE
from modelwatch_gpu.cli.options import Quiet
from modelwatch_gpu.cli.outputs import EXIT_CODES, check_outputs, undisturbed, written
from modelwatch_gpu.cli.root import app
from modelwatch_gpu.profile import Baseline


@app.command(epilog=EXIT_CODES, no_args_is_help=True)
def expectations(
    baseline: Annotated[str, typer.Argument(metavar="BASELINE", help="A baseline (.mwb), fitted with --quality.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="The YAML file to write. Default: print it.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Write what a baseline says every log must keep to.

    The YAML file is for people to read and edit; compare --expectations judges a log by it.

    \b
    Example:
      modelwatch expectations baseline.mwb -o expectations.yaml
    """
    check_outputs(output)
    inferred = Expectations.infer(Baseline.load(baseline))
    if output is None:
        typer.echo(inferred.to_yaml(), nl=False)
        return
    with undisturbed():
        inferred.save(output)
        written.append(str(output))
    if not quiet:
        columns = len({e.column for e in inferred.items if e.column != TABLE})
        typer.echo(f"Wrote {output}: {len(inferred):,} expectations of {columns} columns and of the table.")
