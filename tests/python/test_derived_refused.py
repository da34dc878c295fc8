"""Derived columns that cannot be: each is refused in one sentence, where it is decorated or where it is first read."""

from __future__ import annotations

import sys
from typing import Any

import pyarrow as pa
import pytest

import modelwatch_gpu as mw
from modelwatch_gpu.log import open_log, with_derived

pytest.importorskip("numba", reason="numba is not installed")


def read(table: Any, *derived: mw.Derived) -> None:
    for file in with_derived(open_log(table), derived).files:
        list(file.batches([derived[-1].name]))


def refused(table: Any, *derived: mw.Derived) -> str:
    """The sentence with which reading a derived column ends."""
    with pytest.raises(mw.InputError) as caught:
        read(table, *derived)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def numbers() -> pa.Table:
    return pa.table({"x": [1.0, 2.0], "text": ["a", "b"], "when": pa.array([0, 1], pa.timestamp("s"))})


def test_columns_that_cannot_be_derived_are_refused_in_one_sentence() -> None:
    @mw.derived
    def y(text: float) -> float:
        return text

    assert refused(numbers(), y) == (
        "<table>: the derived column 'y' takes numbers, bools, dates and times, not a column of type string ('text')."
    )

    @mw.derived
    def x(when):  # type: ignore[no-untyped-def]
        return when

    assert refused(numbers(), x) == ("<table> has a column 'x' already; give the derived one another name by name=.")

    @mw.derived(name="y")
    def late(when: float) -> float:
        return when

    assert "takes float64, which a column of type timestamp[s] is not; annotate it with int ('when')" in refused(
        numbers(), late
    )

    @mw.derived(name="y")
    def typo(xx: float) -> float:
        return xx

    assert "reads the column 'xx', which the log does not have; did you mean 'x'" in refused(numbers(), typo)

    @mw.derived(name="y", nulls="nan")
    def moment(when):  # type: ignore[no-untyped-def]
        return when

    assert "has nulls='nan', which is for numbers" in refused(numbers(), moment)


def test_what_numba_refuses_is_told_in_one_sentence() -> None:
    @mw.derived(name="y")
    def joins(x):  # type: ignore[no-untyped-def]
        return "a" + x

    says = refused(numbers(), joins)
    assert says.startswith("Numba cannot compile the derived column 'y' (x: float64): No implementation of function")
    assert "add" in says

    @mw.derived(name="y")
    def unknown(x):  # type: ignore[no-untyped-def]
        return nowhere(x)  # type: ignore[name-defined]  # noqa: F821

    assert "name 'nowhere' is not defined" in refused(numbers(), unknown)

    @mw.derived(name="y")
    def text(x):  # type: ignore[no-untyped-def]
        return "a"

    assert "returns a value of type unicode_type; it must return a number or a bool." in refused(numbers(), text)

    @mw.derived(name="y")
    def nothing(x):  # type: ignore[no-untyped-def]
        pass

    assert "returns only None" in refused(numbers(), nothing)

    @mw.derived(name="y")
    def cut(x) -> int:  # type: ignore[no-untyped-def]
        return x * 1.5  # type: ignore[no-any-return]

    assert "returns float64, but its annotation says int64; change one of them." in refused(numbers(), cut)

    @mw.derived(name="y")
    def raises(x: float) -> float:
        if x > 1:
            raise ValueError("too large")
        return x

    assert refused(numbers(), raises) == (
        "<table>: the function of the derived column 'y' raised ValueError: too large."
    )


def test_functions_that_cannot_be_columns_are_refused_where_they_are_decorated() -> None:
    def plain(x: float) -> float:
        return x

    for make, says in [
        (lambda: mw.derived(lambda x: x), "needs a name; define its function with def"),
        (lambda: mw.derived(5), "is made of a function"),  # type: ignore[call-overload]
        (lambda: mw.derived(name="x")(plain), "reads a column of its own name"),
        (lambda: mw.derived(nulls="zero")(plain), "nulls of the derived column 'plain' is 'null' or 'nan'"),  # type: ignore[call-overload]
        (lambda: mw.derived(columns={"z": "x"})(plain), "maps its parameters, x, to names of columns"),
    ]:
        with pytest.raises(mw.InputError, match=says):
            make()

    def none() -> float:
        return 1.0

    def several(*x: float) -> float:
        return x[0]

    def constant(x: float, k: float = 2.0) -> float:
        return x * k

    def words(x: str) -> float:
        return 1.0

    def unclear(x: Unclear) -> float:  # type: ignore[name-defined]  # noqa: F821
        return 1.0

    for function, says in [
        (none, "reads no column"),
        (several, "'x' of the derived column 'several' is not a plain one"),
        (constant, "'k' of the derived column 'constant' is not a plain one"),
        (words, "'x' of the derived column 'words' is annotated with str"),
        (unclear, "An annotation of the derived column 'unclear' cannot be understood"),
    ]:
        with pytest.raises(mw.InputError, match=says):
            mw.derived(function)
    with pytest.raises(mw.InputError, match="derived= takes functions decorated with @derived"):
        mw.Baseline.fit(numbers(), derived=[plain])  # type: ignore[list-item]
    with pytest.raises(mw.InputError, match="derived= takes a list"):
        mw.Baseline.fit(numbers(), derived="margin")  # type: ignore[arg-type]
    with pytest.raises(mw.InputError, match="Two derived columns are called 'plain'"):
        mw.Baseline.fit(numbers(), derived=[mw.derived(plain), mw.derived(plain)])
    space: dict[str, Any] = {}
    exec("def typed(x: float) -> float:\n    return x", space)
    with pytest.raises(mw.InputError, match="The text of the derived column 'typed' cannot be read"):
        mw.Baseline.fit(numbers(), derived=[mw.derived(space["typed"])])


def test_without_numba_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numba", None)

    @mw.derived(name="y")
    def f(x: float) -> float:
        return x

    assert refused(numbers(), f) == (
        "Derived columns are compiled by Numba, which is not installed; run pip install 'modelwatch-gpu[jit]'."
    )
