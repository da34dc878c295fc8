"""Tables of Delta Lake and Apache Iceberg, by their own packages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from log_makers import read

import modelwatch_gpu as mw
from modelwatch_gpu.log import open_log

WHOLE = pa.table(
    {
        "ts": pa.array([1_400_000_000_000_000 + i * 3_600_000_000 for i in range(600)]).cast(pa.timestamp("us", "UTC")),
        "x": [None if i % 50 == 0 else i / 7 for i in range(600)],
        "kind": [("a", "b", "c")[i % 3] for i in range(600)],
    }
)


def measures(source: Any) -> list[Any]:
    """Fitted, and compared with windows and segments."""
    baseline = mw.Baseline.fit(source())
    return list(mw.compare(baseline, source(), window="1d", segments=["kind"]).to_arrow().drift.to_pylist())


def test_delta_lake_tables_and_their_datasets_are_logs(tmp_path: Path) -> None:
    deltalake = pytest.importorskip("deltalake", reason="deltalake is not installed")
    deltalake.write_deltalake(str(tmp_path / "log"), WHOLE)
    expected = measures(lambda: WHOLE)
    assert measures(lambda: deltalake.DeltaTable(str(tmp_path / "log"))) == expected
    assert measures(lambda: deltalake.DeltaTable(str(tmp_path / "log")).to_pyarrow_dataset()) == expected


def test_a_partitioned_delta_lake_table_has_its_partition_columns(tmp_path: Path) -> None:
    deltalake = pytest.importorskip("deltalake", reason="deltalake is not installed")
    deltalake.write_deltalake(str(tmp_path / "log"), WHOLE, partition_by=["kind"])
    found = read(open_log(deltalake.DeltaTable(str(tmp_path / "log"))), ["ts", "kind"])
    assert found.sort_by("ts")["kind"].to_pylist() == WHOLE["kind"].to_pylist()


def test_scans_of_iceberg_tables_are_logs(tmp_path: Path) -> None:
    catalogs = pytest.importorskip("pyiceberg.catalog.sql", reason="pyiceberg is not installed")
    catalog = catalogs.SqlCatalog("test", uri=f"sqlite:///{tmp_path}/catalog.db", warehouse=f"file://{tmp_path}")
    catalog.create_namespace("logs")
    table = catalog.create_table("logs.log", schema=WHOLE.schema)
    table.append(WHOLE)
    expected = measures(lambda: WHOLE)
    assert measures(table.scan) == expected
    assert measures(lambda: table.scan().to_arrow_batch_reader()) == expected
    assert measures(lambda: table.scan().to_arrow()) == expected
