"""Items like an item, and maps of items and users, by a generator's embeddings.

similarity(i, j) = cosine of the embeddings without their last number, which is the item's bias

Exact: one item is compared with all others, a product of a matrix that takes less than a second for
100,000 items of width 64. The index of `nearest` is over scores, in which popular items are high.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from tasks import columns as c
from tasks.candidates.generator import Floats
from tasks.errors import WrongCall

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DRAWN = 1000
"""At most so many dots are on a map: more tell no more, and t-SNE takes minutes."""
PERPLEXITY = 30.0


def similar(embeddings: pl.DataFrame, item_id: str, k: int) -> pl.DataFrame:
    """Return `item_id, similarity` of the k nearest other items, ties to the smaller id.

    Args:
        embeddings: `item_id, embedding`.
        item_id: whose neighbours are asked for.
        k: how many.

    Raises:
        WrongCall: the item has no embedding.
    """
    ids = embeddings[c.ITEM_ID]
    if (place := ids.index_of(item_id)) is None:
        raise WrongCall(f"{item_id} has no embedding; {ids[0]} has one")
    units = directions(embeddings)
    found = pl.DataFrame({c.ITEM_ID: ids, "similarity": units @ units[place]})
    others = found.filter(pl.col(c.ITEM_ID) != item_id)
    return others.sort("similarity", c.ITEM_ID, descending=[True, False]).head(k)


def directions(embeddings: pl.DataFrame) -> Floats:
    """Return the embeddings without their bias, scaled to length 1."""
    vectors = as_matrix(embeddings)[:, :-1]
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(lengths > 0, lengths, 1.0)).astype(np.float32)


def as_matrix(embeddings: pl.DataFrame) -> Floats:
    """Return the embeddings, a row each."""
    numbers = embeddings[c.EMBEDDING].explode().to_numpy()
    return numbers.reshape(embeddings.height, -1).astype(np.float32)


def on_a_plane(embeddings: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Return the id, `x, y` by t-SNE of at most `DRAWN` of `id, embedding`, drawn by the seed."""
    from sklearn.manifold import TSNE

    chance = np.random.default_rng(seed)
    rows = np.sort(chance.permutation(embeddings.height)[:DRAWN])
    some = embeddings[rows]
    perplexity = min(PERPLEXITY, (some.height - 1) / 3)
    places = TSNE(
        init="random", perplexity=perplexity, random_state=seed, metric="cosine"
    ).fit_transform(directions(some))
    return some.drop(c.EMBEDDING).with_columns(
        pl.Series("x", places[:, 0]), pl.Series("y", places[:, 1])
    )


def map_picture(
    plane: pl.DataFrame, known: pl.DataFrame, columns: tuple[str, ...], title: str
) -> Figure:
    """Return the picture of `on_a_plane`: for each column of `known` a panel in its colours."""
    from matplotlib.figure import Figure

    key = plane.columns[0]
    figure = Figure(figsize=(1 + 6 * len(columns), 6), layout="constrained")
    named = plane.join(known.select(key, *columns), on=key, how="left")
    for axes, column in zip(
        figure.subplots(1, len(columns), squeeze=False)[0], columns, strict=True
    ):
        draw_dots(axes, named, column)
    figure.suptitle(title)
    return figure


def draw_dots(axes: Axes, named: pl.DataFrame, column: str) -> None:
    """Draw `x, y`, a colour per value of the column."""
    for value in named[column].unique().sort():
        rows = named.filter(pl.col(column).eq_missing(pl.lit(value)))
        axes.scatter(rows["x"], rows["y"], s=6, label=value or "unknown")
    axes.set(title=column.replace("_", " "), xticks=[], yticks=[])
    axes.legend(fontsize=8)
