"""P(cart | examined) by taste and item: boosted trees on what items are, then each item's counts.

rate(step) = (successes + m * trees) / (trials + m), m = `PRIOR_SUCCESSES` / the mean rate

The trees (CatBoost, log loss) see the taste, the item's values, price and age, and not which item
it is; what an item shows beyond them comes in by its counts. Steps as in `logistic`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from tasks import columns as c
from tasks.segments.grid import TASTE, Grid, Numbers, Stage

if TYPE_CHECKING:
    from catboost import CatBoostClassifier

TREES, DEPTH, STEP = 150, 6, 0.08
MOST_ONE_HOT = 255
PRIOR_SUCCESSES = 5.0
NOTHING = "-"


def boosted_rates(grid: Grid, seed: int, threads: int) -> Numbers:
    """Return P(cart | examined) of each row of the grid."""
    rows = described(grid)
    rates = np.ones(rows.height)
    for stage in grid.stages():
        rates *= _step(rows, stage, seed, threads)
    return rates


def described(grid: Grid) -> pl.DataFrame:
    """Return a row per row of the grid: taste, category, the first value of each attribute."""
    wide = grid.values.sort(c.VALUE).pivot(
        c.ATTRIBUTE, index=c.ITEM_ID, values=c.VALUE, aggregate_function="first"
    )
    named = wide.rename({name: f"a_{name}" for name in wide.columns if name != c.ITEM_ID})
    rows = grid.rows.select(TASTE, c.ITEM_ID).join(grid.items, on=c.ITEM_ID, maintain_order="left")
    rows = rows.join(named, on=c.ITEM_ID, how="left", maintain_order="left").drop(c.ITEM_ID)
    return rows.select(
        pl.col(pl.String).fill_null(NOTHING), pl.col(pl.Float64, pl.Int64).cast(pl.Float64)
    )


def _step(rows: pl.DataFrame, stage: Stage, seed: int, threads: int) -> Numbers:
    expected = _expected(rows, stage, seed, threads)
    prior = PRIOR_SUCCESSES * stage.trials.sum() / max(stage.successes.sum(), 1.0)
    rates: Numbers = (stage.successes + prior * expected) / (stage.trials + prior)
    return rates


def _expected(rows: pl.DataFrame, stage: Stage, seed: int, threads: int) -> Numbers:
    """Return what the trees expect of each row; the mean where nothing tells rows apart."""
    mean = stage.successes.sum() / max(stage.trials.sum(), 1.0)
    seen = rows.filter(pl.Series(stage.trials > 0))
    if not 0 < mean < 1 or all(seen[name].n_unique() <= 1 for name in seen.columns):
        return np.full(rows.height, mean)
    trees = _fitted(rows, stage, seed, threads)
    expected: Numbers = trees.predict_proba(rows.to_pandas())[:, 1]
    return expected


def _fitted(rows: pl.DataFrame, stage: Stage, seed: int, threads: int) -> CatBoostClassifier:
    """Return trees fitted to each row twice, weighted by who went on and who did not."""
    from catboost import CatBoostClassifier, Pool

    weights = np.append(stage.successes, stage.trials - stage.successes)
    labels = np.repeat([1, 0], rows.height)
    used = weights > 0
    twice = pl.concat([rows, rows]).filter(pl.Series(used)).to_pandas()
    names = [name for name, dtype in rows.schema.items() if dtype == pl.String]
    pool = Pool(twice, labels[used], weight=weights[used], cat_features=names)
    model = CatBoostClassifier(
        iterations=TREES, depth=DEPTH, learning_rate=STEP, one_hot_max_size=MOST_ONE_HOT,
        random_seed=seed, thread_count=threads, verbose=False, allow_writing_files=False,
    )  # fmt: skip
    model.fit(pool)
    return model
