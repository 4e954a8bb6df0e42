from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from tasks.errors import ContractViolation
from tasks.lake import engines, pieces
from tasks.lake.contracts import Column, Table
from tasks.lake.lake import Lake
from tasks.lake.pieces import evened, spilled
from tasks.lake.row_hash import row_hash
from tasks.landing.manifest import write_landing_day
from tasks.settings import Settings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

DAY = date(2026, 3, 10)
LIKES = Table(
    "likes",
    "pure",
    {"user_id": Column(pl.String), "share": Column(pl.Float64, low=0, high=1)},
    ("user_id",),
    "compute_facet_weights.write_user_facets",
)


def likes(first: int, last: int) -> pl.DataFrame:
    users = [f"u{number:03d}" for number in range(first, last)]
    return pl.DataFrame({"user_id": users, "share": [0.5] * len(users)}, schema=LIKES.schema)


@pytest.fixture
def lake(settings: Settings) -> Lake:
    write_landing_day(settings.landing, DAY, {}, "test")
    return Lake(settings)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "PIECE_ROWS", 10)


@examples(max_examples=40)
@given(st.lists(st.integers(0, 30), max_size=6), st.integers(1, 12))
def test_frames_of_any_size_come_out_even_and_whole(sizes: list[int], rows: int) -> None:
    ends = [sum(sizes[: place + 1]) for place in range(len(sizes))]
    frames = [likes(end - size, end) for end, size in zip(ends, sizes, strict=True)]
    found = list(evened(frames, rows))
    assert [frame.height for frame in found[:-1]] == [rows] * (len(found) - 1)
    whole = pl.concat([likes(0, 0), *found])
    assert whole.equals(likes(0, sum(sizes)))


def test_a_day_in_one_piece_is_the_day_that_a_frame_writes(lake: Lake) -> None:
    lake.write_day_in_pieces(LIKES, DAY, [likes(0, 3), likes(3, 7)])
    record = lake.ledger.written(LIKES)[DAY, ""]
    assert (record.rows, record.row_hash) == (7, row_hash(likes(0, 7)))
    assert lake.read_day(LIKES, DAY).drop("dt").equals(likes(0, 7))


@pytest.mark.usefixtures("small")
def test_a_day_in_many_pieces_has_the_same_hash_however_they_are_handed_out(lake: Lake) -> None:
    hashes = []
    for size in (7, 35):
        frames = [likes(start, min(start + size, 35)) for start in range(0, 35, size)]
        assert lake.write_day_in_pieces(LIKES, DAY, frames) == 35
        hashes.append(lake.ledger.written(LIKES)[DAY, ""].row_hash)
        assert lake.read_day(LIKES, DAY).drop("dt").sort("user_id").equals(likes(0, 35))
    assert hashes[0] == hashes[1] != row_hash(likes(0, 35))


@pytest.mark.usefixtures("small")
def test_other_days_stay_and_nothing_is_left_on_disk(lake: Lake, settings: Settings) -> None:
    before = DAY - timedelta(days=1)
    write_landing_day(settings.landing, before, {}, "test")
    lake.write_day_in_pieces(LIKES, before, [likes(0, 25)])
    lake.write_day_in_pieces(LIKES, DAY, [likes(5, 20)])
    assert lake.read_day(LIKES, before).height == 25
    assert not list(settings.home.glob("pieces-*"))


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    ("frames", "rule"),
    [
        ([likes(0, 10), likes(9, 12)], "one row per user_id, in that order"),
        ([likes(10, 20), likes(0, 5)], "one row per user_id, in that order"),
        ([likes(0, 10), likes(10, 12).with_columns(share=pl.lit(2.0))], "share <= 1"),
    ],
)
def test_a_broken_rule_in_any_piece_writes_nothing(
    lake: Lake, frames: list[pl.DataFrame], rule: str
) -> None:
    with pytest.raises(ContractViolation, match=rule):
        lake.write_day_in_pieces(LIKES, DAY, frames)
    assert not lake.has_day(LIKES, DAY)


def test_no_rows_are_an_empty_day(lake: Lake) -> None:
    assert lake.write_day_in_pieces(LIKES, DAY, iter([likes(0, 0)])) == 0
    assert lake.has_day(LIKES, DAY)
    assert lake.read_day(LIKES, DAY).is_empty()


def test_pieces_lie_on_disk_until_they_are_written(tmp_path: Path) -> None:
    def frames() -> Iterator[pl.DataFrame]:
        yield likes(0, 3)
        yield likes(3, 5)

    found = spilled(LIKES, frames(), tmp_path)
    assert (found.rows, len(found.files), found.bytes > 0) == (5, 1, True)
    assert pl.concat(found.frames()).equals(likes(0, 5))


def test_a_stream_is_the_select_in_order(settings: Settings) -> None:
    rows = pl.DataFrame({"b": ["y", "x", "x"], "a": [1, 2, 1]})
    text = "SELECT b, a FROM given WHERE a <= :most"
    args = (text, {"given": rows}, {"most": 2}, settings)
    found = pl.concat(engines.stream(*args, order=("b", "a")))
    assert found.equals(engines.select(*args).sort("b", "a"))
    assert found.rows() == [("x", 1), ("x", 2), ("y", 1)]


def test_spark_streams_in_order_a_range_at_a_time(
    settings: Settings, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "FRAME_ROWS", 100)
    names = ["Ö", "z", "a b", "aa", "A"]
    rows = pl.DataFrame(
        {
            "name": [names[n % 5] for n in range(1_000)],
            "n": [7 * n % 1_000 for n in range(1_000)],
            "tag": ["x", None] * 500,
        }
    )
    text, order = "SELECT name, n, tag FROM given WHERE n < :most", ("name", "n")
    args = (text, {"given": rows}, {"most": 950})
    on_spark = settings.model_copy(update={"engine": "spark"})
    frames = list(engines.stream(*args, on_spark, order=order))
    assert len(frames) > 5
    assert max(frame.height for frame in frames) < 300
    assert pl.concat(frames).equals(pl.concat(engines.stream(*args, settings, order=order)))
    assert [*engines.stream(text, args[1], {"most": -1}, on_spark, order=order)] == []
