"""What the ranker brings: `make bench-reranking`, by `respond`, against what it reorders.

For each of --seeds and --worlds a shop lives three weeks under its own order; the chain's own steps
learn from what it logged. Then three arms each fill the lists of the same 14 days, for the same
customers with the same draws: `sf_pos`, the segment ranking; `boost`, the guarded boost on it;
`ranker`, the first `TOP` of the boost reordered by the model. Each arm learns on from its own days
in a lake of its own: counters, scores and preferences every night; candidates and the model after a
week. Told per customer: views, carts, orders and net value (orders less returns, minor units), and
how far `ranker` lies above the others, with 95% bootstrap intervals over customers.
"""

from __future__ import annotations

import logging
import shutil
import sys
import tempfile
from datetime import date, timedelta
from functools import lru_cache
from pathlib import Path

import polars as pl
from catboost import CatBoost

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "plugins")]

from tasks import columns as c  # noqa: E402
from tasks.boost.arithmetic import REQUEST  # noqa: E402
from tasks.boost.known import Known  # noqa: E402
from tasks.lake.lake import Lake  # noqa: E402
from tasks.lake.tables import RANKING_GROUPS  # noqa: E402
from tasks.ranker import model as ranker  # noqa: E402
from tasks.ranker.groups import candidate_days, finished, with_candidates, with_known  # noqa: E402
from tasks.ranker.measure import intervals, paired_gains  # noqa: E402
from tasks.ranker.trial import fitted, trained_rows  # noqa: E402
from tasks.settings import Boost, Candidates, Settings, Training  # noqa: E402
from tasks.simulator.parameters import world_named  # noqa: E402
from tasks.simulator.policies import Morning  # noqa: E402
from tasks.simulator.shop import Shop  # noqa: E402
from tests.benchmarks import bench_boost as boost  # noqa: E402
from tests.benchmarks.measure import Bench, asked  # noqa: E402

TOP = 300
CANDIDATES: boost.Steps = (("train_candidates", None),)
GROUPS: boost.Steps = (("retrain_ranker", "build_groups"),)
GENERATORS = ("popular", "ease", "lightfm")
SF_POS, BOOST, RANKER = "sf_pos", "boost", "ranker"
VALUE = "net value"
OUTCOMES = (c.VIEW, c.CART, c.ORDER, VALUE)
DRAWS = 1_000


def opened(
    settings: Settings,
    world: str,
    seed: int,
    customers: int = boost.CUSTOMERS,
    items: int = boost.ITEMS,
) -> Shop:
    """Return a shop after its weeks under its own order, with candidates and groups."""
    shop = boost.opened(settings, world, seed, customers, items)
    last = shop.next_day - timedelta(days=1)
    for week in (2, 1, 0):
        boost.learn(last - week * timedelta(days=boost.WEEK), settings, CANDIDATES)
    boost.learn(last, settings, GROUPS)
    return shop


def reordered(known: Known, today: Morning, settings: Settings) -> pl.DataFrame:
    """Return the boosted lists, the first `TOP` in the order of the newest groups' model."""
    lists = boost.lists_of(known, today, Boost())
    first = pl.col(c.RANK) <= TOP
    features = known_rows(lists.rows.filter(first), today, settings)
    model = model_of(settings, newest_groups(settings))
    features = features.with_columns(ranker.score(model, features, settings.threads))
    scores = features.select(pl.col(c.GROUP_ID).alias(REQUEST), c.ITEM_ID, c.SCORE)
    rows = lists.rows.drop(c.SCORE).join(scores, on=[REQUEST, c.ITEM_ID], how="left")
    # What the model does not see comes after it, in the order that it had.
    ordered = rows.sort(REQUEST, c.SCORE, c.RANK, descending=[False, True, False], nulls_last=True)
    place = pl.int_range(1, pl.len() + 1).over(REQUEST).alias(c.RANK)
    return boost.shown(boost.Lists(ordered.with_columns(place), lists.report))


def known_rows(rows: pl.DataFrame, today: Morning, settings: Settings) -> pl.DataFrame:
    """Return RANKING_GROUPS rows of lists that nobody has seen, as known the day before."""
    told = today.requests.select(
        pl.col(c.LISTING_ID).alias(REQUEST), pl.col(c.TS).alias("listed_at"), c.PLATFORM, c.SURFACE
    )
    asked_for = rows.select(REQUEST, c.ITEM_ID, c.USER_ID).join(told, on=REQUEST)
    unknown = pl.lit(None, pl.String).alias("listing_kind")
    flags = ("is_shuffled", "is_trained", "is_measured", "is_held_out")
    group_rows = asked_for.rename({REQUEST: c.GROUP_ID}).with_columns(
        unknown,
        *(pl.lit(False).alias(flag) for flag in flags),
        pl.lit(True).alias("is_shown"),
        pl.lit(today.day).alias(c.LISTING_DAY),
        pl.lit(None, pl.Int32).alias(c.POSITION),
        pl.lit(0, pl.Int64).alias(c.LABEL),
    )
    lake = Lake(settings)
    known = with_known(lake, today.day + timedelta(days=1), group_rows, [today.day])
    return finished(with_candidates(lake, known, candidate_days(lake, [today.day])))


def newest_groups(settings: Settings) -> date:
    """Return the newest day that has groups."""
    return max(day for day, _ in Lake(settings).ledger.written(RANKING_GROUPS))


@lru_cache(maxsize=1)
def model_of(settings: Settings, newest: date) -> CatBoost:
    """Return the model of a day's groups."""
    return fitted(trained_rows(Lake(settings).read_day(RANKING_GROUPS, newest)), settings)


ARMS: dict[str, tuple[boost.Fill, boost.Steps]] = {
    SF_POS: (boost.ordered_by(None), ()),
    BOOST: (boost.ordered_by(Boost()), ()),
    RANKER: (reordered, CANDIDATES + GROUPS),
}


def outcomes(shop: Shop, settings: Settings) -> pl.DataFrame:
    """Return each customer's outcomes by arm, as `arm/outcome`."""
    rows = pl.DataFrame({c.USER_ID: shop.world.customers.ids})
    for arm, (fill, weekly) in ARMS.items():
        home = settings.home / arm
        own = settings.model_copy(update={"home": home})
        for part in ("landing", "lake"):
            shutil.copytree(settings.home / part, home / part)
        events = boost.lived(shop, fill, own, boost.SCORES + boost.PREFERENCES, weekly)
        rows = rows.join(counted(events, arm), on=c.USER_ID, how="left")
        shutil.rmtree(home)
    return rows.fill_null(0.0)


def counted(events: pl.DataFrame, arm: str) -> pl.DataFrame:
    """Return `user_id` and `arm/outcome`: how many, and the net value."""
    sign = pl.col(c.EVENT_TYPE).replace_strict({c.ORDER: 1, c.RETURN: -1}, default=0)
    worth = (sign * pl.col(c.PRICE) * pl.col(c.QUANTITY)).sum().cast(pl.Float64)
    return events.group_by(c.USER_ID).agg(
        *(
            (pl.col(c.EVENT_TYPE) == outcome).sum().cast(pl.Float64).alias(f"{arm}/{outcome}")
            for outcome in OUTCOMES
            if outcome != VALUE
        ),
        worth.alias(f"{arm}/{VALUE}"),
    )


def settings_of(home: Path) -> Settings:
    """Return the settings of a shop whose models train on whatever day."""
    return Settings(
        home=home,
        mlflow_url="",
        min_free_gb=0,
        training=Training(force=True),
        candidates=Candidates(generators=GENERATORS),
    )


def tried(world: str, seed: int) -> pl.DataFrame:
    """Return one shop's outcomes by customer."""
    with tempfile.TemporaryDirectory() as folder:
        settings = settings_of(Path(folder))
        rows = outcomes(opened(settings, world, seed), settings)
    ids = pl.format(f"{seed}/{{}}", c.USER_ID).alias(c.USER_ID)
    return rows.with_columns(ids, ids.alias(c.GROUP_ID))


def main() -> None:
    """Print outcomes by arm, and what the ranker gains, for each world."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", stream=sys.stderr)
    boost.log.setLevel(logging.INFO)
    wanted, bench = asked(seeds="31,32", worlds="default,rough"), Bench("reranking")
    bench.note(seeds=str(wanted.seeds), days=boost.DAYS, customers=boost.CUSTOMERS)
    for world in wanted.worlds:
        bench.world(world_named(world))
        with bench.timed(world):
            rows = pl.concat(tried(world, seed) for seed in wanted.seeds)
        for outcome in OUTCOMES:
            names = [f"{arm}/{outcome}" for arm in ARMS]
            bench.intervals(world, intervals(rows, names, DRAWS, seed=0))
            others = [f"{SF_POS}/{outcome}", f"{BOOST}/{outcome}"]
            gains = paired_gains(rows, f"{RANKER}/{outcome}", others, DRAWS, seed=0)
            bench.intervals(f"{world}/{RANKER}_over", gains, "+.4f")
    bench.finish()


if __name__ == "__main__":
    main()
