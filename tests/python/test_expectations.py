"""Expectations as a file, and the facts they rest on as mergeable state."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from fault_makers import ROLES, clean, put
from hypothesis import given, settings
from hypothesis import strategies as st

import modelwatch_gpu as mw
from modelwatch_gpu.checks.expected import rounded_up
from modelwatch_gpu.measures.quality import Seen, seen_baseline
from modelwatch_gpu.profile.smallest import Smallest
from modelwatch_gpu.profile.texts import shapes_of, text_counts, values_and_rows


@pytest.fixture(scope="module")
def baseline() -> mw.Baseline:
    return mw.Baseline.fit(clean(7, 0), roles=ROLES, quality=True)


def seen(log: pa.Table, **options: object) -> Seen:
    """A log against itself."""
    return seen_baseline(mw.Baseline.fit(log, quality=True, **options))  # type: ignore[arg-type]


def test_the_file_says_what_was_inferred(baseline: mw.Baseline, tmp_path: Path) -> None:
    expectations = mw.Expectations.infer(baseline)
    expectations.save(tmp_path / "expectations.yaml")
    assert mw.Expectations.load(tmp_path / "expectations.yaml") == expectations
    assert expectations.baseline == baseline.fingerprint
    text = (tmp_path / "expectations.yaml").read_text()
    assert "text_shape: {" in text or "text_shape:\n" in text
    assert "range: {" in text


def test_a_severity_and_a_limit_can_be_edited(baseline: mw.Baseline, tmp_path: Path) -> None:
    path = tmp_path / "e.yaml"
    path.write_text("columns:\n  age:\n    range: {max: 50, severity: alert}\n")
    (finding,) = mw.compare(baseline, clean(8, 1), checks=[], expectations=path).findings
    assert (finding.column, finding.check, finding.severity) == ("age", "range", "alert")
    ages = clean(8, 1).column("age").to_numpy()
    assert finding.value == pytest.approx((ages > 50).mean(), abs=1e-12)
    assert "at most 50 is expected" in finding.reason


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[]", "expected a mapping with 'table' and 'columns'"),
        ("colums: {}", "'colums' is not known; there are table and columns"),
        ("version: 9", "version 9 is not known; this package reads version 1"),
        ("columns: [age]", "'columns' is not a mapping"),
        ("columns: {age: {rnge: {max: 1}}}", "has the check 'rnge', which is not known; did you mean 'range'?"),
        ("columns: {age: {range: 3}}", "range of column 'age' is not a mapping; it takes min, max, share"),
        ("columns: {age: {range: {most: 3}}}", "range of column 'age' has the field 'most'; it takes min, max, share"),
        ("columns: {age: {range: {max: high}}}", "max of range of column 'age' is 'high'; it must be a number"),
        ("columns: {age: {nulls: {max: true}}}", "max of nulls of column 'age' is True; it must be a number"),
        ("columns: {age: {nulls: {}}}", "nulls of column 'age' has no 'max'; give one"),
        ("columns: {age: {nulls: {max: 1, severity: fatal}}}", "has the severity 'fatal'; it can be warning or alert"),
        ("table: {row_count: {}}", "row_count of the table has no limits"),
        ("table: {gaps: [1]}", "gaps of the table is not a mapping"),
        ("table: {\n", "not a YAML file of expectations"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_refused_in_one_sentence(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "e.yaml"
    path.write_text(text)
    with pytest.raises(mw.InputError) as caught:
        mw.Expectations.load(path)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_list_that_is_not_there_and_a_time_that_is_none_are_named(baseline: mw.Baseline, tmp_path: Path) -> None:
    path = tmp_path / "e.yaml"
    path.write_text("columns: {country: {allowed_values: {list: gone.csv}}}")
    with pytest.raises(mw.InputError, match=r"gone.csv: the list of allowed values cannot be read"):
        mw.compare(baseline, clean(8, 1), expectations=path)
    with pytest.raises(mw.InputError, match="as_of is 'yesterday'"):
        mw.compare(baseline, clean(8, 1), expectations=True, as_of="yesterday")


def test_without_quality_only_what_is_counted_anyway_is_expected() -> None:
    plain = mw.Baseline.fit(clean(7, 0), roles=ROLES)
    inferred = {e.check for e in mw.Expectations.infer(plain).items}
    assert {"range", "unseen_values", "mean", "row_count", "constant"} <= inferred
    assert not {"nulls", "columns", "duplicate_ids", "text_shape"} & inferred


def test_expectations_of_another_baseline_are_told_apart(baseline: mw.Baseline) -> None:
    other = mw.Expectations.infer(mw.Baseline.fit(clean(9, 0), roles=ROLES, quality=True))
    notes = mw.compare(baseline, clean(8, 1), expectations=other).notes
    assert any("inferred from another baseline" in note for note in notes)


@pytest.mark.parametrize("rows", [0, 1])
def test_a_log_of_hardly_any_rows_is_judged_too(rows: int, baseline: mw.Baseline) -> None:
    report = mw.compare(baseline, clean(8, 1).slice(0, rows), checks=[], expectations=True)
    assert "row_count" in {f.check for f in report.findings} or rows == 0


def test_a_log_of_nulls_is_judged_too(baseline: mw.Baseline) -> None:
    log = clean(8, 1)
    empty = pa.table({f.name: pa.nulls(log.num_rows, f.type) for f in log.schema})
    found = {(f.column, f.check) for f in mw.compare(baseline, empty, checks=[], expectations=True).findings}
    assert {(name, "empty_column") for name in log.schema.names} <= found


def test_facts_are_the_same_in_any_split_and_order_and_come_back_from_a_file(
    baseline: mw.Baseline, tmp_path: Path
) -> None:
    log = clean(8, 1)
    whole = mw.Profile.count(baseline, log, window="1w", quality=True).merged()
    assert whole is not None
    assert whole.facts is not None
    for cuts in ([0, 1, 8_000], [0, 2_000, 2_001, 7_777, 8_000]):
        pieces = [log.slice(a, b - a) for a, b in itertools.pairwise(cuts)]
        parts = [mw.Profile.count(baseline, piece, window="1w", quality=True) for piece in pieces[::-1]]
        total = parts[0]
        for part in parts[1:]:
            total += part
        merged = total.merged()
        assert merged is not None
        assert merged.facts is not None
        assert merged.facts.header() == whole.facts.header()
        assert all(
            np.array_equal(a, b)
            for a, b in zip(merged.facts.arrays().values(), whole.facts.arrays().values(), strict=True)
        )
        total.save(tmp_path / "p.mwp")
        assert mw.Profile.load(tmp_path / "p.mwp").to_bytes() == total.to_bytes()


def test_a_profile_without_facts_takes_them_from_the_other(baseline: mw.Baseline) -> None:
    log = clean(8, 1)
    some = mw.Profile.count(baseline, log.slice(0, 10), quality=True) + mw.Profile.count(baseline, log.slice(10))
    merged = some.merged()
    assert merged is not None
    assert merged.facts is None


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 40), max_size=80), st.integers(1, 12), st.data())
def test_the_smallest_hashes_have_the_counts_of_all_rows(values: list[int], cap: int, data: st.DataObject) -> None:
    keys = np.array(values, dtype=np.uint64)
    cut = data.draw(st.integers(0, len(keys)))
    parts = [Smallest.empty(cap, ["x"]).plus(k, {"x": k * 2}) for k in (keys[:cut], keys[cut:])]
    for order in (parts, parts[::-1]):
        merged = order[0].merged(order[1:])
        distinct, counts = np.unique(keys, return_counts=True)
        assert merged.key.tolist() == distinct[:cap].tolist()
        assert merged.count.tolist() == counts[:cap].tolist()
        assert merged.low["x"].tolist() == [2 * v for v in distinct[:cap].tolist()]


def test_shares_that_repeat_and_that_two_logs_share_are_exact_where_all_hashes_are_kept() -> None:
    keys = np.array([5, 5, 7, 9, 9, 9], dtype=np.uint64)
    own = Smallest.empty(10).plus(keys)
    assert own.whole
    assert own.repeated == pytest.approx(3 / 6)
    other = Smallest.empty(10).plus(np.array([9, 11], dtype=np.uint64))
    assert own.shared_with(other) == (1, 3)
    assert Smallest.empty(10).repeated == 0.0


def test_texts_by_hand() -> None:
    column = pa.array(["AB-12", "AB-12", " x", "", "  ", "N/A", "12.5", "-3", "//", "caf\ufffd", None, "Ünï"])
    values, rows = values_and_rows(column)
    assert rows.sum() == 11
    assert text_counts(values, rows) == {
        "empty": 2, "padded": 1, "spelled_null": 1, "special": 1, "number": 2, "broken": 1,
    }  # fmt: skip
    assert shapes_of(pa.array(["AB-12", " x", "Ünï", "é9 ", ""], pa.large_string())).to_pylist() == [
        "A-9", " a", "Aa", "a9 ", "",
    ]  # fmt: skip


def test_numbers_by_hand() -> None:
    x = [0.0, -0.0, -1.5, 2.0, float("nan"), float("inf"), None, 1e-320]
    own = seen(pa.table({"x": x, "k": pa.array([str(i) for i in range(8)])}), roles=mw.Roles(numeric=["x"]))
    assert own.facts is not None
    assert own.facts.counts["x"] == {
        "rows": 8, "null": 1, "zero": 2, "negative": 1, "nan": 1, "infinite": 1, "fraction": 2,
    }  # fmt: skip


def test_rows_outside_a_range_are_those_numpy_counts() -> None:
    rng = np.random.default_rng(3)
    x = np.round(rng.normal(0, 10, 2_000), 1)
    own = seen(pa.table({"x": x}))
    for low, high in [(-5.0, 5.0), (None, 0.0), (0.3, None), (-1e9, 1e9)]:
        out = np.zeros(len(x), dtype=bool)
        out |= x < low if low is not None else False
        out |= x > high if high is not None else False
        assert own.outside("x", low, high) == (int(out.sum()), 2_000)


def test_conflicts_and_the_order_of_ids_by_hand() -> None:
    log = pa.table(
        {
            "id": pa.array(range(1_000)),
            "f": pa.array([i // 2 for i in range(1_000)]),
            "label": pa.array([0, 1] * 5 + [0] * 490 + [1] * 500),
        }
    )
    roles = mw.Roles(id="id", label="label")
    own = seen(log, roles=roles)
    assert own.conflicts == (10, 1_000)
    assert own.id_and_label is not None
    assert own.id_and_label > 0.95
    rng = np.random.default_rng(1)
    mixed = seen(put(log, "id", pa.array(rng.permutation(1_000))), roles=roles)
    assert mixed.id_and_label is not None
    assert mixed.id_and_label < 0.2


def test_cramers_v_is_the_bias_corrected_one() -> None:
    from scipy.stats import chi2_contingency

    from modelwatch_gpu.measures.quality import _cramers_v

    table = np.random.default_rng(5).integers(5, 60, (6, 3)).astype(float)
    n, (r, c) = table.sum(), table.shape
    phi = chi2_contingency(table, correction=False)[0] / n
    phi = max(0.0, phi - (r - 1) * (c - 1) / (n - 1))
    r, c = r - (r - 1) ** 2 / (n - 1), c - (c - 1) ** 2 / (n - 1)
    assert _cramers_v(table) == pytest.approx(np.sqrt(phi / min(r - 1, c - 1)), rel=1e-12)
    assert _cramers_v(np.ones((4, 1))) == 0.0


@given(st.floats(0, 1))
def test_a_rounded_limit_is_never_below(share: float) -> None:
    assert share <= rounded_up(share) + 1e-12
    assert rounded_up(share) <= max(1.12 * share, 1.1e-9)
