"""What is measured of a device's memory."""

from __future__ import annotations

from typing import Any

import pytest

import modelwatch_gpu as mw
from modelwatch_gpu.device import engine

pytestmark = pytest.mark.gpu


def test_bandwidths_are_positive_and_need_something_to_read() -> None:
    device: Any = engine("cuda:0")
    found = device.bandwidth(bytes=1 << 16, turns=1)
    assert set(found) == {"read", "copy", "stage"}
    assert all(value > 0 for value in found.values())
    with pytest.raises(mw.InputError, match="16 bytes or more"):
        device.bandwidth(bytes=8)
