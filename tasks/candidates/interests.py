"""Several interests a customer: one request each, and their lists in turns.

An interest is a category group of the history; the `interests` heaviest by weight ask, ties to the
smaller name, each with its own part of the history. Their lists are interleaved by rank, the
heaviest first, no item twice. Who has fewer than two asks as ever, with the whole history; so does
everybody where the generator knows users by their ids, as LightFM does.
"""

from __future__ import annotations

import polars as pl

from tasks import columns as c
from tasks.candidates.generator import Generator, Requests
from tasks.candidates.serving import LISTS, recommend

INTEREST, _WHO = "interest", "who"


def in_turns(
    generator: Generator,
    requests: Requests,
    k: int,
    items: pl.DataFrame,
    blocked: pl.DataFrame,
    interests: int,
) -> pl.DataFrame:
    """Return `user_id, item_id, score, rank` as `recommend` does, for so many interests at most."""
    if interests == 1 or not generator.reads_history:
        return recommend(generator, requests, k, items, blocked)
    several = heaviest(requests, items, interests).filter(pl.len().over(c.USER_ID) > 1)
    several = several.with_columns(pl.format("{} {}", c.USER_ID, INTEREST).alias(_WHO))
    split = recommend(
        generator, _split(requests, items, several), k, items, _of_each(blocked, several)
    )
    others = _without(requests, several)
    whole = recommend(generator, others, k, items, blocked)
    turns = (
        split.rename({c.USER_ID: _WHO})
        .join(several.select(_WHO, c.USER_ID, INTEREST), on=_WHO)
        .sort(c.USER_ID, c.RANK, INTEREST)
        .unique([c.USER_ID, c.ITEM_ID], keep="first", maintain_order=True)
        .with_columns(pl.int_range(1, pl.len() + 1, dtype=pl.Int32).over(c.USER_ID).alias(c.RANK))
        .filter(pl.col(c.RANK) <= k)
        .select(LISTS.names())
    )
    return pl.concat([turns, whole]).sort(c.USER_ID, c.RANK)


def heaviest(
    requests: Requests, items: pl.DataFrame, interests: int, by: str = c.CATEGORY_GROUP
) -> pl.DataFrame:
    """Return `user_id, category_group, interest`, 0 the heaviest; `by` is another column to ask."""
    groups = items.select(c.ITEM_ID, by).drop_nulls()
    number = pl.int_range(pl.len()).over(c.USER_ID).alias(INTEREST)
    return (
        requests.histories.join(groups, on=c.ITEM_ID)
        .group_by(c.USER_ID, by)
        .agg(pl.col(c.WEIGHT).sum())
        .sort(c.USER_ID, c.WEIGHT, by, descending=[False, True, False])
        .with_columns(number)
        .filter(pl.col(INTEREST) < interests)
        .select(c.USER_ID, by, INTEREST)
    )


def _split(requests: Requests, items: pl.DataFrame, several: pl.DataFrame) -> Requests:
    """Return a request an interest, each with its part of the history."""
    users = several.select(c.USER_ID, _WHO).join(requests.users, on=c.USER_ID)
    groups = items.select(c.ITEM_ID, c.CATEGORY_GROUP)
    parts = requests.histories.join(groups, on=c.ITEM_ID, how="left", maintain_order="left").join(
        several, on=[c.USER_ID, c.CATEGORY_GROUP], maintain_order="left"
    )
    named = pl.col(_WHO).alias(c.USER_ID)
    return Requests(
        requests.through,
        users.with_columns(named).drop(_WHO).sort(c.USER_ID),
        parts.with_columns(named)
        .select(requests.histories.columns)
        .sort(c.USER_ID, maintain_order=True),
    )


def _of_each(blocked: pl.DataFrame, several: pl.DataFrame) -> pl.DataFrame:
    """Return the blocked pairs for each interest of their user."""
    pairs = blocked.join(several.select(c.USER_ID, _WHO), on=c.USER_ID)
    return pairs.select(pl.col(_WHO).alias(c.USER_ID), c.ITEM_ID)


def _without(requests: Requests, several: pl.DataFrame) -> Requests:
    """Return the requests of those who have fewer than two interests."""
    users, histories = (
        rows.join(several, on=c.USER_ID, how="anti", maintain_order="left")
        for rows in (requests.users, requests.histories)
    )
    return Requests(requests.through, users, histories)
