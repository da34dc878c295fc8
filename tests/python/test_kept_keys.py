"""What is kept of one file's groups for the next changes nothing of its part."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from state_makers import log

import modelwatch_gpu as mw
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
