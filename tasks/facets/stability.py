"""How steady facet weights are from day to day."""

from __future__ import annotations

import polars as pl

from tasks import columns as c

LEAST = 3
"""Weights that have to be published on both days."""
FACET = ("method", c.CATEGORY_GROUP, c.ATTRIBUTE)


def steadiness(before: pl.DataFrame, after: pl.DataFrame) -> dict[str, float]:
    """Return by method the rank correlation of the weights published on both of two days.

    Args:
        before: FACET_WEIGHTS rows of the earlier day.
        after: of the later day.
    """
    both = after.filter("published").join(
        before.filter("published").select(*FACET, pl.col(c.WEIGHT).alias("before")), on=FACET
    )
    correlation = pl.corr(c.WEIGHT, "before", method="spearman")
    known = both.group_by("method").agg(correlation.alias("r"), pl.len())
    steady = known.filter(pl.col("len") >= LEAST, pl.col("r").is_finite()).sort("method")
    return dict(steady.select("method", "r").iter_rows())
