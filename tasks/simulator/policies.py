"""Policies: what else could fill the shop's lists, and the days that it would bring.

A policy is a function of what was known on the morning of a day; two policies meet the same
customers with the same draws, so that their difference is theirs (common random numbers).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from time import monotonic

import polars as pl

from tasks import columns as c
from tasks.simulator.catalogue import items_frame
from tasks.simulator.shop import Shop

log = logging.getLogger(__name__)

SHELF = 120
POPULAR_DAYS = 7
WORTH = {c.VIEW: 1, c.FAVORITE: 1, c.CART: 4, c.ORDER: 4}


@dataclass(frozen=True)
class Morning:
    """What is known before a day's lists are filled.

    `requests`: as `Shop.requests`. `events`: what happened so far. `items`: the day's snapshot.
    """

    day: date
    requests: pl.DataFrame
    events: pl.DataFrame
    items: pl.DataFrame


Policy = Callable[[Morning], pl.DataFrame]
"""Returns `listing_id, position, item_id` for the morning's requests."""
Score = Callable[[Morning, pl.DataFrame], pl.Series]
"""Returns a score per row of `listing_id, user_id, item_id`; the highest comes first."""


def played(shop: Shop, policy: Policy | None, days: int, past: pl.DataFrame) -> pl.DataFrame:
    """Return the events that `days` days under a policy bring; the shop itself stays as it is.

    Args:
        shop: on the morning of the first day.
        policy: None is the shop's own present order.
        days: how many.
        past: events of earlier days that the policy may learn from.
    """
    own, lived, started = shop.copy(), [past], monotonic()
    for number in range(1, days + 1):
        day = own.next_day
        shown = own.present_lists(day) if policy is None else policy(morning(own, pl.concat(lived)))
        lived.append(own.live_day(day, shown))
        log.info("%s: day %d of %d, %.0f s", day, number, days, monotonic() - started)
    return pl.concat(lived[1:])


def morning(shop: Shop, events: pl.DataFrame) -> Morning:
    """Return what is known on the morning of the shop's next day."""
    day = shop.next_day
    return Morning(day, shop.requests(day), events, items_frame(shop.world.catalogue, day))


def ordered_by(score: Score, shelf: int = SHELF) -> Policy:
    """Return the policy that orders each request's shelf by a score; ties go to the smaller id.

    Args:
        score: of the rows of every shelf.
        shelf: most popular items of a request's category or group that are looked at.
    """

    def policy(known: Morning) -> pl.DataFrame:
        rows = shelves(known, shelf)
        ranked = rows.with_columns(score(known, rows).alias(c.SCORE)).sort(
            c.LISTING_ID, c.SCORE, c.ITEM_ID, descending=[False, True, False]
        )
        place = pl.int_range(1, pl.len() + 1, dtype=pl.Int32).over(c.LISTING_ID)
        listed = ranked.with_columns(place.alias(c.POSITION))
        return listed.filter(pl.col(c.POSITION) <= pl.col("length")).select(
            c.LISTING_ID, c.POSITION, c.ITEM_ID
        )

    return policy


def popularity(known: Morning, rows: pl.DataFrame) -> pl.Series:
    """Return each row's item's views, favourites, carts and orders of the last days, weighted."""
    return rows.join(popular(known), on=c.ITEM_ID, how="left", maintain_order="left")["popular"]


def at_random(known: Morning, rows: pl.DataFrame) -> pl.Series:
    """Return a number per row that only its listing and item decide."""
    return rows.select(pl.struct(c.LISTING_ID, c.ITEM_ID).hash(seed=0)).to_series()


def popular(known: Morning) -> pl.DataFrame:
    """Return `item_id, popular` of every item of the snapshot."""
    recent = known.events.filter(pl.col(c.TS).dt.date() >= known.day - timedelta(POPULAR_DAYS))
    worth = pl.col(c.EVENT_TYPE).replace_strict(WORTH, default=0, return_dtype=pl.Int64)
    counted = recent.group_by(c.ITEM_ID).agg(worth.sum().alias("popular"))
    return known.items.select(c.ITEM_ID).join(counted, on=c.ITEM_ID, how="left").fill_null(0)


def shelves(known: Morning, shelf: int) -> pl.DataFrame:
    """Return `listing_id, user_id, length, item_id`: what each request may show in its city."""
    stocked = known.items.filter(c.IN_STOCK).join(popular(known), on=c.ITEM_ID)
    scopes = pl.concat(
        stocked.with_columns(scope.alias("scope"))
        for scope in (pl.col(c.CATEGORY), pl.col(c.CATEGORY_GROUP))
    )
    best = scopes.sort("popular", c.ITEM_ID, descending=[True, False]).group_by(
        "scope", maintain_order=True
    )
    rows = known.requests.join(best.head(shelf), on="scope")
    is_here = pl.format("|{}|", c.STOCK_CITIES).str.contains(
        pl.format("|{}|", c.CITY), literal=True
    )
    return rows.filter(pl.col(c.STOCK_CITIES).is_null() | is_here).select(
        c.LISTING_ID, c.USER_ID, "length", c.ITEM_ID
    )
