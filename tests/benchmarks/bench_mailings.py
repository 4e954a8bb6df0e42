"""Do the intervals of a mailing's effect hold the truth: `make bench-mailings`; reach: >= 90%.

For each of --seeds and --worlds a shop lives two weeks; then, every second day, an audience is
drawn from its customers, a third of it is control by the mailing's own hash, and the letter goes to
the rest. What each did is told by the SQL of `measure_mailing`. The truth is what no shop can know:
the same days lived with a letter to everybody of the audience and with none at all, same customers,
same draws. Beside how often each metric's 95% interval holds it, the Qini coefficient's among them:
the mean width, and how far the mean estimate lies from the mean truth.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

import polars as pl

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT)]

from tasks import columns as c  # noqa: E402
from tasks.lake import engines  # noqa: E402
from tasks.mailings.audience import CONTROL, SENT, Audience, Choice, chosen  # noqa: E402
from tasks.mailings.effect import (  # noqa: E402
    ALL,
    BUYERS,
    COEFFICIENT,
    ORDERS,
    REVENUE,
    SEED,
    effects,
)
from tasks.measure_mailing import outcomes  # noqa: E402
from tasks.settings import Settings  # noqa: E402
from tasks.simulator.parameters import world_named  # noqa: E402
from tasks.simulator.shop import Shop  # noqa: E402
from tests.benchmarks.measure import Bench, asked  # noqa: E402

log = logging.getLogger("bench_mailings")
FIRST_DAY = date(2026, 9, 1)
CUSTOMERS, ITEMS = 1_200, 400
WARM_DAYS, HORIZON, EVERY = 14, 4, 2
MAILINGS = 20
SIZE, CONTROL_SHARE = 600, 1 / 3
METRICS = (SEED, BUYERS, ORDERS, REVENUE, COEFFICIENT)
SETTINGS = Settings()
BOOTSTRAPS = SETTINGS.mailings.bootstraps


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


def lived(shop: Shop, audience: pl.DataFrame, letters: pl.DataFrame | None) -> pl.DataFrame:
    """Return the audience with what each did in the days after the letters; the shop stays."""
    branch, first, events = shop.copy(), shop.next_day, []
    for age in range(HORIZON):
        lists = branch.present_lists(branch.next_day)
        events.append(branch.live_day(branch.next_day, lists, letters if age == 0 else None))
    return did(audience, pl.concat(events), first)


def did(audience: pl.DataFrame, events: pl.DataFrame, first: date) -> pl.DataFrame:
    """Return the audience with its outcomes by the task's own SQL; the seed thing is a cart."""
    days = {"first": first, "last": first + timedelta(days=HORIZON - 1)}
    carts = events.filter(pl.col(c.EVENT_TYPE) == c.CART)[c.USER_ID]
    text = engines.sql_text("mailing_outcomes")
    return outcomes(audience, carts, engines.select(text, {"events": events}, days, SETTINGS))


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
    everybody = people.select(c.USER_ID)
    sent = people.filter(pl.col(c.ROLE) == SENT).select(c.USER_ID)
    # The truth: everybody in both arms at once.
    written, unwritten = lived(shop, people, everybody), lived(shop, people, None)
    both = pl.concat(
        arm.with_columns(pl.lit(role).alias(c.ROLE))
        for role, arm in ((SENT, written), (CONTROL, unwritten))
    )
    truth, found = of_metric(both, bootstraps=1), of_metric(lived(shop, people, sent), BOOTSTRAPS)
    for metric in METRICS:
        row = found[metric]
        yield Judged(metric, truth[metric]["effect"], row["effect"], row[c.LOW], row[c.HIGH])


def of_metric(people: pl.DataFrame, bootstraps: int) -> dict[str, dict[str, float]]:
    """Return the row of each metric over the whole audience, as `measure_mailing` makes it."""
    rows = effects(people, bootstraps, seed=0).filter(pl.col("cut") == ALL)
    return {row[c.METRIC]: row for row in rows.iter_rows(named=True)}


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
