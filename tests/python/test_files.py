"""Baseline and profile files: equal state is equal bytes, and what is damaged, newer or hostile is refused."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import modelwatch_gpu as mw
from modelwatch_gpu.profile import fileio
from modelwatch_gpu.profile.tables import Arrays

ROLES = mw.Roles(timestamp="when")
NEWER = fileio.FORMAT_VERSIONS["baseline"] + 1


def log(rows: int = 400, seed: int = 0) -> pa.Table:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=rows)
    x[:3] = np.nan, np.inf, -0.0
    when = pa.array(1_370_000_000 + rng.integers(0, 10**7, rows)).cast(pa.timestamp("s", "UTC"))
    return pa.table({"x": x, "i": rng.integers(0, 99, rows), "text": rng.choice(["a", "ü", ""], rows), "when": when})


@pytest.fixture(scope="module")
def baseline() -> mw.Baseline:
    return mw.Baseline.fit(log(), roles=ROLES)


@pytest.fixture(scope="module")
def small() -> bytes:
    """A baseline file of a few KB."""
    return mw.Baseline.fit(pa.table({"x": [1.5, 2.5, None], "t": ["a", "b", "a"]})).to_bytes()


def profile_of(baseline: mw.Baseline) -> mw.Profile:
    return mw.Profile.count(baseline, [log(300, 1), log(200, 2)], window="1mo", segments=["text"])


def test_a_baseline_saved_loaded_and_saved_again_has_the_same_bytes_and_measures(
    baseline: mw.Baseline, tmp_path: Path
) -> None:
    baseline.save(tmp_path / "a.mwb")
    again = mw.Baseline.load(tmp_path / "a.mwb")
    again.save(tmp_path / "b.mwb")
    assert (tmp_path / "a.mwb").read_bytes() == (tmp_path / "b.mwb").read_bytes() == baseline.to_bytes()
    assert again.fingerprint == baseline.fingerprint
    assert (
        mw.compare(again, log(300, 1), window="1mo").to_json()
        == mw.compare(baseline, log(300, 1), window="1mo").to_json()
    )
    assert mw.compare(tmp_path / "a.mwb", log(9, 1)).to_json() == mw.compare(baseline, log(9, 1)).to_json()


def test_a_profile_saved_loaded_and_saved_again_has_the_same_bytes_and_still_adds_up(
    baseline: mw.Baseline, tmp_path: Path
) -> None:
    profile = profile_of(baseline)
    profile.save(tmp_path / "a.mwp")
    again = mw.Profile.load(tmp_path / "a.mwp")
    again.save(tmp_path / "b.mwp")
    assert (tmp_path / "a.mwp").read_bytes() == (tmp_path / "b.mwp").read_bytes() == profile.to_bytes()
    more = mw.Profile.count(baseline, log(100, 3), window="1mo", segments=["text"])
    assert (again + more).to_bytes() == (more + profile).to_bytes()


def test_nothing_of_the_machine_or_the_moment_is_inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    states = []
    for place, when, zone in ((tmp_path / "one", 1e9, "UTC"), (tmp_path / "another place", 1.7e9, "Asia/Tokyo")):
        place.mkdir()
        monkeypatch.chdir(place)
        monkeypatch.setenv("TZ", zone)
        monkeypatch.setenv("MODELWATCH_THREADS", "1" if zone == "UTC" else "2")
        monkeypatch.setattr(time, "time", lambda when=when: when)
        pq.write_table(log(), place / "reference.parquet")
        baseline = mw.Baseline.fit(place / "reference.parquet", roles=ROLES)
        baseline.save("saved.mwb")
        mw.Profile.count(baseline, "reference.parquet").save("saved.mwp")
        states.append((Path("saved.mwb").read_bytes(), Path("saved.mwp").read_bytes()))
        os.utime("reference.parquet", (1, 1))
    assert states[0] == states[1]
    for raw in states[0]:
        for word in (str(tmp_path), "reference.parquet", os.uname().nodename, "saved"):
            assert word.encode() not in raw


def test_every_byte_that_is_changed_is_noticed(small: bytes, tmp_path: Path) -> None:
    path = tmp_path / "small.mwb"
    path.write_bytes(small)
    mw.Baseline.load(path)
    step = max(1, len(small) // 4000)
    for at in range(0, len(small), step):
        flipped = bytearray(small)
        flipped[at] ^= 1 << at % 8
        with pytest.raises(mw.InputError):
            fileio.from_bytes(bytes(flipped), "baseline", "small.mwb")


@pytest.mark.parametrize("what", ["baseline", "profile"])
def test_a_file_cut_short_or_continued_is_refused_with_its_name(
    what: str, baseline: mw.Baseline, tmp_path: Path
) -> None:
    whole = baseline.to_bytes() if what == "baseline" else profile_of(baseline).to_bytes()
    load: Callable[[Path], Any] = mw.Baseline.load if what == "baseline" else mw.Profile.load
    path = tmp_path / "cut"
    lengths = [*range(0, 200), *range(200, len(whole), max(1, len(whole) // 100)), len(whole) - 1]
    for length in lengths:
        path.write_bytes(whole[:length])
        with pytest.raises(mw.InputError, match="cut"):
            load(path)
    path.write_bytes(whole + b"\0")
    with pytest.raises(mw.InputError, match="damaged"):
        load(path)


@pytest.mark.parametrize(
    "content", [b"", b"ARROW1\0\0", b'"sha256": "', b'"sha256": "' + b"0" * 64, b"PK\3\4" * 99, b"\0" * 9999]
)
def test_something_else_is_refused_with_its_name(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "else.mwb"
    path.write_bytes(content)
    for load in (mw.Baseline.load, mw.Profile.load):
        with pytest.raises(mw.InputError, match=r"else\.mwb"):
            load(path)
    for missing in (tmp_path / "none.mwb", tmp_path):
        with pytest.raises(mw.InputError, match="cannot be read"):
            mw.Baseline.load(missing)


def test_a_profile_is_no_baseline_and_the_message_says_which_is_which(baseline: mw.Baseline, tmp_path: Path) -> None:
    profile_of(baseline).save(tmp_path / "p.mwb")
    baseline.save(tmp_path / "b.mwp")
    with pytest.raises(mw.InputError, match="this is a profile file, but a baseline is needed here"):
        mw.Baseline.load(tmp_path / "p.mwb")
    with pytest.raises(mw.InputError, match="this is a profile file"):
        mw.compare(tmp_path / "p.mwb", log())
    with pytest.raises(mw.InputError, match="this is a baseline file, but a profile is needed here"):
        mw.Profile.load(tmp_path / "b.mwp")


def resealed(raw: bytes, change: Callable[[dict[str, Any], Arrays], None], *, kind: str = "baseline") -> bytes:
    """A file with another header or other arrays and a hash that is right for them."""
    header, arrays = fileio.from_bytes(raw, kind, "made here")
    arrays = dict(arrays)
    change(header, arrays)
    rows = [("header", "json", json.dumps({**header, "sha256": "0" * 64}).encode())]
    header_first = {"sha256": "0" * 64, **{k: v for k, v in header.items() if k != "sha256"}}
    rows = [("header", "json", json.dumps(header_first).encode())]
    rows += [(name, a.dtype.str, a.tobytes()) for name, a in arrays.items()]
    schema = pa.schema([("name", pa.string()), ("dtype", pa.string()), ("data", pa.large_binary())])
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, schema) as writer:
        writer.write_table(pa.table(list(zip(*rows, strict=True)), schema=schema))
    made = bytearray(sink.getvalue().to_pybytes())
    at = made.index(b'"sha256": "') + len(b'"sha256": "')
    made[at : at + 64] = hashlib.sha256(made).hexdigest().encode()
    return bytes(made)


def test_a_newer_format_is_refused_by_name_and_the_own_one_is_read(small: bytes, tmp_path: Path) -> None:
    path = tmp_path / "newer.mwb"
    path.write_bytes(resealed(small, lambda header, arrays: None))
    assert mw.Baseline.load(path).to_bytes() == small
    path.write_bytes(resealed(small, lambda header, arrays: header.update(format=NEWER, library="9.9.9")))
    with pytest.raises(mw.InputError, match=rf"newer\.mwb: written in format {NEWER} by modelwatch 9\.9\.9.*upgrade"):
        mw.Baseline.load(path)
    for wrong in ("1", None, 1.5, [1], -3, True):
        path.write_bytes(resealed(small, lambda header, arrays, wrong=wrong: header.update(format=wrong)))
        with pytest.raises(mw.InputError, match=r"newer\.mwb"):
            mw.Baseline.load(path)


def hostile_changes(raw: bytes, kind: str) -> list[tuple[str, Callable[[dict[str, Any], Arrays], None]]]:
    """One change for every array (missing, longer, out of range) and every header field (missing, of another type)."""
    header, arrays = fileio.from_bytes(raw, kind, "made here")
    out: list[tuple[str, Callable[[dict[str, Any], Arrays], None]]] = []
    for name, array in arrays.items():
        out.append((f"without {name}", lambda h, a, n=name: a.pop(n)))
        out.append(
            (f"longer {name}", lambda h, a, n=name: a.update({n: np.append(a[n], a[n][-1:] if len(a[n]) else 7)}))
        )
        if len(array):
            top = np.iinfo(array.dtype).max if array.dtype.kind in "iu" else np.nan
            out.append((f"huge {name}", lambda h, a, n=name, t=top: a.update({n: np.full_like(a[n], t)})))
            out.append((f"reversed {name}", lambda h, a, n=name: a.update({n: a[n][::-1]})))
    for name in header:
        if name not in ("sha256", "library", "format", "kind"):
            out.append((f"header without {name}", lambda h, a, n=name: h.pop(n)))
            for odd in (None, 7, "x", [1], {"a": 1}):
                out.append((f"header {name}={odd}", lambda h, a, n=name, o=odd: h.update({n: o})))
    return out


PLAIN = {"x": [1.5, 2.5, None, -8.0], "t": ["a", "b", "a", "c"]}
#: Logs whose files are of every shape: without labels, with labels of two classes, with labels that are numbers.
SHAPES = {
    "plain": (PLAIN, {"x": [1.5, 2.0, 9.0, -9.0], "t": ["a", "new", None, "c"]}),
    "scored": (
        {"score": [0.1, 0.9, 0.6, None], "prediction": [0, 1, 1, 0], "label": [0, 1, None, 1]},
        {"score": [0.15, 0.85, 0.4, 0.9], "prediction": [0, 1, 0, 7], "label": [1, 1, 0, None]},
    ),
    "numbers": (
        {"prediction": [0.1, 0.9, 0.6, 3.0], "label": [0.5, 1.0, None, 2.5]},
        {"prediction": [0.1, 0.8, 9.6, 3.0], "label": [0.4, 1.0, None, 2.0]},
    ),
}


def odd_scoring(raw: bytes, kind: str) -> list[tuple[str, Callable[[dict[str, Any], Arrays], None]]]:
    """One change for every field of what a baseline says of labels."""
    own = fileio.from_bytes(raw, kind, "made here")[0].get("scoring")
    if not isinstance(own, dict):
        return []
    out: list[tuple[str, Callable[[dict[str, Any], Arrays], None]]] = []
    for name in [*own, "costs"]:
        out.append((f"scoring without {name}", lambda h, a, n=name: h["scoring"].pop(n, None)))
        for odd in (None, 7, 1.5, "x", "label", ["x"], [[1]], [1.0] * 4, {"a": 1}):
            out.append((f"scoring {name}={odd}", lambda h, a, n=name, o=odd: h["scoring"].update({n: o})))
    for task in ("binary", "classes", "numbers"):
        out.append((f"scoring task={task}", lambda h, a, t=task: h["scoring"].update(task=t)))
    return out


@pytest.mark.parametrize("shape", list(SHAPES))
@pytest.mark.parametrize("kind", ["baseline", "profile"])
def test_a_well_sealed_file_with_hostile_content_is_refused_or_compared_but_never_breaks(
    kind: str, shape: str, tmp_path: Path
) -> None:
    table, other = (pa.table(columns) for columns in SHAPES[shape])
    baseline = mw.Baseline.fit(table)
    assert (baseline.scoring is not None) == (shape != "plain")
    profile = mw.Profile.count(baseline, other)
    raw = baseline.to_bytes() if kind == "baseline" else profile.to_bytes()
    broken = []
    for name, change in [*hostile_changes(raw, kind), *odd_scoring(raw, kind)]:
        path = tmp_path / ("h.mwb" if kind == "baseline" else "h.mwp")
        path.write_bytes(resealed(raw, change, kind=kind))
        try:
            if kind == "baseline":
                mw.compare(mw.Baseline.load(path), table).to_json()
            else:
                mw.compare(baseline, mw.Profile.load(path)).to_json()
        except mw.InputError:
            pass
        except Exception as error:
            broken.append(f"{name}: {type(error).__name__}: {error}")
    assert not broken, f"{len(broken)} changes: " + "; ".join(broken[:20])


# Writing


def assert_only(folder: Path, names: set[str]) -> None:
    assert {p.name for p in folder.iterdir()} == names


def test_a_full_disk_leaves_the_old_file_and_nothing_else(baseline: mw.Baseline, small: bytes, tmp_path: Path) -> None:
    path = tmp_path / "b.mwb"
    path.write_bytes(small)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))  # what is written beyond fails, as on a full disk
    try:
        with pytest.raises(mw.OutputError, match=r"b\.mwb: cannot be written"):
            baseline.save(path)
        with pytest.raises(mw.OutputError, match="cannot be written"):
            profile_of(baseline).save(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == small
    assert_only(tmp_path, {"b.mwb"})
    baseline.save(path)
    assert path.read_bytes() == baseline.to_bytes()


@pytest.mark.parametrize("problem", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_whatever_interrupts_a_write_leaves_the_old_file_and_nothing_else(
    problem: BaseException, baseline: mw.Baseline, small: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "b.mwb"
    path.write_bytes(small)

    def fails(*_: Any) -> None:
        raise problem

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises((mw.OutputError, KeyboardInterrupt)):
        baseline.save(path)
    assert path.read_bytes() == small
    assert_only(tmp_path, {"b.mwb"})


def test_a_target_that_cannot_be_written_is_named(baseline: mw.Baseline, tmp_path: Path) -> None:
    (tmp_path / "folder.mwb").mkdir()
    (tmp_path / "file").write_bytes(b"")
    for target in ("no/such/folder/b.mwb", "folder.mwb", "file/b.mwb"):
        with pytest.raises(mw.OutputError, match=r"cannot be written \(.+\)\."):
            baseline.save(tmp_path / target)
    assert_only(tmp_path, {"folder.mwb", "file"})
    assert_only(tmp_path / "folder.mwb", set())


def test_a_folder_without_permission_is_named(baseline: mw.Baseline, tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(mw.OutputError, match="cannot be written"):
            baseline.save(tmp_path / "b.mwb")
    finally:
        tmp_path.chmod(0o700)


def test_a_saved_file_has_the_permissions_of_any_new_file(baseline: mw.Baseline, tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(b"")
    baseline.save(tmp_path / "b.mwb")
    assert (tmp_path / "b.mwb").stat().st_mode == (tmp_path / "plain").stat().st_mode
    shutil.copy(tmp_path / "b.mwb", tmp_path / "copy.mwb")
    assert mw.Baseline.load(str(tmp_path / "copy.mwb")).fingerprint == baseline.fingerprint


def test_a_comparison_of_windows_does_not_import_pandas(baseline: mw.Baseline, tmp_path: Path) -> None:
    pytest.importorskip("pandas")
    baseline.save(tmp_path / "b.mwb")
    pq.write_table(log(seed=1), tmp_path / "log.parquet")
    code = (
        "import sys, modelwatch_gpu as mw\n"
        "report = mw.compare('b.mwb', 'log.parquet', window='1w')\n"
        "report.write_json('r.json'), report.to_html('r.html')\n"
        "assert 'pandas' not in sys.modules, 'half a second'\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
