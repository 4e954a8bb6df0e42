"""The items whose product with a vector is highest, found along a graph instead of scoring all.

point(i) = (vector(i), sqrt(L^2 - |vector(i)|^2)), L the length of the longest item vector
point(u) = (vector(u), 0)
|point(u) - point(i)|^2 = |vector(u)|^2 + L^2 - 2 <vector(u), vector(i)>

The nearest point is therefore the highest score, the item's bias included (Bachrach et al., RecSys
2014), and a graph made for distances serves (HNSW; Malkov and Yashunin, 2018). A graph over raw
products loses its way where lengths and biases differ much. What is found is scored exactly and put
in the order of exact lists: ties to the smaller item.

Items of equal vectors, such as new items of the same content, are one point: as points of their own
they would link to each other alone, and a search would neither leave them nor find all of them. A
search for k finds k points, which have k items or more; these are cut to the k highest.

One thread builds it, so that the same embeddings give the same bytes. An index is one row of
`item_index`, a part of the day beside the embeddings, and is refused beside any others.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from tasks import columns as c
from tasks.candidates.generator import Floats, Ints
from tasks.candidates.serving import top_k
from tasks.candidates.similar import as_matrix
from tasks.errors import ContractViolation
from tasks.lake.row_hash import row_hash
from tasks.lake.tables import ITEM_INDEX

if TYPE_CHECKING:
    from usearch.index import Index

LIBRARY = "usearch"
LINKS, BUILT_WITH, SEARCHED = 16, 128, 256
"""Links of a node, candidates weighed when one is added, and candidates weighed by a search."""
CUTS = (10, 100)
SAMPLE = 200


@dataclass(frozen=True)
class ItemIndex:
    """Embeddings `item_id, embedding` of a generator with the graph over their points."""

    embeddings: pl.DataFrame
    points: Points
    graph: Index

    def highest(self, vectors: Floats, k: int) -> tuple[Ints, Floats]:
        """Return rows of the embeddings by falling score, and the scores; (vectors, k) each.

        Args:
            vectors: of users, as wide as the items', their last number 1.
            k: how many, at most as many as there are items.
        """
        k = min(k, self.embeddings.height)
        self.graph.expansion_search = max(SEARCHED, 2 * k)
        asked = np.hstack([vectors, np.zeros((len(vectors), 1))]).astype(np.float32)
        found = self.graph.search(asked, min(k, len(self.points.vectors)), threads=1).keys
        # One vector's answer has one dimension.
        nearest = np.asarray(found, dtype=np.int64).reshape(len(vectors), -1)
        scores = np.einsum("ij,ikj->ik", vectors, self.points.vectors[nearest]).astype(np.float32)
        order = np.argsort(-scores, axis=1, kind="stable")
        return self.points.items_of(
            np.take_along_axis(nearest, order, 1), np.take_along_axis(scores, order, 1), k
        )


@dataclass(frozen=True)
class Points:
    """The distinct vectors of items, by the first item of each, and which items are at each.

    Attributes:
        vectors: one a point.
        number: of each item, its point.
        rows: items by point, in order within one.
        starts: of each point, the place of its first item among `rows`.
        sizes: of each point, how many items are there.
    """

    vectors: Floats
    number: Ints
    rows: Ints
    starts: Ints
    sizes: Ints

    @classmethod
    def of(cls, vectors: Floats) -> Points:
        """Return the points of at least one vector."""
        whole = np.ascontiguousarray(vectors).view(f"V{vectors.shape[1] * vectors.itemsize}")
        _, first, number = np.unique(whole, return_index=True, return_inverse=True)
        by_first = np.argsort(np.argsort(first))[number.reshape(-1)]
        sizes = np.bincount(by_first)
        rows = np.argsort(by_first, kind="stable")
        return cls(vectors[np.sort(first)], by_first, rows, np.cumsum(sizes) - sizes, sizes)

    def items_of(self, nearest: Ints, scores: Floats, k: int) -> tuple[Ints, Floats]:
        """Return the k items of highest score of each row, ties to the smaller, and the scores.

        Args:
            nearest: (vectors, points), by falling score.
            scores: theirs.
            k: at most as many as there are items at each row's points.
        """
        reached = np.cumsum(self.sizes[nearest], axis=1) >= k
        last = np.take_along_axis(scores, reached.argmax(axis=1)[:, None], axis=1)
        # What is tied with the k-th stays until ties are settled; nobody needs more of one point.
        asked, column = np.nonzero(scores >= last)
        sizes = np.minimum(self.sizes[nearest[asked, column]], k)
        within = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        items = self.rows[np.repeat(self.starts[nearest[asked, column]], sizes) + within]
        asked, worth = np.repeat(asked, sizes), np.repeat(scores[asked, column], sizes)
        order = np.lexsort((items, -worth, asked))
        ranks = np.arange(len(order)) - np.searchsorted(asked, asked)
        kept, shape = order[ranks < k], (len(nearest), k)
        return items[kept].reshape(shape), worth[kept].reshape(shape)


def built(embeddings: pl.DataFrame) -> ItemIndex:
    """Return the index over at least one of `item_id, embedding`."""
    points = Points.of(as_matrix(embeddings))
    high = lifted(points.vectors)
    graph = empty_graph(high.shape[1])
    graph.add(np.arange(len(high)), high, threads=1)
    return ItemIndex(embeddings, points, graph)


def lifted(vectors: Floats) -> Floats:
    """Return the points of the module's docstring, all of the same length."""
    squares = np.square(vectors.astype(np.float64)).sum(axis=1)
    height = np.sqrt(squares.max() - squares)
    return np.hstack([vectors, height[:, None]]).astype(np.float32)


def empty_graph(width: int) -> Index:
    """Return a graph without points."""
    from usearch.index import Index

    return Index(
        ndim=width, metric="l2sq", dtype="f32", connectivity=LINKS, expansion_add=BUILT_WITH,
        expansion_search=SEARCHED,
    )  # fmt: skip


def as_row(index: ItemIndex) -> pl.DataFrame:
    """Return the index as its one ITEM_INDEX row."""
    row = {
        "embeddings_hash": row_hash(index.embeddings),
        "items": index.embeddings.height,
        "width": index.points.vectors.shape[1],
        "built_by": f"{LIBRARY} {version(LIBRARY)}",
        "graph": bytes(index.graph.save()),
    }
    return pl.DataFrame([row], schema=ITEM_INDEX.schema)


def restored(rows: pl.DataFrame, embeddings: pl.DataFrame) -> ItemIndex:
    """Return the index of an ITEM_INDEX row over the embeddings that it was built from.

    Args:
        rows: the rows of a generator's day.
        embeddings: ITEM_EMBEDDINGS rows of the same.

    Raises:
        ContractViolation: there is no index, it is one of other embeddings, or it is from before
            equal vectors were one point and has some.
    """
    if rows.is_empty():
        raise ContractViolation("item_index: no index was built, as there were no embeddings")
    told = rows.row(0, named=True)
    vectors = embeddings.select(c.ITEM_ID, c.EMBEDDING)
    if told["embeddings_hash"] != row_hash(vectors):
        raise ContractViolation(
            f"item_index: built from {told['items']:,} other embeddings of width {told['width']}"
            f" than these {vectors.height:,}: train the generator's day again"
        )
    graph, points = empty_graph(told["width"] + 1), Points.of(as_matrix(vectors))
    graph.load(told["graph"])
    if len(graph) != len(points.vectors):
        raise ContractViolation(
            f"item_index: it has {len(graph):,} points, these {vectors.height:,} embeddings have"
            f" {len(points.vectors):,} distinct ones: train the generator's day again"
        )
    return ItemIndex(vectors, points, graph)


def exactly_highest(items: Floats, vectors: Floats, k: int) -> tuple[Ints, Floats]:
    """Return what `ItemIndex.highest` approximates, by scoring every distinct vector."""
    points = Points.of(items)
    # A product of matrices may give equal columns other last bits: one column for all of them.
    scores = (vectors @ points.vectors.T)[:, points.number]
    rows, places, _ = top_k(scores, k)
    shape = (len(vectors), min(k, len(items)))
    return places.reshape(shape), scores[rows, places].reshape(shape)


def recall(found: Ints, exact: Ints) -> float:
    """Return the share of the exact rows that were found, both (vectors, k)."""
    both = [len(np.intersect1d(mine, all_)) for mine, all_ in zip(found, exact, strict=True)]
    return sum(both) / exact.size


def measured(
    items: pl.DataFrame, users: pl.DataFrame, seed: int
) -> tuple[pl.DataFrame, dict[str, float]]:
    """Return ITEM_INDEX rows of the embeddings, and what the index is worth.

    Worth: `recall_at_K` against exact lists of at most `SAMPLE` users drawn by the seed, seconds of
    building, microseconds that a list of the longest K takes from the index and exactly.

    Args:
        items: `item_id, embedding`, sorted; without any there is nothing to build.
        users: `user_id, embedding`.
        seed: of the sample.
    """
    if items.is_empty() or users.is_empty():
        return ITEM_INDEX.empty(), {}
    started = time.perf_counter()
    index = built(items)
    figures = {"build_seconds": time.perf_counter() - started}
    drawn = np.random.default_rng(seed).permutation(users.height)[:SAMPLE]
    asked, vectors = as_matrix(users[np.sort(drawn)]), as_matrix(items)
    for k in CUTS:
        started = time.perf_counter()
        found, _ = index.highest(asked, k)
        searched = time.perf_counter()
        exact, _ = exactly_highest(vectors, asked, k)
        ended = time.perf_counter()
        figures[f"recall_at_{k}"] = recall(found, exact)
    figures["query_microseconds"] = (searched - started) / len(asked) * 1e6
    figures["exact_microseconds"] = (ended - searched) / len(asked) * 1e6
    return as_row(index), figures
