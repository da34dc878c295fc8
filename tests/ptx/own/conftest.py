"""The machine's own checks: built once per session, and counted."""

from __future__ import annotations

from collections.abc import Generator

import building
import checking
import numpy as np
import pytest

MOST_SHOWN = 20


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that takes `arch` runs once per target, one that takes `front_end` for those with whole programs."""
    if "arch" in metafunc.fixturenames:
        metafunc.parametrize("arch", building.architectures())
    if "front_end" in metafunc.fixturenames:
        metafunc.parametrize("front_end", [arch for arch in building.architectures() if arch in building.FRONT_ENDS])


@pytest.fixture(autouse=True)
def _built(request: pytest.FixtureRequest) -> None:
    """The machine, and nvcc's output where a test needs it; a test that cannot have them is skipped with the reason."""
    needs_nvcc = not {"arch", "front_end"}.isdisjoint(request.fixturenames)
    if (reason := building.ensure("ptx_own" if needs_nvcc else "ptx_machine")) is not None:
        pytest.skip(reason)


@pytest.fixture(autouse=True)
def _same_data_in_any_order(request: pytest.FixtureRequest, _built: None) -> None:
    """A module's generator starts anew for each test, so that its data do not depend on which tests ran before."""
    if hasattr(request.module, "rng"):
        request.module.rng = np.random.default_rng(7)


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Fail a test for any check that did not hold, and for having made none."""
    checking.start()
    result = yield
    made, failures = checking.finish()
    pyfuncitem.user_properties.append(("checks", made))
    if failures:
        shown = "\n".join(failures[:MOST_SHOWN])
        pytest.fail(f"{len(failures)} of {made} checks failed:\n{shown}", pytrace=False)
    return result
