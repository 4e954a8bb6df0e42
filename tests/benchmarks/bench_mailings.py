"""Do the intervals of a mailing's effect hold the truth: `make bench-mailings`; reach: >= 90%.

For each of --seeds and --worlds a shop lives two weeks; then, every second day, an audience is
drawn from its customers, a third of it is control by the mailing's own hash, and the letter goes to
the rest. The truth is what no shop can know: the same days lived with a letter to everybody of the
audience and with none at all, same customers, same draws. Beside how often each metric's 95%
interval holds it: the mean width, and how far the mean estimate lies from the mean truth.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

import polars as pl

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT)]

from tasks import columns as c  # noqa: E402
from tasks.mailings.audience import SENT, Audience, Choice, chosen  # noqa: E402
from tasks.mailings.effect import BUYERS, ORDERS, REVENUE, SEED, effects  # noqa: E402
from tasks.simulator.parameters import world_named  # noqa: E402
from tasks.simulator.shop import Shop  # noqa: E402
from tests.benchmarks.measure import Bench, asked  # noqa: E402

log = logging.getLogger("bench_mailings")
FIRST_DAY = date(2026, 9, 1)
CUSTOMERS, ITEMS = 1_200, 400
WARM_DAYS, HORIZON, EVERY = 14, 4, 2
MAILINGS = 20
SIZE, CONTROL_SHARE = 600, 1 / 3
METRICS = (SEED, BUYERS, ORDERS, REVENUE)


class Judged(NamedTuple):
    """One metric of one mailing: the truth, the estimate and its interval."""

    metric: str
    truth: float
    effect: float
    low: float
    high: float

    @property
    def holds(self) -> bool:
        """Whether the interval holds the truth."""
        return self.low <= self.truth <= self.high


def lived(shop: Shop, letters: pl.DataFrame | None) -> pl.DataFrame:
    """Return what each customer did in the days after the letters; the shop stays as it is."""
    branch, events = shop.copy(), []
    for age in range(HORIZON):
        lists = branch.present_lists(branch.next_day)
        events.append(branch.live_day(branch.next_day, lists, letters if age == 0 else None))
    return outcomes(pl.concat(events), shop)


def outcomes(events: pl.DataFrame, shop: Shop) -> pl.DataFrame:
    """Return `user_id, seed_thing, orders, revenue` of every customer; the seed thing is a cart."""
    kind, spent = pl.col(c.EVENT_TYPE), pl.col(c.PRICE) * pl.col(c.QUANTITY)
    did = events.group_by(c.USER_ID).agg(
        (kind == c.CART).any().alias(SEED),
        (kind == c.ORDER).sum().cast(pl.Int64).alias(ORDERS),
        spent.filter(kind == c.ORDER).sum().cast(pl.Int64).alias(REVENUE),
    )
    everybody = pl.DataFrame({c.USER_ID: shop.world.customers.ids})
    return everybody.join(did, on=c.USER_ID, how="left").with_columns(
        pl.col(SEED).fill_null(False), pl.col(ORDERS, REVENUE).fill_null(0)
    )


def drawn(shop: Shop, name: str, past: pl.DataFrame) -> Audience:
    """Return an audience of those who have joined, the more active the more probable."""
    acts = past.group_by(c.USER_ID).agg(pl.len().alias("acts"))
    joined = shop.world.customers.ids.filter(pl.Series(shop.world.customers.present(shop.next_day)))
    known = pl.DataFrame({c.USER_ID: joined}).join(acts, on=c.USER_ID, how="left").fill_null(0)
    people = known.select(
        c.USER_ID,
        (1 - 1 / (pl.col("acts") + 2)).alias(c.PROBABILITY),
        pl.lit(None, pl.String).alias(c.REASON),
    ).sort(c.PROBABILITY, c.USER_ID, descending=[True, False])
    return chosen(people, Choice(audience_size=min(SIZE, people.height)), name, CONTROL_SHARE)


def judged(shop: Shop, audience: Audience) -> Iterator[Judged]:
    """Yield each metric of one mailing."""
    people = audience.people
    sent = people.filter(pl.col(c.ROLE) == SENT).select(c.USER_ID)
    seen = people.join(lived(shop, sent), on=c.USER_ID)
    everybody, nobody = lived(shop, people.select(c.USER_ID)), lived(shop, None)
    found = effects(seen, bootstraps=100, seed=0).filter(pl.col("cut") == "all")
    both = people.join(everybody, on=c.USER_ID).join(nobody, on=c.USER_ID, suffix="_unwritten")
    for metric in METRICS:
        row = found.filter(pl.col(c.METRIC) == metric).row(0, named=True)
        yield Judged(metric, truth_of(both, metric), row["effect"], row[c.LOW], row[c.HIGH])


def truth_of(both: pl.DataFrame, metric: str) -> float:
    """Return the mean rise of a metric over the audience, had everybody been written to."""
    name = ORDERS if metric == BUYERS else metric
    arms = both.select(pl.col(name).alias("sent"), pl.col(f"{name}_unwritten").alias("unsent"))
    means = (arms > 0 if metric in (SEED, BUYERS) else arms).cast(pl.Float64).mean()
    return float(means["sent"][0] - means["unsent"][0])


def mailings(world: str, seed: int) -> Iterator[Judged]:
    """Yield what is judged of a shop's mailings."""
    shop = Shop.opened(seed, FIRST_DAY, CUSTOMERS, ITEMS, world_named(world))
    past = [live(shop) for _ in range(WARM_DAYS)]
    for number in range(MAILINGS):
        name = f"{world.replace(':', '-')}-{seed}-{number}"
        yield from judged(shop, drawn(shop, name, pl.concat(past[-WARM_DAYS:])))
        past += [live(shop) for _ in range(EVERY)]
        log.info("%s: %d of %d", name, number + 1, MAILINGS)


def live(shop: Shop) -> pl.DataFrame:
    """Return the events of the shop's next day under its own order, without letters."""
    return shop.live_day(shop.next_day, shop.present_lists(shop.next_day))


def note(bench: Bench, world: str, found: list[Judged]) -> None:
    """Record how often each metric's interval holds the truth."""
    for metric in METRICS:
        rows = [one for one in found if one.metric == metric]
        bench.note(
            **{
                f"{world}/{metric}/coverage": round(fmean(one.holds for one in rows), 3),
                f"{world}/{metric}/width": round(fmean(one.high - one.low for one in rows), 4),
                f"{world}/{metric}/truth": round(fmean(one.truth for one in rows), 4),
                f"{world}/{metric}/estimate": round(fmean(one.effect for one in rows), 4),
            }
        )
    bench.note(**{f"{world}/mailings": len(found) // len(METRICS)})


def main() -> None:
    """Print the coverage of intervals by world and metric."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    wanted, bench = asked(seeds="31,32,33,34,35", worlds="default,rough"), Bench("mailings")
    bench.note(seeds=str(wanted.seeds), people=SIZE, horizon_days=HORIZON)
    for world in wanted.worlds:
        bench.world(world_named(world))
        with bench.timed(world):
            found = [one for seed in wanted.seeds for one in mailings(world, seed)]
        note(bench, world, found)
    bench.finish()


if __name__ == "__main__":
    main()
