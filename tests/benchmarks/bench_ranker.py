"""How near the ranker comes to the truth: `make bench-ranker`; reach: 0.8 of the way to a ceiling.

For each of SEEDS (never used in development) a shop of 30 days is simulated with the truth of every
listing, its history is loaded, and rankers are fitted to the groups of the last day. E-NDCG@60 of
the whole held-out lists of warm customers has the true P(cart | examined) as gain: no position, no
luck. The ceiling is the same trees on the same rows and features, fitted to the true log-odds within
each list (QueryRMSE).
share = (ranker - sf_pos) / (ceiling - sf_pos). SEEDS=11 for a quick look.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import polars as pl

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "plugins")]

from tasks import columns as c  # noqa: E402
from tasks.lake.lake import Lake  # noqa: E402
from tasks.lake.tables import RANKING_GROUPS  # noqa: E402
from tasks.ranker import evaluation as ev  # noqa: E402
from tasks.ranker import model as ranker  # noqa: E402
from tasks.ranker.groups import held_out_days  # noqa: E402
from tasks.ranker.measure import intervals, ndcg_by_group, paired_gains  # noqa: E402
from tasks.ranker.trial import fitted, seed_for, trained_rows  # noqa: E402
from tasks.settings import Settings  # noqa: E402
from tasks.simulator.delivery import simulate  # noqa: E402
from tasks.simulator.parameters import DEFAULT  # noqa: E402
from tasks.steps import run_dag  # noqa: E402
from tests.benchmarks.measure import Bench  # noqa: E402
from vitrina_airflow.history import load_history  # noqa: E402

LAST_DAY = date(2026, 9, 30)
DAYS = 30
CUSTOMERS, ITEMS = 3_000, 1_500
LISTING_DAYS = 17
GAIN = "p_cart_if_examined"
CEILING = "ceiling"
ORDERS = (ev.RANKER, CEILING, c.SF_POS, ev.POPULARITY, ev.LOGGED, ev.RANDOM)


def groups_with_truth(settings: Settings, seed: int) -> pl.DataFrame:
    """Simulate a shop and return the last day's ranking groups with the truth of each row."""
    truth, first = settings.home / "truth", LAST_DAY - timedelta(days=DAYS - 1)
    told = replace(DEFAULT, truth_sample=1.0)
    simulate(settings.landing, truth, first, DAYS, CUSTOMERS, ITEMS, seed, parameters=told)
    load_history(first, LAST_DAY - timedelta(days=1), LISTING_DAYS, settings)
    for dag, step in (("build_features", "ingest"), ("retrain_ranker", "build_groups")):
        run_dag(dag, LAST_DAY, settings, step)
    groups = Lake(settings).read_day(RANKING_GROUPS, LAST_DAY)
    known = pl.read_parquet(truth / "listings" / "*" / "*.parquet")
    rows = known.select(pl.col(c.LISTING_ID).alias(c.GROUP_ID), c.ITEM_ID, GAIN)
    return groups.join(rows, on=[c.GROUP_ID, c.ITEM_ID], how="inner")


def judged(groups: pl.DataFrame, settings: Settings) -> pl.DataFrame:
    """Return each warm held-out list's E-NDCG@60 by order."""
    days = held_out_days(groups, settings.ranker)[:1]
    rows = trained_rows(groups, days[0])
    odds = pl.col(GAIN) / (1.0 - pl.col(GAIN))
    truly = rows.with_columns(odds.log().alias(c.LABEL), pl.lit(0.0).alias("log_examination"))
    seed = seed_for(settings, "trees")
    ceiling = ranker.fit(truly, settings.ranker, seed, settings.threads, "QueryRMSE")
    models = {ev.RANKER: fitted(rows, settings), CEILING: ceiling}
    lists = ev.with_orders(ev.held_out(groups, days)).filter(ev.WARM)
    scores = [
        ranker.score(model, lists, settings.threads).alias(name) for name, model in models.items()
    ]
    return ndcg_by_group(lists.with_columns(scores), ORDERS, settings.ranker.cutoff, GAIN)


def main() -> None:
    """Print E-NDCG@60 over all seeds, and the ranker's share of the way to the ceiling."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", stream=sys.stderr)
    seeds = [int(seed) for seed in os.environ.get("SEEDS", "11,12,13,14,15").split(",")]
    bench, found = Bench("ranker"), []
    for seed in seeds:
        with tempfile.TemporaryDirectory() as folder, bench.timed(f"seed_{seed}"):
            settings = Settings(home=Path(folder), mlflow_url="")
            lists = judged(groups_with_truth(settings, seed), settings)
        found.append(lists.with_columns(pl.format(f"{seed}/{{}}", c.USER_ID).alias(c.USER_ID)))
    lists, draws = pl.concat(found), 1_000
    for name, there in intervals(lists, ORDERS, draws, seed=0).items():
        bench.note(**{name: f"{there.value:.4f} [{there.low:.4f}, {there.high:.4f}]"})
    gain = paired_gains(lists, c.SF_POS, [ev.POPULARITY], draws, seed=0)[ev.POPULARITY]
    bench.note(sf_pos_over_popularity=f"{gain.value:+.4f} [{gain.low:+.4f}, {gain.high:+.4f}]")
    mean = {name: lists[name].mean() for name in ORDERS}
    way = mean[CEILING] - mean[c.SF_POS]
    bench.note(lists=lists.height, share=round((mean[ev.RANKER] - mean[c.SF_POS]) / way, 3))
    bench.finish()


if __name__ == "__main__":
    main()
