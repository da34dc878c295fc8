"""Edges of bins that the user gives: they are knots, and the bins of every measure by bin."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from comparing import number, result_of, table
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from scipy.stats import chi2_contingency
from tolerances import CHI_SQUARE, DISTANCE_NEAR_ZERO
from typer.testing import CliRunner

import modelwatch_gpu as mw
from modelwatch_gpu.cli import app
from modelwatch_gpu.measures.numeric import bin_labels
from modelwatch_gpu.profile.columns import NumericColumn
from modelwatch_gpu.profile.edges import MOST_EDGES


def column_of(baseline: mw.Baseline) -> NumericColumn:
    (column,) = baseline.columns
    assert isinstance(column, NumericColumn)
    return column


def with_edges(values: Any, edges: Any, **options: Any) -> mw.Baseline:
    return mw.Baseline.fit(table(values), edges={"x": edges}, **options)


def test_a_hand_checked_column_is_cut_where_the_user_says() -> None:
    baseline = with_edges([-1.0, 0.0, 1.0, 10.0, 11.0, 100.0, 101.0, 200.0], [0, 10, 100])
    column = column_of(baseline)
    assert column.values[column.edges].tolist() == [0.0, 10.0, 100.0]
    assert bin_labels(column) == ["≤ 0", "(0, 10]", "(10, 100]", "> 100"]  # two baseline rows in each
    result = result_of(baseline, [0.0, 0.0, 5.0, 10.0, 100.0, 100.0, 150.0, np.nan])
    assert result.histogram is not None
    assert result.histogram.tolist() == [2, 2, 2, 1]
    p, q = np.array([2, 2, 2, 2]) / 8, np.array([2, 2, 2, 1]) / 7
    assert number(result.values["psi"]) == pytest.approx(float(np.sum((q - p) * np.log(q / p))), abs=1e-15)
    assert number(result.values["tv"]) == pytest.approx(1 / 4 - 1 / 7, abs=1e-15)


@settings(max_examples=settings.default.max_examples // 2)
@given(
    seed=st.integers(0, 2**31),
    dtype=st.sampled_from(["float64", "float32", "int64", "int8", "uint64"]),
    edges=st.lists(st.integers(-40, 400).map(lambda v: v / 4), min_size=1, max_size=12, unique=True).map(sorted),
    exact_up_to=st.sampled_from([8, 1000]),
)
def test_bins_are_those_of_the_edges_on_every_grid_and_in_every_type(
    seed: int, dtype: str, edges: list[float], exact_up_to: int
) -> None:
    rng = np.random.default_rng(seed)
    x, y = (np.clip(rng.normal(40 + 3 * i, 20, 200), 0, 127).round(2).astype(dtype) for i in (0, 1))
    baseline = with_edges(x, edges, exact_up_to=exact_up_to)
    p, q = (np.histogram(np.searchsorted(edges, side, side="left"), np.arange(len(edges) + 2))[0] for side in (x, y))
    for memory in (None, 4000):
        found = mw.compare(baseline, table(y), memory=memory).results[0]
        js = number(found.values["js_distance"])
        assert js == pytest.approx(jensenshannon(p, q, base=2), abs=DISTANCE_NEAR_ZERO)
        used = (p + q) > 0
        if used.sum() > 1:
            wanted = chi2_contingency(np.stack([p, q])[:, used], correction=False).statistic
            assert number(found.values["chi_square"]) == pytest.approx(wanted, rel=CHI_SQUARE, abs=1e-9)
    column = column_of(baseline)
    assert set(column.edges.tolist()) <= set(column.coarse.tolist())
    assert len(bin_labels(column)) == len(column.edges) + 1


def test_an_edge_between_values_cuts_at_the_largest_value_not_above_it() -> None:
    whole = column_of(with_edges([1, 2, 3, 4], [1.5, 1.9, 3]))
    assert whole.values[whole.edges].tolist() == [1, 3]
    assert bin_labels(whole) == ["≤ 1.5", "(1.5, 3]", "> 3"]
    small = column_of(with_edges(np.array([0.1, 0.5], "f4"), [0.1]))
    (cut,) = small.values[small.edges]
    assert float(cut) <= 0.1 < float(np.nextafter(cut, np.float32(1)))
    unsigned = column_of(with_edges(np.array([1, 2], "u8"), [-5, 1, 1e30]))
    assert unsigned.values[unsigned.edges].tolist() == [1, 2**64 - 1]
    wide = column_of(with_edges(np.array([2**53 + 1, 7]), [2**53, 2**53 + 1]))
    assert wide.values[wide.edges].tolist() == [2**53, 2**53 + 1]


def test_edges_of_decimals_and_times_are_in_their_units() -> None:
    prices = pa.array([Decimal("0.10"), Decimal("0.30"), Decimal("0.31")], pa.decimal128(5, 2))
    for edges in ([0.1, 0.3], [Decimal("0.1"), Decimal("0.3")], [0.1, Decimal("0.305")]):
        column = column_of(with_edges(prices, edges))
        assert column.values[column.edges].tolist() == [10, 30]
    days = pa.array([dt.date(2020, 1, d) for d in (1, 2, 3)])
    for edge in (dt.date(2020, 1, 2), "2020-01-02", 18263):
        column = column_of(with_edges(days, [edge]))
        assert column.values[column.edges].tolist() == [18263]
    noon = dt.datetime(2020, 1, 1, 12)
    moments = pa.array([noon, noon + dt.timedelta(hours=1)], pa.timestamp("ms", "UTC"))
    for moment in (noon, noon.replace(tzinfo=dt.UTC), "2020-01-01T12:00:00Z", np.datetime64("2020-01-01T12:00:00")):
        roles = mw.Roles(features="x")
        column = column_of(with_edges(moments, [moment], roles=roles))
        assert column.values[column.edges].tolist() == [1_577_880_000_000]
    waits = pa.array([dt.timedelta(seconds=s) for s in (1, 2)], pa.duration("s"))
    column = column_of(with_edges(waits, [dt.timedelta(minutes=1)]))
    assert column.values[column.edges].tolist() == [60]


def test_a_column_with_edges_is_numeric_however_few_values_it_has() -> None:
    assert mw.Baseline.fit(pa.table({"x": [1, 2, 3]})).columns[0].kind == "categorical"
    assert with_edges([1, 2, 3], [1]).columns[0].kind == "numeric"
    assert with_edges(pa.array([1, 2, 3]).dictionary_encode(), [1]).columns[0].kind == "numeric"


def test_edges_of_a_column_without_values_are_kept() -> None:
    column = column_of(with_edges(pa.nulls(5, pa.float64()), [1.0, 2.0]))
    assert column.values[column.edges].tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    ("edges", "said"),
    [
        ({"y": [1]}, "Column 'y' has edges but is not in the log"),
        ({"amuont": [1]}, "did you mean 'amount'"),
        ({"text": [1]}, "Column 'text' has edges but has type string; edges cut numbers"),
        ({"flag": [1]}, "Column 'flag' has edges but has type bool"),
        ({"stars": [1]}, "Column 'stars' has edges but is asked to be categorical"),
        ({"gone": [1]}, "Column 'gone' has edges but the role ignore"),
        ({"amount": [2, 1]}, "must increase, but 1 comes after 2"),
        ({"amount": [1, 1.0]}, "must increase"),
        ({"amount": [float("nan")]}, "The edge nan of column 'amount' cuts nothing"),
        ({"amount": [0, float("inf")]}, "The edge inf of column 'amount' cuts nothing; the outer bins are open"),
        ({"amount": list(range(MOST_EDGES + 1))}, "Column 'amount' has 61 edges; give 1 to 60"),
        ({"amount": []}, "Column 'amount' has 0 edges"),
        ({"amount": 5}, "are not a list of numbers: 5"),
        ({"amount": "12"}, "are not a list of numbers: '12'"),
        ({"amount": [True]}, "The edge True of column 'amount' is not a number"),
        ({"amount": [10**400]}, "larger than what can be counted"),
        ({"amount": ["1"]}, "The edge '1' of column 'amount' cannot cut values of type double"),
        ({"when": ["soon"]}, "The edge 'soon' of column 'when' cannot cut values of type timestamp"),
        ({"nested": [1]}, "Column 'nested' has edges but the role ignore"),
    ],
)
def test_edges_that_cannot_be_are_refused_in_a_sentence(edges: dict[str, Any], said: str) -> None:
    log = pa.table(
        {
            "amount": [1.5, 2.5],
            "text": ["a", "b"],
            "flag": [True, False],
            "stars": [1, 2],
            "gone": [1.0, 2.0],
            "nested": [[1], [2]],
            "when": pa.array([0, 1], pa.timestamp("s")),
        }
    )
    with pytest.raises(mw.InputError) as caught:
        mw.Baseline.fit(log, edges=edges, roles=mw.Roles(categorical="stars", ignore="gone"))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_command_takes_edges_from_a_file(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"amount": np.arange(50.0), "day": [dt.date(2020, 1, 1 + i % 20) for i in range(50)]}),
                   tmp_path / "r.parquet")  # fmt: skip
    (tmp_path / "e.toml").write_text("amount = [0, 10.5, 100]\nday = [2020-01-05, 2020-01-10]\n")
    (tmp_path / "e.json").write_text('{"amount": [0, 10.5, 100], "day": ["2020-01-05", "2020-01-10"]}')
    written = []
    for name in ("e.toml", "e.json"):
        args = ["fit", str(tmp_path / "r.parquet"), "-o", str(tmp_path / f"{name}.mwb")]
        done = CliRunner().invoke(app, [*args, "--edges", str(tmp_path / name)])
        assert done.exit_code == 0, done.output
        written.append((tmp_path / f"{name}.mwb").read_bytes())
    assert written[0] == written[1]
    loaded = mw.Baseline.load(tmp_path / "e.toml.mwb")
    assert [bin_labels(c)[0] for c in loaded.columns if isinstance(c, NumericColumn)] == ["≤ 0", "≤ 18266"]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.json", "{", "is not valid JSON"),
        ("a.json", "[1]", "is not one object with a list of edges"),
        ("a.json", '{"x": 1}', "is not one object with a list of edges"),
        ("a.toml", "=", "is not valid TOML"),
        ("a.yaml", "x: [1]", "neither .json nor .toml"),
        ("none.json", None, "cannot be read: No such file"),
    ],
)
def test_an_edges_file_that_cannot_be_used_is_named(tmp_path: Path, name: str, text: str | None, said: str) -> None:
    from modelwatch_gpu.profile.edges import edges_from_file

    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(mw.InputError, match=said) as caught:
        edges_from_file(tmp_path / name)
    assert name in str(caught.value)
