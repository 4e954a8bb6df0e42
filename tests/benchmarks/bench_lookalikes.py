"""Look-alikes: trainers, quality, real data and scale: `make bench-lookalikes`.

Takes everything by default; OPTIONS="--only quality --seeds 11,12 --customers 1500" takes a part.

trainers  in shops of --customers for each of --seeds and --worlds: our logistic regression (and
          with one penalty for all columns), CatBoost, XGBoost and naive Bayes as the look-alike
          factor, each with our buyer factor and calibrator, by what people then did in the seven
          days after the scored one; CPU seconds and megabytes of fitting; beside them, as orders
          only, the simple rule (who looked at such things, the most active first) and the most
          active people. At the end by how much each trainer's log loss, the segments added up, is
          above ours: by what people did, and expected by the truth, which knows no luck
quality   the probabilities that the task writes, by the same days, over all seeds: calibration
          slope (by what people did, and by the truth) and observed / expected with 95% intervals,
          in all and in each tenth of the people with at least 50 expected, Brier skill; and what
          the order captures of all true seed acts, against a ceiling: the task's own trainer,
          features and rows, fitted to the true probabilities (lookalike_truth.py)
real      repeat buyers and brands of public logs (lookalike_logs.py)
scale     --learn people train, --people are scored, --columns attribute values, from written
          counters: seconds and the most memory held (lookalike_scale.py)
"""

from __future__ import annotations

import logging
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "plugins")]

from tasks.settings import Settings  # noqa: E402
from tasks.simulator.parameters import world_named  # noqa: E402
from tests.benchmarks.lookalike_logs import note_public_logs  # noqa: E402
from tests.benchmarks.lookalike_scale import note_scale  # noqa: E402
from tests.benchmarks.lookalike_shops import lived  # noqa: E402
from tests.benchmarks.lookalike_world import Judge  # noqa: E402
from tests.benchmarks.measure import Bench, asked  # noqa: E402

ITEMS = 1_000
TRAINED, WRITTEN, REAL, SCALE = PARTS = ("trainers", "quality", "real", "scale")


def main() -> None:
    """Print what is asked for."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", stream=sys.stderr)
    more: dict[str, dict[str, Any]] = {
        "--only": {"default": ",".join(PARTS), "help": ",".join(PARTS)},
        "--customers": {"type": int, "default": 6_000},
        "--people": {"type": int, "default": 5_000_000},
        "--learn": {"type": int, "default": 300_000},
        "--columns": {"type": int, "default": 3_000},
    }
    wanted = asked(seeds="36,37,38,39,40", worlds="default,rough", more=more)
    bench, parts = Bench("lookalikes"), set(wanted.only.split(","))
    if parts & {TRAINED, WRITTEN}:
        bench.note(seeds=str(wanted.seeds), customers=wanted.customers, items=ITEMS)
        for world in wanted.worlds:
            note_world(bench, world, wanted.seeds, wanted.customers, parts)
    if REAL in parts:
        note_public_logs(bench, Settings(mlflow_url=""))
    if SCALE in parts:
        note_scale(bench, wanted.people, wanted.learn, wanted.columns)
    bench.finish()


def note_world(bench: Bench, world: str, seeds: list[int], customers: int, parts: set[str]) -> None:
    """Record what the simulated shops of a world tell."""
    bench.world(world_named(world))
    judge = Judge(compares=TRAINED in parts, scores=WRITTEN in parts)
    for seed in seeds:
        with tempfile.TemporaryDirectory() as folder, bench.timed(f"{world}/{seed}"):
            settings = Settings(home=Path(folder), mlflow_url="")
            judge.add(lived(settings, world, seed, customers, ITEMS))
    judge.note(bench, world)


if __name__ == "__main__":
    main()
