"""What a deployment ran with: Python, packages, CUDA and its driver. No path, no host, no user."""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Iterable
from importlib import metadata
from typing import Any

from modelwatch_gpu import _core
from modelwatch_gpu.device import cuda_module, driver, driver_devices


def snapshot(packages: Iterable[str] | None = None) -> dict[str, Any]:
    """This process's environment as JSON values, the same for the same installation.

    Args:
        packages: Names to keep; those that are not installed have the version None. Default: all installed ones.

    Returns:
        ``python``, ``platform``, ``packages`` (name in lower case -> version), ``modelwatch``, ``cuda`` (the version
        that the backend was built with, the driver's, and the devices by name; None each where there is none).
    """
    return {
        "python": platform.python_version(),
        "implementation": sys.implementation.name,
        "platform": f"{sys.platform} {platform.machine()}",
        "packages": _installed() if packages is None else _of(packages),
        "modelwatch": {"version": str(_core.build_info()["version"]), "compiler": str(_core.build_info()["compiler"])},
        "cuda": _cuda(),
    }


def _installed() -> dict[str, str]:
    found: dict[str, str] = {}
    for one in metadata.distributions():
        # A distribution that is broken on disk has no name.
        name = one.metadata["Name"] if one.metadata is not None else None
        if name:
            found.setdefault(_normal(str(name)), str(one.version))
    return dict(sorted(found.items()))


def _of(names: Iterable[str]) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for name in sorted({_normal(n) for n in names}):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    return found


def _normal(name: str) -> str:
    """As PEP 503 has it, so that a name is written in one way."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _cuda() -> dict[str, Any]:
    module = cuda_module()
    return {"built_with": None if module is None else str(module.build_info()["cuda"]), **_driver()}


def _driver() -> dict[str, Any]:
    """The highest CUDA version that the driver knows, and the devices by name."""
    library = driver()
    if library is None or library.cuInit(0) != 0:
        return {"driver": None, "devices": []}
    version, names = driver_devices(library)
    return {"driver": version, "devices": names}


def changes(before: dict[str, Any] | None, after: dict[str, Any] | None) -> list[str]:
    """What differs between two snapshots, in short sentences."""
    if before is None or after is None:
        return []
    found = [
        f"{what} {before.get(what)} -> {after.get(what)}"
        for what in ("python", "platform")
        if before.get(what) != after.get(what)
    ]
    old, new = before.get("cuda") or {}, after.get("cuda") or {}
    found += [
        f"cuda {what} {old.get(what)} -> {new.get(what)}"
        for what in ("built_with", "driver", "devices")
        if old.get(what) != new.get(what)
    ]
    old, new = before.get("packages") or {}, after.get("packages") or {}
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            found.append(f"{name} {old.get(name) or 'none'} -> {new.get(name) or 'none'}")
    return found
