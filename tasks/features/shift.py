"""Distribution shift: how far what a day received lies from what its weekday received before.

divergence(p, q) = (KL(p | m) + KL(q | m)) / 2 with m = (p + q) / 2, in bits

the Jensen-Shannon divergence: 0 for equal shares, 1 for shares that have nothing in common, finite
also where one side lacks a value, which the population stability index is not.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

from tasks import columns as c

BUCKET = "bucket"
HALVINGS = 2
"""Buckets of prices per doubling."""


def divergence(now: pl.DataFrame, before: pl.DataFrame) -> float:
    """Return the Jensen-Shannon divergence in bits of two counts by `bucket`, neither without `n`.

    A null bucket is a value like any other.
    """
    both = now.join(
        before, on=BUCKET, how="full", coalesce=True, nulls_equal=True, suffix="_before"
    )
    # Sorted, because a float sum depends on the order of its terms and a join has none.
    counts = both.sort(BUCKET).select(pl.col("n", "n_before").fill_null(0)).to_numpy().T
    p, q = (count / count.sum() for count in counts.astype(np.float64))
    middle = (p + q) / 2
    return max(0.0, (_bits(p, middle) + _bits(q, middle)) / 2)


def _bits(p: npt.NDArray[np.float64], middle: npt.NDArray[np.float64]) -> float:
    there = p > 0
    return float((p[there] * np.log2(p[there] / middle[there])).sum())


def by_kind(item_counts: pl.DataFrame) -> pl.DataFrame:
    """Return DAILY_ITEM_COUNTS rows summed: `n` events by type as `bucket`."""
    return item_counts.group_by(pl.col(c.EVENT_TYPE).alias(BUCKET)).agg(pl.col("n").sum())


def by_category(item_counts: pl.DataFrame, catalogue: pl.DataFrame) -> pl.DataFrame:
    """Return DAILY_ITEM_COUNTS rows summed: `n` events by category, null where it is unknown."""
    placed = item_counts.join(catalogue, on=c.ITEM_ID, how="left")
    return placed.group_by(pl.col(c.CATEGORY).alias(BUCKET)).agg(pl.col("n").sum())


def by_platform(acts: pl.DataFrame) -> pl.DataFrame:
    """Return DAILY_ACTS rows counted: `n` acts by platform."""
    return acts.group_by(pl.col(c.PLATFORM).alias(BUCKET)).agg(pl.len().alias("n"))


def by_price(acts: pl.DataFrame) -> pl.DataFrame:
    """Return DAILY_ACTS rows counted: `n` priced acts by half doublings, 0 for what is free."""
    priced = acts.filter(pl.col(c.PRICE).is_not_null())
    step = ((pl.col(c.PRICE) + 1).log(2) * HALVINGS).ceil().cast(pl.Int64)
    return priced.group_by(step.alias(BUCKET)).agg(pl.len().alias("n"))
