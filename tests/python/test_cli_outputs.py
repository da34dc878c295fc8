"""Outputs of the command never take the place of one another, or of what it reads."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

import modelwatch_gpu as mw
from modelwatch_gpu.cli import app


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a reference, a baseline, a log of one file, and a link to the reference; we are in it."""
    log = pa.table({"x": np.arange(50.0)})
    (tmp_path / "log").mkdir()
    pq.write_table(log, tmp_path / "ref.parquet")
    pq.write_table(log, tmp_path / "log" / "jan.parquet")
    mw.Baseline.fit(log).save(tmp_path / "b.mwb")
    (tmp_path / "link.parquet").symlink_to(tmp_path / "ref.parquet")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("call", "says"),
    [
        ("fit ref.parquet -o ref.parquet", "it is read here"),
        ("fit ref.parquet -o link.parquet", "it is read here"),
        ("fit log -o log/jan.parquet", "it is read here"),
        ("compare b.mwb log --json b.mwb", "it is read here"),
        ("compare b.mwb log --html ./log/jan.parquet", "it is read here"),
        ("compare ref.parquet log --html ref.parquet", "it is read here"),
        ("validate log --against b.mwb --json b.mwb", "it is read here"),
        ("compare b.mwb log --json r.html --html ./r.html", "it is named as two outputs"),
    ],
)
def test_an_output_in_the_place_of_another_file_of_the_call_is_refused(call: str, says: str, here: Path) -> None:
    before = {path: path.read_bytes() for path in here.rglob("*.*")}
    done = CliRunner().invoke(app, call.split())
    assert done.exit_code == 2
    assert says in done.stderr
    assert {path: path.read_bytes() for path in here.rglob("*.*")} == before


def test_a_file_that_is_not_read_is_overwritten_as_ever(here: Path) -> None:
    (here / "r.json").write_text("old")
    done = CliRunner().invoke(app, ["compare", "b.mwb", "log", "--json", "r.json", "-q"])
    assert done.exit_code == 0, done.output
    assert (here / "r.json").read_text(encoding="utf-8").startswith("{")


@pytest.mark.parametrize("options", ["", "--quiet", "--fail-on never"])
@pytest.mark.parametrize(
    ("call", "what"),
    [("compare b.mwb nothing.parquet", "log"), ("validate nothing.parquet --against b.mwb", "candidate")],
)
def test_a_log_without_rows_writes_its_report_and_ends_with_2(call: str, what: str, options: str, here: Path) -> None:
    pq.write_table(pa.table({"x": pa.array([], pa.float64())}), here / "nothing.parquet")
    done = CliRunner().invoke(app, [*call.split(), "--json", "r.json", *options.split()])
    assert done.exit_code == 2
    assert f"The {what} has no rows, so nothing was compared;" in str(done.exception) + done.stderr
    assert "passes" not in done.stdout
    report = json.loads((here / "r.json").read_text(encoding="utf-8"))
    assert report["rows"] == 0
    assert {f["severity"] for f in report["findings"]} == {"not_enough_data"}
