"""How the ranker is best trained: `make bench-training`; the same held-out lists for every answer.

For each of --seeds and --worlds a shop of 30 days is simulated with the truth of every listing, and
its groups keep every negative. Models are judged on the whole lists of the newest listing day, by
carts (NDCG@10 and @60, whole lists of everybody) and by the truth (E-NDCG@60: the gain is the true
P(cart | examined)); 95% intervals over customers, seeds pooled; gains are paired.

losses     the same rows, trees and step: over groups and, as `Logloss`, over rows
negatives  10, 20, 50, 100% of the negatives of the same days; then the same number of rows: 17 days
           at 20% against the newest days at 100%
staleness  `WINDOW` listing days that end 1, 3, 7, 14 days before the held-out one
"""

from __future__ import annotations

import logging
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import polars as pl

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "plugins")]

from tasks import columns as c  # noqa: E402
from tasks.ranker import evaluation as ev  # noqa: E402
from tasks.ranker import model as ranker  # noqa: E402
from tasks.ranker.groups import held_out_days  # noqa: E402
from tasks.ranker.measure import intervals, ndcg_by_group, paired_gains  # noqa: E402
from tasks.ranker.trial import seed_for, trained_rows  # noqa: E402
from tasks.settings import Ranker, Settings  # noqa: E402
from tasks.simulator.parameters import world_named  # noqa: E402
from tests.benchmarks.measure import Bench, asked  # noqa: E402
from tests.benchmarks.truth import GAIN, LAST_DAY, groups_with_truth  # noqa: E402

LOSSES = (
    ranker.LOSS, "YetiRankPairwise", "QuerySoftMax", "QueryRMSE", "StochasticRank:metric=NDCG",
    "Logloss",
)  # fmt: skip
SHARES = (0.1, 0.2, 0.5, 1.0)
KEPT = 0.2
AGES = (1, 3, 7, 14)
WINDOW = 8
LISTING_DAYS = WINDOW + max(AGES)
MEASURES = {"ndcg@10": (10, c.LABEL), "ndcg@60": (60, c.LABEL), "e-ndcg@60": (60, GAIN)}
DRAWS = 1_000


@dataclass(frozen=True)
class Contender:
    """One way to train: its name, its rows, its loss."""

    name: str
    rows: pl.DataFrame
    loss: str = ranker.LOSS


def losses(rows: pl.DataFrame, day: date) -> Iterator[Contender]:
    """Yield every loss on the days and negatives of a night."""
    nightly = with_negatives(rows.filter(pl.col(c.LISTING_DAY) >= first_day(day)), KEPT)
    yield from (Contender(loss, nightly, loss) for loss in LOSSES)


def negatives(rows: pl.DataFrame, day: date) -> Iterator[Contender]:
    """Yield shares of the same days' negatives, then as many rows of the newest days."""
    nightly = rows.filter(pl.col(c.LISTING_DAY) >= first_day(day))
    for share in SHARES:
        yield Contender(f"{share:.0%}", with_negatives(nightly, share))
    budget = with_negatives(nightly, KEPT).height
    yield Contender(f"newest {budget_days(nightly, budget)} days", newest(nightly, budget))


def staleness(rows: pl.DataFrame, day: date) -> Iterator[Contender]:
    """Yield windows that end some days before the held-out one."""
    kept = with_negatives(rows, KEPT)
    for age in AGES:
        last = day - timedelta(days=age)
        window = pl.col(c.LISTING_DAY).is_between(last - timedelta(days=WINDOW - 1), last)
        yield Contender(f"{age} days", kept.filter(window))


PARTS: dict[str, Callable[[pl.DataFrame, date], Iterator[Contender]]] = {
    "losses": losses,
    "negatives": negatives,
    "staleness": staleness,
}


def first_day(day: date) -> date:
    """Return the first listing day of a night that holds out `day`."""
    return day - timedelta(days=Ranker().listing_days)


def with_negatives(rows: pl.DataFrame, share: float) -> pl.DataFrame:
    """Return the carts and a share of the other rows, drawn by the tie-break's digest."""
    bound = f"{int(share * 16**4):04x}" if share < 1 else "g"
    return rows.filter((pl.col(c.LABEL) == 1) | (pl.col("tie") < bound))


def budget_days(rows: pl.DataFrame, budget: int) -> int:
    """Return how many of the newest days hold at most `budget` rows, at least one."""
    by_day = rows.group_by(c.LISTING_DAY).len().sort(c.LISTING_DAY, descending=True)
    return max(1, by_day.filter(pl.col("len").cum_sum() <= budget).height)


def newest(rows: pl.DataFrame, budget: int) -> pl.DataFrame:
    """Return every row of the newest days, as many days as the budget of rows allows."""
    days = rows[c.LISTING_DAY].unique().sort(descending=True).head(budget_days(rows, budget))
    return rows.filter(pl.col(c.LISTING_DAY).is_in(days.implode()))


@dataclass(frozen=True)
class Judged:
    """The lists with a score column per contender, and what each cost."""

    lists: pl.DataFrame
    costs: dict[str, tuple[int, float, int]]
    """Rows, seconds, bytes."""


def judged(contenders: Iterator[Contender], lists: pl.DataFrame, settings: Settings) -> Judged:
    """Train every contender and score the lists."""
    costs, scores = {}, []
    for one in contenders:
        started = time.perf_counter()
        model = ranker.fit(
            one.rows, settings.ranker, seed_for(settings, "trees"), settings.threads, one.loss
        )
        seconds = time.perf_counter() - started
        costs[one.name] = (one.rows.height, seconds, len(model._serialize_model()))
        scores.append(ranker.score(model, lists, settings.threads).alias(one.name))
    return Judged(lists.with_columns(scores), costs)


def note(bench: Bench, prefix: str, found: list[Judged], first: str) -> None:
    """Record each contender's figures and its gain over the first, seeds pooled."""
    names = list(found[0].costs)
    lists = pl.concat([one.lists for one in found])
    for measure, (cutoff, gain) in MEASURES.items():
        ndcg = ndcg_by_group(lists, names, cutoff, gain)
        bench.intervals(f"{prefix}/{measure}", intervals(ndcg, names, DRAWS, seed=0))
        others = [name for name in names if name != first]
        gains = paired_gains(ndcg, first, others, DRAWS, seed=0)
        bench.intervals(f"{prefix}/{measure}/{first} over", gains, "+.4f")
    for name in names:
        rows, seconds, size = (sum(one.costs[name][i] for one in found) for i in range(3))
        bench.note(
            **{f"{prefix}/cost/{name}": f"{rows:,} rows, {seconds:.1f} s, {size / 1e6:.2f} MB"}
        )


def of_seed(lists: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Return the lists under names of their own."""
    keys = (c.GROUP_ID, c.USER_ID)
    return lists.with_columns(pl.format(f"{seed}/{{}}", pl.col(key)).alias(key) for key in keys)


def main() -> None:
    """Print every part's figures for each world."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", stream=sys.stderr)
    more = {"--parts": {"type": lambda text: text.split(","), "default": list(PARTS)}}
    wanted, bench = asked("31,32,33,34,35", "default,rough", more), Bench("training")
    bench.note(last_day=str(LAST_DAY), seeds=str(wanted.seeds))
    for world in wanted.worlds:
        found: dict[str, list[Judged]] = {part: [] for part in wanted.parts}
        bench.world(world_named(world))
        for seed in wanted.seeds:
            with tempfile.TemporaryDirectory() as folder:
                options = Ranker(listing_days=LISTING_DAYS, negatives_kept=1.0)
                settings = Settings(home=Path(folder), mlflow_url="", ranker=options)
                groups = groups_with_truth(settings, world, seed)
            groups = of_seed(groups, seed)
            day = held_out_days(groups, settings.ranker)[0]
            rows = ev.with_orders(trained_rows(groups, day))
            lists = ev.with_orders(ranker.in_order(ev.held_out(groups, [day])))
            for part in wanted.parts:
                found[part].append(judged(PARTS[part](rows, day), lists, settings))
        for part in wanted.parts:
            note(bench, f"{world}/{part}", found[part], next(iter(found[part][0].costs)))
    bench.finish()


if __name__ == "__main__":
    main()
