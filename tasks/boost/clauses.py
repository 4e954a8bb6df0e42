"""A customer's clauses: which attribute values count in a search, and how much."""

from __future__ import annotations

import polars as pl

from tasks import columns as c
from tasks.boost.documents import facet
from tasks.settings import Boost

FACET, BOOST, PLACE = "facet", "boost", "place"


def published_weights(weights: pl.DataFrame, options: Boost) -> pl.DataFrame:
    """Return `category_group, attribute, weight` of what the method published, above 0.

    Args:
        weights: FACET_WEIGHTS rows of one day.
        options: which method.
    """
    kept = weights.filter("published", pl.col("method") == options.method, pl.col(c.WEIGHT) > 0)
    return kept.select(c.CATEGORY_GROUP, c.ATTRIBUTE, c.WEIGHT)


def clauses(
    preferences: pl.DataFrame, weights: pl.DataFrame, options: Boost, group: str | None = None
) -> pl.DataFrame:
    """Return each customer's clauses, the heaviest `max_clauses`, in the order they are added up.

    Args:
        preferences: USER_FACETS rows.
        weights: `published_weights`; a group without a row contributes nothing.
        options: the cap.
        group: only clauses of this category group; None is all.

    Returns:
        `user_id, place, facet, category_group, attribute, value, preference, weight, boost`, sorted
        by the first two; `place` starts at 1; `boost` = weight x preference as float64.
    """
    told = preferences if group is None else preferences.filter(pl.col(c.CATEGORY_GROUP) == group)
    joined = told.join(weights, on=[c.CATEGORY_GROUP, c.ATTRIBUTE])
    product = (pl.col(c.WEIGHT) * pl.col(c.PREFERENCE)).alias(BOOST)
    ordered = joined.with_columns(product, facet().alias(FACET)).filter(pl.col(BOOST) > 0)
    ordered = ordered.sort(c.USER_ID, BOOST, FACET, descending=[False, True, False])
    placed = ordered.with_columns(pl.int_range(1, pl.len() + 1).over(c.USER_ID).alias(PLACE))
    return placed.filter(pl.col(PLACE) <= options.max_clauses).select(
        c.USER_ID, PLACE, FACET, c.CATEGORY_GROUP, c.ATTRIBUTE, c.VALUE, c.PREFERENCE, c.WEIGHT,
        BOOST,
    )  # fmt: skip


def weakened(found: pl.DataFrame, strength: float | pl.Expr) -> pl.DataFrame:
    """Return clauses with every boost times `strength`, rounded as the engine holds it.

    A boost that rounds to 0 is left out: the engine would have to look for nothing.
    """
    rounded = (pl.col(BOOST) * strength).cast(pl.Float32).cast(pl.Float64)
    return found.with_columns(rounded.alias(BOOST)).filter(pl.col(BOOST) > 0)
