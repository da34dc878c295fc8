"""Lines that are read without Typer are read as Typer reads them, and all others are left to it."""

from __future__ import annotations

import functools
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from modelwatch_gpu import cli
from modelwatch_gpu.cli.plain import plain_call

PLAIN = [
    "version",
    "doctor",
    "doctor --selftest --device cpu",
    "run monitor.yaml",
    "run monitor.yaml --watch --quiet",
    "run --recount monitor.yaml --model churn --fail-on never --memory 1GB --threads 2 --device cpu -q",
    "fit a.parquet b.parquet -o out.mwb --ignore x --ignore y --label label --exact-up-to 10 --quality",
    "fit - --output out.mwb",
    "compare base.mwb log.parquet",
    "compare base.mwb --by a,b log --by c more --correction e-bh --json - --html page.html --max-groups 7 --anytime",
    "validate log.parquet --against base.mwb --fail-on warning",
    "demo",
    "demo embeddings --threads 0",
    "init reference.parquet --log new --log newer --force",
    "serve monitor.yaml --port 65535",
    "expectations reference.parquet -o expected.yaml",
]
LEFT = [
    "run",
    "run --help",
    "run monitor.yaml other.yaml",
    "run monitor.yaml --fail-on sometimes",
    "run monitor.yaml --threads -1",
    "run monitor.yaml --threads x",
    "serve monitor.yaml --port 65536",
    "run monitor.yaml --threads=2",
    "run monitor.yaml --quiet --quiet",
    "run monitor.yaml --watc",
    "run monitor.yaml --model",
    "run monitor.yaml --model ''",
    "run ''",
    "run -- monitor.yaml",
    "run monitor.yaml -qq",
    "run monitor.yaml --model --quiet",
    "fit a.parquet",
    "fit a.parquet -o out.mwb --threshold 0.5",
    "compare base.mwb",
    "version now",
    "config check monitor.yaml",
    "audit verify monitor.yaml",
]


def command_of(name: str) -> Any:
    app = cli._app(name)
    return app, app.registered_commands[0] if app.registered_commands else None


@pytest.mark.parametrize("line", PLAIN)
def test_a_plain_line_calls_a_command_with_what_typer_would_call_it(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name, *words = shlex.split(line)
    app, command = command_of(name)
    own = plain_call(command.callback, words)
    called: list[dict[str, Any]] = []

    @functools.wraps(command.callback)
    def record(**given: Any) -> None:
        called.append(given)

    monkeypatch.setattr(command, "callback", record)
    with pytest.raises(SystemExit) as ended:
        app([name, *words], prog_name="modelwatch")
    assert ended.value.code == 0
    assert [own] == called
    assert own is not None
    assert {key: type(value) for key, value in own.items()} == {key: type(value) for key, value in called[0].items()}


@pytest.mark.parametrize("line", LEFT)
def test_a_line_that_is_not_plain_or_not_sound_is_left_to_typer(line: str) -> None:
    name, *words = shlex.split(line)
    _, command = command_of(name)
    if command is None:
        assert name in ("config", "audit")  # commands of commands are all read by Typer
    elif words:
        assert plain_call(command.callback, words) is None
    else:
        assert command.no_args_is_help


def test_a_file_that_may_not_be_read_is_left_to_typer_which_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, command = command_of("run")
    path = tmp_path / "monitor.yaml"
    path.write_text("")
    assert plain_call(command.callback, [str(path)]) is not None
    monkeypatch.setattr("os.access", lambda *_: False)
    assert plain_call(command.callback, [str(path)]) is None


def test_a_plain_command_imports_no_pydantic_and_ends_with_its_code(tmp_path: Path) -> None:
    script = (
        "import sys\nfrom modelwatch_gpu import cli\nsys.argv = ['modelwatch', {line}]\n"
        "try:\n    cli.main()\nexcept SystemExit as end:\n    print(end.code, 'pydantic' in sys.modules)\n"
    )

    def ended(*line: str) -> str:
        told = script.format(line=", ".join(map(repr, line)))
        done = subprocess.run([sys.executable, "-c", told], cwd=tmp_path, capture_output=True, text=True, check=True)
        return done.stdout.splitlines()[-1]

    assert ended("version") == "0 False"
    assert ended("compare", "nowhere.mwb", "nowhere.parquet") == "2 False"
    assert ended("demo", "flights", "--quiet", "--html", "page.html") == "0 False"
