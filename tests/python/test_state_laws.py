"""State adds up: any order, partition, thread count and file layout gives the same tables, to the byte."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from comparing import number
from hypothesis import given
from hypothesis import strategies as st
from state_makers import chunked, exact_state, log, moments_of
from tolerances import MOMENTS_PARTITION

import modelwatch_gpu as mw
from modelwatch_gpu import _core
from modelwatch_gpu.measures import batch, categorical
from modelwatch_gpu.profile import fit, merging, parts, planner
from modelwatch_gpu.profile.columns import COARSE_UNSEEN, OTHER_SLOT, NumericColumn
from modelwatch_gpu.profile.parts import UNTIMED, Part
from modelwatch_gpu.profile.tables import CategoryTable, NumericTable

ROLES = mw.Roles(timestamp="when", numeric=["whole"])
ZONE = "America/New_York"


@pytest.fixture(scope="module")
def baseline() -> mw.Baseline:
    return mw.Baseline.fit(log(3000, 0), roles=ROLES, timezone=ZONE)


WINDOWS: dict[str, Any] = {"window": "1mo", "segments": ["text"]}


def test_files_in_any_order_and_partition_add_up_to_the_same_bytes(baseline: mw.Baseline) -> None:
    files = [log(400 + 100 * i, i) for i in range(4)]
    whole = mw.Profile.count(baseline, files, **WINDOWS).to_bytes()
    single = [mw.Profile.count(baseline, f, **WINDOWS) for f in files]
    for order in itertools.permutations(range(4)):
        total = single[order[0]]
        for i in order[1:]:
            total += single[i]
        assert total.to_bytes() == whole
        assert mw.Profile.count(baseline, [files[i] for i in order], **WINDOWS).to_bytes() == whole
    left, right = single[2] + single[0], single[3] + single[1]
    assert (left + right).to_bytes() == (right + left).to_bytes() == whole


def test_files_added_up_as_they_are_read_end_in_the_same_measures(baseline: mw.Baseline) -> None:
    files = [log(300, i) for i in range(7)]
    kept = mw.Profile.count(baseline, files, **WINDOWS)
    merged = [
        mw.Profile.count(baseline, [files[i] for i in order], keep_parts=False, **WINDOWS)
        for order in (range(7), reversed(range(7)), (3, 1, 6, 0, 2, 5, 4))
    ]
    assert merged[0].to_bytes() == merged[1].to_bytes() == merged[2].to_bytes()
    one = kept.merged()
    assert one is not None
    assert merged[0].parts[0].arrays().keys() == one.arrays().keys()
    assert all(np.array_equal(one.arrays()[name], a) for name, a in merged[0].parts[0].arrays().items())


@pytest.mark.parametrize("threads", [1, 2, 7])
def test_threads_change_no_byte(baseline: mw.Baseline, threads: int) -> None:
    files = [log(20_000, 5), log(3000, 6)]
    found = mw.Profile.count(baseline, files, threads=threads, **WINDOWS).to_bytes()
    assert found == mw.Profile.count(baseline, files, threads=1, **WINDOWS).to_bytes()
    assert mw.Baseline.fit(log(9000, 1), roles=ROLES, threads=threads).to_bytes() == (
        mw.Baseline.fit(log(9000, 1), roles=ROLES, threads=1).to_bytes()
    )


@given(st.lists(st.integers(1, 199), max_size=8), st.integers(0, 50), st.booleans(), st.randoms(use_true_random=False))
def test_exact_tables_are_equal_for_any_batches_and_any_order_of_rows(
    baseline: mw.Baseline, cuts: list[int], seed: int, dictionaries: bool, random: Any
) -> None:
    table = log(200, seed, days=40)
    wanted = mw.Profile.count(baseline, table, **WINDOWS).merged()
    found = mw.Profile.count(baseline, chunked(table, cuts, dictionaries=dictionaries), **WINDOWS).merged()
    assert exact_state(found) == exact_state(wanted)
    assert_close_moments(moments_of(found, baseline), moments_of(wanted, baseline))
    order = list(range(200))
    random.shuffle(order)
    shuffled = mw.Profile.count(baseline, table.take(order), **WINDOWS).merged()
    assert exact_state(shuffled) == exact_state(wanted)
    files = [table.slice(a, b - a) for a, b in itertools.pairwise(sorted({0, 200, *cuts}))]
    apart = mw.Profile.count(baseline, files, **WINDOWS).merged()
    assert exact_state(apart) == exact_state(wanted)
    assert_close_moments(moments_of(apart, baseline), moments_of(wanted, baseline))


def assert_close_moments(found: list[Any], wanted: list[Any]) -> None:
    for mine, theirs in zip(found, wanted, strict=True):
        assert mine[0] == theirs[0]
        n, sd = max(1, theirs[0]), np.sqrt(theirs[2] / max(1, theirs[0]))
        size = abs(theirs[1]) + sd
        for power, (a, b) in enumerate(zip(mine[1:], theirs[1:], strict=True), start=1):
            assert abs(a - b) <= MOMENTS_PARTITION * n * size**power


def test_moments_are_bit_equal_for_cuts_at_multiples_of_1024_and_close_for_others(baseline: mw.Baseline) -> None:
    table = log(9000, 3)
    wanted = moments_of(mw.Profile.count(baseline, table, window="1mo").merged(), baseline)
    for cuts in ([1024], [2048, 3072, 8192], [4096, 1024]):
        profile = mw.Profile.count(baseline, chunked(table, cuts), window="1mo")
        assert moments_of(profile.merged(), baseline) == wanted
    odd = mw.Profile.count(baseline, chunked(table, [1, 1000, 5555]), window="1mo")
    assert_close_moments(moments_of(odd.merged(), baseline), wanted)
    x = table["x"].combine_chunks().drop_null().to_numpy()
    x = x[np.isfinite(x)]
    (found, *_) = moments_of(mw.Profile.count(baseline, table).merged(), baseline)
    deviations = x.astype(np.longdouble) - x.astype(np.longdouble).mean()
    exact = (len(x), float(x.astype(np.longdouble).mean()), *(float((deviations**p).sum()) for p in (2, 3, 4)))
    assert_close_moments([found], [exact])


def test_blocks_add_up_to_their_window_and_segments_too(baseline: mw.Baseline) -> None:
    merged = mw.Profile.count(baseline, log(5000, 2), **WINDOWS).merged()
    assert merged is not None
    windows = [key[0] for key in merged.groups["window"]]
    assert windows[0] == UNTIMED
    assert len(windows) >= 4
    block_window = np.searchsorted(windows, [key[0] for key in merged.groups["block"]], side="right") - 1
    segment_window = np.searchsorted(windows, [key[0] for key in merged.groups["segment:text"]], side="right") - 1
    for name, to in (("block", block_window), ("segment:text", segment_window)):
        rows = np.bincount(to, merged.group_rows[name].astype(float), minlength=len(windows))
        assert rows.tolist() == merged.group_rows["window"].tolist()
    for column in baseline.columns:
        own = merged.tables[("window", column.name)]
        for w in range(len(windows)):
            if isinstance(column, NumericColumn):
                assert isinstance(own, NumericTable)
                coarse = batch.coarsened(column, batch.numeric_groups(column, own, w, w + 1, "fine"))
                wanted = coarse.slots[0].tolist()
            else:
                assert isinstance(own, CategoryTable)
                groups = categorical.category_groups(column, own, w, w + 1, "fine")
                wanted = categorical.coarsened(column, groups).slots[0].tolist()
            for name, to in (("block", block_window), ("segment:text", segment_window)):
                table = merged.tables[(name, column.name)]
                inside = [table.of_group(g, column.coarse_slots) for g in np.flatnonzero(to == w)]
                assert np.sum(inside, axis=0).tolist() == wanted


def test_a_profile_saved_loaded_and_compared_is_the_log_compared(baseline: mw.Baseline, tmp_path: Any) -> None:
    files = [log(900, 1), log(700, 2)]
    counted = mw.Profile.count(baseline, files[1], **WINDOWS) + mw.Profile.count(baseline, files[0], **WINDOWS)
    counted.save(tmp_path / "p.mwp")
    direct = mw.compare(baseline, files, **WINDOWS)
    assert mw.compare(baseline, mw.Profile.load(tmp_path / "p.mwp")).to_json() == direct.to_json()
    assert mw.compare(baseline, counted, window="1mo").to_json() == direct.to_json()
    with pytest.raises(mw.InputError, match="window=1mo, not 1d"):
        mw.compare(baseline, counted, window="1d")
    with pytest.raises(mw.InputError, match="another baseline"):
        mw.compare(mw.Baseline.fit(files[0], roles=ROLES), counted)


@pytest.mark.parametrize(
    "other", [{"window": "1d"}, {"window": None}, {"timezone": "UTC"}, {"segments": []}, {"memory": "1050KiB"}]
)
def test_profiles_counted_in_other_ways_do_not_add_up(baseline: mw.Baseline, other: dict[str, Any]) -> None:
    a = mw.Profile.count(baseline, log(9000, 1), **WINDOWS)
    b = mw.Profile.count(baseline, log(9000, 1), **{**WINDOWS, **other})
    with pytest.raises(mw.InputError, match=r"\.$"):
        a + b


def test_profiles_of_other_baselines_and_other_things_do_not_add_up(baseline: mw.Baseline) -> None:
    a = mw.Profile.count(baseline, log(50, 1))
    b = mw.Profile.count(mw.Baseline.fit(log(60, 1), roles=ROLES), log(50, 1))
    with pytest.raises(mw.InputError, match="baseline"):
        a + b
    with pytest.raises(TypeError):
        a + 1  # type: ignore[operator]


def test_rows_counted_twice_count_twice_in_any_order(baseline: mw.Baseline) -> None:
    file, other = log(500, 1), log(500, 2)
    twice = mw.Profile.count(baseline, [file, file], keep_parts=False)
    once = mw.Profile.count(baseline, [file], keep_parts=False)
    third = mw.Profile.count(baseline, [other], keep_parts=False)
    assert (twice + once + third).to_bytes() == (third + once + twice).to_bytes() == (once + third + twice).to_bytes()
    assert (twice + once).rows == 1500
    one, two = once.merged(), twice.merged()
    assert one is not None
    assert two is not None
    assert two.fingerprint != one.fingerprint
    for mine, theirs in zip(moments_of(two, baseline), moments_of(one, baseline), strict=True):
        assert mine[0] == 2 * theirs[0]


# Unseen values beyond the cap


def new_values(count: int) -> list[str]:
    return [f"value {i}" for i in range(count)]


def text_log(values: list[str | None], *, batch: int = 10**9) -> pa.Table:
    table = pa.table({"text": pa.array(values, pa.string()), "when": pa.array([0] * len(values), pa.timestamp("s"))})
    return pa.Table.from_batches(table.combine_chunks().to_batches(max_chunksize=batch))


@pytest.fixture(scope="module")
def text_baseline() -> mw.Baseline:
    return mw.Baseline.fit(text_log(["a", "b", "a", None]), roles=mw.Roles(timestamp="when"))


def assert_same_for_any_order(baseline: mw.Baseline, values: list[str], batch: int) -> Part:
    rng = np.random.default_rng(1)
    states = []
    for _ in range(3):
        shuffled = [values[i] for i in rng.permutation(len(values))]
        states.append(mw.Profile.count(baseline, text_log(shuffled, batch=batch), window="1d").merged())
        cut = int(rng.integers(1, len(values)))
        halves = [text_log(shuffled[:cut], batch=batch), text_log(shuffled[cut:])]
        states.append(mw.Profile.count(baseline, halves, window="1d").merged())
    first = states[0]
    assert first is not None
    for state in states[1:]:
        assert exact_state(state) == exact_state(first)
    return first


def test_12001_new_values_keep_the_10000_with_the_smallest_hashes(text_baseline: mw.Baseline) -> None:
    values = [*new_values(12_001), *new_values(500), "a"]
    part = assert_same_for_any_order(text_baseline, values, 4096)
    table = part.tables[("window", "text")]
    assert isinstance(table, CategoryTable)
    assert len(table.unseen) == parts.UNSEEN_CAP == 10_000
    counts = table.unseen_of(0)
    other = int(table.of_group(0, 4)[OTHER_SLOT])
    assert sum(counts.values()) + other == 12_501
    assert all(n == (2 if int(v.split()[1]) < 500 else 1) for v, n in counts.items())
    found = mw.compare(text_baseline, text_log(values)).results[0].values
    assert number(found["unseen"]) == 12_501 / 12_502
    assert found["distinct"].lower <= 12_002 <= found["distinct"].upper


@pytest.mark.parametrize("cap", [1, 2, 7])
@pytest.mark.parametrize("batch", [3, 10**9])
def test_a_small_cap_ends_in_the_same_state_for_any_order(
    text_baseline: mw.Baseline, monkeypatch: pytest.MonkeyPatch, cap: int, batch: int
) -> None:
    monkeypatch.setattr(parts, "UNSEEN_CAP", cap)
    monkeypatch.setattr(merging, "UNSEEN_CAP", cap)
    values = [v for i, v in enumerate(new_values(40)) for _ in range(1 + i % 3)] + ["a"] * 5
    part = assert_same_for_any_order(text_baseline, values, batch)
    fine, coarse = part.tables[("window", "text")], part.tables[("block", "text")]
    assert isinstance(fine, CategoryTable)
    assert len(fine.unseen) == cap
    assert int(fine.of_group(0, 4)[OTHER_SLOT]) + sum(fine.unseen_of(0).values()) == len(values) - 5
    assert int(coarse.of_group(0, 5)[COARSE_UNSEEN]) == len(values) - 5


def test_a_baseline_that_kept_only_some_categories_says_how_much_may_be_unseen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fit, "CATEGORY_CAP", 10)
    names = new_values(60)
    baseline = mw.Baseline.fit(text_log([*names, "a"]), roles=mw.Roles(timestamp="when"))
    part = assert_same_for_any_order(baseline, [*names, "never seen", "nor this"], 7)
    assert part.rows == 62
    found = mw.compare(baseline, text_log([*names, "never seen", "nor this"])).results[0].values
    assert found["unseen"].lower <= 2 / 62 <= found["unseen"].upper
    assert found["js_distance"].lower <= mw.stats.js_distance([*names, "a"], [*names, "never seen", "nor this"])
    same = mw.compare(baseline, text_log([*names, "a"])).results[0].values
    assert number(same["tv"]) == same["unseen"].lower == 0


@pytest.mark.parametrize("cap", [1, 4, 25])
def test_segments_beyond_the_cap_end_in_the_same_state_for_any_order(monkeypatch: pytest.MonkeyPatch, cap: int) -> None:
    monkeypatch.setattr(planner, "SEGMENT_CAP", cap)
    rng = np.random.default_rng(4)
    table = pa.table({"x": rng.normal(size=900), "shop": [f"shop {i}" for i in rng.integers(0, 40, 900)]})
    baseline = mw.Baseline.fit(table.select(["x"]))
    states = []
    for cuts in ([], [100, 500], [3, 7, 800]):
        shuffled = table.take(rng.permutation(900))
        ends = [0, *cuts, 900]
        files = [chunked(shuffled.slice(a, b - a), [50]) for a, b in itertools.pairwise(ends)]
        states.append(mw.Profile.count(baseline, files, segments=["shop"]).merged())
        states.append(mw.Profile.count(baseline, files, segments=["shop"], keep_parts=False).merged())
    assert states[0] is not None
    assert len(states[0].groups["segment:shop"]) == cap + 1
    assert int(states[0].group_rows["segment:shop"].sum()) == 900
    for state in states[1:]:
        assert exact_state(state) == exact_state(states[0])


# Calendars


@pytest.mark.parametrize("window", ["1mo", "1d", "1w", "6h"])
def test_windows_are_local_calendar_intervals_over_both_changes_of_the_clock(window: str) -> None:
    rng = np.random.default_rng(9)
    edges = np.array(["2013-03-10T05", "2013-03-10T07", "2013-03-11T04", "2013-04-01T04", "2013-11-01T04"], "M8[s]")
    fall = np.array(["2013-11-03T04", "2013-11-03T05", "2013-11-03T06", "2013-11-04T05", "2013-12-01T05"], "M8[s]")
    near = np.concatenate([edges, fall]).astype(np.int64)
    seconds = np.concatenate([near, near - 1, near + 1, rng.integers(1_361_000_000, 1_386_000_000, 500)])
    table = pa.table({"x": rng.normal(size=len(seconds)), "when": pa.array(seconds).cast(pa.timestamp("s", "UTC"))})
    report = mw.compare(mw.Baseline.fit(table, roles=mw.Roles(timestamp="when")), table, window=window, timezone=ZONE)
    local = table["when"].to_pandas().dt.tz_convert(ZONE)
    if window == "6h":
        midnight = local.dt.normalize()
        starts = midnight + (local - midnight) // np.timedelta64(6, "h") * np.timedelta64(6, "h")
    elif window == "1d":
        starts = local.dt.normalize()
    else:
        naive = local.dt.tz_localize(None)
        starts = naive.dt.to_period("M" if window == "1mo" else "W-SUN").dt.start_time.dt.tz_localize(ZONE)
    wanted = {stamp.isoformat(): int(n) for stamp, n in starts.value_counts().items()}
    assert {w.start: w.rows for w in report.windows if w.rows} == wanted
    for before, after in itertools.pairwise(report.windows):
        assert before.end == after.start
    assert sum(w.rows for w in report.windows) == len(table)


def test_a_profile_counted_one_way_is_not_compared_another_way() -> None:
    baseline = mw.Baseline.fit(text_log(["a", "b"] * 20), roles=mw.Roles(timestamp="when"))
    profile = mw.Profile.count(baseline, text_log(["a", "b"] * 20))
    for asked in ({"window": "1d"}, {"timezone": "Asia/Tokyo"}, {"segments": ["text"]}):
        with pytest.raises(mw.InputError, match="count the log again"):
            mw.compare(baseline, profile, **asked)


def test_the_fingerprint_of_a_baseline_does_not_name_the_version_of_the_library(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fit_one() -> mw.Baseline:
        return mw.Baseline.fit(text_log(["a", "b"] * 20), roles=mw.Roles(timestamp="when"))

    before, before_bytes = fit_one().fingerprint, fit_one().to_bytes()
    info = _core.build_info()
    monkeypatch.setattr(_core, "build_info", lambda: {**info, "version": "99.0"})
    after = fit_one()
    assert after.fingerprint == before
    assert after.to_bytes() != before_bytes
