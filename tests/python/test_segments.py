"""Segments: several segmentations at once, crossings, cuts of numbers, caps, versions; the same state for any order."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from state_makers import chunked, exact_state

import modelwatch_gpu as mw
from modelwatch_gpu import _core, keys
from modelwatch_gpu.measures import batch
from modelwatch_gpu.profile import segmentation
from modelwatch_gpu.profile.columns import NumericColumn
from modelwatch_gpu.profile.parts import SEGMENT_NULL, SEGMENT_OTHER, SEGMENT_VALUE, Part, segment_rank
from modelwatch_gpu.profile.tables import NumericTable

VALUE, NULL, OTHER = SEGMENT_VALUE, SEGMENT_NULL, SEGMENT_OTHER
ROLES = mw.Roles(timestamp="when", numeric=["whole"], ignore=["shop"])
ZONE = "America/New_York"
BY: list[str | tuple[str, ...]] = ["text", ("text", "whole"), ("x", "shop", "text")]


def log(rows: int, seed: int) -> pa.Table:
    """Numbers and text with null, NaN and infinities, a column the baseline ignores, versions, unsorted times."""
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 2, rows)
    x[rng.random(rows) < 0.05] = np.nan
    x[rng.random(rows) < 0.02] = -np.inf
    return pa.table(
        {
            "x": pa.array(x, mask=rng.random(rows) < 0.05),
            "whole": pa.array(rng.integers(-5, 40, rows), mask=rng.random(rows) < 0.05),
            "text": pa.array(rng.choice(["a", "b", "", "null"], rows), mask=rng.random(rows) < 0.1),
            "shop": pa.array(rng.integers(0, 5, rows) / 2, mask=rng.random(rows) < 0.1),
            "model_version": rng.choice(["1.0", "1.1"], rows),
            "when": pa.array(1_362_000_000 + rng.integers(0, 50 * 86_400, rows)).cast(pa.timestamp("s", "UTC")),
        }
    )


@pytest.fixture(scope="module")
def baseline() -> mw.Baseline:
    return mw.Baseline.fit(log(2000, 0), roles=ROLES, timezone=ZONE)


def counted(baseline: mw.Baseline, table: Any, **options: Any) -> Part:
    part = mw.Profile.count(baseline, table, **options).merged()
    assert part is not None
    return part


def rows_of(part: Part, columns: str) -> dict[tuple[Any, ...], int]:
    """Group key -> rows of one segmentation."""
    name = f"segment:{columns}"
    return dict(zip(part.groups[name], part.group_rows[name].tolist(), strict=True))


# ---- any order -------------------------------------------------------------------------------------------------------


@settings(max_examples=20)
@given(
    cuts=st.lists(st.integers(1, 149), max_size=6),
    seed=st.integers(0, 30),
    cap=st.sampled_from([1, 3, 20, None]),
    threads=st.sampled_from([1, 2, 7]),
    random=st.randoms(use_true_random=False),
)
def test_every_segmentation_is_the_same_for_any_rows_batches_files_merges_and_threads(
    baseline: mw.Baseline, cuts: list[int], seed: int, cap: int | None, threads: int, random: Any
) -> None:
    table = log(150, seed)
    options: dict[str, Any] = {"window": "1mo", "segments": BY, "versions": True, "max_groups": cap}
    wanted = exact_state(counted(baseline, table, **options))
    order = list(range(150))
    random.shuffle(order)
    shuffled = table.take(order)
    assert exact_state(counted(baseline, chunked(shuffled, cuts), threads=threads, **options)) == wanted
    files = [shuffled.slice(a, b - a) for a, b in itertools.pairwise(sorted({0, 150, *cuts}))]
    assert exact_state(counted(baseline, files, keep_parts=False, threads=threads, **options)) == wanted
    single = [mw.Profile.count(baseline, f, **options) for f in files]
    random.shuffle(single)
    total = single[0]
    for other in single[1:]:
        total = other + total
    assert exact_state(total.merged()) == wanted


def test_every_segmentation_counts_what_its_rows_counted_alone_would_be(baseline: mw.Baseline) -> None:
    table = log(600, 3)
    part = counted(baseline, table, segments=BY)
    for columns in ("text", "text,whole", "x,shop,text"):
        own = rows_of(part, columns)
        assert sum(own.values()) == 600
        for key in [k for k in own if own[k] > 4][:4]:
            mask = np.array([membership(baseline, row, columns.split(",")) == key[1:] for row in table.to_pylist()])
            assert int(mask.sum()) == own[key]
            alone = counted(baseline, table.filter(pa.array(mask)))
            for column in baseline.columns:
                at = part.groups[f"segment:{columns}"].index(key)
                found = part.tables[(f"segment:{columns}", column.name)].of_group(at, column.coarse_slots)
                whole = alone.tables[("window", column.name)]
                if isinstance(column, NumericColumn):
                    assert isinstance(whole, NumericTable)
                    fine = batch.numeric_groups(column, whole, 0, 1, "fine")
                    assert found.tolist() == batch.coarsened(column, fine).slots[0].tolist()
                else:
                    assert found.sum() == own[key]


def membership(baseline: mw.Baseline, row: dict[str, Any], columns: list[str]) -> tuple[Any, ...]:
    """The key of a row's segment, by comparing Python values."""
    out: list[Any] = []
    for name in columns:
        value = row[name]
        if value is None or value != value:
            out += [NULL, ""]
        elif name in ("x", "whole"):
            out += [VALUE, interval_of(baseline, name, value)]
        else:
            out += [VALUE, f"{value:g}" if name == "shop" else value]
    return tuple(out)


def interval_of(baseline: mw.Baseline, name: str, value: Any) -> str:
    cut = cut_of(baseline, name)
    return cut.labels[sum(value > edge for edge in edges_of(cut))]


def cut_of(baseline: mw.Baseline, name: str) -> segmentation.Cut:
    (cut,) = segmentation.segmentation((name,), baseline.by_name, baseline.part).cuts
    assert cut is not None
    return cut


def edges_of(cut: segmentation.Cut) -> list[Any]:
    return keys.values_of(cut.knots, cut.column.domain).tolist()


def test_days_of_23_and_25_hours_hold_their_segments() -> None:
    hours = (
        np.arange("2013-03-09T05", "2013-03-12T04", dtype="M8[h]"),
        np.arange("2013-11-02T04", "2013-11-05T05", dtype="M8[h]"),
    )
    seconds = np.concatenate(hours).astype("M8[s]").astype(np.int64)
    side = np.where(np.arange(len(seconds)) % 2, "odd", "even")
    table = pa.table(
        {"side": side, "when": pa.array(seconds).cast(pa.timestamp("s", "UTC")), "x": np.arange(len(side))}
    )
    base = mw.Baseline.fit(table, roles=mw.Roles(timestamp="when"), timezone=ZONE)
    part = counted(base, table, window="1d", segments=["side"])
    local = table["when"].to_pandas().dt.tz_convert(ZONE).dt.normalize()
    wanted = Counter((int(day.timestamp()), VALUE, own) for day, own in zip(local, side, strict=True))
    assert rows_of(part, "side") == wanted
    by_day = Counter(day for day, _, _ in wanted.elements())
    assert sorted(by_day.values()) == [23, 24, 24, 24, 24, 25]


# ---- crossings -------------------------------------------------------------------------------------------------------


def test_a_crossing_of_three_rows_worked_out_by_hand(baseline: mw.Baseline) -> None:
    table = pa.table({"text": ["a", "a", None], "shop": [1.5, None, None], "x": [0.0, 1.0, 2.0]})
    part = counted(baseline, table, segments=[("text", "shop"), "shop"])
    start = part.groups["window"][0][0]
    assert rows_of(part, "text,shop") == {
        (start, VALUE, "a", NULL, ""): 1,
        (start, VALUE, "a", VALUE, "1.5"): 1,
        (start, NULL, "", NULL, ""): 1,
    }
    assert rows_of(part, "shop") == {(start, VALUE, "1.5"): 1, (start, NULL, ""): 2}


def test_no_two_crossings_share_the_bytes_that_are_hashed() -> None:
    texts = ["", "a", "ab", "b", "\x00", "\x01\x00\x00\x00a", "null"]
    values = [(NULL, ""), *((VALUE, t) for t in texts)]
    crossings = [(*a, *b, *c) for a in values for b in values for c in values]
    joined = {segment_rank(tuple(c))[1] for c in crossings}
    assert len(joined) == len(crossings)
    assert segment_rank((VALUE, "é")) == (_core.hash_bytes("é".encode()), "é".encode())


def test_a_report_names_every_column_of_a_segment(baseline: mw.Baseline) -> None:
    table = log(400, 5)
    report = mw.compare(baseline, table, segments=["text", ("text", "model_version")], max_groups=3)
    assert report.segments == (("text",), ("text", "model_version"))
    found = json.loads(report.to_json())
    assert found["segments"] == ["text", "text,model_version"]
    keys = {tuple(row["segment"].items()) for row in found["measures"] if row["segment"]}
    assert (("text", "(other)"), ("model_version", "(other)")) in keys
    assert (("text", None),) in keys
    crossed = [dict(k) for k in keys if len(k) == 2]
    assert len(crossed) == 4
    drift = report.to_arrow().drift.to_pylist()
    assert {row["segment_key"] for row in drift} == {None, "text", "text,model_version"}
    shown = {row["segment_value"] for row in drift if row["segment_key"] == "text,model_version"}
    assert shown == {
        ",".join("null" if v is None else v for v in (one["text"], one["model_version"])) for one in crossed
    }
    assert {row["segment_value"] for row in drift if row["segment_key"] == "text"} >= {None}
    place = {(r.by, r.segment) for r in report.results}
    assert (("text",), ((NULL, ""),)) in place
    assert (("text", "model_version"), ((OTHER, ""), (OTHER, ""))) in place
    page = report.to_html()
    assert "model_version" in page
    finding = next(f for f in report.findings if f.by == ("text", "model_version"))
    assert set(report.segment_of(finding) or {}) == {"text", "model_version"}


# ---- numbers are cut into quarters -----------------------------------------------------------------------------------


def test_a_numeric_column_is_cut_at_the_quartiles_of_the_baseline_by_hand() -> None:
    base = mw.Baseline.fit(pa.table({"x": [1.0, 2, 3, 4, 5, 6, 7, 8]}))
    assert cut_of(base, "x").labels == ("≤ 2", "(2, 4]", "(4, 6]", "> 6")
    above = float(np.nextafter(2.0, 3))
    values = [2.0, above, -np.inf, np.inf, 6.0, 7.0, None, np.nan, -0.0]
    part = counted(base, pa.table({"x": pa.array(values, from_pandas=False)}), segments="x")
    assert {key[1:]: n for key, n in rows_of(part, "x").items()} == {
        (VALUE, "≤ 2"): 3,
        (VALUE, "(2, 4]"): 1,
        (VALUE, "(4, 6]"): 1,
        (VALUE, "> 6"): 2,
        (NULL, ""): 2,
    }


@settings(max_examples=40)
@given(
    data=st.data(),
    kind=st.sampled_from(["f4", "f8", "i8", "u8"]),
    shift=st.sampled_from([0, 2**53, 2**62]),
)
def test_cuts_are_decided_by_comparison_in_the_columns_own_type(data: Any, kind: str, shift: int) -> None:
    shift = shift if kind in ("i8", "u8") else 0
    numbers = st.integers(shift, shift + 40) if shift or kind == "u8" else st.integers(-20, 20)
    if kind.startswith("f"):
        numbers = st.floats(width=32 if kind == "f4" else 64, allow_nan=False)
    reference = np.array(data.draw(st.lists(numbers, min_size=12, max_size=40, unique=True)), dtype=kind)
    base = mw.Baseline.fit(pa.table({"x": reference}))
    cut = cut_of(base, "x")
    edges = edges_of(cut)
    assert set(cut.knots.tolist()) <= set(cut.column.knots[cut.column.coarse].tolist())
    assert len(set(cut.labels)) == len(edges) + 1 <= 4
    near = [*edges, *reference.tolist()]
    if kind.startswith("f"):
        near += [
            float(np.nextafter(np.array(e, dtype=kind), np.array(s, dtype=kind)))
            for e in edges
            for s in (-np.inf, np.inf)
        ]
    else:
        near += [e + d for e in edges for d in (-1, 1) if e + d >= 0 or kind == "i8"]
    part = counted(base, pa.table({"x": np.array(near, dtype=kind)}), segments=["x"])
    wanted = Counter(cut.labels[sum(v > e for e in edges)] for v in np.array(near, dtype=kind).tolist())
    assert {key[2]: n for key, n in rows_of(part, "x").items()} == wanted


@pytest.mark.parametrize("kind", ["f4", "f8", "i4", "u1", "i8"])
def test_a_retyped_log_is_cut_where_the_baseline_is(kind: str) -> None:
    reference = np.arange(100, dtype="i8")
    base = mw.Baseline.fit(pa.table({"x": reference}))
    values = np.arange(0, 100, 7)
    part = counted(base, pa.table({"x": values.astype(kind)}), segments=["x"])
    same = counted(base, pa.table({"x": values}), segments=["x"])
    assert rows_of(part, "x") == rows_of(same, "x")
    text = counted(base, pa.table({"x": ["1", "2"]}), segments=["x"])  # not comparable with numbers
    assert [key[1:] for key in rows_of(text, "x")] == [(NULL, "")]


def test_columns_without_quartiles_are_one_or_few_segments() -> None:
    steady = mw.Baseline.fit(pa.table({"x": [7] * 50}), roles=mw.Roles(numeric=["x"]))
    assert cut_of(steady, "x").labels == ("all values",)
    part = counted(steady, pa.table({"x": [6, 7, 8, None]}), segments=["x"])
    assert {key[1:]: n for key, n in rows_of(part, "x").items()} == {(VALUE, "all values"): 3, (NULL, ""): 1}
    mostly = mw.Baseline.fit(pa.table({"x": [0.0] * 90 + [float(i) for i in range(1, 11)]}))
    assert cut_of(mostly, "x").labels == ("≤ 0", "> 0")
    endless = mw.Baseline.fit(pa.table({"x": [-np.inf] * 30 + [np.inf] * 30 + [1.0, 2.0, 3.0]}))
    assert all(np.isfinite(edges_of(cut_of(endless, "x"))))
    empty = mw.Baseline.fit(pa.table({"x": pa.array([None] * 3 + [1.5], pa.float64()), "y": [1, 2, 3, 4]}))
    assert cut_of(empty, "x").labels == ("all values",)


def test_edges_that_six_digits_do_not_tell_apart_get_more() -> None:
    reference = 1 + np.arange(16) * 1e-9
    labels = cut_of(mw.Baseline.fit(pa.table({"x": reference})), "x").labels
    assert len(set(labels)) == 4
    big = mw.Baseline.fit(pa.table({"x": 2**60 + np.arange(16)}))
    assert cut_of(big, "x").labels[0] == f"≤ {2**60 + 3}"


def test_columns_the_baseline_does_not_have_are_taken_by_value(baseline: mw.Baseline) -> None:
    odd = [1.0, -0.0, 0.0, float("nan"), None, 0.1]
    table = pa.table(
        {
            "x": [0.0] * 6,
            "number": pa.array(odd, from_pandas=False),
            "flag": [True, False, None, True, True, True],
            "code": pa.DictionaryArray.from_arrays(pa.array([0, 1, 2, None, 0, 1], pa.int8()), ["p", "q", None]),
        }
    ).slice(0, 6)
    part = counted(baseline, table, segments=["number", "flag", "code"])
    assert {k[1:]: n for k, n in rows_of(part, "number").items()} == {
        (VALUE, "1"): 1,
        (VALUE, "0"): 2,
        (VALUE, "0.1"): 1,
        (NULL, ""): 2,
    }
    assert {k[1:]: n for k, n in rows_of(part, "flag").items()} == {
        (VALUE, "true"): 4,
        (VALUE, "false"): 1,
        (NULL, ""): 1,
    }
    assert {k[1:]: n for k, n in rows_of(part, "code").items()} == {(VALUE, "p"): 2, (VALUE, "q"): 2, (NULL, ""): 2}


def test_a_full_dictionary_of_narrow_codes_still_has_room_for_null(baseline: mw.Baseline) -> None:
    names = [f"v{i}" for i in range(128)]
    codes = pa.array([*range(128), None], pa.int8())
    table = pa.table({"x": [0.0] * 129, "code": pa.DictionaryArray.from_arrays(codes, names)})
    assert len(rows_of(counted(baseline, table, segments=["code"]), "code")) == 129


# ---- caps ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [3, 10**9])
def test_the_segments_with_the_smallest_hashes_stay_apart_by_hand(baseline: mw.Baseline, batch: int) -> None:
    values = ["p", "q", "r", "s", "t", None, "p", "s"]
    table = pa.Table.from_batches(
        pa.table({"shop": values, "x": np.zeros(8)}).combine_chunks().to_batches(max_chunksize=batch)
    )
    kept = sorted("pqrst", key=lambda v: (_core.hash_bytes(v.encode()), v))[:2]
    part = counted(baseline, table, segments=["shop"], max_groups=2)
    found = {key[1:]: n for key, n in rows_of(part, "shop").items()}
    rows = Counter(v for v in values if v is not None)
    assert found == {
        **{(VALUE, v): rows[v] for v in kept},
        (NULL, ""): 1,
        (OTHER, ""): sum(n for v, n in rows.items() if v not in kept),
    }


def test_profiles_of_different_caps_add_up_under_the_lower_one(baseline: mw.Baseline) -> None:
    first, second = log(300, 1), log(300, 2)
    low = mw.Profile.count(baseline, first, segments=BY, max_groups=7)
    high = mw.Profile.count(baseline, second, segments=BY, max_groups=50)
    assert (low + high).to_bytes() == (high + low).to_bytes()
    wanted = counted(baseline, [first, second], segments=BY, max_groups=7)
    assert exact_state((low + high).merged()) == exact_state(wanted)
    assert (low + high).segment_cap == 7


def test_thousands_of_segments_beyond_the_cap_end_in_the_same_state(baseline: mw.Baseline) -> None:
    rng = np.random.default_rng(4)
    table = pa.table({"x": rng.normal(size=4000), "shop": rng.integers(0, 3000, 4000)})
    wanted = exact_state(counted(baseline, table, segments=["shop"], max_groups=50))
    turned = chunked(table.take(rng.permutation(4000)), [100, 1500, 1501])
    assert exact_state(counted(baseline, turned, segments=["shop"], max_groups=50)) == wanted
    files = [turned.slice(0, 1000), turned.slice(1000, 500), turned.slice(1500)]
    assert exact_state(counted(baseline, files, segments=["shop"], max_groups=50, keep_parts=False)) == wanted


# ---- versions --------------------------------------------------------------------------------------------------------


def test_versions_are_a_segmentation_on_the_fine_grid(baseline: mw.Baseline) -> None:
    table = log(500, 7)
    profile = mw.Profile.count(baseline, table, window="1mo", versions=True, segments=["text"])
    assert profile.segments == (("text",), ("model_version",))
    assert {s.name: (s.grid, s.columns) for s in profile.sets if s.columns} == {
        "segment:text": ("coarse", ("text",)),
        "segment:model_version": ("fine", ("model_version",)),
    }
    same = mw.Profile.count(
        baseline, table, window="1mo", segments=["text", "model_version"], promote=["model_version"]
    )
    assert same.to_bytes() == profile.to_bytes()
    report = mw.compare(baseline, table, window="1mo", versions=True)
    own = {r.segment for r in report.results if r.by}
    assert own == {((VALUE, "1.0"),), ((VALUE, "1.1"),)}
    alone = mw.compare(baseline, table.filter(pa.array(np.array(table["model_version"]) == "1.1")), window="1mo")
    for mine in (r for r in report.results if r.segment == ((VALUE, "1.1"),)):
        (theirs,) = (r for r in alone.results if r.start == mine.start and r.column.name == mine.column.name)
        # Moments of other blocks of rows do not have the same bits, and only windows estimate distinct values.
        ordered = ("mean_shift", "sd_ratio", "distinct")
        assert {k: v for k, v in mine.values.items() if k not in ordered} == {
            k: v for k, v in theirs.values.items() if k not in ordered
        }


def test_a_version_that_is_a_number_is_taken_by_value() -> None:
    table = pa.table({"model_version": np.arange(40) % 20, "x": np.arange(40.0)})
    base = mw.Baseline.fit(table)
    assert base.by_name["model_version"].kind == "numeric"
    assert len(rows_of(counted(base, table, versions=True), "model_version")) == 20


def test_versions_go_back_to_the_coarse_grid_where_memory_does_not_do(baseline: mw.Baseline) -> None:
    table = log(4000, 1)
    coarse = mw.Profile.count(baseline, table, versions=True, memory="250KiB")
    assert {s.name: s.grid for s in coarse.sets}["segment:model_version"] == "coarse"
    (note,) = (n for n in coarse.notes if "model_version" in n)
    assert "raise memory=" in note
    fine = mw.Profile.count(baseline, table, versions=True)
    assert {s.name: s.grid for s in fine.sets}["segment:model_version"] == "fine"
    assert not fine.notes


# ---- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"segments": ["nobody"]}, "Cannot segment by 'nobody'"),
        ({"segments": [("text", "nobody")]}, "Cannot segment by 'nobody'"),
        ({"segments": [("text", "x", "whole", "shop")]}, "at most 3 columns, not 4"),
        ({"segments": [("text", "text")]}, "names a column twice"),
        ({"segments": ["text", "text"]}, "given twice"),
        ({"segments": [("text", "x"), ("x", "text")]}, "given twice"),
        ({"segments": [()]}, "A segmentation is a column name"),
        ({"segments": [7]}, "A segmentation is a column name"),
        ({"segments": [""]}, "A segmentation is a column name"),
        ({"segments": ["text"], "promote": ["x"]}, "Cannot promote x"),
        ({"segments": ["text"], "max_groups": 0}, "max_groups must be"),
        ({"segments": ["text"], "max_groups": 1.5}, "max_groups must be"),
    ],
)
def test_segmentations_that_make_no_sense_are_refused(baseline: mw.Baseline, options: Any, says: str) -> None:
    with pytest.raises(mw.InputError, match=says) as caught:
        mw.compare(baseline, log(20, 0), **options)
    assert "\n" not in str(caught.value)


def test_what_has_no_values_to_tell_apart_is_no_segment(baseline: mw.Baseline) -> None:
    table = log(20, 0).append_column("list", pa.array([[1]] * 20))
    with pytest.raises(mw.InputError, match="Cannot segment by 'list': its type is list"):
        mw.compare(baseline, table, segments=["list"])
    with pytest.raises(mw.InputError, match="no column with that role"):
        mw.compare(mw.Baseline.fit(table.select(["x", "text"])), table, versions=True)


def test_a_file_without_the_column_is_a_segment_of_null(baseline: mw.Baseline) -> None:
    whole = log(40, 1)
    part = counted(baseline, [whole, whole.drop_columns(["shop"])], segments=[("text", "shop")])
    own = rows_of(part, "text,shop")
    assert sum(own.values()) == 80
    assert sum(n for key, n in own.items() if key[3] == NULL) >= 40


def test_no_segments_can_be_said_as_none_and_a_number_is_refused() -> None:
    log = pa.table({"x": [1.0, 2.0]})
    own = mw.Baseline.fit(log)
    assert mw.Profile.count(own, log, segments=None).to_bytes() == mw.Profile.count(own, log).to_bytes()
    with pytest.raises(mw.InputError, match="segments= takes a column name, a condition or a list of them, not 7"):
        mw.Profile.count(own, log, segments=7)  # type: ignore[arg-type]
