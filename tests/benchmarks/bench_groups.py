"""What ranking groups take: `make bench-groups OPTIONS="--rows 1000000,10000000"`.

For each number of rows a lake is drawn: 18 listing days of lists of `SHOWN` items with a cart each,
and of every day before one what `build_groups` reads of it: a catalogue of `ITEMS_THERE` items,
segments' scores, everybody's counters and preferences, counters of every other pair that is shown.
All lists and all negatives are kept, so that the rows are those asked for; no candidates are made,
so that their features are null. Each part runs in a process of its own:

build    `python -m tasks run retrain_ranker.build_groups`: seconds and the most memory held
train    one model of the rows as they lie in the lake, of `--trees` trees (0 leaves it out)

The engine may take `VITRINA_MEMORY_GB` (4) and spills beyond that.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT)]

from tasks import columns as c  # noqa: E402
from tasks.lake.contracts import Table  # noqa: E402
from tasks.lake.lake import Lake  # noqa: E402
from tasks.lake.ledger import days_between  # noqa: E402
from tasks.lake.tables import EVENTS, ITEM_ATTRIBUTES, RANKING_GROUPS  # noqa: E402
from tasks.landing.manifest import write_landing_day  # noqa: E402
from tasks.ranker.groups import KNOWN_BEFORE  # noqa: E402
from tasks.ranker.trial import fitted, trained_rows  # noqa: E402
from tasks.settings import Ranker, Settings  # noqa: E402
from tests.benchmarks.bench_preferences import rows as filled  # noqa: E402
from tests.benchmarks.measure import Bench, numbers, ran  # noqa: E402

DAY = date(2026, 9, 30)
LISTING_DAYS = 18
SHOWN = 20
ITEMS_THERE = 5_000
STEP = 37
"""From one item of a list to the next: no list holds one twice."""
GROUPS, VALUES, SEGMENTS = 8, 20, 5
ALL_KEPT = {"groups_per_platform": 1_000_000, "negatives_kept": 1.0}


def listing_days() -> list[date]:
    """Return the days whose listings are the groups of `DAY`."""
    return days_between(DAY - timedelta(days=LISTING_DAYS), DAY - timedelta(days=1))


def named(prefix: str, places: npt.NDArray[np.int64]) -> pl.Series:
    """Return ids in the order of their numbers."""
    return prefix + pl.Series(places).cast(pl.String).str.zfill(8)


def shown(listed: date, lists: int) -> pl.DataFrame:
    """Return `listing_id, user_id, item_id, position, is_carted` of one day's lists."""
    chance = np.random.default_rng(listed.toordinal())
    place = np.tile(np.arange(SHOWN), lists)
    one = np.repeat(np.arange(lists), SHOWN)
    item = (chance.integers(0, ITEMS_THERE, lists)[one] + STEP * place) % ITEMS_THERE
    return pl.DataFrame(
        {
            c.LISTING_ID: named("l", chance.permutation(lists)[one]) + f"-{listed}",
            c.USER_ID: named("u", one // 2),
            c.ITEM_ID: named("i", item),
            c.POSITION: (place + 1).astype(np.int32),
            "is_carted": place == chance.integers(0, SHOWN, lists)[one],
        }
    )


def events(listed: date, rows: pl.DataFrame) -> pl.DataFrame:
    """Return EVENTS rows: what was shown, and a minute later what of it went into the cart."""
    noon = datetime(listed.year, listed.month, listed.day, 12, tzinfo=UTC)
    session = {c.SESSION_ID: pl.col(c.LISTING_ID)}
    at = {c.TS: pl.lit(noon).cast(EVENTS.schema[c.TS])}
    impressions = rows.drop("is_carted").with_columns(
        **session, **at, event_type=pl.lit("impression")
    )
    carts = rows.filter("is_carted").select(
        pl.lit(None, pl.String).alias(c.LISTING_ID),
        c.USER_ID,
        c.ITEM_ID,
        pl.lit(None, pl.Int32).alias(c.POSITION),
        **session,
        **{name: value + pl.duration(minutes=1) for name, value in at.items()},
        event_type=pl.lit(c.CART),
    )
    both = pl.concat([impressions, carts])
    event = f"{listed}-" + named("e", np.arange(both.height))
    both = both.with_columns(event.alias(c.EVENT_ID), pl.lit("web").alias(c.PLATFORM))
    return filled(EVENTS, dict(both.to_dict()))


def known(table: Table, rows: pl.DataFrame) -> pl.DataFrame:
    """Return what a table knew the day before the rows were shown."""
    users = rows.select(c.USER_ID).unique()
    items = pl.DataFrame({c.ITEM_ID: named("i", np.arange(ITEMS_THERE))})
    if table is ITEM_ATTRIBUTES or c.ATTRIBUTE in table.key:
        attributes = pl.DataFrame({c.ATTRIBUTE: ["brand", "colour"]})
        of = (items if c.ITEM_ID in table.key else users).join(attributes, how="cross")
        frame = of.with_columns(value_of(of))
    elif {c.USER_ID, c.ITEM_ID} <= set(table.key):
        frame = rows.gather_every(2).select(c.USER_ID, c.ITEM_ID).unique()
    elif c.SEGMENT in table.key:
        frame = items.join(segments(), how="cross")
    elif c.POSITION in table.key:
        frame = pl.DataFrame({c.POSITION: np.arange(1, SHOWN + 1, dtype=np.int32)}).with_columns(
            (1 / pl.col(c.POSITION)).alias(c.P_EXAMINED), pl.lit("web").alias(c.PLATFORM)
        )
    else:
        frame = users if c.USER_ID in table.key else items
        if c.SEGMENT in table.columns:
            frame = frame.with_columns(pl.lit("s1").alias(c.SEGMENT))
    return filled(table, dict(frame.to_dict()))


def segments() -> pl.DataFrame:
    """Return the segments, that of everybody first."""
    return pl.DataFrame({c.SEGMENT: ["all", *(f"s{number}" for number in range(1, SEGMENTS))]})


def value_of(rows: pl.DataFrame) -> pl.Expr:
    """Return one of `VALUES` values, by the row's place."""
    return ("v" + (pl.int_range(rows.height) * 7 % VALUES).cast(pl.String)).alias(c.VALUE)


def fill(settings: Settings, rows: int) -> None:
    """Put the listing days, and what was known before each, into a lake."""
    lake = Lake(settings)
    lists = max(1, rows // LISTING_DAYS // SHOWN)
    for day in [listing_days()[0] - timedelta(days=1), *listing_days(), DAY]:
        write_landing_day(settings.landing, day, {}, "bench")
    for listed in listing_days():
        there = shown(listed, lists)
        lake.write_day(EVENTS, listed, events(listed, there))
        for table in KNOWN_BEFORE:
            lake.write_day(table, listed - timedelta(days=1), known(table, there))
    lake.write_day(EVENTS, listing_days()[0] - timedelta(days=1), EVENTS.empty())
    lake.write_day(EVENTS, DAY, EVENTS.empty())


def settings_of(home: Path, trees: int) -> Settings:
    """Return settings that keep every row."""
    options = Ranker(**ALL_KEPT, iterations=max(1, trees))
    return Settings(home=home, mlflow_url="", min_free_gb=0, ranker=options)


def train(home: Path, trees: int) -> None:
    """Fit one model to the rows of the lake."""
    settings = settings_of(home, trees)
    rows = trained_rows(Lake(settings).scan_day(RANKING_GROUPS, DAY))
    fitted(rows, settings)


def measured(bench: Bench, name: str, command: list[str], home: Path) -> None:
    """Record the seconds and the memory of a command over a home."""
    told = {f"VITRINA_RANKER__{key.upper()}": str(value) for key, value in ALL_KEPT.items()}
    own = {"VITRINA_HOME": str(home), "VITRINA_MLFLOW_URL": "", "VITRINA_MIN_FREE_GB": "0"}
    started = time.perf_counter()
    found = ran([sys.executable, *command], os.environ | {"PYTHONPATH": str(ROOT)} | own | told)
    seconds = round(time.perf_counter() - started, 1)
    if found.code:
        raise SystemExit(found.log)
    bench.note(**{f"{name}/seconds": seconds, f"{name}/peak_gb": found.peak_gb})


def main() -> None:
    """Print seconds and memory by number of rows."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=numbers, default=numbers("1000000"))
    parser.add_argument("--trees", type=int, default=Ranker().iterations)
    parser.add_argument("--train", type=Path, help=argparse.SUPPRESS)
    asked, bench = parser.parse_args(), Bench("groups")
    if asked.train:
        return train(asked.train, asked.trees)
    for rows in asked.rows:
        with tempfile.TemporaryDirectory() as folder:
            home = Path(folder)
            fill(settings_of(home, asked.trees), rows)
            build = ["-m", "tasks", "run", "retrain_ranker.build_groups", "--day", str(DAY)]
            measured(bench, f"{rows:,} rows/build", build, home)
            record = Lake(settings_of(home, 1)).ledger.written(RANKING_GROUPS)[DAY, ""]
            bench.note(**{f"{rows:,} rows/written": record.rows})
            if asked.trees:
                again = [__file__, "--train", str(home), "--trees", str(asked.trees)]
                measured(bench, f"{rows:,} rows/train {asked.trees} trees", again, home)
    bench.finish()
    return None


if __name__ == "__main__":
    main()
