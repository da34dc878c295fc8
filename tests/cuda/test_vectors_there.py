"""`mw.stats` of samples of vectors that lie on a device: sums, projections and balls, against the CPU and loops."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from device_array import Dlpack, Interface
from tolerances import VECTORS_FLOAT32, VECTORS_FLOAT64

import modelwatch_gpu as mw
from modelwatch_gpu.device import engine as engine_named
from modelwatch_gpu.device import resolve
from modelwatch_gpu.device_arrays import matrix_on_device

pytestmark = pytest.mark.gpu

VECTORS = {"float32": VECTORS_FLOAT32, "float64": VECTORS_FLOAT64}


@pytest.fixture
def cuda() -> Any:
    return engine_named(resolve("cuda"))


def samples(n: int, m: int, d: int, dtype: str, *, shift: float = 0.3) -> tuple[Any, Any]:
    random = np.random.default_rng(n + d)
    a = random.normal(size=(n, d)).astype(dtype)
    return a, (random.normal(size=(m, d)) * 1.2 + shift).astype(dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("n", "d", "e"), [(1, 1, 1), (33, 3, 70), (130, 64, 1), (4097, 5, 2)])
def test_sums_of_vectors_side_by_side_are_those_of_numpy(cuda: Any, dtype: str, n: int, d: int, e: int) -> None:
    a, b = samples(n, n, d, dtype)[0], samples(n, n, e, dtype)[1]
    center = np.linspace(-1, 1, d + e)
    products, total = cuda.centered_sums([a, b], center)
    rows = np.concatenate([a, b], axis=1).astype(np.float64) - center
    np.testing.assert_allclose(products, np.triu(rows.T @ rows), rtol=VECTORS_FLOAT64, atol=VECTORS_FLOAT64 * n)
    np.testing.assert_allclose(total, rows.sum(axis=0), rtol=VECTORS_FLOAT64, atol=VECTORS_FLOAT64 * n)
    again = cuda.centered_sums([matrix_on_device(Dlpack(a), "a"), b], center)
    assert again[0].tobytes() == products.tobytes()
    assert again[1].tobytes() == total.tobytes()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("n", "d", "count"), [(1, 1, 1), (65, 17, 3), (130, 16, 65)])
def test_projections_are_products_with_directions(cuda: Any, dtype: str, n: int, d: int, count: int) -> None:
    rows = samples(n, n, d, dtype)[0]
    axes = np.random.default_rng(3).normal(size=(d, count))
    columns = cuda.projected(rows, axes)
    assert len(columns) == count
    expected = rows.astype(np.float64) @ axes
    for at, memory in enumerate(columns):
        found = cuda.download(memory.pointer, 8 * n).view(np.float64)
        np.testing.assert_allclose(found, expected[:, at], rtol=VECTORS_FLOAT64, atol=VECTORS_FLOAT64)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("n", "m", "d"), [(2, 1, 1), (70, 33, 33), (9, 300, 3)])
def test_balls_hold_the_rows_nearer_than_their_radius(cuda: Any, dtype: str, n: int, m: int, d: int) -> None:
    a, b = samples(n, m, d, dtype)
    apart = ((b[:, None].astype(np.float64) - a[None].astype(np.float64)) ** 2).sum(axis=2)
    radii = cuda.nearest([a], None, 1)[0][:, 0]
    inside, closest = cuda.balls(b, a, radii)
    np.testing.assert_array_equal(inside, (apart < radii).sum(axis=1))
    np.testing.assert_allclose(closest, apart.min(axis=1), rtol=VECTORS_FLOAT64)
    # A ball out to a row leaves that row outside, and holds its own center.
    np.testing.assert_array_equal(cuda.balls(a[:2], a[:2], cuda.nearest([a[:2]], None, 1)[0][:, 0])[0], [1, 1])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("n", "m", "d"), [(200, 120, 6), (70, 70, 33), (20, 15, 50)])
def test_measures_of_two_samples_are_the_hosts(dtype: str, n: int, m: int, d: int) -> None:
    a, b = samples(n, m, d, dtype)
    close = VECTORS[dtype] * (1 if d < n else 100)  # covariances of few rows have square roots of eigenvalues near 0
    for name, options in (
        ("frechet_distance", {}),
        ("frechet_distance", {"debias": False}),
        ("sliced_wasserstein", {"projections": 20}),
        ("sliced_wasserstein", {"projections": np.eye(d)[:, :3], "p": 1}),
        ("cosine_centroid", {}),
    ):
        function = getattr(mw.stats, name)
        expected = function(a, b, device="cpu", full=True, **options)
        for sides, device in (((Dlpack(a), Interface(b)), "auto"), ((a, b), "cuda"), ((a, Dlpack(b)), "auto")):
            found = function(*sides, device=device, full=True, **options)
            assert found.value == pytest.approx(expected.value, rel=close, abs=close), name
            assert (found.n, found.m, found.device) == (n, m, "cuda:0")
            assert expected.device == "cpu"
        assert function(Dlpack(a), Dlpack(b), **options) == found.value


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("n", "m", "d", "k"), [(120, 90, 5, 3), (40, 64, 33, 7)])
def test_precision_recall_density_and_coverage_are_the_hosts(dtype: str, n: int, m: int, d: int, k: int) -> None:
    for shift in (0.0, 0.5, 50.0):
        a, b = samples(n, m, d, dtype, shift=shift)
        expected = mw.stats.prdc(a, b, k=k, device="cpu")
        for sides, device in (((Dlpack(a), Interface(b)), "auto"), ((a, b), "cuda")):
            found = mw.stats.prdc(*sides, k=k, device=device)
            assert found.device == "cuda:0"
            for name in ("precision", "recall", "density", "coverage", "n", "m"):
                assert getattr(found, name) == getattr(expected, name), name


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("n", "d", "e"), [(90, 6, 11), (12, 20, 30)])
def test_two_embeddings_of_the_same_rows_are_compared_there(dtype: str, n: int, d: int, e: int) -> None:
    random = np.random.default_rng(n)
    a = (random.normal(size=(n, d)) + 3).astype(dtype)
    b = (a @ random.normal(size=(d, e)) + random.normal(size=(n, e))).astype(dtype)
    for name, options in (("cka", {}), ("neighbour_overlap", {"k": 5})):
        function = getattr(mw.stats, name)
        expected = function(a, b, device="cpu", full=True, **options)
        for sides, device in (((Dlpack(a), Interface(b)), "auto"), ((a, b), "cuda")):
            found = function(*sides, device=device, full=True, **options)
            assert found.value == pytest.approx(expected.value, rel=0, abs=VECTORS[dtype]), name
            assert (found.n, found.m, found.device) == (n, n, "cuda:0")
        assert 0 < found.value < 1
        assert function(Dlpack(a), Dlpack(a), **options) == pytest.approx(1, abs=VECTORS_FLOAT64)


def test_a_moved_sample_is_as_far_as_it_was_moved() -> None:
    """Worked out by hand: the same rows two units on are two units away by every measure."""
    a = np.array([[0.0, 0.0], [4.0, 0.0], [0.0, 3.0], [4.0, 3.0]])
    b = a + np.array([2.0, 0.0])
    assert mw.stats.frechet_distance(Dlpack(a), Dlpack(b), debias=False) == pytest.approx(4, abs=VECTORS_FLOAT64)
    one = np.array([[1.0], [0.0]])
    assert mw.stats.sliced_wasserstein(Dlpack(a), Dlpack(b), projections=one) == 2
    # Balls reach to the nearest other row, 3 away: a moved row is in two of them where it lies between, else in one.
    found = mw.stats.prdc(Dlpack(a), Dlpack(b), k=1)
    assert (found.precision, found.recall, found.density, found.coverage) == (1, 1, 1.5, 1)


def test_what_cannot_be_computed_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = samples(40, 30, 6, "float64")
    bad = a.copy()
    bad[3, 2] = np.nan
    for name in ("frechet_distance", "sliced_wasserstein", "prdc", "cosine_centroid"):
        function = getattr(mw.stats, name)
        with pytest.raises(mw.InputError, match="NaN or infinite"):
            function(Dlpack(bad), Dlpack(b))
        with pytest.raises(mw.InputError, match="give both vectors of one length"):
            function(Dlpack(a[:, :3].copy()), Dlpack(b))
    with pytest.raises(mw.InputError, match="has 3 rows, and the 5-th nearest"):
        mw.stats.prdc(Dlpack(a), Dlpack(b[:3].copy()))
    with pytest.raises(mw.InputError, match="which has no direction"):
        mw.stats.cosine_centroid(Dlpack(np.zeros((3, 2))), Dlpack(np.ones((3, 2))))
    for name in ("cka", "neighbour_overlap"):
        with pytest.raises(mw.InputError, match=f"{name} compares the same rows"):
            getattr(mw.stats, name)(Dlpack(a), Dlpack(b))
        with pytest.raises(mw.InputError, match="NaN or infinite"):
            getattr(mw.stats, name)(Dlpack(bad), Dlpack(a))
    with pytest.raises(mw.InputError, match="needs two rows"):
        mw.stats.cka(Dlpack(a[:1].copy()), Dlpack(a[:1].copy()))
    with pytest.raises(mw.InputError, match="all rows of a side are equal"):
        mw.stats.cka(Dlpack(np.ones((4, 2))), Dlpack(a[:4].copy()))
    for sides, device in (((Dlpack(a), b), "auto"), ((a, b), "cuda")):
        with pytest.raises(mw.DeviceUnavailable, match="computed on the CPU alone"):
            mw.stats.domain_classifier(*sides, device=device)
    # What "auto" chooses for arrays of the host never stands in the way.
    monkeypatch.setenv("MODELWATCH_DEVICE", "cuda")
    assert mw.stats.domain_classifier(a, b, full=True).device == "cpu"


def test_the_engine_refuses_matrices_that_do_not_match(cuda: Any) -> None:
    a, b = samples(40, 30, 6, "float64")
    for call, said in (
        (lambda: cuda.centered_sums([a, b], np.zeros(12)), "as many rows"),
        (lambda: cuda.centered_sums([a], np.zeros(5)), "every element needs its center"),
        (lambda: cuda.centered_sums([], np.zeros(0)), "every element needs its center"),
        (lambda: cuda.projected(a, np.zeros((5, 2))), "directions of every element"),
        (lambda: cuda.projected(a, np.zeros(6)), "directions are a matrix"),
        (lambda: cuda.balls(a, b, np.zeros(40)), "every ball needs its radius"),
        (lambda: cuda.balls(a, b.astype(np.float32), np.zeros(30)), "of one type"),
    ):
        with pytest.raises(mw.InputError, match=said):
            call()
