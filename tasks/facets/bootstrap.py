"""What the coefficients' error is: a bootstrap by customer, and what customers share by items.

Bootstrap, one Newton step a resample:

b* = b + (sum of k_g H_g + penalty)^-1 (sum of k_g s_g - penalty * b)

s_g and H_g are the score and the information of block g of customers at the fitted b, k_g is how
often the resample drew the block. One step from the full fit has the bootstrap's first-order
accuracy (Davidson and MacKinnon 1999, "Bootstrap testing in nonlinear models") and costs nothing
beside the fit, where refitting 200 times would cost 200 fits.

What an item has that no column tells (a good picture, a low stock) all customers meet alike, which
no resample of customers varies. Errors are clustered both ways: to the customers' covariance comes
the items' less that of their intersection (Cameron, Gelbach and Miller 2011, "Robust inference with
multiway clustering"), as normal noise on the draws.
"""

from __future__ import annotations

import numpy as np

from tasks.facets.design import Array, Codes


def resampled(
    coefficients: Array, scores: Array, informations: Array, penalty: Array, seed: int, count: int
) -> Array:
    """Return `count` resamples of the coefficients, resamples by columns.

    Args:
        coefficients: the fit.
        scores: blocks by columns.
        informations: blocks by columns by columns.
        penalty: ridge per column.
        seed: of the draws.
        count: how many resamples.
    """
    blocks, width = scores.shape
    generator = np.random.default_rng(seed)
    drawn = generator.multinomial(blocks, np.full(blocks, 1 / blocks), size=count) * 1.0
    information = (drawn @ informations.reshape(blocks, -1)).reshape(count, width, width)
    score = drawn @ scores - penalty * coefficients
    steps = np.linalg.solve(information + np.diag(penalty), score[:, :, None])[:, :, 0]
    draws: Array = coefficients + steps
    return draws


def noise_of_items(scores: Array, item: Codes, information: Array, seed: int, count: int) -> Array:
    """Return `count` draws by columns of the error that blocks share by the items they met.

    Args:
        scores: pairs of block and item by columns, the score of each pair's rows.
        item: the item of each pair, from 0.
        information: of the whole fit, penalty included, columns by columns.
        seed: of the draws.
        count: how many.
    """
    of_items = np.zeros((item.max(initial=-1) + 1, scores.shape[1]))
    np.add.at(of_items, item, scores)
    values, vectors = np.linalg.eigh(of_items.T @ of_items - scores.T @ scores)
    # A difference of covariances, estimated, may be below zero in some direction.
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    normal = np.random.default_rng(seed).standard_normal((count, len(values)))
    noise: Array = normal @ np.linalg.solve(information, root).T
    return noise


def interval(draws: Array, level: float = 0.95) -> tuple[Array, Array]:
    """Return the percentile interval of each column."""
    tail = (1 - level) / 2
    low, high = np.quantile(draws, [tail, 1 - tail], axis=0)
    return low, high
