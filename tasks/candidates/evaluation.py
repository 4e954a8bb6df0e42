"""Metrics of lists against what users did later, over the whole catalogue.

hits@k     = items of the user's later ones among the first k of the list
recall@k   = hits@k / later items;  hit_rate@k = 1 if hits@k > 0
ndcg@k     = sum over hits of 1 / log2(rank + 1), over the same sum for min(k, later items) hits
             at ranks 1, 2, ... (gain 1 an item; Jaervelin and Kekaelaeinen, 2002)
mrr@k      = 1 / rank of the first hit, if that is at most k

Every user with a later item counts, one without a list with 0. Ties of scores went to the smaller
item id when the lists were cut. Intervals: 95% percentile bootstrap over users. Slices: warm users
have a history, cold ones do not; warm ones also by how many interactions it holds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks import columns as c
from tasks.candidates.generator import Generator, Known, Requests
from tasks.candidates.interactions import requests_of
from tasks.candidates.serving import bought, recommend, seen
from tasks.settings import Candidates

CUTS = (10, 20, 60)
METRICS = tuple(f"{name}@{k}" for name in ("recall", "hit_rate", "ndcg", "mrr") for k in CUTS)
ALL, WARM, COLD = "all", "warm", "cold"
HISTORY = "history"
LENGTHS = {f"{HISTORY} 1-4": 1, f"{HISTORY} 5-19": 5, f"{HISTORY} 20-49": 20, f"{HISTORY} 50+": 50}
"""Slices of warm users by the fewest interactions in them."""
TIME, TIME_NEW, LEAVE_ONE_OUT = "time", "time_new", "loo"
PERCENT = (2.5, 97.5)


@dataclass(frozen=True)
class Protocol:
    """What counts as right: pairs `user_id, item_id`, and pairs that no list may hold.

    `first_days` has the pairs with `first_day`, where time is told.
    """

    name: str
    truth: pl.DataFrame
    blocked: pl.DataFrame
    first_days: pl.DataFrame | None = None


@dataclass(frozen=True)
class Split:
    """What generators may learn from, who is asked, and the protocols that judge the answers."""

    known: Known
    requests: Requests
    protocols: tuple[Protocol, ...]

    @property
    def warm(self) -> pl.Series:
        """The test users with a history."""
        return self.requests.histories[c.USER_ID].unique()


def time_split(then: Known, later: pl.DataFrame, options: Candidates) -> Split:
    """Return the split at the day of `then`.

    `time` counts every item touched later, with the filters of production. `time_new` counts only
    items the user never touched before, and no list holds what was touched: discovery.
    """
    happened = later.filter(pl.col(c.TS).dt.date() > then.through)
    truth, first = seen(happened), pl.col(c.TS).dt.date().min().alias("first_day")
    first_days = happened.group_by(c.USER_ID, c.ITEM_ID).agg(first).sort(c.USER_ID, c.ITEM_ID)
    requests = requests_of(then, truth[c.USER_ID])
    touched = seen(requests.histories)
    fresh = truth.join(touched, on=(c.USER_ID, c.ITEM_ID), how="anti", maintain_order="left")
    once = bought(requests.histories, then.items, options.repeatable)
    whole = Protocol(TIME, truth, once, first_days)
    return Split(then, requests, (whole, Protocol(TIME_NEW, fresh, touched)))


def lists_of(generator: Generator, split: Split, protocol: Protocol) -> pl.DataFrame:
    """Return the generator's lists for the test users, as long as the longest cut."""
    return recommend(generator, split.requests, max(CUTS), split.known.items, protocol.blocked)


def user_metrics(lists: pl.DataFrame, truth: pl.DataFrame, warm: pl.Series) -> pl.DataFrame:
    """Return one row per user of the truth: `user_id, slice` and each metric."""
    hits = truth.join(lists, on=(c.USER_ID, c.ITEM_ID), how="inner")
    counted = truth.group_by(c.USER_ID).len("later").sort(c.USER_ID)
    gains = counted.join(_gains(hits), on=c.USER_ID, how="left", maintain_order="left").fill_null(0)
    ideal = np.concatenate([[0.0], np.cumsum(_discount(np.arange(1, max(CUTS) + 1)))])
    found = [
        column
        for k in CUTS
        for column in (
            (pl.col(f"hits_{k}") / pl.col("later")).alias(f"recall@{k}"),
            (pl.col(f"hits_{k}") > 0).cast(pl.Float64).alias(f"hit_rate@{k}"),
            pl.Series(f"ndcg@{k}", _ndcg(gains, k, ideal)),
            pl.when(pl.col("first").is_between(1, k))
            .then(1 / pl.col("first"))
            .otherwise(0.0)
            .alias(f"mrr@{k}"),
        )
    ]
    group = (
        pl.when(pl.col(c.USER_ID).is_in(warm.implode())).then(pl.lit(WARM)).otherwise(pl.lit(COLD))
    )
    return gains.with_columns(*found, group.alias(c.SLICE)).select(c.USER_ID, c.SLICE, *METRICS)


def _gains(hits: pl.DataFrame) -> pl.DataFrame:
    ranked = hits.sort(c.USER_ID, c.RANK).with_columns(
        pl.Series("gain", _discount(hits.sort(c.USER_ID, c.RANK)[c.RANK].to_numpy()))
    )
    near = {k: pl.col(c.RANK) <= k for k in CUTS}
    return ranked.group_by(c.USER_ID, maintain_order=True).agg(
        *(near[k].sum().alias(f"hits_{k}") for k in CUTS),
        *(pl.col("gain").filter(near[k]).sum().alias(f"gain_{k}") for k in CUTS),
        pl.col(c.RANK).min().alias("first"),
    )


def hits_at(lists: pl.DataFrame, truth: pl.DataFrame, k: int) -> pl.DataFrame:
    """Return `user_id, share`: of each user's later items, those among the first k of the list."""
    found = lists.filter(pl.col(c.RANK) <= k).select(c.USER_ID, c.ITEM_ID, pl.lit(1.0).alias("hit"))
    joined = truth.join(found, on=(c.USER_ID, c.ITEM_ID), how="left")
    share = pl.col("hit").fill_null(0.0).mean().alias("share")
    return joined.group_by(c.USER_ID).agg(share).sort(c.USER_ID)


def by_history(users: pl.DataFrame, histories: pl.DataFrame) -> pl.DataFrame:
    """Return the users with `history`: the slice of how many interactions each has, if any."""
    counts = histories.group_by(c.USER_ID).len("touches")
    name = pl.lit(None, pl.String)
    for label, fewest in LENGTHS.items():
        name = pl.when(pl.col("touches") >= fewest).then(pl.lit(label)).otherwise(name)
    found = users.join(counts, on=c.USER_ID, how="left", maintain_order="left")
    return found.with_columns(name.alias(HISTORY)).drop("touches")


def _discount(ranks: NDArray[np.integer]) -> NDArray[np.float64]:
    return 1.0 / np.log2(ranks.astype(np.float64) + 1.0)


def _ndcg(gains: pl.DataFrame, k: int, ideal: NDArray[np.float64]) -> NDArray[np.float64]:
    best = ideal[np.minimum(gains["later"].to_numpy(), k)]
    share: NDArray[np.float64] = gains[f"gain_{k}"].to_numpy() / best
    return share


def summary(users: pl.DataFrame, protocol: str, bootstraps: int, seed: int) -> pl.DataFrame:
    """Return `protocol, slice, metric, value, low, high` over all users and each slice of them.

    Args:
        users: `user_id, slice`, any number of metrics, and `history` if that is to slice too; one
            row per user.
        protocol: what the rows are labelled with.
        bootstraps: resamples of users behind an interval.
        seed: of the resamples; the same seed draws the same users for every generator.
    """
    slices = [(ALL, users)] + [
        (name, users.filter(pl.col(c.SLICE) == name)) for name in (WARM, COLD)
    ]
    if HISTORY in users.columns:
        slices += [(name, users.filter(pl.col(HISTORY) == name)) for name in LENGTHS]
    tables = [_summary_of(part, name, bootstraps, seed) for name, part in slices if part.height]
    return pl.concat([pl.DataFrame(schema=_SUMMARY), *tables]).select(
        pl.lit(protocol).alias("protocol"), pl.all()
    )


_SUMMARY = pl.Schema(
    {
        c.SLICE: pl.String(),
        c.METRIC: pl.String(),
        c.VALUE: pl.Float64(),
        c.LOW: pl.Float64(),
        c.HIGH: pl.Float64(),
    }
)


def _summary_of(users: pl.DataFrame, name: str, bootstraps: int, seed: int) -> pl.DataFrame:
    metrics = [column for column in users.columns if column not in (c.USER_ID, c.SLICE, HISTORY)]
    values = users.sort(c.USER_ID).select(metrics).to_numpy().astype(np.float64)
    low, high = bootstrap(values, bootstraps, seed)
    rows = {
        c.SLICE: [name] * (len(metrics) + 1),
        c.METRIC: [*metrics, "users"],
        c.VALUE: [*values.mean(axis=0), float(len(values))],
        c.LOW: [*low, None],
        c.HIGH: [*high, None],
    }
    return pl.DataFrame(rows, schema=_SUMMARY)


def bootstrap(
    values: NDArray[np.float64], resamples: int, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the 2.5 and 97.5 percentiles of each column's mean over resampled rows."""
    chance = np.random.default_rng(seed)
    height = len(values)
    means = np.empty((resamples, values.shape[1]))
    for resample in range(resamples):
        drawn = chance.integers(0, height, height)
        means[resample] = np.bincount(drawn, minlength=height) @ values / height
    low, high = np.percentile(means, PERCENT, axis=0)
    return low, high


def above(users: pl.DataFrame, yardstick: pl.DataFrame, name: str) -> pl.DataFrame:
    """Return the users' metrics with, beside each, its difference from a yardstick's."""
    other = users.select(c.USER_ID).join(yardstick, on=c.USER_ID, how="left", maintain_order="left")
    gains = [(pl.col(metric) - other[metric]).alias(f"above_{name}:{metric}") for metric in METRICS]
    return users.with_columns(gains)
