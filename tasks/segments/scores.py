"""Segment scores: P(cart | examined) by segment and item, and the number the search engine holds.

rate(x, prior, m) = (carts(x) + m * prior) / (examined(x) + m)

shop        carts / examined of everything
category    rate(category, shop, prior_category_examined)
all         rate(item, its category, prior_item_examined)
segment     rate(segment and item, lift(segment) * all, prior_examined)
lift        carts of the segment / carts expected of it from its examined items' rates in `all`

Shrinkage by pseudo-counts (empirical Bayes of the beta-binomial) along shop -> category -> item ->
segment: what a segment has hardly seen is scored as everybody's, at the segment's own pace; a
newcomer starts from its category.

`examined` is the sum of P(examined) over impressions. A source without impressions has nobody who
examined and did not buy: there p_cart is the smoothed share of the segment's purchases (carts, or
orders where carts are not logged), examined is the segment's number of purchases for every item,
and `basis` says `share`.

sf_pos = (logit(p_cart) + 16) / 20 as float32, clipped to (0, 1]: linear in log-odds, on the same
scale every day. p_cart is read back from sf_pos, so that two items tie in one exactly when they
tie in the other; the rounding moves p_cart by less than a millionth of itself.
"""

from __future__ import annotations

import polars as pl

from tasks import columns as c
from tasks.lake.tables import SEGMENT_SCORES
from tasks.segments.rules import ALL
from tasks.settings import Segments

MILLION = 1_000_000
LOGIT_LOW = -16.0
LOGIT_SPAN = 20.0
LEAST = 2.0**-20
CERTAIN = 1.0 - 1e-9
CARTS, EXAMINED, EVERYBODYS = "carts", "examined_ppm", "everybodys"


def segment_scores(
    counts: pl.DataFrame, items: pl.DataFrame, segments: list[str], options: Segments
) -> pl.DataFrame:
    """Return SEGMENT_SCORES rows: every item in every segment and in `all`.

    Args:
        counts: rows of `sql/segment_scores.sql`.
        items: `item_id` and `category` of everything that can be scored; one row per item.
        segments: the segments to score.
        options: pseudo-counts.
    """
    examined = counts["impressions"].sum() > 0
    cells = _cells(counts, items, segments)
    trials = _examined(cells) if examined else _purchases(cells)
    everybody = _everybodys_rates(trials, items, options)
    rates = pl.concat([_segments_rates(trials, everybody, options), everybody])
    basis = pl.lit("examined" if examined else "share").alias(c.BASIS)
    return _with_sf_pos(rates).with_columns(basis).select(list(SEGMENT_SCORES.columns))


def _cells(counts: pl.DataFrame, items: pl.DataFrame, segments: list[str]) -> pl.DataFrame:
    """Return the counts of every segment and item, 0 where they never met."""
    grid = pl.DataFrame({c.SEGMENT: segments}).join(items.select(c.ITEM_ID), how="cross")
    met = grid.join(counts, on=[c.SEGMENT, c.ITEM_ID], how="left")
    return met.with_columns(pl.exclude(c.SEGMENT, c.ITEM_ID).fill_null(0))


def _examined(cells: pl.DataFrame) -> pl.DataFrame:
    # A source may log carts without saying which listing they came from.
    carts = "listed_carts" if cells["listed_carts"].sum() else "carts"
    return cells.select(c.SEGMENT, c.ITEM_ID, pl.col(carts).alias(CARTS), EXAMINED)


def _purchases(cells: pl.DataFrame) -> pl.DataFrame:
    bought = pl.col("carts" if cells["carts"].sum() else "orders")
    purchases = bought.sum().over(c.SEGMENT) * MILLION
    return cells.select(c.SEGMENT, c.ITEM_ID, bought.alias(CARTS), purchases.alias(EXAMINED))


def _rate(prior: pl.Expr, pseudo_count: float) -> pl.Expr:
    examined = pl.col(EXAMINED) / MILLION
    return (pl.col(CARTS) + pseudo_count * prior) / (examined + pseudo_count)


def _everybodys_rates(trials: pl.DataFrame, items: pl.DataFrame, options: Segments) -> pl.DataFrame:
    """Return segment `all`: each item's rate, pulled to its category's, that to the shop's."""
    # Sums of integers only: they are the same in whatever order threads add them.
    item = trials.group_by(c.ITEM_ID).agg(pl.col(CARTS, EXAMINED).sum())
    item = item.join(items.select(c.ITEM_ID, c.CATEGORY), on=c.ITEM_ID)
    category = item.group_by(c.CATEGORY).agg(pl.col(CARTS, EXAMINED).sum())
    shop = pl.lit(_shops_rate(item))
    category = category.select(
        c.CATEGORY, _rate(shop, options.prior_category_examined).alias("prior")
    )
    return item.join(category, on=c.CATEGORY, nulls_equal=True).select(
        pl.lit(ALL).alias(c.SEGMENT),
        c.ITEM_ID,
        (pl.col(EXAMINED) / MILLION).alias(c.SUPPORT),
        _rate(pl.col("prior"), options.prior_item_examined).alias(c.P_CART),
    )


def _shops_rate(trials: pl.DataFrame) -> float:
    return float(trials[CARTS].sum()) / max(float(trials[EXAMINED].sum()) / MILLION, 1.0)


def _segments_rates(
    trials: pl.DataFrame, everybody: pl.DataFrame, options: Segments
) -> pl.DataFrame:
    priors = everybody.select(c.ITEM_ID, pl.col(c.P_CART).alias(EVERYBODYS))
    known = trials.join(priors, on=c.ITEM_ID)
    lift = _lift(known, options.prior_examined * _shops_rate(trials))
    return known.join(lift, on=c.SEGMENT).select(
        c.SEGMENT,
        c.ITEM_ID,
        (pl.col(EXAMINED) / MILLION).alias(c.SUPPORT),
        _rate(pl.col("lift") * pl.col(EVERYBODYS), options.prior_examined).alias(c.P_CART),
    )


def _lift(known: pl.DataFrame, pseudo_carts: float) -> pl.DataFrame:
    """Return each segment's carts over those expected of it, 1 where nothing is expected."""
    expected = (pl.col(EXAMINED) * pl.col(EVERYBODYS)).floor().cast(pl.Int64)
    sums = known.group_by(c.SEGMENT).agg(pl.col(CARTS).sum(), expected.sum().alias("expected"))
    lift = (pl.col(CARTS) + pseudo_carts) / (pl.col("expected") / MILLION + pseudo_carts)
    return sums.select(c.SEGMENT, lift.fill_nan(1.0).alias("lift"))


def _with_sf_pos(rates: pl.DataFrame) -> pl.DataFrame:
    p = pl.col(c.P_CART).clip(0.0, CERTAIN)
    logit = (p / (1.0 - p)).log()
    sf_pos = ((logit - LOGIT_LOW) / LOGIT_SPAN).clip(LEAST, 1.0).cast(pl.Float32)
    held = LOGIT_LOW + LOGIT_SPAN * pl.col(c.SF_POS).cast(pl.Float64)
    return rates.with_columns(sf_pos.alias(c.SF_POS)).with_columns(
        (1.0 / (1.0 + (-held).exp())).alias(c.P_CART)
    )
