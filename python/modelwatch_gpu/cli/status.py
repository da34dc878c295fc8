"""The command that says how a monitor stands."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from modelwatch_gpu.cli.monitoring import ConfigPath, ModelName
from modelwatch_gpu.cli.outputs import EXIT_CODES
from modelwatch_gpu.cli.root import app
from modelwatch_gpu.monitor.extras import check_extra
from modelwatch_gpu.report.printable import printable
from modelwatch_gpu.wording import counted

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from modelwatch_gpu.monitor.config.model import MonitorConfig

#: Lengths of time as people say them, the longest first.
_LENGTHS: Final = (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1))


@app.command(epilog=EXIT_CODES, no_args_is_help=True)
def status(
    config: ConfigPath,
    windows: Annotated[int, typer.Option(min=0, metavar="N", help="The latest so many windows.")] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    model: ModelName = None,
) -> None:
    """Say how a monitor stands: its latest windows, what it counted, when it ran last, which alerts are open.

    \b
    Example:
      modelwatch status monitor.yaml
    """
    check_extra("monitor", "A monitor")
    from modelwatch_gpu.monitor.config.several import load_configs
    from modelwatch_gpu.monitor.store.engine import open_store

    told = []
    for own in load_configs(config, model):
        engine = open_store(own.store.url, schema=own.store.schema_name, folder=own.folder)
        told.append(_of(own, engine, windows))
    if as_json:
        typer.echo(json.dumps(told, indent=2, sort_keys=True))
        return
    for one in told:
        _print(one)


def _of(config: MonitorConfig, engine: Engine, most: int) -> dict[str, Any]:
    """How one monitor stands, as JSON values."""
    from modelwatch_gpu.monitor.store.engine import reading
    from modelwatch_gpu.serve.current import current, findings_of, windows_of

    now = current(engine, ())
    with reading(engine) as connection:
        latest = windows_of(connection, limit=most) if most else []
        for window in latest:
            found = findings_of(connection, window=window["window"], severities=("alert", "warning"))
            gravest = max((f for f in found if f["severity"] == found[0]["severity"]), key=_by_how_much, default=None)
            window["worst"] = gravest and {name: gravest[name] for name in ("column", "segment", "reason")}
    return {
        "monitor": config.name,
        "files": dict(now.files),
        "rows": now.rows,
        "newest_row": None if now.newest is None else datetime.fromtimestamp(now.newest, UTC).isoformat(),
        "last_run_ended": None if now.ended is None else now.ended.isoformat(),
        "runs": dict(now.runs),
        "alerts": dict(now.alerts),
        "messages_waiting": now.waiting,
        "windows": latest,
    }


def _by_how_much(finding: dict[str, Any]) -> float:
    """How many times its threshold."""
    value, threshold = finding["value"], finding["threshold"]
    return abs(value / threshold) if value is not None and threshold else 0.0


def _print(status: dict[str, Any]) -> None:
    from rich.table import Table

    from modelwatch_gpu.cli.console import Output
    from modelwatch_gpu.monitor.runner import SAID

    name, files = status["monitor"], status["files"]
    if not any(files.values()):
        typer.echo(printable(f"{name}: nothing was counted yet."))
        return
    others = "".join(f", {count:,} {state}" for state, count in sorted(files.items()) if state != "counted" and count)
    done = f"{counted(files['counted'], 'file')} counted{others}"
    newest = f", the newest of {status['newest_row']}" if status["newest_row"] else ""
    typer.echo(printable(f"{name}: {done}; {counted(status['rows'], 'row')}{newest}."))
    ended = status["last_run_ended"]
    failed = status["runs"].get("failed", 0)
    beside = f"; {counted(failed, 'run')} failed" if failed else ""
    typer.echo(
        f"The last run that found something ended {_ago(ended)}{beside}." if ended else "No run was finished yet."
    )
    table = Table(box=None, pad_edge=False)
    for heading in ("window", "rows", "files", "verdict", "worst finding", "page"):
        table.add_column(heading, overflow="fold", justify="right" if heading in ("rows", "files") else "left")
    for window in status["windows"]:
        worst = window["worst"]
        about = "" if worst is None else f"{_about(worst)}: {worst['reason']}"
        verdict = SAID.get(window["severity"], "") if window["rows"] else "no rows"
        cells = [window["label"], f"{window['rows']:,}", f"{window['files']:,}", verdict, about, window["report"] or ""]
        table.add_row(*map(printable, cells))
    if status["windows"]:
        Output().print(table)
    opened = [counted(count, severity) for severity, count in sorted(status["alerts"].items()) if count]
    waiting = status["messages_waiting"]
    typer.echo(
        (f"Open: {', '.join(opened)}; see modelwatch alerts list." if opened else "No alert is open.")
        + (f" {counted(waiting, 'message')} still to be sent." if waiting else "")
    )


def _about(worst: dict[str, Any]) -> str:
    segment = worst["segment"]
    where = "" if not segment else f" ({', '.join(f'{name} {value}' for name, value in segment.items())})"
    return f"{worst['column']}{where}"


def _ago(text: str) -> str:
    past = max(timedelta(0), datetime.now(UTC) - datetime.fromisoformat(text))
    for name, seconds in _LENGTHS:
        count = int(past.total_seconds() // seconds)
        if count:
            return f"{counted(count, name)} ago"
    return "just now"
