"""What is kept of one file's groups for the next changes nothing of its part."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from state_makers import log

import modelwatch_gpu as mw
from modelwatch_gpu.profile import kept_keys, parts, profile
from modelwatch_gpu.profile.kept_keys import KeptKeys
from modelwatch_gpu.profile.parts import SEGMENT_VALUE, WHOLE, GroupKey, capped_keys

KEYS = st.lists(st.tuples(st.just(WHOLE), st.just(SEGMENT_VALUE), st.text(max_size=3)), unique=True)


@given(st.lists(KEYS, min_size=1, max_size=5), st.integers(1, 8))
def test_the_groups_of_every_file_are_its_keys_sorted_and_capped(files: list[list[GroupKey]], cap: int) -> None:
    kept = KeptKeys()
    for keys in files:
        whole: set[str] = set()
        found = kept.of("segment:x", keys, cap, whole)
        own = capped_keys("segment:x", keys, cap)
        assert found.groups == sorted(set(own))
        assert [found.groups[i] for i in found.to] == own
        assert (found.order is None) == (len(found.groups) < len(own))
        assert found.order is None or [own[i] for i in found.order] == found.groups
        assert found.text == json.dumps(found.groups)
        assert (whole == {"segment:x"}) == (own is keys)


@pytest.mark.parametrize("window", [None, "1d"])
def test_a_file_behind_others_has_the_part_that_it_has_alone(window: str | None) -> None:
    baseline = mw.Baseline.fit(log(900, 0), roles=mw.Roles(timestamp="when", numeric=["whole"]))

    def customers(seed: int, names: range) -> Any:
        rng = np.random.default_rng(seed)
        return log(700, seed).append_column("customer", pa.array([f"c{i:02}" for i in rng.choice(names, 700)]))

    # Customers come, go, and come back; and some are beyond the cap of one file alone.
    files = [customers(seed, names) for seed, names in enumerate([range(20), range(5, 12), range(30), range(20)])]
    options: dict[str, Any] = {"window": window, "segments": ["customer"], "max_groups": 25}
    together = mw.Profile.count(baseline, files, **options)
    alone = [mw.Profile.count(baseline, file, **options).parts[0] for file in files]
    assert [p.fingerprint for p in together.parts] == sorted(p.fingerprint for p in alone)
    assert together.to_bytes() == sum(mw.Profile.count(baseline, file, **options) for file in files).to_bytes()


def _answered(rows: list[tuple[int, int | None]], seed: int) -> pa.Table:
    """A row for every (customer, label); a label or a customer can be null."""
    rng = np.random.default_rng(seed)
    return pa.table(
        {
            "score": pa.array(rng.random(len(rows)).astype("f4")),
            "label": pa.array([label for _, label in rows], pa.int64()),
            "customer": pa.array([f"c{customer:02}" if customer else None for customer, _ in rows], pa.string()),
            "when": pa.array(seed * 86_400 + rng.integers(0, 100, len(rows))).cast(pa.timestamp("s")),
        }
    )


ROWS = st.lists(st.tuples(st.integers(0, 9), st.one_of(st.none(), st.integers(0, 3))), max_size=25)


@pytest.mark.parametrize("window", [None, "1w", "10rows"])
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(files=st.lists(ROWS, min_size=2, max_size=4), cap=st.sampled_from([4, 50]), labels=st.sampled_from([2, 64]))
def test_groups_numbered_by_the_file_before_are_those_of_a_file_alone(
    monkeypatch: pytest.MonkeyPatch,
    window: str | None,
    files: list[list[tuple[int, int | None]]],
    cap: int,
    labels: int,
) -> None:
    # Else so few keys are not worth remembering.
    monkeypatch.setattr(kept_keys, "_MANY", 1)
    monkeypatch.setattr(parts, "LABEL_CAP", labels)
    reference = _answered([(i % 9, i % 2) for i in range(60)], 0)
    baseline = mw.Baseline.fit(reference, roles=mw.Roles(timestamp="when", label="label", score="score"))
    options: dict[str, Any] = {"window": window, "segments": ["customer", ("customer", "score")], "max_groups": cap}
    logs = [_answered(rows, 1 + i) for i, rows in enumerate(files)]
    if window == "10rows":  # whose windows begin where the file before ended
        monkeypatch.setattr(kept_keys.KeptKeys, "leave", lambda *_: None)
        before = mw.Profile.count(baseline, logs, **options).to_bytes()
        monkeypatch.undo()
        monkeypatch.setattr(kept_keys, "_MANY", 1)
        monkeypatch.setattr(parts, "LABEL_CAP", labels)
        assert mw.Profile.count(baseline, logs, **options).to_bytes() == before
        return
    together = mw.Profile.count(baseline, logs, **options)
    alone = [mw.Profile.count(baseline, rows, **options).parts[0] for rows in logs]
    assert [p.fingerprint for p in together.parts] == sorted(p.fingerprint for p in alone)
    arrays = {p.fingerprint: {name: a.tobytes() for name, a in p.arrays().items()} for p in alone}
    for part in together.parts:
        assert {name: a.tobytes() for name, a in part.arrays().items()} == arrays[part.fingerprint]


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(files=st.lists(ROWS, min_size=2, max_size=5), cap=st.sampled_from([4, 50]), labels=st.sampled_from([2, 64]))
def test_files_added_up_one_by_one_have_the_sum_of_all_at_once(
    monkeypatch: pytest.MonkeyPatch, files: list[list[tuple[int, int | None]]], cap: int, labels: int
) -> None:
    monkeypatch.setattr(profile, "MERGE_LEAST", 0)
    monkeypatch.setattr(profile, "MERGE_SHARE", 1_000_000)  # so that every file is added when it comes
    monkeypatch.setattr(parts, "LABEL_CAP", labels)
    reference = _answered([(i % 9, i % 2) for i in range(60)], 0)
    baseline = mw.Baseline.fit(reference, roles=mw.Roles(timestamp="when", label="label", score="score"))
    options: dict[str, Any] = {"segments": ["customer"], "max_groups": cap}
    logs = [_answered(rows, 1 + i) for i, rows in enumerate(files)]
    apart = mw.Profile.count(baseline, logs, **options).merged()
    added = mw.Profile.count(baseline, logs, keep_parts=False, **options).merged()
    assert apart is not None
    assert added is not None
    assert added.header() == apart.header()
    assert {name: a.tobytes() for name, a in added.arrays().items()} == {
        name: a.tobytes() for name, a in apart.arrays().items()
    }
