"""The day's counters, demand and sequences: one SELECT of `sql/` per table."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from functools import partial

import polars as pl

from tasks.features.calendar import YEAR, calendar
from tasks.lake.contracts import Table
from tasks.lake.lake import Lake
from tasks.lake.tables import (
    DAILY_ACTS,
    DAILY_ITEM_COUNTS,
    DAILY_USER_COUNTS,
    DEMAND_LAGS,
    EVENTS,
    ITEM_FEATURES,
    ITEMS,
    USER_FEATURES,
    USER_ITEM_FEATURES,
    USER_SEQUENCES,
)
from tasks.settings import Features

WINDOW_DAYS = 30
LAG_DAYS = 28
SNAPSHOT_DAYS = 7
"""A snapshot of this many days ago still describes the shop when the nights since were empty."""


def counters(lake: Lake, day: date, options: Features) -> dict[Table, Callable[[], pl.DataFrame]]:
    """Return what gives the rows of each table that counts the events known on `day`."""
    return {
        ITEM_FEATURES: partial(item_features, lake, day, options),
        USER_FEATURES: partial(user_features, lake, day, options),
        USER_ITEM_FEATURES: partial(user_item_features, lake, day),
        DEMAND_LAGS: partial(demand_lags, lake, day),
        USER_SEQUENCES: partial(user_sequences, lake, day, options),
    }


def item_features(lake: Lake, day: date, options: Features) -> pl.DataFrame:
    """Return ITEM_FEATURES rows."""
    return lake.select(
        ITEM_FEATURES.name,
        day,
        {DAILY_ITEM_COUNTS: WINDOW_DAYS, ITEMS: SNAPSHOT_DAYS},
        {"calendar": calendar(day, YEAR + 1)},
        {"prior_events": options.prior_events},
    )


def user_features(lake: Lake, day: date, options: Features) -> pl.DataFrame:
    """Return USER_FEATURES rows."""
    return lake.select(
        USER_FEATURES.name,
        day,
        {DAILY_USER_COUNTS: WINDOW_DAYS, DAILY_ACTS: WINDOW_DAYS},
        {"calendar": calendar(day, WINDOW_DAYS)},
        {"prior_events": options.prior_events},
    )


def user_item_features(lake: Lake, day: date) -> pl.DataFrame:
    """Return USER_ITEM_FEATURES rows."""
    days = {"calendar": calendar(day, WINDOW_DAYS)}
    inputs = {DAILY_ACTS: WINDOW_DAYS, EVENTS: WINDOW_DAYS}
    return lake.select(USER_ITEM_FEATURES.name, day, inputs, days)


def demand_lags(lake: Lake, day: date) -> pl.DataFrame:
    """Return DEMAND_LAGS rows."""
    days = {"calendar": calendar(day, LAG_DAYS)}
    return lake.select(DEMAND_LAGS.name, day, {DAILY_ACTS: LAG_DAYS}, days)


def user_sequences(lake: Lake, day: date, options: Features) -> pl.DataFrame:
    """Return USER_SEQUENCES rows."""
    return lake.select(
        USER_SEQUENCES.name,
        day,
        {DAILY_ACTS: options.sequence_days},
        {"calendar": calendar(day, options.sequence_days)},
        {"sequence_length": options.sequence_length},
    )
