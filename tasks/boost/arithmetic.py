"""The engine's arithmetic on frames, to the last place.

f32(x) rounds to single precision; everything between is double, boosts added in their order:

total  = f32(f32(base) + sum of f32(boost))
score  = f32(min(total, f32(base) * f32(1 / (1 - max_share))))     in stock
score  = f32(base)                                                 out of stock

Ties: the smaller item_id first, compared by its bytes.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from tasks import columns as c
from tasks.boost.clauses import BOOST, FACET, PLACE
from tasks.boost.request import BASE, IS_STOCKED
from tasks.settings import Boost

REQUEST, FACET_SUM = "request", "facet_sum"
LEAST_SUM = float(np.float32(1e-30))
"""Where no function matches the engine takes their sum as 1: one that always does adds this."""


def share_factor(options: Boost) -> float:
    """Return how many times its base a score may be, as the engine holds it."""
    return float(np.float32(1.0 / (1.0 - options.max_share)))


def scored(
    rows: pl.DataFrame, item_facets: pl.DataFrame, clauses: pl.DataFrame, options: Boost
) -> pl.DataFrame:
    """Return the rows with `facet_sum` (float64, before the cap) and `score` (float32).

    Args:
        rows: `request, item_id, base, is_stocked`.
        item_facets: `item_id, facet`.
        clauses: `request, place, facet, boost`, boosts as the engine holds them.
        options: the cap on the facets' share.
    """
    added = facet_sums(rows, item_facets, clauses)
    base = rows[BASE].cast(pl.Float32).to_numpy()
    total = (base.astype(np.float64) + added).astype(np.float32).astype(np.float64)
    most = base.astype(np.float64) * share_factor(options)
    score = np.where(rows[IS_STOCKED].to_numpy(), np.minimum(total, most), base)
    return rows.with_columns(
        pl.Series(FACET_SUM, added), pl.Series(c.SCORE, score.astype(np.float32))
    )


def facet_sums(
    rows: pl.DataFrame, item_facets: pl.DataFrame, clauses: pl.DataFrame
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return each row's sum of boosts, added up in the clauses' order."""
    sums = np.full(rows.height, LEAST_SUM)
    met = contributions(rows.with_row_index("row"), item_facets, clauses).sort("row", PLACE)
    # Unbuffered, one after the other: the order of a float sum is part of its value.
    np.add.at(sums, met["row"].to_numpy(), met[BOOST].to_numpy())
    return sums


def contributions(
    rows: pl.DataFrame, item_facets: pl.DataFrame, clauses: pl.DataFrame
) -> pl.DataFrame:
    """Return a row for every clause that an item of `rows` meets, with both their columns."""
    looked_for = item_facets.join(clauses.select(FACET).unique(), on=FACET, how="semi")
    return rows.join(looked_for, on=c.ITEM_ID).join(clauses, on=[REQUEST, FACET])


def ranked(rows: pl.DataFrame, by: str) -> pl.Series:
    """Return each row's rank in its request by a score, 1 is best; ties to the smaller id."""
    placed = rows.with_row_index("row").sort(
        REQUEST, by, c.ITEM_ID, descending=[False, True, False]
    )
    rank = pl.int_range(1, pl.len() + 1).over(REQUEST).alias(c.RANK)
    return placed.with_columns(rank).sort("row")[c.RANK]
