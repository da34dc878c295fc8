"""Fit on a week of sentence embeddings, compare three weeks, say what moved and which rows are new.

python examples/embeddings/drift.py [FOLDER FOR THE FILES]
"""

from __future__ import annotations

import sys
from collections import Counter
from importlib.resources import files
from pathlib import Path

import pyarrow.parquet as pq

import modelwatch_gpu as mw

out = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
data = files("modelwatch_gpu") / "data" / "embeddings"

# The section is what a person reads of a row. As a text it is not compared: the vectors alone must tell.
roles = mw.Roles(id="prediction_id", timestamp="synthetic_timestamp", text="section", embedding="embedding")
baseline = mw.Baseline.fit(f"{data}/reference.parquet", roles=roles)
report = mw.compare(baseline, f"{data}/production_*.parquet", window="1w")

print(report)
for finding in report.findings:
    if finding.check == "embedding_drift":
        print(f"{finding.severity:8} {report.iso_of(finding.start)} {finding.reason}")
for week in report.to_dict()["embeddings"]:
    sections = Counter(row["labels"]["section"] for row in week["exemplars"])
    print(f"{week['window']}: of the {len(week['exemplars'])} rows that moved most, {dict(sections.most_common(4))}")

# The same samples by functions of arrays, one number at a time.
before, after = (pq.read_table(f"{data}/{name}.parquet")["embedding"] for name in ("reference", "production_2"))
mmd = mw.stats.mmd(before, after, permutations=199, full=True)
print(f"MMD^2 {mmd.value:.5f} (p {mmd.pvalue}), classifier AUC {mw.stats.domain_classifier(before, after):.3f}")

report.to_json(out / "embeddings.json")
report.to_html(out / "embeddings.html", title="Package descriptions by their vectors")
print(f"Wrote embeddings.json and embeddings.html to {out.resolve()}.")
