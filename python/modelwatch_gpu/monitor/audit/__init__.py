"""What was seen and decided, in records that are only added, and whether they are still what was written."""

from __future__ import annotations

from modelwatch_gpu.monitor.audit.anchors import Anchor, read_anchors, write_anchor
from modelwatch_gpu.monitor.audit.chain import BEGINNING, Head, append, canonical, head
from modelwatch_gpu.monitor.audit.runs import anchor_head, record_run
from modelwatch_gpu.monitor.audit.verify import Fault, Verification, verify, verify_store

__all__ = [
    "BEGINNING",
    "Anchor",
    "Fault",
    "Head",
    "Verification",
    "anchor_head",
    "append",
    "canonical",
    "head",
    "read_anchors",
    "record_run",
    "verify",
    "verify_store",
    "write_anchor",
]
