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
from collections.abc import Sequence
from math import nan
from types import SimpleNamespace

import numpy as np
import numpy.typing as npt
import pandas as pd
import polars as pl
from catboost import CatBoost, Pool

from tasks import columns as c
from tasks.ranker.features import CATEGORIES, FEATURES, NAMES, Rows
from tasks.ranker.measure import ranks
from tasks.settings import Ranker

log = logging.getLogger(__name__)

LOSS = "YetiRank"
"""By the simulated truth surely behind none in the default world; QuerySoftMax, which ties there
and led in the rough one in two shops of four, takes three times as long (README, Figures)."""
PROGRESS_EVERY = 50
ABSENT = "absent"
GONE = "no longer there"
"""The family of a feature that only an earlier model looks at."""
INSTEAD = {one.name: one.absent for one in FEATURES}


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


def features(rows: Rows, names: Sequence[str] = NAMES) -> Rows:
    """Return the columns a model sees, in its order; what is absent as each feature says."""
    words = _words(names)
    return rows.select(
        pl.col(name).fill_null(ABSENT)
        if name in words
        else pl.col(name).cast(pl.Float32).fill_null(INSTEAD.get(name, nan))
        for name in names
    )


def fit(
    rows: pl.DataFrame | pl.LazyFrame,
    options: Ranker,
    seed: int,
    threads: int,
    loss: str = LOSS,
    names: Sequence[str] = NAMES,
) -> CatBoost:
    """Return a ranker of training rows: features, `label`, `log_examination`.

    Args:
        rows: RANKING_GROUPS rows in any order, in memory or where they lie, at least one label of
            1. Each reading must give them in the same order.
        options: size and pace of training.
        seed: of the trees.
        threads: part of the result's promise, so fixed by the settings.
        loss: any of CatBoost's over groups.
        names: the columns to look at.
    """
    model = CatBoost(_parameters(options, seed, threads, loss, names))
    model.fit(_pool(rows.lazy(), names), callbacks=[Progress(loss, options.iterations)])
    return model


def _pool(rows: pl.LazyFrame, names: Sequence[str]) -> Pool:
    keys = rows.select(c.GROUP_ID, c.ITEM_ID).collect()
    places = keys.select(pl.arg_sort_by(c.GROUP_ID, c.ITEM_ID)).to_series()
    groups = keys[c.GROUP_ID].gather(places).rle_id().to_numpy()
    del keys

    def column(name: str, of: pl.LazyFrame) -> pl.Series:
        return of.select(name).collect().to_series().gather(places)

    known = features(rows, names)
    told = {name: _told(column(name, known)) for name in names}
    return Pool(
        # Neither pandas nor CatBoost copies numbers that come as columns of 32 bits.
        pd.DataFrame(told, copy=False),
        label=column(c.LABEL, rows).to_numpy(),
        group_id=groups,
        baseline=column("log_examination", rows).to_numpy(),
        cat_features=_words(names),
    )


def _told(values: pl.Series) -> pd.Series | npt.NDArray[np.float32]:
    """Return a column as CatBoost takes it: words once each, with their places."""
    is_word = values.dtype == pl.String
    return values.cast(pl.Categorical).to_pandas() if is_word else values.to_numpy()


def _words(names: Sequence[str]) -> list[str]:
    return [name for name in CATEGORIES if name in names]


def _parameters(
    options: Ranker, seed: int, threads: int, loss: str, names: Sequence[str] = NAMES
) -> dict[str, object]:
    insisted = {one.name: 1 for one in FEATURES if one.more_is_no_worse and one.name in names}
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
    pool = _asked(model, rows)
    return pl.Series(c.SCORE, model.predict(pool, thread_count=threads), dtype=pl.Float64)


def _asked(model: CatBoost, rows: pl.DataFrame) -> Pool:
    """Return the rows as the model knows them.

    One made before a feature was added does not look at it; to one made before a feature was taken
    away it is absent.
    """
    names = model.feature_names_
    words = [names[place] for place in model.get_cat_feature_indices()]
    gone = [name for name in names if name not in rows.columns]
    known = features(rows, [name for name in names if name not in gone])
    absent = (pl.lit(ABSENT if name in words else nan).alias(name) for name in gone)
    return Pool(known.with_columns(absent).select(names).to_pandas(), cat_features=words)


def shap_values(model: CatBoost, rows: pl.DataFrame, threads: int) -> pl.DataFrame:
    """Return the rows' SHAP values, in their order: one column per feature of the model."""
    pool = _asked(model, rows)
    values = model.get_feature_importance(pool, type="ShapValues", thread_count=threads)
    return pl.DataFrame(values[:, :-1], schema=model.feature_names_)


def shap_shares(values: pl.DataFrame) -> pl.DataFrame:
    """Return `feature, family, share`: each feature's part of the summed |SHAP|, largest first."""
    sizes: npt.NDArray[np.float64] = values.to_numpy().__abs__().sum(axis=0)
    total = sizes.sum()
    families = {feature.name: feature.family for feature in FEATURES}
    return pl.DataFrame(
        {
            "feature": values.columns,
            "family": [families.get(name, GONE) for name in values.columns],
            "share": sizes / total if total else sizes,
        }
    ).sort("share", "feature", descending=[True, False])


def rank_correlation(groups: pl.DataFrame, one: str, other: str) -> float:
    """Return Spearman's correlation of two scores within groups, averaged over groups.

    Args:
        groups: rows with `group_id`, `tie` and both score columns; groups of one row are left out,
            and without any other nothing is known of it: not a number.
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
    return float(found) if isinstance(found, float) else nan
