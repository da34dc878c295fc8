"""Several devices count as one: columns and files are dealt out, and the bytes are those of one device.

The CPU's engine stands for each device here; tests/cuda has those with devices.
"""

from __future__ import annotations

import sys
import threading
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from patience import PATIENCE
from state_makers import log

import modelwatch_gpu as mw
from modelwatch_gpu import _core, device_arrays
from modelwatch_gpu import device as device_module
from modelwatch_gpu.device import devices_of, resolve
from modelwatch_gpu.profile import by_file
from modelwatch_gpu.several import SeveralDevices, at_once, dealt_out

COUNTING = sys.modules["modelwatch_gpu.profile.counting"]
FIT = sys.modules["modelwatch_gpu.profile.fit"]
OPTIONS: dict[str, Any] = {"window": "1mo", "segments": ["text", ("text", "whole")], "sample": 20}


@pytest.fixture(scope="module")
def baseline() -> mw.Baseline:
    return mw.Baseline.fit(log(1500, 0), roles=mw.Roles(timestamp="when", numeric=["whole"]))


@pytest.fixture
def three(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with three CUDA devices, as far as their names go."""
    module = SimpleNamespace(unavailable_reason=lambda: "", device_count=lambda: 3)
    monkeypatch.setattr(device_module, "cuda_module", lambda: module)


# ---- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize(
    ("asked", "answered", "single"),
    [
        ("cuda", "cuda:0", ["cuda:0"]),
        ("cuda:2", "cuda:2", ["cuda:2"]),
        ("cuda:all", "cuda:0,1,2", ["cuda:0", "cuda:1", "cuda:2"]),
        ("cuda:2,0", "cuda:0,2", ["cuda:0", "cuda:2"]),
        ("cpu", "cpu", ["cpu"]),
    ],
)
def test_a_name_of_devices_means_them_in_their_order(asked: str, answered: str, single: list[str]) -> None:
    assert resolve(asked) == answered
    assert devices_of(answered) == single


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize("asked", ["cuda:", "cuda:0,", "cuda:0,0", "cuda:x", "cuda:-1", "cuda:all,1", "gpu", "cuda:²"])
def test_what_names_no_devices_is_refused(asked: str) -> None:
    with pytest.raises(mw.InputError, match="is unknown; use 'auto'"):
        resolve(asked)


@pytest.mark.usefixtures("three")
def test_a_device_beyond_those_that_are_there_is_named() -> None:
    with pytest.raises(mw.DeviceUnavailable, match="CUDA found 3, numbered from 0"):
        resolve("cuda:1,3")


@pytest.mark.usefixtures("three")
def test_arrays_are_counted_by_one_device(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(mw.InputError, match="is several devices, and arrays are counted by one; name it, as 'cuda:1'"):
        device_arrays.resolve_for("cuda:1,2", np.arange(3))
    monkeypatch.setenv("MODELWATCH_DEVICE", "cuda:all")
    assert device_arrays.resolve_for("auto", np.arange(3)) == "cuda:0"
    assert resolve() == "cuda:0,1,2"


# ---- dealing ---------------------------------------------------------------------------------------------------------


@given(st.lists(st.sampled_from("abc"), max_size=30), st.integers(1, 8))
def test_every_column_is_one_devices_and_all_have_as_many_of_a_kind(kinds: list[str], hands: int) -> None:
    found = dealt_out(kinds, hands)
    assert sorted(i for own in found for i in own) == list(range(len(kinds)))
    assert len(found) == hands
    for kind in kinds:
        has = [sum(kinds[i] == kind for i in own) for own in found]
        assert max(has) - min(has) <= 1


def test_work_at_once_ends_before_what_failed_is_raised() -> None:
    together = threading.Barrier(3, timeout=PATIENCE)
    done: list[int] = []

    def work(n: int) -> None:
        together.wait()  # passed only where all three run at the same time
        if n == 1:
            raise mw.InputError("the second")
        done.append(n)

    with pytest.raises(mw.InputError, match="the second"):
        at_once([lambda n=n: work(n) for n in range(3)])  # type: ignore[misc]
    assert sorted(done) == [0, 2]
    at_once([])


@pytest.mark.parametrize("devices", [2, 3, 50])
def test_columns_dealt_out_give_the_bytes_of_one_device(
    baseline: mw.Baseline, monkeypatch: pytest.MonkeyPatch, devices: int
) -> None:
    file = log(3000, 5)
    expected = mw.Profile.count(baseline, file, **OPTIONS)
    live_expected = mw.LiveProfile(baseline, **OPTIONS)
    together = SeveralDevices([_core] * devices)
    monkeypatch.setattr(COUNTING, "engine", lambda device: together)
    assert mw.Profile.count(baseline, file, **OPTIONS).to_bytes() == expected.to_bytes()
    live = mw.LiveProfile(baseline, **OPTIONS)
    for batch in file.to_batches(max_chunksize=700):
        live.add(batch)
        live_expected.add(batch)
    assert live.profile().to_bytes() == live_expected.profile().to_bytes()


@pytest.mark.parametrize("exact_up_to", [100, 131_072])
def test_a_fit_on_several_devices_gives_the_bytes_of_one(monkeypatch: pytest.MonkeyPatch, exact_up_to: int) -> None:
    reference = log(3000, 6)
    options: dict[str, Any] = {"roles": mw.Roles(timestamp="when", numeric=["whole"]), "exact_up_to": exact_up_to}
    expected = mw.Baseline.fit(reference, **options)
    together = SeveralDevices([_core] * 3)
    for module in (COUNTING, FIT):
        monkeypatch.setattr(module, "engine", lambda device: together)
    assert mw.Baseline.fit(reference, **options).to_bytes() == expected.to_bytes()


def test_a_log_of_no_columns_of_a_kind_is_counted_by_one_device() -> None:
    together = SeveralDevices([_core] * 3)
    counter = together.Counter([], [])
    assert (counter.rows, counter.bytes) == (0, 0)
    assert together.hash_bytes(b"a") == _core.hash_bytes(b"a")


# ---- files -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def dealt_files(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Three devices count files; the names of the threads that did."""
    seen: list[str] = []
    real = COUNTING.FileCounter.read

    def read(counter: Any, progress: Any) -> None:
        seen.append(threading.current_thread().name)
        real(counter, progress)

    monkeypatch.setattr(COUNTING.FileCounter, "read", read)
    monkeypatch.setattr(by_file, "devices_of", lambda device: ["cpu", "cpu", "cpu"])
    return seen


@pytest.mark.parametrize("options", [OPTIONS, {"window": "700rows"}, {"window": None, "keep_parts": False}])
def test_files_dealt_out_give_the_bytes_of_one_device(
    baseline: mw.Baseline, monkeypatch: pytest.MonkeyPatch, dealt_files: list[str], options: dict[str, Any]
) -> None:
    files = [log(300 + 100 * i, i) for i in range(7)]
    told: list[int] = []
    found = mw.Profile.count(baseline, files, progress=told.append, **options)
    assert len(dealt_files) == 7
    assert all(name.startswith("modelwatch-count") for name in dealt_files)
    assert sum(told) == found.rows == sum(map(len, files))
    monkeypatch.setattr(by_file, "devices_of", lambda device: [device])
    assert found.to_bytes() == mw.Profile.count(baseline, files, **options).to_bytes()


def test_fewer_files_than_devices_are_not_dealt_out(baseline: mw.Baseline, dealt_files: list[str]) -> None:
    mw.Profile.count(baseline, [log(300, 1), log(300, 2)], **OPTIONS)
    assert not any(name.startswith("modelwatch-count") for name in dealt_files)


def test_windows_of_rows_need_to_know_where_a_file_begins(baseline: mw.Baseline, dealt_files: list[str]) -> None:
    def stream(seed: int) -> pa.RecordBatchReader:
        return log(500, seed).to_reader()

    found = mw.Profile.count(baseline, [stream(i) for i in range(3)], window="700rows")
    assert found.rows == 1500
    assert not any(name.startswith("modelwatch-count") for name in dealt_files)


@pytest.mark.usefixtures("dealt_files")
def test_a_file_that_cannot_be_counted_ends_all(baseline: mw.Baseline) -> None:
    bad = log(300, 3)
    at = bad.schema.get_field_index("text")
    broken = pa.DictionaryArray.from_arrays(pa.array([9] * 300, pa.int8()), pa.array(["a"]), safe=False)
    with pytest.raises(mw.InputError, match="column 'text', is not valid"):
        mw.Profile.count(baseline, [log(300, 1), log(300, 2), bad.set_column(at, "text", broken), log(300, 4)])
    assert not [t for t in threading.enumerate() if t.name.startswith("modelwatch-")]


@pytest.mark.usefixtures("dealt_files")
def test_what_progress_raises_ends_all(baseline: mw.Baseline) -> None:
    def stop(rows: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        mw.Profile.count(baseline, [log(300, i) for i in range(9)], progress=stop)
    assert not [t for t in threading.enumerate() if t.name.startswith("modelwatch-")]
