"""Long runs of rows of one group, which are counted in one go where the machine can, against the same rows tile by
tile, where each row goes to its group by itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from modelwatch_gpu import _core, keys

#: More tiles than are packed before they are added up, and a part of one.
ROWS = 150 * 1024 + 77


def _values(kind: str, dtype: str) -> Any:
    rng = np.random.default_rng(31)
    shapes = {
        "normal": rng.standard_normal,
        "lognormal": lambda n: rng.lognormal(0, 3, n),
        "cauchy": rng.standard_cauchy,
    }
    x = shapes[kind](ROWS).astype(dtype)
    limits = np.finfo(x.dtype)
    hard = [np.nan, np.inf, -np.inf, 0.0, -0.0, limits.smallest_subnormal, -limits.tiny / 4, limits.max / 8, -1e30]
    for value in hard:
        x[rng.integers(0, ROWS, 400)] = value
    return x


def _counted(pieces: list[pa.RecordBatch], domain: str, knots: Any) -> dict[str, Any]:
    ends = keys.infinities(domain)
    grid = _core.Grid(keys.DOMAINS[domain], np.union1d(ends, keys.keys_of(knots, domain)))
    none = np.empty(0, dtype=np.uint32)
    plan = _core.NumericPlan(
        grid=grid, to_fine=none, fine_slots=grid.slots, to_coarse=none, coarse_slots=0, gap_shift=0, pivot=0
    )
    counter = _core.Counter([plan], [_core.SetPlan(coarse=False, moments=True, sketches=True)])
    for piece in pieces:
        counter.add(piece, [None], 1)
    return counter.numeric(0, 0)


@pytest.mark.parametrize("nulls", [False, True])
@pytest.mark.parametrize("kind", ["normal", "lognormal", "cauchy"])
@pytest.mark.parametrize(("dtype", "domain"), [("f4", "float32"), ("f4", "float64"), ("f8", "float64")])
def test_a_long_run_counts_what_its_tiles_do(dtype: str, domain: str, kind: str, nulls: bool) -> None:
    x = _values(kind, dtype)
    mask = np.random.default_rng(32).random(ROWS) < 0.1 if nulls else None
    batch = pa.record_batch({"x": pa.array(x, mask=mask)})
    # Values beyond the knots on both sides, and more slots than a tile has rows.
    inner = np.sort(x[np.isfinite(x) & (np.abs(x) < 1e20)])
    knots = np.unique(inner[1000:-1000:40].astype(domain))
    assert len(knots) > 1024
    whole = _counted([batch], domain, knots)
    tiles = _counted([batch.slice(at, 1024) for at in range(0, ROWS, 1024)], domain, knots)
    assert whole.keys() == tiles.keys()
    for name, found in whole.items():
        expected = tiles[name]
        if isinstance(found, np.ndarray):
            assert found.dtype == expected.dtype, name
            assert found.tobytes() == expected.tobytes(), name
        else:
            assert found == expected, name
    assert int(np.asarray(whole["count"]).sum()) == ROWS
