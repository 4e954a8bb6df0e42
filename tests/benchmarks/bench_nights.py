"""A ranker's week: `make bench-nights`; the nightly chain for seven days in a row, with its gate.

For each of --seeds and --worlds a shop of 36 days is simulated, of --customers. The days before the
last seven are history, as a first start derives it; then each night runs features, facets,
candidates and ranker in order, as Airflow does. Told per night: held-out NDCG@60 of the ranker and
of the base orders with 95% intervals, the gate's decision with its reason, and what is live
afterwards. The picture lies below `benchmarks` of VITRINA_HOME.
"""

from __future__ import annotations

import logging
import sys
import tempfile
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import polars as pl

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "plugins")]

from tasks import columns as c  # noqa: E402
from tasks.errors import QualityGateFailed  # noqa: E402
from tasks.lake.lake import Lake  # noqa: E402
from tasks.lake.tables import GATE_DECISIONS, RANKER_METRICS  # noqa: E402
from tasks.ranker import evaluation as ev  # noqa: E402
from tasks.ranker.registry import registry_of  # noqa: E402
from tasks.settings import Settings, Training  # noqa: E402
from tasks.simulator.delivery import simulate  # noqa: E402
from tasks.simulator.parameters import world_named  # noqa: E402
from tasks.steps import CHAIN, run_dag  # noqa: E402
from tests.benchmarks.measure import Bench, asked  # noqa: E402
from tests.benchmarks.pictures import week_of_nights  # noqa: E402
from vitrina_airflow.history import load_history  # noqa: E402

LAST_DAY = date(2026, 9, 30)
NIGHTS, DAYS = 7, 36
# So many that the gate can tell a tie: see the README on the gate.
CUSTOMERS, ITEMS = 10_000, 1_500
TONIGHT = tuple(dag for dag in CHAIN if dag != "score_lookalikes")
ORDERS = (ev.RANKER, c.SF_POS, ev.POPULARITY)


def shop(settings: Settings, world: str, seed: int, customers: int) -> list[date]:
    """Simulate a shop and derive its history; return the nights to come."""
    first = LAST_DAY - timedelta(days=DAYS - 1)
    nights = [LAST_DAY - timedelta(days=NIGHTS - 1 - n) for n in range(NIGHTS)]
    size, truth = (customers, ITEMS, seed), settings.home / "truth"
    simulate(settings.landing, truth, first, DAYS, *size, parameters=world_named(world))
    load_history(first, nights[0] - timedelta(days=1), settings.ranker.listing_days, settings)
    return nights


def night(day: date, settings: Settings) -> Iterator[dict[str, object]]:
    """Run the chain for a day; yield a row per order, with the night's decision."""
    for dag in TONIGHT:
        try:
            run_dag(dag, day, settings)
        except QualityGateFailed as refusal:
            logging.warning("%s: %s", day, refusal)
    lake = Lake(settings)
    decision = lake.read_day(GATE_DECISIONS, day).sort("decided_at").row(-1, named=True)
    live = registry_of(settings).serving()
    told = {"decision": decision["decision"], "live": live.number if live else "none"}
    said = f"{decision['customers']} customers: {decision[c.REASON]}"
    metrics = lake.read_day(RANKER_METRICS, day).filter(
        pl.col(c.SLICE) == ev.ALL,
        pl.col(c.METRIC) == f"ndcg@{settings.ranker.cutoff}",
        pl.col("model").is_in(ORDERS),
    )
    for row in metrics.select("model", c.VALUE, c.LOW, c.HIGH).iter_rows(named=True):
        yield {"day": day, **told, "said": said, **row}


def main() -> None:
    """Print every night's figures and draw the week."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", stream=sys.stderr)
    more = {"--customers": {"type": int, "default": CUSTOMERS}}
    wanted, bench = asked("31", "default,rough", more), Bench("nights")
    bench.note(customers=wanted.customers, items=ITEMS)
    for world in wanted.worlds:
        bench.world(world_named(world))
        for seed in wanted.seeds:
            with tempfile.TemporaryDirectory() as folder:
                # Forced, since all days have landed: each night trains as if it were the newest.
                training = Training(force=True)
                settings = Settings(home=Path(folder), mlflow_url="", training=training)
                nights = shop(settings, world, seed, wanted.customers)
                rows = pl.DataFrame([row for day in nights for row in night(day, settings)])
            prefix = f"{world}/{seed}"
            for row in rows.iter_rows(named=True):
                figure = f"{row['value']:.4f} [{row['low']:.4f}, {row['high']:.4f}]"
                bench.note(**{f"{prefix}/{row['day']}/{row['model']}": figure})
            gates = rows.select("day", "decision", "live", "said").unique().sort("day")
            for day, decision, live, said in gates.iter_rows():
                told = f"{decision}, live: version {live}; {said}"
                bench.note(**{f"{prefix}/{day}/gate": told})
            bench.note(**{f"{prefix}/picture": str(week_of_nights(prefix, rows))})
    bench.finish()


if __name__ == "__main__":
    main()
