"""The ``modelwatch`` command. Exit codes: 0 done, 1 alerts, 2 bad input or output, 3 interrupted or broken."""

from __future__ import annotations

import enum
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, Final, NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from typer.core import TyperGroup

from modelwatch_gpu import __version__, _core, early
from modelwatch_gpu import demo as demo_run
from modelwatch_gpu import doctor as doctor_report
from modelwatch_gpu.checks.check import checks_from_file
from modelwatch_gpu.compare import compare as compare_logs
from modelwatch_gpu.device import isa
from modelwatch_gpu.errors import DeviceUnavailable, InputError, OutputError
from modelwatch_gpu.log import Roles, open_log
from modelwatch_gpu.profile import Baseline
from modelwatch_gpu.profile.edges import edges_from_file
from modelwatch_gpu.profile.fileio import write_file
from modelwatch_gpu.report import Report
from modelwatch_gpu.report.table import ReportTable, printable

DONE: Final = 0
ALERTS: Final = 1
BAD_INPUT: Final = 2
BROKEN: Final = 3

EXIT_CODES: Final = (
    "Exit codes: 0 done; 1 alerts (compare only, see --fail-on); 2 bad input, or an output that cannot be written; "
    "3 interrupted or broken."
)
#: Width of tables where there is no terminal to ask: room for a reason in one line.
PIPE_WIDTH: Final = 200


class Commands(TyperGroup):
    """The commands; whatever ends one early becomes one line and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Runs the command that was asked for."""
        early.done()
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
            return result
        except (InputError, OutputError, DeviceUnavailable) as error:
            _fail(str(error), BAD_INPUT)
        except KeyboardInterrupt:
            kept = f"{' and '.join(_written)} had been written, whole" if _written else ""
            _fail(f"interrupted; {kept}." if kept else early.MESSAGE, BROKEN)
        except BrokenPipeError:
            # Whoever read our output has gone; the interpreter must not try to flush the rest.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(BROKEN)
        except Exception as error:
            if type(error).__module__.split(".")[0] in ("typer", "click"):
                raise  # usage errors and exits, which say themselves what they are
            if os.environ.get("MODELWATCH_DEBUG"):
                traceback.print_exc()
            _fail(f"unexpected {type(error).__name__}: {error} (set MODELWATCH_DEBUG=1 for the details)", BROKEN)


#: Files of this run that are on disk, whole.
_written: list[str] = []

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


class FailOn(enum.StrEnum):
    """From which severity on the exit code is 1."""

    never = "never"
    warning = "warning"
    alert = "alert"


Threads = Annotated[
    int, typer.Option(min=0, metavar="N", help="Threads; 0: MODELWATCH_THREADS, or all CPUs of the process.")
]
Device = Annotated[
    str, typer.Option(metavar="NAME", help="auto or cpu; auto: MODELWATCH_DEVICE, or what there is. No GPU yet.")
]
Memory = Annotated[
    str | None,
    typer.Option(metavar="SIZE", help="Memory for counters, such as 1GB. Default: MODELWATCH_MEMORY, or 512MiB."),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")]
Zone = Annotated[
    str | None,
    typer.Option(
        metavar="ZONE", help="IANA time zone in which days and months begin, such as Europe/Paris. Default: the log's."
    ),
]
HtmlPath = Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write the report as one HTML page.")]
JsonPath = Annotated[
    Path | None, typer.Option("--json", metavar="FILE", help="Write the report as JSON; - is standard output.")
]
LogPaths = Annotated[
    list[str],
    typer.Argument(
        metavar="LOG",
        help="Parquet, Arrow, CSV or JSON lines files, folders, patterns in quotes, or addresses (s3://bucket/log).",
    ),
]
Progressed = Callable[[int], None]


def _column(text: str) -> Any:
    return typer.Option(metavar="COLUMN", help=text)


@contextmanager
def _stages(quiet: bool) -> Iterator[demo_run.Stage]:
    """A bar for every stage of the work, on a terminal only."""
    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield lambda what, rows, passes: None
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:

        def stage(what: str, rows: int | None, passes: int) -> Progressed:
            for done in progress.task_ids:
                progress.remove_task(done)
            task = progress.add_task(what, total=rows * passes if rows else None)

            def on_rows(read: int) -> None:
                progress.advance(task, read)
                known = progress.tasks[0]
                if known.total is not None and rows and known.completed > known.total:
                    progress.update(task, total=known.total + rows)  # one more pass than most logs need

            return on_rows

        yield stage


def _one_or_many(log: list[str]) -> str | list[str]:
    return log[0] if len(log) == 1 else log


def _crossings(options: list[str] | None) -> list[tuple[str, ...]]:
    """Segmentations: the columns between the commas of each option."""
    return [tuple(name.strip() for name in option.split(",")) for option in options or ()]


def _roles(file: Path | None, named: dict[str, str | list[str] | None]) -> Roles:
    given = {role: value for role, value in named.items() if value}
    if file is None:
        return Roles.from_dict(given)
    return Roles.from_dict({**Roles.from_file(file).to_dict(), **given})


def _check_settings() -> None:
    """Raises InputError for a wrong MODELWATCH_ISA or MODELWATCH_THREADS before a file is blamed for it."""
    isa()
    _core.default_threads()


def _check_outputs(*paths: Path | None) -> None:
    """Raises OutputError before the work begins for what could not be written after it."""
    for path in paths:
        if path is None or str(path) == "-":
            continue
        if not path.parent.is_dir():
            raise OutputError(f"{path}: cannot be written (there is no folder {path.parent}).")
        if path.exists() and not path.is_file():
            raise OutputError(
                f"{path}: cannot be written (it is {'a folder' if path.is_dir() else 'not a regular file'})."
            )
        if not os.access(path.parent, os.W_OK):
            raise OutputError(f"{path}: cannot be written (no permission in the folder {path.parent}).")


@contextmanager
def _undisturbed() -> Iterator[None]:
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


def _write(report: Report, html: Path | None, json_path: Path | None) -> None:
    """All outputs. JSON may be long, so it is written as it is made."""
    page = report.to_html() if html is not None else ""
    with _undisturbed():
        if html is not None:
            write_file(html, page.encode())
            _written.append(str(html))
        if json_path is not None and str(json_path) != "-":
            report.write_json(json_path)
            _written.append(str(json_path))
    if json_path is not None and str(json_path) == "-":
        for chunk in report.json_chunks():
            sys.stdout.write(chunk)
        sys.stdout.write("\n")


class _Output(Console):
    """Standard output; a pipe has no width, so it gets room for a reason in one line."""

    def __init__(self) -> None:
        super().__init__(width=None if sys.stdout.isatty() else PIPE_WIDTH)

    def on_broken_pipe(self) -> None:
        """Leaves the exit code to us: Rich would end with 1, which means alerts."""
        raise BrokenPipeError


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


@app.command(epilog=EXIT_CODES, no_args_is_help=True)
def fit(
    reference: LogPaths,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The baseline file to write (.mwb).")],
    label: Annotated[str | None, _column("Column with the truth.")] = None,
    score: Annotated[str | None, _column("Column with the model's score.")] = None,
    prediction: Annotated[str | None, _column("Column with the model's decision.")] = None,
    timestamp: Annotated[str | None, _column("Column that says when.")] = None,
    id: Annotated[str | None, _column("Column that names a row.")] = None,
    weight: Annotated[str | None, _column("Column that says how much a row counts.")] = None,
    ignore: Annotated[list[str] | None, _column("Column to leave out; may be given several times.")] = None,
    roles: Annotated[Path | None, typer.Option(metavar="FILE", help="Roles from a TOML or JSON file.")] = None,
    edges: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Edges of bins by column from a TOML or JSON file, instead of deciles."),
    ] = None,
    exact_up_to: Annotated[
        int, typer.Option(metavar="N", help="A numeric column with at most so many distinct values is kept exactly.")
    ] = 131_072,
    timezone: Zone = None,
    threads: Threads = 0,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Fit a baseline on a reference log.

    The baseline is what normal looks like, in one file. Columns without a role are recognised by name (label, score,
    prediction, timestamp, *_id, ...), else they are features.

    \b
    Example:
      modelwatch fit reference.parquet -o baseline.mwb --label label --timestamp timestamp
    """
    _check_settings()
    _check_outputs(output)
    named: dict[str, str | list[str] | None] = {
        "label": label,
        "score": score,
        "prediction": prediction,
        "timestamp": timestamp,
        "id": id,
        "weight": weight,
        "ignore": ignore,
    }
    given = _roles(roles, named)
    cuts = edges_from_file(edges) if edges is not None else None
    with _stages(quiet) as stage:
        source = open_log(_one_or_many(reference), name="reference")
        baseline = Baseline.fit(
            source,
            roles=given,
            timezone=timezone,
            edges=cuts,
            exact_up_to=exact_up_to,
            threads=threads,
            device=device,
            progress=stage("fitting the baseline", source.rows, 2),
        )
    with _undisturbed():
        baseline.save(output)
        _written.append(str(output))
    if not quiet:
        for note in baseline.notes:
            typer.echo(printable(note))
        numeric = [c for c in baseline.columns if c.kind == "numeric"]
        exact = sum(1 for c in numeric if getattr(c, "exact", False))
        size = output.stat().st_size
        typer.echo(
            f"Wrote {output}: {baseline.rows:,} rows, {len(baseline.columns)} columns "
            f"({exact} of {len(numeric)} numeric ones exact), "
            f"{f'{size / 2**20:.1f} MiB' if size >= 2**20 else f'{size / 2**10:.1f} KiB'}."
        )


@app.command(epilog=EXIT_CODES, no_args_is_help=True)
def compare(
    baseline: Annotated[
        str, typer.Argument(metavar="BASELINE", help="A baseline (.mwb), or a reference log to fit one on.")
    ],
    log: LogPaths,
    window: Annotated[
        str | None,
        typer.Option(
            metavar="LENGTH",
            help="Calendar windows: 15min, 1h, 1d, 1w, 1mo, 1q, 1y; or rows: 50000rows. Default: all in one.",
        ),
    ] = None,
    timezone: Zone = None,
    by: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMNS",
            help="Column whose values are also judged apart; a comma crosses two or three. May be given several times.",
        ),
    ] = None,
    versions: Annotated[
        bool, typer.Option("--versions", help="Also judge the values of the column with the role version apart.")
    ] = False,
    promote: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMNS", help="Count this --by on the fine grid. May be given several times."),
    ] = None,
    max_groups: Annotated[
        int | None,
        typer.Option(metavar="N", help="Segments of each --by kept apart. Default: what memory allows, at most 10000."),
    ] = None,
    checks: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Checks from a TOML or JSON file, instead of the default ones."),
    ] = None,
    consecutive: Annotated[
        bool, typer.Option("--consecutive", help="Also compare every window with the one before it that has rows.")
    ] = False,
    html: HtmlPath = None,
    json: JsonPath = None,
    fail_on: Annotated[FailOn, typer.Option(help="Exit with 1 from this severity on.")] = FailOn.alert,
    memory: Memory = None,
    threads: Threads = 0,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Compare a log with a baseline.

    Says which columns changed, in which windows, and why. The log needs the columns of the reference.

    \b
    Examples:
      modelwatch compare baseline.mwb 'production/*.parquet' --window 1mo --html report.html
      modelwatch compare reference.parquet production.parquet --json - --fail-on never
    """
    _check_settings()
    _check_outputs(html, json)
    rules = checks_from_file(checks) if checks is not None else None
    fitted = baseline.endswith(".mwb")
    with _stages(quiet) as stage:
        # The rows of a reference that is fitted here are not known, so neither is the end of the bar.
        source = open_log(_one_or_many(log))
        rows = source.rows
        report = compare_logs(
            baseline,
            source,
            window=window,
            timezone=timezone,
            segments=_crossings(by),
            versions=versions,
            promote=_crossings(promote),
            max_groups=max_groups,
            checks=rules,
            consecutive=consecutive,
            memory=memory,
            threads=threads,
            device=device,
            progress=stage("comparing" if fitted else "fitting a baseline and comparing", rows if fitted else None, 1),
        )
    _write(report, html, json)
    if not quiet and str(json) != "-":
        _Output().print(ReportTable(report))
        if _written:
            typer.echo(f"Wrote {' and '.join(_written)}.")
        else:
            hint = "--html FILE writes the whole report as a page."
            whole = report.window is None and "timestamp" in report.baseline.roles.values()
            typer.echo(f"--window 1mo judges every month on its own; {hint}" if whole else hint)
    bad = {"alert"} if fail_on is FailOn.alert else {"alert", "warning"} if fail_on is FailOn.warning else set()
    if any(f.severity in bad for f in report.findings):
        raise typer.Exit(ALERTS)


@app.command(epilog=EXIT_CODES)
def demo(
    html: Annotated[
        Path, typer.Option("--html", metavar="FILE", help="Where to write the report as an HTML page.")
    ] = Path("report.html"),
    json: JsonPath = None,
    memory: Memory = None,
    threads: Threads = 0,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Run the main job on the bundled flights log.

    A model that foresees late flights out of New York, fitted on January to March 2013 and watched from April to
    December, month by month. Exits with 0 whatever it finds.
    """
    _check_settings()
    _check_outputs(html, json)
    with _stages(quiet) as stage:
        report = demo_run.run(threads=threads, device=device, memory=memory, stage=stage)
    _write(report, html, json)
    if not quiet and str(json) != "-":
        _Output().print(ReportTable(report))
        typer.echo(f"Wrote {' and '.join(_written)}. Open {html} in a browser for the whole report.")


@app.command(epilog=EXIT_CODES)
def doctor(
    selftest: Annotated[bool, typer.Option("--selftest", help="Also compare the engine with its reference.")] = False,
) -> None:
    """Say what this installation is and can do."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    for what, answer in doctor_report.lines():
        table.add_row(what, answer)
    tests = doctor_report.selftest() if selftest else []
    for what, agrees in tests:
        table.add_row(f"selftest: {what}", "agrees" if agrees else "DIFFERS", style=None if agrees else "bold red")
    _Output().print(table)
    if not all(agrees for _, agrees in tests):
        _fail(
            "the engine and its reference differ; its numbers cannot be trusted here. Please report this output.",
            BROKEN,
        )
    if tests:
        typer.echo("The engine agrees with its reference.")
    else:
        typer.echo("--selftest also compares the engine with its reference.")


@app.command(epilog=EXIT_CODES)
def version() -> None:
    """Print the version."""
    typer.echo(__version__)


def main() -> None:
    """Entry point of the command."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a name must not end a report in a terminal without UTF-8
    app(prog_name="modelwatch")


def _fail(text: str, code: int) -> NoReturn:
    typer.echo(f"modelwatch: {printable(text)}", err=True)
    sys.exit(code)
