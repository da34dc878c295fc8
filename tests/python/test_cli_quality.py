"""The commands of data quality: fit --quality, expectations, compare --expectations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from fault_makers import clean, some
from typer.testing import CliRunner

import modelwatch_gpu as mw
from modelwatch_gpu.cli import app


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import numpy as np

    path = tmp_path_factory.mktemp("quality")
    pq.write_table(clean(7, 0), path / "reference.parquet")
    pq.write_table(clean(8, 1), path / "clean.parquet")
    pq.write_table(some(clean(8, 1), "amount", 0.02, -1.0, np.random.default_rng(1)), path / "spoilt.parquet")
    done = run("fit", str(path / "reference.parquet"), "-o", str(path / "b.mwb"), "--quality", "--quiet")
    assert done.exit_code == 0, done.output
    return path


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, list(arguments))


def test_expectations_are_written_edited_and_judged(folder: Path) -> None:
    done = run("expectations", str(folder / "b.mwb"), "-o", str(folder / "e.yaml"))
    assert done.exit_code == 0, done.output
    assert "expectations of 13 columns and of the table" in done.output
    assert mw.Expectations.load(folder / "e.yaml").baseline == mw.Baseline.load(folder / "b.mwb").fingerprint
    options = ["--expectations", str(folder / "e.yaml"), "--json", "-"]
    done = run("compare", str(folder / "b.mwb"), str(folder / "spoilt.parquet"), *options)
    assert done.exit_code == 1
    (finding,) = [f for f in json.loads(done.stdout)["findings"] if f["check"] == "negative"]
    assert (finding["column"], finding["severity"], finding["threshold"]) == ("amount", "alert", 0.001)


def test_a_clean_log_is_judged_without_a_file(folder: Path) -> None:
    (folder / "none.json").write_text("[]")
    command = ["compare", str(folder / "b.mwb"), str(folder / "clean.parquet"), "--checks", str(folder / "none.json")]
    options = ["--expectations", "auto", "--quiet", "--as-of"]
    assert run(*command, *options, "2024-02-10T06:00:00Z").exit_code == 0
    assert run(*command, *options, "2024-04-10").exit_code == 1


def test_expectations_are_printed_where_no_file_is_named(folder: Path) -> None:
    done = run("expectations", str(folder / "b.mwb"))
    assert done.exit_code == 0
    assert done.output.startswith("# What is expected of every log")
