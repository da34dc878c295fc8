"""Derived columns on a GPU, compiled by numba-cuda, where that gives the bits of the host.

The function that Numba compiles for the host is compiled as a kernel too, and its PTX is looked at: what fuses a
product with a sum, or approximates, would round otherwise than a CPU, so it stays on the host, as do functions that may
raise, which a kernel cannot, and all that numba-cuda does not compile. Nobody has run this on a GPU: tests run it in
Numba's simulator, and look at the PTX.
"""

from __future__ import annotations

import dis
import inspect
import re
import types
from collections.abc import Callable, Sequence
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ..errors import DeviceError
from .derived import Derived

Mask = npt.NDArray[np.bool_]

_THREADS: Final = 256
#: Instructions whose results are not those of a CPU, and those that ptxas may fuse into one where both are there.
_FUSED: Final = re.compile(r"\bfma\.|\bmad\.(?:r[nzmp]\.)?f|\.approx|\.ftz|\.full\b")
_PRODUCT: Final = re.compile(r"\bmul\.f(?:32|64)\b")
_SUM: Final = re.compile(r"\b(?:add|sub)\.f(?:32|64)\b")


class OnDevice:
    """A derived column's function as a kernel of one device. ``dtype``: of its result. ``optional``: whether it may be
    None."""

    def __init__(self, cuda: Any, kernel: Any, device: str, dtype: str, *, optional: bool) -> None:
        self.dtype = dtype
        self.optional = optional
        self._cuda, self._kernel, self._device = cuda, kernel, device

    def run(self, out: npt.NDArray[Any], valid: Mask | None, arrays: Sequence[npt.NDArray[Any]]) -> Mask | None:
        """Fills (rows,) ``out`` where ``valid``; returns (rows,) whether there is a value, None: everywhere."""
        there = np.ones(len(out), dtype=np.bool_) if valid is None else valid.copy()
        if len(out):
            try:
                with self._cuda.gpus[_index(self._device)]:
                    results, marks = self._cuda.to_device(out), self._cuda.to_device(there)
                    inputs = [self._cuda.to_device(np.ascontiguousarray(array)) for array in arrays]
                    self._kernel[-(-len(out) // _THREADS), _THREADS](results, marks, *inputs)
                    results.copy_to_host(out)
                    marks.copy_to_host(there)
            except Exception as error:  # numba-cuda's errors of the driver have no base of their own
                said = f"{type(error).__name__}: {error}".splitlines()[0].rstrip(".: ")
                raise DeviceError(f"a derived column failed on {self._device}: {said}.") from error
        return None if valid is None and not self.optional else there


def on_device(
    column: Derived,
    kinds: tuple[str, ...],
    dtype: str,
    device: str,
    jitted: Callable[[Callable[[Any], Any], types.FunctionType], Any],
    *,
    optional: bool,
) -> OnDevice | None:
    """The function of a derived column for a device, None where the host computes it.

    Args:
        column, kinds, dtype, optional: What was compiled for the host: for inputs of these dtypes, with this result.
        device: "cuda:N".
        jitted: Compiles a function, and those that it calls, by a decorator.
    """
    cuda, simulated = _numba_cuda()
    if cuda is None or may_raise(column.function):
        return None
    try:
        kernel = cuda.jit(
            kernel_of(jitted(cuda.jit(device=True), column.function), len(kinds), cuda, optional=optional)
        )
        if not simulated:
            with cuda.gpus[_index(device)]:
                kernel.compile(signature_of(kinds, dtype))
                if not all(keeps_bits(text) for text in kernel.inspect_asm().values()):
                    return None
    except Exception:  # of many kinds: what Numba compiles for a CPU only
        return None
    return OnDevice(cuda, kernel, device, dtype, optional=optional)


@cache
def _numba_cuda() -> tuple[Any, bool]:
    """The module, None where it cannot be used; and whether it is Numba's simulator, which compiles nothing."""
    try:
        numba: Any = import_module("numba")
        cuda: Any = import_module("numba.cuda")
        simulated = bool(numba.config.ENABLE_CUDASIM)
        usable = simulated or (find_spec("numba_cuda") is not None and cuda.is_available())
    except ImportError:
        return None, False
    return (cuda if usable else None), simulated


def _index(device: str) -> int:
    return int(device.removeprefix("cuda:"))


def kernel_of(row: Any, inputs: int, cuda: Any, *, optional: bool) -> types.FunctionType:
    """The kernel of a function of one row: (results, whether there is one, arrays of the parameters)."""
    names = [f"a{i}" for i in range(inputs)]
    lines = [f"def kernel(out, there, {', '.join(names)}):", "    i = cuda.grid(1)"]
    lines += ["    if i < out.size and there[i]:", f"        value = row({', '.join(f'{name}[i]' for name in names)})"]
    if optional:
        lines += ["        if value is None:", "            there[i] = False"]
        lines += ["        else:", "            out[i] = value"]
    else:
        lines += ["        out[i] = value"]
    space: dict[str, Any] = {"row": row, "cuda": cuda}
    exec("\n".join(lines), space)
    made: types.FunctionType = space["kernel"]
    return made


def signature_of(kinds: Sequence[str], dtype: str) -> Any:
    """Numba's signature of the kernel."""
    numba: Any = import_module("numba")
    arrays = [numba.types.Array(numba.from_dtype(np.dtype(kind)), 1, "C") for kind in (dtype, "bool", *kinds)]
    return numba.types.void(*arrays)


def keeps_bits(ptx: str) -> bool:
    """Whether a kernel's results are a CPU's, to the bit: every operation rounds once, to nearest."""
    return not _FUSED.search(ptx) and not (_PRODUCT.search(ptx) and _SUM.search(ptx))


def may_raise(function: types.FunctionType, seen: frozenset[int] = frozenset()) -> bool:
    """Whether a function, or one that it calls, has a ``raise`` or an ``assert``."""
    if any(one.opname == "RAISE_VARARGS" for one in dis.get_instructions(function)):
        return True
    around = inspect.getclosurevars(function)
    used = [*around.globals.values(), *around.nonlocals.values()]
    called = [value.function if isinstance(value, Derived) else getattr(value, "py_func", value) for value in used]
    seen = seen | {id(function)}
    return any(isinstance(one, types.FunctionType) and id(one) not in seen and may_raise(one, seen) for one in called)
