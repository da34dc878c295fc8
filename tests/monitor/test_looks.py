"""``anytime`` in a monitor: each window is judged by itself, and the evidence is that of all of them together."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from watch_makers import World, exact_state, rows_of

import modelwatch_gpu as mw
from modelwatch_gpu.checks import Check
from modelwatch_gpu.checks.running import RunningEvidence
from modelwatch_gpu.checks.sequential import e_process
from modelwatch_gpu.errors import InputError
from modelwatch_gpu.measures.results import Place
from modelwatch_gpu.monitor.runner import Runner
from modelwatch_gpu.monitor.store.tables import evidence, findings, windows

MORE = "anytime: true\njudge: complete\ncorrection: null\nunits: rows\nsegments: [kind]\n"
#: One sum in another order: a few last bits of a product of some e-values.
CLOSE = 1e-12


class OneColumn:
    """As much of a block as names a test."""

    def __init__(self, groups: int) -> None:
        self.place = Place((), np.zeros(groups, dtype=np.int64), None, np.ones(groups, dtype=np.int64))
        self.column = type("Column", (), {"name": "x"})
        self.compared_with = "BASELINE"


@given(st.lists(st.one_of(st.just(float("nan")), st.floats(1e-6, 1e6)), min_size=1, max_size=40))
@settings(deadline=None)
def test_evidence_one_window_at_a_time_is_that_of_all_at_once(e: list[float]) -> None:
    expected = e_process(np.array(e))
    running = RunningEvidence()
    check = Check("ks", alert=0.2)
    for k, value in enumerate(e):
        found = running.collect(np.array([value]), OneColumn(1), check, 3, 0.2)  # type: ignore[arg-type]
        if np.isnan(value):
            assert np.isnan(found[0])
        else:
            assert found[0] == pytest.approx(expected[k], rel=CLOSE)
        running = RunningEvidence.from_json(running.next().to_json())


def test_evidence_by_hand() -> None:
    # Two windows with e-values 4 and 10: S_1 = 4 (0 + 1/2) = 2, E_1 = 2 + 1/2; S_2 = 10 (2 + 1/6), E_2 = S_2 + 1/3.
    running, check = RunningEvidence(), Check("ks", alert=0.2)
    first = running.collect(np.array([4.0]), OneColumn(1), check, 3, 0.2)  # type: ignore[arg-type]
    running = running.next()
    second = running.collect(np.array([10.0]), OneColumn(1), check, 3, 0.2)  # type: ignore[arg-type]
    assert first[0] == 2.5
    assert second[0] == pytest.approx(10 * (2 + 1 / 6) + 1 / 3, rel=CLOSE)
    other = running.collect(np.array([10.0]), OneColumn(1), Check("ks", alert=0.3), 3, 0.3)  # type: ignore[arg-type]
    assert other[0] == pytest.approx(10 * (1 / 2 + 1 / 6) + 1 / 3, rel=CLOSE)  # another threshold is another test


def test_evidence_never_becomes_infinite_and_damage_is_told() -> None:
    running = RunningEvidence()
    for _ in range(3):
        running.collect(np.array([1e300]), OneColumn(1), Check("ks", alert=0.2), 3, 0.2)  # type: ignore[arg-type]
        running = running.next()
    assert np.isfinite(next(iter(running.sums.values()))[1])
    for damaged in ("", "[]", "[1, 2]", '[1, {"a": 3}]'):
        with pytest.raises(InputError, match="evidence is damaged"):
            RunningEvidence.from_json(damaged)


def e_values(runner: Runner) -> dict[tuple[str, str, str, str], tuple[str, float | None]]:
    with runner.engine.connect() as connection:
        rows = connection.execute(select(findings))
        return {
            (r.window, r.segment or "", r.column, r.check): (r.severity, r.e_value)
            for r in rows
            if r.window is not None
        }


def test_verdicts_are_those_of_compare_anytime_over_all_windows(world: World, store: str) -> None:
    runner = world.runner(f"{store}\n{MORE}")
    for day in range(12):
        world.day(day, rows=300, shift=0.5 if day >= 4 else 0.0)
        runner.once()
    report = mw.compare(
        world.baseline,
        str(world.log),
        window="1d",
        segments=["kind"],
        anytime=True,
        correction=None,
        units="rows",
    )
    found = e_values(runner)
    assert len({window for window, *_ in found}) == 11  # the last day is not over
    compared = 0
    for f in report.findings:
        segment = "" if f.segment is None else '{"kind":"' + f.segment[0][1] + '"}'
        own = found.get((report.iso_of(f.start), segment, f.column, f.check))
        if own is None:
            continue
        assert own[0] == f.severity, f
        if f.e_value is None:
            assert own[1] is None
        else:
            assert own[1] == pytest.approx(f.e_value, rel=CLOSE)
            compared += 1
    assert compared > 40
    # Evidence grows though every day alone is not surely off, and one day a verdict stands.
    x = [found[key] for key in sorted(found) if key[1:] == ("", "x", "ks")]
    assert x[4][0] == "not_enough_data"
    assert x[-1][0] in ("warning", "alert")


def test_late_changed_and_deleted_files_end_where_one_look_does(world: World, store: str) -> None:
    runner = world.runner(f"{store}\n{MORE}")

    def same() -> None:
        alone = world.runner(f"store: {{url: 'sqlite:///{len(list(world.folder.iterdir()))}.db'}}\n{MORE}")
        alone.once()
        assert exact_state(runner.engine) == exact_state(alone.engine)

    for day in range(8):
        world.day(day, rows=200, shift=0.4)
        runner.once()
    world.add("late.parquet", rows_of(2, rows=150, shift=0.4, seed=3))
    done = runner.once()
    assert len(done.windows) == 5  # days 2 to 6: those after go on from what it shows
    same()
    world.day(3, rows=120, seed=5)
    (world.log / "day-005.parquet").unlink()
    runner.once()
    same()
    with runner.engine.connect() as connection:
        assert connection.scalars(select(windows.c.dirty)).all().count(True) == 1  # the day that is not over
    assert runner.once().windows == {}


def test_what_was_forgotten_still_counts(world: World) -> None:
    kept = world.runner(f"store: {{url: 'sqlite:///kept.db'}}\n{MORE}")
    short = world.runner(f"{MORE}\nretention: {{corrections_until: 2d, keep: 3d}}")
    for day in range(10):
        world.day(day, rows=200, shift=0.4)
        kept.once()
        short.once()
    mine, all_of_them = e_values(short), e_values(kept)
    assert 0 < len(mine) < len(all_of_them)
    assert mine == {key: all_of_them[key] for key in mine}
    world.add("late.parquet", rows_of(7, rows=150, shift=0.4, seed=3))  # its predecessor's evidence is still there
    kept.once()
    short.once()
    mine, all_of_them = e_values(short), e_values(kept)
    assert mine == {key: all_of_them[key] for key in mine}
    with short.engine.connect() as connection:
        assert len(connection.execute(select(evidence)).all()) == len({key[0] for key in mine}) + 1


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("anytime: true", "anytime collects evidence from windows that are over"),
        ("anytime: true\nwindow: null\njudge: complete", "anytime collects evidence from windows that are over"),
        ("anytime: true\njudge: complete\nunits: null", "anytime needs intervals"),
        ("anytime: true\njudge: complete\nconsecutive: true", "anytime and consecutive are not offered together"),
    ],
)
def test_what_it_needs_is_said(world: World, more: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        world.config(more)
