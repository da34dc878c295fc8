"""What a finding names is of the log alone: no order of sets, threads, files or batches shows in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
from fault_makers import ROLES, clean, put

import modelwatch_gpu as mw

#: As many rows of each, so that nothing but their names says which come first.
NEW = ["ar", "br", "cl", "cn", "in", "jp", "mx", "za"]

_ONE = """
import json, sys
from test_same_findings import findings_of
print(json.dumps(findings_of(int(sys.argv[1]), int(sys.argv[2]))))
"""


def known() -> pa.Table:
    """What is normal: four countries, each in as many rows."""
    log = clean(7, 0)
    return put(log, "country", pa.array([("de", "fr", "it", "pl")[i % 4] for i in range(len(log))]))


def tied() -> pa.Table:
    """A log whose countries and ages are all new, each in as many rows; those that were there are gone."""
    log = clean(8, 1)
    log = put(log, "country", pa.array([NEW[i % len(NEW)] for i in range(len(log))]))
    return put(log, "age", pa.array([18 + i % 8 for i in range(len(log))], log.schema.field("age").type))


def findings_of(threads: int, batches: int) -> list[list[object]]:
    """What is found of the log as a list of so many tables, counted with so many threads."""
    baseline, log = mw.Baseline.fit(known(), roles=ROLES, quality=True), tied()
    size = -(-len(log) // batches)
    profile = None
    for at in range(0, len(log), size):
        one = mw.Profile.count(baseline, log.slice(at, size), quality=True, threads=threads)
        profile = one if profile is None else one + profile
    allowed = {"country": {"allowed_values": {"in": ["us"]}}, "age": {"allowed_values": {"in": [99]}}}
    found = []
    for expectations in (True, mw.Expectations.from_dict({"columns": allowed})):
        report = mw.compare(baseline, profile, expectations=expectations)
        found += [[f.column, f.check, f.severity, f.reason, f.value] for f in report.findings]
    return found


def test_findings_are_the_same_whatever_the_seed_of_hashes_the_threads_and_the_batches() -> None:
    said = []
    for seed, threads, batches in ((0, 1, 1), (1, 2, 1), (2, 2, 3), (3, 1, 5)):
        environment = {**os.environ, "PYTHONHASHSEED": str(seed), "PYTHONPATH": str(Path(__file__).parent)}
        command = [sys.executable, "-c", _ONE, str(threads), str(batches)]
        done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
        said.append(json.loads(done.stdout))
    assert said[0] == said[1] == said[2] == said[3]
    reasons = {(column, check): reason for column, check, _, reason, _ in said[0]}
    # Of values with as many rows those that sort first are named.
    assert "such as 'ar', 'br', 'cl'" in reasons["country", "unseen_values"]
    assert "such as 'ar', 'br', 'cl'" in reasons["country", "allowed_values"]
    assert "No row has 'de', 'fr', 'it' and others" in reasons["country", "vanished_values"]
    assert "such as '18', '19', '20'" in reasons["age", "allowed_values"]
