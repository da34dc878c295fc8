"""The commands about alerts, silences, actions and feedback sets of a monitor."""

from __future__ import annotations

import getpass
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from modelwatch_gpu.cli.console import Output
from modelwatch_gpu.cli.monitoring import ConfigPath, ModelName
from modelwatch_gpu.cli.options import DerivedColumns, Quiet, derived_of
from modelwatch_gpu.cli.outputs import EXIT_CODES, check_outputs, undisturbed, written
from modelwatch_gpu.cli.root import app
from modelwatch_gpu.errors import InputError
from modelwatch_gpu.monitor.extras import check_extra
from modelwatch_gpu.report.printable import printable
from modelwatch_gpu.wording import counted

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from modelwatch_gpu.monitor.config.model import MonitorConfig

alerts_app = typer.Typer(help="Alerts of a monitor.", no_args_is_help=True, rich_markup_mode=None)
silence_app = typer.Typer(
    help="Silences: for a while, nobody is told of alerts that match.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(alerts_app, name="alerts")
app.add_typer(silence_app, name="silence")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def _opened(config: Path, model: str | None) -> tuple[MonitorConfig, Engine]:
    """The one config that is meant, and its store."""
    check_extra("monitor", "A monitor")
    from modelwatch_gpu.monitor.config.several import load_configs
    from modelwatch_gpu.monitor.store.engine import open_store

    configs = load_configs(config, model)
    if len(configs) > 1:
        raise InputError(f"{config}: has several models; name one by --model: {', '.join(c.name for c in configs)}.")
    (own,) = configs
    return own, open_store(own.store.url, schema=own.store.schema_name, folder=own.folder)


def _to_second(text: str) -> str:
    """A time of the store without its microseconds."""
    return f"{text.partition('.')[0]}Z" if "." in text else text


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=2, sort_keys=True, ensure_ascii=True))


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in columns:
        table.add_column(name, overflow="fold")
    return table


@alerts_app.command("list", epilog=EXIT_CODES, no_args_is_help=True)
def list_alerts(
    config: ConfigPath,
    everything: Annotated[bool, typer.Option("--all", help="Those that are over, too.")] = False,
    as_json: AsJson = False,
    model: ModelName = None,
) -> None:
    """List alerts that are open, and messages that wait to be sent.

    \b
    Example:
      modelwatch alerts list monitor.yaml --all
    """
    own, engine = _opened(config, model)
    from modelwatch_gpu.monitor.alerts.listing import alert_rows, waiting_rows
    from modelwatch_gpu.monitor.store.engine import reading

    with reading(engine) as connection:
        found, waiting = alert_rows(connection, everything=everything), waiting_rows(connection)
    if as_json:
        _print_json({"monitor": own.name, "alerts": found, "waiting": waiting})
        return
    if not found:
        rules = "" if own.alerts.rules else f" {config} has no rules for alerts yet."
        typer.echo(("There are no alerts." if everything else "No alert is open.") + rules)
    else:
        table = _table("alert", "severity", "status", "about", "rule", "since", "last window")
        for row in found:
            status = row["status"] + ("" if row["shown"] or row["status"] != "open" else ", quiet")
            cells = [row["id"][:12], row["severity"], status, row["about"], row["rule"], row["since"], row["last"]]
            table.add_row(*(printable(cell or "") for cell in cells))
        Output().print(table)
    for row in waiting:
        times = counted(row["attempts"], "time")
        tried = f"tried {times}, last error: {row['error']}" if row["attempts"] else "not tried yet"
        wait = f"{counted(row['messages'], 'message')} {'waits' if row['messages'] == 1 else 'wait'}"
        typer.echo(printable(f"{wait} for channel {row['channel']} ({tried})."))


@alerts_app.command(epilog=EXIT_CODES, no_args_is_help=True)
def deliver(config: ConfigPath, model: ModelName = None, quiet: Quiet = False) -> None:
    """Send messages and start actions that are due now, without a run."""
    own, engine = _opened(config, model)
    from modelwatch_gpu.monitor import actions, alerts
    from modelwatch_gpu.monitor.clock import Clock

    now = Clock().now()
    done = alerts.deliver(engine, own, now)
    started = actions.start_due(engine, own, now)
    for name, why in [*done.failed.items(), *started.failed.items()]:
        typer.echo(printable(f"modelwatch: {name}: {why}; it is tried again."), err=True)
    if not quiet:
        typer.echo(f"Sent {done.sent}, waiting {done.waiting}, started {len(started.started)}.")


@alerts_app.command("actions", epilog=EXIT_CODES, no_args_is_help=True)
def list_actions(config: ConfigPath, as_json: AsJson = False, model: ModelName = None) -> None:
    """List what alerts started, or why not."""
    own, engine = _opened(config, model)
    from modelwatch_gpu.monitor.alerts.listing import action_rows
    from modelwatch_gpu.monitor.store.engine import reading

    with reading(engine) as connection:
        found = action_rows(connection)
    if as_json:
        _print_json({"monitor": own.name, "actions": found})
        return
    if not found:
        typer.echo("Nothing was started yet.")
        return
    table = _table("action", "trigger", "state", "queued", "reason", "result")
    for row in found:
        told = (row["result"] or {}).get("error") or ""
        cells = [row["id"][:12], row["name"], row["state"], _to_second(row["queued_at"]), row["reason"], told]
        table.add_row(*map(printable, cells))
    Output().print(table)


@silence_app.command("add", epilog=EXIT_CODES, no_args_is_help=True)
def add(
    config: ConfigPath,
    length: Annotated[str, typer.Option("--for", metavar="LENGTH", help="How long, such as 30min, 2h, 7d.")],
    comment: Annotated[str, typer.Option("--comment", metavar="TEXT", help="Why.")],
    rule: Annotated[str | None, typer.Option(metavar="NAME", help="Of this rule; * stands for any text.")] = None,
    column: Annotated[str | None, typer.Option(metavar="NAME", help="About this column.")] = None,
    check: Annotated[str | None, typer.Option(metavar="NAME", help="Of this check.")] = None,
    severity: Annotated[str | None, typer.Option(metavar="NAME", help="This severe: warning or alert.")] = None,
    alert: Annotated[str | None, typer.Option(metavar="ID", help="This alert.")] = None,
    segment: Annotated[
        list[str] | None, typer.Option(metavar="COLUMN=VALUE", help="In this segment; may be given several times.")
    ] = None,
    by: Annotated[str | None, typer.Option(metavar="NAME", help="Who says so. Default: the user.")] = None,
    model: ModelName = None,
    quiet: Quiet = False,
) -> None:
    """Silence alerts that match everything that is given; * stands for any text.

    The end of an alert whose beginning was told is told all the same.

    \b
    Example:
      modelwatch silence add monitor.yaml --column 'dep_*' --for 7d --comment 'new schedule'
    """
    _, engine = _opened(config, model)
    from pydantic import TypeAdapter, ValidationError

    from modelwatch_gpu.monitor.alerts.listing import matching
    from modelwatch_gpu.monitor.alerts.silences import add_silence
    from modelwatch_gpu.monitor.clock import Clock
    from modelwatch_gpu.monitor.config.values import Duration

    try:
        lasts = TypeAdapter(Duration).validate_python(length)
    except ValidationError:
        raise InputError(f"--for {length!r} is not a length of time; write one such as 30min, 2h or 7d.") from None
    given = {"rule": rule, "column": column, "check": check, "severity": severity}
    matchers = {name: value for name, value in given.items() if value is not None}
    if alert is not None:
        matchers["alert"] = f"{alert}*" if len(alert) < 32 else alert
    for text in segment or ():
        name, equals, value = text.partition("=")
        if not equals:
            raise InputError(f"--segment {text}: write COLUMN=VALUE, such as carrier=AA.")
        matchers[f"segment.{name}"] = value
    now = Clock().now()
    with engine.begin() as connection:
        silence = add_silence(
            connection, matchers, starts=now, ends=now + lasts, now=now, by=by or _user(), comment=comment
        )
        count = matching(connection, silence)
    if not quiet:
        what = f"{count} open {'alert matches' if count == 1 else 'alerts match'}"
        typer.echo(f"Silence {silence.id[:12]} until {_to_second(silence.ends_at)}: {what} now.")


@silence_app.command("list", epilog=EXIT_CODES, no_args_is_help=True)
def list_silences(
    config: ConfigPath,
    everything: Annotated[bool, typer.Option("--all", help="Those that are over, too.")] = False,
    as_json: AsJson = False,
    model: ModelName = None,
) -> None:
    """List silences."""
    own, engine = _opened(config, model)
    from modelwatch_gpu.monitor.alerts.silences import all_silences
    from modelwatch_gpu.monitor.clock import Clock, utc_text
    from modelwatch_gpu.monitor.store.engine import reading

    now = utc_text(Clock().now())
    with reading(engine) as connection:
        found = [one for one in all_silences(connection) if everything or one.ends_at > now]
    if as_json:
        fields = ("id", "matchers", "starts_at", "ends_at", "created_at", "created_by", "comment")
        _print_json({"monitor": own.name, "silences": [{n: getattr(s, n) for n in fields} for s in found]})
        return
    if not found:
        typer.echo("There are no silences.")
        return
    table = _table("silence", "matches", "until", "by", "comment")
    for one in found:
        matches = ", ".join(f"{name}={value}" for name, value in one.matchers.items())
        table.add_row(*map(printable, (one.id[:12], matches, _to_second(one.ends_at), one.created_by, one.comment)))
    Output().print(table)


@silence_app.command("end", epilog=EXIT_CODES, no_args_is_help=True)
def end(
    config: ConfigPath,
    silence: Annotated[str, typer.Argument(metavar="ID", help="The silence, or how its id begins.")],
    model: ModelName = None,
    quiet: Quiet = False,
) -> None:
    """End a silence now."""
    _, engine = _opened(config, model)
    from modelwatch_gpu.monitor.alerts.silences import end_silence
    from modelwatch_gpu.monitor.clock import Clock

    now = Clock().now()
    with engine.begin() as connection:
        ended = end_silence(connection, silence, now)
    if not quiet:
        typer.echo(f"Silence {ended.id[:12]} has ended.")


@app.command(epilog=EXIT_CODES, no_args_is_help=True)
def feedback(
    config: ConfigPath,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The Parquet file to write.")],
    rows: Annotated[int, typer.Option(min=1, metavar="N", help="So many rows at most.")] = 1_000,
    window: Annotated[
        list[str] | None,
        typer.Option(
            metavar="START",
            help="A window by its start or label; may be given several times. Default: those of open alerts.",
        ),
    ] = None,
    reason: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="drifted, unsure or novel; may be given several times.")
    ] = None,
    derived: DerivedColumns = None,
    model: ModelName = None,
    quiet: Quiet = False,
) -> None:
    """Write rows that are worth a label, or worth training on, as Parquet.

    Rows of segments that drifted, rows that the model is least sure of, rows whose embedding is new. The file holds
    rows of the log; only its owner may read it.

    \b
    Example:
      modelwatch feedback monitor.yaml -o to_label.parquet --rows 500 --window 2013-07
    """
    check_outputs(output)
    own, engine = _opened(config, model)
    from modelwatch_gpu.monitor.actions.feedback import REASONS
    from modelwatch_gpu.monitor.actions.worth import feedback_of, window_named, write_feedback

    windows = None if not window else [window_named(engine, text) for text in window]
    computed = derived_of([*own.derived_from(), *(derived or ())])
    found = feedback_of(engine, own, windows=windows, rows=rows, reasons=reason or REASONS, derived=computed)
    with undisturbed():
        write_feedback(found, output)
        written.append(str(output))
    if not quiet:
        reasons = found.column("feedback_reason").to_pylist()
        told = ", ".join(f"{sum(name in r.split(',') for r in reasons)} {name}" for name in REASONS)
        typer.echo(f"Wrote {output}: {found.num_rows:,} rows ({told}).")


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
