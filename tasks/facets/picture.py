"""A picture of facet weights with their intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from tasks import columns as c
from tasks.report import figures

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DRAWN = 30


def weights_figure(weights: pl.DataFrame, method: str) -> Figure | None:
    """Draw the heaviest published weights of one method; None where there is none."""
    published = weights.filter("published", pl.col("method") == method)
    if published.is_empty():
        return None
    facet = pl.concat_str(c.CATEGORY_GROUP, c.ATTRIBUTE, separator=" / ").alias("facet")
    order = [c.WEIGHT, c.CATEGORY_GROUP, c.ATTRIBUTE]
    heaviest = published.sort(order, descending=[True, False, False])
    rows = heaviest.head(DRAWN).select(
        facet,
        pl.col(c.WEIGHT).alias(c.VALUE),
        pl.col("weight_low").alias(c.LOW),
        pl.col("weight_high").alias(c.HIGH),
    )
    return figures.intervals(rows, "facet", f"{method} weight, in units of sf_pos, 95% interval")
