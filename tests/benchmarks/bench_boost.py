"""What the boost brings: `make bench-boost`, by `respond`, against the segment ranking alone.

For each of --seeds and --worlds a shop lives three weeks under its own order; the chain's own steps
learn segments, scores, preferences and facet weights from what it logged.

E-NDCG@60 judges the first morning's whole shelves by the true P(cart | examined): `base`, the
segment ranking; `boost`, with every guard; `free`, without the bounds on share and overlap;
`logistic`, guarded, with the other method's weights.

Then `base` and `boost` each fill the lists of the same 14 days, for the same customers with the
same draws, and learn on from their own days: preferences every night, segments and scores after a
week, weights not again. Outcomes are per customer, differences to `base` with 95% bootstrap
intervals over customers; warm is who had a preference on the first morning.
"""

from __future__ import annotations

import logging
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import polars as pl

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT)]

from tasks import columns as c  # noqa: E402
from tasks.boost.arithmetic import REQUEST  # noqa: E402
from tasks.boost.clauses import clauses, published_weights  # noqa: E402
from tasks.boost.documents import base_field  # noqa: E402
from tasks.boost.guards import BASE_RANK, guarded  # noqa: E402
from tasks.boost.known import Known, known_on  # noqa: E402
from tasks.boost.request import BASE, IS_STOCKED  # noqa: E402
from tasks.lake.lake import Lake  # noqa: E402
from tasks.lake.tables import (  # noqa: E402
    FACET_WEIGHTS,
    SEGMENT_SCORES,
    USER_FACETS,
    USER_SEGMENTS,
)
from tasks.landing.manifest import write_landing_day  # noqa: E402
from tasks.ranker.measure import (  # noqa: E402
    intervals,
    ndcg_by_group,
    paired_gains,
    tie_breaks,
)
from tasks.settings import Boost, Settings  # noqa: E402
from tasks.simulator.catalogue import attributes_frame, items_frame  # noqa: E402
from tasks.simulator.customers import customers_frame  # noqa: E402
from tasks.simulator.delivery import simulate  # noqa: E402
from tasks.simulator.events import SCHEMA  # noqa: E402
from tasks.simulator.parameters import world_named  # noqa: E402
from tasks.simulator.policies import Morning, morning, shelves  # noqa: E402
from tasks.simulator.shop import Shop  # noqa: E402
from tasks.simulator.truth import STATE  # noqa: E402
from tasks.steps import run_dag  # noqa: E402
from tests.benchmarks.measure import Bench, asked, identity  # noqa: E402

FIRST_DAY = date(2026, 9, 1)
CUSTOMERS, ITEMS = 4_000, 1_000
LEARNT_DAYS, DAYS = 21, 14
ALONE, BOOST, FREE, LOGISTIC = "base", "boost", "free", "logistic"
ORDERS = {
    ALONE: None,
    BOOST: Boost(),
    FREE: Boost(max_share=0.9, min_overlap=0.0),
    LOGISTIC: Boost(method="logistic"),
}
ARMS = (ALONE, BOOST)
OUTCOMES = (c.VIEW, c.CART, c.ORDER)
Steps = tuple[tuple[str, str | None], ...]
INGEST: Steps = (("build_features", "ingest"),)
SCORES: Steps = (("build_features", "count_interactions"), ("build_features", "rank_segments"))
PREFERENCES: Steps = (("compute_facet_weights", "write_user_facets"),)
WEIGHTS: Steps = (("compute_facet_weights", "fit_facet_weights"),)
WEEK = 7
CARRIED = (USER_SEGMENTS, SEGMENT_SCORES, FACET_WEIGHTS)
GAIN = "p_cart_if_examined"
EVERYTHING = 1_000_000
CUTOFF = 60
DRAWS = 1_000
ALL, WARM, COLD = "all", "warm", "cold"

log = logging.getLogger("bench_boost")


@dataclass
class Lists:
    """What an arm orders on one morning: guarded rows with `user_id` and `length`."""

    rows: pl.DataFrame
    report: pl.DataFrame


def opened(
    settings: Settings, world: str, seed: int, customers: int = CUSTOMERS, items: int = ITEMS
) -> Shop:
    """Return a shop after its weeks under its own order, learnt by the chain's steps."""
    truth, told = settings.home / "truth", world_named(world)
    simulate(
        settings.landing, truth, FIRST_DAY, LEARNT_DAYS, customers, items, seed, parameters=told
    )
    days = [FIRST_DAY + timedelta(days=number) for number in range(LEARNT_DAYS)]
    for day in days:
        learn(day, settings, INGEST)
    # Weights are fitted on listings of days whose day before has scores and preferences.
    for day in days[-settings.facets.fit_days - 1 :]:
        learn(day, settings, SCORES + PREFERENCES)
    learn(days[-1], settings, WEIGHTS)
    return Shop.opened(seed, FIRST_DAY, customers, items, told).resumed(truth / STATE)


def learn(day: date, settings: Settings, steps: Steps) -> None:
    """Run steps of the chain for a day."""
    for dag, step in steps:
        run_dag(dag, day, settings, step)


def lists_of(known: Known, today: Morning, options: Boost | None) -> Lists:
    """Return every request's shelf in an arm's order."""
    rows = shelves(today, EVERYTHING).rename({c.LISTING_ID: REQUEST})
    groups = today.items.select(c.ITEM_ID, c.CATEGORY_GROUP)
    rows = with_base(known, rows).join(groups, on=c.ITEM_ID)
    found = guarded(rows, known.item_facets(), asked_for(known, rows, options), options or Boost())
    return Lists(found.rows, found.report)


def with_base(known: Known, rows: pl.DataFrame) -> pl.DataFrame:
    """Return the rows with each customer's base score; what is not known yet comes last."""
    users = rows.select(c.USER_ID).unique()
    segments = users.join(known.segments.select(c.USER_ID, c.SEGMENT), on=c.USER_ID, how="left")
    names = {
        segment: base_field(known.base_segment(segment))
        for segment in {known.unknown, *segments[c.SEGMENT].drop_nulls()}
    }
    field = pl.col(c.SEGMENT).fill_null(known.unknown).replace_strict(names).alias("field")
    scores = known.documents.select(c.ITEM_ID, pl.col(f"^{c.SF_POS}\\..*$")).unpivot(
        index=c.ITEM_ID, variable_name="field", value_name=BASE
    )
    placed = rows.join(segments.select(c.USER_ID, field), on=c.USER_ID)
    found = placed.join(scores, on=[c.ITEM_ID, "field"], how="left")
    # The shop's newcomers of today: the morning's index, made of yesterday, does not hold them.
    return found.with_columns(pl.col(BASE).fill_null(0.0), pl.lit(True).alias(IS_STOCKED))


def asked_for(known: Known, rows: pl.DataFrame, options: Boost | None) -> pl.DataFrame:
    """Return each request's clauses, those of its category group; none where nothing is boosted."""
    requests = rows.select(REQUEST, c.USER_ID, c.CATEGORY_GROUP).unique()
    weights = published_weights(known.weights, options or Boost())
    parts = [
        clauses(known.preferences, weights, options or Boost(), group).join(
            requests.filter(pl.col(c.CATEGORY_GROUP) == group).select(REQUEST, c.USER_ID),
            on=c.USER_ID,
        )
        for group in sorted(requests[c.CATEGORY_GROUP].unique())
    ]
    found = pl.concat(parts)
    return found.clear() if options is None else found


def shown(lists: Lists) -> pl.DataFrame:
    """Return what fits into each list, as a policy does."""
    rows = lists.rows.filter(pl.col(c.RANK) <= pl.col("length"))
    return rows.select(
        pl.col(REQUEST).alias(c.LISTING_ID),
        pl.col(c.RANK).cast(pl.Int32).alias(c.POSITION),
        c.ITEM_ID,
    )


Fill = Callable[[Known, Morning, Settings], pl.DataFrame]
"""Returns `listing_id, position, item_id` of a morning's requests."""


def ordered_by(options: Boost | None) -> Fill:
    """Return what fills the lists by the segment ranking, boosted or alone."""
    return lambda known, today, settings: shown(lists_of(known, today, options))


def lived(
    shop: Shop, fill: Fill, settings: Settings, nightly: Steps = PREFERENCES, weekly: Steps = SCORES
) -> pl.DataFrame:
    """Return the events of an arm's days; it learns from its own days in a lake of its own."""
    own, events = shop.copy(), []
    for number in range(1, DAYS + 1):
        day = own.next_day
        today = morning(own, pl.DataFrame(schema=SCHEMA))
        known = known_on(Lake(settings), day - timedelta(days=1), settings)
        events.append(own.live_day(day, fill(known, today, settings)))
        log.info("%s: day %d of %d", day, number, DAYS)
        if number < DAYS:
            land(own, day, events[-1], settings)
            learn(day, settings, INGEST + (weekly if number % WEEK == 0 else ()) + nightly)
            carry_on(day, settings)
    return pl.concat(events)


def carry_on(day: date, settings: Settings) -> None:
    """Write what was not learnt anew as it was the day before."""
    lake, before = Lake(settings), day - timedelta(days=1)
    for table in CARRIED:
        if not lake.has_day(table, day):
            lake.write_day(table, day, lake.read_day(table, before).drop(c.DT))


def land(shop: Shop, day: date, events: pl.DataFrame, settings: Settings) -> None:
    """Write a lived day as the shop's delivery."""
    frames = {
        "events": events.with_columns(pl.col(c.TS).alias(c.RECEIVED_AT)),
        "items": items_frame(shop.world.catalogue, day),
        "item_attributes": attributes_frame(shop.world.catalogue, day),
        "customers": customers_frame(shop.world.customers, day),
    }
    write_landing_day(settings.landing, day, frames, "simulator", identity(shop.world.parameters))


def first_morning(shop: Shop, settings: Settings) -> tuple[pl.DataFrame, dict[str, float]]:
    """Return each shelf's E-NDCG@60 by arm and its group, and what the guards did to the boost."""
    today = morning(shop, pl.DataFrame(schema=SCHEMA))
    known = known_on(Lake(settings), shop.next_day - timedelta(days=1), settings)
    rows, told = None, dict[str, float]()
    for arm, options in ORDERS.items():
        lists = lists_of(known, today, options)
        order = lists.rows.select(REQUEST, c.ITEM_ID, -pl.col(c.RANK).cast(pl.Float64).alias(arm))
        rows = lists.rows.drop(c.RANK, BASE_RANK) if rows is None else rows
        rows = rows.join(order.rename({order.columns[-1]: arm}), on=[REQUEST, c.ITEM_ID])
        means = lists.report.select("strength", "overlap").mean().row(0, named=True)
        told |= {f"{arm}_{name}": value for name, value in means.items()}
    assert rows is not None
    whole = rows.with_columns(pl.col(REQUEST).alias(c.LISTING_ID)).with_columns(
        pl.int_range(1, pl.len() + 1, dtype=pl.Int32).over(c.LISTING_ID).alias(c.POSITION)
    )
    truth = shop.truth(shop.next_day, whole.select(c.LISTING_ID, c.POSITION, c.ITEM_ID))
    judged = whole.join(truth.select(c.LISTING_ID, c.ITEM_ID, GAIN), on=[c.LISTING_ID, c.ITEM_ID])
    judged = judged.rename({c.LISTING_ID: c.GROUP_ID})
    judged = judged.with_columns(tie_breaks(judged))
    ndcg = ndcg_by_group(judged, list(ORDERS), CUTOFF, GAIN)
    groups = judged.select(c.GROUP_ID, c.CATEGORY_GROUP).unique(c.GROUP_ID)
    return ndcg.join(groups, on=c.GROUP_ID, maintain_order="left"), told


def outcomes(shop: Shop, settings: Settings) -> pl.DataFrame:
    """Return each customer's number of each outcome by arm and category group."""
    items = shop.world.catalogue
    groups = items_frame(items, shop.next_day + timedelta(days=DAYS)).select(
        c.ITEM_ID, c.CATEGORY_GROUP
    )
    rows = pl.DataFrame({c.USER_ID: shop.world.customers.ids})
    for arm in ARMS:
        home = settings.home / arm
        own = settings.model_copy(update={"home": home})
        for part in ("landing", "lake"):
            shutil.copytree(settings.home / part, home / part)
        events = lived(shop, ordered_by(ORDERS[arm]), own).join(groups, on=c.ITEM_ID)
        rows = rows.join(counted(events, arm), on=c.USER_ID, how="left")
        shutil.rmtree(home)
    return rows.fill_null(0.0)


def counted(events: pl.DataFrame, arm: str) -> pl.DataFrame:
    """Return `user_id` and `arm/outcome`, `arm/outcome/group`: how many."""
    groups = sorted(events[c.CATEGORY_GROUP].unique())
    return events.group_by(c.USER_ID).agg(
        column
        for outcome in OUTCOMES
        for column in (
            _count(outcome).alias(f"{arm}/{outcome}"),
            *(_count(outcome, group).alias(f"{arm}/{outcome}/{group}") for group in groups),
        )
    )


def _count(outcome: str, group: str | None = None) -> pl.Expr:
    happened = pl.col(c.EVENT_TYPE) == outcome
    if group is not None:
        happened &= pl.col(c.CATEGORY_GROUP) == group
    return happened.sum().cast(pl.Float64)


def tried(world: str, seed: int) -> tuple[pl.DataFrame, pl.DataFrame, dict[str, float]]:
    """Return one shop's E-NDCG by shelf and outcomes by customer, both with `is_warm`."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(home=Path(folder), mlflow_url="", min_free_gb=0)
        shop = opened(settings, world, seed)
        last = shop.next_day - timedelta(days=1)
        weights = Lake(settings).read_day(FACET_WEIGHTS, last)
        warm = Lake(settings).read_day(USER_FACETS, last)[c.USER_ID].unique()
        ndcg, told = first_morning(shop, settings)
        told["published"] = published_weights(weights, Boost()).height
        rows = outcomes(shop, settings)
    is_warm = pl.col(c.USER_ID).is_in(warm.implode()).alias("is_warm")
    ids = pl.format(f"{seed}/{{}}", c.USER_ID).alias(c.USER_ID)
    return (
        ndcg.with_columns(is_warm).with_columns(ids),
        rows.with_columns(is_warm).with_columns(ids, ids.alias(c.GROUP_ID)),
        told,
    )


def note(bench: Bench, name: str, rows: pl.DataFrame, columns: list[str]) -> None:
    """Record columns, and how far each lies above the first: all, warm, cold, and by group."""
    cuts = {ALL: rows, WARM: rows.filter("is_warm"), COLD: rows.filter(~pl.col("is_warm"))}
    if c.CATEGORY_GROUP in rows.columns:
        groups = rows.sort(c.CATEGORY_GROUP).group_by(c.CATEGORY_GROUP, maintain_order=True)
        cuts |= {str(key): mine for (key,), mine in groups}
    for cut, mine in cuts.items():
        bench.note(**{f"{name}/{cut}/rows": mine.height})
        bench.intervals(f"{name}/{cut}", intervals(mine, columns, DRAWS, seed=0))
        for other in columns[1:]:
            gain = paired_gains(mine, other, columns[:1], DRAWS, seed=0)
            bench.intervals(f"{name}/{cut}/{other}_over", gain, "+.4f")


def note_groups(bench: Bench, world: str, rows: pl.DataFrame) -> None:
    """Record the boost's difference to `base` by category group."""
    names = [name for name in rows.columns if name.startswith(f"{BOOST}/") and name.count("/") == 2]
    for name in names:
        alone = name.replace(BOOST, ALONE, 1)
        gain = paired_gains(rows, name, [alone], DRAWS, seed=0)[alone]
        bench.note(**{f"{world}/{alone}": round(rows.select(alone).mean().item() or 0.0, 4)})
        bench.intervals(f"{world}/boost_over", {alone: gain}, "+.4f")


def main() -> None:
    """Print E-NDCG@60 and outcomes by arm, and what the boost gains, for each world."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", stream=sys.stderr)
    log.setLevel(logging.INFO)
    wanted, bench = asked(seeds="31,32", worlds="default,rough"), Bench("boost")
    bench.note(seeds=str(wanted.seeds), days=DAYS, customers=CUSTOMERS)
    for world in wanted.worlds:
        bench.world(world_named(world))
        found = []
        for seed in wanted.seeds:
            with bench.timed(f"{world}/{seed}"):
                found.append(tried(world, seed))
            for name, value in found[-1][2].items():
                bench.note(**{f"{world}/{seed}/{name}": round(value, 3)})
        ndcg, rows = pl.concat(one[0] for one in found), pl.concat(one[1] for one in found)
        note(bench, f"{world}/E-NDCG@60", ndcg, list(ORDERS))
        for outcome in OUTCOMES:
            note(bench, world, rows, [f"{arm}/{outcome}" for arm in ARMS])
        note_groups(bench, world, rows)
    bench.finish()


if __name__ == "__main__":
    main()
