"""Generators on time splits, beside the week's popular items: `make bench-time-splits`.

Reach: every personal generator above `popular_7d`. What is learned ends where the last days begin;
what people touched in those is asked for, over the whole catalogue, with the settings of the night.

globo_clicks    news: one reader of 32, nine days learned, the tenth asked
online_retail   gifts bought again and again: nine months learned, the last 14 days asked
default, rough  simulated shops of --seeds: 28 days, the last three asked, stock and cities told

`time` counts every item touched later, `time_new` those that a user never touched before, and then
no list holds what was touched. NDCG@10 and recall@10 with 95% bootstrap intervals over users, and
paired differences in NDCG@10 to `popular_7d`. Then the blend of the night's generators, as in
`candidate_blend`: quotas chosen by marginal recall on the first day asked.

--earlier 1 ends the data so many tests earlier: days to choose settings on, since
VITRINA_CANDIDATES__... hold here as they do at night.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterable
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

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
from tasks.candidates.quotas import blend  # noqa: E402
from tasks.landing.importers.online_retail import categorised  # noqa: E402
from tasks.ranker.measure import Interval, intervals, paired_gains  # noqa: E402
from tasks.settings import Settings  # noqa: E402
from tasks.simulator import real_logs  # noqa: E402
from tasks.simulator.marginals import shop_log  # noqa: E402
from tasks.simulator.parameters import world_named  # noqa: E402
from tasks.simulator.shop import Shop  # noqa: E402
from tasks.train_candidates import heldout_ranks  # noqa: E402
from tests.benchmarks.measure import Bench, asked  # noqa: E402

FIRST_DAY = date(2026, 9, 1)
CUSTOMERS, ITEMS, DAYS = 2_500, 3_000, 28
EACH_READER = 32
NEWS_DAYS, GIFT_DAYS = 1, 14
NDCG = "ndcg@10"
METRICS = (NDCG, "recall@10")
DRAWS = 1_000
Names = tuple[str, ...]

log = logging.getLogger(__name__)


def globo_clicks(folder: Path, earlier: int, settings: Settings) -> Split:
    """Return some readers' clicks, the last whole day asked."""
    clicks = real_logs.globo_clicks(folder / "globo_clicks")
    # The file ends in the night: its last day has three hours.
    end = midnight_of_last(clicks) - timedelta(earlier * NEWS_DAYS)
    some = clicks.filter(pl.col(c.USER_ID) % EACH_READER == 0, pl.col(c.TS) < end)
    interactions = interactions_of(some, Naming(time=c.TS, order=c.RECEIVED_AT))
    known = known_of(interactions, catalogue_of(interactions, None))
    return split_before_last(known, NEWS_DAYS, settings)


def online_retail(folder: Path, earlier: int, settings: Settings) -> Split:
    """Return purchases of known customers, the last two weeks asked."""
    lines = real_logs.online_retail(folder / "online_retail")
    bought = lines.filter(pl.col(c.EVENT_TYPE) == c.ORDER).drop_nulls(c.USER_ID)
    end = midnight_of_last(lines) + timedelta(1) - timedelta(earlier * GIFT_DAYS)
    interactions = interactions_of(bought.filter(pl.col(c.TS) < end), Naming(time=c.TS))
    goods = categorised(pl.scan_parquet(folder / "online_retail" / "items_derived.parquet"))
    facts = goods.select(
        pl.col("StockCode").alias(c.ITEM_ID), c.CATEGORY_GROUP, c.CATEGORY, c.COLOUR
    ).collect()
    known = known_of(interactions, catalogue_of(interactions, facts))
    return split_before_last(known, GIFT_DAYS, settings)


def midnight_of_last(log: pl.DataFrame) -> datetime:
    """Return when the log's last day begins."""
    last = log[c.TS].dt.truncate("1d").max()
    assert isinstance(last, datetime)
    return last


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
    options = settings.candidates
    shop = Shop.opened(seed, FIRST_DAY, CUSTOMERS, ITEMS, world_named(world))
    days = DAYS - earlier * options.holdout_days
    landed = [shop.simulate_day(FIRST_DAY + timedelta(age))[0] for age in range(days)]
    arrived = pl.concat([frames["events"] for frames in landed])
    lived = shop_log(arrived, landed[-1]["items"], landed[-1]["customers"])
    there = landed[-1 - options.holdout_days]
    dated = lived.with_columns(pl.col(c.TS).dt.date().alias(c.DT))
    events = weighted(dated, there["items"], options)
    cut = FIRST_DAY + timedelta(days - 1 - options.holdout_days)
    learned = events.filter(pl.col(c.DT) <= cut)
    then = Known(cut, learned, there["items"], located(learned, there["customers"]))
    return time_split(then, events, options)


def splits_of(
    data: str, seeds: list[int], earlier: int, settings: Settings
) -> Iterable[Split] | None:
    """Return the splits of a data set, one a seed of a world; None where its folder is absent."""
    if data not in REAL:
        return (simulated(data, seed, earlier, settings) for seed in seeds)
    folder = settings.real_data
    if folder is None or not (folder / data).is_dir():
        return None
    return [REAL[data](folder, earlier, settings)]


class Found(NamedTuple):
    """Of one data set, with `user_id` of all its parts told apart.

    Attributes:
        users: by protocol, each test user's NDCG@10 and recall@10 of each generator.
        ranks: HELDOUT_RANKS rows: where each generator has what was touched later.
    """

    users: dict[str, pl.DataFrame]
    ranks: pl.DataFrame


def found_in(split: Split, names: Names, settings: Settings) -> Found:
    """Fit each generator, and return what it finds."""
    truths = {one.name: one.truth for one in split.protocols}
    users = {
        name: truth.select(c.USER_ID).unique().sort(c.USER_ID) for name, truth in truths.items()
    }
    ranks = []
    for name in names:
        started = time.monotonic()
        generator = fitted(name, split.known, settings)
        lists = heldout_lists(generator, split)
        ranks.append(heldout_ranks(generator, split).with_columns(pl.lit(name).alias(c.GENERATOR)))
        log.info("%s: fitted and listed in %.1f s", name, time.monotonic() - started)
        for protocol, truth in truths.items():
            judged = user_metrics(lists[protocol], truth, split.warm)
            named = (pl.col(of).alias(f"{name}/{of}") for of in METRICS)
            users[protocol] = users[protocol].join(judged.select(c.USER_ID, *named), on=c.USER_ID)
    return Found(users, pl.concat(ranks))


def pooled(splits: Iterable[Split], names: Names, settings: Settings) -> Found:
    """Return what is found in several shops together; users of two shops are two users."""
    parts = [
        Found(
            {name: told_apart(rows, shop) for name, rows in one.users.items()},
            told_apart(one.ranks, shop),
        )
        for shop, one in enumerate(found_in(split, names, settings) for split in splits)
    ]
    users = {name: pl.concat(part.users[name] for part in parts) for name in parts[0].users}
    return Found(users, pl.concat(part.ranks for part in parts))


def told_apart(rows: pl.DataFrame, shop: int) -> pl.DataFrame:
    """Return the rows with the shop's number in `user_id`."""
    return rows.with_columns(pl.format(f"{shop}/{{}}", c.USER_ID).alias(c.USER_ID))


def gains(users: pl.DataFrame, names: Names) -> dict[str, Interval]:
    """Return how far each generator's NDCG@10 lies above the yardstick's, of the same users."""
    base = f"{YARDSTICK}/{NDCG}"
    others = [name for name in names if name != YARDSTICK]
    return {
        name: paired_gains(users, f"{name}/{NDCG}", [base], DRAWS, seed=0)[base] for name in others
    }


def note(bench: Bench, data: str, found: Found, names: Names) -> None:
    """Print a table by protocol, the best generator first, and record its figures."""
    for protocol, rows in found.users.items():
        users = rows.with_columns(pl.col(c.USER_ID).alias(c.GROUP_ID))
        figures = [f"{name}/{of}" for of in METRICS for name in names]
        values, above = intervals(users, figures, DRAWS, seed=0), gains(users, names)
        print(f"{data}, {protocol}: {users.height:,} users")
        for name in sorted(names, key=lambda name: -values[f"{name}/{NDCG}"].value):
            told = [said(values[f"{name}/{of}"]) for of in METRICS]
            told += [said(above[name], "+.4f")] if name in above else []
            print(f"  {name:<16} {'  '.join(told)}", flush=True)
        bench.note(**{f"{data}/{protocol}/users": users.height})
        bench.intervals(f"{data}/{protocol}", values)
        bench.intervals(f"{data}/{protocol}/above {YARDSTICK}", above, "+.4f")


def note_blend(bench: Bench, data: str, ranks: pl.DataFrame, sources: Names) -> None:
    """Print and record what a blend of the night's generators comes to, and each alone."""
    of_night = ranks.filter(pl.col(c.GENERATOR).is_in(sources))
    print(f"{data}, blend: quota, recall, what the source alone finds")
    for row in blend(of_night, list(sources), DRAWS, seed=0).to_dicts():
        budget, source, recall = row["budget"], row["source"], row["recall"]
        alone = "" if row["unique_recall"] is None else f"  {row['unique_recall']:.4f}"
        there = Interval(recall, row[c.LOW], row[c.HIGH])
        print(f"  {budget:>5} {source:<16} {row['quota']:>5}  {said(there)}{alone}", flush=True)
        bench.intervals(f"{data}/blend", {f"{source}/recall@{budget}": there})
        bench.note(**{f"{data}/blend/{source}/quota@{budget}": row["quota"]})
        if row["unique_recall"] is not None:
            bench.note(**{f"{data}/blend/{source}/unique@{budget}": round(row["unique_recall"], 4)})


def said(there: Interval, form: str = ".4f") -> str:
    """Return an estimate with its interval as text."""
    return f"{there.value:{form}} [{there.low:{form}}, {there.high:{form}}]"


def main() -> None:
    """Print how the generators do on each data set, and what a blend of them finds."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    more: dict[str, dict[str, Any]] = {
        "--generators": {"default": ",".join(GENERATORS)},
        "--data": {"default": ",".join(REAL), "help": "real folders; empty: the worlds alone"},
        "--earlier": {"type": int, "default": 0},
    }
    wanted, bench = asked("58,59", "default,rough", more), Bench("time_splits")
    settings = Settings(mlflow_url="")
    names = (*wanted.generators.split(","), *BASELINES)
    sources = tuple(name for name in settings.candidates.generators if name in names)
    bench.note(seeds=str(wanted.seeds), earlier=wanted.earlier)
    for data in filter(None, [*wanted.data.split(","), *wanted.worlds]):
        splits = splits_of(data, wanted.seeds, wanted.earlier, settings)
        if splits is None:
            bench.note(**{f"{data}/skipped": "VITRINA_REAL_DATA names no folder with it"})
            continue
        found = pooled(splits, names, settings)
        note(bench, data, found, names)
        note_blend(bench, data, found.ranks, sources)
    bench.finish()


if __name__ == "__main__":
    main()
