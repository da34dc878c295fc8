"""Rows worth a label: which are chosen, against what NumPy and scikit-learn say, in whatever order they come."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelwatch_gpu.errors import InputError
from modelwatch_gpu.log import Roles
from modelwatch_gpu.monitor.actions.feedback import ADDED, NEIGHBOURS, Drifted, feedback_set
from modelwatch_gpu.profile import Baseline

DAY = 86_400
ROLES = Roles(id="row", timestamp="at", score="score", label="label", embedding="vector", infer=False)


def rows_of(rows: int, *, seed: int = 0, first: int = 0, far: int = 0) -> pa.Table:
    """``rows`` rows of ten days; the vectors of the last ``far`` lie elsewhere."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(0, 1, (rows, 4)).astype("f4")
    if far:
        vectors[-far:] += 9 + np.arange(far, dtype="f4")[:, None]
    score = rng.random(rows)
    at = (np.arange(rows) * 10 * DAY // rows + 100) * 1_000_000
    return pa.table(
        {
            "row": np.arange(first, first + rows),
            "at": pa.array(at, pa.timestamp("us", "UTC")),
            "age": rng.normal(40, 10, rows),
            "carrier": pa.array(rng.choice(["AA", "BB", None], rows)),
            "score": score,
            "label": (rng.random(rows) < score).astype("i1"),
            "vector": pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), 4),
        }
    )


@pytest.fixture(scope="module")
def baseline() -> Baseline:
    return Baseline.fit(rows_of(400, seed=1), roles=ROLES)


def ids(table: pa.Table, reason: str | None = None) -> list[int]:
    reasons = table.column("feedback_reason").to_pylist()
    rows = table.column("row").to_pylist()
    return [row for row, r in zip(rows, reasons, strict=True) if reason is None or reason in r.split(",")]


def test_the_least_sure_rows_are_those_nearest_to_the_threshold(baseline):
    log = rows_of(300, seed=2)
    found = feedback_set(baseline, log, rows=20, reasons=["unsure"])
    distance = np.abs(log.column("score").to_numpy() - 0.5)
    assert sorted(ids(found)) == sorted(np.argsort(distance)[:20].tolist())
    np.testing.assert_array_equal(found.column("feedback_score"), np.sort(distance)[:20])
    assert found.schema.names == [*log.schema.names, *ADDED]
    assert found.column("feedback_row").to_pylist() == ids(found)  # the row's number is its id here


def test_the_most_novel_rows_are_those_far_from_the_vectors_of_the_baseline(baseline):
    from sklearn.neighbors import NearestNeighbors

    log = rows_of(300, seed=3, far=10)
    found = feedback_set(baseline, log, rows=10, reasons=["novel"])
    assert sorted(ids(found)) == list(range(290, 300))
    (column,) = baseline.embeddings
    kept = baseline.part.embeddings[("window", "vector")]
    known = kept.sample[kept.sampled(0)]
    vectors = np.array(found.column("vector").to_pylist(), dtype="f4")
    distance = NearestNeighbors(n_neighbors=NEIGHBOURS).fit(known).kneighbors(vectors)[0][:, -1] / column.spread
    np.testing.assert_allclose(found.column("feedback_score"), distance, rtol=1e-4)
    assert np.all(np.diff(found.column("feedback_score")) <= 0)


def test_drifted_rows_are_of_the_windows_and_segments_that_drifted_and_no_others(baseline):
    log = rows_of(500, seed=4)
    where = [Drifted(2 * DAY, 3 * DAY, {"carrier": "AA"}), Drifted(5 * DAY, 6 * DAY, {"carrier": None})]
    found = feedback_set(baseline, log, rows=500, drifted=where, reasons=["drifted"])
    day = np.array([t.timestamp() for t in log.column("at").to_pylist()]) // DAY
    carrier = np.array(log.column("carrier").to_pylist(), dtype=object)
    expected = ((day == 2) & (carrier == "AA")) | ((day == 5) & np.equal(carrier, None))
    assert sorted(ids(found)) == np.flatnonzero(expected).tolist()


def test_segments_of_numbers_are_the_intervals_that_reports_name(baseline):
    from modelwatch_gpu.profile.segmentation import segmentation

    (cut,) = segmentation(("age",), baseline.by_name, baseline.part).cuts
    log = rows_of(500, seed=5)
    age = log.column("age").to_numpy()
    total = 0
    for label in cut.labels:
        found = feedback_set(baseline, log, rows=500, drifted=[Drifted(segment={"age": label})], reasons=["drifted"])
        values = found.column("age").to_numpy()
        total += len(values)
        inside = (age >= values.min()) & (age <= values.max())
        assert inside.sum() == len(values)
    assert total == 500


def test_reasons_take_turns_and_a_row_with_two_is_there_once(baseline):
    log = rows_of(300, seed=6, far=300)
    found = feedback_set(baseline, log, rows=60, drifted=[Drifted()])
    assert found.num_rows == len(set(ids(found))) == 60
    for reason in ("drifted", "unsure", "novel"):
        assert len(ids(found, reason)) >= 20
    everything = feedback_set(baseline, log, rows=1_000, drifted=[Drifted()])
    assert everything.num_rows == 300
    assert set(everything.column("feedback_reason").to_pylist()) == {"drifted,unsure,novel"}


def test_only_rows_of_the_period_are_looked_at(baseline):
    log = rows_of(300, seed=7)
    found = feedback_set(baseline, log, rows=300, period=(3 * DAY, 4 * DAY - 1))
    assert {t.timestamp() // DAY for t in found.column("at").to_pylist()} == {3}
    with pytest.raises(InputError, match="column that says when"):
        feedback_set(baseline, log.drop_columns(["at"]), period=(0, DAY))


def test_a_sample_of_drifted_rows_favours_no_place_of_the_file(baseline):
    found = feedback_set(baseline, rows_of(2_000, seed=8), rows=200, drifted=[Drifted()], reasons=["drifted"])
    early = sum(row < 1_000 for row in ids(found))
    assert 70 <= early <= 130  # 100 expected, 6.7 its standard deviation


def test_nothing_to_choose_from_gives_an_empty_set(baseline):
    plain = rows_of(5).select(["row", "carrier"])
    found = feedback_set(baseline, plain)
    assert found.num_rows == 0
    assert set(ADDED) <= set(found.schema.names)
    none = feedback_set(baseline, rows_of(10).slice(0, 0), drifted=[Drifted()])
    assert none.num_rows == 0


def test_missing_scores_and_vectors_are_chosen_for_no_such_reason(baseline):
    log = rows_of(6, seed=9)
    score = pa.array([None, np.nan, 0.5, 0.1, 0.9, 0.49])
    vectors = pa.array(
        [None, [np.nan] * 4, [np.inf] * 4, [1, 2, 3, 4], [1e30] * 4, [0, 0, 0, 0]], pa.list_(pa.float32(), 4)
    )
    log = log.set_column(log.schema.get_field_index("score"), "score", score)
    log = log.set_column(log.schema.get_field_index("vector"), "vector", vectors)
    found = feedback_set(baseline, log, rows=10)
    assert sorted(ids(found, "unsure")) == [2, 3, 4, 5]
    assert sorted(ids(found, "novel")) == [3, 4, 5]
    assert np.isfinite(found.column("feedback_score").to_numpy()).all()
    assert ids(feedback_set(baseline, log, rows=1, reasons=["novel"])) == [4]


def test_margins_of_several_classes():
    rng = np.random.default_rng(0)
    raw = rng.dirichlet([1, 1, 1], 200)
    label = np.array(["a", "b", "c"])[raw.argmax(axis=1)]
    table = pa.table({"row": np.arange(200), "label": label, **{f"score_{c}": raw[:, i] for i, c in enumerate("abc")}})
    roles = Roles(id="row", label="label", score=["score_a", "score_b", "score_c"], infer=False)
    found = feedback_set(Baseline.fit(table, roles=roles), table, rows=15)
    ordered = np.sort(raw, axis=1)
    margin = ordered[:, -1] - ordered[:, -2]
    assert sorted(ids(found)) == sorted(np.argsort(margin)[:15].tolist())


@settings(max_examples=25)
@given(st.data())
def test_the_order_of_files_and_batches_does_not_matter(baseline, tmp_path_factory, data):
    log = rows_of(120, seed=10, far=15)
    cuts = sorted(data.draw(st.sets(st.integers(1, 119), max_size=4)))
    pieces = [log.slice(a, b - a) for a, b in zip([0, *cuts], [*cuts, 120], strict=True)]
    order = data.draw(st.permutations(range(len(pieces))))
    folder = tmp_path_factory.mktemp("log")
    for place, piece in enumerate(order):
        pq.write_table(pieces[piece], folder / f"{place}.parquet", row_group_size=data.draw(st.integers(10, 60)))
    where = [Drifted(DAY, 4 * DAY)]
    whole = feedback_set(baseline, log, rows=30, drifted=where)
    cut = feedback_set(baseline, str(folder), rows=30, drifted=where)
    assert ids(cut) == ids(whole)
    assert cut.column("feedback_reason") == whole.column("feedback_reason")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"rows": 0}, "at least 1"),
        ({"reasons": ["dull"]}, "no reason 'dull'"),
    ],
)
def test_what_makes_no_sense_is_refused(baseline, options, said):
    with pytest.raises(InputError, match=said):
        feedback_set(baseline, rows_of(5), **options)


def test_a_log_that_was_a_feedback_set_already_is_refused(baseline):
    log = rows_of(5).append_column("feedback_reason", pa.array(["x"] * 5))
    with pytest.raises(InputError, match="has a column 'feedback_reason' already"):
        feedback_set(baseline, log)
