"""Evidently: ``DataDriftPreset`` with its defaults, from two pandas DataFrames to a dict of results."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from timing import frames, main, timed

warnings.filterwarnings("ignore")


def preset(folder: Path, check: bool) -> dict[str, Any]:
    """Seconds of ``Report.run`` and ``dict()``; column -> its drift score and the test Evidently chose."""
    from evidently import Report
    from evidently.presets import DataDriftPreset

    reference, current = frames(folder)
    run = timed(lambda: Report([DataDriftPreset()]).run(current, reference).dict())
    scores = {}
    for metric in run.answer["metrics"]:
        config = metric["config"]
        if "column" in config:
            scores[config["column"]] = {"method": config["method"], "score": metric["value"]}
    return {"seconds": {"report": run.seconds}, "cpu_seconds": run.cpu_seconds, "numbers": scores}


main({"preset": preset}, ("evidently", "pandas", "numpy", "scipy"))
