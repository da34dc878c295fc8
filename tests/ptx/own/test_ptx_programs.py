"""Whole CUDA programs, linked with the runtime stand-in, under each way of running streams and schedules."""

from __future__ import annotations

import os
import re
import subprocess

import building
import pytest
from checking import check

SETTINGS = [
    {"PTX_SEED": "0"},
    {"PTX_SEED": "0", "PTX_STREAMS": "lazy"},
    {"PTX_SEED": "5", "PTX_STREAMS": "lazy"},
    {"PTX_SEED": "6"},
    {"PTX_SEED": "7", "PTX_RACES": "2"},
]


def run_program(name: str, arch: str, settings: dict[str, str]) -> None:
    """Run a program; each check that it counts counts here, and one that died before its summary fails."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PTX_")}
    command = [building.own_file(f"{name}.{arch}")]
    done = subprocess.run(
        command, env={**environment, "PTX_QUIET": "1", **settings}, capture_output=True, text=True, check=False
    )
    summary = re.search(r"(\d+) passed, (\d+) failed", done.stdout)
    check(f"{name} ends with its summary", summary is not None and done.returncode == 0, done.stdout + done.stderr)
    for _ in range(int(summary[1]) if summary else 0):
        check(name, True)


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: "-".join(settings.values()))
def test_the_runtime_behaves_as_documented(front_end, settings):
    run_program("runtime_test", front_end, settings)


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: "-".join(settings.values()))
def test_device_wide_sort_scan_and_reduction_equal_the_standard_library(front_end, settings):
    run_program("device_library_test", front_end, settings)


@pytest.mark.parametrize(
    "settings", [*SETTINGS, {"PTX_UNINITIALISED": "0"}], ids=lambda settings: "-".join(settings.values())
)
def test_memory_pools_devices_and_their_loss_behave_as_documented(front_end, settings):
    run_program("devices_test", front_end, {"PTX_DEVICES": "2", **settings})


def test_a_machine_without_a_device_says_so(front_end):
    run_program("devices_test", front_end, {"PTX_DEVICES": "0"})
