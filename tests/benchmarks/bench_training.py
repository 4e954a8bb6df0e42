"""How the ranker is best trained: `make bench-training`; the same held-out lists for every answer.

For each of --seeds and --worlds a shop of `DAYS` days is simulated with the truth of every listing,
so that the oldest training row, too, knows a full window of counters; its groups keep every
negative. Models are judged on the whole lists of the newest listing day, by carts (NDCG@10 and @60)
and by the truth (E-NDCG@60: the gain is the true P(cart | examined)), with 95% intervals over
customers, seeds pooled; gains are paired, each over the part's first contender.

losses     the same rows, trees, step and seed: over groups and, as `Logloss`, over rows. Position
           is log P(examined) in the baseline, of `QueryRMSE` 1 / P(examined) in the label.
           `default` is the best by NDCG@60, if its lead is real, else the fastest that ties with it
negatives  20, 10, 50, 100% of the negatives of the same days; then as many rows as the 20% have,
           newest lists first, with every negative
staleness  `WINDOW` listing days that end 1, 3, 7, 14 days before the held-out one

Costs are means of a seed. Pictures lie below `benchmarks` of VITRINA_HOME.
"""

from __future__ import annotations

import logging
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import polars as pl

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "plugins")]

from tasks import columns as c  # noqa: E402
from tasks.ranker import evaluation as ev  # noqa: E402
from tasks.ranker import model as ranker  # noqa: E402
from tasks.ranker.groups import hash_bound, held_out_days  # noqa: E402
from tasks.ranker.measure import (  # noqa: E402
    TIE,
    Interval,
    intervals,
    ndcg_by_group,
    paired_gains,
)
from tasks.ranker.trial import seed_for, trained_rows  # noqa: E402
from tasks.settings import Ranker, Settings  # noqa: E402
from tasks.simulator.parameters import world_named  # noqa: E402
from tests.benchmarks import pictures  # noqa: E402
from tests.benchmarks.measure import Bench, asked  # noqa: E402
from tests.benchmarks.truth import (  # noqa: E402
    CUSTOMERS,
    GAIN,
    LAST_DAY,
    groups_with_truth,
)

SQUARED = "QueryRMSE"
LOSSES = (
    ranker.LOSS, "YetiRankPairwise", "QuerySoftMax", SQUARED, "StochasticRank:metric=NDCG",
    "Logloss",
)  # fmt: skip
KEPT = 0.2
SHARES = (KEPT, 0.1, 0.5, 1.0)
AGES = (1, 3, 7, 14)
WINDOW = 8
LISTING_DAYS = WINDOW + max(AGES)
HISTORY = 30
DAYS = HISTORY + LISTING_DAYS
NDCG, TRULY = "NDCG@60", "E-NDCG@60"
MEASURES = {"NDCG@10": (10, c.LABEL), NDCG: (60, c.LABEL), TRULY: (60, GAIN)}
DRAWS = 1_000


@dataclass(frozen=True)
class Contender:
    """One way to train: its name, its rows, its loss, and where on which line it is drawn."""

    name: str
    rows: pl.DataFrame
    loss: str = ranker.LOSS
    line: str = "ranker"
    at: float | None = None


def losses(rows: pl.DataFrame, day: date) -> Iterator[Contender]:
    """Yield every loss on the days and negatives of a night."""
    nightly = with_negatives(rows.filter(pl.col(c.LISTING_DAY) >= first_day(day)), KEPT)
    for loss in LOSSES:
        taught = weighed(nightly) if loss == SQUARED else nightly
        yield Contender(loss, taught, loss, line=loss)


def negatives(rows: pl.DataFrame, day: date) -> Iterator[Contender]:
    """Yield shares of the same days' negatives, then as many rows of the newest lists."""
    nightly = rows.filter(pl.col(c.LISTING_DAY) >= first_day(day))
    for share in SHARES:
        kept = with_negatives(nightly, share)
        yield Contender(f"{share:.0%}", kept, line="the same days", at=100 * share)
    newer = newest(nightly, with_negatives(nightly, KEPT).height)
    budget = f"as many rows as {KEPT:.0%}"
    yield Contender(f"100%, {budget}", newer, line=f"newest days, {budget}", at=100.0)


def staleness(rows: pl.DataFrame, day: date) -> Iterator[Contender]:
    """Yield windows that end some days before the held-out one."""
    kept = with_negatives(rows, KEPT)
    for age in AGES:
        last = day - timedelta(days=age)
        window = pl.col(c.LISTING_DAY).is_between(last - timedelta(days=WINDOW - 1), last)
        yield Contender(f"{age} days", kept.filter(window), at=age)


PARTS: dict[str, Callable[[pl.DataFrame, date], Iterator[Contender]]] = {
    "losses": losses,
    "negatives": negatives,
    "staleness": staleness,
}
ACROSS = {"negatives": "% of negatives kept", "staleness": "days since the last training day"}


def first_day(day: date) -> date:
    """Return the first listing day of a night that holds out `day`."""
    return day - timedelta(days=Ranker().listing_days)


def weighed(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the rows with label / P(examined) as label, and nothing else for position.

    For a squared loss: it would take log P(examined) as a part of the label itself, and raise what
    nobody looks at.
    """
    examined = pl.col("log_examination")
    return rows.with_columns((pl.col(c.LABEL) / examined.exp()).alias(c.LABEL), examined * 0.0)


def with_negatives(rows: pl.DataFrame, share: float) -> pl.DataFrame:
    """Return the carts and a share of the other rows, drawn by the tie-break's digest."""
    return rows.filter((pl.col(c.LABEL) == 1) | (pl.col(TIE) < hash_bound(share)))


def newest(rows: pl.DataFrame, budget: int) -> pl.DataFrame:
    """Return whole lists, newest first, as many as the budget of rows allows.

    Of the oldest day, which is not all in, the digests draw the lists.
    """
    day, tie = pl.col(c.LISTING_DAY).first(), pl.col(TIE).min()
    lists = rows.group_by(c.GROUP_ID).agg(day, tie, pl.len())
    lists = lists.sort(c.LISTING_DAY, TIE, descending=[True, False])
    kept = lists.filter(pl.col("len").cum_sum() <= budget)
    return rows.join(kept, on=c.GROUP_ID, how="semi")


@dataclass(frozen=True)
class Cost:
    """What a contender's training took."""

    rows: int
    days: int
    seconds: float
    megabytes: float


@dataclass(frozen=True)
class Judged:
    """The lists with a score column per contender, what each cost, and its place in a picture."""

    lists: pl.DataFrame
    costs: dict[str, Cost]
    places: dict[str, tuple[str, float | None]]


def judged(contenders: Iterator[Contender], lists: pl.DataFrame, settings: Settings) -> Judged:
    """Train every contender and score the lists."""
    found = Judged(lists, {}, {})
    scores = []
    for one in contenders:
        started = time.perf_counter()
        model = ranker.fit(
            one.rows, settings.ranker, seed_for(settings, "trees"), settings.threads, one.loss
        )
        seconds, size = time.perf_counter() - started, len(model._serialize_model()) / 1e6
        days = one.rows[c.LISTING_DAY].n_unique()
        found.costs[one.name] = Cost(one.rows.height, days, seconds, size)
        found.places[one.name] = one.line, one.at
        scores.append(ranker.score(model, lists, settings.threads).alias(one.name))
    return Judged(lists.with_columns(scores), found.costs, found.places)


def mean_costs(found: list[Judged]) -> dict[str, Cost]:
    """Return each contender's costs, averaged over seeds."""
    return {
        name: Cost(
            round(sum(one.costs[name].rows for one in found) / len(found)),
            round(sum(one.costs[name].days for one in found) / len(found)),
            sum(one.costs[name].seconds for one in found) / len(found),
            sum(one.costs[name].megabytes for one in found) / len(found),
        )
        for name in found[0].costs
    }


def default_of(ndcg: pl.DataFrame, seconds: Mapping[str, float]) -> str:
    """Return the best contender if its lead is real, else the fastest of those that tie with it.

    Args:
        ndcg: a column per contender, as `ndcg_by_group` gives it.
        seconds: of training, by contender.
    """
    means = ndcg.select(*seconds).mean().row(0, named=True)
    best = max(means, key=lambda name: means[name])
    others = [name for name in means if name != best]
    leads = paired_gains(ndcg, best, others, DRAWS, seed=0)
    tied = [best, *(name for name in others if leads[name].low <= 0)]
    return min(tied, key=lambda name: seconds[name])


def note(bench: Bench, world: str, part: str, found: list[Judged]) -> None:
    """Record each contender's figures and its gain over the first, seeds pooled; draw them."""
    costs, lists = mean_costs(found), pl.concat([one.lists for one in found])
    names, drawn = list(costs), {}
    for measure, (cutoff, gain) in MEASURES.items():
        ndcg = ndcg_by_group(lists, names, cutoff, gain)
        drawn[measure] = intervals(ndcg, names, DRAWS, seed=0)
        bench.intervals(f"{world}/{part}/{measure}", drawn[measure])
        for name in names[1:]:
            gained = paired_gains(ndcg, name, names[:1], DRAWS, seed=0)
            bench.intervals(f"{world}/{part}/{measure}/{name} over", gained, "+.4f")
    for name, cost in costs.items():
        told = f"{cost.rows:,} rows of {cost.days} days, {cost.seconds:.1f} s"
        bench.note(**{f"{world}/{part}/cost/{name}": f"{told}, {cost.megabytes:.2f} MB"})
    if part == "losses":
        ndcg = ndcg_by_group(lists, names, *MEASURES[NDCG])
        chosen = default_of(ndcg, {name: cost.seconds for name, cost in costs.items()})
        bench.note(**{f"{world}/{part}/default": chosen})
    panels = {measure: placed(found[0].places, drawn[measure]) for measure in (NDCG, TRULY)}
    pictured = draw(f"training-{world}-{part}", panels, ACROSS.get(part))
    bench.note(**{f"{world}/{part}/pictures": ", ".join(map(str, pictured))})


def draw(title: str, panels: Mapping[str, pl.DataFrame], across: str | None) -> list[Path]:
    """Draw the measures over a number; where nothing runs along an axis, a bar per contender."""
    if across is not None:
        return [pictures.curve(title, panels, across)]
    return [pictures.bars(f"{title}-{measure}", rows, measure) for measure, rows in panels.items()]


def placed(
    places: Mapping[str, tuple[str, float | None]], found: Mapping[str, Interval]
) -> pl.DataFrame:
    """Return `line, at, value, low, high` of each contender."""
    rows = [(*places[name], there.value, there.low, there.high) for name, there in found.items()]
    schema = {
        "line": pl.String,
        "at": pl.Float64,
        **dict.fromkeys((c.VALUE, c.LOW, c.HIGH), pl.Float64),
    }
    return pl.DataFrame(rows, schema=schema, orient="row")


def of_seed(lists: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Return the lists under names of their own."""
    keys = (c.GROUP_ID, c.USER_ID)
    return lists.with_columns(pl.format(f"{seed}/{{}}", pl.col(key)).alias(key) for key in keys)


def tried(world: str, seed: int, parts: list[str], customers: int) -> dict[str, Judged]:
    """Return every part's contenders, judged on the newest listing day of one shop."""
    with tempfile.TemporaryDirectory() as folder:
        options = Ranker(listing_days=LISTING_DAYS, negatives_kept=1.0)
        settings = Settings(home=Path(folder), mlflow_url="", ranker=options)
        groups = of_seed(groups_with_truth(settings, world, seed, DAYS, customers), seed)
    day = held_out_days(groups, settings.ranker)[0]
    rows = ev.with_orders(trained_rows(groups, day))
    lists = ev.with_orders(ranker.in_order(ev.held_out(groups, [day])))
    return {part: judged(PARTS[part](rows, day), lists, settings) for part in parts}


def main() -> None:
    """Print every part's figures for each world."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", stream=sys.stderr)
    more = {
        "--parts": {"type": lambda text: text.split(","), "default": list(PARTS)},
        "--customers": {"type": int, "default": CUSTOMERS},
    }
    wanted, bench = asked("31,32,33,34,35", "default,rough", more), Bench("training")
    bench.note(last_day=str(LAST_DAY), seeds=str(wanted.seeds), customers=wanted.customers)
    for world in wanted.worlds:
        bench.world(world_named(world))
        found = []
        for seed in wanted.seeds:
            with bench.timed(f"{world}/{seed}"):
                found.append(tried(world, seed, wanted.parts, wanted.customers))
        for part in wanted.parts:
            note(bench, world, part, [one[part] for one in found])
    bench.finish()


if __name__ == "__main__":
    main()
