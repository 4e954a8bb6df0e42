from __future__ import annotations

import pytest

from tasks.lake.lake import Lake
from tasks.lake.tables import RANKING_GROUPS
from tasks.ranker import building
from tasks.retrain_ranker import build_groups
from tasks.settings import Settings
from tests.benchmarks import bench_groups as bench


@pytest.fixture
def drawn(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Two listing days of two lists of twenty items of fifty."""
    monkeypatch.setattr(bench, "LISTING_DAYS", 2)
    monkeypatch.setattr(bench, "ITEMS_THERE", 50)
    options = bench.settings_of(settings.home, trees=1)
    bench.fill(options, rows=80)
    return options


def test_the_drawn_lake_gives_the_rows_that_were_asked_for(drawn: Settings) -> None:
    counted = build_groups(bench.DAY, drawn)
    assert (counted["rows"], counted["groups"], counted["positives"]) == (80, 4, 4)
    rows = Lake(drawn).read_day(RANKING_GROUPS, bench.DAY)
    assert rows["is_trained"].all()
    # Every other pair is known; a customer sees a few of the other list again.
    assert 40 <= rows["pair_views_7"].drop_nulls().len() < 80
    for feature in ("item_views_7", "user_views_30", "segment_views_30", "sf_pos"):
        assert rows[feature].null_count() == 0, feature


def test_a_day_at_a_time_gives_the_hash_of_all_days_together(
    drawn: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashes = []
    for rows in (1, 1_000):
        monkeypatch.setattr(building, "BATCH_ROWS", rows)
        monkeypatch.setattr(building, "RANGE_ROWS", rows)
        build_groups(bench.DAY, drawn)
        hashes.append(Lake(drawn).ledger.written(RANKING_GROUPS)[bench.DAY, ""].row_hash)
    assert hashes[0] == hashes[1]
