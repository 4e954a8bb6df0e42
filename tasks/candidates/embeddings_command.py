"""`inspect-embeddings`: similar items, maps of items and users, and what embeddings foretell.

Everything goes to one MLflow run, the maps also to files.
"""

from __future__ import annotations

import argparse
from datetime import date, timedelta

import polars as pl

from tasks import columns as c
from tasks import tracking
from tasks.arguments import a_day
from tasks.candidates.interactions import known_on, snapshot
from tasks.candidates.preference import (
    ASKED,
    HORIZON_DAYS,
    METRICS,
    counters,
    labels,
    tiered,
    told_beside,
)
from tasks.candidates.similar import as_matrix, map_picture, on_a_plane, similar
from tasks.errors import WrongCall
from tasks.lake.contracts import Table
from tasks.lake.lake import Lake
from tasks.lake.tables import ITEM_EMBEDDINGS, ITEMS, USER_EMBEDDINGS, USER_SEGMENTS
from tasks.report import figures
from tasks.report.page import with_interval
from tasks.seeds import seed_of
from tasks.settings import Settings

SIMILAR = 10
SEGMENT_PARTS = (c.GENDER_AFFINITY, c.LIFECYCLE, c.PLATFORM_FAMILY)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare which embeddings are looked at."""
    parser.add_argument("--day", type=a_day, required=True, help="YYYY-MM-DD, the last one known")
    parser.add_argument("--generator", default="sasrec", help="whose embeddings")
    parser.add_argument("--item", help="item_id whose neighbours are printed; default: the first")


def run(args: argparse.Namespace, settings: Settings) -> None:
    """Print neighbours and the table of preferences; log the maps and the figures."""
    lake, name = Lake(settings), args.generator
    tags = {"day": str(args.day), "generator": name}
    with tracking.task_run(settings, "inspect-embeddings", f"{name} {args.day}", tags):
        made = newest(lake, ITEM_EMBEDDINGS, args.day, name)
        if made is None:
            raise WrongCall(f"{name} has written no embeddings up to {args.day}")
        items = snapshot(lake, ITEMS, made)
        vectors = lake.read_day(ITEM_EMBEDDINGS, made, name)
        print(whole(neighbours(vectors, items, args.item)))
        draw(vectors, items, (c.CATEGORY_GROUP,), f"items-{name}-{made}", settings)
        draw_users(lake, made, name, settings)
        before = newest(lake, USER_EMBEDDINGS, args.day - timedelta(days=HORIZON_DAYS), name)
        if before is None:
            print(f"nobody's embeddings are {HORIZON_DAYS} days old: no preference can be told")
        else:
            print(shown(preferences(lake, args.day, before, name, settings)))


def newest(lake: Lake, table: Table, day: date, generator: str) -> date | None:
    """Return the newest day up to `day` on which the generator wrote embeddings, if any."""
    parts = lake.ledger.written(table).items()
    days = [made for (made, part), at in parts if part == generator and made <= day and at.rows]
    return max(days, default=None)


def neighbours(vectors: pl.DataFrame, items: pl.DataFrame, item_id: str | None) -> pl.DataFrame:
    """Return the nearest items with what they are; the asked one stands first."""
    asked = item_id or str(vectors[c.ITEM_ID][0])
    itself = pl.DataFrame({c.ITEM_ID: [asked], "similarity": [1.0]})
    found = similar(vectors, asked, SIMILAR).with_columns(pl.col("similarity").cast(pl.Float64))
    told = items.select(c.ITEM_ID, c.CATEGORY_GROUP, c.CATEGORY, c.BRAND)
    return pl.concat([itself, found]).join(told, on=c.ITEM_ID, how="left", maintain_order="left")


def draw(
    vectors: pl.DataFrame,
    known: pl.DataFrame,
    columns: tuple[str, ...],
    name: str,
    settings: Settings,
) -> None:
    """Write the map `name` with a panel for each column of what is known, and log it."""
    plane = on_a_plane(vectors, seed_of(settings, "embeddings_map", name))
    picture = map_picture(plane, known, columns, f"{name}: t-SNE of {plane.height:,}")
    tracking.figure(f"{name}.png", picture)
    file = settings.home / "embeddings" / f"{name}.png"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(figures.png(picture))
    print(f"map: {file}")


def draw_users(lake: Lake, made: date, name: str, settings: Settings) -> None:
    """Write and log the map of users by the parts of their segment, where both are known."""
    vectors = lake.read_day(USER_EMBEDDINGS, made, name).select(c.USER_ID, c.EMBEDDING)
    if not lake.has_day(USER_SEGMENTS, made):
        return print(f"no segments of {made}: users are not drawn")
    segments = lake.read_day(USER_SEGMENTS, made)
    return draw(vectors, segments, SEGMENT_PARTS, f"users-{name}-{made}", settings)


def preferences(lake: Lake, day: date, made: date, name: str, settings: Settings) -> pl.DataFrame:
    """Return what embeddings of `made` told of the days after, beside plain counters."""
    later = known_on(lake, day, settings.candidates)
    items = tiered(later.items)
    known = later.interactions.filter(pl.col(c.DT) <= made)
    vectors = lake.read_day(USER_EMBEDDINGS, made, name)
    seed, tables = seed_of(settings, "preference", name), []
    print(f"embeddings of {made}, preferences of the 14 days after")
    for asked in ASKED:
        preferred = labels(later.interactions, items, made, asked)
        people = vectors.join(preferred, on=c.USER_ID).sort(c.USER_ID)
        counted = counters(known, items, people[c.USER_ID]).to_numpy()
        sides = {"embeddings": as_matrix(people), "counters": counted}
        found = told_beside(sides, people[asked], settings.candidates.bootstraps, seed)
        tables.append(found.select(pl.lit(asked).alias("asked"), pl.all()))
        print(f"{people.height:,} customers have a {asked.replace('_', ' ')}")
    found = pl.concat(tables)
    track(found)
    return found


def shown(found: pl.DataFrame) -> str:
    """Return the table of preferences, each figure with its interval."""
    text = with_interval(found, "told", c.VALUE, c.LOW, c.HIGH)
    key = ("asked", "preferred", "users", "by")
    return whole(text.pivot(c.METRIC, index=key, values="told").select(*key, *METRICS))


def whole(rows: pl.DataFrame) -> str:
    """Return the frame as text, nothing of it left out."""
    with pl.Config(tbl_rows=-1, tbl_cols=-1, tbl_width_chars=160, tbl_hide_dataframe_shape=True):
        return str(rows)


def track(found: pl.DataFrame) -> None:
    """Log every figure as `METRIC_BY/ASKED/PREFERRED`."""
    name = pl.format("{}_{}/{}/{}", c.METRIC, "by", "asked", "preferred")
    tracking.metrics(dict(found.select(name, c.VALUE).iter_rows()))
