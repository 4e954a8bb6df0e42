"""What items are, as vectors: each feature's value counts by how rare it is.

content(i) = log(items / items with the value), for each feature value that i has, then scaled to
             length 1
word(v)    = log(items / items with v) x the row of v in V, where U S V' are the `width` largest
             singular values of content and their vectors

The sum of the words of an item's values, scaled to length 1, is its content in `width` numbers.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import svds

from tasks.candidates.generator import Floats, Ints
from tasks.errors import ContractViolation

_NOISE = 1e-6
"""Singular values below this share of the largest one are rounding."""


def content(codes: Ints, values: int) -> sparse.csr_matrix:
    """Return what items are: a row an item, a column a feature's value."""
    there = has(codes, values)
    return unit(there @ sparse.diags(rarity(there)))


def words(codes: Ints, values: int, width: int) -> Floats:
    """Return the vectors of the feature values (values, width), the same for the same items.

    Raises:
        ContractViolation: too few values are told to tell items apart.
    """
    told = content(codes, values)
    count = min(width, min(told.shape) - 1, told.count_nonzero())
    if count < 1:
        raise ContractViolation(
            "items cannot be told apart by content: none has a value in the columns of"
            " VITRINA_CANDIDATES__ITEM_FEATURES"
        )
    # A start by a fixed seed, and signs that sum above 0: the decomposition leaves both open.
    start = np.random.default_rng(0).standard_normal(min(told.shape))
    _, sizes, vectors = svds(told, count, v0=start)
    real = np.flatnonzero(sizes > _NOISE * sizes.max())[::-1]
    signs = np.where(vectors[real].sum(axis=1) < 0, -1.0, 1.0)
    found = np.zeros((values, width), dtype=np.float32)
    found[:, : len(real)] = rarity(has(codes, values))[:, None] * (vectors[real].T * signs)
    return found


def has(codes: Ints, values: int) -> sparse.csr_matrix:
    """Return 1 where an item (row) has a value (column)."""
    rows, columns = np.nonzero(codes)
    ones = np.ones(len(rows))
    return sparse.csr_matrix((ones, (rows, codes[rows, columns])), (len(codes), values))


def rarity(there: sparse.csr_matrix) -> NDArray[np.float64]:
    """Return log(items / items with the value) of each value."""
    often = np.asarray((there > 0).sum(axis=0)).ravel()
    found: NDArray[np.float64] = np.log(there.shape[0] / np.maximum(often, 1))
    return found


def unit(rows: sparse.csr_matrix) -> sparse.csr_matrix:
    """Return the rows scaled to length 1; an empty one stays empty."""
    lengths = np.sqrt(np.asarray(rows.multiply(rows).sum(axis=1)).ravel())
    return (sparse.diags(1 / np.where(lengths > 0, lengths, 1.0)) @ rows).tocsr()
