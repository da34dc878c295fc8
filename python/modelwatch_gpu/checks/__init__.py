"""Measures with thresholds, and what comes of them."""

from modelwatch_gpu.checks.check import DEFAULT_CHECKS, Check
from modelwatch_gpu.checks.finding import Finding, judge
from modelwatch_gpu.checks.judging import judge_all
from modelwatch_gpu.checks.sampling import Sampling, VerdictOptions

__all__ = ["DEFAULT_CHECKS", "Check", "Finding", "Sampling", "VerdictOptions", "judge", "judge_all"]
