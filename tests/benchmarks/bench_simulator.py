"""How fast the shop is simulated: `make bench-simulator`; reach: 20M events in 3 minutes, 4 GB.

The full size by default; EVENTS_MILLIONS=1 for a quick look, --seeds and --worlds for another shop.
CUSTOMERS=5000000 for a day of a large shop, or DAYS=2, with as many items as `simulate --size`.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from datetime import date
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT)]

from tasks.simulator.command import items_of  # noqa: E402
from tasks.simulator.delivery import simulate  # noqa: E402
from tasks.simulator.parameters import world_named  # noqa: E402
from tests.benchmarks.measure import Bench, asked, only  # noqa: E402

FIRST_DAY = date(2026, 9, 1)
DAYS = 30
SEED = 20260901
CUSTOMERS_PER_MILLION = 2_700
ITEMS_PER_MILLION = 1_000


def main() -> None:
    """Simulate 30 days into a folder that is removed afterwards."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    millions, days = float(os.environ.get("EVENTS_MILLIONS", "20")), DAYS
    customers, items = int(CUSTOMERS_PER_MILLION * millions), int(ITEMS_PER_MILLION * millions)
    if "CUSTOMERS" in os.environ:
        customers, days = int(os.environ["CUSTOMERS"]), int(os.environ.get("DAYS", "1"))
        items = items_of(customers)
    wanted, bench = asked(seeds=str(SEED)), Bench("simulator")
    seed = only(wanted.seeds, "seed")
    parameters = world_named(only(wanted.worlds, "world"))
    bench.world(parameters)
    bench.note(seed=seed)
    with tempfile.TemporaryDirectory() as folder:
        landing, truth = Path(folder) / "landing", Path(folder) / "truth"
        with bench.timed("simulate"):
            counts = simulate(
                landing, truth, FIRST_DAY, days, customers, items, seed, parameters=parameters
            )
    events, seconds = int(counts["events"]), float(bench.figures["simulate_seconds"])
    bench.note(events=events, customers=customers, items=items, days=days)
    bench.note(
        events_per_second=round(events / seconds), seconds_for_20m=round(2e7 * seconds / events)
    )
    bench.finish()


if __name__ == "__main__":
    main()
