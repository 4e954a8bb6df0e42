"""A day's groups, gathered some listing days at a time and handed out in the order of the key.

What was chosen waits on disk. Of that, whole listing days, as many together as have `BATCH_ROWS`
rows, are joined to what was known before them, and wait again. Last, ranges of groups are read from
all batches. So memory holds a batch, of one listing day at least, or a piece of the lake's write
(`PIECE_ROWS`), whatever the rows of the day in all; the engine has its own bound.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import polars as pl

from tasks import columns as c
from tasks.lake.lake import Lake
from tasks.lake.tables import RANKING_GROUPS
from tasks.ranker.groups import (
    candidate_days,
    candidate_rows,
    days_counted,
    described,
    finished,
    has_impressions,
    kept_by_day,
    listed_rows,
    listing_days,
    with_candidates,
    with_known,
)

log = logging.getLogger(__name__)

BATCH_ROWS = 500_000
RANGE_ROWS = 250_000
ROW_GROUP = 20_000
"""Rows that are read together: few, so that a range reads little of what is beside it."""


@dataclass(frozen=True)
class Built:
    """Groups on disk.

    Attributes:
        files: RANKING_GROUPS rows, those of whole listing days in each.
        kept: rows of `kept_by_day`.
        days: RANKING_DAYS rows.
    """

    files: tuple[Path, ...]
    kept: pl.DataFrame
    days: pl.DataFrame

    def frames(self) -> Iterator[pl.DataFrame]:
        """Yield the rows in the order of the key, whole groups in each frame."""
        if not self.files:
            return
        rows = pl.scan_parquet(list(self.files))
        for first, last in ranges(rows):
            between = pl.col(c.GROUP_ID).is_between(pl.lit(first), pl.lit(last))
            yield rows.filter(between).collect().sort(*RANKING_GROUPS.key)


def ranges(rows: pl.LazyFrame) -> list[tuple[str, str]]:
    """Return the first and the last group of each `RANGE_ROWS` rows or so, in order."""
    sizes = rows.group_by(c.GROUP_ID).len("rows").collect().sort(c.GROUP_ID)
    bounds = pl.col(c.GROUP_ID)
    found = together(sizes, RANGE_ROWS).agg(bounds.first().alias("first"), bounds.last())
    return found.select("first", c.GROUP_ID).rows()


def together(sizes: pl.DataFrame, rows: int) -> pl.dataframe.group_by.GroupBy:
    """Group what stands in order with its `rows`, so that each has fewer beside its first."""
    return sizes.group_by((pl.col("rows").cum_sum() - 1) // rows, maintain_order=True)


def build(lake: Lake, day: date, folder: Path) -> Built:
    """Return the groups of `day`, below an empty folder.

    Raises:
        InputNotReady: events, or the newest listing day's features, are absent.
    """
    listed = listing_days(lake, day)
    counted = days_counted(lake, day, listed)
    made = candidate_days(lake, listed[c.LISTING_DAY].to_list())
    shows = has_impressions(counted)
    chosen = listed_rows(lake, day, listed) if shows else candidate_rows(lake, day, listed, made)
    files: list[Path] = []
    kept = [kept_by_day(RANKING_GROUPS.empty())]
    for rows in batches(waiting(chosen, folder)):
        days = rows[c.LISTING_DAY].unique().to_list()
        log.info("%s: %d rows of %d listing days", day, rows.height, len(days))
        known = with_known(lake, day, rows, days)
        groups = finished(with_candidates(lake, known, made))
        kept.append(kept_by_day(groups))
        files.append(folder / f"groups-{len(files):06d}.parquet")
        groups.sort(*RANKING_GROUPS.key).write_parquet(files[-1], row_group_size=ROW_GROUP)
    counts = pl.concat(kept)
    return Built(tuple(files), counts, described(counted, counts))


def waiting(chosen: Iterable[pl.DataFrame], folder: Path) -> list[Path]:
    """Write chosen rows below the folder, so that the engine is free before the next question."""
    files: list[Path] = []
    for rows in chosen:
        files.append(folder / f"chosen-{len(files):06d}.parquet")
        rows.write_parquet(files[-1], row_group_size=ROW_GROUP)
    return files


def batches(files: list[Path]) -> Iterator[pl.DataFrame]:
    """Yield chosen rows, whole listing days together."""
    if not files:
        return
    rows = pl.scan_parquet(files)
    sizes = rows.group_by(c.LISTING_DAY).len("rows").collect().sort(c.LISTING_DAY)
    for _, days in together(sizes, BATCH_ROWS).agg(c.LISTING_DAY).rows():
        yield rows.filter(pl.col(c.LISTING_DAY).is_in(days)).collect()
