"""Derived columns: a Python function of one row's values, which counts as a column of the log.

``@derived`` says which columns a function reads; ``log/formulas.py`` compiles it and adds what it gives to every batch.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import json
import textwrap
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, Literal, overload

import numpy as np

from ..errors import InputError

Nulls = Literal["null", "nan"]
#: What a parameter or a result may be annotated with, beside NumPy's own types, and how it is then stored.
_PYTHON: Final = {float: "float64", int: "int64", bool: "bool"}
_EXAMPLE: Final = "margin(price: float, cost: float) -> float"


@dataclass(frozen=True)
class Definition:
    """What a file keeps of a derived column. ``inputs``: the columns it reads, in the order of the parameters.
    ``source``: SHA-256 of the function's text without comments, of the constants it uses, and of its options."""

    name: str
    inputs: tuple[str, ...]
    source: str


@dataclass(frozen=True, eq=False)
class Derived:
    """A column that is computed from others, row by row. Made by ``@derived``.

    ``name``: of the column. ``inputs``: the columns it reads, one for each parameter. ``nulls``: "null": a null input
    makes a null; "nan": the function is called with NaN for null. ``takes``: the dtype of each parameter, None where it
    takes what the column has; ``gives``: the dtype of the result, None where that is what the function returns.
    """

    function: types.FunctionType
    name: str
    inputs: tuple[str, ...]
    nulls: Nulls
    takes: tuple[str | None, ...]
    gives: str | None
    #: Input dtypes -> what Numba made of the function, see formulas.py.
    compiled: dict[tuple[str, ...], Any] = field(default_factory=dict, repr=False)

    def __call__(self, *values: Any) -> Any:
        """The function itself, for one row."""
        return self.function(*values)

    @cached_property
    def definition(self) -> Definition:
        """What a baseline remembers; raises InputError where the function's text cannot be read."""
        told = {"inputs": self.inputs, "nulls": self.nulls, "text": _told(self.function, self.name, set())}
        return Definition(self.name, self.inputs, hashlib.sha256(json.dumps(told).encode()).hexdigest())

    def __repr__(self) -> str:
        return f"Derived({self.name!r} from {', '.join(self.inputs)})"


@overload
def derived(function: Callable[..., Any], /) -> Derived: ...
@overload
def derived(
    *, name: str | None = None, columns: Mapping[str, str] | None = None, nulls: Nulls = "null"
) -> Callable[[Callable[..., Any]], Derived]: ...
def derived(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    columns: Mapping[str, str] | None = None,
    nulls: Nulls = "null",
) -> Derived | Callable[[Callable[..., Any]], Derived]:
    """Makes a column of a function of one row's values: ``@derived``, or ``@derived(name="margin %")``.

    The function is compiled by Numba (``pip install modelwatch-gpu[jit]``) and runs on every row while the log is read,
    so it may use numbers, ``math`` and ``numpy`` functions of scalars, and other functions of this kind. Division by
    zero gives infinity or NaN, as in NumPy, and 0 by // of whole numbers. Parameters are columns of numbers, bools,
    dates and times (these as whole numbers: days, or ticks of the column's unit; decimals as float64), converted to
    their annotation (float, int, bool or a NumPy type) where there is one. The result has the type of its annotation,
    else the one that Numba infers; None is null.

    Args:
        function: The function; its name is the column's, its parameters' names are those of the columns it reads.
        name: Another name for the column.
        columns: Parameter -> column, for columns whose names differ from the parameters'.
        nulls: "null": where an input is null, the result is. "nan": a null input is NaN, and all inputs are floats.

    Raises:
        InputError: The function cannot be a derived column; the text says why.
    """
    if function is None:
        return lambda given: _derived(given, name, columns, nulls)
    return _derived(function, name, columns, nulls)


def _derived(function: Any, name: str | None, columns: Mapping[str, str] | None, nulls: Nulls) -> Derived:
    function = getattr(function, "py_func", function)  # of a function that Numba has in hand already
    if not isinstance(function, types.FunctionType):
        raise InputError(f"A derived column is made of a function, such as {_EXAMPLE}, not of {function!r}.")
    label = name if name is not None else function.__name__
    if not isinstance(label, str) or not label or label == "<lambda>":
        raise InputError(f"A derived column needs a name; define its function with def, such as {_EXAMPLE}.")
    if nulls not in ("null", "nan"):
        raise InputError(f"nulls of the derived column '{label}' is 'null' or 'nan', not {nulls!r}.")
    parameters = list(inspect.signature(function).parameters.values())
    if not parameters:
        raise InputError(f"The derived column '{label}' reads no column; give its function a parameter for each.")
    for one in parameters:
        if one.kind not in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD) or one.default is not one.empty:
            raise InputError(
                f"The parameter '{one.name}' of the derived column '{label}' is not a plain one; every parameter is a "
                "column, and constants stand outside the function."
            )
    names = [one.name for one in parameters]
    for key, column in (columns or {}).items():
        if key not in names or not isinstance(column, str):
            raise InputError(
                f"columns of the derived column '{label}' says {key!r}: {column!r}; it maps its parameters, "
                f"{', '.join(names)}, to names of columns."
            )
    inputs = tuple((columns or {}).get(one, one) for one in names)
    if label in inputs:
        raise InputError(f"The derived column '{label}' reads a column of its own name; give it another by name=.")
    try:
        hints = typing.get_type_hints(function)
    except Exception as error:  # annotations are text that the user wrote
        raise InputError(f"An annotation of the derived column '{label}' cannot be understood: {error}.") from None
    takes = tuple(_dtype(hints.get(one), f"The parameter '{one}' of the derived column '{label}'") for one in names)
    if nulls == "nan" and any(kind is not None and not kind.startswith("float") for kind in takes):
        raise InputError(f"The derived column '{label}' has nulls='nan', so its parameters are floats.")
    gives = _dtype(_without_none(hints.get("return")), f"The result of the derived column '{label}'")
    return Derived(function, label, inputs, nulls, takes, gives)


def _without_none(annotation: Any) -> Any:
    """``float`` of ``float | None``."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        rest = [part for part in typing.get_args(annotation) if part is not type(None)]
        return rest[0] if len(rest) == 1 else annotation
    return annotation


def _dtype(annotation: Any, what: str) -> str | None:
    """The dtype that an annotation names; None where there is none."""
    if annotation is None or annotation is Any:
        return None
    if annotation in _PYTHON:
        return _PYTHON[annotation]
    if isinstance(annotation, type) and issubclass(annotation, np.generic):
        kind = np.dtype(annotation)
        if kind.kind in "iufb" and kind.itemsize <= 8 and kind != np.float16:
            return kind.name
    shown = annotation.__name__ if isinstance(annotation, type) else annotation
    raise InputError(f"{what} is annotated with {shown}; derived columns are float, int, bool or a NumPy number.")


def checked(derived_columns: Any) -> tuple[Derived, ...]:
    """What a user passes as ``derived=``: one derived column or several. Raises InputError for anything else."""
    listed = (derived_columns,) if isinstance(derived_columns, Derived) else derived_columns
    if not isinstance(listed, Sequence) or isinstance(listed, str):
        raise InputError(f"derived= takes a list of functions decorated with @derived, not {derived_columns!r}.")
    found: dict[str, Derived] = {}
    for one in listed:
        if not isinstance(one, Derived):
            raise InputError(f"derived= takes functions decorated with @derived, not {one!r}.")
        if one.name in found:
            raise InputError(f"Two derived columns are called '{one.name}'; give one another name by name=.")
        found[one.name] = one
    return tuple(found.values())


# ---- what a function says, for telling whether it is still the same one ----------------------------------------------


def _told(function: types.FunctionType | Any, name: str, seen: set[int]) -> list[Any]:
    """The function's text without comments, blanks, docstring and decorators, then what its global names stand for."""
    seen.add(id(function))
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):
        raise InputError(
            f"The text of the derived column '{name}' cannot be read, by which a baseline knows it again; define its "
            "function with def, in a file or a notebook cell."
        ) from None
    node = tree.body[0]
    if not isinstance(node, ast.FunctionDef):
        raise InputError(f"The derived column '{name}' is not defined by def; define it so.")
    node.decorator_list = []
    if ast.get_docstring(node) is not None:
        node.body = node.body[1:] or [ast.Pass()]
    used = sorted({n.id for n in ast.walk(node) if isinstance(n, ast.Name)})
    around = inspect.getclosurevars(function)
    known = {**around.globals, **around.nonlocals}
    return [ast.unparse(node), *([n, _told_of(known[n], name, seen)] for n in used if n in known)]


def _told_of(value: Any, name: str, seen: set[int]) -> Any:
    """A global of the function as text that is the same wherever it means the same."""
    value = getattr(value, "py_func", value.function if isinstance(value, Derived) else value)
    if isinstance(value, types.FunctionType):
        return "itself" if id(value) in seen else _told(value, name, seen)
    if isinstance(value, np.ndarray):
        return [value.dtype.str, list(value.shape), hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()]
    if isinstance(value, (bool, int, float, str, bytes, tuple, np.generic)) or value is None:
        return repr(value)
    return getattr(value, "__name__", type(value).__name__)
