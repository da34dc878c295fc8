"""The ``modelwatch`` command. Exit codes: 0 done, 1 alerts, 2 bad input or output, 3 interrupted or broken."""

from __future__ import annotations

import enum
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from modelwatch_gpu import __version__
from modelwatch_gpu import demo as demo_run
from modelwatch_gpu import doctor as doctor_report
from modelwatch_gpu.checks.check import checks_from_file
from modelwatch_gpu.compare import compare as compare_logs
from modelwatch_gpu.errors import DeviceUnavailable, InputError, OutputError
from modelwatch_gpu.log import Roles, open_log
from modelwatch_gpu.profile import Baseline
from modelwatch_gpu.profile.counting import Progress as OnRows
from modelwatch_gpu.report import Report
from modelwatch_gpu.report.table import ReportTable

DONE: Final = 0
ALERTS: Final = 1
BAD_INPUT: Final = 2
BROKEN: Final = 3

app = typer.Typer(
    name="modelwatch",
    help="Model monitoring from logs of any size: one pass, exact, mergeable.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


class FailOn(enum.StrEnum):
    """From which severity on the exit code is 1."""

    never = "never"
    warning = "warning"
    alert = "alert"


Threads = Annotated[int, typer.Option(min=0, help="Threads; 0: MODELWATCH_THREADS or all CPUs of the process.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
Memory = Annotated[
    str | None, typer.Option(help="Memory for counters, such as 512MB. Default: MODELWATCH_MEMORY or 512 MiB.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")]
Zone = Annotated[str | None, typer.Option(help="IANA time zone of the calendar, such as America/New_York.")]
HtmlPath = Annotated[Path | None, typer.Option("--html", help="Write the report as one HTML file.")]
JsonPath = Annotated[Path | None, typer.Option("--json", help="Write the report as JSON.")]


@contextmanager
def _progress(quiet: bool, total: int | None, what: str) -> Iterator[OnRows | None]:
    """Rows read so far, on a terminal only."""
    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield None
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f} rows"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(what, total=total)
        yield lambda rows: progress.advance(task, rows)


def _one_or_many(log: list[str]) -> str | list[str]:
    return log[0] if len(log) == 1 else log


def _roles(file: Path | None, named: dict[str, str | list[str] | None]) -> Roles:
    given = {role: value for role, value in named.items() if value}
    if file is None:
        return Roles.from_dict(given)
    return Roles.from_dict({**Roles.from_file(file).to_dict(), **given})


def _write_outputs(report: Report, html: Path | None, json_path: Path | None) -> None:
    if html is not None:
        report.to_html(html)
    if json_path is not None:
        report.to_json(json_path)


def _show(report: Report, quiet: bool) -> None:
    if not quiet:
        console = Console()
        # A pipe has no width: give the reasons room instead of wrapping them at 80.
        Console(width=console.width if console.is_terminal else 160).print(ReportTable(report))


@app.command()
def fit(
    reference: Annotated[list[str], typer.Argument(help="Parquet or Arrow files, a folder, or a pattern in quotes.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The baseline file to write (.mwb).")],
    label: Annotated[str | None, typer.Option(help="Column with the truth.")] = None,
    score: Annotated[str | None, typer.Option(help="Column with the model's score.")] = None,
    prediction: Annotated[str | None, typer.Option(help="Column with the model's decision.")] = None,
    timestamp: Annotated[str | None, typer.Option(help="Column that says when.")] = None,
    id: Annotated[str | None, typer.Option(help="Column that names a row.")] = None,
    ignore: Annotated[list[str] | None, typer.Option(help="Column to leave out; may be given several times.")] = None,
    roles: Annotated[Path | None, typer.Option(help="Roles from a TOML or JSON file.")] = None,
    exact_up_to: Annotated[int, typer.Option(help="Distinct values up to which a grid is exact.")] = 131_072,
    timezone: Zone = None,
    threads: Threads = 0,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Fit a baseline on a reference log and save it in one file."""
    named: dict[str, str | list[str] | None] = {
        "label": label,
        "score": score,
        "prediction": prediction,
        "timestamp": timestamp,
        "id": id,
        "ignore": ignore,
    }
    if not output.parent.is_dir():
        raise OutputError(f"{output}: cannot be written (there is no folder {output.parent}).")
    source = _one_or_many(reference)
    with _progress(quiet, open_log(source).rows, "reading") as on_rows:
        baseline = Baseline.fit(
            source,
            roles=_roles(roles, named),
            timezone=timezone,
            exact_up_to=exact_up_to,
            threads=threads,
            device=device,
            progress=on_rows,
        )
    baseline.save(output)
    if not quiet:
        for note in baseline.notes:
            typer.echo(note)
        exact = sum(1 for c in baseline.columns if c.kind == "numeric" and getattr(c, "exact", False))
        numeric = sum(1 for c in baseline.columns if c.kind == "numeric")
        typer.echo(
            f"{output}: {baseline.rows:,} rows, {len(baseline.columns)} columns "
            f"({exact} of {numeric} numeric ones exact), {output.stat().st_size / 2**20:.1f} MiB"
        )


@app.command()
def compare(
    baseline: Annotated[str, typer.Argument(help="A baseline (.mwb), or a reference log to fit one on.")],
    log: Annotated[list[str], typer.Argument(help="Parquet or Arrow files, a folder, or a pattern in quotes.")],
    window: Annotated[str | None, typer.Option(help="Calendar windows: 15min, 1h, 1d, 1w, 1mo, 1q, 1y.")] = None,
    timezone: Zone = None,
    by: Annotated[str | None, typer.Option(help="Column whose values are judged apart.")] = None,
    checks: Annotated[
        Path | None, typer.Option(help="Checks from a TOML or JSON file, instead of the default ones.")
    ] = None,
    html: HtmlPath = None,
    json: JsonPath = None,
    fail_on: Annotated[FailOn, typer.Option(help="Exit with 1 from this severity on.")] = FailOn.alert,
    memory: Memory = None,
    threads: Threads = 0,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Compare a log with a baseline: what changed, in which window, and why."""
    source = _one_or_many(log)
    rules = checks_from_file(checks) if checks is not None else None
    with _progress(quiet, open_log(source).rows, "comparing") as on_rows:
        report = compare_logs(
            baseline,
            source,
            window=window,
            timezone=timezone,
            segments=[by] if by else [],
            checks=rules,
            memory=memory,
            threads=threads,
            device=device,
            progress=on_rows,
        )
    _write_outputs(report, html, json)
    _show(report, quiet)
    bad = {"alert"} if fail_on is FailOn.alert else {"alert", "warning"} if fail_on is FailOn.warning else set()
    if any(f.severity in bad for f in report.findings):
        raise typer.Exit(ALERTS)


@app.command()
def demo(
    html: Annotated[Path, typer.Option("--html", help="Where to write the report.")] = Path("report.html"),
    json: JsonPath = None,
    memory: Memory = None,
    threads: Threads = 0,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Run the main job on the bundled log: a flight-delay model, month by month."""
    with _progress(quiet, None, "reading the bundled log") as on_rows:
        report = demo_run.run(threads=threads, device=device, memory=memory, progress=on_rows)
    _write_outputs(report, html, json)
    _show(report, quiet)
    if not quiet:
        typer.echo(f"Open {html} in a browser for the whole report.")


@app.command()
def doctor(
    selftest: Annotated[bool, typer.Option("--selftest", help="Also compare the engine with its reference.")] = False,
) -> None:
    """Say what this installation is and can do."""
    table = Table(show_header=False, show_edge=False, pad_edge=False)
    for what, answer in doctor_report.lines():
        table.add_row(what, answer)
    failed = False
    if selftest:
        for what, agrees in doctor_report.selftest():
            table.add_row(f"selftest: {what}", "agrees" if agrees else "DIFFERS")
            failed = failed or not agrees
    Console(width=None if Console().is_terminal else 160).print(table)
    if failed:
        raise typer.Exit(BROKEN)


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(__version__)


def main() -> None:
    """Entry point: turns errors into one line and an exit code."""
    try:
        app(standalone_mode=True)
    except (InputError, OutputError, DeviceUnavailable) as error:
        _fail(str(error), BAD_INPUT)
    except KeyboardInterrupt:
        _fail("interrupted; nothing was written.", BROKEN)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(BROKEN)
    except Exception as error:
        if os.environ.get("MODELWATCH_DEBUG"):
            traceback.print_exc()
        _fail(f"unexpected {type(error).__name__}: {error} (set MODELWATCH_DEBUG=1 for the details)", BROKEN)


def _fail(text: str, code: int) -> None:
    typer.echo(f"modelwatch: {text}", err=True)
    sys.exit(code)
