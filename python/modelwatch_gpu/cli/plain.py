"""Lines that need no library to be read: a command's options by their whole names, and its arguments.

Typer reads any line, explains what is wrong with one, and has pydantic imported for it, which takes as long as a tenth
of what a short command does. Here a line is read by the same declarations, the signature of the command's function; one
that is not plain, or not sound, is left to Typer, so what is said of it is said in one place.
"""

from __future__ import annotations

import inspect
import os
import types
from collections.abc import Callable, Sequence
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Final, Union, get_args, get_origin

from typer.models import ArgumentInfo, OptionInfo, ParameterInfo

#: What a declaration may say beside names, help and metavar: anything else is Typer's business.
_ASIDE: Final = ("callback", "default_factory", "envvar", "parser", "click_type", "prompt", "count", "is_eager")
#: Likewise of paths.
_OF_PATHS: Final = ("exists", "resolve_path", "path_type", "writable", "allow_dash")


class _NotPlain(Exception):
    """The line is for Typer."""


class _Parameter:
    """One option or argument of a command, by its declaration."""

    def __init__(self, parameter: inspect.Parameter) -> None:
        if get_origin(parameter.annotation) is not Annotated:
            raise _NotPlain
        kind, *about = get_args(parameter.annotation)
        found = [one for one in about if isinstance(one, ParameterInfo)]
        if len(found) != 1:
            raise _NotPlain
        self.info = found[0]
        if any(getattr(self.info, name, None) for name in (*_ASIDE, *_OF_PATHS)):
            raise _NotPlain
        if not all(getattr(self.info, name, True) for name in ("file_okay", "dir_okay")):
            raise _NotPlain
        own = [one for one in get_args(kind) if one is not types.NoneType]
        if get_origin(kind) in (Union, types.UnionType):
            if len(own) != 1:
                raise _NotPlain
            (kind,) = own
        self.many = get_origin(kind) is list
        self.kind: Any = get_args(kind)[0] if self.many else kind
        self.name, self.default = parameter.name, parameter.default
        if not isinstance(self.kind, type) or (self.kind is bool and not self.names):
            raise _NotPlain

    @property
    def is_argument(self) -> bool:
        """Whether it stands without a name."""
        return isinstance(self.info, ArgumentInfo)

    @property
    def names(self) -> tuple[str, ...]:
        """How the line calls the option."""
        if not isinstance(self.info, OptionInfo):
            return ()
        # Within Annotated the first name is where a default would be.
        first = self.info.default
        declared = (*((first,) if isinstance(first, str) else ()), *(self.info.param_decls or ()))
        if any("/" in name or not name.startswith("-") for name in declared):
            raise _NotPlain
        return declared or (() if self.kind is bool else (f"--{self.name.replace('_', '-')}",))

    def value(self, text: str) -> Any:
        """What a text stands for."""
        if not text or (text.startswith("-") and text != "-"):
            raise _NotPlain
        if self.kind is str:
            return text
        if self.kind is int and text.isascii() and text.isdigit() and len(text) < 10:
            number, least, most = int(text), self.info.min, self.info.max
            if (least is None or number >= least) and (most is None or number <= most):
                return number
        if self.kind is Path and (not os.path.exists(text) or os.access(text, os.R_OK)):
            return Path(text)
        if issubclass(self.kind, Enum):
            found = [one for one in self.kind if one.value == text]
            if len(found) == 1:
                return found[0]
        raise _NotPlain


def plain_call(function: Callable[..., Any], line: Sequence[str]) -> dict[str, Any] | None:
    """What a command's function is called with for these words behind its name; None where Typer is to read them."""
    try:
        own = [_Parameter(one) for one in inspect.signature(function, eval_str=True).parameters.values()]
        return _read(own, list(line))
    except _NotPlain:
        return None


def _read(own: Sequence[_Parameter], line: list[str]) -> dict[str, Any]:
    options = {name: one for one in own for name in one.names}
    given: dict[str, Any] = {}
    rest: list[str] = []
    while line:
        word = line.pop(0)
        if not word.startswith("-") or word == "-":
            rest.append(word)
            continue
        option = options.get(word)
        if option is None or (option.name in given and not option.many) or not (option.kind is bool or line):
            raise _NotPlain
        value = True if option.kind is bool else option.value(line.pop(0))
        given[option.name] = [*given.get(option.name, ()), value] if option.many else value
    for argument in [one for one in own if one.is_argument]:
        if argument.many:
            given[argument.name], rest = [argument.value(one) for one in rest], []
        elif rest:
            given[argument.name] = argument.value(rest.pop(0))
        if not given.get(argument.name) and argument.default is inspect.Parameter.empty:
            raise _NotPlain
    for one in own:
        if one.name not in given:
            if one.default is inspect.Parameter.empty:
                raise _NotPlain
            given[one.name] = one.default
    if rest:
        raise _NotPlain
    return given
