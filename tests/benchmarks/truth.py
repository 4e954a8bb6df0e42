"""Groups of a simulated shop with the truth of each row, and the best that a trainer could do.

E-NDCG@k of a list has the true P(cart | examined) as gain: no position, no luck. The ceiling is the
ranker's own trees on the same rows and features, fitted to the true log-odds within each list.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import TYPE_CHECKING

import polars as pl

from tasks import columns as c
from tasks.lake.lake import Lake
from tasks.lake.tables import RANKING_GROUPS
from tasks.ranker import model as ranker
from tasks.ranker.trial import seed_for
from tasks.settings import Settings
from tasks.simulator.delivery import simulate
from tasks.simulator.parameters import world_named
from tasks.steps import run_dag
from vitrina_airflow.history import load_history

if TYPE_CHECKING:
    from catboost import CatBoost

LAST_DAY = date(2026, 9, 30)
DAYS = 30
CUSTOMERS, ITEMS = 3_000, 1_500
GAIN = "p_cart_if_examined"
CENTRED_LOSS = "QueryRMSE"


def groups_with_truth(
    settings: Settings, world: str, seed: int, days: int = DAYS, customers: int = CUSTOMERS
) -> pl.DataFrame:
    """Simulate a shop and return the last day's ranking groups with the truth of each row."""
    truth, first = settings.home / "truth", LAST_DAY - timedelta(days=days - 1)
    told = replace(world_named(world), truth_sample=1.0)
    simulate(settings.landing, truth, first, days, customers, ITEMS, seed, parameters=told)
    load_history(first, LAST_DAY - timedelta(days=1), settings.ranker.listing_days, settings)
    for dag, step in (("build_features", "ingest"), ("retrain_ranker", "build_groups")):
        run_dag(dag, LAST_DAY, settings, step)
    groups = Lake(settings).read_day(RANKING_GROUPS, LAST_DAY)
    known = pl.read_parquet(truth / "listings" / "*" / "*.parquet")
    rows = known.select(pl.col(c.LISTING_ID).alias(c.GROUP_ID), c.ITEM_ID, GAIN)
    return groups.join(rows, on=[c.GROUP_ID, c.ITEM_ID], how="inner")


def ceiling(rows: pl.DataFrame, settings: Settings, trees: int | None = None) -> CatBoost:
    """Return the ranker's trees fitted to the true log-odds of its own training rows.

    `trees` are more than the ranker's own: a gradient without noise bears them.
    """
    options = settings.ranker
    if trees:
        options = options.model_copy(update={"iterations": trees})
    odds = pl.col(GAIN) / (1.0 - pl.col(GAIN))
    truly = rows.with_columns(odds.log().alias(c.LABEL), pl.lit(0.0).alias("log_examination"))
    seed = seed_for(settings, "trees")
    return ranker.fit(truly, options, seed, settings.threads, CENTRED_LOSS)
