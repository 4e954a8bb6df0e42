"""The ranker: CatBoost YetiRank over groups, position taken out by a baseline.

Gulin, Kuralenok, Pavlov (2011). Score of a training row = trees(features) + log P(examined), so
that what position explains is not learnt as the item's; scoring has no baseline, so the trees rank
as if everything were examined. Object weights do nothing in this loss.

Rows are sorted by group and item here, whatever their order was: CatBoost wants groups contiguous,
and the same rows then give the same trees. Training rows may stay where they lie: one column after
the other is read and put in order, and CatBoost takes it as it is, so that memory holds each number
once, in four bytes, beside what CatBoost makes of it, in one.
"""

from __future__ import annotations

import logging
from types import SimpleNamespace

import numpy as np
import numpy.typing as npt
import pandas as pd
import polars as pl
from catboost import CatBoost, Pool

from tasks import columns as c
from tasks.ranker.features import CATEGORIES, FEATURES, NAMES, NUMBERS, Rows
from tasks.ranker.measure import ranks
from tasks.settings import Ranker

log = logging.getLogger(__name__)

LOSS = "YetiRank"
"""By the simulated truth surely behind none in the default world; QuerySoftMax, which ties there
and leads by 0.008 E-NDCG@60 in the rough one, takes 2.6 times as long (README, Figures)."""
PROGRESS_EVERY = 50
ABSENT = "absent"


class Progress:
    """Logs how far training is."""

    def __init__(self, loss: str, iterations: int) -> None:
        self._loss = loss
        self._iterations = iterations

    def after_iteration(self, info: SimpleNamespace) -> bool:
        """Log every few trees; never stops training."""
        if info.iteration % PROGRESS_EVERY == 0 or info.iteration == self._iterations:
            share = info.iteration / self._iterations
            log.info(
                "%s: tree %d of %d (%.0f%%)",
                *(self._loss, info.iteration, self._iterations, 100 * share),
            )
        return True


def in_order(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the rows with groups contiguous, in an order that only their content decides."""
    return rows.sort(c.GROUP_ID, c.ITEM_ID)


def features(rows: Rows) -> Rows:
    """Return the columns the model sees, in its order; null numbers as NaN."""
    return rows.select(
        pl.col(NUMBERS).cast(pl.Float32).fill_null(float("nan")),
        pl.col(CATEGORIES).fill_null(ABSENT),
    ).select(NAMES)


def fit(
    rows: pl.DataFrame | pl.LazyFrame,
    options: Ranker,
    seed: int,
    threads: int,
    loss: str = LOSS,
) -> CatBoost:
    """Return a ranker of training rows: features, `label`, `log_examination`.

    Args:
        rows: RANKING_GROUPS rows in any order, in memory or where they lie, at least one label of
            1. Each reading must give them in the same order.
        options: size and pace of training.
        seed: of the trees.
        threads: part of the result's promise, so fixed by the settings.
        loss: any of CatBoost's over groups.
    """
    model = CatBoost(_parameters(options, seed, threads, loss))
    model.fit(_pool(rows.lazy()), callbacks=[Progress(loss, options.iterations)])
    return model


def _pool(rows: pl.LazyFrame) -> Pool:
    keys = rows.select(c.GROUP_ID, c.ITEM_ID).collect()
    places = keys.select(pl.arg_sort_by(c.GROUP_ID, c.ITEM_ID)).to_series()
    groups = keys[c.GROUP_ID].gather(places).rle_id().to_numpy()
    del keys

    def column(name: str, of: pl.LazyFrame) -> pl.Series:
        return of.select(name).collect().to_series().gather(places)

    known = features(rows)
    told = {name: _told(column(name, known)) for name in NAMES}
    return Pool(
        # Neither pandas nor CatBoost copies numbers that come as columns of 32 bits.
        pd.DataFrame(told, copy=False),
        label=column(c.LABEL, rows).to_numpy(),
        group_id=groups,
        baseline=column("log_examination", rows).to_numpy(),
        cat_features=list(CATEGORIES),
    )


def _told(values: pl.Series) -> pd.Series | npt.NDArray[np.float32]:
    """Return a column as CatBoost takes it: words once each, with their places."""
    is_word = values.dtype == pl.String
    return values.cast(pl.Categorical).to_pandas() if is_word else values.to_numpy()


def _parameters(options: Ranker, seed: int, threads: int, loss: str) -> dict[str, object]:
    insisted = {feature.name: 1 for feature in FEATURES if feature.more_is_no_worse}
    return {
        "loss_function": f"{LOSS}:permutations={options.permutations}" if loss == LOSS else loss,
        "iterations": options.iterations,
        "depth": options.depth,
        "learning_rate": options.learning_rate,
        # For losses over pairs CatBoost has neither columns per category nor such a promise.
        "one_hot_max_size": 1 if "Pairwise" in loss else 64,
        "monotone_constraints": {} if "Pairwise" in loss else insisted,
        # What it would shrink by beside such constraints; it cannot beside a baseline.
        "model_shrink_rate": 0.0,
        "random_seed": seed,
        "thread_count": threads,
        "allow_writing_files": False,
        "logging_level": "Silent",
    }


def score(model: CatBoost, rows: pl.DataFrame, threads: int) -> pl.Series:
    """Return the model's score of each row, in the rows' order."""
    if rows.is_empty():
        return pl.Series(c.SCORE, [], dtype=pl.Float64)
    pool = Pool(features(rows).to_pandas(), cat_features=list(CATEGORIES))
    return pl.Series(c.SCORE, model.predict(pool, thread_count=threads), dtype=pl.Float64)


def shap_values(model: CatBoost, rows: pl.DataFrame, threads: int) -> pl.DataFrame:
    """Return the rows' SHAP values, in their order: one column per feature."""
    pool = Pool(features(rows).to_pandas(), cat_features=list(CATEGORIES))
    values = model.get_feature_importance(pool, type="ShapValues", thread_count=threads)
    return pl.DataFrame(values[:, :-1], schema=list(NAMES))


def shap_shares(values: pl.DataFrame) -> pl.DataFrame:
    """Return `feature, family, share`: each feature's part of the summed |SHAP|, largest first."""
    sizes: npt.NDArray[np.float64] = values.to_numpy().__abs__().sum(axis=0)
    total = sizes.sum()
    return pl.DataFrame(
        {
            "feature": [feature.name for feature in FEATURES],
            "family": [feature.family for feature in FEATURES],
            "share": sizes / total if total else sizes,
        }
    ).sort("share", "feature", descending=[True, False])


def rank_correlation(groups: pl.DataFrame, one: str, other: str) -> float:
    """Return Spearman's correlation of two scores within groups, averaged over groups.

    Args:
        groups: rows with `group_id`, `tie` and both score columns; groups of one row are left out.
        one: a score column.
        other: another one.
    """
    ranked = groups.select(
        c.GROUP_ID, ranks(groups, one).alias("one"), ranks(groups, other).alias("other")
    )
    by_group = ranked.group_by(c.GROUP_ID).agg(
        pl.corr("one", "other").alias("correlation"), pl.len().alias("rows")
    )
    found = by_group.filter(pl.col("rows") > 1).sort(c.GROUP_ID)["correlation"].mean()
    return float(found) if isinstance(found, float) else 1.0
