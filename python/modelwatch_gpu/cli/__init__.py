"""The ``modelwatch`` command. Exit codes: 0 done, 1 alerts, 2 bad input or output, 3 interrupted or broken."""

from __future__ import annotations

from modelwatch_gpu import demo as demo_run
from modelwatch_gpu import doctor as doctor_report
from modelwatch_gpu.cli import alerting as _alerting  # noqa: F401  its commands join the others
from modelwatch_gpu.cli import governance as _governance  # noqa: F401  its commands join the others
from modelwatch_gpu.cli import monitoring as _monitoring  # noqa: F401  its commands join the others
from modelwatch_gpu.cli import quality as _quality  # noqa: F401  its command joins the others
from modelwatch_gpu.cli.commands import app, main
from modelwatch_gpu.cli.outputs import ALERTS, BAD_INPUT, BROKEN, DONE, written

__all__ = ["ALERTS", "BAD_INPUT", "BROKEN", "DONE", "app", "demo_run", "doctor_report", "main", "written"]
