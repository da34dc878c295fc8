"""What all Python tests share: Hypothesis profiles, devices, and the bundled flights log."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import cuda_module
import pytest
from hypothesis import HealthCheck, settings

from modelwatch_gpu.device import Engine, cuda_reason, resolve
from modelwatch_gpu.device import engine as engine_named

# The same examples in every run, however slow a machine; MODELWATCH_HYPOTHESIS=full looks for new ones, and longer.
settings.register_profile(
    "default",
    derandomize=True,
    max_examples=60,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "full", max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
settings.load_profile(os.environ.get("MODELWATCH_HYPOTHESIS") or "default")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--cuda-module",
        metavar="PATH",
        help="run the tests marked gpu on this build of the CUDA backend, for example one made by `make test-cuda` "
        f"(or {cuda_module.VARIABLE}=PATH)",
    )


def pytest_configure(config: pytest.Config) -> None:
    # Before any test module is imported, here and in every worker of pytest-xdist.
    cuda_module.choose(config.getoption("--cuda-module", default=None))
    # Numba names the files of a package's cache by a number that two processes may choose at once, each for a function
    # of its own; the one that then reads the other's machine code aborts. Workers that start together have one each.
    if (worker := os.environ.get("PYTEST_XDIST_WORKER")) and getattr(config, "cache", None) is not None:
        os.environ.setdefault("NUMBA_CACHE_DIR", str(config.cache.mkdir(f"numba-{worker}")))


def pytest_sessionfinish() -> None:
    cuda_module.write_reports()


def pytest_report_header() -> str:
    return f"CUDA: {cuda_reason() or 'a device, or its stand-in'}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests marked gpu are skipped where there is no device, and the summary says why."""
    if reason := cuda_reason():
        skip = pytest.mark.skip(reason=f"needs a CUDA device or its stand-in (make test-cuda): {reason}")
        for item in items:
            if item.get_closest_marker("gpu"):
                item.add_marker(skip)


@pytest.fixture(params=["cpu", pytest.param("cuda:0", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest) -> str:
    """Every device."""
    name: str = request.param
    return name


@pytest.fixture
def host_device() -> str:
    """The device of numbers that are computed on the CPU only."""
    return "cpu"


@pytest.fixture
def engine(device: str) -> Engine:
    """The engine of every device."""
    return engine_named(resolve(device))


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
