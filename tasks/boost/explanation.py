"""One search of one customer with all that led to its order."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import polars as pl

from tasks import columns as c
from tasks.boost.arithmetic import REQUEST, contributions
from tasks.boost.body import Body, body
from tasks.boost.clauses import BOOST, PLACE
from tasks.boost.guards import Guarded, guarded
from tasks.boost.known import Known
from tasks.boost.request import Request, candidates
from tasks.settings import Boost, Settings

ONE = "one"
"""The name of the only request."""


@dataclass(frozen=True)
class Explanation:
    """A search with and without its boost.

    Attributes:
        day: as known on.
        user: whose search.
        query: as typed.
        scope: the category or group that was asked for.
        segment: the customer's own, whether or not it has scores.
        is_known: whether the customer has a segment of their own.
        request: what is asked of the engine.
        preferences: `attribute, value, preference` and, where there is one, `weight, boost` before
            the guards, and `why` not; the heaviest first.
        found: the guarded order.
        parts: a row per item of the first ones and clause that it meets.
        body: what the engine is asked.
        options: the guards.
    """

    day: date
    user: str
    query: str
    scope: str | None
    segment: str
    is_known: bool
    request: Request
    preferences: pl.DataFrame
    found: Guarded
    parts: pl.DataFrame
    body: Body
    options: Boost


def explanation(
    known: Known, user: str, query: str, scope: str | None, settings: Settings
) -> Explanation:
    """Return the explanation of a search.

    Raises:
        WrongCall: no item is in the category.
    """
    options, request = settings.boost, known.request(user, query, scope)
    one = pl.lit(ONE).alias(REQUEST)
    clauses = known.clauses(user, request.category_group, options).with_columns(one)
    rows = candidates(known.documents, request).drop("facets").with_columns(one)
    found = guarded(rows, known.item_facets(), clauses, options)
    return Explanation(
        known.day,
        user,
        query,
        scope,
        known.segment(user),
        known.segments.filter(pl.col(c.USER_ID) == user).height > 0,
        request,
        preferences(known, user, request.category_group, options),
        found,
        parts(known, found),
        body(request, found.clauses, options, settings.search.size),
        options,
    )


def parts(known: Known, found: Guarded) -> pl.DataFrame:
    """Return what each clause adds to each item: `item_id, place, attribute, value, boost`."""
    met = contributions(found.rows, known.item_facets(), found.clauses)
    return met.select(c.ITEM_ID, PLACE, c.ATTRIBUTE, c.VALUE, BOOST).sort(c.ITEM_ID, PLACE)


def preferences(known: Known, user: str, group: str | None, options: Boost) -> pl.DataFrame:
    """Return a customer's preferences with their weights, or why they have none."""
    mine = known.preferences.filter(pl.col(c.USER_ID) == user)
    if group is not None:
        mine = mine.filter(pl.col(c.CATEGORY_GROUP) == group)
    fitted = known.weights.filter(pl.col("method") == options.method)
    rows = mine.join(fitted, on=[c.CATEGORY_GROUP, c.ATTRIBUTE], how="left")
    used = rows.with_columns((pl.col(c.WEIGHT) * pl.col(c.PREFERENCE)).alias(BOOST), _why())
    keys = [c.CATEGORY_GROUP, c.ATTRIBUTE, c.VALUE]
    return used.sort(
        BOOST, c.PREFERENCE, *keys, descending=[True, True, False, False, False], nulls_last=True
    ).select(*keys, c.PREFERENCE, c.WEIGHT, BOOST, "why")


def _why() -> pl.Expr:
    return (
        pl.when(pl.col("published").is_null())
        .then(pl.lit("no weight was fitted"))
        .when(~pl.col("published"))
        .then(pl.col(c.REASON))
        .when(pl.col(c.WEIGHT) == 0)
        .then(pl.lit("its coefficient is not above 0"))
        .alias("why")
    )


def first(explained: Explanation, count: int, by: str = c.RANK) -> pl.DataFrame:
    """Return the first items, with the boost, or by `base_rank` without it."""
    return explained.found.rows.sort(by).head(count)
