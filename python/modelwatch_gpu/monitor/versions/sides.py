"""The rows of two versions of a model, counted apart in one pass over their log."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from modelwatch_gpu.errors import InputError
from modelwatch_gpu.log import Log, open_log
from modelwatch_gpu.profile import Baseline, LiveProfile, Profile


def version_column(baseline: Baseline, column: str | None = None) -> str:
    """The column that says which version answered: the one named, or the one with the role version."""
    name = column or next((name for name, role in baseline.roles.items() if role == "version"), None)
    if name is None:
        raise InputError(
            "No column has the role version; name one with column= (--column), or fit the baseline with "
            "Roles(version='model_version')."
        )
    return name


def count_sides(
    baseline: Baseline,
    log: Any,
    versions: tuple[str, str],
    column: str,
    *,
    window: str | None,
    timezone: str | None,
    threads: int = 0,
    device: str = "auto",
) -> tuple[Profile, Profile]:
    """The profiles of the rows of two versions; rows of other versions are passed over.

    Args:
        log: Whatever a log can be; every file must have ``column``.
        versions: Values of ``column``, as text.

    Raises:
        InputError: A file lacks the column, or no row has one of the versions; the text names those that there are.
    """
    if versions[0] == versions[1]:
        raise InputError(f"Version '{versions[0]}' is compared with itself; name two versions.")
    sides = {
        name: LiveProfile(baseline, window=window, timezone=timezone, threads=threads, device=device)
        for name in versions
    }
    seen: set[str] = set()
    for batch, texts in _batches(baseline, open_log(log), column):
        seen |= {text for text in pc.unique(texts).to_pylist() if text is not None}
        for name, live in sides.items():
            own = batch.filter(pc.equal(texts, name))
            if own.num_rows:
                live.add(own)
    for name, live in sides.items():
        if not live.rows:
            there = ", ".join(f"'{text}'" for text in sorted(seen)[:10]) or "none"
            raise InputError(f"No row of the log has '{name}' in column '{column}'; there are {there}.")
    return sides[versions[0]].profile(), sides[versions[1]].profile()


def _batches(baseline: Baseline, log: Log, column: str) -> Iterator[tuple[pa.RecordBatch, pa.Array]]:
    """Batches of the columns that are counted, each with the version of its rows as text."""
    for file in log.files:
        names = list(file.schema.names)
        if column not in names:
            raise InputError(f"{file.name}: there is no column '{column}', which is to say which version answered.")
        if not baseline.derived:  # whose functions may read any column
            ignored = {name for name in names if baseline.roles.get(name, "ignore") == "ignore"}
            names = [name for name in names if name == column or name not in ignored]
        for batch in file.batches(names):
            yield batch, _texts(batch.column(column))


def _texts(values: pa.Array) -> pa.Array:
    """Versions as text: the number 2 is '2'."""
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    return values.cast(pa.string())
