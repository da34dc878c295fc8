"""Derived columns as kernels: where numba-cuda gives the host's bits, in Numba's simulator, and by their PTX."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from contextlib import nullcontext
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from patience import PATIENCE

import modelwatch_gpu as mw
from modelwatch_gpu.log import formulas_cuda, open_log, with_derived
from modelwatch_gpu.log.formulas import _jitted
from modelwatch_gpu.log.formulas_cuda import keeps_bits, kernel_of, may_raise, signature_of

pytest.importorskip("numba", reason="numba is not installed")


@mw.derived
def margin(price: float, cost: float) -> float:
    return (price - cost) / price


@mw.derived
def linear(price: float, cost: float) -> float:
    return price * 2.5 + cost


@mw.derived
def grown(price: float, cost: float) -> float:
    return math.exp(price) - cost


def checked(price: float) -> float:
    if price < 0:
        raise ValueError("a price is not negative")
    return price


@mw.derived
def careful(price: float) -> float:
    return checked(price) + 1


# ---- in Numba's simulator, where kernels run as Python ---------------------------------------------------------------

PROGRAM = """
import numpy as np
import pyarrow as pa
import modelwatch_gpu as mw
from modelwatch_gpu.log import open_log, with_derived

@mw.derived
def margin(price: float, cost: float) -> float:
    return (price - cost) / price

@mw.derived
def cheap(price: float) -> bool:
    return half(price) < 3

def half(x):
    return x / 2

@mw.derived
def some(n: int) -> float | None:
    return None if n % 3 == 0 else n / 2

@mw.derived(nulls="nan")
def filled(price: float) -> float:
    return 7.0 if price != price else price

@mw.derived
def again(margin: float, n: int) -> float:
    return margin - n

rng = np.random.default_rng(1)
table = pa.table({
    "price": pa.array(rng.normal(size=1500) * 10, mask=rng.random(1500) < 0.1),
    "cost": pa.array(np.where(rng.random(1500) < 0.1, np.nan, rng.random(1500))),
    "n": rng.integers(-50, 50, 1500),
})
columns = [margin, cheap, some, filled, again]
for log in (table, table.slice(0, 0), table.slice(3, 257)):
    there = with_derived(open_log(log), columns, device="cuda:0,1")
    here = with_derived(open_log(log), columns)
    assert there.schema.equals(here.schema)
    for one, other in zip(there.files, here.files, strict=True):
        assert all(formula.there is not None for formula in one._formulas.values())
        assert not any(formula.there is not None for formula in other._formulas.values())
        names = [column.name for column in columns]
        found = [batch.to_pydict() for batch in one.batches(names)]
        expected = [batch.to_pydict() for batch in other.batches(names)]
        assert str(found) == str(expected), names
print("equal")
"""


def test_kernels_compute_what_the_host_does() -> None:
    """Null inputs, None for a null, NaN for null, derived of derived, none of the rows and some."""
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM_FILE],
        env={**os.environ, "NUMBA_ENABLE_CUDASIM": "1"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    assert ran.stdout == "equal\n"


#: Functions are known again by their text, so they stand in a file.
PROGRAM_FILE = f"""
import os, runpy, tempfile
with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "columns.py")
    with open(path, "w") as file:
        file.write({PROGRAM!r})
    runpy.run_path(path)
"""


# ---- what stays on the host ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ptx", "kept"),
    [
        ("sub.f64 %fd3, %fd1, %fd2;\ndiv.rn.f64 %fd4, %fd3, %fd1;", True),
        ("mul.f64 %fd3, %fd1, 0d4004000000000000;", True),
        ("mul.rn.f64 %fd3, %fd1, %fd2; add.rn.f64 %fd4, %fd3, %fd2;", True),
        ("mad.lo.s32 %r1, %r2, %r3, %r4;\nmul.wide.s32 %rd1, %r1, 8; add.s64 %rd2, %rd1, %rd3;", True),
        ("fma.rn.f64 %fd3, %fd1, %fd2, %fd4;", False),
        ("mad.rn.f32 %f3, %f1, %f2, %f4;", False),
        ("mul.f64 %fd3, %fd1, %fd2;\nadd.f64 %fd4, %fd3, %fd2;", False),
        ("mul.f32 %f3, %f1, %f2;\nsub.f32 %f4, %f3, %f2;", False),
        ("ex2.approx.f32 %f2, %f1;", False),
        ("div.full.f32 %f2, %f1, %f3;", False),
        ("add.ftz.f32 %f2, %f1, %f3;", False),
    ],
)
def test_what_rounds_otherwise_is_seen_in_the_ptx(ptx: str, kept: bool) -> None:
    assert keeps_bits(ptx) is kept


def test_functions_that_may_raise_are_found_through_those_they_call() -> None:
    assert may_raise(careful.function)
    assert may_raise(checked)
    assert not may_raise(margin.function)
    assert not may_raise(recursive)


def recursive(n: int) -> int:
    return n if n < 2 else recursive(n - 1)


class FakeCuda:
    """numba.cuda as far as it is used: what it compiles has this PTX."""

    def __init__(self, ptx: str | None) -> None:
        self.gpus = {3: nullcontext()}
        self._ptx = ptx

    def jit(self, function: Any = None, *, device: bool = False) -> Any:
        if device:
            return lambda inner: inner
        return SimpleNamespace(compile=self._compile, inspect_asm=lambda: {"sm_80": self._ptx})

    def _compile(self, signature: Any) -> None:
        if self._ptx is None:
            raise NotImplementedError("not for a GPU")


@pytest.mark.parametrize(("ptx", "there"), [("div.rn.f64 %fd4;", True), ("fma.rn.f64 %fd4;", False), (None, False)])
def test_only_kernels_with_the_bits_of_the_host_are_taken(
    monkeypatch: pytest.MonkeyPatch, ptx: str | None, there: bool
) -> None:
    fake = FakeCuda(ptx)
    monkeypatch.setattr(formulas_cuda, "_numba_cuda", lambda: (fake, False))
    margin.compiled.clear()
    log = with_derived(open_log(pa.table({"price": [1.0], "cost": [2.0]})), [margin], device="cuda:3")
    (formula,) = log.files[0]._formulas.values()  # type: ignore[attr-defined]
    assert (formula.there is not None) is there
    margin.compiled.clear()


def test_without_numba_cuda_the_host_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formulas_cuda, "_numba_cuda", lambda: (None, False))
    margin.compiled.clear()
    log = with_derived(open_log(pa.table({"price": [1.0], "cost": [2.0]})), [margin], device="cuda:3")
    assert log.files[0]._formulas["margin"].there is None  # type: ignore[attr-defined]
    assert next(iter(log.files[0].batches(["margin"]))).column(0).to_pylist() == [-1.0]


def test_a_device_that_fails_is_a_device_error(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeCuda("div.rn.f64 %fd4;")
    monkeypatch.setattr(formulas_cuda, "_numba_cuda", lambda: (fake, False))
    margin.compiled.clear()
    log = with_derived(open_log(pa.table({"price": [1.0], "cost": [2.0]})), [margin], device="cuda:3")
    with pytest.raises(mw.DeviceError, match="a derived column failed on cuda:3: AttributeError"):
        list(log.files[0].batches(["margin"]))
    margin.compiled.clear()


# ---- the PTX that numba-cuda makes -----------------------------------------------------------------------------------


@pytest.mark.skipif(find_spec("numba_cuda") is None, reason="numba-cuda is not installed")
@pytest.mark.parametrize(("column", "kept"), [(margin, True), (linear, False), (grown, False)], ids=lambda v: str(v))
def test_numba_cuda_divides_as_the_host_does_and_fuses_sums_of_products(
    monkeypatch: pytest.MonkeyPatch, column: mw.Derived, kept: bool
) -> None:
    """Compiled without a device; nothing runs."""
    from numba import cuda
    from numba.cuda import dispatcher

    monkeypatch.setattr(dispatcher, "get_current_device", lambda: SimpleNamespace(compute_capability=(8, 0)))
    row = _jitted(cuda.jit(device=True), column.function, {})
    kinds = ("float64", "float64")
    ptx, _ = cuda.compile(
        kernel_of(row, 2, cuda, optional=False),
        signature_of(kinds, "float64"),
        cc=(8, 0),
        device=False,
        abi="numba",
        output="ptx",
    )
    assert ".visible .entry" in ptx
    assert keeps_bits(ptx) is kept
