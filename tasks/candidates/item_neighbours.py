"""Item neighbours: what else people visit around an item, newer visits counting more.

co(i, j)    = sum over one user's interactions with i and j, at most `reach` places apart, of
              times x 0.5 ** (age in days / half-life) of the later one / places apart
sim(i, j)   = co(i, j) / sqrt(co(i) x co(j)), co(i) = sum over j of co(i, j); the `neighbours` most
              similar stay of each item, ties to the smaller id
score(u, j) = sum over the user's last `reach` interactions of 0.5 ** (places from the newest) x
              sim(item, j), each item at its newest place

Memory grows with items x neighbours. A request's row is built from its history, so users who came
after training are served like all others; an empty history has no score.
"""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse

from tasks import columns as c
from tasks.candidates.generator import (
    NO_OPINION,
    Encoded,
    Floats,
    Generator,
    Ints,
    Known,
    Requests,
    Run,
)
from tasks.settings import Candidates, NeighbourOptions


class ItemNeighbours(Generator):
    """What people look at around what the customer looked at last."""

    name: ClassVar[str] = "item_neighbours"

    def __init__(self, item_ids: pl.Series, similar: sparse.csr_matrix, reach: int) -> None:
        """Keep sim(i, j) of each item's neighbours."""
        self.item_ids = item_ids
        self._similar = similar
        self._reach = reach

    @classmethod
    def fit(cls, known: Known, options: Candidates, run: Run) -> Self:
        """Count visits around each item."""
        item_ids, told = known.item_ids(), options.item_neighbours
        everyone = Requests(known.through, known.users, known.interactions)
        counts = visited_together(everyone.encoded(item_ids), len(item_ids), told)
        return cls(item_ids, nearest(cosine(counts), told.neighbours), told.reach)

    def scores(self, requests: Requests) -> Floats:
        """Return the summed similarities to each user's last items."""
        recent = newest(requests.encoded(self.item_ids), self._reach)
        shape = (requests.height, len(self.item_ids))
        products = np.asarray((sparse.csr_matrix(recent, shape) @ self._similar).toarray())
        return np.where(products > 0, products, NO_OPINION).astype(np.float32)

    def state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Return similarities, items and reach."""
        similar = self._similar
        arrays = {"data": similar.data, "indices": similar.indices, "indptr": similar.indptr}
        return arrays, {"item_ids": self.item_ids.to_list(), "reach": self._reach}

    @classmethod
    def restore(cls, arrays: dict[str, NDArray[Any]], facts: dict[str, Any]) -> Self:
        """Return the generator that gave this state."""
        item_ids = pl.Series(c.ITEM_ID, facts["item_ids"])
        stored = (arrays["data"], arrays["indices"], arrays["indptr"])
        square = (len(item_ids), len(item_ids))
        return cls(item_ids, sparse.csr_matrix(stored, square), facts["reach"])


def visited_together(found: Encoded, items: int, options: NeighbourOptions) -> sparse.csr_matrix:
    """Return co(i, j) of the module's formula, symmetric, nothing on the diagonal."""
    total = sparse.csr_matrix((items, items))
    decayed = found.times * 0.5 ** (found.age_days.astype(np.float64) / options.half_life_days)
    for apart in range(1, options.reach + 1):
        first, later = found.items[:-apart], found.items[apart:]
        counted = (found.rows[:-apart] == found.rows[apart:]) & (first != later)
        weights = decayed[apart:][counted] / apart
        total += sparse.coo_matrix((weights, (first[counted], later[counted])), total.shape)
    return (total + total.T).tocsr()


def cosine(counts: sparse.csr_matrix) -> sparse.csr_matrix:
    """Return counts over the root of the product of both items' sums."""
    sums = np.asarray(counts.sum(axis=1)).ravel()
    scale = sparse.diags(1 / np.sqrt(np.where(sums > 0, sums, 1.0)))
    return (scale @ counts @ scale).tocsr()


def nearest(similar: sparse.csr_matrix, count: int) -> sparse.csr_matrix:
    """Return the `count` largest of each row, ties to the smaller column."""
    found = similar.tocoo()
    order = np.lexsort((found.col, -found.data, found.row))
    rows = found.row[order]
    kept = order[np.arange(len(rows)) - np.searchsorted(rows, rows) < count]
    cells = (found.row[kept], found.col[kept])
    return sparse.coo_matrix((found.data[kept], cells), similar.shape).tocsr()


def newest(found: Encoded, reach: int) -> tuple[NDArray[np.float64], tuple[Ints, Ints]]:
    """Return the weight of each user's last items as a matrix's data and cells."""
    ends = np.searchsorted(found.rows, found.rows, side="right")
    behind = ends - 1 - np.arange(len(ends))
    rows, items, behind = (part[behind < reach] for part in (found.rows, found.items, behind))
    # An item that comes twice counts at its newest place: the last of equal pairs.
    pairs = rows * (1 + items.max(initial=0)) + items
    _, last = np.unique(pairs[::-1], return_index=True)
    kept = len(pairs) - 1 - last
    return 0.5 ** behind[kept].astype(np.float64), (rows[kept], items[kept])
