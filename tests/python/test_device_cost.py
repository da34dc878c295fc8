"""device="auto" on rows of the host: a written model of what copying to a GPU and counting there takes."""

from __future__ import annotations

from dataclasses import fields, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

import modelwatch_gpu as mw
from modelwatch_gpu import cli, device_arrays, device_cost
from modelwatch_gpu import device as device_module
from modelwatch_gpu.device_cost import Costs, Work, choose, estimate, pays_from
from modelwatch_gpu.log import open_log
from modelwatch_gpu.profile.placing import device_for

COSTS = Costs(decode=10, number=8, text=20, code=1, stage=1e10, copy=2e10, count=1e9, array=2, start=0.5, margin=2)
MILLION = 1_000_000


@pytest.fixture
def one_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with a CUDA device, as far as its name goes."""
    module = SimpleNamespace(unavailable_reason=lambda: "", device_count=lambda: 1)
    monkeypatch.setattr(device_module, "cuda_module", lambda: module)
    monkeypatch.delenv("MODELWATCH_DEVICE", raising=False)


@pytest.fixture
def cheap_gpu(one_gpu: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is ready at once, and counts faster than any CPU."""
    monkeypatch.setenv(device_cost.VARIABLE, "start=1e-12,stage=1e15,copy=1e15,count=1e15,margin=1")


# ---- the model -------------------------------------------------------------------------------------------------------


def test_work_of_columns_by_hand() -> None:
    types = [
        pa.float64(),
        pa.int16(),
        pa.timestamp("us"),
        pa.string(),
        pa.dictionary(pa.int8(), pa.string()),
        pa.bool_(),
    ]
    work = Work.of_columns(types, 7, COSTS, decoded=False)
    assert work.rows == 7
    assert work.values == 6
    assert work.bytes == 8 + 2 + 8 + 24 + 1 + 1 / 8
    assert work.decode == pytest.approx(60e-9)
    assert work.scan == pytest.approx((8 + 8 + 8 + 20 + 1 + 8) * 1e-9)
    assert Work.of_columns(types, 7, COSTS, decoded=True).decode == 0


def test_seconds_by_hand() -> None:
    """10 million rows of 10 float64 in files, on 4 threads: 18 ns a value there; decoding and staging bound the GPU."""
    work = Work.of_columns([pa.float64()] * 10, 10 * MILLION, COSTS, decoded=False)
    found = estimate(work, COSTS, threads=4)
    assert found.cpu == pytest.approx(1e8 * 18e-9 / 4)
    assert found.cuda == pytest.approx(0.5 + 1e8 * (10e-9 + 8 / 1e10) / 4)
    assert not found.pays
    # In memory the copy bounds it: 0.4 ns a byte and thread beside 0.2 of staging on 4.
    work = replace(work, decode=0.0)
    found = estimate(work, COSTS, threads=8)
    assert found.cuda == pytest.approx(0.5 + 1e8 * 1e-9)
    assert estimate(work, replace(COSTS, count=1e12), threads=8).cuda == pytest.approx(0.5 + 1e8 * 8 / 2e10)


@given(
    st.integers(1, 60),
    st.integers(1, 256),
    st.booleans(),
    st.integers(0, 10**10),
    st.sampled_from([pa.float64(), pa.int8(), pa.string()]),
)
def test_a_gpu_pays_from_some_number_of_rows_on(
    columns: int, threads: int, decoded: bool, rows: int, kind: pa.DataType
) -> None:
    costs = Costs()
    work = Work.of_columns([kind] * columns, rows, costs, decoded=decoded)
    least = pays_from(work, costs, threads=threads)
    found = estimate(work, costs, threads=threads)
    # Beside the least, rounding may decide either way.
    if least is None or rows < least - 1:
        assert not found.pays
    elif rows > least + 1:
        assert found.pays


def test_what_nobody_can_count_beforehand_stays_on_the_cpu() -> None:
    assert not estimate(Work.of_columns([pa.float64()] * 50, None, COSTS, decoded=True), COSTS, threads=1).pays
    assert not estimate(Work.of_columns([], 10**12, COSTS, decoded=True), COSTS, threads=1).pays


def test_few_threads_and_dear_columns_favour_the_gpu() -> None:
    work = Work.of_columns([pa.float64()] * 20, None, Costs(), decoded=True)
    least = [pays_from(work, Costs(), threads=threads) or 10**18 for threads in (1, 2, 8, 32, 256)]
    assert least == sorted(least)
    assert least[0] < 10 * MILLION
    assert least[-1] == 10**18


# ---- what overrides it -----------------------------------------------------------------------------------------------


def test_constants_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Costs.known() == Costs()
    monkeypatch.setenv(device_cost.VARIABLE, "copy=12e9, start = 2,")
    assert Costs.known() == replace(Costs(), copy=12e9, start=2.0)


@pytest.mark.parametrize("text", ["copy", "copy=", "copy=x", "copy=0", "copy=-1", "copy=nan", "copy=inf", "pcie=1"])
def test_constants_that_make_no_sense_are_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv(device_cost.VARIABLE, text)
    with pytest.raises(mw.InputError, match=r"is not understood at .* of decode, number, text"):
        Costs.known()


BIG = Work.of_columns([pa.float64()] * 20, 10**10, COSTS, decoded=True)


@pytest.mark.usefixtures("one_gpu")
def test_auto_takes_the_gpu_where_it_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose("auto", BIG, COSTS, threads=1) == "cuda:0"
    assert choose("auto", replace(BIG, rows=1000), COSTS, threads=1) == "cpu"
    assert choose("auto", replace(BIG, rows=None), COSTS, threads=1) == "cpu"
    assert choose("auto", None, COSTS) == "cpu"
    assert choose("cpu", BIG, COSTS, threads=1) == "cpu"
    assert choose("cuda", replace(BIG, rows=0), COSTS) == "cuda:0"
    for named, chosen in (("cpu", "cpu"), ("cuda:0", "cuda:0"), ("auto", "cuda:0")):
        monkeypatch.setenv("MODELWATCH_DEVICE", named)
        assert choose("auto", BIG, COSTS, threads=1) == chosen


def test_auto_is_the_cpu_where_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MODELWATCH_DEVICE", raising=False)
    module = SimpleNamespace(unavailable_reason=lambda: "no driver.", device_count=lambda: 0)
    monkeypatch.setattr(device_module, "cuda_module", lambda: module)
    assert choose("auto", BIG, COSTS, threads=1) == "cpu"
    with pytest.raises(mw.DeviceUnavailable, match="is not available: "):
        choose("cuda", BIG, COSTS)


@pytest.mark.usefixtures("one_gpu")
def test_auto_is_the_cpu_in_a_fork_of_a_process_that_uses_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_module, "_USED_BY", {"cuda:0": -1})
    assert choose("auto", BIG, COSTS, threads=1) == "cpu"


# ---- logs and arrays -------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("cheap_gpu")
def test_a_log_is_placed_by_its_rows_and_columns(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    table = pa.table({"x": np.arange(1000.0), "c": ["a", "b"] * 500})
    pq.write_table(table, tmp_path / "log.parquet")
    for source in (table, str(tmp_path / "log.parquet")):
        assert device_for("auto", open_log(source), ["x", "c", "gone"]) == "cuda:0"
        assert device_for("auto", open_log(source), ["gone"]) == "cpu"
        assert device_for("cpu", open_log(source), ["x"]) == "cpu"
    # A stream has rows that nobody knows before.
    assert device_for("auto", open_log(table.to_reader()), ["x"]) == "cpu"
    seen: list[Work] = []
    monkeypatch.setattr(device_cost, "choose", lambda device, work, costs, threads: seen.append(work) or "cpu")
    device_for("auto", open_log(table), ["x"], passes=2)
    device_for("auto", open_log(str(tmp_path / "log.parquet")), ["x"])
    assert [(work.rows, work.decode > 0, work.bytes) for work in seen] == [(2000, False, 8), (1000, True, 8)]


@pytest.mark.usefixtures("cheap_gpu")
def test_arrays_are_placed_by_their_numbers() -> None:
    big = np.zeros(100_000)
    for values in (big, big.astype("f4").reshape(100, 1000), pa.array(big), pa.chunked_array([big, big])):
        assert device_arrays.resolve_for("auto", values) == "cuda:0"
        assert device_arrays.resolve_for("auto", values, big) == "cuda:0"
        assert device_arrays.resolve_for("cpu", values) == "cpu"
    for other in (["a"], pa.array(["a"]), big.astype(str), big.astype(bool), [1.0] * 100_000, np.zeros(0)):
        assert device_arrays.resolve_for("auto", other) == "cpu"
        if len(other):
            assert device_arrays.resolve_for("auto", big, other) == "cpu"


def test_a_report_says_who_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The model is asked where it matters: what it answers is what counts, and what the report says."""
    asked: list[tuple[str, int | None]] = []

    def answer(device: str, work: Work | None, costs: Costs, *, threads: int = 0) -> str:
        asked.append((device, work.rows if work is not None else None))
        return "cpu"

    monkeypatch.setattr(device_cost, "choose", answer)
    table = pa.table({"x": np.arange(3000.0)})
    report = mw.compare(table.slice(0, 1000), table.slice(1000), threads=1)
    assert report.device == "cpu"
    # Fitted in two passes, then placed by compare, which names the device to what counts.
    assert asked == [("auto", 2000), ("auto", 2000), ("cpu", 2000)]


def test_doctor_shows_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(device_cost.VARIABLE, "copy=12e9")
    said = CliRunner().invoke(cli.app, ["doctor"], env={"COLUMNS": "400"}).stdout
    assert all(f"{f.name}=" in said for f in fields(Costs))
    assert "copy=1.2e+10" in said
    assert f"(from {device_cost.VARIABLE})" in said
    assert "a GPU pays from" in said or "a GPU never pays" in said
