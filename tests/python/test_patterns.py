"""Texts held to regular expressions, and rows without any value: facts of all rows, or of values counted apart."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import modelwatch_gpu as mw
from modelwatch_gpu.profile.facts import Facts, LogFacts

COLUMNS = mw.Roles(ignore=["free"])
KIND = "^(k[0-9]|q)$"
FREE = r"[0-9]{2}"


def log(rows: int, seed: int) -> pa.Table:
    """A category of few values, and text that is not compared."""
    rng = np.random.default_rng(seed)
    kinds = np.array(["k1", "k2", "q", "Q", "k10", ""])[rng.integers(0, 6, rows)]
    return pa.table(
        {
            "kind": pa.array(kinds, mask=rng.random(rows) < 0.1),
            "free": pa.array([f"text {n}" for n in rng.integers(0, 300, rows)], mask=rng.random(rows) < 0.2),
            "x": rng.normal(0, 1, rows),
        }
    )


def expected(column: str, matches: str | list[str], most: float = 0.0) -> mw.Expectations:
    return mw.Expectations.from_dict({"columns": {column: {"text_pattern": {"matches": matches, "max": most}}}})


def share(table: pa.Table, column: str, pattern: str) -> tuple[int, int]:
    """Rows that Python's own regular expressions do not find anything in, and rows with a text."""
    texts = [text for text in table.column(column).to_pylist() if text is not None]
    return sum(re.search(pattern, text) is None for text in texts), len(texts)


@pytest.fixture(scope="module")
def baseline() -> mw.Baseline:
    return mw.Baseline.fit(log(600, 1), roles=COLUMNS, quality=True)


@pytest.mark.parametrize(("column", "pattern"), [("kind", KIND), ("free", FREE)])
def test_the_share_of_texts_that_do_not_match_is_pythons(baseline: mw.Baseline, column: str, pattern: str) -> None:
    wrong, rows = share(log(900, 2), column, pattern)
    (finding,) = mw.compare(baseline, log(900, 2), checks=[], expectations=expected(column, pattern)).findings
    assert (finding.value, finding.n, finding.severity) == (wrong / rows, rows, "alert")
    assert f"do not match {pattern!r}" in finding.reason
    assert ("such as" in finding.reason) == (column == "kind")
    loose = expected(column, pattern, most=0.9)
    assert not mw.compare(baseline, log(900, 2), checks=[], expectations=loose).findings


def test_any_of_several_patterns_will_do(baseline: mw.Baseline) -> None:
    report = mw.compare(baseline, log(900, 2), checks=[], expectations=expected("kind", ["^k[0-9]+$", "^[qQ]?$"]))
    assert not report.findings
    assert any("1 of 1 expectations hold" in note for note in report.notes)


def test_a_profile_tells_patterns_of_values_it_counts_apart_and_those_it_noted(baseline: mw.Baseline) -> None:
    wanted = expected("kind", KIND) + expected("free", FREE)
    whole = mw.compare(baseline, log(900, 2), checks=[], expectations=wanted)
    noted = mw.Profile.count(baseline, log(900, 2), quality=True, patterns=wanted.patterns)
    assert tuple(mw.compare(baseline, noted, checks=[], expectations=wanted).findings) == tuple(whole.findings)
    # Nothing of the free text was noted, so nobody says that it is well.
    plain = mw.Profile.count(baseline, log(900, 2), quality=True)
    report = mw.compare(baseline, plain, checks=[], expectations=wanted)
    assert [f.column for f in report.findings] == ["kind"]
    assert any("1 could not be judged" in note for note in report.notes)
    # Half of the rows were held to it: no share of all rows.
    both = mw.Profile.count(baseline, log(900, 2), patterns={"free": FREE}) + mw.Profile.count(
        baseline, log(900, 3), quality=True
    )
    assert [f.column for f in mw.compare(baseline, both, checks=[], expectations=wanted).findings] == ["kind"]


def test_patterns_noted_add_up_in_any_split_and_come_back_from_a_file(baseline: mw.Baseline, tmp_path: Path) -> None:
    whole = mw.Profile.count(baseline, log(900, 2), patterns={"free": [FREE, "9$"], "kind": KIND})
    parts = [
        mw.Profile.count(baseline, log(900, 2).slice(a, 300), patterns={"kind": KIND, "free": ["9$", FREE]})
        for a in (600, 0, 300)
    ]
    merged, alone = (parts[0] + parts[1] + parts[2]).merged(), whole.merged()
    assert merged is not None
    assert alone is not None
    assert merged.facts is not None
    assert alone.facts is not None
    assert merged.facts.header() == alone.facts.header()
    whole.save(tmp_path / "p.mwp")
    assert mw.Profile.load(tmp_path / "p.mwp").to_bytes() == whole.to_bytes()
    live = mw.LiveProfile(baseline, patterns={"free": FREE})
    live.add(log(900, 2))
    (facts,) = live.profile().merged().facts.windows.values()  # type: ignore[union-attr]
    assert facts.counts["free"][f"matches {FREE}"] == np.subtract(*share(log(900, 2), "free", FREE)[::-1])


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"max": 0.1}, "text_pattern of column 'kind' has no 'matches'; give one"),
        ({"matches": "(k"}, "has '(k', which is no regular expression of RE2"),
        ({"matches": r"(k)\1"}, "which is no regular expression of RE2"),
        ({"matches": []}, "is no regular expression and no list of some"),
        ({"matches": ["k", 3]}, "is no regular expression and no list of some"),
        ({"matches": 3}, "matches of text_pattern of column 'kind' is 3; it must be text or a list"),
    ],
)
def test_what_is_no_regular_expression_is_refused_in_a_sentence(limits: dict[str, object], said: str) -> None:
    with pytest.raises(mw.InputError) as caught:
        mw.Expectations.from_dict({"columns": {"kind": {"text_pattern": limits}}})
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_patterns_of_a_count_are_checked(baseline: mw.Baseline) -> None:
    with pytest.raises(mw.InputError, match="patterns= has '\\(' for column 'kind', which is no regular expression"):
        mw.Profile.count(baseline, log(10, 1), patterns={"kind": "("})


# ---- rows without any value ------------------------------------------------------------------------------------------


def facts_of(table: pa.Table) -> Facts:
    part = mw.Baseline.fit(table, quality=True).part
    assert part.facts is not None
    (facts,) = part.facts.windows.values()
    return facts


def test_rows_without_any_value_by_hand() -> None:
    codes = pa.DictionaryArray.from_arrays(pa.array([0, 1, None, 1, 0], pa.int8()), pa.array(["a", None]))
    numbers = pa.array([1.0, float("nan"), None, None, None])
    table = pa.table({"x": numbers, "c": codes, "i": pa.array([None, None, None, 4, 5])})
    assert facts_of(table).empty_rows == 2
    assert facts_of(table.slice(2, 2)).empty_rows == 1
    assert facts_of(table.append_column("there", pa.array(range(5)))).empty_rows == 0
    assert facts_of(pa.table({"t": pa.array([None, "", None]), "n": pa.nulls(3)})).empty_rows == 2


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=2, max_size=30), st.integers(1, 29))
def test_rows_without_any_value_add_up(empty: list[list[bool]], cut: int) -> None:
    mask = np.array(empty)
    table = pa.table({name: pa.array(np.arange(len(mask)), mask=mask[:, i]) for i, name in enumerate("abc")})
    baseline = mw.Baseline.fit(table, quality=True)
    pieces = [
        mw.Profile.count(baseline, part, quality=True) for part in (table.slice(cut), table.slice(0, cut)) if part
    ]
    merged = sum(pieces[1:], pieces[0]).merged()
    assert merged is not None
    assert merged.facts is not None
    assert sum(f.empty_rows or 0 for f in merged.facts.windows.values()) == mask.all(axis=1).sum()


def test_facts_of_an_older_file_do_not_say_how_many_rows_are_empty() -> None:
    part = mw.Baseline.fit(log(600, 1), roles=COLUMNS, quality=True).part
    assert part.facts is not None
    header = part.facts.header()
    assert header["windows"][0][1].pop("empty_rows") == 0
    old = LogFacts.from_file(header, part.facts.arrays())
    assert old.header() == header
    assert [f.empty_rows for f in old.merged([part.facts]).windows.values()] == [None]
