"""What Python users expect of our objects: copies, other processes, sums, and one sentence for a wrong argument."""

from __future__ import annotations

import copy
import pickle
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import pyarrow as pa
import pytest
from scored_makers import ROLES, scored_log

import modelwatch_gpu as mw
from modelwatch_gpu.errors import InputError


@pytest.fixture(scope="module")
def baseline() -> mw.Baseline:
    return mw.Baseline.fit(scored_log(500, 0), roles=ROLES)


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_copies_of_a_baseline_a_profile_and_a_report_say_the_same(baseline: mw.Baseline, again: Any) -> None:
    log = scored_log(400, 1)
    assert again(baseline).to_bytes() == baseline.to_bytes()
    profile = mw.Profile.count(again(baseline), log, window="1d")
    assert again(profile).to_bytes() == mw.Profile.count(baseline, log, window="1d").to_bytes()
    report = mw.compare(baseline, log, window="1d")
    assert again(report).to_json() == report.to_json()


def test_a_pickled_baseline_that_was_changed_is_refused(baseline: mw.Baseline) -> None:
    content = baseline.to_bytes()
    assert mw.Baseline.from_bytes(content).to_bytes() == content
    with pytest.raises(InputError, match=r"<baseline>: the file is damaged"):
        mw.Baseline.from_bytes(content[:-400] + bytes([content[-400] ^ 1]) + content[-399:])
    with pytest.raises(InputError, match=r"^here: .*a profile file, but a baseline"):
        mw.Baseline.from_bytes(mw.Profile.count(baseline, scored_log(5, 1)).to_bytes(), "here")


def counted(baseline: mw.Baseline, log: pa.Table) -> mw.Profile:
    return mw.Profile.count(baseline, log, window="1d")


def test_profiles_counted_in_other_processes_add_up_by_sum_to_one_pass(baseline: mw.Baseline) -> None:
    logs = [scored_log(300, seed) for seed in (1, 2, 3)]
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        profiles = list(pool.map(counted, [baseline] * 3, logs))
    assert sum(profiles).to_bytes() == counted(baseline, logs).to_bytes()  # type: ignore[attr-defined]
    with pytest.raises(TypeError):
        1 + profiles[0]


def test_roles_may_be_a_mapping_and_a_wrong_one_is_told(baseline: mw.Baseline) -> None:
    log = scored_log(500, 0)
    assert mw.Baseline.fit(log, roles=ROLES.to_dict()).to_bytes() == baseline.to_bytes()
    assert mw.compare(log, log, roles=ROLES.to_dict()).baseline.roles == baseline.roles
    with pytest.raises(InputError, match="did you mean 'label'"):
        mw.Baseline.fit(log, roles={"labels": "label"})
    with pytest.raises(InputError, match=r"roles= is mw.Roles\(...\) or a mapping of its options, not str"):
        mw.Baseline.fit(log, roles="label")  # type: ignore[arg-type]


@pytest.mark.parametrize(("checks", "kind"), [([{"measure": "ks"}], "dict"), ("ks.yaml", "str"), (5, "int")])
def test_checks_that_are_none_are_refused_before_anything_is_read(checks: Any, kind: str) -> None:
    with pytest.raises(InputError, match=rf"checks= takes mw.Check\(...\) objects, not {kind}\."):
        mw.compare("nowhere.parquet", "nowhere.parquet", checks=checks)


def test_one_check_needs_no_list(baseline: mw.Baseline) -> None:
    report = mw.compare(baseline, scored_log(400, 1), checks=mw.Check("ks", warn=0.1))  # type: ignore[arg-type]
    assert {f.check for f in report.findings} == {"ks"}


def test_a_score_that_is_no_number_is_told_and_no_performance_is_made_up() -> None:
    log = pa.table({"label": [0, 1, 1, 0], "score": ["0,5", "0,7", "0,1", "0,2"]})
    baseline = mw.Baseline.fit(log)
    assert baseline.scoring is None
    (note,) = [note for note in baseline.notes if "never held against a label" in note]
    assert note.startswith("Column 'score' has the role score but is taken as categorical (string), so")
    numbers = log.set_column(1, "score", pa.array([0.5, 0.7, 0.1, 0.2]))
    assert not any("never held against a label" in note for note in mw.Baseline.fit(numbers).notes)
