"""A window's piece of a part is what counting only the rows of this window would give."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st
from watch_makers import START, World, rows_of

from modelwatch_gpu.log.windows import Window, zone_of
from modelwatch_gpu.monitor.counts import Counter
from modelwatch_gpu.profile import Baseline, Profile
from modelwatch_gpu.profile.merging import merge_parts
from modelwatch_gpu.profile.parts import UNTIMED, Part
from modelwatch_gpu.profile.windowed import piece_of, window_starts


def content(profile: Profile, part: Part) -> bytes:
    return Profile(**{**{f: getattr(profile, f) for f in profile.__dataclass_fields__}, "parts": (part,)}).to_bytes()


def cut(part: Part, window: str | None, zone: str = "UTC") -> dict[int, Part]:
    def end(start: int) -> int:
        if start == UNTIMED or window is None:
            return UNTIMED + 1 if start == UNTIMED else 2**62
        return int(Window.parse(window).boundaries(start, start, zone_of(zone))[-1])

    return {start: piece_of(part, start, end(start)) for start in window_starts(part)}


def without_name(part: Part) -> Part:
    """A part whose file does not matter: pieces go by the fingerprint of the whole file."""
    part.origins = ("same",)
    part.span = None
    return part


@pytest.mark.parametrize("window", ["1h", "1d", "1w", "1mo"])
@pytest.mark.parametrize("options", [{}, {"segments": ["kind", ("kind", "label")]}, {"quality": True}])
def test_a_piece_is_what_its_rows_alone_count(month: Baseline, window: str, options: dict[str, object]) -> None:
    table = pa.concat_tables([rows_of(26, rows=700, days=9), rows_of(3, rows=50)])
    counted = Profile.count(month, table, window=window, memory="4GB", max_groups=50, **options)
    ends = {s: int(Window.parse(window).boundaries(s, s, zone_of("UTC"))[-1]) for s in window_starts(counted.parts[0])}
    pieces = cut(counted.parts[0], window)
    assert sum(piece.rows for piece in pieces.values()) == table.num_rows
    seconds = pc.divide(table["at"].cast(pa.int64()), 1_000_000)
    for start, piece in list(pieces.items())[:6]:
        own = table.filter(pc.and_(pc.greater_equal(seconds, start), pc.less(seconds, ends[start])))
        alone = Profile.count(month, own, window=window, memory="4GB", max_groups=50, **options)
        # Moments are summed in blocks of rows, so they go by where rows lie; all else is exact.
        for (name, column), table_ in alone.parts[0].tables.items():
            mine = piece.tables[name, column].arrays()
            for key, array in table_.arrays().items():
                if not key.startswith("moment"):
                    np.testing.assert_array_equal(mine[key], array, err_msg=f"{name} {column} {key}")
        assert piece.groups == alone.parts[0].groups
        assert {n: r.tolist() for n, r in piece.group_rows.items()} == {
            n: r.tolist() for n, r in alone.parts[0].group_rows.items()
        }
        if piece.facts is not None:
            assert alone.parts[0].facts is not None
            assert piece.facts.header() == alone.parts[0].facts.header()


@given(data=st.data())
def test_pieces_of_files_merge_to_the_windows_of_the_log(month: Baseline, data: st.DataObject) -> None:
    sizes = data.draw(st.lists(st.integers(1, 80), min_size=1, max_size=4))
    files = [
        rows_of(day, rows=rows, days=3, seed=at)
        for at, (day, rows) in enumerate(zip((0, 2, 1, 5), sizes, strict=False))
    ]
    window = data.draw(st.sampled_from(["1d", "1mo", "6h", None]))
    options = {"window": window, "memory": "4GB", "segments": ["kind"], "max_groups": 20}
    whole = Profile.count(month, files, **options)
    expected = whole.merged()
    assert expected is not None
    pieces: dict[int, list[Part]] = {}
    for part in whole.parts:
        for start, piece in cut(part, window).items():
            pieces.setdefault(start, []).append(piece)
    order = data.draw(st.permutations(range(4)))
    for start, own in pieces.items():
        shuffled = [own[i] for i in order if i < len(own)]
        once = merge_parts(shuffled, 20)
        again = merge_parts([merge_parts(own[:1], 20), *own[1:]], 20) if len(own) > 1 else own[0]
        assert content(whole, once) == content(whole, again)
        assert once.rows == expected.group_rows["window"][expected.groups["window"].index((start,))]
        for (name, column), table in once.tables.items():
            mine = [g for g, key in enumerate(expected.groups[name]) if key in set(once.groups[name])]
            for at, group in enumerate(mine):
                full = expected.tables[name, column]
                assert table.cells.row(at)[1].tolist() == full.cells.row(group)[1].tolist()
                if hasattr(table, "fold_moments"):
                    assert table.fold_moments(at) == full.fold_moments(group)  # to the last bit


def test_a_piece_of_no_rows_has_none(month: Baseline) -> None:
    counted = Profile.count(month, rows_of(0).slice(0, 0), window="1d")
    assert window_starts(counted.parts[0]) == []


def test_files_that_were_added_up_cannot_be_cut(month: Baseline) -> None:
    both = Profile.count(month, [rows_of(0), rows_of(1)], window="1d").merged()
    assert both is not None
    with pytest.raises(ValueError, match="added up"):
        piece_of(both, int(START.timestamp()), int((START + dt.timedelta(days=1)).timestamp()))


def test_unseen_values_of_other_windows_are_left_out(month: Baseline) -> None:
    table = rows_of(0, rows=40, days=2)
    kinds = [f"new {i}" for i in range(40)]
    counted = Profile.count(month, table.set_column(3, "kind", pa.array(kinds)), window="1d")
    pieces = cut(counted.parts[0], "1d")
    found = [piece.tables["window", "kind"].unseen for piece in pieces.values()]  # type: ignore[union-attr]
    assert len(found) == 2
    assert not set(found[0]) & set(found[1])
    assert len(found[0]) + len(found[1]) == 40


def test_a_monitor_notes_the_patterns_of_its_expectations_and_counts_again_where_they_change(world: World) -> None:
    path = world.folder / "expected.yaml"

    def counter(text: str, named: str = path.name) -> Counter:
        path.write_text(f"columns: {{kind: {text}}}")
        return Counter(world.config(f"window: 1d\nexpectations: {named}"), world.baseline)

    one, other = (counter(f"{{text_pattern: {{matches: '{pattern}'}}}}") for pattern in ("^[a-z]+$", "^b"))
    assert one.plan.spec.facts is not None
    assert one.plan.spec.facts.patterns == (("kind", "^[a-z]+$"),)
    assert one.settings != other.settings
    none, auto = counter("{nulls: {max: 0.1}}"), counter("{}", "auto")
    assert none.settings == auto.settings
    assert "patterns" not in none.settings
