"""The commands that make and run a monitor."""

from __future__ import annotations

import gc
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from modelwatch_gpu.cli.options import (
    Device,
    FailOn,
    LogPaths,
    Memory,
    Quiet,
    Threads,
    Zone,
    column_option,
    derived_of,
    one_or_many,
    roles_of,
)
from modelwatch_gpu.cli.outputs import ALERTS, EXIT_CODES, check_outputs, check_settings, undisturbed, written
from modelwatch_gpu.cli.root import app
from modelwatch_gpu.errors import OutputError
from modelwatch_gpu.log import open_log
from modelwatch_gpu.monitor.extras import check_extra
from modelwatch_gpu.profile import Baseline
from modelwatch_gpu.report.printable import printable

if TYPE_CHECKING:
    from modelwatch_gpu.monitor.config.model import MonitorConfig
    from modelwatch_gpu.monitor.runner import Done, Runner

ConfigPath = Annotated[Path, typer.Argument(metavar="CONFIG", help="The monitor's config (YAML); see modelwatch init.")]
ModelName = Annotated[
    str | None, typer.Option("--model", metavar="NAME", help="Only this one of a config with several models.")
]

_NO_PLUGINS: Final = "PYDANTIC_DISABLE_PLUGINS"
#: New objects before the collector looks at them. At Python's 700 it took a tenth of what a run of one file does.
_OBJECTS: Final = 50_000

config_app = typer.Typer(help="About configs of monitors.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(config_app, name="config")


@app.command(epilog=EXIT_CODES, no_args_is_help=True)
def run(
    config: ConfigPath,
    watch: Annotated[bool, typer.Option("--watch", help="Go on by the config's schedule until stopped.")] = False,
    model: ModelName = None,
    recount: Annotated[
        bool, typer.Option("--recount", help="Forget what was counted and count the log again, as for a new baseline.")
    ] = False,
    fail_on: Annotated[FailOn, typer.Option(help="Exit with 1 from this severity on.")] = FailOn.alert,
    memory: Memory = None,
    threads: Threads = 0,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Run a monitor: count new files of its log, judge the windows they changed, remember both.

    Without --watch it does what there is to do and ends, for a scheduler of your own: the exit code says whether a
    window that it judged has an alert. Where another runner is at work it does nothing and ends with 0.

    \b
    Examples:
      modelwatch run monitor.yaml
      modelwatch run monitor.yaml --watch
    """
    with _started():
        check_extra("monitor", "A monitor")
        from modelwatch_gpu.monitor.config.several import load_configs

        check_settings()
        given = {"memory": memory, "threads": threads or None, "device": None if device == "auto" else device}
        options = {name: value for name, value in given.items() if value is not None}
        configs = [one.model_copy(update=options) for one in load_configs(config, model)]
        runners = [_runner(one, quiet) for one in configs]
    if watch:
        _watch_all(runners, quiet)
        return
    worst: set[str | None] = set()
    for runner in runners:
        done = runner.once(recount=recount)
        _tell(runner, done, quiet)
        worst |= set(done.windows.values())
    bad = {"alert"} if fail_on is FailOn.alert else {"alert", "warning"} if fail_on is FailOn.warning else set()
    if worst & bad:
        raise typer.Exit(ALERTS)


@contextmanager
def _started() -> Iterator[None]:
    """While packages are imported and a monitor is opened nothing becomes garbage; the collector would walk through a
    hundred thousand objects again and again, now and in the run. What a run makes is mostly not garbage either, so the
    collector looks at it less often. And plugins of pydantic are not looked for: none has any business with a config,
    and secrets are in it."""
    before = os.environ.get(_NO_PLUGINS)
    os.environ[_NO_PLUGINS] = "1"
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        gc.set_threshold(_OBJECTS, *gc.get_threshold()[1:])
        gc.enable()
        if before is None:
            del os.environ[_NO_PLUGINS]
        else:
            os.environ[_NO_PLUGINS] = before


def _runner(config: MonitorConfig, quiet: bool) -> Runner:
    from modelwatch_gpu.monitor.runner import Runner

    def tell(said: str) -> None:
        typer.echo(printable(f"{config.name}: {said}"), err=True)

    return Runner(config, derived=derived_of(config.derived_from()), tell=tell)


def _watch_all(runners: list[Runner], quiet: bool) -> None:
    """Each monitor in a thread of its own; all stop together."""
    from modelwatch_gpu.monitor.config.values import duration_text
    from modelwatch_gpu.monitor.schedule import DEFAULT_EVERY
    from modelwatch_gpu.monitor.watching import watch

    stop = threading.Event()
    failed: list[BaseException] = []

    def follow(runner: Runner) -> None:
        def told(done: Done) -> None:
            _tell(runner, done, quiet, looks=True)

        def tell(said: str) -> None:
            typer.echo(printable(f"{runner.config.name}: {said}"), err=True)

        try:
            watch(runner, stop, told=told, tell=tell)
        except BaseException as error:
            failed.append(error)
            stop.set()

    if not quiet:
        for runner in runners:
            own = runner.config.schedule
            when = f"by the cron line {own.cron}" if own.cron else f"every {duration_text(own.every or DEFAULT_EVERY)}"
            typer.echo(printable(f"{runner.config.name}: looks for new files {when}. Ctrl-C ends it."))
    with _stopped_by_signals(stop):
        threads = [threading.Thread(target=follow, args=(one,), name=one.config.name) for one in runners]
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive():
                thread.join(0.5)  # a wait without end would not hear signals
    if failed:
        raise failed[0]
    if not quiet:
        typer.echo("Stopped; everything that was counted is in the store.")


@contextmanager
def _stopped_by_signals(stop: threading.Event) -> Iterator[None]:
    """The first Ctrl-C or SIGTERM asks for an end after the file at hand; a second Ctrl-C interrupts."""

    def ask(number: int, frame: FrameType | None) -> None:
        if stop.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        stop.set()

    before: dict[int, Any] = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _tell(runner: Runner, done: Done, quiet: bool, *, looks: bool = False) -> None:
    """What runs came to, in a few lines; of a look that found nothing, nothing."""
    name = runner.config.name
    if quiet:
        return
    if done.busy is not None:
        typer.echo(printable(f"{name}: another runner ({done.busy.owner}) is at work; nothing was done."))
        return
    if not done.runs:
        if not looks:
            typer.echo(printable(f"{name}: nothing new."))
        return
    for line in done.lines(runner.counter):
        typer.echo(printable(f"{name}: {line}"))


@app.command(epilog=EXIT_CODES, no_args_is_help=True)
def init(
    reference: LogPaths,
    log: Annotated[
        list[str] | None,
        typer.Option(
            "--log", metavar="LOG", help="Where new rows will come. May be given several times. Default: log/"
        ),
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The config to write.")] = Path(
        "monitor.yaml"
    ),
    baseline: Annotated[
        str, typer.Option("--baseline", metavar="FILE", help="The baseline to write, in the config's folder.")
    ] = "baseline.mwb",
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="What messages call the monitor.")] = "monitor",
    label: Annotated[str | None, column_option("Column with the truth.")] = None,
    score: Annotated[str | None, column_option("Column with the model's score.")] = None,
    prediction: Annotated[str | None, column_option("Column with the model's decision.")] = None,
    timestamp: Annotated[str | None, column_option("Column that says when.")] = None,
    id: Annotated[str | None, column_option("Column that names a row.")] = None,
    ignore: Annotated[list[str] | None, column_option("Column to leave out; may be given several times.")] = None,
    roles: Annotated[Path | None, typer.Option(metavar="FILE", help="Roles from a TOML or JSON file.")] = None,
    timezone: Zone = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite a config that is there.")] = False,
    threads: Threads = 0,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Write a commented config from a reference log, and the baseline beside it.

    A baseline that is there already (.mwb) is taken as the reference, and not fitted again.

    \b
    Example:
      modelwatch init reference.parquet --log 'production/*.parquet'
    """
    check_extra("monitor", "A monitor")
    from modelwatch_gpu.cli.progress import stages
    from modelwatch_gpu.monitor.config.model import MonitorConfig
    from modelwatch_gpu.monitor.config.reading import parse_yaml
    from modelwatch_gpu.monitor.template import config_text

    check_settings()
    check_outputs(output)
    if output.exists() and not force:
        raise OutputError(f"{output}: is there already; --force overwrites it.")
    fitted = len(reference) == 1 and reference[0].endswith(".mwb")
    if fitted:
        known = Baseline.load(reference[0])
        path = os.path.relpath(reference[0], output.parent)
    else:
        target = output.parent / baseline
        check_outputs(target)
        named: dict[str, str | list[str] | None] = {
            "label": label,
            "score": score,
            "prediction": prediction,
            "timestamp": timestamp,
            "id": id,
            "ignore": ignore,
        }
        with stages(quiet) as stage:
            source = open_log(one_or_many(reference), name="reference")
            progress = stage("fitting the baseline", [(source, 2)])
            given = roles_of(roles, named)
            known = Baseline.fit(
                source, roles=given, timezone=timezone, threads=threads, device=device, progress=progress
            )
        path = baseline
    text = config_text(name, known, path, one_or_many(log) if log else "log/")
    MonitorConfig.of(parse_yaml(text, str(output)))  # a name that no config can have is refused here
    with undisturbed():
        if not fitted:
            known.save(target)
            target.chmod(0o600)  # it holds values of the log
            written.append(str(target))
        _write_private(output, text)
        written.append(str(output))
    if not quiet:
        for note in known.notes:
            typer.echo(printable(note))
        typer.echo(f"Wrote {' and '.join(written)}. Next: modelwatch run {output}")


def _write_private(path: Path, text: str) -> None:
    """Writes a file that only its owner can read."""
    from modelwatch_gpu.profile.fileio import write_file

    write_file(path, text.encode())
    path.chmod(0o600)


@config_app.command("schema", epilog=EXIT_CODES)
def schema() -> None:
    """Print the JSON Schema of a config, for editors."""
    check_extra("monitor", "A monitor's config")
    import json

    from modelwatch_gpu.monitor.config.model import json_schema

    typer.echo(json.dumps(json_schema(), indent=2))


@config_app.command("check", epilog=EXIT_CODES, no_args_is_help=True)
def check(config: ConfigPath) -> None:
    """Say whether a config is sound, without running it."""
    check_extra("monitor", "A monitor's config")
    from modelwatch_gpu.monitor.config.several import load_configs

    configs = load_configs(config)
    for one in configs:
        one.rules()
    typer.echo(f"{config}: sound; {', '.join(one.name for one in configs)}.")
