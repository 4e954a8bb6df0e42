"""What is known on a day: interactions with their weights, the catalogue, users and their cities.

An interaction is a view, favourite, cart or order whose type has a weight above 0. Order within a
user is by `ts`, then `event_id`: equal times are frequent, and a fixed order keeps runs equal.

times  = long_view (a view of at least `long_view_seconds`) x favorite (a favourite) x new_category
         (the user's first day in a category, unless it is the user's first day at all), each 1
         where it does not apply: what discovery counts for
weight = weight of the type x times
"""

from __future__ import annotations

from datetime import date, timedelta
from functools import reduce
from operator import mul

import polars as pl

from tasks import columns as c
from tasks.candidates.generator import Known, Requests
from tasks.features.counters import SNAPSHOT_DAYS
from tasks.lake.contracts import Table
from tasks.lake.lake import Lake, Window
from tasks.lake.tables import CUSTOMERS, EVENTS, EXAMINATION, ITEMS
from tasks.settings import Candidates, Discovery


def known_on(lake: Lake, day: date, options: Candidates, *, with_shown: bool = False) -> Known:
    """Return what was known on `day`, from the last `history_days` of events.

    With `with_shown`, where the settings ask for it too, also what was shown: the bulk of events.
    """
    first = day - timedelta(days=options.history_days - 1)
    window = Window(options.history_days)
    events = lake.select(
        "candidate_interactions", day, {EVENTS: window}, params={"first_day": first}
    )
    users, items = located(events, snapshot(lake, CUSTOMERS, day)), snapshot(lake, ITEMS, day)
    shown = shown_on(lake, day, options) if with_shown and options.passed_over.share else None
    return Known(day, weighted(events, items, options), items, users, shown=shown)


def shown_on(lake: Lake, day: date, options: Candidates) -> pl.DataFrame:
    """Return what was shown and touched through `day`, from days enough for the holdout as well.

    Returns:
        `user_id, item_id, dt, examined_ppm, is_touched`, one row per user, item and day of receipt.

    Raises:
        InputNotReady: a day of events or of examination is absent.
    """
    days = min(options.history_days, options.passed_over.days + options.holdout_days)
    least = options.passed_over.least_examined
    return lake.select(
        "candidate_shown",
        day,
        {EVENTS: Window(days), EXAMINATION: Window(days)},
        params={"least_examined": least},
    ).sort(c.USER_ID, c.ITEM_ID, c.DT)


def snapshot(lake: Lake, table: Table, day: date) -> pl.DataFrame:
    """Return the newest snapshot of the last days: an empty night carries the one before on."""
    days = lake.read_window(table, day, SNAPSHOT_DAYS)
    return days.filter(pl.col(c.DT) == pl.col(c.DT).max())


def weighted(events: pl.DataFrame, items: pl.DataFrame, options: Candidates) -> pl.DataFrame:
    """Return interactions with `times` and `weight`, sorted by user, oldest first.

    Args:
        events: `user_id, item_id, event_type, ts, event_id, dwell_seconds`.
        items: `item_id, category`.
        options: what each type of act, and discovery, counts.
    """
    weights = {
        c.VIEW: options.view_weight,
        c.FAVORITE: options.favorite_weight,
        c.CART: options.cart_weight,
        c.ORDER: options.order_weight,
    }
    weight = pl.col(c.EVENT_TYPE).replace_strict(weights, default=0, return_dtype=pl.Int64)
    kept = events.with_columns(weight.alias(c.WEIGHT)).filter(pl.col(c.WEIGHT) > 0)
    discovered = kept.with_columns(times(kept, items, options.discovery).alias(c.TIMES))
    return discovered.with_columns(pl.col(c.WEIGHT) * pl.col(c.TIMES)).sort(
        c.USER_ID, c.TS, c.EVENT_ID
    )


def times(events: pl.DataFrame, items: pl.DataFrame, options: Discovery) -> pl.Series:
    """Return how many times each act counts, by the module's formula."""
    kind, day = pl.col(c.EVENT_TYPE), pl.col(c.TS).dt.date()
    is_long = (kind == c.VIEW) & (pl.col(c.DWELL_SECONDS) >= options.long_view_seconds)
    entered = day.min().over(c.USER_ID, c.CATEGORY)
    is_new = (
        pl.col(c.CATEGORY).is_not_null() & (day == entered) & (entered > day.min().over(c.USER_ID))
    )
    factors = (
        pl.when(applies).then(factor).otherwise(1).cast(pl.Int64)
        for applies, factor in (
            (is_long, options.long_view),
            (kind == c.FAVORITE, options.favorite),
            (is_new, options.new_category),
        )
    )
    categories = items.select(c.ITEM_ID, c.CATEGORY)
    known = events.join(categories, on=c.ITEM_ID, how="left", maintain_order="left")
    return known.select(reduce(mul, factors)).to_series()


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
    shown = None if known.shown is None else known.shown.filter(pl.col(c.DT) <= day)
    return Known(day, then, snapshot(lake, ITEMS, day), users, shown=shown)


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
