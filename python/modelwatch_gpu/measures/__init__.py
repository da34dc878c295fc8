"""Numbers from a baseline column and a profile column."""

from modelwatch_gpu.measures.registry import MEASURES, MeasureInfo
from modelwatch_gpu.measures.value import REASONS, Value

__all__ = ["MEASURES", "REASONS", "MeasureInfo", "Value"]
