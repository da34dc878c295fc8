"""Embedding a text column, and the bundled log of embeddings."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from embedding_makers import vectors
from patience import PATIENCE

import modelwatch_gpu as mw
from modelwatch_gpu import cli, demo


class Lengths:
    """A model whose vectors say how long a text is and how many of it are spaces."""

    name = "lengths"

    def encode(self, texts: list[str], **options: Any) -> Any:
        assert options == {"batch_size": 64, "show_progress_bar": False, "normalize_embeddings": False}
        return np.array([[len(t), t.count(" ")] for t in texts], dtype=np.float32).reshape(-1, 2)


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_every_text_gets_its_vector_and_null_none(kind: pa.DataType) -> None:
    table = pa.table({"prompt": pa.array(["a b", None, ""]).cast(kind), "x": [1, 2, 3]})
    found = mw.embed(table, "prompt", model=Lengths())
    assert found.column_names == ["prompt", "x", "prompt_embedding"]
    assert found["prompt_embedding"].to_pylist() == [[3.0, 1.0], None, [0.0, 0.0]]
    assert found.schema.field("prompt_embedding").metadata == {b"model": b"lengths"}
    named = mw.embed(table, "prompt", name="v", model=Lengths())
    assert mw.Roles(embedding="v").assign(named.schema).roles["v"] == "embedding"


def test_the_model_named_in_a_column_is_that_of_the_baseline() -> None:
    rng = np.random.default_rng(1)
    texts = pa.table({"prompt": ["a" * int(n) for n in rng.integers(1, 50, 60)]})
    fitted = mw.Baseline.fit(mw.embed(texts, "prompt", name="v", model=Lengths()), roles=mw.Roles(ignore="prompt"))
    assert fitted.embeddings[0].model == "lengths"


class Broken:
    """A model that gives one number a text."""

    def encode(self, texts: list[str], **options: Any) -> Any:
        return np.zeros(len(texts))


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda t: mw.embed(t, "gone", model=Lengths()), "There is no column 'gone' to embed"),
        (lambda t: mw.embed(t, "prompt", name="x", model=Lengths()), "has a column 'x' already"),
        (lambda t: mw.embed(t, "x", model=Lengths()), "text is needed"),
        (lambda t: mw.embed(t, "prompt", model=3), "an object with encode"),
        (lambda t: mw.embed(t, "prompt", model=Broken()), "returned float64 of shape"),
    ],
)
def test_what_cannot_be_embedded_is_refused(call: Any, match: str) -> None:
    with pytest.raises(mw.InputError, match=match):
        call(pa.table({"prompt": ["a"], "x": [1]}))


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(mw.InputError, match=r"modelwatch-gpu\[embed\]"):
        mw.embed(pa.table({"prompt": ["a"]}), "prompt")


@pytest.fixture(scope="module")
def report() -> mw.Report:
    return demo.run_embeddings()


def test_the_bundled_weeks_are_calm_then_alarming_and_new_sections_are_among_the_exemplars(report: mw.Report) -> None:
    found = sorted((f for f in report.findings if f.check == "embedding_drift"), key=lambda f: f.start)
    assert [f.severity for f in found] == ["ok", "alert", "alert"]
    new = {"games", "science", "sound", "graphics", "education", "hamradio", "fonts", "gnome", "video", "math"}
    calm, some, all_new = (
        sum(e["labels"]["section"] in new for e in week["exemplars"]) for week in report.to_dict()["embeddings"]
    )
    assert (calm, all_new) == (0, 20)
    assert some >= 15


def test_the_bundled_vectors_are_small_and_hold_no_texts() -> None:
    folder = Path(demo.__file__).parent / "data" / "embeddings"
    assert sum(f.stat().st_size for f in folder.iterdir()) < 3_000_000
    for file in folder.glob("*.parquet"):
        assert pq.read_schema(file).names == ["prediction_id", "synthetic_timestamp", "section", "embedding"]


def test_the_demo_command_takes_the_log_and_refuses_another(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "modelwatch_gpu", "demo"]
    done = subprocess.run(
        [*command, "embeddings", "--json", "d.json"], cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode == 0, done.stderr
    assert sorted(os.listdir(tmp_path)) == ["d.json", "report.html"]
    assert len(json.loads((tmp_path / "d.json").read_text())["embeddings"]) == 3
    wrong = subprocess.run([*command, "movies"], cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE)
    assert wrong.returncode == 2
    assert "there are flights, embeddings and monitor" in wrong.stderr


def test_fit_takes_vectors_and_texts_by_options_as_by_roles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Lists of any length are no vectors, and texts no texts, until somebody says so.
    values = vectors(300, 4, seed=1)
    table = pa.table(
        {"v": values.tolist(), "w": values.tolist(), "t": [f"text {i}" for i in range(300)], "u": ["a"] * 300}
    )
    pq.write_table(table, tmp_path / "log.parquet")
    monkeypatch.chdir(tmp_path)
    options = "--embedding v --embedding w --normalize w --text t --text u -o b.mwb -q"
    monkeypatch.setattr(sys, "argv", ["modelwatch", "fit", "log.parquet", *options.split()])
    cli.written.clear()
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert not end.value.code
    roles = mw.Roles(embedding=["v", "w"], text=["t", "u"])
    mw.Baseline.fit("log.parquet", roles=roles, normalize=["w"]).save("other.mwb")
    assert Path("b.mwb").read_bytes() == Path("other.mwb").read_bytes()
    assert [column.normalize for column in mw.Baseline.load("b.mwb").embeddings] == [False, True]


def test_the_example_runs(tmp_path: Path) -> None:
    script = Path(__file__).parents[2] / "examples" / "embeddings" / "drift.py"
    done = subprocess.run([sys.executable, script, tmp_path], capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    assert "games" in done.stdout
    assert sorted(os.listdir(tmp_path)) == ["embeddings.html", "embeddings.json"]
