"""What a report says to do next."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import modelwatch_gpu as mw

RNG = np.random.default_rng(0)
CALM = {"x": RNG.normal(size=8_000), "score": RNG.random(8_000), "side": np.repeat(["a", "b"], 4_000)}


def steps(**changed: Any) -> list[str]:
    log = {name: changed.get(name, values) for name, values in CALM.items()}
    return mw.compare(pa.table(CALM), pa.table({n: v for n, v in log.items() if v is not None})).next_steps


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, ["Nothing. Compare again when the next window is complete."]),
        ({"x": None}, ["Repair the log before anything else: x is not in all of it, or of another type."]),
        (
            {"x": np.where(np.arange(8_000) % 2, np.nan, CALM["x"])},
            ["Ask where x comes from: values are missing that were there, which no retraining repairs."],
        ),
        (
            {"x": CALM["x"] + 3},
            [
                "Find out whether the world or the pipeline moved x. The model's answers have not moved, so there is "
                "no hurry."
            ],
        ),
        (
            {"x": CALM["x"] + 3, "score": CALM["score"] ** 4},
            [
                "Compare recent answers with labels before trusting them: score has moved, most likely by way of x; "
                "retrain if the model does worse."
            ],
        ),
    ],
)
def test_the_next_step_fits_what_was_found(changed: dict[str, Any], said: list[str]) -> None:
    assert steps(**changed) == said


def test_new_values_are_to_be_added_or_mapped() -> None:
    side = np.where(np.arange(8_000) % 5 == 0, "new", CALM["side"])
    found = steps(side=side)
    assert found[0] == "Look at the new values of side: the model has never seen them, so add them or map them."


def test_a_segment_is_named_where_it_is_worst_and_a_log_without_rows_has_one_step() -> None:
    moved = np.where(CALM["side"] == "b", CALM["x"] + 4, CALM["x"])
    report = mw.compare(pa.table(CALM), pa.table(CALM | {"x": moved}), segments=["side"])
    assert report.next_steps[-1] == "Begin where it is worst: x in side = b."
    assert report.to_dict()["next_steps"] == report.next_steps
    assert mw.compare(pa.table(CALM), pa.table(CALM).slice(0, 0)).next_steps == ["Compare a log that has rows."]


def test_open_verdicts_say_what_would_close_them() -> None:
    import datetime as dt

    day = [dt.datetime(2024, 1, 1 + i // 2_000) for i in range(8_000)]
    reference = pa.table({"ts": pa.array(day, pa.timestamp("us")), "x": CALM["x"]})
    found = mw.compare(reference, reference.set_column(1, "x", pa.array(CALM["x"] + 3))).next_steps
    assert found == ["Fit the baseline on more days: 1 verdict is open (x)."]


def test_where_labels_say_that_the_model_does_worse_nobody_is_sent_to_find_out() -> None:
    rng = np.random.default_rng(1)
    label = rng.integers(0, 2, 8_000)
    good, bad = ((apart * label + rng.normal(size=8_000)) for apart in (2.0, 0.5))
    before = {"x": CALM["x"], "label": label, "score": good}
    after = before | {"x": CALM["x"] + 3, "score": bad}
    roles = mw.Roles(label="label", score="score")
    report = mw.compare(mw.Baseline.fit(pa.table(before), roles=roles), pa.table(after))
    assert report.next_steps[0] == (
        "Retrain the model on recent rows, or go back to one that did better: labels say that it does worse "
        "(roc_auc_drop of score), and look at x, which moved too."
    )
    assert not [step for step in report.next_steps if "Compare recent answers" in step or "Find out" in step]
