"""What a process of the command imports, and how it ends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from modelwatch_gpu import cli


def test_a_command_is_found_without_importing_the_others() -> None:
    script = (
        "import sys\n"
        "from modelwatch_gpu import cli\n"
        "sys.argv = ['modelwatch', '{command}', '--help']\n"
        "try:\n    cli.main()\nexcept SystemExit:\n    pass\n"
        "print(sorted(name for name in sys.modules if name.startswith('modelwatch_gpu.cli.')))\n"
        "own = [one.name or one.callback.__name__ for one in cli.app.registered_commands]\n"
        "print(sorted(own + [one.name for one in cli.app.registered_groups]) == sorted(cli.PLACES))\n"
    )
    for place, command in {place: command for command, place in cli.PLACES.items()}.items():
        done = subprocess.run(
            [sys.executable, "-c", script.format(command=command)], capture_output=True, text=True, check=True
        )
        *shown, modules, complete = done.stdout.splitlines()
        assert f"Usage: modelwatch {command}" in shown[0]
        assert f"modelwatch_gpu.cli.{place}" in modules
        assert ("modelwatch_gpu.cli.commands" in modules) == (place == "commands")
        assert complete == "True"


@pytest.mark.parametrize(("arguments", "code"), [(["version"], 0), (["fit", "nowhere.parquet", "-o", "x.mwb"], 2)])
def test_the_end_of_a_command_does_what_was_left_for_the_end(tmp_path: Path, arguments: list[str], code: int) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import atexit, pathlib\natexit.register(pathlib.Path('left').write_text, 'done')\n"
    )
    ended = subprocess.run(
        [sys.executable, "-m", "modelwatch_gpu", *arguments],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == code
    assert bool(ended.stdout) == (code == 0)
    assert (tmp_path / "left").read_text() == "done"


def test_what_a_comparison_does_not_need_is_imported_when_it_is_asked_for() -> None:
    script = (
        "import sys, modelwatch_gpu as mw\n"
        "assert not any(name.startswith(('modelwatch_gpu.stats', 'rich', 'scipy')) for name in sys.modules)\n"
        "assert mw.stats.ks([1.0, 2.0], [2.0, 3.0]) == 0.5\n"
        "assert callable(mw.ranking) and mw.ranking is mw.ranking and 'ranking' in dir(mw)\n"
        "for name in mw.__all__:\n    getattr(mw, name)\n"
        "try:\n    mw.nothing_of_that_name\nexcept AttributeError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "module 'modelwatch_gpu' has no attribute 'nothing_of_that_name'\n"


@pytest.mark.parametrize(
    ("name", "given", "told"), [("modelwatch", None, "16"), ("modelwatch", "20", "20"), ("x", None, "")]
)
def test_threads_of_openblas_sleep_in_a_command_and_in_no_program_of_others(
    tmp_path: Path, name: str, given: str | None, told: str
) -> None:
    script = tmp_path / name
    script.write_text(
        "import os, sys\n"
        "class Watch:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'numpy':\n            print(os.environ.get('OPENBLAS_THREAD_TIMEOUT', ''))\n"
        "sys.meta_path.insert(0, Watch())\n"
        "import modelwatch_gpu.early\n"
        "modelwatch_gpu.early.done()\n"
        "print(os.environ.get('OPENBLAS_THREAD_TIMEOUT', ''))\n"
    )
    environment = {key: value for key, value in os.environ.items() if key != "OPENBLAS_THREAD_TIMEOUT"}
    if given is not None:
        environment["OPENBLAS_THREAD_TIMEOUT"] = given
    done = subprocess.run([sys.executable, str(script)], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [told, given or ""]
