"""Parts are dropped and replaced, never subtracted; compact tables; files of format 1."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from state_makers import exact_state, log

import modelwatch_gpu as mw
from modelwatch_gpu.profile import open_tables, profile
from modelwatch_gpu.profile.parts import Part
from modelwatch_gpu.profile.sparse import SparseRows, begins, merge_rows

DATA = Path(__file__).parents[1] / "data"
OPTIONS: dict[str, Any] = {"window": "1mo", "segments": ["text", ("text", "whole")]}


@pytest.fixture(scope="module")
def baseline() -> mw.Baseline:
    return mw.Baseline.fit(log(1500, 0), roles=mw.Roles(timestamp="when", numeric=["whole"]))


def fingerprint_of(baseline: mw.Baseline, table: Any, **options: Any) -> str:
    (part,) = mw.Profile.count(baseline, table, **{**OPTIONS, **options}).parts
    return part.fingerprint


# ---- drop and replace ------------------------------------------------------------------------------------------------


@settings(max_examples=15)
@given(st.permutations(range(4)), st.integers(0, 3))
def test_dropping_a_file_is_never_having_counted_it(baseline: mw.Baseline, order: list[int], gone: int) -> None:
    files = [log(60 + 10 * i, i) for i in range(4)]
    whole = mw.Profile.count(baseline, [files[i] for i in order], **OPTIONS)
    dropped = whole.drop(fingerprint_of(baseline, files[gone]))
    without = mw.Profile.count(baseline, [files[i] for i in order if i != gone], **OPTIONS)
    assert dropped.to_bytes() == without.to_bytes()
    assert whole.rows - dropped.rows == len(files[gone])
    changed = log(77, 9)
    replaced = whole.replace(fingerprint_of(baseline, files[gone]), mw.Profile.count(baseline, changed, **OPTIONS))
    anew = mw.Profile.count(baseline, [changed if i == gone else files[i] for i in order], **OPTIONS)
    assert replaced.to_bytes() == anew.to_bytes()
    again, wanted = replaced.merged(), anew.merged()
    assert again is not None
    assert wanted is not None
    assert again.span == wanted.span
    assert again.rows == wanted.rows


def test_the_last_part_and_one_of_two_equal_parts_can_be_dropped(baseline: mw.Baseline) -> None:
    file = log(50, 1)
    once, twice = (mw.Profile.count(baseline, [file] * n, **OPTIONS) for n in (1, 2))
    (own,) = {part.fingerprint for part in twice.parts}
    assert twice.drop(own).to_bytes() == once.to_bytes()
    nothing = once.drop(own)
    assert nothing.rows == 0
    assert nothing.merged() is None
    assert (nothing + once).to_bytes() == once.to_bytes()
    assert once.rows == 50


def test_what_is_not_a_part_of_its_own_is_not_dropped(baseline: mw.Baseline) -> None:
    files = [log(50, 1), log(60, 2)]
    kept = mw.Profile.count(baseline, files, **OPTIONS)
    merged = mw.Profile.count(baseline, files, keep_parts=False, **OPTIONS)
    with pytest.raises(mw.InputError, match="no part of one file with the fingerprint 'abc'"):
        kept.drop("abc")
    with pytest.raises(mw.InputError, match=r"nothing is subtracted.*keep_parts=True"):
        merged.drop(kept.parts[0].fingerprint)
    with pytest.raises(mw.InputError, match="no part of one file"):
        merged.drop(merged.parts[0].fingerprint)
    with pytest.raises(mw.InputError, match="window differs"):
        kept.replace(kept.parts[0].fingerprint, mw.Profile.count(baseline, files[0]))


# ---- files of format 1 -----------------------------------------------------------------------------------------------


def without_sketches(state: dict[str, Any]) -> dict[str, Any]:
    """What format 1 has of a state."""
    return {name: found for name, found in state.items() if not re.search("/(bucket|register)", name)}


def test_a_profile_of_format_1_is_read_as_if_it_were_written_today() -> None:
    def made(rows: int, seed: int) -> pa.Table:
        rng = np.random.default_rng(seed)
        return pa.table(
            {
                "x": rng.integers(0, 40, rows).astype("f8"),
                "text": pa.array(rng.choice(["a", "b", "é"], rows), mask=rng.random(rows) < 0.1),
                "when": pa.array(1_362_000_000 + rng.integers(0, 40 * 86_400, rows)).cast(pa.timestamp("s", "UTC")),
            }
        )

    baseline = mw.Baseline.load(DATA / "format_1.mwb")
    old = mw.Profile.load(DATA / "format_1.mwp")
    assert old.segments == (("text",),)
    assert [s.name for s in old.sets] == ["window", "block", "segment:text"]
    new = mw.Profile.count(baseline, [made(120, 1), made(90, 2)], window="1mo", segments=["text"])
    assert without_sketches(exact_state(old.merged())) == without_sketches(exact_state(new.merged()))
    assert old.merged() is not None
    assert mw.compare(baseline, old, window="1mo", segments=["text"]).rows == 210
    more = old + mw.Profile.count(baseline, made(30, 3), window="1mo", segments=["text"])
    assert more.rows == 240
    assert mw.Profile.count(baseline, made(1, 1), window="1mo").baseline == old.baseline


# ---- compact tables --------------------------------------------------------------------------------------------------

ENTRIES = st.dictionaries(
    st.tuples(st.integers(0, 5), st.sampled_from([0, 1, 7, 255, 256, 70_000])),
    st.sampled_from([1, 2, 200, 255, 256, 65_535, 2**32, 2**63 - 1]),
    max_size=12,
)


def rows_from(entries: dict[tuple[int, int], int], groups: int) -> SparseRows:
    keys = sorted(entries)
    group = np.array([k[0] for k in keys], dtype=np.int64)
    return SparseRows.of(
        begins(np.bincount(group, minlength=groups)),
        np.array([k[1] for k in keys], dtype=np.uint32),
        np.array([entries[k] for k in keys], dtype=np.uint64),
    )


def entries_of(rows: SparseRows) -> dict[tuple[int, int], int]:
    return {
        (g, int(i)): int(v) for g in range(rows.groups) for i, v in zip(*(a.tolist() for a in rows.row(g)), strict=True)
    }


@given(tables=st.lists(st.tuples(ENTRIES, st.lists(st.integers(0, 3), min_size=6, max_size=6)), min_size=1, max_size=4))
def test_a_merge_is_the_sum_over_a_dictionary(tables: Any) -> None:
    wanted: dict[tuple[int, int], int] = {}
    for entries, to in tables:
        for (group, index), value in entries.items():
            key = (to[group], index)
            wanted[key] = wanted.get(key, 0) + value
    if max(wanted.values(), default=0) >= 2**64:
        return
    merged = merge_rows([rows_from(e, 6) for e, _ in tables], [np.array(to, dtype=np.uint32) for _, to in tables], 4)
    assert entries_of(merged) == wanted
    again = rows_from(wanted, 4)
    for name in ("begin", "index", "value"):
        mine, theirs = getattr(merged, name), getattr(again, name)
        assert mine.dtype == theirs.dtype
        assert mine.tolist() == theirs.tolist()


def test_entries_stand_in_the_narrowest_types_that_hold_them() -> None:
    rows = rows_from({(0, 5): 255, (1, 256): 1}, 3)
    assert rows.index.dtype == np.uint16
    assert rows.value.dtype == np.uint8
    assert rows.dense(0, 8).tolist() == [0, 0, 0, 0, 0, 255, 0, 0]
    assert rows.dense(2, 3).tolist() == rows.dense(9, 3).tolist() == [0, 0, 0]
    assert SparseRows.empty(2).group.tolist() == []


@pytest.mark.parametrize(
    ("group", "index", "value"), [([0, 0], [3, 3], [1, 1]), ([1, 0], [0, 0], [1, 1]), ([5], [0], [1]), ([0], [0], [])]
)
def test_entries_that_are_out_of_order_are_not_read(group: list[int], index: list[int], value: list[int]) -> None:
    with pytest.raises(ValueError, match="cell"):
        SparseRows.from_triples(np.array(group), np.array(index), np.array(value), 3, "cell")


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sizes=st.lists(st.integers(0, 200), min_size=2, max_size=6),
    worth=st.sampled_from([1, 8, 10**6]),
    cap=st.sampled_from([3, 100]),
    least=st.sampled_from([0, 300]),
)
def test_a_sum_that_is_kept_open_is_the_sum_of_all_parts(
    monkeypatch: pytest.MonkeyPatch, baseline: mw.Baseline, sizes: list[int], worth: int, cap: int, least: int
) -> None:
    # Else these tables are too small for it. Most columns are opened at once, later or never, and groups come and go.
    monkeypatch.setattr(open_tables, "_LEAST_GROUPS", 1)
    monkeypatch.setattr(open_tables, "_USED_OF", worth)
    monkeypatch.setattr(profile, "MERGE_LEAST", least)
    files = [log(rows, i) for i, rows in enumerate(sizes)]
    files[1] = files[1].drop_columns(["small"])
    options = {**OPTIONS, "segments": ["text", ("text", "whole")], "max_groups": cap}
    total = mw.Profile.count(baseline, files, keep_parts=False, **options)
    kept = mw.Profile.count(baseline, files, **options)
    assert total.to_bytes() == replace(kept, parts=(kept.merged(),)).to_bytes()


def test_a_streaming_merge_lets_go_of_what_it_has_added(baseline: mw.Baseline) -> None:
    files = [log(100, i) for i in range(6)]
    total = mw.Profile.count(baseline, files, keep_parts=False, **OPTIONS)
    kept = mw.Profile.count(baseline, files, **OPTIONS).merged()
    assert kept is not None
    (one,) = total.parts
    assert one.fingerprint == kept.fingerprint
    assert all(itertools.starmap(np.array_equal, zip(one.arrays().values(), kept.arrays().values(), strict=True)))


def test_comparing_one_log_takes_no_fingerprints(baseline: mw.Baseline, monkeypatch: pytest.MonkeyPatch) -> None:
    file, asked = log(50, 1), []
    own = Part._own_fingerprint
    monkeypatch.setattr(Part, "_own_fingerprint", lambda part: asked.append(part) or own(part))
    fitted = mw.Baseline.fit(file, roles=mw.Roles(timestamp="when", numeric=["whole"]))
    for reference in (fitted, baseline):
        assert mw.compare(reference, file, window="1mo").rows == 50
    assert not asked
    (part,) = mw.Profile.count(baseline, file, **OPTIONS).parts
    assert part.origins == (part.fingerprint,)
    assert part.header()["origins"] == [fingerprint_of(baseline, file)]
    assert sum(one is part for one in asked) == 1
