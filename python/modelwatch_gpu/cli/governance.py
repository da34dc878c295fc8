"""The commands about what was deployed, what the audit says, and what is served."""

from __future__ import annotations

import enum
import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from modelwatch_gpu.cli.console import Output
from modelwatch_gpu.cli.monitoring import ConfigPath, ModelName
from modelwatch_gpu.cli.options import Device, LogPaths, Quiet, Threads, Zone, one_or_many
from modelwatch_gpu.cli.outputs import ALERTS, EXIT_CODES, check_outputs, check_settings, undisturbed, written
from modelwatch_gpu.cli.root import app
from modelwatch_gpu.errors import InputError
from modelwatch_gpu.monitor.extras import check_extra
from modelwatch_gpu.profile import Baseline
from modelwatch_gpu.profile.fileio import write_file
from modelwatch_gpu.report.printable import printable

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from modelwatch_gpu.monitor.config.model import MonitorConfig

AnchorPath = Annotated[
    Path | None, typer.Option("--anchor", metavar="FILE", help="A file with earlier heads of the audit.")
]
Json = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write JSON; - is standard output.")]
Written = Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="The file. Default: print it.")]


def _group(name: str, what: str) -> typer.Typer:
    group = typer.Typer(help=what, no_args_is_help=True, rich_markup_mode=None)
    app.add_typer(group, name=name)
    return group


audit_app = _group("audit", "What was seen and decided, and whether it still says so.")
deployments_app = _group("deployments", "Versions of the model, and when they were deployed.")
metrics_app = _group("metrics", "Alert rules and a dashboard for the metrics that are served.")


class Stage(enum.StrEnum):
    """How a deployment takes part."""

    production = "production"
    canary = "canary"
    shadow = "shadow"
    retired = "retired"
    rolled_back = "rolled_back"


def _configs(path: Path, model: str | None) -> list[MonitorConfig]:
    check_extra("monitor", "A monitor")
    from modelwatch_gpu.monitor.config.several import load_configs

    return load_configs(path, model)


def _config(path: Path, model: str | None) -> MonitorConfig:
    """The config of one model."""
    check_extra("monitor", "A monitor")
    from modelwatch_gpu.monitor.versions.recording import config_of

    return config_of(path, model)


def _opened(path: Path, model: str | None) -> tuple[MonitorConfig, Engine]:
    config = _config(path, model)
    from modelwatch_gpu.monitor.store.engine import open_store

    return config, open_store(config.store.url, schema=config.store.schema_name, folder=config.folder)


def _time(text: str | None, option: str) -> datetime | None:
    """A time in ISO 8601; a day alone, and a time without a zone, are of UTC."""
    from datetime import UTC

    if text is None:
        return None
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise InputError(f"{option} is {text!r}; give a time in ISO 8601, such as 2024-05-01T06:00Z.") from None
    return when if when.tzinfo is not None else when.replace(tzinfo=UTC)


def _give(text: str, path: Path | None, quiet: bool) -> None:
    """Writes a file, or prints what would be in it."""
    if path is None or str(path) == "-":
        typer.echo(text, nl=not text.endswith("\n"))
        return
    with undisturbed():
        write_file(path, text.encode())
        written.append(str(path))
    if not quiet:
        typer.echo(f"Wrote {path}.")


def _json(value: Any) -> str:
    return json.dumps(value, indent=1, allow_nan=False) + "\n"


@audit_app.command("verify", epilog=EXIT_CODES)
def audit_verify(
    config: ConfigPath,
    model: ModelName = None,
    anchor: AnchorPath = None,
    json: Json = None,
    quiet: Quiet = False,
) -> None:
    """Check that no record of the audit was changed, removed, moved or put in.

    Exits with 1 where one was. Without --anchor an audit that was cut at its end, or written anew with all its hashes,
    looks sound.

    \b
    Example:
      modelwatch audit verify monitor.yaml --anchor heads.jsonl
    """
    check_outputs(json)
    _, engine = _opened(config, model)
    from modelwatch_gpu.monitor.audit import read_anchors, verify_store

    found = verify_store(engine, [] if anchor is None else read_anchors(anchor))
    if json is not None:
        _give(_json(found.to_dict()), json, quiet=True)
    if not quiet and str(json) != "-":
        for fault in found.faults:
            typer.echo(printable(fault.what))
        if found.more:
            typer.echo(f"And {found.more:,} more.")
        anchored = f", {found.anchors:,} anchors among them" if found.anchors else ""
        state = "is what was written" if found.ok else "is NOT what was written"
        last = f"the last is {found.head.seq}, {found.head.sha256}"
        typer.echo(f"The audit {state}: {found.records:,} records{anchored}; {last}.")
    if not found.ok:
        raise typer.Exit(ALERTS)


@audit_app.command("anchor", epilog=EXIT_CODES)
def audit_anchor(
    config: ConfigPath,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The file that grows by a line.")],
    model: ModelName = None,
    quiet: Quiet = False,
) -> None:
    """Add the audit's last hash to a file, to be kept where the store's owner cannot write."""
    _, engine = _opened(config, model)
    from modelwatch_gpu.monitor.audit import head, write_anchor
    from modelwatch_gpu.monitor.clock import Clock
    from modelwatch_gpu.monitor.store.engine import reading

    with reading(engine) as connection:
        last = head(connection)
    write_anchor(output, last, Clock().now())
    if not quiet:
        typer.echo(f"Added record {last.seq} to {output}: {last.sha256}.")


@audit_app.command("report", epilog=EXIT_CODES)
def audit_report(
    config: ConfigPath,
    model: ModelName = None,
    since: Annotated[str | None, typer.Option(metavar="TIME", help="Start of the period, ISO 8601.")] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="End of the period, not included.")] = None,
    anchor: AnchorPath = None,
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write one HTML page.")] = None,
    json: Json = None,
    quiet: Quiet = False,
) -> None:
    """Write what was run, found, deployed and silenced in a period, from the audit.

    \b
    Example:
      modelwatch audit report monitor.yaml --since 2024-01-01 --until 2024-04-01 --html q1.html
    """
    check_outputs(html, json)
    if html is None and json is None:
        raise InputError("There is nothing to write; give --html FILE, --json FILE, or both.")
    loaded, engine = _opened(config, model)
    from modelwatch_gpu.monitor.audit import read_anchors
    from modelwatch_gpu.monitor.audit.page import render_page
    from modelwatch_gpu.monitor.audit.report import governance_report
    from modelwatch_gpu.monitor.clock import Clock

    report = governance_report(
        engine,
        name=loaded.name,
        now=Clock().now(),
        since=_time(since, "--since"),
        until=_time(until, "--until"),
        anchors=[] if anchor is None else read_anchors(anchor),
    )
    if html is not None:
        _give(render_page(report), html, quiet or str(json) == "-")
    if json is not None:
        _give(_json(report), json, quiet)
    if not report["audit"]["ok"]:
        raise typer.Exit(ALERTS)


@deployments_app.command("add", epilog=EXIT_CODES)
def deployments_add(
    config: ConfigPath,
    version: Annotated[str | None, typer.Argument(metavar="VERSION", help="Of the model.")] = None,
    model: ModelName = None,
    stage: Annotated[Stage, typer.Option(help="How it takes part.")] = Stage.production,
    data: Annotated[str | None, typer.Option("--data-version", metavar="TEXT", help="Of its training data.")] = None,
    code: Annotated[str | None, typer.Option("--code-version", metavar="TEXT", help="Of its code.")] = None,
    at: Annotated[str | None, typer.Option(metavar="TIME", help="When, ISO 8601. Default: now.")] = None,
    who: Annotated[str | None, typer.Option(metavar="TEXT", help="Who did it.")] = None,
    note: Annotated[str | None, typer.Option(metavar="TEXT", help="Why.")] = None,
    dependencies: Annotated[
        bool, typer.Option("--dependencies", help="Note the packages, CUDA and driver of this environment.")
    ] = False,
    mlflow: Annotated[
        str | None, typer.Option("--mlflow", metavar="NAME", help="Take the versions from MLflow's model registry.")
    ] = None,
    alias: Annotated[str | None, typer.Option(metavar="TEXT", help="With --mlflow: by alias.")] = None,
    quiet: Quiet = False,
) -> None:
    """Note that a version of the model was deployed, in the store and its audit.

    \b
    Examples:
      modelwatch deployments add monitor.yaml 2024-05 --stage canary --code-version 1f3c9ab --who ada
      modelwatch deployments add monitor.yaml --mlflow flights --alias champion
    """
    check_extra("monitor", "A monitor")
    from modelwatch_gpu.monitor.versions.recording import record_deployment

    added = record_deployment(
        config,
        version,
        model=model,
        stage=stage.value,
        data_version=data,
        code_version=code,
        at=_time(at, "--at"),
        who=who,
        note=note,
        dependencies=dependencies,
        mlflow=mlflow,
        alias=alias,
    )
    if not quiet:
        typer.echo(printable(f"{added.model} {added.model_version}: {added.stage} since {added.at} ({added.id})."))


@deployments_app.command("list", epilog=EXIT_CODES)
def deployments_list(config: ConfigPath, model: ModelName = None, json: Json = None) -> None:
    """List what was deployed, oldest first."""
    check_outputs(json)
    _, engine = _opened(config, model)
    from modelwatch_gpu.monitor.store.engine import reading
    from modelwatch_gpu.monitor.versions.deployments import list_deployments

    with reading(engine) as connection:
        found = list_deployments(connection)
    if json is not None:
        _give(_json([d.to_dict() for d in found]), json, quiet=False)
        return
    table = Table(box=None, pad_edge=False)
    names = ("at", "model", "model_version", "data_version", "code_version", "stage", "source", "who", "note")
    for name in names:
        table.add_column(name)
    for one in found:
        table.add_row(*(printable(str(getattr(one, name) or "")) for name in names))
    Output().print(table)


@deployments_app.command("compare", epilog=EXIT_CODES)
def deployments_compare(
    baseline: Annotated[str, typer.Argument(metavar="BASELINE", help="A baseline (.mwb) with a label.")],
    log: LogPaths,
    current: Annotated[str, typer.Option(metavar="VERSION", help="The version that answers now.")],
    candidate: Annotated[str, typer.Option(metavar="VERSION", help="The version that may take over.")],
    column: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Says which version answered. Default: the role version.")
    ] = None,
    candidate_log: Annotated[
        list[str] | None,
        typer.Option(metavar="LOG", help="The candidate's rows, where they are a log of their own (shadow)."),
    ] = None,
    measure: Annotated[
        list[str] | None,
        typer.Option(metavar="ID[=MARGIN]", help="What decides, and by how much it may be worse. Several times."),
    ] = None,
    window: Annotated[str | None, typer.Option(metavar="LENGTH", help="1h, 1d, 1w, 1mo. Default: days.")] = None,
    timezone: Zone = None,
    units: Annotated[str, typer.Option(metavar="LENGTH", help="What intervals draw again: 1d, 1w, rows.")] = "1d",
    json: Json = None,
    threads: Threads = 0,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Compare two versions in the windows that both have, and say whether to roll back.

    Exits with 1 where the candidate is worse by more than its margin at the lower end of its interval.

    \b
    Example:
      modelwatch deployments compare baseline.mwb 'log/*.parquet' --current v1 --candidate v2 --measure roc_auc=0.01
    """
    check_settings()
    check_outputs(json)
    check_extra("monitor", "A comparison of versions")
    from modelwatch_gpu.monitor.versions import compare_versions

    found = compare_versions(
        Baseline.load(baseline),
        one_or_many(log),
        current=current,
        candidate=candidate,
        column=column,
        candidate_log=None if candidate_log is None else one_or_many(candidate_log),
        measures=_margins(measure),
        window=window,
        timezone=timezone,
        units=units,
        threads=threads,
        device=device,
    )
    if json is not None:
        _give(_json(found.to_dict()), json, quiet=True)
    if not quiet and str(json) != "-":
        typer.echo(printable(f"{found.recommendation}: {found.reason}"))
        table = Table(box=None, pad_edge=False)
        for name in ("measure", "column", current, candidate, "worse by", "interval", "days"):
            table.add_column(printable(name))
        for one in found.differences:
            ends = "" if one.lower is None else f"{one.lower:.4g} to {one.upper:.4g}"
            numbers = ("" if v is None else f"{v:.4f}" for v in (one.current, one.candidate, one.value))
            table.add_row(one.measure, printable(one.column), *numbers, ends, str(one.units))
        Output().print(table)
        for finding in found.findings[:10]:
            typer.echo(printable(f"Between the versions, {finding.column}: {finding.reason}"))
        for note in found.notes:
            typer.echo(printable(note))
    if not found.ok:
        raise typer.Exit(ALERTS)


def _margins(options: list[str] | None) -> dict[str, float] | None:
    if not options:
        return None
    found: dict[str, float] = {}
    for option in options:
        name, _, text = option.partition("=")
        try:
            found[name] = float(text) if text else 0.0
        except ValueError:
            raise InputError(
                f"--measure is {option!r}; write an id, or an id and a margin, such as roc_auc=0.01."
            ) from None
    return found


@metrics_app.command("rules", epilog=EXIT_CODES)
def metrics_rules(config: ConfigPath, model: ModelName = None, output: Written = None, quiet: Quiet = False) -> None:
    """Write alert rules for Prometheus: what drifted, and whether the monitor itself is well.

    \b
    Example:
      modelwatch metrics rules monitor.yaml -o /etc/prometheus/modelwatch.rules.yml
    """
    check_outputs(output)
    configs = _configs(config, model)
    from modelwatch_gpu.serve.rules import rules_text

    _give(rules_text(*configs), output, quiet)


@metrics_app.command("dashboard", epilog=EXIT_CODES)
def metrics_dashboard(
    config: ConfigPath, model: ModelName = None, output: Written = None, quiet: Quiet = False
) -> None:
    """Write a Grafana dashboard of the metrics, as JSON to import."""
    check_outputs(output)
    own = _config(config, model)
    from modelwatch_gpu.serve.dashboard import dashboard_of

    _give(_json(dashboard_of(own)), output, quiet)


@app.command(epilog=EXIT_CODES, no_args_is_help=True)
def serve(
    config: ConfigPath,
    model: ModelName = None,
    host: Annotated[str | None, typer.Option(metavar="ADDRESS", help="Instead of serving.host.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Instead of serving.port; 0: any.")] = None,
    quiet: Quiet = False,
) -> None:
    """Serve a monitor: /metrics for Prometheus, findings as JSON, /healthz. Reads the store, and never writes.

    A config of several models is served as one, with the name of each in the label monitor.

    \b
    Example:
      modelwatch serve monitor.yaml
    """
    configs = _configs(config, model)
    check_extra("serve", "Serving")
    from modelwatch_gpu.serve.server import serve as serve_monitors

    names = ", ".join(one.name for one in configs)

    def ready(address: str) -> None:
        if not quiet:
            typer.echo(f"Serving {names} at {address}: /metrics, /api/v1/findings, /healthz. Ctrl-C stops it.")

    serve_monitors(configs, host=host, port=port, ready=ready)
