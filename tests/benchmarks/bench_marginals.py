"""How near the simulated shop comes to real ones: `make bench-marginals`; reach: inside or near.

For each of --seeds a shop of 28 days is simulated and measured as the folders of VITRINA_REAL_DATA
are; the figures are the mean over seeds, lowest and highest. SHUFFLED=1 adds what a sequence model
loses when histories are shuffled (larger shops, 5 CPU minutes). --worlds rough for the other world,
--seeds 51 for a quick look.
"""

from __future__ import annotations

import logging
import math
import os
import sys
from collections import Counter
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import NamedTuple

import polars as pl

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT)]

from tasks.settings import Settings  # noqa: E402
from tasks.simulator import marginals  # noqa: E402
from tasks.simulator.marginals import PERCENT, Row, shop_log  # noqa: E402
from tasks.simulator.parameters import Parameters, world_named  # noqa: E402
from tasks.simulator.real_logs import real_logs  # noqa: E402
from tasks.simulator.shop import Shop  # noqa: E402
from tests.benchmarks.measure import Bench, asked, only  # noqa: E402

log = logging.getLogger("bench_marginals")
FIRST_DAY = date(2026, 9, 1)


class Size(NamedTuple):
    """How large a shop is and how long it lives."""

    customers: int
    items: int
    days: int


USUAL, SHORT = Size(800, 800, marginals.MONTH), Size(800, 800, 7)
LARGE = Size(2_500, 3_000, marginals.MONTH)


def simulated_log(seed: int, parameters: Parameters, size: Size = USUAL) -> pl.DataFrame:
    """Return the log of a shop's first days."""
    shop = Shop.opened(seed, FIRST_DAY, size.customers, size.items, parameters)
    landed = [shop.simulate_day(FIRST_DAY + timedelta(age))[0] for age in range(size.days)]
    log.info("simulated seed %d: %s", seed, size)
    events = pl.concat([frames["events"] for frames in landed])
    return shop_log(events, landed[-1]["items"], landed[-1]["customers"])


def shuffled_rows(folder: Path, seeds: list[int], parameters: Parameters) -> list[Row]:
    """Return the rows that need a model, of larger shops."""
    from tests.benchmarks import shuffled

    logs = [simulated_log(seed, parameters, LARGE) for seed in seeds]
    return shuffled.rows(folder, logs)


def figure(value: float, unit: str) -> str:
    """Return a value as text."""
    if math.isinf(value):
        return "more"
    return f"{100 * value:.2f}%" if unit == PERCENT else f"{value:.3f}"


def line(row: Row) -> str:
    """Return a row as a line of a Markdown table."""
    real = "" if row.real is None else " to ".join(figure(end, row.unit) for end in row.real)
    value, low, high = (figure(each, row.unit) for each in row.simulated)
    simulated, folders = f"{value} ({low} to {high})", ", ".join(row.folders)
    return f"| {row.name:52} | {real:17} | {simulated:27} | {row.verdict:7} | {folders} |"


def lines(rows: list[Row]) -> list[str]:
    """Return the Markdown table."""
    names = ("Marginal", "Real", "Simulated: mean (lowest to highest seed)", "", "Folders")
    return [f"| {' | '.join(names)} |", "|" + " --- |" * len(names), *map(line, rows)]


def main() -> None:
    """Print the table and one JSON line."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    folder = Settings().real_data
    if folder is None or not folder.is_dir():
        raise SystemExit(f"bench-marginals: VITRINA_REAL_DATA names no folder of data: {folder}")
    wanted = asked(seeds="51,52,53")
    seeds, parameters = wanted.seeds, world_named(only(wanted.worlds, "world"))
    bench = Bench("marginals")
    with bench.timed("simulate"):
        simulated = [simulated_log(seed, parameters) for seed in seeds]
        all_shuffled = replace(parameters, shuffled=1.0)
        shuffled = [simulated_log(seed, all_shuffled, SHORT) for seed in seeds]
    with bench.timed("measure"):
        rows = marginals.table(real_logs(folder), simulated, shuffled)
    if os.environ.get("SHUFFLED"):
        with bench.timed("shuffled"):
            rows += shuffled_rows(folder, seeds, parameters)
    print("\n".join(lines(rows)))
    bench.world(parameters)
    bench.note(seeds=str(seeds))
    bench.note(**{row.name: round(row.simulated.value, 4) for row in rows})
    bench.note(**Counter(row.verdict for row in rows))
    bench.finish()


if __name__ == "__main__":
    main()
