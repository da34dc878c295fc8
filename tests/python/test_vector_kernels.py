"""Kernels over rows of vectors: random features, centred rows and their totals, against NumPy in float64."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from tolerances import EMBEDDING_FEATURE

from modelwatch_gpu import _core

SCALES = _core.FEATURE_SCALES


def summed(angles: Any, hand: Any, hands: int) -> Any:
    """(hands, SCALES, 2, frequencies) sums of cosines and sines in float64."""
    out = np.zeros((hands, SCALES, 2, angles.shape[1]))
    for scale in range(SCALES):
        wide = angles.astype(np.float64) * 2**scale
        np.add.at(out[:, scale, 0], hand, np.cos(wide))
        np.add.at(out[:, scale, 1], hand, np.sin(wide))
    return out


def added(angles: Any, hand: Any, hands: int) -> Any:
    out = np.zeros((hands, 2 * SCALES * angles.shape[1]))
    _core.add_features(angles, hand.astype(np.int32), out)
    return out.reshape(hands, SCALES, 2, -1)


@pytest.mark.parametrize("frequencies", [1, 15, 16, 17, 256])
@pytest.mark.parametrize("rows", [1, 255, 256, 1_000])
def test_features_are_cosines_and_sines_of_doubled_angles(rows: int, frequencies: int) -> None:
    rng = np.random.default_rng(rows)
    angles = (3 * rng.normal(size=(rows, frequencies))).astype(np.float32)
    for hand in (np.zeros(rows, dtype=int), np.sort(rng.integers(0, 4, rows)), rng.integers(0, 4, rows)):
        error = np.abs(added(angles, hand, 4) - summed(angles, hand, 4)).max(axis=(1, 2, 3))
        assert (error <= EMBEDDING_FEATURE * np.maximum(np.bincount(hand, minlength=4), 1)).all()


def test_features_by_hand() -> None:
    angles = np.array([[0.0, np.pi / 2, np.pi, -np.pi / 2, 5e-324, -0.0]], dtype=np.float32)
    found = added(angles, np.zeros(1, dtype=int), 1)[0]
    assert found[0, 0].tolist() == pytest.approx([1, 0, -1, 0, 1, 1], abs=EMBEDDING_FEATURE)
    assert found[0, 1].tolist() == pytest.approx([0, 1, 0, -1, 0, 0], abs=EMBEDDING_FEATURE)
    assert found[1, 0].tolist() == pytest.approx([1, -1, 1, -1, 1, 1], abs=EMBEDDING_FEATURE)
    assert found[4, 0].tolist() == pytest.approx([1, 1, 1, 1, 1, 1], abs=16 * EMBEDDING_FEATURE)


def test_far_angles_keep_their_digits_and_farther_ones_stay_within_one() -> None:
    angles = np.linspace(-3e4, 3e4, 20_001, dtype=np.float32)[:, None]
    hands = np.arange(len(angles))
    assert np.abs(added(angles, hands, len(angles)) - summed(angles, hands, len(angles)))[:, 0].max() < 1e-6
    beyond = np.array([[1e5, 1e6, 1e7, 1e30, -1e30, np.float32(3.4e38)]], dtype=np.float32)
    assert np.abs(added(beyond, np.zeros(1, dtype=int), 1)).max() < 1.01


def center_rows(values: Any, center: Any) -> tuple[Any, Any, Any]:
    out = np.empty_like(values), np.empty(len(values)), np.empty(len(values))
    _core.center_rows(values, center, *out)
    return out


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("dimensions", [1, 15, 16, 17, 384])
def test_centred_rows_are_those_of_numpy(dimensions: int, kind: Any) -> None:
    rng = np.random.default_rng(dimensions)
    values, center = rng.normal(size=(300, dimensions)).astype(kind), rng.normal(size=dimensions).astype(kind)
    centered, squares, lengths = center_rows(values, center)
    assert centered.dtype == kind
    assert (centered == values - center).all()
    assert squares == pytest.approx(((values - center).astype(np.float64) ** 2).sum(axis=1), rel=1e-14)
    assert lengths == pytest.approx((values.astype(np.float64) ** 2).sum(axis=1), rel=1e-14)


def test_centred_rows_by_hand() -> None:
    values = np.array([[3.0, 4.0], [1.0, 1.0], [np.nan, 0.0], [np.inf, 0.0], [3e38, -0.0]], dtype=np.float32)
    centered, squares, lengths = center_rows(values, np.ones(2, dtype=np.float32))
    assert centered[:2].tolist() == [[2.0, 3.0], [0.0, 0.0]]
    assert squares[:2].tolist() == [13.0, 0.0]
    assert lengths[:2].tolist() == [25.0, 2.0]
    assert np.isnan(squares[2])
    assert squares[3] == lengths[3] == np.inf
    assert lengths[4] == float(np.float32(3e38)) ** 2  # float64 holds the squares of all float32
    none = center_rows(np.empty((0, 3)), np.zeros(3))
    assert [a.shape for a in none] == [(0, 3), (0,), (0,)]


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("dimensions", [1, 7, 8, 17, 384])
def test_rows_are_added_to_the_totals_of_their_groups_in_the_order_of_rows(dimensions: int, kind: Any) -> None:
    rng = np.random.default_rng(dimensions)
    values, center = rng.normal(size=(300, dimensions)).astype(kind), rng.normal(size=dimensions).astype(kind)
    group = rng.integers(0, 9, 300)
    expected = rng.normal(size=(9, dimensions))
    totals = [expected.copy(), expected.copy()]
    np.add.at(expected, group, (values - center).astype(np.float64))  # one row after the other
    _core.add_rows(values, center, None, group, totals[0])
    _core.add_rows(values, center, np.argsort(group, kind="stable"), group, totals[1])
    assert (totals[0] == expected).all()
    assert (totals[1] == expected).all()
    _core.add_rows(values[:0], center, None, group[:0], totals[0])
    assert (totals[0] == expected).all()


def test_rows_of_no_group_and_totals_of_another_length_are_refused() -> None:
    values, center, totals = np.ones((2, 3)), np.zeros(3), np.zeros((2, 3))
    for group, order in (([0, 2], None), ([-1, 0], None), ([0], None), ([0, 1], [0, 2]), ([0, 1], [0])):
        own = None if order is None else np.array(order)
        with pytest.raises(Exception, match="row"):
            _core.add_rows(values, center, own, np.array(group), totals)
    with pytest.raises(Exception, match="centre"):
        _core.add_rows(values, center[:2].copy(), None, np.zeros(2, dtype=np.int64), totals)
    with pytest.raises(Exception, match="centre"):
        _core.add_rows(values, center, None, np.zeros(2, dtype=np.int64), np.zeros((2, 2)))
    with pytest.raises(TypeError):
        _core.add_rows(values, center, None, np.zeros(2, dtype=np.int32), totals)
    with pytest.raises(TypeError):
        _core.add_rows(values, center, None, None, totals)  # type: ignore[arg-type]
    assert (totals == 0).all()


def test_what_does_not_fit_is_refused() -> None:
    angles, out = np.zeros((2, 3), dtype=np.float32), np.zeros((4, 2 * SCALES * 3))
    for hand in ([0], [0, 4], [-1, 0]):
        with pytest.raises(Exception, match="hand"):
            _core.add_features(angles, np.array(hand, dtype=np.int32), out)
    with pytest.raises(Exception, match="hand"):
        _core.add_features(angles, np.zeros(2, dtype=np.int32), out[:, 1:].copy())
    with pytest.raises(Exception, match="centre"):
        center_rows(np.zeros((2, 3)), np.zeros(2))
    with pytest.raises(Exception, match="centre"):
        _core.center_rows(np.zeros((2, 3)), np.zeros(3), np.zeros((2, 3)), np.zeros(1), np.zeros(2))
    with pytest.raises(TypeError):
        center_rows(np.zeros((2, 3), dtype=np.int32), np.zeros(3, dtype=np.int32))
    with pytest.raises(TypeError):  # a copy would be filled
        _core.center_rows(np.zeros((2, 3)), np.zeros(3), np.zeros((3, 2)).T, np.zeros(2), np.zeros(2))


PRINT = """
import hashlib, numpy as np
from modelwatch_gpu import _core
rng = np.random.default_rng(0)
angles = (20 * rng.normal(size=(700, 37))).astype(np.float32)
out = np.zeros((8, 2 * _core.FEATURE_SCALES * 37))
_core.add_features(angles, rng.integers(0, 8, 700).astype(np.int32), out)
found = hashlib.sha256(out.tobytes())
for kind in (np.float32, np.float64):
    values = rng.normal(size=(50, 37)).astype(kind)
    made = np.empty_like(values), np.empty(50), np.empty(50)
    _core.center_rows(values, values[0].copy(), *made)
    totals = np.zeros((8, 37))
    _core.add_rows(values, values[0].copy(), None, rng.integers(0, 8, 50), totals)
    for array in (*made, totals):
        found.update(array.tobytes())
print(found.hexdigest())
"""


def test_every_instruction_set_gives_the_same_bits() -> None:
    found = set()
    for isa in _core.available_isas():
        done = subprocess.run(
            [sys.executable, "-c", PRINT],
            env={**os.environ, "MODELWATCH_ISA": isa},
            capture_output=True,
            text=True,
            check=True,
        )
        found.add(done.stdout)
    assert len(found) == 1
