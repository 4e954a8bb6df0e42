"""What a customer will prefer, told from an embedding, beside the same told from plain counters.

label(u, g)    = most of what u does in the 14 days after the embeddings were made, by weight, is in
                 category group g (ties: first in the alphabet); who does nothing is left out
counters(u, g) = summed weights of u's interactions up to that day in g, and how many of each type
probability    = CatBoost of the label, each fifth of the customers told by the other four fifths

ROC AUC with 95% intervals over customers, of embeddings, of counters, and of their difference.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks import columns as c

HORIZON_DAYS = 14
FOLDS = 5
TREES, DEPTH, STEP = 150, 4, 0.08
COMPARED = ("embeddings", "counters", "difference")
LEAST = 30
"""Of a group that fewer prefer, or all but fewer, nothing is told."""

Floats64 = NDArray[np.float64]
Numbers = NDArray[np.number[Any]]


def labels(interactions: pl.DataFrame, items: pl.DataFrame, made: date) -> pl.DataFrame:
    """Return `user_id, category_group`: what each prefers in the days after `made`."""
    day = pl.col(c.TS).dt.date()
    after = (day > made) & (day <= made + timedelta(days=HORIZON_DAYS))
    return (
        interactions.filter(after)
        .join(items.select(c.ITEM_ID, c.CATEGORY_GROUP), on=c.ITEM_ID)
        .group_by(c.USER_ID, c.CATEGORY_GROUP)
        .agg(pl.col(c.WEIGHT).sum())
        .sort(c.USER_ID, c.WEIGHT, c.CATEGORY_GROUP, descending=[False, True, False])
        .unique(c.USER_ID, keep="first", maintain_order=True)
        .select(c.USER_ID, c.CATEGORY_GROUP)
    )


def counters(interactions: pl.DataFrame, items: pl.DataFrame, users: pl.Series) -> pl.DataFrame:
    """Return a row a user, in the order of `users`: weights by category group, counts by type."""
    named = interactions.join(items.select(c.ITEM_ID, c.CATEGORY_GROUP), on=c.ITEM_ID)
    by_group = named.group_by(c.USER_ID, pl.col(c.CATEGORY_GROUP).alias("of")).agg(
        pl.col(c.WEIGHT).sum().alias("count")
    )
    by_type = named.group_by(c.USER_ID, pl.col(c.EVENT_TYPE).alias("of")).agg(
        pl.len().cast(pl.Int64).alias("count")
    )
    wide = (
        pl.concat([by_group, by_type])
        .sort(c.USER_ID, "of")
        .pivot("of", index=c.USER_ID, values="count", aggregate_function="sum")
    )
    asked = pl.DataFrame({c.USER_ID: users})
    found = asked.join(wide, on=c.USER_ID, how="left", maintain_order="left").fill_null(0)
    return found.select(sorted(name for name in found.columns if name != c.USER_ID))


def told_beside(
    vectors: Numbers, counted: Numbers, preferred: pl.Series, bootstraps: int, seed: int
) -> pl.DataFrame:
    """Return a row a category group: how many prefer it, AUC of both, and their difference.

    Args:
        vectors: embeddings, a row a customer.
        counted: plain counters of the same customers.
        preferred: the category group that each prefers.
        bootstraps: resamples of customers behind an interval.
        seed: of folds, trees and resamples.
    """
    rows = []
    for group in preferred.unique().sort():
        truth = (preferred == group).to_numpy()
        if min(truth.sum(), (~truth).sum()) < LEAST:
            rows.append({c.CATEGORY_GROUP: group, "users": int(truth.sum())})
            continue
        told = np.stack([foretold(rows_of, truth, seed) for rows_of in (vectors, counted)])
        found = intervals(told, truth, bootstraps, seed)
        rows.append({c.CATEGORY_GROUP: group, "users": int(truth.sum()), **found})
    columns = [f"{name}{end}" for name in COMPARED for end in ("", "_low", "_high")]
    schema = {c.CATEGORY_GROUP: pl.String, "users": pl.Int64, **dict.fromkeys(columns, pl.Float64)}
    return pl.DataFrame(rows, schema=schema)


def foretold(values: Numbers, truth: NDArray[np.bool_], seed: int) -> Floats64:
    """Return each customer's probability by a model that has not seen the customer."""
    from catboost import CatBoostClassifier

    fold = np.random.default_rng(seed).permutation(len(truth)) % FOLDS
    probability = np.zeros(len(truth))
    for held in range(FOLDS):
        model = CatBoostClassifier(
            iterations=TREES, depth=DEPTH, learning_rate=STEP, random_seed=seed, thread_count=1,
            verbose=False, allow_writing_files=False,
        )  # fmt: skip
        model.fit(values[fold != held], truth[fold != held])
        probability[fold == held] = model.predict_proba(values[fold == held])[:, 1]
    return probability


def intervals(
    told: Floats64, truth: NDArray[np.bool_], bootstraps: int, seed: int
) -> dict[str, float]:
    """Return AUC of both rows of `told` and their difference, each with low and high."""
    whole = np.array([auc(row, truth) for row in told])
    chance, drawn = np.random.default_rng(seed), []
    for _ in range(bootstraps):
        some = chance.integers(0, len(truth), len(truth))
        drawn.append([auc(row[some], truth[some]) for row in told])
    both = np.array(drawn)
    spread = np.column_stack([both, both[:, 0] - both[:, 1]])
    low, high = np.percentile(spread, (2.5, 97.5), axis=0)
    values = (*whole, whole[0] - whole[1])
    found: dict[str, float] = {}
    for place, name in enumerate(COMPARED):
        found |= {name: float(values[place])}
        found |= {f"{name}_low": float(low[place]), f"{name}_high": float(high[place])}
    return found


def auc(told: Floats64, truth: NDArray[np.bool_]) -> float:
    """Return the area under the ROC curve, ties counting half; 0.5 where one class is absent."""
    from scipy.stats import rankdata

    positives, negatives = int(truth.sum()), int((~truth).sum())
    if not positives or not negatives:
        return 0.5
    above = rankdata(told)[truth].sum() - positives * (positives + 1) / 2
    return float(above / (positives * negatives))
