"""The options of the command that say how a log is cut: segments, versions, windows of rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from modelwatch_gpu.cli import app


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cut") / "log.parquet"
    rows = 240
    pq.write_table(
        pa.table(
            {
                "x": [float(i % 60) for i in range(rows)],
                "side": ["left" if i % 2 else "right" for i in range(rows)],
                "model_version": ["1" if i < 120 else "2" for i in range(rows)],
            }
        ),
        path,
    )
    return path


def run(log: Path, *options: str) -> Any:
    return CliRunner().invoke(app, ["compare", str(log), str(log), "--quiet", "--fail-on", "never", *options])


def report_of(log: Path, *options: str) -> dict[str, Any]:
    done = run(log, "--json", "-", *options)
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_by_may_be_given_several_times_and_a_comma_crosses(log: Path) -> None:
    found = report_of(log, "--by", "side", "--by", "side,x", "--versions")
    assert found["segments"] == ["side", "side,x", "model_version"]
    seen = {json.dumps(row["segment"]) for row in found["measures"]}
    assert '{"side": "left"}' in seen
    assert '{"side": "left", "x": "\\u2264 14"}' in seen
    assert '{"model_version": "2"}' in seen
    assert "null" in seen


def test_segments_beyond_max_groups_are_pooled(log: Path) -> None:
    found = report_of(log, "--by", "side,model_version", "--promote", "side,model_version", "--max-groups", "1")
    segments = {json.dumps(row["segment"]) for row in found["measures"] if row["segment"]}
    assert len(segments) == 2
    assert '{"side": "(other)", "model_version": "(other)"}' in segments


def test_windows_of_rows_have_numbers_and_labels(log: Path) -> None:
    found = report_of(log, "--window", "100rows")
    assert [(w["start"], w["end"], w["label"], w["rows"]) for w in found["windows"]] == [
        ("0", "100", "rows 1 to 100", 100),
        ("100", "200", "rows 101 to 200", 100),
        ("200", "240", "rows 201 to 240", 40),
    ]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--by", "side,x,model_version,side2"], "at most 3 columns"),
        (["--by", "side", "--by", "side"], "given twice"),
        (["--by", "side,"], "is a column name"),
        (["--promote", "side"], "Cannot promote side"),
        (["--by", "side", "--max-groups", "0"], "max_groups must be"),
        (["--window", "0rows"], "50000rows"),
    ],
)
def test_what_cannot_be_cut_ends_with_2_and_one_line(log: Path, options: list[str], says: str) -> None:
    done = run(log, *options)
    assert done.exit_code == 2
    assert says in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
