"""Who is eligible at an anchor, and who did the seed thing after it.

eligible  known by then, and no seed act in the window_days up to the anchor
positive  a seed act in (anchor, anchor + horizon]
buyer     an order in the same days: what a negative of the training set bought was something else
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import polars as pl

from tasks import columns as c
from tasks.lookalikes.registry import Segment

IS_POSITIVE = "is_positive"
IS_BUYER = "is_buyer"


@dataclass(frozen=True)
class Shown:
    """How many of those who have shown a lasting trait before show it again in a horizon."""

    again: int
    holders: int


def eligible_people(
    known: pl.DataFrame,
    seeds: pl.DataFrame,
    purchases: pl.DataFrame,
    anchor: date,
    segment: Segment,
) -> pl.DataFrame:
    """Return `user_id, is_positive, is_buyer` of the eligible people, sorted.

    Args:
        known: `user_id` of everybody known at the anchor.
        seeds: `user_id, day` of seed acts.
        purchases: `user_id, day` of orders.
        anchor: the day.
        segment: window and horizon.
    """
    back = anchor - timedelta(days=segment.window_days)
    already = seeds.filter(pl.col("day") > back, pl.col("day") <= anchor)
    people = known.select(c.USER_ID).unique().join(already, on=c.USER_ID, how="anti")
    after = (pl.col("day") > anchor) & (pl.col("day") <= anchor + timedelta(segment.horizon_days))
    return people.with_columns(
        _is_among(seeds.filter(after)).alias(IS_POSITIVE),
        _is_among(purchases.filter(after)).alias(IS_BUYER),
    ).sort(c.USER_ID)


def _is_among(rows: pl.DataFrame) -> pl.Expr:
    return pl.col(c.USER_ID).is_in(rows[c.USER_ID].unique().implode())


def training_people(people: pl.DataFrame) -> pl.DataFrame:
    """Return the positives, and as negatives those who bought something else."""
    return people.filter(pl.col(IS_POSITIVE) | pl.col(IS_BUYER))


def shown_by_holders(seeds: pl.DataFrame, anchor: date, segment: Segment) -> Shown | None:
    """Return how many who had done it by the anchor did it again in the horizon after it.

    Only of a lasting trait; None of others, and where nobody had done it.
    """
    if not segment.lasting_trait:
        return None
    back, ahead = timedelta(days=segment.window_days), timedelta(days=segment.horizon_days)
    holders = seeds.filter(pl.col("day") > anchor - back, pl.col("day") <= anchor)[c.USER_ID]
    again = seeds.filter(pl.col("day") > anchor, pl.col("day") <= anchor + ahead)[c.USER_ID]
    who = holders.unique()
    return Shown(int(who.is_in(again.unique().implode()).sum()), len(who)) if len(who) else None
