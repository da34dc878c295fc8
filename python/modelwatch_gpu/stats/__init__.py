"""Arrays in, numbers out. Every function takes one column (n,) or several (n, columns) on each side."""

from modelwatch_gpu.stats.divergence import js_distance, psi
from modelwatch_gpu.stats.histogram import Histogram, histogram
from modelwatch_gpu.stats.ks import ks
from modelwatch_gpu.stats.result import StatResult

__all__ = ["Histogram", "StatResult", "histogram", "js_distance", "ks", "psi"]
