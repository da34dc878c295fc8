"""Derived columns of a file: compiled by Numba for the types that its columns have, computed batch by batch."""

from __future__ import annotations

import difflib
import inspect
import re
import types
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ..device import devices_of
from ..errors import DeviceError, InputError
from ..plain import plain_array, plain_type
from .derived import Derived
from .files import ComputedLogFile, Log, LogFile
from .formulas_cuda import OnDevice, on_device

Mask = npt.NDArray[np.bool_]

_ARROW: Final = {
    "bool": pa.bool_(),
    **{f"{sign}int{bits}": getattr(pa, f"{sign}int{bits}")() for sign in ("", "u") for bits in (8, 16, 32, 64)},
    "float32": pa.float32(),
    "float64": pa.float64(),
}
_NAMES: Final = {str(kind): name for name, kind in _ARROW.items()}


def with_derived(log: Log, columns: Sequence[Derived], *, known: Sequence[str] = (), device: str = "cpu") -> Log:
    """The log with derived columns after its own; they are compiled here and computed while the log is read.

    known: names of derived columns that a baseline has. A file that cannot give such a column lacks it, or has it with
    a type that compares with nothing, as it is with any other column of a baseline. device: as ``device.resolve`` names
    it; the first of several computes what it can with the same bits. Raises InputError where a file
    cannot give another one, for a derived column with the name of a stored one, and where Numba refuses the function or
    is not installed.
    """
    if not columns:
        return log
    for column in columns:
        if column.name in known or not log.files:
            continue
        missing = [name for name in column.inputs if name not in (*log.schema.names, *(c.name for c in columns))]
        if missing:
            raise InputError(_needs(column, missing[0], log.schema.names, "the log"))
    return Log.of([DerivedLogFile(file, columns, frozenset(known), devices_of(device)[0]) for file in log.files])


@dataclass(frozen=True)
class _Formula:
    """One derived column of one file. ``kinds``: the dtype in which each input is read; ``kind``: the column's type.
    ``made``: what was compiled, None where the inputs are of types that cannot be computed with. ``there``: the same
    for a device, None where the host computes it."""

    column: Derived
    kinds: tuple[str, ...]
    kind: pa.DataType
    made: _Made | None
    there: OnDevice | None = None


class DerivedLogFile(ComputedLogFile):
    """A file with derived columns after those that it has."""

    def __init__(self, file: LogFile, columns: Sequence[Derived], known: frozenset[str], device: str = "cpu") -> None:
        self._file, self._device = file, device
        self._formulas: dict[str, _Formula] = {}
        schema = file.schema
        for column in columns:
            if column.name in schema.names:
                raise InputError(
                    f"{file.name} has a column '{column.name}' already; give the derived one another name by name=."
                )
            missing = [name for name in column.inputs if name not in schema.names]
            if missing:
                if column.name in known:
                    continue
                raise InputError(_needs(column, missing[0], file.schema.names, file.name))
            formula = self._formula(column, schema, column.name in known)
            self._formulas[column.name] = formula
            schema = schema.append(pa.field(column.name, formula.kind))
        super().__init__(file.name, schema, file.rows, reusable=file.reusable)

    def _formula(self, column: Derived, schema: pa.Schema, known: bool) -> _Formula:
        kinds: list[str] = []
        for name, takes in zip(column.inputs, column.takes, strict=True):
            kind, why_not = _read_as(plain_type(schema.field(name).type), takes, column.nulls)
            if why_not:
                if not known:
                    raise InputError(f"{self._file.name}: the derived column '{column.name}' {why_not} ('{name}').")
                kept = [schema.field(one).with_nullable(True) for one in dict.fromkeys(column.inputs)]
                return _Formula(column, (), pa.struct(kept), None)
            kinds.append(kind)
        made = column.compiled.get(tuple(kinds))
        if made is None:
            made = column.compiled[tuple(kinds)] = _compiled(column, tuple(kinds))
        there = _there(column, tuple(kinds), made, self._device) if self._device != "cpu" else None
        return _Formula(column, tuple(kinds), _ARROW[made.dtype], made, there)

    def time_range(self, column: str) -> tuple[int, int] | None:
        """As ``LogFile.time_range``; a derived column has no time."""
        return None if column in self._formulas else self._file.time_range(column)

    def read_for(self, columns: Sequence[str]) -> list[str]:
        """The columns of the file itself that these are, or are derived from, in the order of their first use."""
        found: dict[str, None] = {}
        for name in columns:
            formula = self._formulas.get(name)
            inputs = [name] if formula is None else self.read_for(formula.column.inputs)
            found.update(dict.fromkeys(inputs))
        return list(found)

    def select(self, batch: pa.RecordBatch, columns: Sequence[str]) -> pa.RecordBatch:
        """These columns, in this order, of a valid batch that has all of ``read_for(columns)``."""
        arrays: dict[str, pa.Array] = {}

        def array_of(name: str) -> pa.Array:
            if name not in arrays:
                formula = self._formulas.get(name)
                if formula is None:
                    arrays[name] = batch.column(name)
                else:
                    inputs = [array_of(one) for one in formula.column.inputs]
                    arrays[name] = _computed(formula, inputs, len(batch), self.name)
            return arrays[name]

        found = [array_of(name) for name in columns]
        return pa.RecordBatch.from_arrays(found, names=list(columns))

    def _batches(self, columns: list[str]) -> Iterator[pa.RecordBatch]:
        for batch in self._file.batches(self.read_for(columns)):
            yield self.select(batch, columns)


def _needs(column: Derived, missing: str, names: Sequence[str], where: str) -> str:
    close = " or ".join(map(repr, difflib.get_close_matches(missing, names, n=3)))
    ask = f"did you mean {close}?" if close else "name it by columns={...}, or derive it first."
    return f"The derived column '{column.name}' reads the column '{missing}', which {where} does not have; {ask}"


# ---- inputs and results ----------------------------------------------------------------------------------------------


def _read_as(kind: pa.DataType, takes: str | None, nulls: str) -> tuple[str, str]:
    """The dtype in which a column of this type is read, and why it cannot be, in the middle of a sentence."""
    t = pa.types
    if t.is_dictionary(kind):
        kind = kind.value_type
    time = t.is_temporal(kind) and not t.is_interval(kind)
    if t.is_null(kind):
        return takes or "float64", ""
    if time:
        own = "int64"
    elif t.is_decimal(kind):
        own = "float64"
    else:
        own = "float32" if t.is_float16(kind) else _NAMES.get(str(kind), "")
    if not own:
        return "", f"takes numbers, bools, dates and times, not a column of type {kind}"
    if nulls == "nan":
        if time:
            return "", f"has nulls='nan', which is for numbers, not for a column of type {kind}"
        own = own if own.startswith("float") else "float64"
    if takes is None or takes == own:
        return own, ""
    wide = takes == "float64" and not time  # int64 as float64: as Python's own float() does
    if wide or (not time and np.can_cast(own, takes, "safe")) or (takes == "int64" and own == "uint64"):
        return takes, ""
    ticks = "; annotate it with int" if time else ""
    return "", f"takes {takes}, which a column of type {kind} is not{ticks}"


def _values(array: pa.Array, kind: str, nulls: str) -> tuple[npt.NDArray[Any], Mask | None]:
    """(rows,) values of dtype ``kind``, anything where null, and (rows,) whether there is one; None: everywhere.

    Raises pa.ArrowInvalid for a value that the dtype does not hold.
    """
    array = plain_array(array)
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    valid = pc.is_valid(array).to_numpy(zero_copy_only=False) if array.null_count and nulls == "null" else None
    if array.type == pa.date32() or pa.types.is_time32(array.type):
        array = array.cast(pa.int32())
    wanted = _ARROW[kind]
    if array.type != wanted:
        array = array.cast(wanted, safe=not kind.startswith("float"))
    if nulls == "nan":
        array = pc.fill_null(array, float("nan"))
    if kind == "bool":
        return pc.fill_null(array, False).to_numpy(zero_copy_only=False), valid
    data = array.buffers()[1]
    if data is None or not len(array):
        return np.zeros(len(array), dtype=kind), valid
    values = np.frombuffer(data, dtype=kind, count=len(array), offset=array.offset * np.dtype(kind).itemsize)
    values.setflags(write=False)  # one kind of array, so that one loop is compiled
    return values, valid


def _computed(formula: _Formula, inputs: Sequence[pa.Array], rows: int, where: str) -> pa.Array:
    """A derived column of one batch."""
    column, made = formula.column, formula.made
    if made is None:
        return pa.nulls(rows, formula.kind)
    arrays: list[npt.NDArray[Any]] = []
    valid: Mask | None = None
    for array, kind, name in zip(inputs, formula.kinds, column.inputs, strict=True):
        try:
            values, there = _values(array, kind, column.nulls)
        except pa.ArrowInvalid:
            raise InputError(
                f"{where}: a value of column '{name}' is not exact as {kind}, which the derived column "
                f"'{column.name}' takes."
            ) from None
        arrays.append(values)
        if there is not None:
            valid = there if valid is None else valid & there
    out = np.zeros(rows, dtype=made.dtype)
    try:
        found = (formula.there or made).run(out, valid, arrays)
    except DeviceError:
        raise
    except Exception as error:  # whatever the user's function raises
        said = f"{type(error).__name__}: {error}".splitlines()[0].rstrip(".: ")
        raise InputError(f"{where}: the function of the derived column '{column.name}' raised {said}.") from None
    bits = None if found is None else pa.py_buffer(np.packbits(found, bitorder="little"))
    data = np.packbits(out, bitorder="little") if made.dtype == "bool" else out
    return pa.Array.from_buffers(formula.kind, rows, [bits, pa.py_buffer(data)])


# ---- Numba -----------------------------------------------------------------------------------------------------------


class _Made:
    """A function compiled for some input dtypes. ``dtype``: of its result. ``optional``: whether it may be None."""

    def __init__(self, numba: Any, row: Any, inputs: int, dtype: str, *, optional: bool) -> None:
        self.dtype = dtype
        self.optional = optional
        self._numba, self._row, self._inputs = numba, row, inputs
        self._loops: dict[bool, Callable[..., None]] = {}

    def run(self, out: npt.NDArray[Any], valid: Mask | None, arrays: Sequence[npt.NDArray[Any]]) -> Mask | None:
        """Fills (rows,) ``out`` where ``valid``; returns (rows,) whether there is a value, None: everywhere."""
        masked = valid is not None
        loop = self._loops.get(masked)
        if loop is None:
            loop = self._loops[masked] = self._loop(masked)
        there = valid if valid is not None and not self.optional else np.ones(len(out), dtype=np.bool_)
        if valid is not None and self.optional:
            there = valid.copy()
        loop(out, there, *arrays)
        return there if masked or self.optional else None

    def _loop(self, masked: bool) -> Callable[..., None]:
        """The loop over the rows of a batch, with as many arrays as the function has parameters; without a mask it is
        one that the compiler can make vectors of."""
        names = [f"a{i}" for i in range(self._inputs)]
        call = f"row({', '.join(f'{name}[i]' for name in names)})"
        lines = [f"def loop(out, there, {', '.join(names)}):", "    for i in range(len(out)):"]
        lines += ["        if not there[i]:", "            continue"] if masked else []
        if self.optional:
            lines += [f"        value = {call}", "        if value is None:", "            there[i] = False"]
            lines += ["        else:", "            out[i] = value"]
        else:
            lines += [f"        out[i] = {call}"]
        space: dict[str, Any] = {"row": self._row}
        exec("\n".join(lines), space)
        loop: Callable[..., None] = self._numba.njit(error_model="numpy", nogil=True)(space["loop"])
        return loop


def _numba() -> Any:
    try:
        import numba
    except ImportError as error:
        why = "which is not installed" if isinstance(error, ModuleNotFoundError) else f"which cannot be used ({error})"
        raise InputError(
            f"Derived columns are compiled by Numba, {why}; run pip install 'modelwatch-gpu[jit]'."
        ) from None
    return numba


def _compiled(column: Derived, kinds: tuple[str, ...]) -> _Made:
    """Compiles the function of a derived column for inputs of these dtypes."""
    numba = _numba()
    signature = tuple(numba.from_dtype(np.dtype(kind)) for kind in kinds)
    row = _jitted(numba.njit(error_model="numpy", nogil=True), column.function, {})
    takes = ", ".join(f"{name}: {kind}" for name, kind in zip(column.inputs, kinds, strict=True))
    try:
        row.compile(signature)
    except Exception as error:  # Numba raises errors of many kinds
        raise InputError(
            f"Numba cannot compile the derived column '{column.name}' ({takes}): {_reason(error)}."
        ) from None
    returned = numba.types.unliteral(row.overloads[signature].signature.return_type)
    optional = isinstance(returned, numba.types.Optional)
    returned = numba.types.unliteral(returned.type) if optional else returned
    known = isinstance(returned, (numba.types.Integer, numba.types.Float, numba.types.Boolean))
    if not known or str(numba.np.numpy_support.as_dtype(returned)) not in _ARROW:
        what = "only None" if returned == numba.types.none else f"a value of type {returned}"
        raise InputError(
            f"The derived column '{column.name}' ({takes}) returns {what}; it must return a number or a bool."
        )
    own = str(numba.np.numpy_support.as_dtype(returned))
    if column.gives is not None and not np.can_cast(
        own, column.gives, "same_kind" if column.gives.startswith("float") else "safe"
    ):
        raise InputError(
            f"The derived column '{column.name}' ({takes}) returns {own}, but its annotation says "
            f"{column.gives}; change one of them."
        )
    return _Made(numba, row, len(kinds), column.gives or own, optional=optional)


def _there(column: Derived, kinds: tuple[str, ...], made: _Made, device: str) -> OnDevice | None:
    """What computes a derived column on a device; None where the host does."""
    key = (device, *kinds)
    if key not in column.compiled:
        jitted = lambda decorate, function: _jitted(decorate, function, {})  # noqa: E731
        column.compiled[key] = on_device(column, kinds, made.dtype, device, jitted, optional=made.optional)
    found: OnDevice | None = column.compiled[key]
    return found


def _jitted(decorate: Callable[[Any], Any], function: types.FunctionType, made: dict[int, Any]) -> Any:
    """The function for Numba, with the functions it calls for Numba too: decorated. ``made``: by identity, those done
    already."""
    if id(function) in made:
        return made[id(function)]
    around = inspect.getclosurevars(function)

    def compilable(value: Any) -> Any:
        value = value.function if isinstance(value, Derived) else value
        return _jitted(decorate, value, made) if isinstance(value, types.FunctionType) else value

    space = dict(function.__globals__)
    cells = tuple(types.CellType() for _ in function.__closure__ or ())
    copy = types.FunctionType(function.__code__, space, function.__name__, function.__defaults__, cells)
    made[id(function)] = row = decorate(copy)
    space.update({name: compilable(value) for name, value in around.globals.items()})
    for cell, name in zip(cells, function.__code__.co_freevars, strict=True):
        if name in around.nonlocals:
            cell.cell_contents = compilable(around.nonlocals[name])
    return row


def _reason(error: Exception) -> str:
    """Why Numba refused a function, in one line, with the line of the function where it says so."""
    lines = [line.strip() for line in re.sub(r"\x1b\[[0-9;]*m", "", str(error)).splitlines()]
    told = [line for line in lines if line and not line.startswith(("Failed in", "During:", "-"))]
    first = told[0] if told else type(error).__name__
    if first.endswith(":") and len(told) > 1:
        first += " " + told[1].lstrip("> ")
    at = re.search(r'File "[^"]*", line (\d+)', str(error))
    return first.rstrip(".: ")[:300] + (f" (line {at[1]})" if at else "")
