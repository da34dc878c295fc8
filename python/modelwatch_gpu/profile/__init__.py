"""Baselines and profiles: fit, count, merge, save, load."""

from modelwatch_gpu.profile.baseline import Baseline
from modelwatch_gpu.profile.live import LiveProfile
from modelwatch_gpu.profile.profile import Profile

__all__ = ["Baseline", "LiveProfile", "Profile"]
