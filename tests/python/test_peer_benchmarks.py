"""The comparison with other tools (benchmarks/peers): its page says what its results say, a run goes on where it
stopped, and answers that differ are noticed. No peer is needed."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "benchmarks" / "peers"


@pytest.fixture
def peers(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, ModuleType]]:
    """The modules of the folder, which are scripts and not part of the package."""
    monkeypatch.syspath_prepend(str(FOLDER))
    names = ("agreement", "data", "plan", "page", "run")
    before = set(sys.modules)
    found = {}
    for name in names:
        spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        found[name] = sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(found[name])
    yield found
    for name in set(sys.modules) - before:
        if name in names or name.startswith("cases"):
            del sys.modules[name]


def side(seconds: float, **more: float) -> dict[str, Any]:
    return {"seconds": {"all": seconds, **more}, "cpu_seconds": seconds, "peak_megabytes": 100, "versions": {}}


def test_the_page_is_what_the_results_say(peers: dict[str, ModuleType]) -> None:
    results = json.loads((ROOT / "benchmarks" / "results" / "peers.json").read_text(encoding="utf-8"))
    assert peers["page"].rendered(results) == (ROOT / "docs" / "peers.md").read_text(encoding="utf-8")


def test_every_package_of_every_environment_is_pinned(peers: dict[str, ModuleType]) -> None:
    for name in {case.peer for case in peers["plan"].CASES}:
        lines = (FOLDER / "requirements" / f"{name}.txt").read_text(encoding="utf-8").split()
        assert all(re.fullmatch(r"[\w.-]+==[\w.+!-]+", line) for line in lines), name
        assert any(line.split("==")[0].lower() == name for line in lines)


def test_a_ratio_is_the_median_over_turns_of_what_was_timed_together(peers: dict[str, ModuleType]) -> None:
    turns = [
        {"ours": side(1.0, **{"saved baseline": 0.5}), "theirs": side(10.0)},
        {"ours": side(4.0, **{"saved baseline": 2.0}), "theirs": side(20.0)},
        {"ours": side(2.0, **{"saved baseline": 1.0}), "theirs": side(60.0)},
    ]
    assert peers["page"].ratio(turns, peers["page"].total) == 10
    assert peers["page"].ratio(turns, peers["page"].saved) == 20
    assert peers["page"].ratio([{"ours": side(2.0), "theirs": side(60.0)}], peers["page"].saved) is None


def test_a_run_goes_on_where_it_stopped(
    peers: dict[str, ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, done, checked = peers["run"], [], []

    def turn(case: Any, rows: int, cores: str, venvs: Path, check: bool) -> tuple[dict[str, Any], dict[str, Any]]:
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(case.name)
        checked.append(check)
        return side(1.0), {**side(3.0), "cores": 1}

    monkeypatch.setattr(run, "turn", turn)
    words = ["--only", "scipy-ks", "--rows", "10000", "--turns", "3", "--results", str(tmp_path / "r.json")]
    with pytest.raises(KeyboardInterrupt):
        run.main(words)
    assert len(run.load(tmp_path / "r.json")["scipy-ks/10000/one"]["turns"]) == 2
    done.clear()
    assert run.main(words) == 0
    assert (done, checked) == (["scipy-ks"], [True, False, False]), "one turn was missing, answers had been compared"
    assert run.main(words) == 0
    assert len(done) == 1
    done.clear()
    assert run.main([*words, "--again", "--turns", "1"]) == 0
    assert len(run.load(tmp_path / "r.json")["scipy-ks/10000/one"]["turns"]) == 1


def test_answers_that_differ_are_a_failure(peers: dict[str, ModuleType]) -> None:
    check = peers["agreement"]
    same = check.equal(1e-9)
    same({"numbers": [1.0, [2.0]]}, {"numbers": [1.0, [2.0 + 1e-10]]})
    for other in ([1.0, [2.1]], [1.0], [1.0, [float("nan")]]):
        with pytest.raises(check.Disagreement):
            same({"numbers": [1.0, [2.0]]}, {"numbers": other})
    ours = {"numbers": {"x": {"wasserstein_sd": [0.1, 0.2, 0.3]}}, "compat": {"x": {"wasserstein": 0.2}}}
    found = {"method": "Wasserstein distance (normed)", "score": 0.2}
    check.evidently(ours, {"numbers": {"x": found}})
    for score in (0.31, 0.25, float("nan")):
        with pytest.raises(check.Disagreement):
            check.evidently(ours, {"numbers": {"x": found | {"score": score}}})
    with pytest.raises(check.Disagreement, match="K-S"):
        check.evidently(ours, {"numbers": {"x": {"method": "K-S p_value", "score": 0.2}}})
    check.within({"within": [([1.0], [2.0])]}, {"numbers": [[1.5]]})
    with pytest.raises(check.Disagreement):
        check.within({"within": [([1.0], [2.0])]}, {"numbers": [[2.5]]})


def test_the_data_are_the_same_in_every_run_and_change_where_they_should(peers: dict[str, ModuleType]) -> None:
    data = peers["data"]
    reference, current = data.table(2000, current=False), data.table(2000, current=True)
    assert reference.equals(data.table(2000, current=False))
    assert reference.schema == current.schema
    assert reference.num_columns == 22
    assert "plan-new" in current["plan"].unique().to_pylist()
    assert "plan-new" not in reference["plan"].unique().to_pylist()
