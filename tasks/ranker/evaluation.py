"""What the held-out lists say: every order beside every other, by slice, with intervals.

Orders: the model, live models, `sf_pos`, popularity (carts of 30 days; orders where nothing is
shown), a random order that every run repeats, and the order that was shown. On the shuffled
listings, whose positions are random, no figure owes anything to position. They are few, so all of
the days that may be held out are measured together, besides the lists drawn at natural shares: no
model has learnt from these lists, though the judged one may know others of the same days.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import TYPE_CHECKING

import polars as pl

from tasks import columns as c
from tasks.candidates import GENERATORS
from tasks.ranker.features import Rows, candidate_feature
from tasks.ranker.measure import (
    Interval,
    intervals,
    ndcg_by_group,
    paired_gains,
    ranks,
    tie_breaks,
)
from tasks.settings import Ranker

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RANKER = "ranker"
INCUMBENT = "incumbent"
LIVE_BEFORE = "live 14 days ago"
LIVE = (INCUMBENT, LIVE_BEFORE)
NEWEST_ALONE = "incumbent on the newest day"
POPULARITY = "popularity"
BASES = (c.SF_POS, POPULARITY)
RANDOM = "random"
LOGGED = "logged"
REPEATS = "own repeats"
ALL = "all"
TOP = 10
NEW_DAYS = 14
SHORT_LIST = 20
# Resampling fewer customers than this says how alike they are, not how sure the mean is.
LEAST_CUSTOMERS = 10
WARM = "is_warm"
SHUFFLED = "shuffled"

METRICS = {
    "model": pl.String(),
    c.SLICE: pl.String(),
    c.METRIC: pl.String(),
    c.VALUE: pl.Float64(),
    c.LOW: pl.Float64(),
    c.HIGH: pl.Float64(),
}


def with_orders(groups: pl.DataFrame) -> pl.DataFrame:
    """Return the rows with a tie-break and one score column per order that needs no model."""
    shown = groups[c.POSITION].null_count() < groups.height
    popularity = pl.col("item_carts_30" if shown else "item_orders_30")
    return groups.with_columns(
        tie_breaks(groups),
        popularity.cast(pl.Float64).alias(POPULARITY),
        pl.lit(0.0).alias(RANDOM),
        (-pl.col(c.POSITION).cast(pl.Float64)).alias(LOGGED),
        pl.col("pair_orders_30").cast(pl.Float64).alias(REPEATS),
        pl.col("user_days_since_event").is_not_null().alias(WARM),
        *(_generator_order(name) for name in GENERATORS),
    )


def _generator_order(name: str) -> pl.Expr:
    return (-pl.col(candidate_feature(name, c.RANK)).cast(pl.Float64)).alias(name)


def known_orders(groups: pl.DataFrame) -> list[str]:
    """Return the orders that this source can give: a column without a value is none."""
    shown = groups[LOGGED].null_count() < groups.height
    others = [LOGGED] if shown else [*GENERATORS, REPEATS]
    possible = [c.SF_POS, POPULARITY, RANDOM, *others]
    return [name for name in possible if groups[name].null_count() < groups.height]


def base_orders(orders: Sequence[str]) -> list[str]:
    """Return the orders that a model must beat with certainty, the first being the base order."""
    return [name for name in BASES if name in orders]


def slices(groups: pl.DataFrame) -> Iterator[tuple[str, pl.DataFrame]]:
    """Yield each slice's name and rows, the whole first; empty ones are left out."""
    yield ALL, groups
    for column in (c.PLATFORM, c.CATEGORY_GROUP):
        for value in groups[column].drop_nulls().unique().sort():
            yield f"{column}={value}", groups.filter(pl.col(column) == value)
    is_short = pl.len().over(c.GROUP_ID) <= SHORT_LIST
    named = {
        "warm": pl.col(WARM),
        "cold": ~pl.col(WARM),
        f"lists of {SHORT_LIST} or fewer": is_short,
        f"lists of more than {SHORT_LIST}": ~is_short,
    }
    for name, rule in named.items():
        if (rows := groups.filter(rule)).height:
            yield name, rows


def measured(
    groups: pl.DataFrame,
    shuffled: pl.DataFrame,
    orders: Sequence[str],
    options: Ranker,
    seed: int,
) -> pl.DataFrame:
    """Return metric rows of all orders on all slices.

    Args:
        groups: whole held-out lists, from `with_orders`, with a column per order.
        shuffled: shuffled lists likewise; a slice of their own.
        orders: score columns, the model among them.
        options: cutoff and bootstraps.
        seed: of the bootstrap.
    """
    judged = judged_lists(groups, orders, options.cutoff)
    rows = [_of_slice(name, part, judged, orders, options, seed) for name, part in slices(groups)]
    if shuffled.height:
        by_chance = judged_lists(shuffled, orders, options.cutoff)
        rows.append(_of_slice(SHUFFLED, shuffled, by_chance, orders, options, seed))
    return pl.concat([pl.DataFrame(schema=METRICS), *rows, _of_tops(groups, orders)])


def judged_lists(
    groups: pl.DataFrame, orders: Sequence[str], cutoff: int
) -> dict[str, pl.DataFrame]:
    """Return for NDCG and what else carts say: `group_id, user_id` and one column per order."""
    ndcg = {f"ndcg@{cutoff}": ndcg_by_group(groups, orders, cutoff)}
    return ndcg | carts_found(groups, orders)


def _of_slice(
    name: str,
    part: pl.DataFrame,
    judged: dict[str, pl.DataFrame],
    orders: Sequence[str],
    options: Ranker,
    seed: int,
) -> pl.DataFrame:
    ids, draws = part.select(c.GROUP_ID).unique(), options.bootstraps
    here = {which: lists.join(ids, on=c.GROUP_ID, how="semi") for which, lists in judged.items()}
    ndcg = here[f"ndcg@{options.cutoff}"]
    counts = [_number(RANKER, name, *count) for count in _counts(part, ndcg)]
    if ndcg.is_empty():
        return _frame(counts)
    found = [
        (order, which, value)
        for which, lists in here.items()
        for order, value in intervals(lists, orders, draws, seed).items()
    ]
    if name in (ALL, SHUFFLED):
        gains = paired_gains(ndcg, RANKER, [o for o in orders if o != RANKER], draws, seed)
        found += [(RANKER, f"gain over {other}", gain) for other, gain in gains.items()]
    is_sure = ndcg[c.USER_ID].n_unique() >= LEAST_CUSTOMERS
    rows = [_estimate(order, name, which, value, is_sure) for order, which, value in found]
    return _frame([*counts, *rows])


def _counts(part: pl.DataFrame, ndcg: pl.DataFrame) -> list[tuple[str, float]]:
    groups = part[c.GROUP_ID].n_unique()
    return [
        ("groups", float(groups)),
        ("share of groups without a label", 1.0 - ndcg.height / groups),
        ("customers with a label", float(ndcg[c.USER_ID].n_unique())),
    ]


def _of_tops(groups: pl.DataFrame, orders: Sequence[str]) -> pl.DataFrame:
    tops = {order: top_of_lists(groups, order) for order in orders}
    return _frame(
        [_number(order, ALL, *entry) for order, top in tops.items() for entry in top.items()]
    )


def carts_found(groups: pl.DataFrame, orders: Sequence[str]) -> dict[str, pl.DataFrame]:
    """Return MRR of a list's first cart and the share of its carts in the first ten.

    Each has a row per list with a cart: `group_id, user_id` and one column per order.
    """
    of_order = (ranks(groups, order).cast(pl.Float64).alias(order) for order in orders)
    carts = groups.select(c.GROUP_ID, c.USER_ID, c.LABEL, *of_order).filter(pl.col(c.LABEL) == 1)
    by_list, rank = carts.group_by(c.GROUP_ID, c.USER_ID), pl.col(*orders)
    return {
        "mrr": by_list.agg(rank.min().pow(-1)).sort(c.GROUP_ID),
        f"recall@{TOP}": by_list.agg((rank <= TOP).mean()).sort(c.GROUP_ID),
    }


def top_of_lists(groups: pl.DataFrame, order: str) -> dict[str, float]:
    """Return what the first ten of each list look like, averaged over lists."""
    top = groups.with_columns(ranks(groups, order).alias("_rank")).filter(pl.col("_rank") <= TOP)
    by_group = top.group_by(c.GROUP_ID).agg(
        (pl.col(c.CATEGORY).n_unique() / pl.len()).alias(f"diversity@{TOP}"),
        pl.col("item_price").cast(pl.Float64).mean().alias(f"price@{TOP}"),
        pl.col(POPULARITY).mean().alias(f"popularity@{TOP}"),
        (pl.col("item_age_days") <= NEW_DAYS).mean().alias(f"new items@{TOP}"),
        (pl.col(c.SELLER_ID).drop_nulls().unique_counts().max() / pl.len()).alias(
            f"top seller@{TOP}"
        ),
    )
    means = by_group.sort(c.GROUP_ID).drop(c.GROUP_ID).mean().row(0, named=True)
    return {name: value for name, value in means.items() if value is not None}


def _number(model: str, part: str, metric: str, value: float) -> tuple[object, ...]:
    return (model, part, metric, value, None, None)


def _estimate(
    model: str, part: str, metric: str, found: Interval, is_sure: bool
) -> tuple[object, ...]:
    bounds = (found.low, found.high) if is_sure else (None, None)
    return (model, part, metric, found.value, *bounds)


def _frame(rows: list[tuple[object, ...]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=METRICS, orient="row")


def held_out(groups: Rows, days: Sequence[object]) -> Rows:
    """Return the whole lists of the given days."""
    return groups.filter(pl.col("is_measured") & pl.col(c.LISTING_DAY).is_in(list(days)))


def shuffled_lists(groups: pl.LazyFrame) -> pl.DataFrame:
    """Return the shuffled lists of the days that have whole lists; none has taught a model."""
    days = groups.filter("is_measured").select(pl.col(c.LISTING_DAY).unique()).collect()
    on_days = pl.col(c.LISTING_DAY).is_in(days[c.LISTING_DAY].to_list())
    found = groups.filter("is_shuffled", on_days).collect()
    return found.filter(~pl.col("is_trained").any().over(c.GROUP_ID))


def before(groups: Rows, day: date) -> Rows:
    """Return the whole lists of the days before `day` that have some."""
    return groups.filter(pl.col("is_measured") & (pl.col(c.LISTING_DAY) < day))


def value_of(metrics: pl.DataFrame, model: str, metric: str) -> float | None:
    """Return one figure over all lists, None where it is not known."""
    rows = metrics.filter(
        (pl.col("model") == model) & (pl.col(c.SLICE) == ALL) & (pl.col(c.METRIC) == metric)
    )
    return float(rows[c.VALUE][0]) if rows.height else None


def ratio_of(metrics: pl.DataFrame, model: str, base: str, metric: str) -> float | None:
    """Return a figure of the model over the base order's, None where either is unknown or 0."""
    ours, theirs = value_of(metrics, model, metric), value_of(metrics, base, metric)
    return ours / theirs if ours is not None and theirs else None


def shap_figure(shares: pl.DataFrame, values: pl.DataFrame, features: int = 20) -> Figure:
    """Return a picture: every sampled row's SHAP value of the features that matter most."""
    import numpy as np
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 7))
    axes = figure.add_subplot()
    names = shares["feature"].head(features).to_list()[::-1]
    spread = np.random.default_rng(0).uniform(-0.3, 0.3, values.height)
    for place, name in enumerate(names):
        axes.scatter(values[name], place + spread, s=3, alpha=0.4, color="#335588")
    labels = [f"{row[0]} ({row[2]:.0%})" for row in shares.head(features).iter_rows()][::-1]
    axes.set_yticks(range(len(names)), labels)
    axes.axvline(0, color="grey", linewidth=0.8)
    axes.set_xlabel("SHAP value: what the feature adds to an item's score")
    axes.set_title("What the ranker looks at (share of summed |SHAP|)")
    return figure
