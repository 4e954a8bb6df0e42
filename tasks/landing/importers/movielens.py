"""MovieLens with times: `ratings` (userId, movieId, rating, timestamp) and `movies`.

Nobody buys here. A rating of 4 or more is a `favorite`, any other rating a `view`. The first genre
is the category, all genres are values of the attribute `genre`; a film costs nothing that the
source would know, so its price is 0. MovieLens-1M in the SASRec order has no times and cannot land.
"""

from __future__ import annotations

import polars as pl

from tasks import columns as c
from tasks.landing.importers.mapping import ItemMapping, Mapping

LIKED = 4.0
NO_GENRE = "(no genres listed)"

MAPPING = Mapping(
    source="movielens",
    lines="ratings*",
    columns={c.TS: "timestamp", c.USER_ID: "userId", c.ITEM_ID: "movieId", c.EVENT_TYPE: "event"},
    time_formats=("epoch_seconds",),
    event_id=("userId", "movieId", "timestamp"),
    items=ItemMapping(
        file="movies*",
        key="movieId",
        columns={c.CATEGORY: "genre"},
        constants={c.CATEGORY_GROUP: "films", c.PRICE: 0},
        attributes={"genre": "genres", "year": "year"},
        multi_valued={"genre": "|"},
    ),
    notes=(
        "a rating of 4 or more is a favorite, any other a view; there are no carts and no orders",
        "no impressions, no prices, no sessions; nobody's consent to mailings is known",
    ),
)


def named_events(lines: pl.LazyFrame) -> pl.LazyFrame:
    """Return the lines with `event`; a rating that is no number names none."""
    rating = pl.col("rating").cast(pl.Float64, strict=False)
    event = (
        pl.when(rating >= LIKED).then(pl.lit(c.FAVORITE)).when(rating < LIKED).then(pl.lit(c.VIEW))
    )
    return lines.with_columns(event.alias("event"))


def categorised(catalogue: pl.LazyFrame) -> pl.LazyFrame:
    """Return the catalogue with `genre`, the first one, and `year`, from the end of the title."""
    genres = pl.col("genres").replace(NO_GENRE, None)
    year = pl.col("title").str.extract(r"\((\d{4})\)\s*$")
    return catalogue.with_columns(
        genres, genres.str.split("|").list.first().alias("genre"), year.alias("year")
    )
