"""DuckDB: PSI written by hand in SQL, on tables in its memory."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from timing import DECILES, answer, main, names_of_numbers, psi, tables, timed


def duckdb_psi(folder: Path, check: bool) -> dict[str, Any]:
    """The same in SQL: ``quantile_cont``, then counts of every bin in one query a side."""
    import duckdb
    import numpy as np

    a, b = tables(folder)
    names = names_of_numbers(a.column_names)
    connection = duckdb.connect()
    connection.execute(f"SET threads = {len(os.sched_getaffinity(0))}")
    for name, side in (("a", a), ("b", b)):
        connection.register(f"{name}_arrow", side)
        connection.execute(f"CREATE TABLE {name} AS SELECT * FROM {name}_arrow")

    def counts(side: str, edges: dict[str, list[float]]) -> dict[str, Any]:
        below = ", ".join(
            f"count(*) FILTER ({name} <= {edge!r})" for name, cut in edges.items() for edge in cut
        ) + "".join(f", count({name})" for name in edges)
        found = np.array(connection.execute(f"SELECT {below} FROM {side}").fetchone())
        until, total = found[: 9 * len(edges)].reshape(-1, 9), found[9 * len(edges) :]
        return {name: np.diff(np.concatenate([[0], until[i], [total[i]]])) for i, name in enumerate(edges)}

    def work() -> list[float]:
        wanted = ", ".join(f"quantile_cont({name}, {DECILES})" for name in names)
        edges = dict(zip(names, connection.execute(f"SELECT {wanted} FROM a").fetchone(), strict=True))
        p, q = counts("a", edges), counts("b", edges)
        return [psi(p[name], q[name]) for name in names]

    run = timed(work)
    return answer(run, run.answer)


main({"psi": duckdb_psi}, ("duckdb", "numpy"))
