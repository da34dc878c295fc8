"""Logs with weights, and the same logs with every row repeated as often as its weight says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
from state_makers import log

import modelwatch_gpu as mw
from modelwatch_gpu.log import Window, open_log, zone_of
from modelwatch_gpu.profile.by_file import count_log
from modelwatch_gpu.profile.counting import CountSpec
from modelwatch_gpu.profile.merging import merge_parts
from modelwatch_gpu.profile.parts import SetSpec

ROLES = mw.Roles(weight="w", timestamp="when", numeric=["whole"])
ZONE = "America/New_York"


def weighted(rows: int, seed: int, weights: Any = None, *, days: int = 100) -> pa.Table:
    """``state_makers.log`` with a column w; by default whole weights, some of them 0."""
    if weights is None:
        weights = np.random.default_rng(1000 + seed).integers(0, 5, rows)
    return log(rows, seed, days=days).append_column("w", pa.array(weights))


def repeated(table: pa.Table) -> pa.Table:
    """Every row w times, and no weights."""
    times = table["w"].to_numpy()
    return table.take(np.repeat(np.arange(len(table)), times)).drop_columns(["w"]).combine_chunks()


def unweighted(baseline: mw.Baseline, reference: pa.Table) -> mw.Baseline:
    """The same grids with another reference counted on them, every row once."""
    spec = CountSpec(
        sets=(SetSpec("window", "fine", True), SetSpec("block", "coarse", False)),
        window=None,
        block=Window.parse("1d"),
        zone=zone_of(baseline.timezone),
        timestamp=baseline.timestamp,
        ignored=frozenset(baseline.roles),
    )
    part = merge_parts(count_log(baseline.columns, open_log(reference), spec))
    roles = {name: role for name, role in baseline.roles.items() if role != "weight"}
    return replace(baseline, part=part, weighting=None, roles=roles)
