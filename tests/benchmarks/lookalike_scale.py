"""Look-alikes of millions, from written counters: one segment's task in a process of its own.

Everybody has two values of each of `ATTRIBUTES` attributes. Of the day all people are scored; of
the three days before that train, calibrate and judge, fewer are known: those who learn. Who likes
`v000` of the first attribute orders a bag a hundred times as often.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "plugins")]

from tasks import columns as c  # noqa: E402
from tasks.lake.lake import Lake  # noqa: E402
from tasks.lake.ledger import days_between  # noqa: E402
from tasks.lake.pieces import Spilled  # noqa: E402
from tasks.lake.tables import (  # noqa: E402
    CUSTOMERS,
    EVENTS,
    ITEM_ATTRIBUTES,
    ITEMS,
    LOOKALIKE_FEATURES,
    LOOKALIKE_SCORES,
)
from tasks.landing.manifest import write_landing_day  # noqa: E402
from tasks.score_lookalikes import score_segment  # noqa: E402
from tasks.settings import Settings  # noqa: E402
from tests.benchmarks.bench_preferences import rows  # noqa: E402
from tests.benchmarks.measure import Bench, ran  # noqa: E402

DAY = date(2026, 9, 30)
HORIZON = 7
HISTORY = 30
ATTRIBUTES = 30
PEOPLE_AT_ONCE = 16_000
BUYERS, LIKING, OTHERS = 0.1, 0.3, 0.003
SEGMENT = "bag_buyers"


def note_scale(bench: Bench, people: int, learn: int, columns: int) -> None:
    """Record what scoring so many people takes."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(home=Path(folder), mlflow_url="", min_free_gb=0)
        with bench.timed("scale/writing the counters"):
            _fill(settings, people, learn, columns)
        environment = {**os.environ, "VITRINA_HOME": folder, "VITRINA_MLFLOW_URL": ""}
        told = ran([sys.executable, str(Path(__file__))], environment)
        print(told.log, file=sys.stderr)
        found = json.loads(told.log.splitlines()[-1])
    bench.note(
        **{
            "scale/people": people,
            "scale/learn": learn,
            "scale/columns": columns,
            "scale/seconds": found["seconds"],
            "scale/scored": found["people"],
            "scale/distinct": found["distinct"],
            "scale/peak_gb": told.peak_gb,
        }
    )


def _fill(settings: Settings, people: int, learn: int, columns: int) -> None:
    """Write counters, orders and snapshots of a month."""
    lake, generator = Lake(settings), np.random.default_rng(1)
    for day in days_between(DAY - timedelta(days=HISTORY), DAY):
        write_landing_day(settings.landing, day, {}, "bench")
    events = {}
    for age in range(3 * HORIZON, -1, -HORIZON):
        anchor = DAY - timedelta(days=age)
        liking: list[np.ndarray] = []
        frames = _counters(people if age == 0 else learn, columns // ATTRIBUTES, generator, liking)
        _write(lake, anchor, frames)
        if age:
            after = anchor + timedelta(days=1)
            events[after] = _orders(np.concatenate(liking), after, generator)
    for day in days_between(DAY - timedelta(days=HISTORY), DAY):
        lake.write_day(EVENTS, day, events.get(day, EVENTS.empty()))
        lake.write_day(ITEMS, day, _items())
        for table in (ITEM_ATTRIBUTES, CUSTOMERS):
            lake.write_day(table, day, table.empty())


def _write(lake: Lake, day: date, frames: Iterator[pl.DataFrame]) -> None:
    """Write counters as they are: the contract's checks of them are not what is timed."""
    with tempfile.TemporaryDirectory(dir=lake.settings.home) as folder:
        files, rows = [], 0
        for number, frame in enumerate(frames):
            files.append(Path(folder) / f"{number:06d}.parquet")
            frame.write_parquet(files[-1])
            rows += frame.height
        pieces = Spilled(tuple(files), rows, "bench")
        draft = lake._draft(LOOKALIKE_FEATURES, day, None, pieces)
        write = partial(lake.storage.replace_in_pieces, LOOKALIKE_FEATURES.name, pieces, day)
        lake._recorded(lake._committed(LOOKALIKE_FEATURES, draft, write))


def _counters(
    people: int, values: int, generator: np.random.Generator, liking: list[np.ndarray]
) -> Iterator[pl.DataFrame]:
    """Yield LOOKALIKE_FEATURES rows in order; `liking` gets who has the first value."""
    names = pl.Series([f"v{number:03d}" for number in range(values)])
    attributes = pl.Series([f"a{number:02d}" for number in range(ATTRIBUTES)])
    for start in range(0, people, PEOPLE_AT_ONCE):
        size = (min(people, start + PEOPLE_AT_ONCE) - start, ATTRIBUTES)
        first = generator.integers(0, values - 1, size)
        second = first + 1 + (generator.random(size) * (values - 1 - first)).astype(np.int64)
        share = generator.integers(1, 8, size) / 8
        liking.append(first[:, 0] == 0)
        cells = ATTRIBUTES * 2
        yield pl.DataFrame(
            {
                c.USER_ID: _ids(np.repeat(np.arange(start, start + size[0]), cells)),
                c.ATTRIBUTE: attributes.gather(
                    np.tile(np.repeat(np.arange(ATTRIBUTES), 2), size[0])
                ),
                c.VALUE: names.gather(np.stack([first, second], axis=2).ravel()),
                "share": np.stack([share, 1 - share], axis=2).ravel(),
            }
        )


def _ids(numbers: np.ndarray) -> pl.Series:
    return "u" + pl.Series(numbers).cast(pl.String).str.zfill(8)


def _orders(liking: np.ndarray, day: date, generator: np.random.Generator) -> pl.DataFrame:
    """Return a day's orders: of bags by who likes them, of hats by anybody."""
    chance = np.where(liking, LIKING, OTHERS)
    bags = np.flatnonzero(generator.random(len(liking)) < chance)
    hats = np.flatnonzero(generator.random(len(liking)) < BUYERS)
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    return rows(
        EVENTS,
        {
            c.EVENT_ID: _ids(np.arange(len(bags) + len(hats))).str.replace("u", f"{day}-"),
            c.USER_ID: _ids(np.concatenate([bags, hats])),
            c.ITEM_ID: pl.Series(["bag"] * len(bags) + ["hat"] * len(hats)),
            c.EVENT_TYPE: c.ORDER,
            c.TS: noon,
        },
    )


def _items() -> pl.DataFrame:
    return rows(
        ITEMS,
        {
            c.ITEM_ID: pl.Series(["bag", "hat"]),
            c.CATEGORY_GROUP: "accessories",
            c.CATEGORY: pl.Series(["bags", "hats"]),
        },
    )


def main() -> None:
    """Score the segment of the lake that the environment names, and say what it took."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    settings, started = Settings(), time.perf_counter()
    score_segment(DAY, settings, SEGMENT)
    seconds = round(time.perf_counter() - started, 1)
    scores = Lake(settings).read_day(LOOKALIKE_SCORES, DAY, SEGMENT)[c.PROBABILITY]
    told = {"seconds": seconds, "people": len(scores), "distinct": scores.n_unique()}
    print(json.dumps(told))


if __name__ == "__main__":
    main()
