"""Generators on time splits, beside the week's popular items: `make bench-time-splits`.

Reach: every personal generator above `popular_7d`. What is learned ends where the last days begin;
what people touched in those is asked for, over the whole catalogue, with the settings of the night.

globo_clicks    news: one reader of 32, nine days learned, the tenth asked
online_retail   gifts bought again and again: nine months learned, the last 14 days asked
default, rough  simulated shops of --seeds: 28 days, the last three asked, stock and cities told

`time` counts every item touched later, `time_new` those that a user never touched before, and then
no list holds what was touched. NDCG@10 and recall@10 with 95% bootstrap intervals over users, and
paired differences in NDCG@10 to `popular_7d`. --earlier 1 ends the data so many tests earlier: days
to choose settings on, since VITRINA_CANDIDATES__... hold here as they do at night.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT)]

from tasks import columns as c  # noqa: E402
from tasks.candidates import BASELINES, GENERATORS  # noqa: E402
from tasks.candidates.evaluation import Split, time_split, user_metrics  # noqa: E402
from tasks.candidates.fitting import YARDSTICK, fitted, heldout_lists  # noqa: E402
from tasks.candidates.generator import Known  # noqa: E402
from tasks.candidates.interactions import located, weighted  # noqa: E402
from tasks.candidates.outside import Naming, catalogue_of, interactions_of, known_of  # noqa: E402
from tasks.landing.importers.online_retail import categorised  # noqa: E402
from tasks.ranker.measure import Interval, intervals, paired_gains  # noqa: E402
from tasks.settings import Settings  # noqa: E402
from tasks.simulator import real_logs  # noqa: E402
from tasks.simulator.marginals import shop_log  # noqa: E402
from tasks.simulator.parameters import world_named  # noqa: E402
from tasks.simulator.shop import Shop  # noqa: E402
from tests.benchmarks.measure import Bench, asked  # noqa: E402

FIRST_DAY = date(2026, 9, 1)
CUSTOMERS, ITEMS, DAYS = 2_000, 1_000, 28
EACH_READER = 32
NEWS_DAYS, GIFT_DAYS = 1, 14
NDCG, RECALL = "ndcg@10", "recall@10"
DRAWS = 1_000
Names = tuple[str, ...]


def globo_clicks(folder: Path, earlier: int, settings: Settings) -> Split:
    """Return some readers' clicks, the last whole day asked."""
    log = real_logs.globo_clicks(folder / "globo_clicks")
    # The file ends in the night: its last day has three hours.
    end = log.select(pl.col(c.TS).max().dt.truncate("1d")).item() - timedelta(earlier * NEWS_DAYS)
    some = log.filter(pl.col(c.USER_ID) % EACH_READER == 0, pl.col(c.TS) < end)
    interactions = interactions_of(some, Naming(time=c.TS, order=c.RECEIVED_AT))
    known = known_of(interactions, catalogue_of(interactions, None))
    return split_before_last(known, NEWS_DAYS, settings)


def online_retail(folder: Path, earlier: int, settings: Settings) -> Split:
    """Return purchases of known customers, the last two weeks asked."""
    log = real_logs.online_retail(folder / "online_retail")
    bought = log.filter(pl.col(c.EVENT_TYPE) == c.ORDER).drop_nulls(c.USER_ID)
    end = log.select(pl.col(c.TS).max().dt.truncate("1d")).item() - timedelta(earlier * GIFT_DAYS)
    interactions = interactions_of(
        bought.filter(pl.col(c.TS) < end + timedelta(1)), Naming(time=c.TS)
    )
    goods = categorised(pl.scan_parquet(folder / "online_retail" / "items_derived.parquet"))
    facts = goods.select(
        pl.col("StockCode").alias(c.ITEM_ID), c.CATEGORY_GROUP, c.CATEGORY, c.COLOUR
    ).collect()
    known = known_of(interactions, catalogue_of(interactions, facts))
    return split_before_last(known, GIFT_DAYS, settings)


REAL: dict[str, Callable[[Path, int, Settings], Split]] = {
    "globo_clicks": globo_clicks,
    "online_retail": online_retail,
}


def split_before_last(known: Known, days: int, settings: Settings) -> Split:
    """Return the split before the last so many days; nobody's city or stock is told."""
    cut = known.through - timedelta(days)
    learned = known.interactions.filter(pl.col(c.DT) <= cut)
    then = Known(cut, learned, known.items, known.users)
    return time_split(then, known.interactions, settings.candidates)


def simulated(world: str, seed: int, earlier: int, settings: Settings) -> Split:
    """Return a shop's month, split as the nightly run splits it."""
    options, shop = (
        settings.candidates,
        Shop.opened(seed, FIRST_DAY, CUSTOMERS, ITEMS, world_named(world)),
    )
    days = DAYS - earlier * options.holdout_days
    landed = [shop.simulate_day(FIRST_DAY + timedelta(age))[0] for age in range(days)]
    log = shop_log(
        pl.concat([frames["events"] for frames in landed]),
        landed[-1]["items"],
        landed[-1]["customers"],
    )
    events = weighted(log.with_columns(pl.col(c.TS).dt.date().alias(c.DT)), options)
    cut = FIRST_DAY + timedelta(days - 1 - options.holdout_days)
    there = landed[-1 - options.holdout_days]
    learned = events.filter(pl.col(c.DT) <= cut)
    then = Known(cut, learned, there["items"], located(learned, there["customers"]))
    return time_split(then, events, options)


def user_rows(split: Split, names: Names, settings: Settings) -> dict[str, pl.DataFrame]:
    """Return by protocol each test user's NDCG@10 and recall@10 of each generator."""
    truths = {one.name: one.truth for one in split.protocols}
    found = {name: truth.select(c.USER_ID).unique() for name, truth in truths.items()}
    for name in names:
        started = time.monotonic()
        lists = heldout_lists(fitted(name, split.known, settings), split)
        logging.info("%s: fitted and listed in %.1f s", name, time.monotonic() - started)
        for protocol, truth in truths.items():
            users = user_metrics(lists[protocol], truth, split.warm)
            mine = users.select(
                c.USER_ID, *(pl.col(of).alias(f"{name}/{of}") for of in (NDCG, RECALL))
            )
            found[protocol] = found[protocol].join(mine, on=c.USER_ID)
    return found


def pooled(splits: Iterator[Split], names: Names, settings: Settings) -> dict[str, pl.DataFrame]:
    """Return `user_rows` of several shops together; users of two shops are two users."""
    parts: dict[str, list[pl.DataFrame]] = {}
    for number, split in enumerate(splits):
        for protocol, rows in user_rows(split, names, settings).items():
            ids = pl.format(f"{number}/{{}}", c.USER_ID)
            marked = rows.with_columns(ids.alias(c.USER_ID), ids.alias(c.GROUP_ID))
            parts.setdefault(protocol, []).append(marked)
    return {protocol: pl.concat(rows) for protocol, rows in parts.items()}


def gains(users: pl.DataFrame, names: Names) -> dict[str, Interval]:
    """Return how far each generator's NDCG@10 lies above the yardstick's, of the same users."""
    base = f"{YARDSTICK}/{NDCG}"
    others = [name for name in names if name != YARDSTICK]
    return {
        name: paired_gains(users, f"{name}/{NDCG}", [base], DRAWS, seed=0)[base] for name in others
    }


def note(bench: Bench, data: str, rows: dict[str, pl.DataFrame], names: Names) -> None:
    """Print a table by protocol, the best generator first, and record its figures."""
    for protocol, users in rows.items():
        figures = [f"{name}/{of}" for of in (NDCG, RECALL) for name in names]
        found = intervals(users, figures, DRAWS, seed=0)
        above = gains(users, names)
        print(f"{data}, {protocol}: {users.height:,} users")
        for name in sorted(names, key=lambda name: -found[f"{name}/{NDCG}"].value):
            told = [said(found[f"{name}/{of}"]) for of in (NDCG, RECALL)]
            told += [said(above[name], "+.4f")] if name in above else []
            print(f"  {name:<16} {'  '.join(told)}", flush=True)
        bench.note(**{f"{data}/{protocol}/users": users.height})
        bench.intervals(f"{data}/{protocol}", found)
        bench.intervals(f"{data}/{protocol}/above {YARDSTICK}", above, "+.4f")


def said(there: Interval, form: str = ".4f") -> str:
    """Return an estimate with its interval as text."""
    return f"{there.value:{form}} [{there.low:{form}}, {there.high:{form}}]"


def main() -> None:
    """Print how the generators do on each data set."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    more: dict[str, dict[str, Any]] = {
        "--generators": {"default": ",".join(GENERATORS)},
        "--data": {"default": ",".join(REAL), "help": "real folders; none: the shops alone"},
        "--earlier": {"type": int, "default": 0},
    }
    wanted, bench = asked(seeds="58,59", worlds="default,rough", more=more), Bench("time_splits")
    settings = Settings(mlflow_url="")
    names = (*wanted.generators.split(","), *BASELINES)
    bench.note(seeds=str(wanted.seeds), earlier=wanted.earlier)
    for data in filter(None, wanted.data.split(",")):
        if settings.real_data is None or not (settings.real_data / data).is_dir():
            bench.note(**{f"{data}/skipped": "VITRINA_REAL_DATA names no such folder"})
            continue
        split = REAL[data](settings.real_data, wanted.earlier, settings)
        note(bench, data, pooled(iter([split]), names, settings), names)
    for world in wanted.worlds:
        bench.world(world_named(world))
        shops = (simulated(world, seed, wanted.earlier, settings) for seed in wanted.seeds)
        note(bench, world, pooled(shops, names, settings), names)
    bench.finish()


if __name__ == "__main__":
    main()
