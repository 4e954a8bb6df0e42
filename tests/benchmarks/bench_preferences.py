"""What writing preferences takes: `make bench-preferences OPTIONS="--users 50000,200000"`.

For each number of users a day of `ACTS` views a user, drawn evenly from some thousand items of 30
attributes with ten values each, is put into a lake; `write_user_facets` runs in a process of its
own: rows, seconds, and the most memory that it held. The engine may take `VITRINA_MEMORY_GB` (4)
and spills beyond that; what is written must add nothing that follows the number of users.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import polars as pl

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT)]

from tasks import columns as c  # noqa: E402
from tasks.compute_facet_weights import write_user_facets  # noqa: E402
from tasks.lake.contracts import Table  # noqa: E402
from tasks.lake.lake import Lake  # noqa: E402
from tasks.lake.tables import EVENTS, ITEM_ATTRIBUTES, ITEMS  # noqa: E402
from tasks.landing.manifest import write_landing_day  # noqa: E402
from tasks.settings import Settings  # noqa: E402
from tests.benchmarks.measure import Bench  # noqa: E402

DAY = date(2026, 9, 30)
ITEMS_THERE, ATTRIBUTES, VALUES, ACTS = 5_000, 30, 10, 5
PER_GB = 1 << 20


def filled(home: Path, users: int) -> None:
    """Put one day of acts and a catalogue into a lake."""
    settings = Settings(home=home, mlflow_url="", facets={"window_days": 1})
    write_landing_day(settings.landing, DAY, {}, "bench")
    lake, chance = Lake(settings), np.random.default_rng(1)
    names = pl.Series(c.ITEM_ID, [f"i{number:05d}" for number in range(ITEMS_THERE)])
    items = rows(ITEMS, {c.ITEM_ID: names, c.CATEGORY_GROUP: "clothes", c.CATEGORY: "shirts"})
    lake.write_day(ITEMS, DAY, items)
    lake.write_day(ITEM_ATTRIBUTES, DAY, attributes(names, chance))
    count = users * ACTS
    user = np.repeat(np.arange(users), ACTS)
    events = {
        c.EVENT_ID: "e" + pl.Series(np.arange(count)).cast(pl.String),
        c.USER_ID: "u" + pl.Series(user).cast(pl.String).str.zfill(7),
        c.ITEM_ID: names.gather(chance.integers(0, ITEMS_THERE, count)),
        c.EVENT_TYPE: c.VIEW,
    }
    lake.write_day(EVENTS, DAY, rows(EVENTS, events))


def attributes(items: pl.Series, chance: np.random.Generator) -> pl.DataFrame:
    """Return one of ten values of each attribute for every item."""
    place = np.arange(len(items) * ATTRIBUTES)
    value = pl.Series(chance.integers(0, VALUES, len(place))).cast(pl.String)
    return rows(
        ITEM_ATTRIBUTES,
        {
            c.ITEM_ID: items.gather(place // ATTRIBUTES),
            c.ATTRIBUTE: "a" + pl.Series(place % ATTRIBUTES).cast(pl.String),
            c.VALUE: "v" + value,
        },
    )


def rows(table: Table, values: dict[str, object]) -> pl.DataFrame:
    """Return rows of a table: the given columns, and something allowed in the others."""
    usual: dict[pl.DataType | type[pl.DataType], object] = {
        pl.String: "x", pl.Int64: 1, pl.Int32: 1, pl.Float64: 1.0, pl.Float32: 1.0,
        pl.Boolean: True, pl.Date: DAY,
    }  # fmt: skip
    frame = pl.DataFrame(values)
    columns = []
    for name, column in table.columns.items():
        allowed = column.values[0] if column.values else usual.get(column.dtype)
        if name in values:
            columns.append(pl.col(name))
        elif column.nullable:
            columns.append(pl.lit(None, column.dtype).alias(name))
        elif allowed is None:
            noon = datetime(DAY.year, DAY.month, DAY.day, 12, tzinfo=UTC)
            columns.append(pl.lit(noon).cast(column.dtype).alias(name))
        else:
            columns.append(pl.lit(allowed, column.dtype).alias(name))
    return frame.select(columns)


def written(home: Path) -> None:
    """Write the preferences and print what it took as JSON."""
    settings = Settings(home=home, mlflow_url="", facets={"window_days": 1})
    started = time.perf_counter()
    count = write_user_facets(DAY, settings)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / PER_GB
    seconds = round(time.perf_counter() - started, 1)
    print(json.dumps({"rows": count, "seconds": seconds, "peak_gb": round(peak, 2)}))


def main() -> None:
    """Print rows, seconds and peak memory by number of users."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--users", default="50000,200000")
    parser.add_argument("--home", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.home:
        return written(given.home)
    bench = Bench("preferences")
    for users in map(int, given.users.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            home = Path(folder)
            filled(home, users)
            command = [sys.executable, __file__, "--home", str(home)]
            told = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        for name, value in json.loads(told.splitlines()[-1]).items():
            bench.note(**{f"{users}/{name}": value})
    bench.finish()


if __name__ == "__main__":
    main()
