"""--derived on the command line: functions of a Python file as columns of a log."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

import modelwatch_gpu as mw
from modelwatch_gpu.cli import app

pytest.importorskip("numba", reason="numba is not installed")

COLUMNS = """
import modelwatch_gpu as mw
from beside import scale

@mw.derived
def margin(price: float, cost: float) -> float:
    return scale((price - cost) / price)

@mw.derived
def cheap(price: float) -> bool:
    return price < 1.5

def plain(price):
    return price
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shop_columns.py").write_text(COLUMNS)
    (tmp_path / "beside.py").write_text("def scale(x):\n    return 100 * x\n")
    price = np.linspace(1, 2, 300)
    pq.write_table(pa.table({"price": price, "cost": price / 2}), "reference.parquet")
    pq.write_table(pa.table({"price": price, "cost": price / 2 + 0.3}), "log.parquet")
    return tmp_path


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, list(arguments))


def test_fit_and_compare_take_functions_of_a_file(here: Path) -> None:
    done = run(
        "fit",
        "reference.parquet",
        "-o",
        "b.mwb",
        "--derived",
        "shop_columns.py:margin",
        "--derived",
        "shop_columns.py:cheap",
    )
    assert done.exit_code == 0, done.output
    assert "300 rows, 4 columns" in done.output
    assert [one.name for one in mw.Baseline.load("b.mwb").derived] == ["margin", "cheap"]
    done = run(
        "compare", "b.mwb", "log.parquet", "--derived", "shop_columns.py", "--by", "cheap", "--json", "r.json", "-q"
    )
    assert done.exit_code == 1, done.output
    report = json.loads((here / "r.json").read_text())
    alerts = {f["column"] for f in report["findings"] if f["severity"] == "alert" and not f["segment"]}
    assert "margin" in alerts
    assert "cheap" not in alerts
    at_once = run("compare", "reference.parquet", "log.parquet", "--derived", "shop_columns:margin", "--json", "-")
    assert at_once.exit_code == 1
    assert "margin" in {m["column"] for m in json.loads(at_once.stdout)["measures"]}


def test_what_is_no_derived_column_is_refused_in_one_line(here: Path) -> None:
    assert run("fit", "reference.parquet", "-o", "b.mwb", "--derived", "shop_columns.py:margin").exit_code == 0
    (here / "broken.py").write_text("1/0\n")
    (here / "words.py").write_text("import modelwatch_gpu as mw\n@mw.derived\ndef f(x: str): return 1\n")
    (here / "empty.py").write_text("")
    for option, says in [
        (None, "Column 'margin' of the baseline is derived from price, cost; pass its function too"),
        ("nowhere.py:margin", "nowhere.py: there is no such file."),
        ("nowhere:margin", "nowhere: cannot be imported (ModuleNotFoundError: No module named 'nowhere')."),
        ("shop_columns.py:other", "shop_columns.py: there is no other; derived columns there: margin, cheap."),
        (
            "shop_columns.py:plain",
            "shop_columns.py: plain is not a derived column; decorate it with @modelwatch_gpu.derived.",
        ),
        ("broken.py", "broken.py: cannot be imported (ZeroDivisionError: division by zero)."),
        ("words.py", "words.py: The parameter 'x' of the derived column 'f' is annotated with str"),
        ("empty.py", "empty.py: no function is decorated with @modelwatch_gpu.derived."),
    ]:
        extra = ["--derived", option] if option else []
        done = run("compare", "b.mwb", "log.parquet", "-q", *extra)
        assert done.exit_code == 2
        assert done.output.startswith(f"modelwatch: {says}"), done.output
        assert done.output.count("\n") == 1
