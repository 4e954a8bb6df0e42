"""How fast features are built: `make bench-features`; reach: 20M events in 3 minutes and 4 GB.

A shop of 30 days is simulated and ingested first; then the last day's counters, sequences,
segments and scores are built on DuckDB, and with SPARK=1 on Spark `local[2]` in the same run.
EVENTS_MILLIONS=1 for a quick look.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from datetime import date, timedelta
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT)]

from tasks.build_features import count_interactions, ingest, rank_segments  # noqa: E402
from tasks.settings import Settings  # noqa: E402
from tasks.simulator.delivery import simulate  # noqa: E402
from tasks.simulator.parameters import DEFAULT  # noqa: E402
from tests.benchmarks.bench_simulator import (  # noqa: E402
    CUSTOMERS_PER_MILLION,
    DAYS,
    FIRST_DAY,
    ITEMS_PER_MILLION,
    SEED,
)
from tests.benchmarks.measure import Bench  # noqa: E402

LAST_DAY = FIRST_DAY + timedelta(days=DAYS - 1)


def prepare(settings: Settings, millions: float) -> int:
    """Simulate and ingest every day; return how many events."""
    customers, items = int(CUSTOMERS_PER_MILLION * millions), int(ITEMS_PER_MILLION * millions)
    truth = settings.home / "truth"
    counts = simulate(settings.landing, truth, FIRST_DAY, DAYS, customers, items, SEED)
    for offset in range(DAYS - 1):
        ingest(FIRST_DAY + timedelta(days=offset), settings)
    return int(counts["events"])


def build(day: date, settings: Settings) -> None:
    """Do what the DAG does after ingest."""
    count_interactions(day, settings)
    rank_segments(day, settings)


def main() -> None:
    """Print the seconds of one day's `build_features`."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    millions = float(os.environ.get("EVENTS_MILLIONS", "20"))
    bench = Bench("features")
    bench.world(DEFAULT)
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(home=Path(folder), mlflow_url="")
        with bench.timed("prepare"):
            bench.note(events=prepare(settings, millions))
        with bench.timed("ingest"):
            ingest(LAST_DAY, settings)
        with bench.timed("duckdb"):
            build(LAST_DAY, settings)
        if os.environ.get("SPARK"):
            spark = settings.model_copy(update={"engine": "spark"})
            with bench.timed("spark"):
                build(LAST_DAY, spark)
    bench.finish()


if __name__ == "__main__":
    main()
