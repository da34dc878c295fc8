"""Roles of columns: given, recognised by name, and refused."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

import modelwatch_gpu as mw
from modelwatch_gpu.errors import InputError
from modelwatch_gpu.log.roles import ROLES, RoleAssignment, Roles

TIME = pa.timestamp("us", "UTC")


def schema(*names: str, **types: pa.DataType) -> pa.Schema:
    return pa.schema([(name, pa.float32()) for name in names] + list(types.items()))


def test_well_known_names_get_their_role_in_any_case_and_a_note_each() -> None:
    found = Roles().assign(
        schema(
            "Label",
            "SCORE",
            "prediction",
            "request_id",
            "id",
            "latency_p99_ms",
            "latency_ms",
            "age",
            ts=TIME,
            model_version=pa.string(),
        )
    )
    assert found.roles == {
        "Label": "label",
        "SCORE": "score",
        "prediction": "prediction",
        "request_id": "id",
        "id": "id",
        "latency_p99_ms": "latency",
        "latency_ms": "latency",
        "age": "feature",
        "ts": "timestamp",
        "model_version": "version",
    }
    assert found.timestamp == "ts"
    assert found.columns("id") == ["request_id", "id"]
    assert len(found.notes) == 9
    assert found.notes[3] == "Column 'request_id' is taken as id because of its name; pass roles to change that."


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("target", "label"),
        ("y_pred_proba", "score"),
        ("predicted_probability", "score"),
        ("y_pred", "prediction"),
        ("latency_total_ms", "latency"),
        ("paid", "feature"),
        ("labels", "feature"),
        ("latency", "feature"),
        ("_id", "id"),
    ],
)
def test_a_name_is_recognised_whole(name: str, role: str) -> None:
    assert Roles().assign(schema(name)).roles == {name: role}


def test_every_role_of_an_assignment_is_one_of_the_vocabulary() -> None:
    given = {role: f"my_{role}" for role in ROLES if role != "feature"}
    log = schema(*(name for name in given.values() if name != "my_timestamp"), my_timestamp=TIME)
    found = Roles(**given, features="other").assign(pa.schema([*log, ("other", pa.int8()), ("rest", pa.int8())]))
    assert {found.roles[name]: name for name in given.values()} == given
    assert found.roles["other"] == "feature"
    assert found.roles["rest"] == "ignore"
    assert set(found.roles.values()) == set(ROLES)
    assert found.notes == ()


def test_without_inference_every_column_without_a_role_is_a_feature() -> None:
    found = Roles(infer=False, label="y").assign(schema("y", "score", "id", ts=TIME))
    assert found.roles == {"y": "label", "score": "feature", "id": "feature", "ts": "feature"}
    assert found.notes == ()


def test_a_role_that_is_given_is_not_recognised_again() -> None:
    found = Roles(label="y", id=["key"]).assign(schema("label", "y", "key", "user_id"))
    assert found.roles == {"label": "feature", "y": "label", "key": "id", "user_id": "feature"}


def test_an_explicit_role_wins_over_the_name() -> None:
    assert Roles(ignore=["score"], features=["label"]).assign(schema("score", "label")).roles == {
        "score": "ignore",
        "label": "feature",
    }


def test_given_features_leave_recognised_roles_and_ignore_the_rest() -> None:
    found = Roles(features=["age"]).assign(schema("age", "label", "other"))
    assert found.roles == {"age": "feature", "label": "label", "other": "ignore"}


def test_the_first_of_two_columns_that_could_be_the_label_is_and_a_note_says_so() -> None:
    found = Roles().assign(schema("target", "label"))
    assert found.roles == {"target": "label", "label": "feature"}
    assert found.notes[1] == (
        "Column 'label' is not taken as label because column 'target' comes before it; pass roles to change that."
    )


def test_a_timestamp_is_recognised_only_where_its_type_is_a_time() -> None:
    found = Roles().assign(schema(timestamp=pa.string(), ts=pa.date32()))
    assert found.roles == {"timestamp": "feature", "ts": "timestamp"}
    assert "its type is string" in found.notes[0]
    with pytest.raises(InputError, match="'when' has the role timestamp but its type is int64"):
        Roles(timestamp="when").assign(schema(when=pa.int64()))


@pytest.mark.parametrize(
    "kind",
    [
        pa.list_(pa.float32()),
        pa.large_list(pa.int8()),
        pa.struct([("a", pa.int8())]),
        pa.map_(pa.string(), pa.int8()),
        pa.dense_union([pa.field("a", pa.int8())]),
        pa.run_end_encoded(pa.int32(), pa.list_(pa.int8())),
        pa.dictionary(pa.int8(), pa.list_(pa.int8())),
        pa.list_(pa.int8(), 3),
        pa.list_view(pa.int8()),
    ],
)
def test_nested_columns_are_ignored_with_a_note_unless_given_a_role(kind: pa.DataType) -> None:
    found = Roles().assign(schema("age", label=kind))
    assert found.roles == {"age": "feature", "label": "ignore"}
    assert "is taken as ignore because its type is" in found.notes[0]
    assert found.skipped == ("label",)
    assert Roles(features="age").assign(schema("age", label=kind)).skipped == ()
    assert Roles(ignore="label").assign(schema("age", label=kind)).skipped == ()
    assert Roles(text="label").assign(schema(label=kind)).roles == {"label": "text"}


@pytest.mark.parametrize("kind", [pa.run_end_encoded(pa.int32(), pa.int8()), pa.uuid(), pa.bool8(), pa.json_()])
def test_a_type_that_only_stores_another_has_the_roles_of_that_one(kind: pa.DataType) -> None:
    found = Roles().assign(schema("age", label=kind, other=kind))
    assert found.roles == {"age": "feature", "label": "label", "other": "feature"}
    assert found.skipped == ()
    when = pa.run_end_encoded(pa.int32(), TIME)
    assert Roles(timestamp="when").assign(schema(when=when)).timestamp == "when"


def test_a_list_of_floats_of_fixed_size_is_an_embedding_with_a_note() -> None:
    found = Roles().assign(schema(vector=pa.list_(pa.float32(), 8)))
    assert found.roles == {"vector": "embedding"}
    assert "is taken as embedding" in found.notes[0]
    assert found.notes[0].endswith("pass roles to change that.")
    assert found.skipped == ()
    assert Roles(features=[]).assign(schema(vector=pa.list_(pa.float32(), 8))).roles == {"vector": "ignore"}


@pytest.mark.parametrize("option", ["label", "id", "features", "categorical", "numeric"])
def test_a_column_the_log_lacks_is_refused_with_the_closest_names(option: str) -> None:
    with pytest.raises(InputError, match=r"'Carier' is named in roles but is not in the log; did you mean 'carrier'\?"):
        Roles(**{option: "Carier"}).assign(schema("carrier", "origin"))


def test_where_no_name_is_close_the_columns_are_listed() -> None:
    with pytest.raises(InputError, match="there are carrier, origin"):
        Roles(label="zzz").assign(schema("carrier", "origin"))


def test_a_column_named_twice_is_refused() -> None:
    with pytest.raises(InputError, match="'a' is given as label and as score"):
        Roles(label="a", score="a")
    with pytest.raises(InputError, match="'a' is named twice in ignore"):
        Roles(ignore=["a", "a"])
    with pytest.raises(InputError, match="as categorical and as numeric"):
        Roles(categorical="a", numeric=["a"])
    with pytest.raises(InputError, match="two columns named 'a'"):
        Roles().assign(pa.schema([("a", pa.int8()), ("a", pa.int8())]))


@pytest.mark.parametrize(
    "bad", [{"label": ["a"]}, {"label": 3}, {"id": [3]}, {"id": {"a": 1}}, {"infer": "no"}, {"numeric": 4}]
)
def test_a_value_that_is_no_column_name_is_refused(bad: dict[str, object]) -> None:
    with pytest.raises(InputError):
        Roles(**bad)  # type: ignore[arg-type]


def test_one_name_stands_for_a_sequence_of_one() -> None:
    assert Roles(id="a", score=["b"], categorical="c") == Roles(id=["a"], score="b", categorical=("c",))
    assert Roles(score=["a", "b"]).assign(schema("a", "b")).columns("score") == ["a", "b"]


def test_roles_survive_a_dictionary_and_both_kinds_of_file(tmp_path: Path) -> None:
    roles = Roles(label="y", id=["a", "b"], features=[], numeric="n", infer=False)
    assert roles.to_dict() == {"label": "y", "id": ["a", "b"], "features": [], "numeric": ["n"], "infer": False}
    assert Roles.from_dict(roles.to_dict()) == roles
    assert Roles().to_dict() == {}
    (tmp_path / "roles.json").write_text(
        '{"label": "y", "id": ["a", "b"], "features": [], "numeric": "n", "infer": false}'
    )
    (tmp_path / "roles.toml").write_text(
        'label = "y"\nid = ["a", "b"]\nfeatures = []\nnumeric = ["n"]\ninfer = false\n'
    )
    assert Roles.from_file(tmp_path / "roles.json") == Roles.from_file(str(tmp_path / "roles.toml")) == roles


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.json", "{", "is not valid JSON"),
        ("a.json", "[1]", "is not one object"),
        ("a.json", '{"lable": "y"}', "did you mean 'label'"),
        ("a.json", '{"label": 1}', "takes one column name"),
        ("a.toml", "=", "is not valid TOML"),
        ("a.yaml", "label: y", "neither .json nor .toml"),
    ],
)
def test_a_roles_file_that_cannot_be_used_is_named(tmp_path: Path, name: str, text: str, said: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(InputError, match=said) as caught:
        Roles.from_file(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_roles_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read: No such file"):
        Roles.from_file(tmp_path / "none.json")
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="is not valid JSON"):
        Roles.from_file(tmp_path / "bytes.json")


def test_an_assignment_without_a_timestamp_says_none() -> None:
    assert RoleAssignment({"a": "feature"}).timestamp is None


def test_text_named_like_a_time_is_not_taken_as_one_and_a_note_says_how_it_would_be() -> None:
    text = pa.array(["2024-01-01T00:00:00", "2024-01-02T00:00:00"])
    for stored in (text, text.dictionary_encode()):
        (note,) = [n for n in mw.Baseline.fit(pa.table({"ts": stored, "x": [1.0, 2.0]})).notes if "'ts'" in n]
        assert "because its type is string; cast it to a timestamp, such as by pandas.to_datetime" in note
