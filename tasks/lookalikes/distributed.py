"""Probabilities as a Spark job: counters by person, the trained model sent to every worker.

A person's counters come together in one partition, and each is answered by the function that one
machine runs, so that the probabilities are the same to the bit. Workers get our modules as a zip.
"""

from __future__ import annotations

import shutil
from atexit import register
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import cache, partial
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import polars as pl

import tasks
from tasks import columns as c
from tasks.lake import engines
from tasks.lake.lake import Lake
from tasks.lake.tables import LOOKALIKE_FEATURES
from tasks.lookalikes.counters import ALL, Answer, Counters

ANSWERED = (
    "user_id string, probability double, by_rule boolean, column array<int>, share array<double>"
)
ORDER = [column.split()[0] for column in ANSWERED.split(", ")]
ROWS = 250_000
"""Rows that a worker answers at once."""


@dataclass(frozen=True)
class SparkCounters(Counters):
    """Counters of one partition, answered by Spark's workers."""

    lake: Lake
    day: date

    def mapped(self, answer: Answer) -> Iterator[pl.DataFrame]:
        """Yield the answers to everybody's counters, as one frame."""
        session = engines.spark_session(self.lake.settings)
        session.sparkContext.addPyFile(_our_modules())
        rows = self.lake.spark_rows(LOOKALIKE_FEATURES, self.day).select(*ALL)
        together = rows.repartition(c.USER_ID).sortWithinPartitions(*LOOKALIKE_FEATURES.key)
        found = together.mapInArrow(partial(answered, answer), ANSWERED)
        yield pl.DataFrame(pl.from_arrow(found.toArrow()))


def answered(answer: Answer, batches: Iterator[Any]) -> Iterator[Any]:
    """Yield what is answered to rows in the order of `user_id`, some whole people at a time."""
    kept = LOOKALIKE_FEATURES.empty()
    for batch in batches:
        kept = pl.concat([kept, pl.DataFrame(pl.from_arrow(batch)).select(kept.columns)])
        if kept.height >= ROWS:
            is_last = pl.col(c.USER_ID) == kept[c.USER_ID][-1]
            if (whole := kept.filter(~is_last)).height:
                yield from _as_batches(answer(whole))
                kept = kept.filter(is_last)
    if kept.height:
        yield from _as_batches(answer(kept))


def _as_batches(rows: pl.DataFrame) -> list[Any]:
    import pyarrow as pa

    # Spark knows no lists of more than two billion, which polars makes.
    lists = {"column": pa.list_(pa.int32()), "share": pa.list_(pa.float64())}
    told = rows.to_arrow(compat_level=pl.CompatLevel.oldest())
    schema = pa.schema([(name, lists.get(name, told.schema.field(name).type)) for name in ORDER])
    batches: list[Any] = told.select(ORDER).cast(schema).to_batches()
    return batches


@cache
def _our_modules() -> str:
    """Return a zip of `tasks`, for workers that have no copy of it; it goes with this process."""
    package = Path(tasks.__file__).parent
    folder = mkdtemp(prefix="vitrina-modules-")
    register(shutil.rmtree, folder, ignore_errors=True)
    return shutil.make_archive(f"{folder}/tasks", "zip", package.parent, package.name)
