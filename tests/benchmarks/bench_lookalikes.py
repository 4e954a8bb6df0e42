"""Look-alikes: trainers, quality, real data and scale: `make bench-lookalikes`.

Takes everything by default; OPTIONS="--only quality --seeds 11,12 --customers 1500" takes a part.

trainers  in shops of --customers for each of --seeds and --worlds: our logistic regression (and
          with one penalty for all columns), CatBoost and naive Bayes as the look-alike factor, each
          with our buyer factor and calibrator, by what people then did in the seven days after the
          scored one; CPU seconds and megabytes of fitting; beside them, as orders only, the simple
          rule (who looked at such things, the most active first) and the most active people
quality   the probabilities that the task writes, by the same days, over all seeds: calibration
          slope and observed / expected with 95% intervals, in all and in each tenth of the people
          with at least 50 expected, Brier skill
real      repeat buyers and brands of public logs (lookalike_logs.py)
scale     --learn people train, --people are scored, --columns attribute values, from written
          counters: seconds and the most memory held (lookalike_scale.py)

XGBoost and LightGBM are not among the packages; the notes' figures of them are not repeated here.
"""

from __future__ import annotations

import logging
import sys
import tempfile
from collections import defaultdict
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "plugins")]

from tasks import columns as c  # noqa: E402
from tasks.errors import QualityGateFailed  # noqa: E402
from tasks.lookalikes.classifier import Array, chosen_ridge  # noqa: E402
from tasks.lookalikes.judgement import calibration_metrics, wilson  # noqa: E402
from tasks.lookalikes.people import IS_POSITIVE, eligible_people  # noqa: E402
from tasks.lookalikes.registry import segments  # noqa: E402
from tasks.lookalikes.scoring import score_people  # noqa: E402
from tasks.lookalikes.training import ANCHOR, Lessons, factor, lessons, matrix_of  # noqa: E402
from tasks.settings import Lookalikes, Settings  # noqa: E402
from tasks.simulator.parameters import world_named  # noqa: E402
from tests.benchmarks.lookalike_logs import note_public_logs  # noqa: E402
from tests.benchmarks.lookalike_scale import note_scale  # noqa: E402
from tests.benchmarks.lookalike_shops import (  # noqa: E402
    SCORED_DAY,
    Lived,
    by_rule,
    judged_later,
    labels,
    lived,
)
from tests.benchmarks.lookalike_trainers import (  # noqa: E402
    TRAINERS,
    Judgement,
    Rows,
    Trial,
    note_order,
    note_probabilities,
    tried,
)
from tests.benchmarks.measure import Bench, asked  # noqa: E402

ITEMS = 1_000
LEAST_EXPECTED = 50
PARTS = ("trainers", "quality", "real", "scale")
RULE, ACTIVE = "rule", "most active"


def trial_of(shop: Lived, options: Lookalikes) -> Trial | None:
    """Return what trainers are given of a shop; None where there is too little to learn from."""
    plan, features = shop.plan, shop.evidence.features
    people = {anchor: _eligible(shop, anchor) for anchor in plan.anchors[1:]}
    positives = sum(int(people[anchor][IS_POSITIVE].sum()) for anchor in plan.training)
    later = people[plan.calibration][IS_POSITIVE].sum()
    if positives < options.min_seeds or not later or not shop.people[IS_POSITIVE].any():
        return None
    trained = {anchor: people[anchor] for anchor in plan.training}
    learnt = lessons(plan.segment.rule, trained, features, options, 0)
    mine = Rows(learnt.seeding_x, learnt.seeding.labels)
    ridge = chosen_ridge(mine.x, mine.y, learnt.persons, learnt.shares)
    buyer = factor(learnt.buying_x, learnt.buying, ridge, learnt.shares).log_odds
    calibration = _rows(shop, people[plan.calibration], plan.calibration, learnt)
    judged = _rows(shop, shop.people, SCORED_DAY, learnt)
    return Trial(mine, learnt.persons, learnt.shares, buyer, calibration, judged)


def _eligible(shop: Lived, anchor: date) -> pl.DataFrame:
    evidence = shop.evidence
    known = evidence.known[anchor]
    return eligible_people(known, evidence.seeds, evidence.purchases, anchor, shop.plan.segment)


def _rows(shop: Lived, people: pl.DataFrame, anchor: date, learnt: Lessons) -> Rows:
    dated = people.with_columns(pl.lit(anchor).alias(ANCHOR))
    return Rows(matrix_of(dated, shop.evidence.features, learnt.columns), labels(people))


class Pooled:
    """What is found over all seeds of a world, by segment."""

    def __init__(self) -> None:
        self.scored: dict[str, list[tuple[Array, Array]]] = defaultdict(list)
        self.trials: dict[tuple[str, str], list[tuple[Judgement, Array]]] = defaultdict(list)
        self.orders: dict[tuple[str, str], list[tuple[Array, Array]]] = defaultdict(list)
        self.verdicts: dict[str, list[str]] = defaultdict(list)

    def add(self, name: str, shop: Lived, options: Lookalikes, parts: list[str]) -> None:
        """Score one shop's segment in the ways that are asked for."""
        if "quality" in parts:
            self._score(name, shop, options)
        if "trainers" in parts and (trial := trial_of(shop, options)):
            y = trial.judged.y
            for trainer, train in TRAINERS.items():
                self.trials[name, trainer].append((tried(train, trial), y))
            most = shop.views / (shop.views.max() + 1)
            self.orders[name, RULE].append((by_rule(shop) + most, y))
            self.orders[name, ACTIVE].append((most, y))

    def _score(self, name: str, shop: Lived, options: Lookalikes) -> None:
        try:
            scored = score_people(shop.plan, shop.evidence, options)
        except QualityGateFailed:
            self.verdicts[name].append("failed")
            return
        self.verdicts[name].append(str(scored.card["verdict"][0]))
        if scored.scores.height:
            people = scored.scores.join(shop.people, on=c.USER_ID, maintain_order="left")
            self.scored[name].append((people[c.PROBABILITY].to_numpy(), labels(people)))

    def note(self, bench: Bench, world: str) -> None:
        """Record all figures of the world."""
        for name, verdicts in self.verdicts.items():
            bench.note(**{f"{world}/{name}/verdicts": ", ".join(verdicts)})
        for name, pairs in self.scored.items():
            p, y = (np.concatenate(column) for column in zip(*pairs, strict=True))
            note_quality(bench, f"{world}/{name}", p, y)
        for (name, trainer), found in self.trials.items():
            p, y = np.concatenate([j.p for j, _ in found]), np.concatenate([y for _, y in found])
            seconds = np.mean([judgement.seconds for judgement, _ in found])
            most = max(judgement.megabytes for judgement, _ in found)
            taken = f", {seconds:.1f} s, {most:.0f} MB"
            note_probabilities(bench, f"{world}/{name}/{trainer}", p, y, taken)
        for (name, order), pairs in self.orders.items():
            score, y = (np.concatenate(column) for column in zip(*pairs, strict=True))
            note_order(bench, f"{world}/{name}/{order}", score, y)


def note_quality(bench: Bench, name: str, p: Array, y: Array) -> None:
    """Record calibration of probabilities: in all, and in tenths of the people."""
    note_probabilities(bench, f"{name}/written", p, y)
    slopes = [slope_of(p[who], y[who]) for who in _drawn(len(y))]
    low, high = np.quantile(slopes, [0.025, 0.975])
    bench.note(**{f"{name}/slope": f"{slope_of(p, y):.3f} [{low:.3f}, {high:.3f}]"})
    tenths = np.array_split(np.argsort(p, kind="stable"), 10)
    told = [_ratio(p[part], y[part]) for part in tenths if p[part].sum() >= LEAST_EXPECTED]
    bench.note(**{f"{name}/observed_to_expected": "; ".join([_ratio(p, y), *told])})


def slope_of(p: Array, y: Array) -> float:
    """Return the calibration slope."""
    return calibration_metrics(p, y)["calibration_slope"]


def _drawn(count: int, draws: int = 100) -> list[np.ndarray]:
    generator = np.random.default_rng(0)
    return [generator.integers(0, count, count) for _ in range(draws)]


def _ratio(p: Array, y: Array) -> str:
    """Return observed over expected, the interval that of the observed share."""
    hits, of = np.array([int(y.sum())]), np.array([len(y)])
    low, high = (float(bound[0]) / p.mean() for bound in wilson(hits, of))
    return f"{y.mean() / p.mean():.2f} [{low:.2f}, {high:.2f}]"


def main() -> None:
    """Print what is asked for."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", stream=sys.stderr)
    more: dict[str, dict[str, Any]] = {
        "--only": {"default": ",".join(PARTS), "help": "trainers,quality,real,scale"},
        "--customers": {"type": int, "default": 6_000},
        "--people": {"type": int, "default": 5_000_000},
        "--learn": {"type": int, "default": 300_000},
        "--columns": {"type": int, "default": 3_000},
    }
    wanted = asked(seeds="31,32,33,34,35", worlds="default,rough", more=more)
    bench, parts = Bench("lookalikes"), wanted.only.split(",")
    if {"trainers", "quality"} & set(parts):
        note_shops(bench, wanted.worlds, wanted.seeds, wanted.customers, parts)
    if "real" in parts:
        note_public_logs(bench, Settings(mlflow_url=""))
    if "scale" in parts:
        note_scale(bench, wanted.people, wanted.learn, wanted.columns)
    bench.finish()


def note_shops(
    bench: Bench, worlds: list[str], seeds: list[int], customers: int, parts: list[str]
) -> None:
    """Record what simulated shops tell."""
    bench.note(seeds=str(seeds), customers=customers, items=ITEMS)
    for world in worlds:
        bench.world(world_named(world))
        pooled = Pooled()
        for seed in seeds:
            with tempfile.TemporaryDirectory() as folder, bench.timed(f"{world}/{seed}"):
                settings = Settings(home=Path(folder), mlflow_url="")
                lake = lived(settings, world, seed, customers, ITEMS)
                for name, segment in segments().items():
                    shop = judged_later(lake, segment)
                    pooled.add(name, shop, settings.lookalikes, parts)
        pooled.note(bench, world)


if __name__ == "__main__":
    main()
