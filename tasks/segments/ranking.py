"""Segment ranking of a day: reads events and segments, returns the rows of each table."""

from __future__ import annotations

from datetime import date

import polars as pl

from tasks import columns as c
from tasks.features.calendar import calendar
from tasks.features.counters import SNAPSHOT_DAYS, WINDOW_DAYS
from tasks.lake.contracts import Table
from tasks.lake.lake import Lake
from tasks.lake.tables import (
    CUSTOMERS,
    DAILY_ACTS,
    DAILY_USER_COUNTS,
    EVENTS,
    EXAMINATION,
    ITEM_ATTRIBUTES,
    ITEM_FEATURES,
    ITEMS,
    SEGMENT_ITEM_FEATURES,
    SEGMENT_SCORES,
    USER_SEGMENTS,
)
from tasks.seeds import seed_of
from tasks.segments.examination import enough_chance, examination
from tasks.segments.grid import Catalogue
from tasks.segments.rules import genders, unknown_segment
from tasks.segments.scores import segment_scores
from tasks.settings import Segments


def evidence(lake: Lake, day: date) -> pl.DataFrame:
    """Return one row per user of what the segment rules look at."""
    return lake.select(
        USER_SEGMENTS.name,
        day,
        {
            DAILY_ACTS: WINDOW_DAYS,
            DAILY_USER_COUNTS: WINDOW_DAYS,
            CUSTOMERS: SNAPSHOT_DAYS,
            ITEM_ATTRIBUTES: SNAPSHOT_DAYS,
        },
        {"calendar": calendar(day, WINDOW_DAYS), "genders": genders()},
    )


def ranked(lake: Lake, day: date, options: Segments) -> dict[Table, pl.DataFrame]:
    """Return the rows of each table of the segment ranking."""
    examined = examination(clicks(lake, day, options), options)
    counts = carts_by_segment(lake, day, examined, options)
    return {
        SEGMENT_ITEM_FEATURES: segment_item_features(lake, day),
        EXAMINATION: examined,
        SEGMENT_SCORES: scored(lake, day, counts, options),
    }


def scored(lake: Lake, day: date, counts: pl.DataFrame, options: Segments) -> pl.DataFrame:
    """Return SEGMENT_SCORES rows from the counts of the day's segments."""
    rates = segment_scores(
        counts,
        Catalogue(lake.read_day(ITEM_FEATURES, day), newest(lake, ITEM_ATTRIBUTES, day)),
        segments(lake, day, options),
        options,
        seed_of(lake.settings, SEGMENT_SCORES.name),
        lake.settings.threads,
    )
    stock = newest(lake, ITEMS, day).select(c.ITEM_ID, c.IN_STOCK)
    return rates.join(stock, on=c.ITEM_ID, how="left").select(list(SEGMENT_SCORES.columns))


def newest(lake: Lake, table: Table, day: date) -> pl.DataFrame:
    """Return the newest snapshot: an empty night carries the last one on."""
    rows = lake.read_window(table, day, SNAPSHOT_DAYS)
    return rows.filter(pl.col(c.DT) == pl.col(c.DT).max())


def clicks(lake: Lake, day: date, options: Segments) -> pl.DataFrame:
    """Return clicks on what stood by chance; on everything where that is too little."""
    chance = clicks_by_position(lake, day, options, with_ranked=False)
    if enough_chance(chance, options):
        return chance
    return clicks_by_position(lake, day, options, with_ranked=True)


def clicks_by_position(
    lake: Lake, day: date, options: Segments, *, with_ranked: bool
) -> pl.DataFrame:
    """Return impressions and clicks by platform, surface, arrangement and position."""
    return lake.select(
        EXAMINATION.name,
        day,
        {EVENTS: WINDOW_DAYS},
        {"calendar": calendar(day, WINDOW_DAYS)},
        {"max_position": options.max_position, "with_ranked": int(with_ranked)},
    )


def carts_by_segment(
    lake: Lake, day: date, examined: pl.DataFrame, options: Segments
) -> pl.DataFrame:
    """Return examined impressions, carts and orders by segment and item."""
    return lake.select(
        SEGMENT_SCORES.name,
        day,
        {EVENTS: WINDOW_DAYS, USER_SEGMENTS: 1},
        {"calendar": calendar(day, WINDOW_DAYS), EXAMINATION.name: examined},
        {"max_position": options.max_position},
    )


def segment_item_features(lake: Lake, day: date) -> pl.DataFrame:
    """Return SEGMENT_ITEM_FEATURES rows."""
    days = {"calendar": calendar(day, WINDOW_DAYS)}
    inputs = {EVENTS: WINDOW_DAYS, USER_SEGMENTS: 1}
    return lake.select(SEGMENT_ITEM_FEATURES.name, day, inputs, days)


def segments(lake: Lake, day: date, options: Segments) -> list[str]:
    """Return the segments that somebody is in, and that of a visitor nobody knows."""
    there = lake.read_day(USER_SEGMENTS, day)["segment"].unique().to_list()
    return sorted({*there, unknown_segment(options)})
