"""What is known on a day: interactions with their weights, the catalogue, users and their cities.

An interaction is a view, favourite, cart or order whose type has a weight above 0. Order within a
user is by `ts`, then `event_id`: equal times are frequent, and a fixed order keeps runs equal.
"""

from __future__ import annotations

from datetime import date, timedelta

import polars as pl

from tasks import columns as c
from tasks.candidates.generator import Known, Requests
from tasks.features.counters import SNAPSHOT_DAYS
from tasks.lake.contracts import Table
from tasks.lake.lake import Lake, Window
from tasks.lake.tables import CUSTOMERS, EVENTS, ITEMS
from tasks.settings import Candidates


def known_on(lake: Lake, day: date, options: Candidates) -> Known:
    """Return what was known on `day`, from the last `history_days` of events."""
    first = day - timedelta(days=options.history_days - 1)
    window = Window(options.history_days)
    events = lake.select(
        "candidate_interactions", day, {EVENTS: window}, params={"first_day": first}
    )
    users = located(events, snapshot(lake, CUSTOMERS, day))
    return Known(day, weighted(events, options), snapshot(lake, ITEMS, day), users)


def snapshot(lake: Lake, table: Table, day: date) -> pl.DataFrame:
    """Return the newest snapshot of the last days: an empty night carries the one before on."""
    days = lake.read_window(table, day, SNAPSHOT_DAYS)
    return days.filter(pl.col(c.DT) == pl.col(c.DT).max())


def weighted(events: pl.DataFrame, options: Candidates) -> pl.DataFrame:
    """Return interactions with `weight`, sorted by user, oldest first."""
    weights = {
        c.VIEW: options.view_weight,
        c.FAVORITE: options.favorite_weight,
        c.CART: options.cart_weight,
        c.ORDER: options.order_weight,
    }
    weight = pl.col(c.EVENT_TYPE).replace_strict(weights, default=0, return_dtype=pl.Int64)
    return (
        events.with_columns(weight.alias(c.WEIGHT))
        .filter(pl.col(c.WEIGHT) > 0)
        .sort(c.USER_ID, c.TS, c.EVENT_ID)
    )


def located(events: pl.DataFrame, customers: pl.DataFrame) -> pl.DataFrame:
    """Return every customer and every user of the events; city: of the last event, else as told."""
    last = (
        events.drop_nulls(c.CITY)
        .sort(c.USER_ID, c.TS, c.EVENT_ID)
        .group_by(c.USER_ID, maintain_order=True)
        .agg(pl.col(c.CITY).last().alias("last_city"))
    )
    return (
        pl.concat([customers.select(c.USER_ID), events.select(c.USER_ID)])
        .unique()
        .join(customers.drop(c.DT, strict=False), on=c.USER_ID, how="left")
        .join(last, on=c.USER_ID, how="left")
        .with_columns(pl.coalesce("last_city", c.CITY).alias(c.CITY))
        .drop("last_city")
        .sort(c.USER_ID)
    )


def known_earlier(lake: Lake, known: Known, day: date) -> Known:
    """Return what was known on an earlier day of the same window."""
    then = known.interactions.filter(pl.col(c.DT) <= day)
    users = located(then, snapshot(lake, CUSTOMERS, day))
    return Known(day, then, snapshot(lake, ITEMS, day), users)


def active(known: Known, days: int) -> Requests:
    """Return requests of all users with an interaction in the last `days`."""
    since = known.through - timedelta(days=days)
    recent = known.interactions.filter(pl.col(c.TS).dt.date() > since)[c.USER_ID].unique()
    return requests_of(known, recent)


def requests_of(known: Known, user_ids: pl.Series) -> Requests:
    """Return the requests of these users, known or not, each with the whole known history."""
    asked = pl.DataFrame({c.USER_ID: user_ids.unique().sort()})
    users = asked.join(known.users, on=c.USER_ID, how="left", maintain_order="left")
    histories = known.interactions.join(asked, on=c.USER_ID, how="semi")
    return Requests(known.through, users, histories.sort(c.USER_ID, maintain_order=True))
