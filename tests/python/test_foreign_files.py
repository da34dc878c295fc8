"""Files of SageMaker, TFDV and whylogs as expectations."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import modelwatch_gpu as mw

FIXTURES = Path(__file__).parents[1] / "data" / "peers"


def limits(expectations: mw.Expectations) -> dict[tuple[str, str], dict[str, Any]]:
    return {(e.column, e.check): dict(e.limits) for e in expectations.items}


def log(kinds: list[str | None], ages: list[float | None]) -> pa.Table:
    return pa.table({"age": pa.array(ages, pa.float64()), "kind": pa.array(kinds, pa.string())})


def test_constraints_of_sagemaker_become_expectations_that_are_judged() -> None:
    found = mw.Expectations.from_sagemaker(
        statistics=FIXTURES / "sagemaker_statistics.json", constraints=FIXTURES / "sagemaker_constraints.json"
    )
    own = limits(found)
    assert own["age", "nulls"] == {"max": 0.01}  # of the constraints, not of the statistics
    assert own["age", "negative"] == {"max": 0.0}
    assert own["age", "fraction"] == {"max": 0.0}
    assert own["age", "range"] == {"min": 18.0, "max": 90.0, "share": 0.001}
    assert own["age", "mean"] == {"min": 41.5 - 6.125, "max": 41.5 + 6.125}
    assert own["kind", "allowed_values"] == {"in": ["a", "b", "c"], "max": 0.1}
    assert own["kind", "nulls"] == {"max": 0.2}
    assert own["kind", "distinct_values"] == {"max": 16}
    assert own[":table", "columns"]["names"] == ["age", "kind"]
    assert "Check('l_infinity', alert=...)" in found.notes[0]

    rng = np.random.default_rng(1)
    good = log(rng.choice(["a", "b", "c"], 1_000).tolist(), rng.integers(18, 66, 1_000).astype(float).tolist())
    bad = log(
        rng.choice(["a", "z"], 1_000).tolist(), [*rng.integers(18, 66, 800).astype(float).tolist(), *[-1.5] * 200]
    )
    baseline = mw.Baseline.fit(good, roles=mw.Roles(numeric=["age"]))
    assert mw.compare(baseline, good, checks=[], expectations=found).findings == ()
    named = {(f.column, f.check) for f in mw.compare(baseline, bad, checks=[], expectations=found).findings}
    assert {("age", "negative"), ("age", "fraction"), ("age", "range"), ("kind", "allowed_values")} <= named


def test_constraints_alone_and_statistics_alone_will_do() -> None:
    one = limits(mw.Expectations.from_sagemaker(constraints=FIXTURES / "sagemaker_constraints.json"))
    assert ("age", "range") not in one
    other = limits(mw.Expectations.from_sagemaker(statistics=FIXTURES / "sagemaker_statistics.json"))
    assert other["age", "nulls"] == {"max": 0.06}
    with pytest.raises(mw.InputError, match="Give statistics=, constraints= or both"):
        mw.Expectations.from_sagemaker()


@pytest.mark.parametrize("name", ["tfdv.pb", "tfdv.tfrecord"])
def test_statistics_of_tfdv_are_read_without_its_packages(name: str) -> None:
    own = limits(mw.Expectations.from_tfdv(FIXTURES / name))
    assert own[":table", "columns"]["names"] == ["age", "amount", "kind"]
    assert own[":table", "row_count"] == {"min": 10}
    assert own["age", "range"] == {"min": -3.0, "max": 90.0, "share": 0.001}
    assert own["age", "nulls"] == {"max": 0.06}
    assert own["age", "zero"] == {"max": 0.1}
    assert own["age", "sd"] == {"min": 6.125, "max": 24.5}
    assert ("age", "fraction") in own
    assert ("amount", "fraction") not in own
    assert own["amount", "range"] == {"min": 0.0, "max": 9.75, "share": 0.001}
    assert own["kind", "nulls"] == {"max": 0.25}
    assert own["kind", "distinct_values"] == {"max": 16}


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_damaged_statistics_file_is_refused_or_read_but_never_breaks(data: st.DataObject) -> None:
    content = bytearray((FIXTURES / "tfdv.pb").read_bytes())
    if data.draw(st.booleans()):
        content = bytearray(data.draw(st.binary(max_size=80)))
    for _ in range(data.draw(st.integers(0, 4))):
        if content:
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(0, len(content)))]
    path = Path(tempfile.gettempdir()) / f"damaged-{os.getpid()}.pb"
    path.write_bytes(bytes(content))
    said = ""
    try:
        mw.Expectations.from_tfdv(path)
    except mw.InputError as error:
        said = str(error)
    finally:
        path.unlink()
    assert not said or "not a statistics file of TFDV" in said


def test_a_profile_of_whylogs_becomes_expectations() -> None:
    summaries = json.loads((FIXTURES / "whylogs.json").read_text())
    own = limits(mw.Expectations.from_whylogs(summaries))
    assert own["holed", "nulls"]["max"] == pytest.approx(155 / 1500 + 0.05, abs=0.01)
    assert own["count", "range"] == {"min": 0.0, "max": 1499.0, "share": 0.001}
    assert ("count", "fraction") in own
    assert own["kind", "distinct_values"] == {"max": 16}
    assert ("kind", "range") not in own


def test_a_file_of_whylogs_is_read_by_whylogs() -> None:
    pytest.importorskip("whylogs", reason="whylogs is not installed")
    summaries = json.loads((FIXTURES / "whylogs.json").read_text())
    assert mw.Expectations.from_whylogs(FIXTURES / "whylogs.bin") == mw.Expectations.from_whylogs(summaries)


@pytest.mark.parametrize(
    ("read", "content", "said"),
    [
        (lambda p: mw.Expectations.from_sagemaker(statistics=p), "{", "not a JSON file"),
        (lambda p: mw.Expectations.from_sagemaker(statistics=p), "[]", "not a JSON object"),
        (
            lambda p: mw.Expectations.from_sagemaker(constraints=p),
            '{"features": 1}',
            "not SageMaker's constraints.json",
        ),
        (lambda p: mw.Expectations.from_tfdv(p), "", "not a statistics file of TFDV"),
        (lambda p: mw.Expectations.from_whylogs(p), "what", "whylogs"),
        (lambda p: mw.Expectations.from_whylogs(3), "", "is a view, a mapping or a path, not int"),
    ],
)
def test_other_files_are_refused_in_one_sentence(read: Any, content: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text(content)
    with pytest.raises(mw.InputError) as caught:
        read(path)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(mw.InputError):
        read(tmp_path / "gone")
