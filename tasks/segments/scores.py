"""Segment scores: P(cart | examined) by segment and item, and the number the search engine holds.

rate(x, prior, m) = (carts(x) + m * prior) / (examined(x) + m)

expected    P(cart | examined) of a taste and item by the model of the settings (`logistic`,
            `boosted`), which scores an item seen little, or first seen today, by its attributes
segment     rate(segment and item, lift(segment) * expected, prior_examined)
lift        carts of the segment / carts expected of it from its examined items
all         expected of every taste, weighted by how much each has examined

Shrinkage by pseudo-counts (empirical Bayes of the beta-binomial) along everybody -> taste ->
segment: what a segment has hardly seen is scored as its taste's, at the segment's own pace. The
model `rates`, a yardstick, knows no attributes and expects of every segment

shop        carts / examined of everything
category    rate(category, shop, prior_category_examined)
item        rate(item, its category, prior_item_examined)

`examined` is the sum of P(examined) over impressions: a day on which an item was out of stock, and
not shown, does not lower its rate. `in_stock` says whether it can be shown today; the score is what
it will be worth when it can. A source without impressions has nobody who examined and did not buy:
there p_cart is the smoothed share of the segment's purchases (carts, or orders where carts are not
logged) by `rates`, examined is the segment's number of purchases for every item, and `basis` says
`share`.

sf_pos = (logit(p_cart) + 16) / 20 as float32, clipped to (0, 1]: linear in log-odds, on the same
scale every day. p_cart is read back from sf_pos, so that two items tie in one exactly when they
tie in the other; the rounding moves p_cart by less than a millionth of itself.
"""

from __future__ import annotations

import polars as pl

from tasks import columns as c
from tasks.segments.boosted import boosted_rates
from tasks.segments.grid import (
    CARTS,
    EXAMINED,
    MILLION,
    TASTE,
    Catalogue,
    Grid,
    grid_of,
    tastes_of,
)
from tasks.segments.logistic import logistic_rates
from tasks.segments.rules import ALL
from tasks.settings import Segments

LOGIT_LOW = -16.0
LOGIT_SPAN = 20.0
LEAST = 2.0**-20
CERTAIN = 1.0 - 1e-9
EXPECTED = "expected"


def segment_scores(
    counts: pl.DataFrame,
    catalogue: Catalogue,
    segments: list[str],
    options: Segments,
    seed: int = 0,
    threads: int = 1,
) -> pl.DataFrame:
    """Return SEGMENT_SCORES rows: every item in every segment and in `all`.

    Args:
        counts: rows of `sql/segment_scores.sql`.
        catalogue: everything that can be scored.
        segments: the segments to score.
        options: model and pseudo-counts.
        seed: of the boosted trees.
        threads: of the boosted trees.
    """
    examined = counts["impressions"].sum() > 0
    cells = _cells(counts, catalogue.items, segments)
    trials = _examined(cells) if examined else _purchases(cells)
    if options.model == "rates" or not trials[CARTS].sum() or not examined:
        expected = _expected_by_counts(trials, catalogue.items, options)
    else:
        grid = grid_of(_with_carts(counts), catalogue, segments, options)
        expected = _expected_by_model(grid, segments, options, seed, threads)
    rates = pl.concat([_segments_rates(trials, expected, options), _everybodys(trials, expected)])
    basis = pl.lit("examined" if examined else "share").alias(c.BASIS)
    return _with_sf_pos(rates).with_columns(basis)


def _expected_by_model(
    grid: Grid, segments: list[str], options: Segments, seed: int, threads: int
) -> pl.DataFrame:
    """Return `segment, item_id, expected` of every segment and of `all`."""
    if options.model == "logistic":
        rates = logistic_rates(grid)
    else:
        rates = boosted_rates(grid, seed, threads)
    by_taste = grid.by_row(rates).rename({c.P_CART: EXPECTED})
    shares = grid.rows.group_by(TASTE).agg(pl.col(EXAMINED).sum() + MILLION)
    weight = pl.col(EXAMINED) / shares[EXAMINED].sum()
    weighted = by_taste.join(shares.with_columns(weight), on=TASTE).sort(TASTE, c.ITEM_ID)
    overall = weighted.group_by(c.ITEM_ID, maintain_order=True).agg(
        (pl.col(EXPECTED) * pl.col(EXAMINED)).sum()
    )
    mine = tastes_of(segments, options).join(by_taste, on=TASTE).drop(TASTE)
    return pl.concat([mine, overall.select(pl.lit(ALL).alias(c.SEGMENT), c.ITEM_ID, EXPECTED)])


def _cells(counts: pl.DataFrame, items: pl.DataFrame, segments: list[str]) -> pl.DataFrame:
    """Return the counts of every segment and item, 0 where they never met."""
    grid = pl.DataFrame({c.SEGMENT: segments}).join(items.select(c.ITEM_ID), how="cross")
    met = grid.join(counts, on=[c.SEGMENT, c.ITEM_ID], how="left")
    return met.with_columns(pl.exclude(c.SEGMENT, c.ITEM_ID).fill_null(0))


def _with_carts(counts: pl.DataFrame) -> pl.DataFrame:
    """Return the counts with all carts as listed ones where no cart says where it came from."""
    unlisted = counts[CARTS].sum() == 0
    return counts.with_columns(pl.col("carts").alias(CARTS)) if unlisted else counts


def _examined(cells: pl.DataFrame) -> pl.DataFrame:
    return _with_carts(cells).select(c.SEGMENT, c.ITEM_ID, CARTS, EXAMINED)


def _purchases(cells: pl.DataFrame) -> pl.DataFrame:
    bought = pl.col("carts" if cells["carts"].sum() else "orders")
    purchases = bought.sum().over(c.SEGMENT) * MILLION
    return cells.select(c.SEGMENT, c.ITEM_ID, bought.alias(CARTS), purchases.alias(EXAMINED))


def _rate(prior: pl.Expr, pseudo_count: float) -> pl.Expr:
    examined = pl.col(EXAMINED) / MILLION
    return (pl.col(CARTS) + pseudo_count * prior) / (examined + pseudo_count)


def _expected_by_counts(
    trials: pl.DataFrame, items: pl.DataFrame, options: Segments
) -> pl.DataFrame:
    """Return `segment, item_id, expected`: the item's rate, pulled to its category's."""
    # Sums of integers only: they are the same in whatever order threads add them.
    item = trials.group_by(c.ITEM_ID).agg(pl.col(CARTS, EXAMINED).sum())
    item = item.join(items.select(c.ITEM_ID, c.CATEGORY), on=c.ITEM_ID)
    category = item.group_by(c.CATEGORY).agg(pl.col(CARTS, EXAMINED).sum())
    shop = pl.lit(_shops_rate(item))
    category = category.select(
        c.CATEGORY, _rate(shop, options.prior_category_examined).alias("prior")
    )
    rates = item.join(category, on=c.CATEGORY, nulls_equal=True).select(
        c.ITEM_ID, _rate(pl.col("prior"), options.prior_item_examined).alias(EXPECTED)
    )
    everyone = pl.DataFrame({c.SEGMENT: [ALL]}).vstack(trials.select(c.SEGMENT).unique())
    return everyone.join(rates, how="cross")


def _everybodys(trials: pl.DataFrame, expected: pl.DataFrame) -> pl.DataFrame:
    """Return the rates of segment `all`."""
    item = trials.group_by(c.ITEM_ID).agg(pl.col(EXAMINED).sum())
    return (
        expected.filter(pl.col(c.SEGMENT) == ALL)
        .join(item, on=c.ITEM_ID)
        .select(
            c.SEGMENT,
            c.ITEM_ID,
            (pl.col(EXAMINED) / MILLION).alias(c.SUPPORT),
            pl.col(EXPECTED).alias(c.P_CART),
        )
    )


def _shops_rate(trials: pl.DataFrame) -> float:
    return float(trials[CARTS].sum()) / max(float(trials[EXAMINED].sum()) / MILLION, 1.0)


def _segments_rates(
    trials: pl.DataFrame, expected: pl.DataFrame, options: Segments
) -> pl.DataFrame:
    known = trials.join(expected, on=[c.SEGMENT, c.ITEM_ID])
    lift = _lift(known, options.prior_examined * _shops_rate(trials))
    return known.join(lift, on=c.SEGMENT).select(
        c.SEGMENT,
        c.ITEM_ID,
        (pl.col(EXAMINED) / MILLION).alias(c.SUPPORT),
        _rate(pl.col("lift") * pl.col(EXPECTED), options.prior_examined).alias(c.P_CART),
    )


def _lift(known: pl.DataFrame, pseudo_carts: float) -> pl.DataFrame:
    """Return each segment's carts over those expected of it, 1 where nothing is expected."""
    hoped = (pl.col(EXAMINED) * pl.col(EXPECTED)).floor().cast(pl.Int64)
    sums = known.group_by(c.SEGMENT).agg(pl.col(CARTS).sum(), hoped.sum().alias(EXPECTED))
    lift = (pl.col(CARTS) + pseudo_carts) / (pl.col(EXPECTED) / MILLION + pseudo_carts)
    return sums.select(c.SEGMENT, lift.fill_nan(1.0).alias("lift"))


def _with_sf_pos(rates: pl.DataFrame) -> pl.DataFrame:
    p = pl.col(c.P_CART).clip(0.0, CERTAIN)
    logit = (p / (1.0 - p)).log()
    sf_pos = ((logit - LOGIT_LOW) / LOGIT_SPAN).clip(LEAST, 1.0).cast(pl.Float32)
    held = LOGIT_LOW + LOGIT_SPAN * pl.col(c.SF_POS).cast(pl.Float64)
    return rates.with_columns(sf_pos.alias(c.SF_POS)).with_columns(
        (1.0 / (1.0 + (-held).exp())).alias(c.P_CART)
    )
