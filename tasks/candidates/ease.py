"""EASE: a linear item-to-item model in closed form (Steck, WWW 2019).

X[u, i] = sqrt(sum of times x 0.5 ** (age in days / half-life) over interactions of u with i)
Z[u, i] = X[u, i] / n(i) ** debias, n(i) = sum over u of X[u, i] squared, over its mean
P = inverse of (Z'Z + regularisation x I);  B[i, j] = -P[i, j] / P[j, j], B[i, i] = 0
score(u, j) = sum over i of Z[u, i] x B[i, j]

`debias` above 0 makes a popular item weak evidence and small in the loss (popularity to a power as
weight: Steck, RecSys 2011; 0.5 makes X'X a matrix of cosines up to a factor).

Memory is two float64 squares of the item count, so only the `ease.max_items` most touched items
take part (8,000: 1.0 GB). A request's row is built from its history, so users who came after
training are served like all others; an empty history has no score.
"""

from __future__ import annotations

import logging
import time
from typing import Any, ClassVar, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from tasks import columns as c
from tasks.candidates.generator import NO_OPINION, Floats, Generator, Known, Requests, Run
from tasks.settings import Candidates

log = logging.getLogger(__name__)

Floats64 = NDArray[np.float64]


class Ease(Generator):
    """Items that go with what the customer touched."""

    name: ClassVar[str] = "ease"

    def __init__(self, item_ids: pl.Series, weights: Floats, half_life_days: float) -> None:
        """Keep the item-to-item weights B."""
        self.item_ids = item_ids
        self._weights = weights
        self._half_life_days = half_life_days

    @classmethod
    def fit(cls, known: Known, options: Candidates, run: Run) -> Self:
        """Solve for B over the most touched items."""
        item_ids = most_touched(known.interactions, options.ease.max_items)
        half_life = options.ease.half_life_days
        everyone = Requests(known.through, known.users, known.interactions)
        with threadpool_limits(run.threads):
            matrix = touched(everyone, item_ids, half_life)
            scale = sparse.diags(popularity(matrix) ** -options.debias)
            weights = closed_form((matrix @ scale).tocsr(), options.ease.regularisation)
            # Requests bring X, not Z: what divides it goes into the weights.
            weights = np.asarray(scale @ weights, dtype=np.float32)
        return cls(item_ids, weights, half_life)

    def scores(self, requests: Requests) -> Floats:
        """Return X B for these users."""
        matrix = touched(requests, self.item_ids, self._half_life_days)
        products = np.asarray(matrix @ self._weights, dtype=np.float32)
        products[np.diff(matrix.indptr) == 0] = NO_OPINION
        return products

    def state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Return B, items and half-life."""
        facts = {"item_ids": self.item_ids.to_list(), "half_life_days": self._half_life_days}
        return {"weights": self._weights}, facts

    @classmethod
    def restore(cls, arrays: dict[str, NDArray[Any]], facts: dict[str, Any]) -> Self:
        """Return the generator that gave this state."""
        item_ids = pl.Series(c.ITEM_ID, facts["item_ids"])
        return cls(item_ids, arrays["weights"], facts["half_life_days"])


def most_touched(interactions: pl.DataFrame, cap: int) -> pl.Series:
    """Return the ids of the `cap` items with most interactions, sorted; ties to the smaller id."""
    counts = (
        interactions.group_by(c.ITEM_ID).len().sort(["len", c.ITEM_ID], descending=[True, False])
    )
    if counts.height > cap:
        log.warning("EASE leaves out %d of %d items", counts.height - cap, counts.height)
    return counts[c.ITEM_ID].head(cap).sort()


def touched(requests: Requests, item_ids: pl.Series, half_life_days: float) -> sparse.csr_matrix:
    """Return the matrix X of the module's formula."""
    rows, items, _, age_days, times = requests.encoded(item_ids)
    shape = (requests.height, len(item_ids))
    decayed = times * 0.5 ** (age_days.astype(np.float64) / half_life_days)
    matrix = sparse.coo_matrix((decayed, (rows, items)), shape=shape).tocsr()
    return matrix.sqrt()


def popularity(matrix: sparse.csr_matrix) -> Floats64:
    """Return n of the module's formula, mean 1; items that nobody touched count as 1."""
    sums: Floats64 = np.asarray(matrix.multiply(matrix).sum(axis=0)).ravel()
    return np.where(sums > 0, sums / max(sums.mean(), np.finfo(np.float64).tiny), 1.0)


def closed_form(matrix: sparse.csr_matrix, regularisation: float) -> Floats:
    """Return B: the item-to-item weights with a zero diagonal."""
    gram = (matrix.T @ matrix).toarray()
    gram[np.diag_indices_from(gram)] += regularisation
    inverse = inverted(gram)
    weights = inverse / -np.diag(inverse)
    np.fill_diagonal(weights, 0.0)
    return np.asarray(weights, dtype=np.float32)


def inverted(gram: Floats64) -> Floats64:
    """Return the inverse, logging its size before and the seconds it took after."""
    items, started = len(gram), time.monotonic()
    log.info("ease: inverting %d x %d items, %.2f GB", items, items, 2 * gram.nbytes / 1e9)
    inverse: Floats64 = np.asarray(np.linalg.inv(gram), dtype=np.float64)
    seconds = time.monotonic() - started
    log.info("ease: inverted %d x %d items in %.1f s", items, items, seconds)
    return inverse
