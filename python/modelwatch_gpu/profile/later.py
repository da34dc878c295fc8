"""Fields of data classes that are made when somebody asks for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Later:
    """A field that may hold what its value is made of, until it is read.

    Set behind the class: a dataclass would take a descriptor in its body for a default.
    """

    def __init__(self, name: str, made: Callable[[Any, Any], Any]) -> None:
        """``made``: from an object and what the field ``name`` holds its value, which is itself where it is known."""
        self._name, self._made = name, made

    def __get__(self, owner: Any, kind: type) -> Any:
        if owner is None:
            return self
        kept = owner.__dict__[self._name]
        value = self._made(owner, kept)
        if value is not kept:
            owner.__dict__[self._name] = value
        return value

    def __set__(self, owner: Any, value: Any) -> None:
        owner.__dict__[self._name] = value
