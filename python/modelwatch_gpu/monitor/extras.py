"""Packages of the extras, and one clear sentence where they are not installed."""

from __future__ import annotations

import importlib
import importlib.util
from types import ModuleType
from typing import Final

from modelwatch_gpu.errors import InputError

#: What each extra brings that this package imports.
EXTRAS: Final = {
    "monitor": ("pydantic", "yaml", "sqlalchemy", "croniter"),
    "serve": ("starlette", "uvicorn", "prometheus_client"),
    "mlflow": ("mlflow",),
}


def check_extra(extra: str, for_what: str) -> None:
    """Raises InputError where a package of the extra is missing; ``for_what`` begins the sentence ("A monitor")."""
    for name in EXTRAS[extra]:
        if not _is_there(name):
            raise _missing(name, extra, for_what)


def _is_there(name: str) -> bool:
    """Whether a package can be imported; it is not, since not every run needs all of them."""
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def module_of(name: str, extra: str, for_what: str) -> ModuleType:
    """A module of an extra; raises InputError that names the extra where it is missing."""
    try:
        return importlib.import_module(name)
    except ImportError:
        raise _missing(name, extra, for_what) from None


def _missing(name: str, extra: str, for_what: str) -> InputError:
    return InputError(f"{for_what} needs the package {name}; install the extra: pip install 'modelwatch-gpu[{extra}]'.")
