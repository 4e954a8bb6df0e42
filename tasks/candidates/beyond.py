"""What lists are beyond accuracy, of their first 10 items; those who got no list do not count.

novelty@10       = mean over the list of -log2(users who touched the item / users), one more of each
popular_share@10 = share of the list in the tenth of the catalogue with most interactions
diversity@10     = 1 - share of (pair of the list, feature) in which both items have the same value
coverage@10      = items in anybody's first 10 / items in stock (one number, without an interval)
serendipity@10   = later items among the first 10 that the yardstick's first 10 miss / later items
                   (every test user counts, as for accuracy)
stratified_recall@10, stratified_ndcg@10: recall and NDCG in which a later item counts
               (interactions + 1) ** -stratified_power instead of 1, so that finding what few touch
               counts more (Steck, RecSys 2011); every test user counts
"""

from __future__ import annotations

import polars as pl

from tasks import columns as c
from tasks.candidates.evaluation import ALL, hits_at
from tasks.candidates.generator import Known

CUT = 10
NOVELTY, POPULAR_SHARE, DIVERSITY = (
    f"{name}@{CUT}" for name in ("novelty", "popular_share", "diversity")
)
COVERAGE, SERENDIPITY = f"coverage@{CUT}", f"serendipity@{CUT}"
STRATIFIED_RECALL, STRATIFIED_NDCG = f"stratified_recall@{CUT}", f"stratified_ndcg@{CUT}"


def beyond_accuracy(lists: pl.DataFrame, known: Known, features: tuple[str, ...]) -> pl.DataFrame:
    """Return `user_id, slice` and each user's novelty, share of popular items and diversity.

    Args:
        lists: `user_id, item_id, rank`.
        known: what the lists were made from.
        features: columns of items that diversity compares; without any there is no diversity.
    """
    ranked = lists.filter(pl.col(c.RANK) <= CUT).sort(c.USER_ID, c.RANK)
    first = ranked.select(c.USER_ID, c.ITEM_ID)
    users = (
        first.join(of_items(known), on=c.ITEM_ID, how="left", maintain_order="left")
        # In order, or each thread adds up a part: a mean of floats then differs in its last bit.
        .group_by(c.USER_ID, maintain_order=True)
        .agg(pl.col(NOVELTY).mean(), pl.col(POPULAR_SHARE).mean())
        .with_columns(pl.lit(ALL).alias(c.SLICE))
    )
    told = known.items.columns
    there = [name for name in features if name in told and known.items[name].count()]
    if not there:
        return users
    alike = diversity(first, known.items.select(c.ITEM_ID, *there))
    return users.join(alike, on=c.USER_ID, how="left", maintain_order="left").with_columns(
        pl.col(DIVERSITY).fill_null(0.0)
    )


def of_items(known: Known) -> pl.DataFrame:
    """Return `item_id` with its novelty and whether it is popular, as 1 or 0."""
    ids = pl.DataFrame({c.ITEM_ID: known.item_ids()})
    touched = known.interactions.group_by(c.ITEM_ID).agg(
        pl.len().alias("touches"), pl.col(c.USER_ID).n_unique().alias("users")
    )
    users = known.interactions[c.USER_ID].n_unique()
    by_popularity = (
        ids.join(touched, on=c.ITEM_ID, how="left")
        .with_columns(pl.col("touches", "users").fill_null(0))
        .sort("touches", c.ITEM_ID, descending=[True, False])
        .with_row_index("place")
    )
    return by_popularity.select(
        c.ITEM_ID,
        (-((pl.col("users") + 1) / (users + 1)).log(2)).alias(NOVELTY),
        (pl.col("place") * 10 < len(ids)).cast(pl.Float64).alias(POPULAR_SHARE),
    )


def diversity(lists: pl.DataFrame, items: pl.DataFrame) -> pl.DataFrame:
    """Return `user_id` and diversity, of users with two items or more."""
    columns = [name for name in items.columns if name != c.ITEM_ID]
    text = items.select(c.ITEM_ID, pl.col(columns).cast(pl.String))
    told = lists.join(text, on=c.ITEM_ID).unpivot(columns, index=c.USER_ID).drop_nulls("value")
    pairs = pl.len() * (pl.len() - 1) / 2
    alike = (
        told.group_by(c.USER_ID, "variable", "value")
        .agg(pairs.alias("alike"))
        .group_by(c.USER_ID)
        .agg(pl.col("alike").sum())
    )
    possible = lists.group_by(c.USER_ID).agg((pairs * len(columns)).alias("possible"))
    return (
        possible.filter(pl.col("possible") > 0)
        .join(alike, on=c.USER_ID, how="left")
        .select(
            c.USER_ID,
            (1 - pl.col("alike").fill_null(0.0) / pl.col("possible")).alias(DIVERSITY),
        )
        .sort(c.USER_ID)
    )


def coverage(lists: pl.DataFrame, items: pl.DataFrame) -> float:
    """Return the share of items in stock that are among anybody's first ones."""
    shown = lists.filter(pl.col(c.RANK) <= CUT)[c.ITEM_ID].n_unique()
    return shown / max(1, items.filter(pl.col(c.IN_STOCK)).height)


def serendipity(
    users: pl.DataFrame, lists: pl.DataFrame, yardstick: pl.DataFrame, truth: pl.DataFrame
) -> pl.DataFrame:
    """Return the users with serendipity beside their metrics."""
    obvious = yardstick.filter(pl.col(c.RANK) <= CUT).select(c.USER_ID, c.ITEM_ID)
    surprising = lists.join(obvious, on=(c.USER_ID, c.ITEM_ID), how="anti")
    found = hits_at(surprising, truth, CUT).rename({"share": SERENDIPITY})
    return users.join(found, on=c.USER_ID, how="left", maintain_order="left")


def stratified(
    users: pl.DataFrame, lists: pl.DataFrame, truth: pl.DataFrame, known: Known, power: float
) -> pl.DataFrame:
    """Return the users with the stratified metrics beside their others."""
    touches = known.interactions.group_by(c.ITEM_ID).len("touches")
    worth = (pl.col("touches").fill_null(0) + 1) ** -power
    ranked = lists.filter(pl.col(c.RANK) <= CUT).select(c.USER_ID, c.ITEM_ID, c.RANK)
    rows = (
        truth.join(touches, on=c.ITEM_ID, how="left")
        .join(ranked, on=(c.USER_ID, c.ITEM_ID), how="left")
        .with_columns(worth.alias("worth"))
        .sort(c.USER_ID, "worth", c.ITEM_ID, descending=[False, True, False])
        .with_columns(pl.int_range(1, pl.len() + 1).over(c.USER_ID).alias("best"))
    )
    found = pl.col(c.RANK).is_not_null()
    best = _gain("best").filter(pl.col("best") <= CUT).sum()
    metrics = rows.group_by(c.USER_ID, maintain_order=True).agg(
        (pl.col("worth").filter(found).sum() / pl.col("worth").sum()).alias(STRATIFIED_RECALL),
        (_gain(c.RANK).filter(found).sum() / best).alias(STRATIFIED_NDCG),
    )
    return users.join(metrics, on=c.USER_ID, how="left", maintain_order="left")


def _gain(rank: str) -> pl.Expr:
    return pl.col("worth") / (pl.col(rank) + 1).log(2)
