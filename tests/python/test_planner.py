"""The planner adds up what counting takes, and chooses or refuses before the first row."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import modelwatch_gpu as mw
from modelwatch_gpu.profile import planner
from modelwatch_gpu.profile.planner import GroupCounts, SegmentCounts, plan


@pytest.fixture(scope="module")
def columns() -> Any:
    """Twenty numeric columns with coarse grids of 128 knots: 259 slots each."""
    rng = np.random.default_rng(0)
    return mw.Baseline.fit(pa.table({f"x{i}": rng.normal(size=3000) for i in range(20)})).columns


def counts(**options: Any) -> GroupCounts:
    return GroupCounts(**{"windows": 1, "blocks": 365, "segments": (SegmentCounts("customer", 0, None),), **options})


def test_ten_thousand_segments_of_twenty_columns_fit_into_the_default_memory(columns: Any) -> None:
    chosen = plan(columns, counts(files=10), rows=10_000_000, memory=planner.DEFAULT_MEMORY)
    assert chosen.segment_cap == 10_000
    assert chosen.window_grid == "fine"
    assert chosen.notes == ()
    assert 20 * 257 * 4 * 10_000 < chosen.bytes <= planner.DEFAULT_MEMORY


def test_bytes_grow_with_groups_columns_cells_segmentations_and_files(columns: Any) -> None:
    memory = 10**12
    one = plan(columns, counts(), rows=None, memory=memory).bytes
    assert plan(columns[:10], counts(), rows=None, memory=memory).bytes < 0.6 * one
    two = counts(segments=(SegmentCounts("customer", 0, None), SegmentCounts("shop", 0, None)))
    assert 1.8 * one < plan(columns, two, rows=None, memory=memory).bytes < 2 * one
    files = plan(columns, counts(files=11), rows=None, memory=memory).bytes
    own = planner.SEGMENT_CAP * (1 + planner.SEGMENT_SLACK) + 1
    assert files - one == 10 * 48 * 20 * own
    small = plan(columns, counts(segments=(SegmentCounts("side", 2, 3),)), rows=None, memory=memory)
    assert small.bytes < one / 10
    promoted = counts(segments=(SegmentCounts("side", 2, 3, promoted=True),))
    assert plan(columns, promoted, rows=None, memory=memory).bytes > small.bytes
    assert plan(columns, counts(), rows=10, memory=memory).bytes < one / 10


def test_what_does_not_fit_gets_fewer_segments_then_coarser_then_refused(columns: Any) -> None:
    halves = [plan(columns, counts(), rows=None, memory=m << 20).segment_cap for m in (512, 256, 128, 64)]
    assert halves == sorted(halves, reverse=True)
    assert len(set(halves)) == 4
    assert set(halves) <= {10_000 >> i for i in range(12)} | {planner.SEGMENT_SPARE}
    likely = counts(segments=(SegmentCounts("customer", 5000, None),))
    with pytest.raises(mw.InputError, match=r"5,016 segments by customer.*lower max_groups=.*fewer values\.$"):
        plan(columns, likely, rows=None, memory=50 << 20)
    versions = counts(windows=12, segments=(SegmentCounts("model_version", 2, None, promoted=True),))
    seen = []
    for mebibytes in range(600, 0, -10):
        try:
            found = plan(columns, versions, rows=None, memory=mebibytes << 20)
        except mw.InputError:
            break
        seen.append((found.window_grid, found.promoted_grid))
        assert len(found.notes) == (found.window_grid == "coarse") + (found.promoted_grid == "coarse")
    assert seen[0] == ("fine", "fine")
    assert seen == sorted(seen, reverse=True)
    assert ("fine", "coarse") in seen


def test_max_groups_is_taken_or_refused_but_never_changed(columns: Any) -> None:
    assert plan(columns, counts(), rows=None, memory=10**12, max_groups=77).segment_cap == 77
    assert plan(columns, counts(), rows=None, memory=10**12, max_groups=20_000).segment_cap == 20_000
    with pytest.raises(mw.InputError, match="20,000 segments by customer in each window, needs"):
        plan(columns, counts(), rows=None, memory=64 << 20, max_groups=20_000)


def test_moments_of_too_many_files_are_named_as_the_reason(columns: Any) -> None:
    with pytest.raises(mw.InputError, match=r"for the moments of 10,000 files.*or write the log in fewer files"):
        plan(columns, counts(files=10_000), rows=None, memory=64 << 20, max_groups=10_000)


def test_nothing_is_read_before_the_plan_is_made() -> None:
    base = mw.Baseline.fit(pa.table({"x": np.arange(50.0)}))
    read = []
    table = pa.table({"x": np.arange(5000.0), "shop": np.arange(5000)})
    with pytest.raises(mw.InputError, match="memory= allows"):
        mw.Profile.count(base, table, segments=["shop"], max_groups=5000, memory="100KiB", progress=read.append)
    assert read == []


def test_sums_of_vectors_are_counted_by_windows_and_segments() -> None:
    rng = np.random.default_rng(1)
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(rng.normal(size=64 * 500).astype("f4")), 64)
    baseline = mw.Baseline.fit(pa.table({"v": vectors}))
    options: dict[str, Any] = {"rows": None, "memory": 10**12}

    def own(**of: Any) -> int:
        groups = counts(**{"segments": (), "blocks": 0, **of})
        with_vectors = plan(baseline.columns, groups, embeddings=baseline.embeddings, **options).bytes
        return with_vectors - plan(baseline.columns, groups, **options).bytes

    # Products of 64 elements as a square of float64 and half a one of int64, sums and features of 32 groups as both,
    # 1,024 sampled rows.
    sums = 8 * (64 * 64 + 64 * 65 // 2 + 2 * (65 + 32 * 2561))
    assert own() == sums + 1_024 * (4 * 64 + 176)
    assert own(windows=7) == 7 * own()
    assert own(windows=128, assumed=True) == own()
    segments = own(segments=(SegmentCounts("side", 2, 3),)) - own()
    assert segments == 3 * 8 * (32 * 32 + 32 * 33 // 2 + 2 * 65)
    # Days keep the features of all their rows too.
    assert own(blocks=5) - own() == 5 * 8 * (32 * 32 + 32 * 33 // 2 + 2 * (65 + 2561))
    with pytest.raises(mw.InputError, match="and the vectors of v in 500 windows"):
        plan(
            baseline.columns,
            counts(windows=500, segments=(), blocks=0),
            rows=None,
            memory=64 << 20,
            embeddings=baseline.embeddings,
        )
