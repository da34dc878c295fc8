"""Small logs and what tests do with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest

from modelwatch_gpu.errors import InputError
from modelwatch_gpu.log.sources import Log, LogFile, open_log

ROWS = 300_000


def table(rows: int = 1_000, seed: int = 0) -> pa.Table:
    """A small log: numbers with nulls, text with and without a dictionary, a timestamp."""
    rng = np.random.default_rng(seed)
    score = rng.random(rows, dtype="f4")
    return pa.table(
        {
            "id": pa.array(np.arange(rows)),
            "ts": pa.array(1_400_000_000_000_000 + np.arange(rows) * 1_000_000).cast(pa.timestamp("us", "UTC")),
            "score": pa.array(score, mask=score < 0.1),
            "carrier": pa.array(np.array(["AA", "B6", "Ünï", "DL"])[rng.integers(0, 4, rows)]),
            "region": pa.array(np.array(["eu", "us"])[rng.integers(0, 2, rows)]).dictionary_encode(),
        }
    )


def read(log: Log, columns: list[str] | None = None) -> pa.Table:
    """All rows of a log, text without dictionaries."""
    batches = [batch for file in log.files for batch in file.batches(columns or log.schema.names)]
    for batch in batches:
        batch.validate(full=True)
    return pa.concat_tables([dense(pa.Table.from_batches([batch])) for batch in batches]).combine_chunks()


def dense(whole: pa.Table) -> pa.Table:
    for index, field in enumerate(whole.schema):
        if pa.types.is_dictionary(field.type):
            whole = whole.set_column(index, field.name, whole.column(index).cast(field.type.value_type))
        if pa.types.is_large_string(whole.schema.field(index).type):
            whole = whole.set_column(index, field.name, whole.column(index).cast(pa.string()))
    return whole.replace_schema_metadata(None).combine_chunks()


def exhaust(source: Any, options: dict[str, Any]) -> None:
    for file in open_log(source, **options).files:
        for batch in file.batches(file.schema.names):
            batch.validate()


def refused(source: Any, **options: Any) -> str:
    """The sentence with which a source is refused, at opening or at reading."""
    with pytest.raises(InputError) as caught:
        exhaust(source, options)
    said = str(caught.value)
    assert "\n" not in said
    assert len(said) < 600
    return said


def log_folder(tmp_path: Path) -> Path:
    """part-0.parquet, part-1.feather, part-2.arrow (a stream), a note, and files that writers leave behind."""
    parts = [table(1_000, seed) for seed in range(3)]
    pq.write_table(parts[0], tmp_path / "part-0.parquet", row_group_size=300)
    feather.write_feather(parts[1], tmp_path / "part-1.feather", chunksize=400)
    with pa.ipc.new_stream(tmp_path / "part-2.arrow", parts[2].schema) as writer:
        writer.write_table(parts[2])
    (tmp_path / "README.md").write_text("about this log")
    (tmp_path / "_SUCCESS").write_text("")
    (tmp_path / ".part-0.parquet.crc").write_bytes(b"crc")
    return tmp_path


def cuts(file: LogFile, columns: list[str]) -> list[int]:
    return [batch.num_rows for batch in file.batches(columns)]


class StreamOnly:
    """What DuckDB relations and the like are: a stream that is used up."""

    def __init__(self, whole: pa.Table) -> None:
        self._whole = whole

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self._whole.__arrow_c_stream__(requested_schema)
