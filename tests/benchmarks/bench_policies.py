"""What another order would have brought: `make bench-policies`, by `respond`, not by logged labels.

For each of --seeds and --worlds a shop lives two weeks under its own order; EASE is fitted to what
it logged; then four policies each fill the lists of the same 14 days, for the same customers with
the same draws: the shop's own order, a random one, popularity of the last week, and EASE. Figures
are per customer and their differences to popularity, with 95% bootstrap intervals over customers.
"""

from __future__ import annotations

import logging
import sys
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT)]

from tasks import columns as c  # noqa: E402
from tasks.candidates.ease import Ease  # noqa: E402
from tasks.candidates.generator import Generator, Known, Run  # noqa: E402
from tasks.candidates.interactions import requests_of, weighted  # noqa: E402
from tasks.ranker.measure import intervals, paired_gains  # noqa: E402
from tasks.settings import Candidates, Settings  # noqa: E402
from tasks.simulator.parameters import world_named  # noqa: E402
from tasks.simulator.policies import (  # noqa: E402
    Morning,
    Policy,
    at_random,
    morning,
    ordered_by,
    played,
    popularity,
)
from tasks.simulator.shop import Shop  # noqa: E402
from tests.benchmarks.measure import Bench, asked  # noqa: E402

FIRST_DAY = date(2026, 9, 1)
CUSTOMERS, ITEMS = 2_000, 1_000
LEARNT_DAYS, DAYS = 14, 14
OWN, RANDOM, POPULAR, EASE = "own", "random", "popular", "ease"
ARMS = (OWN, RANDOM, POPULAR, EASE)
OUTCOMES = (c.VIEW, c.CART, c.ORDER)
EVERYTHING = 1_000_000
DRAWS = 1_000


def interactions(known: Morning, options: Candidates) -> pl.DataFrame:
    """Return what a morning's events are to generators."""
    dated = known.events.with_columns(pl.col(c.TS).dt.date().alias(c.DT))
    return weighted(dated, known.items, options)


def known_of(today: Morning, options: Candidates) -> Known:
    """Return a morning as generators know it."""
    users = today.requests.select(c.USER_ID, c.CITY).unique(c.USER_ID).sort(c.USER_ID)
    return Known(today.day, interactions(today, options), today.items, users)


def ease(known: Morning, settings: Settings) -> Policy:
    """Return the policy that shows what goes with what a customer touched, else what is popular."""
    options = settings.candidates
    return by_scores(Ease.fit(known_of(known, options), options, Run(0, settings.threads)), options)


def by_scores(model: Generator, options: Candidates) -> Policy:
    """Return the policy that orders shelves by a generator's scores, else by what is popular."""

    def score(today: Morning, rows: pl.DataFrame) -> pl.Series:
        asking = requests_of(known_of(today, options), rows[c.USER_ID])
        user = pl.Series(asking.users[c.USER_ID])
        scores = model.scores(asking)
        table = pl.DataFrame(
            {
                c.USER_ID: user.gather(np.repeat(np.arange(len(scores)), scores.shape[1])),
                c.ITEM_ID: pl.concat([model.item_ids] * len(scores)),
                c.SCORE: np.where(np.isfinite(scores), scores, np.nan).ravel(),
            }
        )
        found = rows.join(table, on=[c.USER_ID, c.ITEM_ID], how="left", maintain_order="left")
        # Popularity breaks ties, and orders the shelves of those of whom nothing is known.
        worth = popularity(today, rows)
        return found[c.SCORE].fill_nan(None).fill_null(0.0) + 1e-9 * worth

    return ordered_by(score)


def outcomes(shop: Shop, past: pl.DataFrame, settings: Settings) -> pl.DataFrame:
    """Return each customer's number of each outcome by arm, as `arm/outcome`."""
    policies: dict[str, Policy | None] = {
        OWN: None,
        RANDOM: ordered_by(at_random, EVERYTHING),
        POPULAR: ordered_by(popularity),
        EASE: ease(morning(shop, past), settings),
    }
    rows = pl.DataFrame({c.USER_ID: shop.world.customers.ids}).with_columns(
        pl.col(c.USER_ID).alias(c.GROUP_ID)
    )
    for arm, policy in policies.items():
        events = played(shop, policy, DAYS, past)
        counts = events.group_by(c.USER_ID).agg(
            (pl.col(c.EVENT_TYPE) == outcome).sum().cast(pl.Float64).alias(f"{arm}/{outcome}")
            for outcome in OUTCOMES
        )
        rows = rows.join(counts, on=c.USER_ID, how="left").fill_null(0.0)
    return rows


def lived(world: str, seed: int, settings: Settings) -> pl.DataFrame:
    """Return `outcomes` of one shop after its two weeks under its own order."""
    shop = Shop.opened(seed, FIRST_DAY, CUSTOMERS, ITEMS, world_named(world))
    past = [
        shop.live_day(shop.next_day, shop.present_lists(shop.next_day)) for _ in range(LEARNT_DAYS)
    ]
    ids = pl.format(f"{seed}/{{}}", c.USER_ID)
    rows = outcomes(shop, pl.concat(past), settings)
    return rows.with_columns(ids.alias(c.USER_ID), ids.alias(c.GROUP_ID))


def note(bench: Bench, world: str, rows: pl.DataFrame) -> None:
    """Record each arm's outcomes per customer, and how far each lies above popularity."""
    for outcome in OUTCOMES:
        names = [f"{arm}/{outcome}" for arm in ARMS]
        bench.intervals(world, intervals(rows, names, DRAWS, seed=0))
        base = f"{POPULAR}/{outcome}"
        for arm in (OWN, RANDOM, EASE):
            gains = paired_gains(rows, f"{arm}/{outcome}", [base], DRAWS, seed=0)
            bench.intervals(f"{world}/{arm}_over", gains, "+.4f")


def main() -> None:
    """Print views, carts and orders per customer in 14 days by arm, and what each arm gains."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    wanted, bench = asked(seeds="31,32", worlds="default,rough"), Bench("policies")
    bench.note(seeds=str(wanted.seeds), days=DAYS, customers=CUSTOMERS)
    settings = Settings(mlflow_url="")
    for world in wanted.worlds:
        bench.world(world_named(world))
        found = []
        for seed in wanted.seeds:
            with bench.timed(f"{world}/{seed}"):
                found.append(lived(world, seed, settings))
        note(bench, world, pl.concat(found))
    bench.finish()


if __name__ == "__main__":
    main()
