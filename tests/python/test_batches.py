"""Columns that are measured together have the numbers they have alone, to the last bit."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import modelwatch_gpu as mw
from modelwatch_gpu.measures import batch, evaluate
from modelwatch_gpu.measures.cells import Cells, beside
from modelwatch_gpu.measures.evaluate import Results
from modelwatch_gpu.measures.quantiles import Knots
from modelwatch_gpu.measures.reference import Reference
from modelwatch_gpu.measures.value import Values, concatenated, split
from modelwatch_gpu.profile.columns import NumericColumn
from modelwatch_gpu.profile.tables import NumericTable

HARD = (np.nan, np.inf, -np.inf, -0.0, 0.0, 5e-324, 1e308, -1e308)


def log(seed: int, rows: int, *, moved: bool, days: int = 3) -> pa.Table:
    """Numbers of every kind: smooth, tied, constant, hard, far beyond, whole, decimal, missing, and a category."""
    rng = np.random.default_rng(seed)
    shift = rng.normal(0, 2) if moved else 0.0
    smooth = rng.normal(shift, 1 + moved, rows)
    hard = np.where(rng.random(rows) < 0.2, rng.choice(HARD, rows), smooth)
    cents = [None if x < -1 else Decimal(int(100 * x)).scaleb(-2) for x in smooth.tolist()]
    columns: dict[str, Any] = {
        "ts": pa.array(1_704_067_200 + rng.integers(0, days * 86_400, rows)).cast(pa.timestamp("s")),
        "smooth": smooth,
        "narrow": smooth.astype("f4"),
        "tied": smooth.round(),
        "constant": np.full(rows, 3.0 + moved),
        "hard": hard,
        "hard_narrow": np.where(np.abs(hard) > 1e300, 1e30, hard).astype("f4"),
        "far": pa.array(smooth * 1e200, mask=rng.random(rows) < 0.3),
        "null": pa.array(np.zeros(rows), mask=rng.random(rows) < (2 if not moved else 0.5)),
        "gone": pa.array(smooth, mask=np.full(rows, moved)),
        "whole": 2**60 + (1000 * smooth).astype(np.int64),
        "large": (1e9 * smooth).astype(np.int64),
        "cents": pa.array(cents, pa.decimal128(12, 2)),
        "side": pa.array(rng.choice(["left", "right", "new"][: 2 + moved], rows)),
    }
    return pa.table({name: pa.array(column) for name, column in columns.items()})


ROLES = mw.Roles(timestamp="ts", numeric=["tied", "constant", "null", "whole", "large"])


def told(results: Results) -> list[tuple[Any, ...]]:
    """Everything a run says, arrays as bytes."""
    out = []
    for block in results.blocks:
        named = {**block.values, **{f"quantile {name}": q for name, q in block.quantiles.items()}}
        values = {n: [a.tobytes() for a in (v.value, v.lower, v.upper, v.n, v.reason)] for n, v in named.items()}
        effects = {
            n: [getattr(e, part).tobytes() for part in ("value", "raw", "noise_floor", "chance", "lower", "rows")]
            for n, e in block.effects.items()
        }
        numbers = {n: a.tobytes() for n, a in block.numbers.items()}
        shifts = None if block.shifts is None else (block.shifts.before.tobytes(), block.shifts.after.tobytes())
        out.append((block.column.name, block.compared_with, values, effects, numbers, shifts))
    return out


def alone(monkeypatch: pytest.MonkeyPatch, baseline: mw.Baseline, profile: mw.Profile, **options: Any) -> Results:
    """Every column by itself."""
    merged = profile.merged()
    assert merged is not None
    with monkeypatch.context() as patched:
        patched.setattr(evaluate, "_BATCH_CELLS", 0)
        return evaluate.evaluate(baseline, profile, merged, **options)


@pytest.mark.parametrize("options", [{}, {"window": "1d"}, {"window": "6h", "segments": ["side"], "memory": 5 << 20}])
@given(seed=st.integers(0, 2**31), rows=st.sampled_from([1, 40, 700]))
@settings(max_examples=12)
def test_a_batch_says_of_every_column_what_the_column_says_alone(options: dict[str, Any], seed: int, rows: int) -> None:
    baseline = mw.Baseline.fit(log(seed, 900, moved=False), roles=ROLES, exact_up_to=50)
    profile = mw.Profile.count(baseline, log(seed + 1, rows, moved=True), **options)
    merged = profile.merged()
    assert merged is not None
    together = evaluate.evaluate(baseline, profile, merged, consecutive=True)
    with pytest.MonkeyPatch.context() as patch:
        assert told(together) == told(alone(patch, baseline, profile, consecutive=True))


def test_columns_do_share_batches_and_odd_ones_stand_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    baseline = mw.Baseline.fit(log(1, 900, moved=False), roles=ROLES)
    profile = mw.Profile.count(baseline, log(2, 500, moved=True), window="1d")
    seen: list[list[str]] = []
    of = batch.Batch.of

    def noted(columns: Any, *rest: Any) -> batch.Batch:
        seen.append([c.column.name for c in columns])
        return of(columns, *rest)

    monkeypatch.setattr(batch.Batch, "of", noted)
    merged = profile.merged()
    assert merged is not None
    evaluate.evaluate(baseline, profile, merged)
    assert sorted(map(sorted, seen)) == [
        ["cents"],  # its numbers are turned into its units one by one
        ["constant", "far", "gone", "hard", "smooth", "tied"],
        ["hard_narrow", "narrow"],
        ["large", "whole"],
        ["null"],  # no value, no knot
    ]


def test_joined_cells_are_found_where_each_grid_has_them() -> None:
    small, large = Cells.dense(np.array([[0, 2, 1], [0, 0, 0]])), Cells.dense(np.array([[4, 0, 0, 0, 0, 3, 1]]))
    both = Cells.joined([small, large])
    assert both.groups == 3
    assert both.total.tolist() == [3, 0, 8]
    assert both.first().tolist() == [1, 7, 0]
    assert both.last().tolist() == [2, -1, 6]
    at = both.at(np.array([0, 0, 1, 2, 2]), np.array([1, 2, 1, 0, 5]))
    assert [side.tolist() for side in at] == [[2, 1, 0, 4, 3], [2, 3, 0, 4, 7]]
    edges = np.array([[0, 1], [0, 4]])
    assert both.binned(edges, np.array([0, 2])).tolist() == [[0, 2, 1], [4, 0, 4]]


def test_rows_beyond_the_second_cell_from_either_end() -> None:
    counts = np.array([[0, 0, 1, 1, 1, 0, 0], [1, 0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 1, 0], [0, 0, 0, 0, 0, 0, 0]])
    wider = np.zeros((1, 11), dtype=np.int64)
    wider[0, 5] = 1  # the sixth of eleven cells is none of the last two
    both = Cells.joined([Cells.dense(counts), Cells.dense(wider)])
    assert both.beyond().tolist() == [False, True, True, False, False]


def test_knots_of_several_grids_are_told_apart() -> None:
    grids: list[npt.NDArray[Any]] = [np.array([1.0, 2.0]), np.array([-5.0, 0.0, 9.0]), np.empty(0)]
    knots = Knots.of(grids, np.array([0, 1, 2]))
    gap = np.array([[0, 0, 0], [2, 2, 1], [3, 4, 2]])
    found = knots.below(gap, np.arange(3)).tolist()
    assert found == [[-np.inf] * 3, [2.0, 0.0, np.inf], [np.inf] * 3]
    assert knots.sizes.tolist() == [2, 3, 0]


def test_beside_is_the_only_group_or_the_one_of_the_same_number() -> None:
    assert beside(1, 3).tolist() == [0, 0, 0]
    assert beside(3, 3).tolist() == [0, 1, 2]


def test_splitting_measures_undoes_joining_them() -> None:
    exact = [Values.exact(np.arange(n, dtype=np.float64), np.full(n, 9)) for n in (2, 0, 3)]
    wide = [Values.between(v.value, v.value + 1, v.n) for v in exact]
    joined = concatenated([{"a": a, "b": b} for a, b in zip(exact, wide, strict=True)])
    parts = split(joined, np.array([0, 2, 2, 5]))
    for part, a, b in zip(parts, exact, wide, strict=True):
        assert [list(map(part[name].__getitem__, range(len(a)))) for name in ("a", "b")] == [
            list(map(own.__getitem__, range(len(a)))) for own in (a, b)
        ]
        assert part["a"].lower is part["a"].value


def test_a_baselines_side_is_made_once_and_goes_with_it() -> None:
    baseline = mw.Baseline.fit(log(1, 300, moved=False), roles=ROLES)
    column = baseline.by_name["smooth"]
    kept = Reference.of(baseline)
    assert Reference.of(baseline) is kept
    assert kept.groups(column, "fine") is kept.groups(column, "fine")
    assert isinstance(column, NumericColumn)
    table = baseline.part.tables[("window", "smooth")]
    assert isinstance(table, NumericTable)
    own = batch.numeric_groups(column, table, 0, 1, "fine")
    found = kept.groups(column, "fine")
    assert isinstance(found, batch.NumericGroups)
    assert found.slots.tolist() == own.slots.tolist()


def test_a_baseline_that_has_judged_other_logs_judges_the_next_as_a_fresh_one_does(tmp_path: Path) -> None:
    reference = log(1, 4_000, moved=False, days=20)
    label = pa.array((np.random.default_rng(5).random(4_000) < 0.3).astype(int))
    score = pa.array(np.random.default_rng(6).random(4_000).round(2))
    roles = mw.Roles(timestamp="ts", label="label", score="score", numeric=ROLES.numeric)
    mw.Baseline.fit(
        reference.append_column("label", label).append_column("score", score), roles=roles, threshold=0.5
    ).save(tmp_path / "b.mwb")
    logs = []
    for seed, rows in ((2, 900), (3, 2_000), (4, 900)):
        rng = np.random.default_rng(seed)
        now = log(seed, rows, moved=True, days=10)
        now = now.append_column("label", pa.array((rng.random(rows) < 0.5).astype(int)))
        logs.append(now.append_column("score", pa.array((rng.random(rows) ** 2).round(seed - 1))))
    used = mw.Baseline.load(tmp_path / "b.mwb")
    checks = [mw.Check(m, warn=0.01, alert=0.3) for m in ("ks", "js_distance", "missing_change", "roc_auc_drop")]
    for now in logs:
        found = mw.compare(used, now, checks=checks)
        fresh = mw.compare(mw.Baseline.load(tmp_path / "b.mwb"), now, checks=checks)
        assert any(f.interval_by == "units" for f in found.findings)
        assert found.findings == fresh.findings
        assert found.to_json() == fresh.to_json()
