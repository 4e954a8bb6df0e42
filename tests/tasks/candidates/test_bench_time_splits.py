"""Time splits of the benchmark: what is learned, who is asked, how shops are pooled."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from tasks import columns as c
from tasks.candidates.outside import Naming, catalogue_of, interactions_of, known_of
from tasks.settings import Settings
from tests.benchmarks import bench_time_splits as splits


def clicks(*rows: tuple[int, int, datetime]) -> pl.DataFrame:
    columns = [c.USER_ID, "click_article_id", "session_start"]
    table = pl.DataFrame(rows, schema=columns, orient="row")
    session = pl.lit(1).alias(c.SESSION_ID)
    return table.with_columns(session, pl.col("session_start").alias("click_timestamp"))


def test_news_end_with_the_last_whole_day_which_is_asked(tmp_path: Path) -> None:
    """Reader 33 is no reader of 32; what is clicked in the night of the 4th is left out."""
    (tmp_path / "globo_clicks").mkdir()
    first = datetime(2017, 10, 1, 12)
    clicks(
        (32, 1, first),
        (32, 2, first + timedelta(days=1)),
        (32, 3, first + timedelta(days=2)),
        (33, 4, first),
        (64, 1, first + timedelta(days=2, hours=14)),
    ).write_parquet(tmp_path / "globo_clicks" / "clicks.parquet")

    def told(earlier: int) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
        found = splits.globo_clicks(tmp_path, earlier, Settings())
        learned = found.known.interactions.select(c.USER_ID, c.ITEM_ID).rows()
        return learned, found.protocols[0].truth.rows()

    assert told(0) == ([("32", "1"), ("32", "2")], [("32", "3")])
    assert told(1) == ([("32", "1")], [("32", "2")])


def test_what_was_touched_before_counts_in_time_and_not_in_time_new() -> None:
    """Asked on the last day: `u` the old item and a new one. Popular of the week: a, then b."""
    day = datetime(2026, 9, 1, 12, tzinfo=UTC)
    rows = [("u", "a", day), ("v", "a", day), ("v", "b", day)]
    rows += [("u", "a", day + timedelta(1)), ("u", "b", day + timedelta(1))]
    table = pl.DataFrame(rows, schema=[c.USER_ID, c.ITEM_ID, c.TS], orient="row")
    interactions = interactions_of(table, Naming(time=c.TS))
    known = known_of(interactions, catalogue_of(interactions, None))
    split = splits.split_before_last(known, 1, Settings())
    names = (splits.YARDSTICK, "own_repeats")
    pooled = splits.pooled([split, split], names, Settings())
    found = pooled.users
    assert found["time"][c.USER_ID].to_list() == ["0/u", "1/u"]
    assert found["time"]["popular_7d/recall@10"].to_list() == [1.0, 1.0]
    assert found["time"]["own_repeats/recall@10"].to_list() == [0.5, 0.5]
    assert found["time_new"]["popular_7d/recall@10"].to_list() == [1.0, 1.0]
    assert found["time_new"]["own_repeats/recall@10"].to_list() == [0.0, 0.0]
    assert pooled.ranks.filter(pl.col(c.GENERATOR) == "own_repeats").sort(c.USER_ID)[
        c.RANK
    ].to_list() == [1, None, 1, None]
    assert (
        splits.gains(found["time_new"].with_columns(pl.col(c.USER_ID).alias(c.GROUP_ID)), names)[
            "own_repeats"
        ].value
        == -1.0
    )


@pytest.mark.parametrize(("earlier", "cut"), [(0, date(2026, 9, 6)), (1, date(2026, 9, 3))])
def test_a_shop_is_split_before_its_last_days_and_earlier_for_settings(
    earlier: int, cut: date, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("CUSTOMERS", 60), ("ITEMS", 40), ("DAYS", 9)):
        monkeypatch.setattr(splits, name, value)
    found = splits.simulated("default", 3, earlier, Settings())
    assert found.known.through == found.known.interactions[c.DT].max() == cut
    first_days = found.protocols[0].first_days
    assert first_days is not None
    assert first_days["first_day"].is_between(cut + timedelta(1), cut + timedelta(3)).all()
    assert c.BRAND in found.known.items.columns
    assert found.known.users[c.CITY].null_count() == 0
