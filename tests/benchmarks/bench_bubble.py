"""Whether recommendations shut people in: `make bench-bubble`, the loop closed by `respond`.

For each of --seeds and --worlds (tastes that stay: `default`; that turn towards what was viewed:
`rough:reinforced`) a shop lives two weeks under its own order. Then for 14 days an arm fills the
share of the listings that it steers, 10, 50 or 90% of them, the same listings for every arm; the
shop's present order fills the others.

random, popular    no model
own                EASE, fitted every morning to the acts on its own listings of the last two weeks
all                the same, fitted to the acts on all listings
sasrec             SASRec, trained on every morning on from the morning before, to the acts on all
                   listings of the last two weeks
explored           `own` with 10% of the slots drawn from the rest of the shelf; an act on a drawn
                   slot counts 1 / 0.1 times, the inverse of the propensity of being drawn

Told per customer with 95% bootstrap intervals, and paired against `own`: carts, orders, and new
categories (first acts, after the two weeks, in a category where the two weeks had none). Of the
arm's last week: Gini of impressions over items on sale. Of its last morning's steered listings:
`divergence`, per customer the Jensen-Shannon divergence in bits (0 to 1) between the brands that
are shown and those that the true P(cart | examined) of the whole shelf would share slots among.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT)]

from tasks import columns as c  # noqa: E402
from tasks.candidates.ease import Ease  # noqa: E402
from tasks.candidates.generator import Generator, Known, Run  # noqa: E402
from tasks.candidates.sasrec import SASRec  # noqa: E402
from tasks.ranker.measure import intervals, paired_gains  # noqa: E402
from tasks.settings import Candidates  # noqa: E402
from tasks.simulator.parameters import world_named  # noqa: E402
from tasks.simulator.policies import (  # noqa: E402
    SHELF,
    Morning,
    Policy,
    at_random,
    morning,
    ordered_by,
    popularity,
    shelves,
)
from tasks.simulator.shop import Shop  # noqa: E402
from tests.benchmarks.bench_policies import by_scores, known_of  # noqa: E402
from tests.benchmarks.measure import Bench, asked, numbers  # noqa: E402

FIRST_DAY = date(2026, 9, 1)
CUSTOMERS, ITEMS = 1_000, 1_000
OPTIONS = Candidates()
DAILY_STEPS = 20
LEARNT_DAYS, DAYS, WEEK = 14, 14, 7
EXPLORED = 0.1
OWN = "own"
NEW = "new categories"
DIVERGENCE = "divergence"
OUTCOMES = (c.CART, c.ORDER, NEW, DIVERGENCE)
SLOT = [c.LISTING_ID, c.ITEM_ID]
LISTED = [c.LISTING_ID, c.POSITION, c.ITEM_ID]
SHARES = 1_000_003
DRAWS = 1_000

log = logging.getLogger(__name__)


def share_of(*columns: str) -> pl.Expr:
    """Return a number in [0, 1) that only these columns decide."""
    return pl.struct(*columns).hash(seed=1) % SHARES / SHARES


def steered(rows: pl.DataFrame, share: float) -> pl.DataFrame:
    """Return the rows whose listing is among the share that an arm fills."""
    return rows.filter(share_of(c.LISTING_ID) < share)


def everything(events: pl.DataFrame, share: float) -> pl.DataFrame:
    """Return all events of the last two weeks."""
    return events


@dataclass(frozen=True)
class Arm:
    """How steered listings are filled: by a policy, or by a generator of the morning.

    `fit` gets the morning with the events that `learns` leaves, and the model of the morning before
    if there is one; `explored` slots are drawn.
    """

    policy: Policy | None = None
    fit: Callable[[Morning, Generator | None], Generator] | None = None
    learns: Callable[[pl.DataFrame, float], pl.DataFrame] = everything
    explored: float = 0.0


def learned(known: Morning, options: Candidates) -> Known:
    """Return what the morning's events teach: also of those who do not ask today."""
    then = known_of(known, options)
    told = pl.concat([then.users.select(c.USER_ID), then.interactions.select(c.USER_ID)]).unique()
    return replace(then, users=told.join(then.users, on=c.USER_ID, how="left").sort(c.USER_ID))


def ease(known: Morning, before: Generator | None) -> Generator:
    """Return EASE of the morning."""
    return Ease.fit(learned(known, OPTIONS), OPTIONS, Run(0, threads=1))


def sasrec(known: Morning, before: Generator | None) -> Generator:
    """Return SASRec of the morning, after a few steps from where the morning before left it."""
    steps = OPTIONS.sasrec.model_copy(update={"min_steps": DAILY_STEPS} if before else {})
    options = OPTIONS.model_copy(update={"sasrec": steps})
    return SASRec.fit(learned(known, options), options, Run(0, threads=1, parent=before))


ARMS = {
    "random": Arm(ordered_by(at_random)),
    "popular": Arm(ordered_by(popularity)),
    OWN: Arm(fit=ease, learns=steered),
    "all": Arm(fit=ease),
    "sasrec": Arm(fit=sasrec),
    "explored": Arm(fit=ease, learns=steered, explored=EXPLORED),
}


@dataclass(frozen=True)
class Loop:
    """What an arm's days brought, and what its last morning showed beside the truth."""

    events: pl.DataFrame
    divergence: pl.DataFrame


def looped(shop: Shop, arm: Arm, share: float, past: pl.DataFrame) -> Loop:
    """Return the arm's days; the shop itself stays as it is."""
    own, lived, drawn = shop.copy(), [past], [_NOTHING]
    model: Generator | None = None
    for number in range(1, DAYS + 1):
        known = morning(own, since(pl.concat(lived), own.next_day, LEARNT_DAYS))
        today = learning(known, arm, share, pl.concat(drawn))
        model = arm.fit(today, model) if arm.fit else None
        mine, explored = filled(today, arm, model)
        drawn.append(explored)
        if number == DAYS:
            divergence = diverged(own, known, mine, share)
        present = own.present_lists(own.next_day).select(LISTED)
        others = present.join(mine, on=c.LISTING_ID, how="anti")
        lived.append(own.live_day(own.next_day, pl.concat([others, mine])))
    return Loop(pl.concat(lived[1:]), divergence)


_NOTHING = pl.DataFrame(schema={c.LISTING_ID: pl.String, c.ITEM_ID: pl.String})


def since(events: pl.DataFrame, day: date, days: int) -> pl.DataFrame:
    """Return the events of the `days` days before `day`."""
    return events.filter(pl.col(c.TS).dt.date() >= day - timedelta(days=days))


def learning(known: Morning, arm: Arm, share: float, drawn: pl.DataFrame) -> Morning:
    """Return the morning with the requests that the arm fills and the events it learns from."""
    events = arm.learns(known.events, share)
    if arm.explored:
        events = weighted_up(events, drawn, round(1 / arm.explored))
    return replace(known, requests=steered(known.requests, share), events=events)


def filled(today: Morning, arm: Arm, model: Generator | None) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return `listing_id, position, item_id` of the steered listings, and their drawn slots."""
    if today.requests.is_empty():
        return _NOTHING.with_columns(pl.lit(0, pl.Int32).alias(c.POSITION)).select(LISTED), _NOTHING
    policy = by_scores(model, OPTIONS) if model else arm.policy
    assert policy is not None
    lists = policy(today).select(LISTED)
    return explored(today, lists, arm.explored) if arm.explored else (lists, _NOTHING)


def weighted_up(events: pl.DataFrame, drawn: pl.DataFrame, times: int) -> pl.DataFrame:
    """Return the events, those on drawn slots so many times."""
    on_drawn = events.join(drawn, on=SLOT, how="semi")
    return pl.concat([events, *[on_drawn] * (times - 1)])


def explored(
    today: Morning, lists: pl.DataFrame, share: float
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the lists with a share of the slots drawn from the rest of the shelf, and these."""
    rest = shelves(today, SHELF).join(lists, on=SLOT, how="anti").select(SLOT)
    rest = rest.with_columns(share_of(*SLOT).rank("ordinal").over(c.LISTING_ID).alias("number"))
    is_drawn = share_of(c.LISTING_ID, c.POSITION) < share
    slots = lists.filter(is_drawn).with_columns(
        pl.int_range(1, pl.len() + 1, dtype=pl.UInt32).over(c.LISTING_ID).alias("number")
    )
    found = slots.drop(c.ITEM_ID).join(rest, on=[c.LISTING_ID, "number"]).select(LISTED)
    kept = lists.join(found, on=[c.LISTING_ID, c.POSITION], how="anti")
    return pl.concat([kept, found]), found.select(SLOT)


def diverged(shop: Shop, known: Morning, lists: pl.DataFrame, share: float) -> pl.DataFrame:
    """Return `user_id, divergence` of the morning's steered listings."""
    whole = shelves(replace(known, requests=steered(known.requests, share)), SHELF)
    place = pl.int_range(1, pl.len() + 1, dtype=pl.Int32).over(c.LISTING_ID).alias(c.POSITION)
    true = shop.truth(known.day, whole.with_columns(place).select(LISTED))
    p = pl.col("p_cart_if_examined")
    wanted = true.select(*SLOT, (p / p.sum().over(c.LISTING_ID)).alias("wanted"))
    given = lists.select(*SLOT, (1 / pl.len().over(c.LISTING_ID)).alias("given"))
    rows = whole.select(c.USER_ID, *SLOT).join(wanted, on=SLOT).join(given, on=SLOT, how="left")
    brands = known.items.select(c.ITEM_ID, c.BRAND)
    mass = rows.join(brands, on=c.ITEM_ID).group_by(c.USER_ID, c.BRAND)
    sums = mass.agg(pl.col("wanted").sum(), pl.col("given").sum())
    parts = [(pl.col(name) / pl.col(name).sum().over(c.USER_ID)) for name in ("wanted", "given")]
    return (
        sums.with_columns(parts)
        .with_columns(((pl.col("wanted") + pl.col("given")) / 2).alias("middle"))
        .group_by(c.USER_ID)
        .agg((bits("wanted") + bits("given")).sum().alias(DIVERGENCE))
    )


def bits(name: str) -> pl.Expr:
    """Return half of p log2(p / middle), 0 where p is 0."""
    p = pl.col(name)
    return pl.when(p > 0).then(p * (p / pl.col("middle")).log(2) / 2).otherwise(0.0)


def gini(events: pl.DataFrame, items: pl.DataFrame) -> float:
    """Return Gini of impressions over the items on sale: 0 all alike, 1 all on one."""
    shown = events.filter(pl.col(c.EVENT_TYPE) == c.IMPRESSION).group_by(c.ITEM_ID).len("n")
    counts = items.filter(c.IN_STOCK).join(shown, on=c.ITEM_ID, how="left")["n"].fill_null(0)
    ordered = np.sort(counts.to_numpy().astype(float))
    place = np.arange(1, len(ordered) + 1)
    return float((2 * place - len(ordered) - 1) @ ordered / (len(ordered) * ordered.sum()))


def counted(shop: Shop, past: pl.DataFrame, loop: Loop, arm: str) -> pl.DataFrame:
    """Return a row a customer: `arm/outcome`; divergence is null where nothing was steered."""
    acts = pl.col(c.EVENT_TYPE).is_in((c.VIEW, c.FAVORITE, c.CART, c.ORDER))
    kinds = morning(shop, past).items.select(c.ITEM_ID, c.CATEGORY)
    pair = [c.USER_ID, c.CATEGORY]
    before = past.filter(acts).join(kinds, on=c.ITEM_ID).select(pair).unique()
    after = loop.events.filter(acts).join(kinds, on=c.ITEM_ID).select(pair).unique()
    new = after.join(before, on=pair, how="anti").group_by(c.USER_ID).len(f"{arm}/{NEW}")
    outcomes = loop.events.group_by(c.USER_ID).agg(
        (pl.col(c.EVENT_TYPE) == what).sum().alias(f"{arm}/{what}") for what in (c.CART, c.ORDER)
    )
    rows = pl.DataFrame({c.USER_ID: shop.world.customers.ids})
    for part in (outcomes, new):
        rows = rows.join(part, on=c.USER_ID, how="left")
    told = loop.divergence.rename({DIVERGENCE: f"{arm}/{DIVERGENCE}"})
    return rows.fill_null(0).cast({pl.UInt32: pl.Float64}).join(told, on=c.USER_ID, how="left")


def tried(
    world: str, seed: int, share: float, customers: int
) -> tuple[pl.DataFrame, dict[str, float]]:
    """Return one shop's outcomes by customer and arm, and each arm's Gini."""
    shop = Shop.opened(seed, FIRST_DAY, customers, ITEMS, world_named(world))
    past = pl.concat(
        shop.live_day(shop.next_day, shop.present_lists(shop.next_day)) for _ in range(LEARNT_DAYS)
    )
    rows = pl.DataFrame({c.USER_ID: shop.world.customers.ids})
    ginis = {}
    for name, arm in ARMS.items():
        loop = looped(shop, arm, share, past)
        rows = rows.join(counted(shop, past, loop, name), on=c.USER_ID)
        last = since(loop.events, shop.next_day + timedelta(days=DAYS), WEEK)
        ginis[name] = gini(last, morning(shop, past).items)
        log.info("seed %d, %s steers %.0f%%", seed, name, 100 * share)
    ids = pl.format(f"{seed}/{{}}", c.USER_ID)
    return rows.with_columns(ids.alias(c.USER_ID), ids.alias(c.GROUP_ID)), ginis


def figures(rows: pl.DataFrame) -> Iterator[tuple[str, pl.DataFrame]]:
    """Yield each outcome with the customers of whom every arm has one."""
    for outcome in OUTCOMES:
        names = [f"{arm}/{outcome}" for arm in ARMS]
        yield outcome, rows.drop_nulls(names)


def note(bench: Bench, prefix: str, rows: pl.DataFrame, ginis: list[dict[str, float]]) -> None:
    """Record each arm's outcomes, and how far `own` lies above the others."""
    for outcome, known in figures(rows):
        names = [f"{arm}/{outcome}" for arm in ARMS]
        bench.intervals(prefix, intervals(known, names, DRAWS, seed=0))
        others = [name for name in names if not name.startswith(f"{OWN}/")]
        gains = paired_gains(known, f"{OWN}/{outcome}", others, DRAWS, seed=0)
        bench.intervals(f"{prefix}/{OWN} over", gains, "+.4f")
    for arm in ARMS:
        mean = np.mean([one[arm] for one in ginis])
        bench.note(**{f"{prefix}/{arm}/gini": f"{mean:.3f}"})


def main() -> None:
    """Print what each arm brought, for each kind of taste and share that is steered."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", stream=sys.stderr)
    log.setLevel(logging.INFO)
    more = {
        "--percent": {"type": numbers, "default": [10, 50, 90], "help": "steered: 10,50,90"},
        "--customers": {"type": int, "default": CUSTOMERS, "help": "of each shop"},
    }
    wanted, bench = asked("36,37,38,39,40", "default,rough:reinforced", more), Bench("bubble")
    bench.note(seeds=str(wanted.seeds), days=DAYS, customers=wanted.customers, items=ITEMS)
    for world in wanted.worlds:
        bench.world(world_named(world))
        for percent in wanted.percent:
            name = f"{world}/{percent}%"
            with bench.timed(name):
                found = [
                    tried(world, seed, percent / 100, wanted.customers) for seed in wanted.seeds
                ]
            rows = pl.concat(rows for rows, _ in found)
            note(bench, name, rows, [ginis for _, ginis in found])
    bench.finish()


if __name__ == "__main__":
    main()
