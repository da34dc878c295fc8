"""What all Python tests share: Hypothesis profiles, devices, and the bundled flights log."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

import modelwatch_gpu as mw

# The same examples in every run; MODELWATCH_HYPOTHESIS=full looks for new ones, and longer.
settings.register_profile("default", derandomize=True, max_examples=60, deadline=None, database=None)
settings.register_profile(
    "full", max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
settings.load_profile(os.environ.get("MODELWATCH_HYPOTHESIS") or "default")


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest) -> str:
    """Every device; one that is not there is skipped, and the summary says why."""
    name: str = request.param
    try:
        mw.stats.ks([0.0], [1.0], device=name)
    except mw.DeviceUnavailable as error:
        pytest.skip(str(error))
    return name


@dataclass(frozen=True)
class Flights:
    """The bundled log: one reference and nine months."""

    folder: Path
    reference: Path
    months: tuple[Path, ...]


@pytest.fixture(scope="session")
def flights() -> Flights:
    """Where the bundled flights log lies."""
    folder = Path(str(resources.files("modelwatch_gpu") / "data" / "flights"))
    return Flights(folder, folder / "reference_2013-01_03.parquet", tuple(sorted(folder.glob("production_*.parquet"))))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many checks the tests made that count them (tests/ptx/own)."""
    made = 0
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, []):
            made += sum(value for name, value in report.user_properties if name == "checks" and report.when == "call")
    if made:
        terminalreporter.write_line(f"PTX machine: {made} checks of its own")
