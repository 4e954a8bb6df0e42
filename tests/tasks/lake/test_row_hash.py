from __future__ import annotations

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.lake.row_hash import row_hash

ROWS = st.lists(
    st.tuples(
        st.one_of(st.none(), st.text(max_size=4)),
        st.one_of(st.none(), st.integers(-3, 3)),
        st.one_of(st.none(), st.floats(allow_nan=False)),
        st.one_of(st.none(), st.booleans()),
    ),
    max_size=6,
)
SCHEMA = {"text": pl.String, "count": pl.Int64, "share": pl.Float64, "flag": pl.Boolean}


def frame(rows: list[tuple[object, ...]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


@settings(max_examples=50)
@given(ROWS, st.integers(0, 6))
def test_the_hash_sees_rows_and_not_how_they_lie_in_memory(
    rows: list[tuple[object, ...]], cut: int
) -> None:
    in_pieces = pl.concat([frame(rows[:cut]), frame(rows[cut:])], rechunk=False)
    assert row_hash(in_pieces) == row_hash(frame(rows))


@settings(max_examples=50)
@given(ROWS, ROWS)
def test_other_rows_have_another_hash(
    one: list[tuple[object, ...]], other: list[tuple[object, ...]]
) -> None:
    same = repr(one) == repr(other)  # repr tells -0.0 from 0.0, as the hash does
    assert (row_hash(frame(one)) == row_hash(frame(other))) == same


def test_null_is_not_zero_and_text_boundaries_count() -> None:
    assert row_hash(pl.DataFrame({"a": [None]}, schema={"a": pl.Int64})) != row_hash(
        pl.DataFrame({"a": [0]})
    )
    assert row_hash(pl.DataFrame({"a": ["ab", "c"]})) != row_hash(pl.DataFrame({"a": ["a", "bc"]}))


def test_lists_count_element_by_element() -> None:
    one = pl.DataFrame({"e": [[1.0, 2.0], [3.0]]})
    other = pl.DataFrame({"e": [[1.0], [2.0, 3.0]]})
    assert row_hash(one) != row_hash(other)
    assert row_hash(one) == row_hash(one.clone())


def test_bytes_count_by_content_and_boundaries() -> None:
    def hashed(*values: bytes | None) -> str:
        return row_hash(pl.DataFrame({"b": values}, schema={"b": pl.Binary}))

    assert hashed(b"ab", b"c") == hashed(bytes([97, 98]), bytes([99]))
    assert len({hashed(b"ab", b"c"), hashed(b"a", b"bc"), hashed(b"abc", None)}) == 3
