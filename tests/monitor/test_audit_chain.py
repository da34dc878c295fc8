"""The audit: what is appended verifies, and nothing can be changed, removed, reordered, added or cut unseen."""

from __future__ import annotations

import hashlib
import json
import stat
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr
from sqlalchemy import Connection, Engine, delete, insert, select, text, update
from sqlalchemy.exc import DBAPIError

from modelwatch_gpu.errors import InputError, OutputError
from modelwatch_gpu.monitor.audit import append, canonical, head, read_anchors, verify, verify_store, write_anchor
from modelwatch_gpu.monitor.audit.chain import record_sha256
from modelwatch_gpu.monitor.store.engine import open_store
from modelwatch_gpu.monitor.store.governance_tables import audit, audit_head

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def written(empty_store: Engine) -> Engine:
    """Ten records."""
    with empty_store.begin() as connection:
        for number in range(10):
            append(connection, "finding", {"number": number, "column": "temp"}, NOW + timedelta(minutes=number))
    return empty_store


def tamper(engine: Engine, *statements: Any) -> None:
    """Changes records as one who owns the database can."""
    with engine.begin() as connection:
        for name in ("update", "delete"):
            connection.execute(text(f"DROP TRIGGER IF EXISTS audit_no_{name}"))
        for statement in statements:
            connection.execute(statement)


def faults(engine: Engine, anchors: Any = ()) -> list[str]:
    return [fault.what for fault in verify_store(engine, anchors).faults]


def test_what_was_appended_verifies(written: Engine) -> None:
    found = verify_store(written)
    assert found.ok
    assert (found.records, found.head.seq) == (10, 10)
    assert (found.first_at, found.last_at) == ("2026-03-01T12:00:00.000000Z", "2026-03-01T12:09:00.000000Z")
    assert json.loads(json.dumps(found.to_dict()))["faults"] == []


def test_an_empty_audit_verifies(empty_store: Engine) -> None:
    found = verify_store(empty_store)
    assert (found.ok, found.records, found.head.seq) == (True, 0, 0)


def test_the_hash_is_sha256_of_the_documented_lines(empty_store: Engine) -> None:
    with empty_store.begin() as connection:
        own = append(connection, "config", {"b": 1.5, "a": "é\n\"'"}, NOW)
    body = '{"a":"\\u00e9\\n\\"\'","b":1.5}'
    lines = f"modelwatch audit 1\n1\n2026-03-01T12:00:00.000000Z\nconfig\n{'0' * 64}\n{body}"
    assert own.sha256 == hashlib.sha256(lines.encode()).hexdigest()
    with empty_store.connect() as connection:
        row = connection.execute(select(audit)).one()
    assert (row.body, row.sha256) == (body, own.sha256)


def test_a_transaction_that_fails_leaves_no_record(written: Engine) -> None:
    with written.connect() as connection:
        append(connection, "finding", {}, NOW)
        connection.rollback()
    assert verify_store(written).records == 10
    with written.begin() as connection:
        assert append(connection, "finding", {}, NOW).seq == 11
    assert verify_store(written).ok


def test_a_clock_that_goes_back_is_no_fault(written: Engine) -> None:
    with written.begin() as connection:
        append(connection, "finding", {}, NOW - timedelta(days=400))
    assert verify_store(written).ok


@pytest.mark.parametrize("column", ["at", "kind", "body", "prev_sha256", "sha256"])
@pytest.mark.parametrize("seq", [1, 5, 10])
def test_any_changed_field_is_seen(written: Engine, column: str, seq: int) -> None:
    with written.connect() as connection:
        was = connection.execute(select(audit.c[column]).where(audit.c.seq == seq)).scalar_one()
    changed = ("0" if was[0] != "0" else "1") + was[1:]
    tamper(written, update(audit).where(audit.c.seq == seq).values({column: changed}))
    found = verify_store(written)
    assert not found.ok
    assert {fault.seq for fault in found.faults} & {seq, seq + 1, None}


def test_a_body_that_says_the_same_in_other_words_is_seen(written: Engine) -> None:
    tamper(written, update(audit).where(audit.c.seq == 3).values(body='{"column": "temp", "number": 2}'))
    assert faults(written) == ["Record 3 was changed: its hash is not that of what it says."]


@pytest.mark.parametrize(
    ("seqs", "said"),
    [
        ([4], "Record 4 is gone."),
        ([4, 5, 6], "Records 4 to 6 are gone."),
        ([1], "Record 1 is gone."),
        ([10], "The store says that record 10 is the last, and the last there is is 9; 1 at the end are gone."),
        (
            [7, 8, 9, 10],
            "The store says that record 10 is the last, and the last there is is 6; 4 at the end are gone.",
        ),
        (
            list(range(1, 11)),
            "The store says that record 10 is the last, and the last there is is 0; 10 at the end are gone.",
        ),
    ],
)
def test_removed_records_are_seen(written: Engine, seqs: list[int], said: str) -> None:
    tamper(written, delete(audit).where(audit.c.seq.in_(seqs)))
    assert faults(written) == [said]


def test_records_that_changed_places_are_seen(written: Engine) -> None:
    move = [update(audit).where(audit.c.seq == a).values(seq=b) for a, b in ((3, 99), (4, 3), (99, 4))]
    tamper(written, *move)
    told = faults(written)
    assert any(what.startswith("Record 3 ") for what in told)
    assert any(what.startswith("Record 4 ") for what in told)


def test_a_record_that_was_put_in_is_seen(written: Engine) -> None:
    with written.connect() as connection:
        last = head(connection)
    forged = {"seq": 11, "at": "2026-03-01T12:10:00.000000Z", "kind": "finding", "body": "{}"}
    sha256 = record_sha256(11, forged["at"], "finding", last.sha256, "{}")  # type: ignore[arg-type]
    tamper(written, insert(audit).values(**forged, prev_sha256=last.sha256, sha256=sha256))
    assert faults(written) == ["The store says that record 10 is the last, and the last there is is 11."]


def rewritten(connection: Connection, start: int) -> None:
    """All records from one on, changed, with hashes that fit, and the head beside them: what only an anchor tells."""
    rows = connection.execute(select(audit).order_by(audit.c.seq)).all()
    prev = rows[start - 2].sha256 if start > 1 else "0" * 64
    for row in rows[start - 1 :]:
        body = row.body.replace("temp", "wind")
        sha256 = record_sha256(row.seq, row.at, row.kind, prev, body)
        connection.execute(
            update(audit).where(audit.c.seq == row.seq).values(body=body, prev_sha256=prev, sha256=sha256)
        )
        prev = sha256
    connection.execute(update(audit_head).values(sha256=prev))


def test_what_is_written_anew_with_its_hashes_only_an_anchor_tells(written: Engine, tmp_path: Path) -> None:
    anchor = tmp_path / "heads.jsonl"
    with written.connect() as connection:
        write_anchor(anchor, head(connection), NOW)
    assert verify_store(written, read_anchors(anchor)).ok
    tamper(written)
    with written.begin() as connection:
        rewritten(connection, 6)
    assert verify_store(written).ok
    assert faults(written, read_anchors(anchor)) == ["Record 10 is another one than line 1 of the anchor file names."]


def test_a_tail_cut_together_with_the_head_only_an_anchor_tells(written: Engine, tmp_path: Path) -> None:
    anchor = tmp_path / "heads.jsonl"
    with written.connect() as connection:
        write_anchor(anchor, head(connection), NOW)
        kept = connection.execute(select(audit.c.sha256).where(audit.c.seq == 7)).scalar_one()
    tamper(written, delete(audit).where(audit.c.seq > 7), update(audit_head).values(seq=7, sha256=kept))
    assert verify_store(written).ok
    assert faults(written, read_anchors(anchor)) == [
        "Line 1 of the anchor file names record 10, and the audit ends at 7."
    ]


def test_an_anchor_file_that_contradicts_itself_is_told(written: Engine, tmp_path: Path) -> None:
    anchor = tmp_path / "heads.jsonl"
    with written.connect() as connection:
        own = head(connection)
    write_anchor(anchor, own, NOW)
    anchor.write_text(anchor.read_text() + json.dumps({"seq": 10, "sha256": "f" * 64, "at": "x"}) + "\n")
    assert "Line 2 of the anchor file contradicts an earlier one." in faults(written, read_anchors(anchor))


def test_an_anchor_file_is_private_and_only_grows(written: Engine, tmp_path: Path) -> None:
    anchor = tmp_path / "heads.jsonl"
    with written.connect() as connection:
        own = head(connection)
    write_anchor(anchor, own, NOW)
    write_anchor(anchor, own, NOW + timedelta(days=1))
    assert stat.S_IMODE(anchor.stat().st_mode) == 0o600
    assert [(a.head, a.line) for a in read_anchors(anchor)] == [(own, 1), (own, 2)]


@pytest.mark.parametrize("line", ["", "[]", "{}", '{"seq": true, "sha256": "x", "at": ""}', "not json", '{"seq": -1}'])
def test_a_file_that_is_no_anchor_file_is_refused(tmp_path: Path, line: str) -> None:
    file = tmp_path / "heads.jsonl"
    file.write_text(f"\n{line}\n")
    if not line:
        assert read_anchors(file) == []
        return
    with pytest.raises(InputError, match=r"heads\.jsonl, line 2: is not the head of an audit"):
        read_anchors(file)
    with pytest.raises(InputError, match="cannot be read"):
        read_anchors(tmp_path / "nothing")
    with pytest.raises(OutputError, match="cannot be written"):
        write_anchor(tmp_path / "nowhere" / "heads", read_head(), NOW)


def read_head() -> Any:
    from modelwatch_gpu.monitor.audit import BEGINNING, Head

    return Head(0, BEGINNING)


@pytest.mark.parametrize("statement", ["UPDATE audit SET kind = 'x' WHERE seq = 1", "DELETE FROM audit WHERE seq = 10"])
def test_a_slip_of_the_hand_is_refused_by_the_database(written: Engine, statement: str) -> None:
    with pytest.raises(DBAPIError, match="only added"), written.begin() as connection:
        connection.execute(text(statement))
    assert verify_store(written).ok


def test_many_that_append_at_once_make_one_chain(empty_store: Engine) -> None:
    def work(number: int) -> None:
        for at in range(20):
            with empty_store.begin() as connection:
                append(connection, "finding", {"worker": number, "at": at}, NOW)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = verify_store(empty_store)
    assert (found.ok, found.records) == (True, 80)


@pytest.mark.parametrize(
    "body", [{"x": float("nan")}, {"x": float("inf")}, {"x": SecretStr("hush")}, {"x": b"bytes"}, {"x": {1, 2}}]
)
def test_what_json_cannot_hold_is_refused_and_secrets_are(empty_store: Engine, body: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="takes JSON values") as error, empty_store.begin() as connection:
        append(connection, "finding", body, NOW)
    assert "hush" not in str(error.value)
    assert verify_store(empty_store).records == 0


@pytest.mark.parametrize("kind", ["", "Finding", "a b", "x\ny", "é", "a" * 65])
def test_a_kind_is_a_word(empty_store: Engine, kind: str) -> None:
    with pytest.raises(InputError, match="cannot be of kind"), empty_store.begin() as connection:
        append(connection, kind, {}, NOW)


def test_many_faults_are_counted_and_a_few_told(empty_store: Engine) -> None:
    with empty_store.begin() as connection:
        for number in range(40):
            append(connection, "finding", {"number": number}, NOW)
    tamper(empty_store, update(audit).values(body="{}"))
    found = verify_store(empty_store)
    assert (len(found.faults), found.more) == (20, 20)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.lists(st.dictionaries(st.text(), json_values, max_size=4), min_size=1, max_size=6), st.data())
@settings(max_examples=40)
def test_whatever_the_bodies_the_chain_holds_and_any_one_change_breaks_it(
    bodies: list[dict[str, Any]], data: st.DataObject
) -> None:
    engine = open_store("sqlite://")
    with engine.begin() as connection:
        for body in bodies:
            append(connection, "finding", body, NOW)
        assert verify(connection).ok
        rows = connection.execute(select(audit).order_by(audit.c.seq)).all()
        assert [json.loads(row.body) for row in rows] == json.loads(canonical(bodies))
        connection.execute(text("DROP TRIGGER audit_no_update"))
        row = data.draw(st.sampled_from(rows))
        field = data.draw(st.sampled_from(["at", "kind", "body", "prev_sha256", "sha256"]))
        other = data.draw(st.text(alphabet="0123456789abcdef{}:,\n", min_size=1, max_size=70))
        if other != getattr(row, field):
            connection.execute(update(audit).where(audit.c.seq == row.seq).values({field: other}))
            assert not verify(connection).ok
    engine.dispose()
