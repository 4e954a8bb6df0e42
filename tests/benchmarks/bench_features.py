"""How fast one day of `build_features` is: `make bench-features`; reach: 20M events, 3 min, 4 GB.

For each of --millions a shop of 30 days is simulated and taken in; then its last day is built as a
process of its own: ingest, counters, segment scores. The largest is built on Spark too, the same
SQL with two threads and as much memory; `parts_unlike` names what has other rows there. --keep
FOLDER keeps the shops and uses them again, --spark-millions 0 leaves Spark out.
"""

from __future__ import annotations

import argparse
import logging
import os
import re
import sys
import tempfile
from datetime import timedelta
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT)]

from tasks.build_features import ingest  # noqa: E402
from tasks.lake.lake import Lake  # noqa: E402
from tasks.lake.tables import DAILY_ACTS, EVENTS, TABLES  # noqa: E402
from tasks.settings import Settings  # noqa: E402
from tasks.simulator.delivery import simulate  # noqa: E402
from tasks.simulator.parameters import Parameters, world_named  # noqa: E402
from tests.benchmarks.bench_simulator import (  # noqa: E402
    CUSTOMERS_PER_MILLION,
    DAYS,
    FIRST_DAY,
    ITEMS_PER_MILLION,
    SEED,
)
from tests.benchmarks.measure import Bench, Ran, asked, numbers, only, ran  # noqa: E402

LAST_DAY = FIRST_DAY + timedelta(days=DAYS - 1)
DONE = re.compile(r"build_features\.(\w+) [\d-]+: done in ([\d.]+) s")
STEPS = ("ingest", "count_interactions", "rank_segments")


def prepare(settings: Settings, millions: float, seed: int, parameters: Parameters) -> int:
    """Simulate and take in every day that is not there yet; return how many events there are."""
    customers, items = int(CUSTOMERS_PER_MILLION * millions), int(ITEMS_PER_MILLION * millions)
    truth, lake = settings.home / "truth", Lake(settings)
    if not settings.landing.exists():
        size = (customers, items, seed)
        simulate(settings.landing, truth, FIRST_DAY, DAYS, *size, parameters=parameters)
    for offset in range(DAYS):
        day = FIRST_DAY + timedelta(days=offset)
        if not lake.has_day(DAILY_ACTS, day):
            ingest(day, settings)
    return sum(record.rows for record in Lake(settings).ledger.written(EVENTS).values())


def built(settings: Settings, engine: str) -> Ran:
    """Build the last day in a process of its own, as Airflow would by three."""
    day = ["--day", str(LAST_DAY)]
    own = {"VITRINA_HOME": str(settings.home), "VITRINA_MLFLOW_URL": "", "VITRINA_ENGINE": engine}
    kept = {name: text for name, text in os.environ.items() if not name.startswith("VITRINA_")}
    command = [sys.executable, "-m", "tasks", "run", "build_features", *day]
    return ran(command, kept | own | {"PYTHONPATH": str(ROOT)})


def note(bench: Bench, prefix: str, run: Ran, events: int) -> float:
    """Record seconds by step, in all and per million events, and the peak; return the sum."""
    steps = {name: float(seconds) for name, seconds in DONE.findall(run.log)}
    if set(steps) != set(STEPS):
        raise SystemExit(f"{prefix} did not finish:\n{run.log[-2000:]}")
    total = sum(steps.values())
    for name, seconds in steps.items():
        bench.note(**{f"{prefix}/{name}_seconds": seconds})
    bench.note(**{f"{prefix}/seconds": round(total, 1), f"{prefix}/peak_gb": run.peak_gb})
    bench.note(**{f"{prefix}/seconds_per_million": round(1e6 * total / events, 2)})
    return total


def compare(bench: Bench, folder: Path, millions: float, wanted: argparse.Namespace) -> None:
    """Build one shop's last day on DuckDB and, where asked for, on Spark."""
    seed, parameters = only(wanted.seeds, "seed"), world_named(only(wanted.worlds, "world"))
    # A kept shop is used again only for the very world and seed that it is of.
    name = f"{millions:g}M_{parameters.digest}_{seed}"
    settings = Settings(home=folder / name, mlflow_url="")
    events = prepare(settings, millions, seed, parameters)
    bench.note(**{f"{millions:g}M/events": events})
    on_duckdb = note(bench, f"{millions:g}M/duckdb", built(settings, "duckdb"), events)
    if millions in wanted.spark_millions:
        rows = hashes(settings)
        on_spark = note(bench, f"{millions:g}M/spark", built(settings, "spark"), events)
        bench.note(**{f"{millions:g}M/spark_to_duckdb": round(on_spark / on_duckdb, 2)})
        unlike = sorted(part for part, told in hashes(settings).items() if rows[part] != told)
        bench.note(**{f"{millions:g}M/parts": len(rows)})
        bench.note(**{f"{millions:g}M/parts_unlike": " ".join(unlike)})


def hashes(settings: Settings) -> dict[str, str]:
    """Return the hash of the rows of every part of the day that was built."""
    ledger = Lake(settings).ledger
    written = [table for table in TABLES.values() if table.written_by.startswith("build_features.")]
    return {
        f"{table.name}/{part}": record.row_hash
        for table in written
        for (day, part), record in ledger.written(table).items()
        if day == LAST_DAY
    }


def main() -> None:
    """Print the seconds of one day's `build_features` by size of the shop."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    more = {
        "--millions": {"type": numbers, "default": [1, 5, 20], "help": "1,5,20"},
        "--spark-millions": {"type": numbers, "default": [20], "help": "of these, also on Spark"},
        "--keep": {"type": Path, "help": "folder in which the shops stay"},
    }
    wanted, bench = asked(seeds=str(SEED), more=more), Bench("features")
    bench.world(world_named(only(wanted.worlds, "world")))
    with tempfile.TemporaryDirectory() as folder:
        for millions in wanted.millions:
            compare(bench, wanted.keep or Path(folder), millions, wanted)
    bench.finish()


if __name__ == "__main__":
    main()
