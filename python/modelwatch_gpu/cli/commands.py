"""The commands about logs: fit, compare, validate, and what shows what the package can do."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from modelwatch_gpu import __version__, demo_monitor
from modelwatch_gpu import demo as demo_run
from modelwatch_gpu import doctor as doctor_report
from modelwatch_gpu.checks.files import checks_from_file
from modelwatch_gpu.cli.console import Output
from modelwatch_gpu.cli.options import (
    Anytime,
    AsOf,
    Checks,
    Correction,
    Corrections,
    Costs,
    DerivedColumns,
    Device,
    ExpectationsFile,
    FailOn,
    Hierarchy,
    HtmlPath,
    JsonPath,
    LogPaths,
    Memory,
    Quiet,
    Threads,
    Units,
    Zone,
    certainty_of,
    column_option,
    costs_of,
    crossings,
    derived_of,
    expectations_of,
    late_labels,
    one_or_many,
    roles_of,
)
from modelwatch_gpu.cli.outputs import (
    ALERTS,
    BROKEN,
    EXIT_CODES,
    check_outputs,
    check_settings,
    fail,
    said_of,
    spare_inputs,
    undisturbed,
    write,
    written,
)
from modelwatch_gpu.cli.progress import stages
from modelwatch_gpu.cli.root import app
from modelwatch_gpu.compare import compare as compare_logs
from modelwatch_gpu.device import resolve
from modelwatch_gpu.errors import InputError
from modelwatch_gpu.log import open_log
from modelwatch_gpu.profile import Baseline
from modelwatch_gpu.profile.edges import edges_from_file
from modelwatch_gpu.report import Report
from modelwatch_gpu.report.printable import printable
from modelwatch_gpu.report.table import ReportTable


@app.command(epilog=EXIT_CODES, no_args_is_help=True)
def fit(
    reference: LogPaths,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The baseline file to write (.mwb).")],
    label: Annotated[str | None, column_option("Column with the truth.")] = None,
    score: Annotated[str | None, column_option("Column with the model's score.")] = None,
    prediction: Annotated[str | None, column_option("Column with the model's decision.")] = None,
    timestamp: Annotated[str | None, column_option("Column that says when.")] = None,
    id: Annotated[str | None, column_option("Column that names a row.")] = None,
    weight: Annotated[str | None, column_option("Column that says how much a row counts.")] = None,
    embedding: Annotated[list[str] | None, column_option("Column of vectors; may be given several times.")] = None,
    normalize: Annotated[
        list[str] | None,
        column_option("Column of vectors to scale to length 1, here and in logs compared; may be given several times."),
    ] = None,
    text: Annotated[list[str] | None, column_option("Column of texts; may be given several times.")] = None,
    ignore: Annotated[list[str] | None, column_option("Column to leave out; may be given several times.")] = None,
    threshold: Annotated[
        float, typer.Option(metavar="X", help="A row with a score from it on is predicted positive.")
    ] = 0.5,
    positive: Annotated[
        str | None, typer.Option(metavar="CLASS", help="The positive class of a label with two values.")
    ] = None,
    costs: Costs = None,
    roles: Annotated[Path | None, typer.Option(metavar="FILE", help="Roles from a TOML or JSON file.")] = None,
    edges: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Edges of bins by column from a TOML or JSON file, instead of deciles."),
    ] = None,
    derived: DerivedColumns = None,
    exact_up_to: Annotated[
        int, typer.Option(metavar="N", help="A numeric column with at most so many distinct values is kept exactly.")
    ] = 131_072,
    quality: Annotated[
        bool, typer.Option("--quality", help="Note what expectations of data quality need: reads all columns.")
    ] = False,
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
    check_settings()
    check_outputs(output)
    named: dict[str, str | list[str] | None] = {
        "label": label,
        "score": score,
        "prediction": prediction,
        "timestamp": timestamp,
        "id": id,
        "weight": weight,
        "embedding": embedding,
        "text": text,
        "ignore": ignore,
    }
    given = roles_of(roles, named)
    cuts = edges_from_file(edges) if edges is not None else None
    computed = derived_of(derived)
    with stages(quiet) as stage:
        source = open_log(one_or_many(reference), name="reference")
        spare_inputs([output], source, roles, edges)
        baseline = Baseline.fit(
            source,
            roles=given,
            timezone=timezone,
            edges=cuts,
            derived=computed,
            normalize=normalize or (),
            threshold=threshold,
            positive=positive,
            costs=costs_of(costs),
            exact_up_to=exact_up_to,
            threads=threads,
            device=device,
            quality=quality,
            progress=stage("fitting the baseline", [(source, 2)]),
        )
    with undisturbed():
        baseline.save(output)
        written.append(str(output))
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
    checks: Checks = None,
    consecutive: Annotated[
        bool, typer.Option("--consecutive", help="Also compare every window with the one before it that has rows.")
    ] = False,
    units: Units = "1d",
    correction: Corrections = Correction.bh,
    anytime: Anytime = False,
    hierarchy: Hierarchy = False,
    expectations: ExpectationsFile = None,
    as_of: AsOf = None,
    derived: DerivedColumns = None,
    labels: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILES",
            help="Label files that came late, with the id and label columns of the log. May be given several times.",
        ),
    ] = None,
    labelled_at: Annotated[
        str | None, column_option("Column of --labels that says when a label was given; the latest one holds.")
    ] = None,
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
    check_settings()
    check_outputs(html, json)
    rules = checks_from_file(checks) if checks is not None else None
    sure = certainty_of(units, correction, anytime=anytime, hierarchy=hierarchy)
    computed = derived_of(derived)
    fitted = baseline.endswith(".mwb")
    with stages(quiet) as stage:
        reference = None if fitted else open_log(baseline, name="reference")
        source = open_log(one_or_many(log))
        spare_inputs([html, json], source, reference, baseline, checks, expectations, *(labels or ()))
        reads = [(source, 1)] if reference is None else [(reference, 2), (source, 1)]
        own: Any = baseline if reference is None else reference
        late = None
        if labels or labelled_at:
            own, late = late_labels(own, labels, labelled_at, computed, threads, device)
        report = compare_logs(
            own,
            source,
            window=window,
            timezone=timezone,
            segments=crossings(by),
            versions=versions,
            promote=crossings(promote),
            max_groups=max_groups,
            checks=rules,
            consecutive=consecutive,
            **sure,
            expectations=expectations_of(expectations),
            as_of=as_of,
            derived=computed,
            labels=late,
            memory=memory,
            threads=threads,
            device=device,
            progress=stage("comparing" if fitted else "fitting a baseline and comparing", reads),
        )
    write(report, html, json)
    _refuse_no_rows(report, "log")
    if not quiet and str(json) != "-":
        Output().print(ReportTable(report))
        if written:
            typer.echo(f"Wrote {' and '.join(written)}.")
        else:
            hint = "--html FILE writes the whole report as a page."
            whole = report.window is None and "timestamp" in report.baseline.roles.values()
            typer.echo(f"--window 1mo judges every month on its own; {hint}" if whole else hint)
    _exit_on_findings(report, fail_on)


def _refuse_no_rows(report: Report, what: str) -> None:
    """A pipeline that stopped writing must not look like one whose data are well."""
    if not report.rows:
        raise InputError(f"The {what} has no rows, so nothing was compared; see why nothing was written to it.")


def _exit_on_findings(report: Report, fail_on: FailOn) -> None:
    """Ends with 1 where there is a finding that the exit code is to tell."""
    bad = {"alert"} if fail_on is FailOn.alert else {"alert", "warning"} if fail_on is FailOn.warning else set()
    if any(report.counts[severity] for severity in bad):
        raise typer.Exit(ALERTS)


@app.command(epilog=EXIT_CODES, no_args_is_help=True)
def validate(
    candidate: LogPaths,
    against: Annotated[
        str, typer.Option("--against", metavar="BASELINE", help="A baseline (.mwb), or a reference log to fit one on.")
    ],
    by: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMNS", help="Column whose values are also judged apart. May be given several times."),
    ] = None,
    checks: Checks = None,
    units: Units = "1d",
    correction: Corrections = Correction.bh,
    derived: DerivedColumns = None,
    html: HtmlPath = None,
    json: JsonPath = None,
    fail_on: Annotated[FailOn, typer.Option(help="Exit with 1 from this severity on.")] = FailOn.alert,
    memory: Memory = None,
    threads: Threads = 0,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Judge a candidate before it is deployed: its scored log, as a whole, against a baseline.

    A gate for pipelines: exits with 1 where it does not pass. The same engine and checks as compare, on one window.

    \b
    Example:
      modelwatch validate candidate.parquet --against baseline.mwb --checks gate.yaml
    """
    check_settings()
    check_outputs(html, json)
    rules = checks_from_file(checks) if checks is not None else None
    sure = certainty_of(units, correction, anytime=False, hierarchy=False)
    computed = derived_of(derived)
    fitted = against.endswith(".mwb")
    with stages(quiet) as stage:
        reference = None if fitted else open_log(against, name="reference")
        source = open_log(one_or_many(candidate), name="candidate")
        spare_inputs([html, json], source, reference, against, checks)
        reads = [(source, 1)] if reference is None else [(reference, 2), (source, 1)]
        report = compare_logs(
            against if reference is None else reference,
            source,
            segments=crossings(by),
            checks=rules,
            **sure,
            derived=computed,
            memory=memory,
            threads=threads,
            device=device,
            progress=stage("judging the candidate", reads),
        )
    write(report, html, json)
    _refuse_no_rows(report, "candidate")
    if not quiet and str(json) != "-":
        Output().print(ReportTable(report))
        counts = report.counts
        bad = counts["alert"] + (counts["warning"] if fail_on is FailOn.warning else 0)
        stop = bad and fail_on is not FailOn.never
        typer.echo(f"{'The candidate does not pass' if stop else 'The candidate passes'}: {said_of(counts)}.")
        if written:
            typer.echo(f"Wrote {' and '.join(written)}.")
    _exit_on_findings(report, fail_on)


@app.command(epilog=EXIT_CODES)
def demo(
    log: Annotated[
        str, typer.Argument(metavar="LOG", help="Which bundled log: flights, embeddings, or monitor.")
    ] = "flights",
    html: Annotated[
        Path, typer.Option("--html", metavar="FILE", help="Where to write the report as an HTML page.")
    ] = Path("report.html"),
    json: JsonPath = None,
    memory: Memory = None,
    threads: Threads = 0,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Run the main job on a bundled log.

    flights: a model that foresees late flights out of New York, fitted on January to March 2013 and watched from April
    to December, month by month. embeddings: vectors of package descriptions, a week to fit on and three to watch.
    monitor: the flights months arriving one by one, and the alerts that open and end (needs the extra monitor). Exits
    with 0 whatever it finds.
    """
    if log == "monitor":
        with tempfile.TemporaryDirectory(prefix="modelwatch-demo-") as folder:
            for line in demo_monitor.run(Path(folder), threads=threads, device=device):
                typer.echo(line)
        return
    if log not in demo_run.LOGS:
        raise InputError(f"There is no bundled log '{log}'; there are {', '.join(demo_run.LOGS)} and monitor.")
    check_settings()
    check_outputs(html, json)
    with stages(quiet) as stage:
        report = demo_run.run_of(log)(threads=threads, device=device, memory=memory, stage=stage)
    write(report, html, json)
    if not quiet and str(json) != "-":
        Output().print(ReportTable(report))
        typer.echo(f"Wrote {' and '.join(written)}. Open {html} in a browser for the whole report.")


@app.command(epilog=EXIT_CODES)
def doctor(
    selftest: Annotated[bool, typer.Option("--selftest", help="Also compare the engine with its reference.")] = False,
    device: Device = "auto",
) -> None:
    """Say what this installation is and can do."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    for what, answer in doctor_report.lines():
        table.add_row(what, answer)
    tests = doctor_report.selftest(resolve(device)) if selftest else []
    for what, agrees in tests:
        table.add_row(f"selftest: {what}", "agrees" if agrees else "DIFFERS", style=None if agrees else "bold red")
    Output().print(table)
    if not all(agrees for _, agrees in tests):
        fail(
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
