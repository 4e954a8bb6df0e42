"""What SASRec's options come to on a shop: `make bench-sasrec OPTIONS="--recipes softmax,time"`.

A simulated shop lives DAYS days; each recipe of `bench_candidates.RECIPES` is fitted to all but the
last `holdout_days`, and its lists are judged by those (time split, whole catalogue), beside the
popular items of 7 days and paired with the first recipe (`above`, NDCG@10, 95% bootstrap intervals
over users). Every recipe trains until the last day it knows is foretold no better for PATIENCE
epochs.

Then a warm start is compared with a fresh training. The parent has learned, in the same way, what
was known a week before; told are both trainings' validation by epoch, seconds, and lists.
"""

from __future__ import annotations

import logging
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT)]

from tasks import columns as c  # noqa: E402
from tasks.candidates.command import Cost, Result  # noqa: E402
from tasks.candidates.evaluation import (  # noqa: E402
    TIME,
    Split,
    bootstrap,
    time_split,
    user_metrics,
)
from tasks.candidates.fitting import YARDSTICK, Lists, fitted, heldout_lists, judged  # noqa: E402
from tasks.candidates.generator import Generator, Known, Run  # noqa: E402
from tasks.candidates.interactions import known_earlier, known_on  # noqa: E402
from tasks.candidates.memory import forget_peak, peak_gb  # noqa: E402
from tasks.candidates.sasrec import SASRec  # noqa: E402
from tasks.lake.lake import Lake  # noqa: E402
from tasks.ranker.measure import Interval  # noqa: E402
from tasks.settings import Settings  # noqa: E402
from tasks.simulator.delivery import simulate  # noqa: E402
from tasks.simulator.parameters import world_named  # noqa: E402
from tasks.steps import run_dag  # noqa: E402
from tests.benchmarks.bench_candidates import RECIPES, note  # noqa: E402
from tests.benchmarks.measure import Bench, asked, only  # noqa: E402

LAST_DAY = date(2026, 9, 30)
DAYS, CUSTOMERS, ITEMS = 30, 2_000, 1_000
NDCG, RESAMPLES = "ndcg@10", 1_000
PATIENCE, MOST_EPOCHS, WEEK = 2, 12, 7
OPTIONS: dict[str, dict[str, Any]] = {
    "--recipes": {"default": ",".join(RECIPES), "help": "softmax,time"},
    "--epochs": {"type": int, "default": MOST_EPOCHS, "help": "most epochs of a training"},
}

log = logging.getLogger(__name__)


def delivered(settings: Settings, world: str, seed: int) -> None:
    """Let a shop live, and take its deliveries in."""
    first = LAST_DAY - timedelta(days=DAYS - 1)
    simulate(
        *(settings.landing, settings.home / "truth", first, DAYS, CUSTOMERS, ITEMS, seed),
        parameters=world_named(world),
    )
    for day in range(DAYS):
        run_dag("build_features", first + timedelta(days=day), settings, "ingest")


def split_for(settings: Settings) -> tuple[Split, Known]:
    """Return the time split, and what was known a week before its day."""
    lake, options = Lake(settings), settings.candidates
    known = known_on(lake, LAST_DAY, options, with_shown=True)
    cut = LAST_DAY - timedelta(days=options.holdout_days)
    then = known_earlier(lake, known, cut)
    before = known_earlier(lake, known, cut - timedelta(days=WEEK))
    return time_split(then, known.interactions, options), before


def with_recipe(settings: Settings, recipe: str, epochs: int) -> Settings:
    """Return the settings of a recipe that trains until it gets no better."""
    steady = {"patience": PATIENCE, "epochs": epochs, "min_steps": 1}
    options = settings.candidates
    sasrec = options.sasrec.model_copy(update=steady | RECIPES[recipe])
    changed = options.model_copy(update={"sasrec": sasrec})
    return settings.model_copy(update={"candidates": changed})


@dataclass
class Comparison:
    """A split, and what is found on it beside the popular items and what was found first."""

    bench: Bench
    split: Split
    settings: Settings
    yardstick: Lists = field(init=False)
    first: pl.Series | None = None

    def __post_init__(self) -> None:
        """List what sold in 7 days."""
        popular = fitted(YARDSTICK, self.split.known, self.settings)
        self.yardstick = heldout_lists(popular, self.split)

    def one(self, name: str, fit: Callable[[], Generator]) -> Generator:
        """Fit, list, judge and record."""
        forget_peak()
        started, cpu = time.monotonic(), time.process_time()
        generator = fit()
        there = time.monotonic()
        self.bench.note(**{f"{name}_fit_cpu_seconds": round(time.process_time() - cpu, 1)})
        lists = heldout_lists(generator, self.split)
        cost = Cost(there - started, time.monotonic() - there, peak_gb())
        metrics = judged(lists, self.split, self.settings, self.yardstick)
        shown = metrics.filter(pl.col("protocol") == TIME)
        note(self.bench, name, Result(name, lists, shown, cost))
        self._beside_first(name, lists[TIME])
        log.warning("%s: NDCG@10 %s", name, self.bench.figures[f"{name}/{NDCG}"])
        return generator

    def _beside_first(self, name: str, lists: pl.DataFrame) -> None:
        protocol = next(each for each in self.split.protocols if each.name == TIME)
        users = user_metrics(lists, protocol.truth, self.split.warm).sort(c.USER_ID)
        if self.first is None:
            self.first = users[NDCG]
            return
        gains = (users[NDCG] - self.first).to_numpy()
        low, high = bootstrap(gains[:, None], RESAMPLES, seed=0)
        above = {NDCG: Interval(float(gains.mean()), float(low[0]), float(high[0]))}
        self.bench.intervals(f"{name}/above", above, "+.4f")


def warm_and_fresh(compared: Comparison, before: Known, settings: Settings) -> None:
    """Record a training from nothing beside one from a parent; `above` is over the former."""
    options, known = settings.candidates, compared.split.known
    parent = SASRec.fit(before, options, Run(settings.seed, settings.threads))
    compared.first = None
    for name, start in (("fresh", None), ("warm", parent)):
        run = Run(settings.seed, settings.threads, parent=start)
        generator = compared.one(name, partial(SASRec.fit, known, options, run))
        found = generator.curves()["validation_ndcg_at_10"]
        by_epoch = " ".join(f"{each:.4f}" for each in found)
        compared.bench.note(**{f"{name}_validation_by_epoch": by_epoch})


def compare(compared: Comparison, before: Known, recipes: list[str], epochs: int) -> None:
    """Record each recipe, what sold in 7 days, and a warm start beside a fresh training."""
    settings, known = compared.settings, compared.split.known
    for recipe in recipes:
        told = with_recipe(settings, recipe, epochs)
        compared.one(recipe, partial(fitted, "sasrec", known, told))
    compared.one(YARDSTICK, partial(fitted, YARDSTICK, known, settings))
    warm_and_fresh(compared, before, with_recipe(settings, "softmax", epochs))


def main() -> None:
    """Print what each recipe finds of a shop's last days."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", stream=sys.stderr)
    wanted, bench = asked("31", more=OPTIONS), Bench("sasrec")
    world, seed = only(wanted.worlds, "world"), only(wanted.seeds, "seed")
    bench.world(world_named(world))
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(home=Path(folder), mlflow_url="", min_free_gb=0)
        delivered(settings, world, seed)
        split, before = split_for(settings)
        acts = split.known.interactions[c.EVENT_TYPE].value_counts().sort(pl.all())
        bench.note(items=len(split.known.item_ids()), test_users=split.requests.height)
        bench.note(**{f"learned_{kind}": count for kind, count in acts.iter_rows()})
        compare(
            Comparison(bench, split, settings), before, wanted.recipes.split(","), wanted.epochs
        )
    return bench.finish()


if __name__ == "__main__":
    main()
