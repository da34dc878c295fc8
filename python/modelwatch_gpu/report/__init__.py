"""All findings of one run, and how people and programs read them."""

from modelwatch_gpu.report.report import Report, WindowInfo, json_schema

__all__ = ["Report", "WindowInfo", "json_schema"]
