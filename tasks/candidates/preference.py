"""What a customer will prefer, told from an embedding, beside the same told from plain counters.

label(u)      = the value (a category group, a price tier) of most of what u does in the 14 days
                after the embeddings were made, by weight (ties: first in the alphabet); who does
                nothing is left out
price_tier(i) = third of the items of i's category by price, so that it is no other word for it
counters(u)   = summed weights of u's interactions up to that day by category group and by price
                tier, and how many of each type
probability   = CatBoost's of each value, each fifth of the customers told by the other four fifths
named(u)      = the value with the highest probability, or none where that is of the others

Of each value: ROC AUC of its probability, and precision and recall of being named it, 0 where
nobody is. Intervals: 95% percentile bootstrap over customers, the same draws for all that is
compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks import columns as c
from tasks.candidates.generator import Ints

HORIZON_DAYS = 14
ASKED = (c.CATEGORY_GROUP, c.PRICE_TIER)
TIERS = ("low", "middle", "high")
FOLDS = 5
TREES, DEPTH, STEP, BORDERS = 150, 4, 0.08, 32
METRICS = ("auc", "precision", "recall")
DIFFERENCE = "difference"
LEAST = 30
"""Of a value that fewer prefer, or all but fewer, nothing is told."""

Floats64 = NDArray[np.float64]
Numbers = NDArray[np.number[Any]]
FOUND = pl.Schema(
    {
        "preferred": pl.String(),
        "users": pl.Int64(),
        "by": pl.String(),
        c.METRIC: pl.String(),
        c.VALUE: pl.Float64(),
        c.LOW: pl.Float64(),
        c.HIGH: pl.Float64(),
    }
)


def tiered(items: pl.DataFrame) -> pl.DataFrame:
    """Return the items with `price_tier`, null where there is no price."""
    rank = pl.col(c.PRICE).rank("average").over(c.CATEGORY)
    share = (rank - 0.5) / pl.col(c.PRICE).count().over(c.CATEGORY)
    tier = share.cut([1 / 3, 2 / 3], labels=TIERS, left_closed=True).cast(pl.String)
    return items.with_columns(tier.alias(c.PRICE_TIER))


def labels(interactions: pl.DataFrame, items: pl.DataFrame, made: date, asked: str) -> pl.DataFrame:
    """Return `user_id` and the value of column `asked` that each prefers after `made`."""
    day = pl.col(c.TS).dt.date()
    after = (day > made) & (day <= made + timedelta(days=HORIZON_DAYS))
    return (
        interactions.filter(after)
        .join(items.select(c.ITEM_ID, asked).drop_nulls(), on=c.ITEM_ID)
        .group_by(c.USER_ID, asked)
        .agg(pl.col(c.WEIGHT).sum())
        .sort(c.USER_ID, c.WEIGHT, asked, descending=[False, True, False])
        .unique(c.USER_ID, keep="first", maintain_order=True)
        .select(c.USER_ID, asked)
    )


def counters(interactions: pl.DataFrame, items: pl.DataFrame, users: pl.Series) -> pl.DataFrame:
    """Return a row a user, in the order of `users`, and a column for each value that occurs."""
    named = interactions.join(items.select(c.ITEM_ID, *ASKED), on=c.ITEM_ID)
    counts = [_counted(named, column, pl.col(c.WEIGHT).sum()) for column in ASKED]
    wide = (
        pl.concat([*counts, _counted(named, c.EVENT_TYPE, pl.len())])
        .sort(c.USER_ID, "of")
        .pivot("of", index=c.USER_ID, values="count")
    )
    asked = pl.DataFrame({c.USER_ID: users})
    found = asked.join(wide, on=c.USER_ID, how="left", maintain_order="left").fill_null(0)
    return found.select(sorted(name for name in found.columns if name != c.USER_ID))


def _counted(named: pl.DataFrame, column: str, count: pl.Expr) -> pl.DataFrame:
    of = pl.format("{}={}", pl.lit(column), pl.col(column)).alias("of")
    there = named.drop_nulls(column)
    return there.group_by(c.USER_ID, of).agg(count.cast(pl.Int64).alias("count"))


def told_beside(
    sides: Mapping[str, Numbers], preferred: pl.Series, bootstraps: int, seed: int
) -> pl.DataFrame:
    """Return `preferred, users, by, metric, value, low, high` of every value that is common.

    Args:
        sides: what is compared, a row a customer each; `difference` is the first less the second.
        preferred: the value that each of the same customers prefers.
        bootstraps: resamples of customers behind an interval.
        seed: of folds, trees and resamples.
    """
    values, truth = common(preferred)
    if not values:
        return pl.DataFrame(schema=FOUND)
    told = np.stack([foretold(rows, truth, seed) for rows in sides.values()])
    drawn = resampled(told, truth, bootstraps, seed)
    drawn = np.concatenate([drawn, drawn[:, :1] - drawn[:, 1:2]], axis=1)
    low, high = np.percentile(drawn[1:], (2.5, 97.5), axis=0)
    users = np.bincount(truth)
    rows = [
        (
            value,
            users[at],
            by,
            metric,
            *(float(part[side, at, of]) for part in (drawn[0], low, high)),
        )
        for at, value in enumerate(values)
        for side, by in enumerate((*sides, DIFFERENCE))
        for of, metric in enumerate(METRICS)
    ]
    return pl.DataFrame(rows, schema=FOUND, orient="row")


def common(preferred: pl.Series) -> tuple[list[str], Ints]:
    """Return the values that enough prefer, and each customer's place in them; others come last."""
    counts = preferred.value_counts().filter(
        pl.col("count").is_between(LEAST, len(preferred) - LEAST)
    )
    values = counts[preferred.name].sort().to_list()
    places = preferred.replace_strict(
        values, list(range(len(values))), default=len(values), return_dtype=pl.Int64
    )
    return values, places.to_numpy()


def foretold(rows: Numbers, truth: Ints, seed: int) -> Floats64:
    """Return each customer's probabilities by a model that has not seen the customer."""
    from catboost import CatBoostClassifier

    fold = np.random.default_rng(seed).permutation(len(truth)) % FOLDS
    probability = np.zeros((len(truth), truth.max() + 1))
    for held in range(FOLDS):
        model = CatBoostClassifier(
            loss_function="MultiClass", iterations=TREES, depth=DEPTH, learning_rate=STEP,
            border_count=BORDERS, random_seed=seed, thread_count=1, verbose=False,
            allow_writing_files=False,
        )  # fmt: skip
        model.fit(rows[fold != held], truth[fold != held])
        places = np.ix_(fold == held, model.classes_)
        probability[places] = model.predict_proba(rows[fold == held])
    return probability


def resampled(told: Floats64, truth: Ints, bootstraps: int, seed: int) -> Floats64:
    """Return (1 + bootstraps, sides, values, METRICS): of all customers, then of each resample."""
    chance = np.random.default_rng(seed)
    draws = [chance.integers(0, len(truth), len(truth)) for _ in range(bootstraps)]
    return np.stack(
        [measures(told[:, rows], truth[rows]) for rows in (np.arange(len(truth)), *draws)]
    )


def measures(told: Floats64, truth: Ints) -> Floats64:
    """Return (sides, values, METRICS) of (sides, customers, values) probabilities."""
    named = told.argmax(axis=2)
    found = np.zeros((told.shape[0], told.shape[2], len(METRICS)))
    for side, value in np.ndindex(found.shape[:2]):
        true, picked = truth == value, named[side] == value
        right = int((true & picked).sum())
        precision, recall = (right / max(1, int(these.sum())) for these in (picked, true))
        found[side, value] = auc(told[side, :, value], true), precision, recall
    return found


def auc(told: Floats64, truth: NDArray[np.bool_]) -> float:
    """Return the area under the ROC curve, ties counting half; 0.5 where one class is absent."""
    from scipy.stats import rankdata

    positives, negatives = int(truth.sum()), int((~truth).sum())
    if not positives or not negatives:
        return 0.5
    above = rankdata(told)[truth].sum() - positives * (positives + 1) / 2
    return float(above / (positives * negatives))
