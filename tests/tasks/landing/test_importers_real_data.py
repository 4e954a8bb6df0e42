"""The real sources, where they are at hand."""

from __future__ import annotations

from datetime import date, timedelta

import polars as pl

from tasks.build_features import ingest
from tasks.landing.importers import load
from tasks.landing.manifest import landing_days, read_kind, read_manifest
from tasks.settings import Settings
from tests.real_data import real


def test_the_gift_shop_lands_with_every_line_accounted_for(settings: Settings) -> None:
    folder = real(settings, "online_retail")
    raw = pl.read_parquet(folder / "transactions.parquet")
    summary = load("online_retail", folder, settings, last=date(2010, 12, 12))
    assert sum(summary.fates.values()) == summary.lines == raw.height == 370_931
    assert summary.fates["missing user"] == raw["CustomerID"].null_count()
    assert (summary.days, summary.empty_days) == (12, 2)
    # Saturdays: the shop is closed.
    closed = [
        day for day in landing_days(settings.landing) if not _rows(settings, day, "events").height
    ]
    assert closed == [date(2010, 12, 4), date(2010, 12, 11)]
    last = landing_days(settings.landing)[-1]
    items = _rows(settings, last, "items")
    assert items["first_seen"].max() <= last  # type: ignore[operator]
    assert items["item_id"].is_unique().all()
    for back in (0, 1):
        counts = ingest(last - timedelta(days=back), settings)
        assert counts["duplicates"] == counts["set_aside"] == counts["unknown_items"] == 0


def test_three_hours_of_a_shop_land_as_one_day(settings: Settings) -> None:
    summary = load("rees46", real(settings, "rees46_slice"), settings)
    assert summary.fates == {"cart": 165, "order": 214, "view": 17_056}
    counts = ingest(date(2019, 10, 1), settings)
    assert (counts["events"], counts["duplicates"]) == (17_430, 5)


def _rows(settings: Settings, day: date, kind: str) -> pl.DataFrame:
    frame = read_kind(settings.landing, read_manifest(settings.landing, day), kind)
    assert frame is not None
    return frame
