"""NDCG@k of ranked groups, and its interval over customers.

DCG@k  = sum over ranks r <= k of gain / log2(r + 1)
NDCG@k = DCG@k / (DCG@k of the best order)            (Järvelin and Kekäläinen, 2002)

A group without any gain has no NDCG and is left out; its share is stated beside the figure.
Groups of one customer are not independent, so the bootstrap draws customers: the statistic of a
draw is the sum of the drawn customers' NDCG over the number of their groups.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from tasks import columns as c

Numbers = npt.NDArray[np.float64]

TIE = "tie"
GROUPS = "groups"
# Draws are made in blocks, so that a million customers do not become a billion counts at once.
BLOCK_CELLS = 20_000_000


@dataclass(frozen=True)
class Interval:
    """An estimate with its 95% bootstrap interval."""

    value: float
    low: float
    high: float


def tie_breaks(groups: pl.DataFrame) -> pl.Series:
    """Return a key per row that orders a group at random, the same in every run."""
    pairs = zip(groups[c.GROUP_ID], groups[c.ITEM_ID], strict=True)
    digests = [hashlib.md5(f"{group}:{item}".encode()).hexdigest()[:16] for group, item in pairs]
    return pl.Series(TIE, digests, dtype=pl.String)


def ranks(groups: pl.DataFrame, score: str) -> pl.Series:
    """Return each row's rank in its group, 1 the highest score; nulls last, ties by `tie`."""
    order = groups.select(c.GROUP_ID, TIE, pl.col(score).fill_nan(None)).with_row_index()
    ranked = order.sort(
        c.GROUP_ID, score, TIE, descending=[False, True, False], nulls_last=True
    ).with_columns(pl.int_range(1, pl.len() + 1).over(c.GROUP_ID).alias(c.RANK))
    return ranked.sort("index")[c.RANK]


def ndcg_by_group(
    groups: pl.DataFrame, scores: Sequence[str], k: int, gain: str = c.LABEL
) -> pl.DataFrame:
    """Return `group_id, user_id` and one column per score: the NDCG@k of that order.

    Args:
        groups: one row per (group, item) with `tie`, `gain` >= 0 and the score columns.
        scores: the orders to judge, highest first.
        k: ranks that count.
        gain: the column of gains.
    """
    orders = {score: ranks(groups, score) for score in scores}
    ideal = ranks(groups, gain)
    return (
        groups.select(
            c.GROUP_ID,
            c.USER_ID,
            _discounted(groups[gain], ideal, k).alias("_ideal"),
            *(_discounted(groups[gain], rank, k).alias(score) for score, rank in orders.items()),
        )
        .group_by(c.GROUP_ID, c.USER_ID)
        .agg(pl.col("_ideal", *scores).sum())
        .filter(pl.col("_ideal") > 0)
        .select(c.GROUP_ID, c.USER_ID, *(pl.col(score) / pl.col("_ideal") for score in scores))
        .sort(c.GROUP_ID)
    )


def _discounted(gain: pl.Series, rank: pl.Series, k: int) -> pl.Series:
    discount = 1.0 / (rank + 1).log(2)
    return gain.cast(pl.Float64) * discount * (rank <= k)


def resampled_means(
    ndcg: pl.DataFrame, scores: Sequence[str], draws: int, seed: int
) -> tuple[Numbers, Numbers]:
    """Return the mean of each score over groups, and `draws` means of resampled customers.

    Args:
        ndcg: rows of `ndcg_by_group`, at least one.
        scores: its columns to average; all share the same draws, so differences are paired.
        draws: how many resamples.
        seed: of the draws.
    """
    customers = (
        ndcg.sort(c.GROUP_ID)
        .group_by(c.USER_ID, maintain_order=True)
        .agg(pl.len().alias(GROUPS), pl.col(*scores).sum())
        .sort(c.USER_ID)
    )
    sums = customers.select(scores).to_numpy().astype(np.float64)
    counts = customers[GROUPS].to_numpy().astype(np.float64)
    weights = _customer_draws(len(counts), draws, seed)
    drawn = [(block @ sums) / (block @ counts)[:, None] for block in weights]
    return sums.sum(axis=0) / counts.sum(), np.concatenate(drawn)


def _customer_draws(customers: int, draws: int, seed: int) -> Iterator[Numbers]:
    """Yield how often each customer is drawn, one row a draw, in blocks of rows."""
    generator = np.random.default_rng(seed)
    rows = max(1, min(draws, BLOCK_CELLS // max(customers, 1)))
    sizes = [min(rows, draws - start) for start in range(0, draws, rows)]
    even = np.full(customers, 1.0 / customers)
    for size in sizes:
        yield generator.multinomial(customers, even, size).astype(np.float64)


def interval(value: float, drawn: Numbers) -> Interval:
    """Return the value with the 2.5th and 97.5th percentile of its draws."""
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Interval(float(value), float(low), float(high))


def intervals(
    ndcg: pl.DataFrame, scores: Sequence[str], draws: int, seed: int
) -> dict[str, Interval]:
    """Return the mean NDCG of each score with its interval."""
    means, drawn = resampled_means(ndcg, scores, draws, seed)
    return {score: interval(means[i], drawn[:, i]) for i, score in enumerate(scores)}


def paired_gains(
    ndcg: pl.DataFrame, score: str, others: Sequence[str], draws: int, seed: int
) -> dict[str, Interval]:
    """Return how much `score` is above each of the others, on the same customers and draws."""
    means, drawn = resampled_means(ndcg, [score, *others], draws, seed)
    return {
        other: interval(means[0] - means[i], drawn[:, 0] - drawn[:, i])
        for i, other in enumerate(others, start=1)
    }
