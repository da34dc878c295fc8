"""Rows with weights: a row of weight k counts as k rows do, and everything that is exact stays so."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from log_makers import StreamOnly
from state_makers import chunked, exact_state, moments_of
from weight_makers import ROLES, ZONE, repeated, unweighted, weighted

import modelwatch_gpu as mw
from modelwatch_gpu.profile import fileio
from modelwatch_gpu.profile.columns import CategoricalColumn, NumericColumn
from modelwatch_gpu.profile.parts import Part
from modelwatch_gpu.profile.planner import GroupCounts, plan
from modelwatch_gpu.profile.weights import Weighting

WINDOWS: dict[str, Any] = {"window": "1mo", "segments": ["text", ("text", "x")], "promote": ["text"]}


@pytest.fixture(scope="module")
def baseline() -> mw.Baseline:
    return mw.Baseline.fit(weighted(2000, 0), roles=ROLES, timezone=ZONE)


def merged(profile: mw.Profile) -> Part:
    part = profile.merged()
    assert part is not None
    return part


def counts(part: Part) -> dict[str, Any]:
    """Every count of a part by set, column and group key; groups that nothing is counted in are left out."""
    out: dict[str, Any] = {}
    for (name, column), table in part.tables.items():
        arrays = {n: a for n, a in table.arrays().items() if "moment" not in n}
        keys = part.groups[name]
        named = {n: [keys[g] for g in a.tolist()] if n.endswith("_group") else a.tolist() for n, a in arrays.items()}
        out[f"{name}/{column}"] = named
    return out


@pytest.mark.parametrize("exact_up_to", [131_072, 40])
def test_a_log_with_whole_weights_is_counted_as_its_repeated_rows(exact_up_to: int) -> None:
    reference, current = weighted(1500, 0), weighted(900, 1)
    of_weights = mw.Baseline.fit(reference, roles=ROLES, timezone=ZONE, exact_up_to=exact_up_to)
    of_rows = unweighted(of_weights, repeated(reference))
    assert of_weights.weighting == Weighting("w", 0)
    assert counts(of_weights.part) == counts(of_rows.part)
    found = merged(mw.Profile.count(of_weights, current, **WINDOWS))
    wanted = merged(mw.Profile.count(of_rows, repeated(current), **WINDOWS))
    assert counts(found) == counts(wanted)
    by_key = dict(zip(wanted.groups["window"], wanted.group_rows["window"].tolist(), strict=True))
    totals = zip(found.groups["window"], found.weights["window"].total.tolist(), strict=True)
    assert {key: total for key, total in totals if total} == by_key
    for mine, theirs in zip(moments_of(found, of_weights), moments_of(wanted, of_rows), strict=True):
        assert mine[0] == theirs[0]
        assert np.allclose(mine[1:], theirs[1:], rtol=1e-9, atol=1e-6)


def test_a_wide_grid_of_weights_is_counted_as_its_repeated_rows() -> None:
    rng = np.random.default_rng(3)
    values, w = rng.permutation(20_000) / 7, rng.integers(0, 3, 20_000)
    reference, current = pa.table({"x": values, "w": w}), pa.table({"x": values[:50] + 0.01, "w": w[:50]})
    found = mw.Baseline.fit(reference, roles=mw.Roles(weight="w"))
    wanted = mw.Baseline.fit(repeated(reference))
    assert counts(found.part) == counts(wanted.part)
    a, b = mw.Profile.count(found, current), mw.Profile.count(wanted, repeated(current))
    assert counts(merged(a)) == counts(merged(b))


@given(st.lists(st.integers(0, 4), min_size=40, max_size=40), st.lists(st.integers(0, 4), min_size=30, max_size=30))
def test_whole_weights_fit_and_count_as_repeated_rows(w: list[int], v: list[int]) -> None:
    reference, current = weighted(40, 2, w, days=3), weighted(30, 4, v, days=3)
    if not any(w):
        return
    found = mw.Baseline.fit(reference, roles=ROLES)
    wanted = mw.Baseline.fit(repeated(reference), roles=replace(ROLES, weight=None))
    assert [c.name for c in found.columns] == [c.name for c in wanted.columns]
    for mine, theirs in zip(found.columns, wanted.columns, strict=True):
        if isinstance(mine, NumericColumn):
            assert isinstance(theirs, NumericColumn)
            assert mine.deciles == theirs.deciles
            assert all(np.array_equal(getattr(mine, n), getattr(theirs, n)) for n in ("knots", "coarse", "edges"))
        else:
            assert isinstance(mine, CategoricalColumn)
            assert isinstance(theirs, CategoricalColumn)
            assert (mine.categories, mine.kept.tolist()) == (theirs.categories, theirs.kept.tolist())
    assert counts(found.part) == counts(wanted.part)
    if any(v):
        a = merged(mw.Profile.count(found, current, segments=["text"]))
        b = merged(mw.Profile.count(wanted, repeated(current), segments=["text"]))
        assert counts(a) == counts(b)


@pytest.mark.parametrize("scale", [1, 0.37])
def test_files_in_any_order_and_with_any_threads_add_up_to_the_same_bytes(baseline: mw.Baseline, scale: float) -> None:
    files = [weighted(300 + 100 * i, i, np.arange(300 + 100 * i) % 4 * scale) for i in range(3)]
    own = mw.Baseline.fit(files, roles=ROLES, timezone=ZONE)
    assert (own.weighting == Weighting("w", 0)) == (scale == 1)
    whole = mw.Profile.count(own, files, **WINDOWS).to_bytes()
    single = [mw.Profile.count(own, f, **WINDOWS) for f in files]
    for order in itertools.permutations(range(3)):
        assert mw.Baseline.fit([files[i] for i in order], roles=ROLES, timezone=ZONE).to_bytes() == own.to_bytes()
        a, b, c = (single[i] for i in order)
        assert (a + b + c).to_bytes() == (a + (b + c)).to_bytes() == whole
        apart = mw.Profile.count(own, [files[i] for i in order], keep_parts=False, **WINDOWS)
        assert exact_state(apart.merged()) == exact_state(mw.Profile.count(own, files, **WINDOWS).merged())
    for threads in (1, 3):
        assert mw.Profile.count(own, files, threads=threads, **WINDOWS).to_bytes() == whole
        assert mw.Baseline.fit(files, roles=ROLES, timezone=ZONE, threads=threads).to_bytes() == own.to_bytes()


@settings(max_examples=30)
@given(st.lists(st.integers(1, 199), max_size=6), st.integers(0, 20), st.randoms(use_true_random=False))
def test_exact_tables_are_equal_for_any_batches_and_any_order_of_rows(
    baseline: mw.Baseline, cuts: list[int], seed: int, random: Any
) -> None:
    table = weighted(200, seed, days=40)
    options = {"window": "1d", "segments": ["text"]}
    wanted = exact_state(mw.Profile.count(baseline, table, **options).merged())
    order = random.sample(range(200), 200)
    ends = sorted({0, 200, *cuts})
    files = [table.slice(a, b - a) for a, b in itertools.pairwise(ends)]
    for other in (chunked(table, cuts), table.take(order), files):
        assert exact_state(mw.Profile.count(baseline, other, **options).merged()) == wanted


def test_rows_of_weight_0_count_only_as_rows(baseline: mw.Baseline) -> None:
    table = weighted(600, 3)
    silent = weighted(200, 5, np.zeros(200, dtype=int))
    both = pa.concat_tables([table, silent])
    found, wanted = (merged(mw.Profile.count(baseline, t, **WINDOWS)) for t in (both, table))
    assert found.rows == 800
    assert int(found.group_rows["window"].sum()) == 800
    assert counts(found) == counts(wanted)
    for name, keys in wanted.groups.items():
        at = [found.groups[name].index(key) for key in keys]
        assert found.weights[name].total[at].tolist() == wanted.weights[name].total.tolist()
        assert found.weights[name].total.sum() == wanted.weights[name].total.sum()
    # A segment that only they have is there, with rows and without weight.
    new = next(i for i, key in enumerate(found.groups["segment:text"]) if "new 5" in key)
    assert found.group_rows["segment:text"][new] > 0
    assert found.weights["segment:text"].total[new] == 0


def test_rows_of_weight_0_have_no_say_in_a_baseline(baseline: mw.Baseline) -> None:
    silent = weighted(100, 5, np.zeros(100, dtype=int))
    other = mw.Baseline.fit(pa.concat_tables([weighted(2000, 0), silent]), roles=ROLES, timezone=ZONE)
    assert other.rows == 2100
    for mine, theirs in zip(other.columns, baseline.columns, strict=True):
        if isinstance(mine, NumericColumn):
            assert isinstance(theirs, NumericColumn)
            assert np.array_equal(mine.knots, theirs.knots)
    assert counts(other.part) == counts(baseline.part)


def test_windows_of_rows_are_of_rows_and_not_of_weight(baseline: mw.Baseline) -> None:
    table = weighted(500, 6)
    found = merged(mw.Profile.count(baseline, chunked(table, [7, 130, 333]), window="100rows"))
    assert found.group_rows["window"].tolist() == [100] * 5
    weights = table["w"].to_numpy().astype(int)
    assert found.weights["window"].total.tolist() == [int(weights[i : i + 100].sum()) for i in range(0, 500, 100)]
    assert found.weights["window"].squares == [int((weights[i : i + 100] ** 2).sum()) for i in range(0, 500, 100)]


def test_segments_beyond_the_cap_and_versions_keep_their_weights(baseline: mw.Baseline) -> None:
    table = weighted(800, 7)
    capped = merged(mw.Profile.count(baseline, table, segments=["text"], max_groups=2))
    assert capped.weights["segment:text"].total.sum() == capped.weights["window"].total.sum()
    assert sum(capped.weights["segment:text"].squares) == sum(capped.weights["window"].squares)
    roles = replace(ROLES, version="text")
    by_version = mw.Baseline.fit(weighted(500, 0), roles=roles, timezone=ZONE)
    found = merged(mw.Profile.count(by_version, table, versions=True))
    texts, weights = table["text"].to_pylist(), table["w"].to_pylist()
    for key, total in zip(found.groups["segment:text"], found.weights["segment:text"].total.tolist(), strict=True):
        wanted = None if key[1] == 1 else key[2]
        assert total == sum(w for t, w in zip(texts, weights, strict=True) if t == wanted)


def test_a_sample_has_the_weights_and_no_row_that_does_not_count(baseline: mw.Baseline) -> None:
    table = weighted(400, 8)
    kept = mw.Profile.count(baseline, table, sample=60).sample
    assert kept is not None
    assert len(kept) == 60
    assert min(kept["w"].to_pylist()) >= 1
    reverse = mw.Profile.count(baseline, [table.slice(200), table.slice(0, 200)], sample=60).sample
    assert reverse is not None
    assert str(reverse.to_pylist()) == str(kept.to_pylist())  # NaN is NaN


def test_logs_that_can_be_read_once_and_text_have_the_same_weights(baseline: mw.Baseline, tmp_path: Path) -> None:
    table = weighted(2000, 0)
    assert mw.Baseline.fit(StreamOnly(table), roles=ROLES, timezone=ZONE).to_bytes() == baseline.to_bytes()
    current = weighted(300, 1)
    wanted = mw.Profile.count(baseline, current).to_bytes()
    assert mw.Profile.count(baseline, StreamOnly(current)).to_bytes() == wanted
    pacsv.write_csv(pa.table({"x": [1.5, 2.5], "w": [0.5, 1.5]}), tmp_path / "log.csv")
    fitted = mw.Baseline.fit(tmp_path / "log.csv", roles=mw.Roles(weight="w"))
    assert fitted.part.weights["window"].total.tolist() == [2 << 15]
    (tmp_path / "empty.csv").write_text("x,w\n")
    with pytest.raises(mw.InputError, match="The reference has no rows"):
        mw.Baseline.fit(tmp_path / "empty.csv", roles=mw.Roles(weight="w"))


# ---- Files -----------------------------------------------------------------------------------------------------------


def test_baselines_and_profiles_with_weights_come_back_from_their_files(baseline: mw.Baseline, tmp_path: Path) -> None:
    baseline.save(tmp_path / "b.mwb")
    loaded = mw.Baseline.load(tmp_path / "b.mwb")
    assert loaded.to_bytes() == baseline.to_bytes()
    assert loaded.weighting == Weighting("w", 0)
    profile = mw.Profile.count(baseline, [weighted(500, 1), weighted(400, 2)], **WINDOWS)
    profile.save(tmp_path / "p.mwp")
    again = mw.Profile.load(tmp_path / "p.mwp")
    assert again.to_bytes() == profile.to_bytes()
    assert exact_state(again.merged()) == exact_state(profile.merged())
    assert mw.compare(loaded, again).to_json() == mw.compare(baseline, profile).to_json()


def test_a_profile_with_other_weights_is_not_added_and_not_compared(baseline: mw.Baseline) -> None:
    table = weighted(300, 1)
    plain = mw.Baseline.fit(table, roles=mw.Roles(ignore="w", timestamp="when", numeric=["whole"]), timezone=ZONE)
    a, b = mw.Profile.count(baseline, table), mw.Profile.count(plain, table)
    with pytest.raises(mw.InputError, match=r"cannot be added: the rows of one are weighted by 'w'.*every row of one"):
        a + b
    with pytest.raises(mw.InputError, match="profile is weighted and the baseline is unweighted; count the log again"):
        mw.compare(plain, a)
    with pytest.raises(mw.InputError, match="profile is unweighted and the baseline is weighted"):
        mw.compare(baseline, b)
    halves = mw.Baseline.fit(weighted(300, 1, np.full(300, 0.5)), roles=ROLES, timezone=ZONE)
    c = mw.Profile.count(halves, table)
    with pytest.raises(mw.InputError, match=r"1 is stored as 2\^0\) and .* 1 is stored as 2\^16\)"):
        a + c
    with pytest.raises(mw.InputError, match="are weighted differently; count the log again"):
        mw.compare(halves, a)
    with pytest.raises(mw.InputError, match="weighted differently cannot be added"):
        mw.profile.profile.merge_parts([*a.parts, *b.parts])


def forged(raw: bytes, kind: str, change: Any) -> bytes:
    """A file that says something else, with a hash that is right for it."""
    header, arrays = fileio.from_bytes(raw, kind, "made here")
    del header["sha256"]
    changed = dict(arrays)
    change(header, changed)
    return fileio.to_bytes(kind, header, changed)


def put(name: str, value: int) -> Any:
    """Replaces the first number of the first array whose name ends so."""

    def change(header: dict[str, Any], arrays: dict[str, Any]) -> None:
        at = next(n for n in sorted(arrays) if n.endswith(name))
        arrays[at] = np.append(np.array([value], dtype=np.uint64), arrays[at].astype(np.uint64)[1:])

    return change


def drop(header: dict[str, Any], arrays: dict[str, Any]) -> None:
    del arrays[next(n for n in sorted(arrays) if n.endswith("weight_low/window"))]


def shorten(header: dict[str, Any], arrays: dict[str, Any]) -> None:
    name = next(n for n in sorted(arrays) if n.endswith("weight_high/window"))
    arrays[name] = arrays[name][1:]


def part_of(header: dict[str, Any]) -> dict[str, Any]:
    part: dict[str, Any] = header["part"] if "part" in header else header["parts"][0]
    return part


FORGED: dict[str, Any] = {
    "more weight than its squares": put("weight_low/window", 0),
    "fewer rows than its weights need": put("weight_total/window", 2**40),
    "more weight than any log has": put("weight_total/window", 2**60),
    "a low half that is no half": put("weight_low/window", 2**33),
    "squares beyond all weights": put("weight_high/window", 2**54),
    "sums that are not there": drop,
    "sums of other groups": shorten,
    "a part without weights": lambda h, a: part_of(h).pop("weight_bits"),
    "a part with other weights": lambda h, a: part_of(h).update(weight_bits=3),
    "a part whose bits are a truth": lambda h, a: part_of(h).update(weight_bits=False),
    "bits that no float has": lambda h, a: (h["weight"].update(bits=5000), part_of(h).update(weight_bits=5000)),
    "bits that are text": lambda h, a: h["weight"].update(bits="0"),
    "weights of no column": lambda h, a: h["weight"].pop("column"),
    "weights that are nothing": lambda h, a: h.update(weight=None),
    "weights of a list": lambda h, a: h.update(weight=[1]),
    "weights in a file without": lambda h, a: h.pop("weight"),
}


@pytest.mark.parametrize("kind", ["baseline", "profile"])
@pytest.mark.parametrize("what", FORGED)
def test_a_file_whose_weights_do_not_fit_together_is_refused(
    baseline: mw.Baseline, kind: str, what: str, tmp_path: Path
) -> None:
    made = baseline if kind == "baseline" else mw.Profile.count(baseline, weighted(200, 1))
    (tmp_path / "file").write_bytes(forged(made.to_bytes(), kind, FORGED[what]))
    with pytest.raises(mw.InputError, match="does not fit together"):
        (mw.Baseline if kind == "baseline" else mw.Profile).load(tmp_path / "file")


def test_a_baseline_whose_weights_are_of_another_role_is_refused(baseline: mw.Baseline, tmp_path: Path) -> None:
    (tmp_path / "b.mwb").write_bytes(forged(baseline.to_bytes(), "baseline", lambda h, a: h["roles"].update(w="id")))
    with pytest.raises(mw.InputError, match="the column of weights has another role"):
        mw.Baseline.load(tmp_path / "b.mwb")


def test_files_without_weights_are_in_the_formats_of_before(baseline: mw.Baseline) -> None:
    plain = weighted(50, 1).drop_columns(["w"])
    other = mw.Baseline.fit(plain)
    formats = [
        fileio.from_bytes(made.to_bytes(), kind, "made here")[0]["format"]
        for kind, pair in (
            ("baseline", (other, baseline)),
            ("profile", (mw.Profile.count(other, plain), mw.Profile.count(baseline, weighted(50, 1)))),
        )
        for made in pair
    ]
    assert formats == [1, 2, 2, 3]


# ---- Refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (None, "is null in row 450 "),
        (float("nan"), "is nan in row 450 "),
        (-1.0, r"is -1.0 in row 450 "),
        (float("inf"), "is inf in row 450 "),
        (1e300, "is more than 4,294,967,295 times the smallest"),
    ],
)
def test_a_bad_weight_is_refused_by_file_column_and_row(
    baseline: mw.Baseline, bad: float | None, said: str, tmp_path: Path
) -> None:
    import pyarrow.parquet as pq

    weights: list[float | None] = [1.0] * 500
    weights[450] = bad
    table = weighted(500, 1).drop_columns(["w"]).append_column("w", pa.array(weights, pa.float64()))
    path = tmp_path / "log.parquet"
    pq.write_table(table, path, row_group_size=100)
    where = rf"log\.parquet: the weight .*in column 'w'.* ?{said}" if bad != 1e300 else rf"log\.parquet: .*'w' {said}"
    with pytest.raises(mw.InputError, match=where):
        mw.Profile.count(baseline, path)
    if bad != 1e300:
        with pytest.raises(mw.InputError, match=where):
            mw.Baseline.fit(path, roles=ROLES)


def test_a_log_without_the_weights_and_weights_that_are_no_numbers_are_refused(baseline: mw.Baseline) -> None:
    plain = weighted(50, 1).drop_columns(["w"])
    with pytest.raises(mw.InputError, match=r"<table>: there is no column 'w', which holds the weights"):
        mw.Profile.count(baseline, plain)
    with pytest.raises(mw.InputError, match="weight column 'w' has type string; weights are numbers"):
        mw.Profile.count(baseline, plain.append_column("w", pa.array(["1"] * 50)))
    with pytest.raises(mw.InputError, match="All weights of the reference are 0"):
        mw.Baseline.fit(weighted(50, 1, np.zeros(50)), roles=ROLES)
    with pytest.raises(mw.InputError, match="has no rows"):
        mw.Baseline.fit(weighted(50, 1).slice(0, 0), roles=ROLES)


def test_more_weight_than_can_be_counted_is_refused(monkeypatch: pytest.MonkeyPatch, baseline: mw.Baseline) -> None:
    from modelwatch_gpu.profile import weights

    monkeypatch.setattr(weights, "MOST_TOTAL", 1000)
    with pytest.raises(mw.InputError, match="<table>: the weights add up to more than 1,000 times"):
        mw.Profile.count(baseline, weighted(900, 1))
    twice = mw.Profile.count(baseline, [weighted(300, 1), weighted(300, 2)])
    with pytest.raises(mw.InputError, match="The weights add up to more than 1,000 times"):
        twice.merged()


def test_memory_is_planned_for_counters_of_weights(baseline: mw.Baseline) -> None:
    groups = GroupCounts(windows=12, blocks=300)
    sizes = [plan(baseline.columns, groups, rows=10**6, memory=1 << 32, weighted=w).bytes for w in (False, True)]
    assert sizes[0] < sizes[1] < 3 * sizes[0]
