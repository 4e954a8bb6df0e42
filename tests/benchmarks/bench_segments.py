"""Which stage-one model is best, and how near `sf_pos` comes to the truth: `make bench-segments`.

For each of --seeds and --worlds a shop of `CUSTOMERS` lives 30 days; every model scores the same
counts of the last day. Popularity is carts of 30 days, raw the segment's carts over what it has
examined, unsmoothed.

later days  of `LATER_DAYS` days more: log loss of P(cart) = p_cart x P(examined) per 1,000 shown
            items, and NDCG@60 of the carts of whole lists; 95% intervals over customers
truth       E-NDCG@60: every segment orders every category of 10 items or more, the gain is the mean
            P(cart | examined) of the segment's customers (segment_truth.py); 95% intervals over
            segments, each list weighing as the customers whose it is; and by segment size
calibration observed carts over expected ones, in all and by tenths of the expected

On public logs (VITRINA_REAL_DATA), which have no impressions: recall@60 and NDCG@60 of what people
took up later, over the whole catalogue, beside popularity of the same window.
"""

from __future__ import annotations

import logging
import sys
import tempfile
from datetime import timedelta
from pathlib import Path

import polars as pl

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "plugins")]

from tasks import columns as c  # noqa: E402
from tasks.features.counters import item_features  # noqa: E402
from tasks.lake.lake import Lake  # noqa: E402
from tasks.lake.tables import (  # noqa: E402
    EXAMINATION,
    ITEM_ATTRIBUTES,
    ITEM_FEATURES,
    USER_SEGMENTS,
)
from tasks.ranker.measure import intervals, ndcg_by_group, paired_gains, tie_breaks  # noqa: E402
from tasks.seeds import seed_of  # noqa: E402
from tasks.segments.examination import examination  # noqa: E402
from tasks.segments.grid import MILLION, Catalogue  # noqa: E402
from tasks.segments.ranking import (  # noqa: E402
    carts_by_segment,
    clicks,
    evidence,
    newest,
    segments,
)
from tasks.segments.rules import ALL, unknown_segment, user_segments  # noqa: E402
from tasks.segments.scores import segment_scores  # noqa: E402
from tasks.settings import Settings  # noqa: E402
from tasks.simulator.parameters import world_named  # noqa: E402
from tasks.simulator.shop import Shop  # noqa: E402
from tests.benchmarks.facet_truth import DAYS, LAST_DAY, deliver  # noqa: E402
from tests.benchmarks.measure import Bench, asked  # noqa: E402
from tests.benchmarks.segment_logs import note_public_logs  # noqa: E402
from tests.benchmarks.segment_truth import GAIN, true_rates  # noqa: E402

CUSTOMERS, ITEMS = 3_000, 1_500
MODELS = ("logistic", "boosted", "rates")
POPULARITY, RAW = "popularity", "raw"
ORDERS = (*MODELS, POPULARITY, RAW)
CUTOFF, DRAWS = 60, 1_000
LATER_DAYS = 3
ASKED_CUSTOMERS = 40
LEAST_ITEMS = 10
SIZES = {"under 50": (0, 50), "50 to 200": (50, 200), "above 200": (200, 10**9)}
PAIR = [c.SEGMENT, c.ITEM_ID]


def known(shop: Shop, settings: Settings) -> Lake:
    """Let the shop live its days and write what the scores of the last one read."""
    while shop.next_day <= LAST_DAY:
        deliver(shop, settings)
    lake = Lake(settings)
    people = user_segments(evidence(lake, LAST_DAY), settings.segments)
    lake.write_day(USER_SEGMENTS, LAST_DAY, people)
    lake.write_day(ITEM_FEATURES, LAST_DAY, item_features(lake, LAST_DAY, settings.features))
    examined = examination(clicks(lake, LAST_DAY, settings.segments), settings.segments)
    lake.write_day(EXAMINATION, LAST_DAY, examined)
    return lake


def orders(lake: Lake, bench: Bench, name: str) -> pl.DataFrame:
    """Return `segment, item_id, p_<model>` and a column per order, from the same counts."""
    settings = lake.settings
    options, items = settings.segments, lake.read_day(ITEM_FEATURES, LAST_DAY)
    examined = lake.read_day(EXAMINATION, LAST_DAY)
    counts = carts_by_segment(lake, LAST_DAY, examined, options)
    catalogue = Catalogue(items, newest(lake, ITEM_ATTRIBUTES, LAST_DAY))
    there, seed = segments(lake, LAST_DAY, options), seed_of(settings, "segment_scores")
    found = []
    for model in MODELS:
        asked_for = options.model_copy(update={"model": model})
        with bench.timed(f"{name}/{model}"):
            rows = segment_scores(counts, catalogue, there, asked_for, seed, settings.threads)
        found.append(rows.select(*PAIR, pl.col(c.P_CART).alias(model)))
    raw = pl.col("listed_carts") / (pl.col("examined_ppm") / MILLION)
    rates = counts.filter(pl.col("examined_ppm") > 0).select(*PAIR, raw.alias(RAW))
    joined = found[0]
    for other in found[1:]:
        joined = joined.join(other, on=PAIR)
    popular = items.select(
        c.ITEM_ID, c.CATEGORY, pl.col("carts_30").cast(pl.Float64).alias(POPULARITY)
    )
    return joined.join(rates, on=PAIR, how="left").join(popular, on=c.ITEM_ID)


def against_truth(scores: pl.DataFrame, shop: Shop, people: pl.DataFrame) -> pl.DataFrame:
    """Return the E-NDCG@60 of every list of a segment and category, by each order, and its size."""
    truth = true_rates(shop, people, ASKED_CUSTOMERS).join(scores, on=PAIR)
    group = pl.concat_str(c.SEGMENT, c.CATEGORY, separator="/").alias(c.GROUP_ID)
    lists = truth.with_columns(group, pl.col(c.SEGMENT).alias(c.USER_ID))
    lists = lists.filter(pl.len().over(c.GROUP_ID) >= LEAST_ITEMS)
    lists = lists.with_columns(tie_breaks(lists))
    sizes = people.group_by(pl.col(c.SEGMENT).alias(c.USER_ID)).len("customers")
    return ndcg_by_group(lists, ORDERS, CUTOFF, GAIN).join(sizes, on=c.USER_ID)


def shown_later(shop: Shop, lake: Lake) -> pl.DataFrame:
    """Return what the next days show to whom: P(examined) as estimated, and whether carted."""
    days = [shop.simulate_day(shop.next_day)[0]["events"] for _ in range(LATER_DAYS)]
    events = pl.concat(days, how="vertical_relaxed").unique(c.EVENT_ID)
    listed = events.filter(pl.col(c.LISTING_ID).is_not_null())
    pair = [c.LISTING_ID, c.ITEM_ID]
    carted = listed.filter(pl.col(c.EVENT_TYPE) == c.CART).select(pair).unique()
    people = lake.read_day(USER_SEGMENTS, LAST_DAY).select(c.USER_ID, c.SEGMENT)
    place = [c.PLATFORM, c.SURFACE, c.POSITION]
    examined = lake.read_day(EXAMINATION, LAST_DAY).select(*place, c.P_EXAMINED)
    impressions = listed.filter(pl.col(c.EVENT_TYPE) == c.IMPRESSION)
    unknown = unknown_segment(lake.settings.segments)
    return (
        impressions.select(*pair, c.USER_ID, *place)
        .join(carted.with_columns(pl.lit(1.0).alias(c.LABEL)), on=pair, how="left")
        .join(people, on=c.USER_ID, how="left")
        .join(examined, on=place)
        .with_columns(pl.col(c.LABEL).fill_null(0.0), pl.col(c.SEGMENT).fill_null(unknown))
        .rename({c.LISTING_ID: c.GROUP_ID})
    )


def judged_later(shown: pl.DataFrame, scores: pl.DataFrame) -> pl.DataFrame:
    """Return the rows with every order's score; of who has no segment's score, that of all."""
    known_segments = scores[c.SEGMENT].unique().implode()
    segment = pl.when(pl.col(c.SEGMENT).is_in(known_segments)).then(c.SEGMENT)
    rows = shown.with_columns(segment.otherwise(pl.lit(ALL)).alias(c.SEGMENT))
    joined = rows.join(scores, on=PAIR)
    return joined.with_columns(tie_breaks(joined))


def with_losses(rows: pl.DataFrame) -> pl.DataFrame:
    """Return each customer's log loss by model, and how many items were shown."""
    p = {model: (pl.col(model) * pl.col(c.P_EXAMINED)).clip(1e-9, 1 - 1e-9) for model in MODELS}
    label = pl.col(c.LABEL)
    losses = [
        (-1_000 * (label * p[model].log() + (1 - label) * (1 - p[model]).log())).alias(model)
        for model in MODELS
    ]
    return rows.select(c.GROUP_ID, c.USER_ID, *losses)


def calibration(rows: pl.DataFrame, model: str) -> str:
    """Return observed over expected carts, in all and by tenths of equal expected carts."""
    expected = pl.col(model) * pl.col(c.P_EXAMINED)
    ordered = rows.select(expected.alias("expected"), c.LABEL, model).sort(model)
    tenth = (pl.col("expected").cum_sum() / pl.col("expected").sum() * 10).floor().clip(0, 9)
    parts = ordered.group_by(tenth.alias("tenth")).agg(pl.col("expected", c.LABEL).sum())
    ratio = (parts.sort("tenth")[c.LABEL] / parts.sort("tenth")["expected"]).round(2)
    overall = float(rows[c.LABEL].sum()) / float(ordered["expected"].sum())
    return f"{overall:.3f}; tenths {' '.join(map(str, ratio))}"


def note(bench: Bench, world: str, lists: pl.DataFrame, later: pl.DataFrame) -> None:
    """Record a world's figures over all seeds."""
    _note_truth(bench, f"{world}/truth", lists)
    for size, (low, high) in SIZES.items():
        part = lists.filter(pl.col("customers").is_between(low, high, closed="left"))
        bench.note(**{f"{world}/truth/{size}": _means(part)})
    losses = with_losses(later)
    bench.intervals(f"{world}/log_loss", intervals(losses, MODELS, DRAWS, seed=0))
    gains = paired_gains(losses, MODELS[0], MODELS[1:], DRAWS, seed=0)
    bench.intervals(f"{world}/log_loss/{MODELS[0]}_over", gains, "+.4f")
    ndcg = ndcg_by_group(later, ORDERS, CUTOFF)
    bench.intervals(f"{world}/later", intervals(ndcg, ORDERS, DRAWS, seed=0))
    gains = paired_gains(ndcg, MODELS[0], ORDERS[1:], DRAWS, seed=0)
    bench.intervals(f"{world}/later/{MODELS[0]}_over", gains, "+.4f")
    for model in MODELS:
        bench.note(**{f"{world}/calibration/{model}": calibration(later, model)})


def _note_truth(bench: Bench, name: str, lists: pl.DataFrame) -> None:
    """Record the orders with intervals over segments; a list weighs as its customers."""
    # As many copies of a list as its segment has tens of customers: weights by repetition.
    weighted = lists.select(pl.exclude("customers").repeat_by(1 + pl.col("customers") // 10))
    rows = weighted.explode(weighted.columns)
    bench.intervals(name, intervals(rows, ORDERS, DRAWS, seed=0))
    gains = paired_gains(rows, MODELS[0], ORDERS[1:], DRAWS, seed=0)
    bench.intervals(f"{name}/{MODELS[0]}_over", gains, "+.4f")


def _means(lists: pl.DataFrame) -> str:
    if lists.is_empty():
        return "no segment"
    means = zip(ORDERS, lists.select(ORDERS).mean().row(0), strict=True)
    told = ", ".join(f"{order} {mean:.4f}" for order, mean in means)
    return f"{lists[c.USER_ID].n_unique()} segments: {told}"


def judged(
    bench: Bench, world: str, seed: int, settings: Settings
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return one shop's lists of segments and what it showed later, with every order's figures."""
    first = LAST_DAY - timedelta(days=DAYS - 1)
    shop = Shop.opened(seed, first, CUSTOMERS, ITEMS, world_named(world))
    lake = known(shop, settings)
    scores = orders(lake, bench, f"{world}/{seed}")
    people = lake.read_day(USER_SEGMENTS, LAST_DAY).filter("is_customer")
    lists = against_truth(scores, shop, people.select(c.USER_ID, c.SEGMENT))
    later = judged_later(shown_later(shop, lake), scores)
    own = [pl.format(f"{seed}/{{}}", name).alias(name) for name in (c.USER_ID, c.GROUP_ID)]
    return lists.with_columns(own), later.with_columns(own)


def main() -> None:
    """Print every order's figures in each world, and on public logs."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", stream=sys.stderr)
    wanted, bench = asked(seeds="31,32,33,34,35", worlds="default,rough"), Bench("segments")
    bench.note(seeds=str(wanted.seeds), customers=CUSTOMERS, items=ITEMS)
    for world in wanted.worlds:
        bench.world(world_named(world))
        found = []
        for seed in wanted.seeds:
            with tempfile.TemporaryDirectory() as folder, bench.timed(f"{world}/{seed}"):
                settings = Settings(home=Path(folder), mlflow_url="")
                found.append(judged(bench, world, seed, settings))
        lists, later = (pl.concat(parts) for parts in zip(*found, strict=True))
        note(bench, world, lists, later)
    note_public_logs(bench, Settings(mlflow_url=""))
    bench.finish()


if __name__ == "__main__":
    main()
