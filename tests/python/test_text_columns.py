"""Plain text and bytes, which the engine reads where they lie: every layout counts alike, and as a dictionary would."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

import modelwatch_gpu as mw
from modelwatch_gpu import _core
from modelwatch_gpu.errors import InputError
from modelwatch_gpu.profile.sample import row_hashes

LAYOUTS = ["string", "large_string", "string_view", "binary", "large_binary", "binary_view"]

#: Lengths around the inline prefix of twelve bytes, the same beginnings, zeros inside and at the end, bytes that are no
#: UTF-8.
VALUES = st.one_of(
    st.sampled_from(
        [b"", b"\0", b"a", b"a\0", b"abcdefghijkl", b"abcdefghijklm", b"abcdefghijkl\0", b"\xff\xfe", b"\xc3"]
    ),
    st.binary(max_size=64),
    st.text("ab", max_size=40).map(str.encode),
)

#: What ids are like: long beginnings that many share, then few bytes of few kinds, zeros and ends of values among them.
ALIKE = st.builds(
    lambda group, tail: group + tail,
    st.sampled_from([b"", b"customer-", b"customer-of-shop-", b"customer-of-shop-17/", b"customer\0", b"\xff" * 16]),
    st.lists(st.sampled_from([b"\0", b"1", b"12345678", b"\x80", b"\xff"]), max_size=6).map(b"".join),
)


def counted(
    array: pa.Array, *, cap: int = 1 << 21, known: list[bytes] | None = None, pieces: int = 1
) -> dict[str, Any]:
    """What the engine counts of one column, given in so many batches."""
    known = known or []
    plan = _core.CategoryPlan(
        known=known,
        to_coarse=np.full(len(known), 3, np.uint32),
        coarse_slots=4,
        unseen_cap=cap,
        known_cap=None,
    )
    counter = _core.Counter([plan], [_core.SetPlan(coarse=False, moments=False, sketches=True)])
    step = max(1, -(-len(array) // pieces))
    for begin in range(0, max(1, len(array)), step):
        counter.add(pa.RecordBatch.from_arrays([array.slice(begin, step)], names=["c"]), [None], 1)
    return counter.category(0, 0)


def as_counter(result: dict[str, Any]) -> Counter[bytes | None]:
    """The counts by value, of a column none of whose values is known; None: null."""
    counts: Counter[bytes | None] = Counter()
    for value, count in zip(result["unseen_index"].tolist(), result["unseen_count"].tolist(), strict=True):
        counts[result["unseen"][value]] = count
    for cell, count in zip(result["cell"].tolist(), result["count"].tolist(), strict=True):
        assert cell == 0
        counts[None] = count
    return counts


def same(a: dict[str, Any], b: dict[str, Any]) -> None:
    assert a.keys() == b.keys()
    for name, value in a.items():
        np.testing.assert_array_equal(value, b[name], err_msg=name)


def typed(values: list[bytes | None], layout: str) -> pa.Array:
    """An array of a layout; bytes that are no UTF-8 pass as text too, as a careless writer would write them."""
    raw = pa.array(values, pa.large_binary() if layout.startswith("large") else pa.binary())
    if layout.endswith("view"):
        return raw.cast(pa.binary_view()).view(getattr(pa, layout)())
    return raw.view(getattr(pa, layout)())


@pytest.mark.parametrize("layout", LAYOUTS)
@given(values=st.lists(st.none() | VALUES, max_size=80), begin=st.integers(0, 20), pieces=st.integers(1, 4))
def test_values_are_counted_as_python_counts_them(
    layout: str, values: list[bytes | None], begin: int, pieces: int
) -> None:
    found = counted(typed(values, layout).slice(begin), pieces=pieces)
    assert as_counter(found) == Counter(values[begin:])
    assert found["unseen"] == sorted({v for v in values[begin:] if v is not None})


@given(values=st.lists(ALIKE, max_size=150), cap=st.integers(1, 40), data=st.data())
def test_values_that_begin_alike_are_kept_and_listed_the_same_in_any_order(
    values: list[bytes], cap: int, data: st.DataObject
) -> None:
    found = counted(typed(values, "binary"), cap=cap)
    kept = sorted(set(values), key=lambda v: (_core.hash_bytes(v), v))[:cap]
    assert found["unseen"] == sorted(kept)
    assert [found["unseen"][i] for i in found["unseen_index"]] == sorted(kept)
    assert found["unseen_count"].tolist() == [values.count(v) for v in sorted(kept)]
    shuffled = data.draw(st.permutations(values))
    same(counted(typed(shuffled, "binary"), cap=cap, pieces=data.draw(st.integers(1, 4))), found)


@given(
    values=st.lists(st.none() | VALUES, max_size=60),
    known=st.sets(VALUES, max_size=5),
    cap=st.integers(1, 8),
    pieces=st.integers(1, 3),
)
def test_a_column_counts_the_same_plain_and_as_a_dictionary(
    values: list[bytes | None], known: set[bytes], cap: int, pieces: int
) -> None:
    expected = counted(typed(values, "binary").dictionary_encode(), cap=cap, known=sorted(known))
    for layout in LAYOUTS:
        same(counted(typed(values, layout), cap=cap, known=sorted(known), pieces=pieces), expected)


@pytest.mark.parametrize(
    "width", [pytest.param(7, id="short"), pytest.param(40, id="long"), pytest.param(12, id="as long as the prefix")]
)
def test_a_million_rows_of_many_values_are_counted_exactly(width: int) -> None:
    rng = np.random.default_rng(9)
    names = pa.array([f"{i * 7919 % 1_000_003:0{width}d}" for i in range(300_000)])
    column = names.take(pa.array(rng.integers(0, len(names), 1_000_000)))
    found = counted(column, pieces=3)
    expected = pc.value_counts(column)
    order = pc.sort_indices(expected.field("values"))
    assert found["unseen"] == expected.field("values").take(order).cast(pa.binary()).to_pylist()
    assert found["unseen_count"].tolist() == expected.field("counts").take(order).to_pylist()
    # With a cap, those with the smallest hashes keep the same counts.
    capped = counted(column, cap=1000, pieces=2)
    kept = sorted(sorted(found["unseen"], key=lambda v: (_core.hash_bytes(v), v))[:1000])
    assert capped["unseen"] == kept
    place = dict(zip(found["unseen"], found["unseen_count"].tolist(), strict=True))
    assert capped["unseen_count"].tolist() == [place[v] for v in kept]
    assert capped["count"].tolist() == [len(column) - sum(place[v] for v in kept)]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_baseline_and_a_report_are_the_same_for_every_layout(layout: str) -> None:
    rng = np.random.default_rng(10)
    values = [None if i == 0 else f"a category by the number of {i}" if i % 2 else f"c{i}" for i in range(30)]
    column = pa.array([values[i] for i in rng.integers(0, 30, 3000).tolist()])
    plain = pa.table({"c": column.cast(layout.replace("binary", "string")) if "view" in layout else column})
    table = (
        plain
        if "binary" not in layout
        else pa.table({"c": typed([v and v.encode() for v in column.to_pylist()], layout)})
    )
    coded = mw.Baseline.fit(pa.table({"c": column.dictionary_encode()}))
    fitted = mw.Baseline.fit(table)
    assert fitted.columns[0].categories == coded.columns[0].categories
    assert fitted.columns[0].kept.tolist() == coded.columns[0].kept.tolist()
    found, expected = (mw.compare(coded, t).to_json() for t in (table, pa.table({"c": column.dictionary_encode()})))
    assert found == expected


@pytest.mark.parametrize("layout", LAYOUTS)
def test_rows_are_sampled_by_their_text_whatever_its_layout(layout: str) -> None:
    values = [b"a", None, b"", b"longer than twelve bytes", b"a"]
    batches = [pa.record_batch({"c": a}) for a in (typed(values, layout), typed(values, "string").dictionary_encode())]
    hashes = [row_hashes(batch, ["c"]) for batch in batches]
    assert hashes[0].tolist() == hashes[1].tolist()
    assert hashes[0][0] == hashes[0][4] != hashes[0][3]


def test_text_with_offsets_that_run_backwards_is_refused_by_name() -> None:
    offsets = pa.py_buffer(np.array([0, 4, 2, 6], dtype=np.int32))
    array = pa.Array.from_buffers(pa.string(), 3, [None, offsets, pa.py_buffer(b"abcdef")])
    with pytest.raises(InputError, match=r"'c'.*offsets run backwards"):
        counted(array)


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        ("{:.2f}".format, "numbers with a point; cast it to a number"),
        (lambda x: f"{x:.2f}".replace(".", ","), "numbers with a comma; write them with a point for decimals"),
        (lambda x: f"1.000.{x:03.0f},50", "numbers with a comma; write them with a point for decimals"),
        (lambda x: f"{x:.1f} %", "numbers of percent; leave the sign out"),
        (lambda x: f"{x:.0f}", None),  # a postal code
        (lambda x: f"v{x:.1f}", None),
        (lambda x: f"1.{x:.0f}.0", None),  # a version
        (lambda x: " " * 100_000 + f"{x:.0f},", None),
    ],
)
def test_text_that_is_numbers_written_otherwise_is_said_at_the_fit(written: Any, hint: str | None) -> None:
    text = [written(float(x)) for x in range(40)]
    notes = [n for n in mw.Baseline.fit(pa.table({"amount": [*text, "unknown"]})).notes if "'amount' is text" in n]
    assert [hint in n for n in notes] == ([] if hint is None else [True])
    assert not mw.Baseline.fit(pa.table({"amount": text[:9]})).notes
