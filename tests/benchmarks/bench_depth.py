"""How many candidates the ranker should reorder: `make bench-depth`; quality and time as a curve.

For each of --seeds and --worlds a shop of `ITEMS` items lives three weeks under its own order; the
chain's own steps learn from what it logged. Of the next morning's requests the widest are taken,
those whose shelf holds at least as many items as the deepest of `DEPTHS`, at most `REQUESTS`. The
first N of the boosted order are reordered by the ranker. Quality is E-NDCG@60 (gain: the true
P(cart | examined)) against the best order of the whole shelf, so that what was not looked at
counts as missed; `best of N` is what a perfect order of the same N would reach. 95% intervals are
over customers, gains paired. Time is that of scoring a request's N rows of ready features in one
thread, as the tasks score, a call per request.
"""

from __future__ import annotations

import logging
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
from catboost import CatBoost

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "plugins")]

from tasks import columns as c  # noqa: E402
from tasks.boost.arithmetic import REQUEST  # noqa: E402
from tasks.boost.known import known_on  # noqa: E402
from tasks.lake.lake import Lake  # noqa: E402
from tasks.ranker import model as ranker  # noqa: E402
from tasks.ranker.measure import (  # noqa: E402
    intervals,
    ndcg_by_group,
    paired_gains,
    tie_breaks,
)
from tasks.settings import Boost, Settings  # noqa: E402
from tasks.simulator.events import SCHEMA  # noqa: E402
from tasks.simulator.parameters import world_named  # noqa: E402
from tasks.simulator.policies import Morning, morning, shelves  # noqa: E402
from tasks.simulator.shop import Shop  # noqa: E402
from tests.benchmarks import bench_boost as boost  # noqa: E402
from tests.benchmarks import bench_reranking as reranking  # noqa: E402
from tests.benchmarks import pictures  # noqa: E402
from tests.benchmarks.measure import Bench, asked  # noqa: E402

DEPTHS = (150, 300, 600, 1_000)
ITEMS = 5_000
REQUESTS = 400
CUTOFF = 60
BOOST, BEST = "boost", "best of"
WARM_UP = 5
DRAWS = 1_000


@dataclass(frozen=True)
class Depths:
    """What one shop gave: a shelf's E-NDCG@60 by order, milliseconds by request and depth."""

    ndcg: pl.DataFrame
    milliseconds: pl.DataFrame
    shelf: float


def tried(world: str, seed: int, customers: int) -> Depths:
    """Return one shop's figures."""
    with tempfile.TemporaryDirectory() as folder:
        settings = reranking.settings_of(Path(folder))
        shop = reranking.opened(settings, world, seed, customers, ITEMS)
        found = judged(shop, settings)
    own = pl.format(f"{seed}/{{}}", c.USER_ID).alias(c.USER_ID)
    return replace(found, ndcg=found.ndcg.with_columns(own))


def judged(shop: Shop, settings: Settings) -> Depths:
    """Return what each depth gives on the shop's next morning."""
    today = widest(morning(shop, pl.DataFrame(schema=SCHEMA)))
    known = known_on(Lake(settings), shop.next_day - timedelta(days=1), settings)
    shelf = boost.lists_of(known, today, Boost()).rows
    deepest = shelf.filter(pl.col(c.RANK) <= max(DEPTHS))
    features = reranking.known_rows(deepest, today, settings)
    model = reranking.model_of(settings, reranking.newest_groups(settings))
    features = features.with_columns(ranker.score(model, features, settings.threads))
    scores = features.select(pl.col(c.GROUP_ID).alias(REQUEST), c.ITEM_ID, c.SCORE)
    # In the boosted order, so that a request's first N rows are its first N candidates.
    ranked = shelf.drop(c.SCORE).join(scores, on=[REQUEST, c.ITEM_ID], how="left")
    places = ranked.select(pl.col(REQUEST).alias(c.GROUP_ID), c.ITEM_ID, c.RANK)
    ordered = features.join(places, on=[c.GROUP_ID, c.ITEM_ID]).sort(c.GROUP_ID, c.RANK)
    rows = with_truth(shop, ranked)
    mean = rows.height / rows[c.GROUP_ID].n_unique()
    return Depths(ndcg_by_depth(rows), timed(model, ordered), mean)


def widest(today: Morning) -> Morning:
    """Return the morning with its widest requests alone, at most `REQUESTS` of them.

    Raises:
        ValueError: no shelf is wide enough.
    """
    sizes = shelves(today, boost.EVERYTHING).group_by(c.LISTING_ID).len()
    wide = sizes.filter(pl.col("len") >= max(DEPTHS)).select(c.LISTING_ID)
    if wide.is_empty():
        most = max(sizes["len"], default=0)
        raise ValueError(f"no shelf of {max(DEPTHS)} items; the widest has {most}")
    drawn = wide.sort(c.LISTING_ID).sample(min(REQUESTS, wide.height), seed=0)
    return replace(today, requests=today.requests.join(drawn, on=c.LISTING_ID, how="semi"))


def with_truth(shop: Shop, rows: pl.DataFrame) -> pl.DataFrame:
    """Return the rows with their true P(cart | examined) and a tie-break."""
    place = pl.int_range(1, pl.len() + 1, dtype=pl.Int32).over(REQUEST).alias(c.POSITION)
    whole = rows.with_columns(place).rename({REQUEST: c.LISTING_ID})
    truth = shop.truth(shop.next_day, whole.select(c.LISTING_ID, c.POSITION, c.ITEM_ID))
    known = truth.select(c.LISTING_ID, c.ITEM_ID, boost.GAIN)
    found = whole.join(known, on=[c.LISTING_ID, c.ITEM_ID]).rename({c.LISTING_ID: c.GROUP_ID})
    return found.with_columns(tie_breaks(found))


def ndcg_by_depth(rows: pl.DataFrame) -> pl.DataFrame:
    """Return each shelf's E-NDCG@60: boosted, its first N by the ranker, its first N at best.

    Args:
        rows: whole shelves with `rank` of the boosted order, `score`, the true gain and `tie`.
    """
    orders = {BOOST: -pl.col(c.RANK).cast(pl.Float64)}
    for depth in DEPTHS:
        is_first = pl.col(c.RANK) <= depth
        orders[str(depth)] = pl.when(is_first).then(c.SCORE)
        orders[f"{BEST} {depth}"] = pl.when(is_first).then(boost.GAIN)
    # What a depth leaves out has no score and comes last, behind more items than the cutoff sees.
    judged_rows = rows.with_columns(order.alias(name) for name, order in orders.items())
    return ndcg_by_group(judged_rows, list(orders), CUTOFF, boost.GAIN)


def timed(model: CatBoost, features: pl.DataFrame) -> pl.DataFrame:
    """Return the milliseconds of scoring each request's first N rows, a column per depth."""
    requests = features.partition_by(c.GROUP_ID, maintain_order=True)
    for rows in requests[:WARM_UP]:
        ranker.score(model, rows, threads=1)
    spent = [{str(n): milliseconds(model, rows.head(n)) for n in DEPTHS} for rows in requests]
    return pl.DataFrame(spent)


def milliseconds(model: CatBoost, rows: pl.DataFrame) -> float:
    """Return the time of scoring one request."""
    started = time.perf_counter()
    ranker.score(model, rows, threads=1)
    return 1000 * (time.perf_counter() - started)


def note(bench: Bench, world: str, found: list[Depths]) -> None:
    """Record and draw quality and time by depth, shops pooled."""
    ndcg = pl.concat(one.ndcg for one in found)
    spent = pl.concat(one.milliseconds for one in found)
    names = [name for name in ndcg.columns if name not in (c.GROUP_ID, c.USER_ID)]
    shelf = round(sum(one.shelf for one in found) / len(found))
    bench.note(**{f"{world}/requests": ndcg.height, f"{world}/items of a shelf": shelf})
    bench.intervals(f"{world}/E-NDCG@60", intervals(ndcg, names, DRAWS, seed=0))
    for shallow, deep in zip((BOOST, *map(str, DEPTHS)), map(str, DEPTHS), strict=False):
        gain = paired_gains(ndcg, deep, [shallow], DRAWS, seed=0)
        bench.intervals(f"{world}/E-NDCG@60/{deep} over", gain, "+.4f")
    for depth in map(str, DEPTHS):
        p50, p99 = np.percentile(spent[depth], [50, 99])
        bench.note(**{f"{world}/scoring {depth}": f"p50 {p50:.1f} ms, p99 {p99:.1f} ms"})
    panels = {"E-NDCG@60": quality(ndcg), "ms of scoring, p50": times(spent)}
    path = pictures.curve(f"depth-{world}", panels, "items reordered")
    bench.note(**{f"{world}/picture": str(path)})


def quality(ndcg: pl.DataFrame) -> pl.DataFrame:
    """Return `line, at, value, low, high`: the ranker, the boosted order, the best of the same."""
    lines = {"ranker": "{}", "boosted order": BOOST, "best order of the same items": BEST + " {}"}
    names = [name for name in ndcg.columns if name not in (c.GROUP_ID, c.USER_ID)]
    found = intervals(ndcg, names, DRAWS, seed=0)
    rows = [
        (line, depth, there.value, there.low, there.high)
        for line, name in lines.items()
        for depth in DEPTHS
        for there in (found[name.format(depth)],)
    ]
    return pl.DataFrame(rows, schema=["line", "at", c.VALUE, c.LOW, c.HIGH], orient="row")


def times(spent: pl.DataFrame) -> pl.DataFrame:
    """Return `line, at, value, low, high`: p50, without an interval."""
    rows = [("one thread", depth, spent[str(depth)].median(), None, None) for depth in DEPTHS]
    schema = {"line": pl.String, "at": pl.Int64}
    schema |= dict.fromkeys((c.VALUE, c.LOW, c.HIGH), pl.Float64)
    return pl.DataFrame(rows, schema=schema, orient="row")


def main() -> None:
    """Print and draw quality and time by depth for each world."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", stream=sys.stderr)
    more = {"--customers": {"type": int, "default": boost.CUSTOMERS}}
    wanted, bench = asked("46,47", "default,rough", more), Bench("depth")
    bench.note(seeds=str(wanted.seeds), customers=wanted.customers, items=ITEMS)
    for world in wanted.worlds:
        bench.world(world_named(world))
        found = []
        for seed in wanted.seeds:
            with bench.timed(f"{world}/{seed}"):
                found.append(tried(world, seed, wanted.customers))
        note(bench, world, found)
    bench.finish()


if __name__ == "__main__":
    main()
