"""The two likelihoods behind facet weights, with what Newton's method and the bootstrap need.

logistic        log-odds(cart) = intercept + x b
within listing  P(i is carted | one of i and the uncarted is) = exp(u_i) / sum of exp(u),
                u = x b + log P(examined)

The second conditions on the listing, so that everything the listing has in common (the customer,
the day, the query) drops out; each carted item is compared with the items of its listing that were
not carted, which keeps the estimate right when several were (a product of conditional logits,
McFadden 1974; Chamberlain 1980).

Both write score = X' residual and information = X' diag(weight) X - sum of m m' over `means`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tasks.facets.design import Array, Codes, Design, starts_of

MAX_STEPS = 60
TOLERANCE = 1e-9
HALVINGS = 30


@dataclass(frozen=True)
class Local:
    """A likelihood at one point, row by row; `means` has a row per choice made in `mean_rows`."""

    value: float
    residual: Array
    weight: Array
    means: Array
    mean_rows: npt.NDArray[np.intp]


Likelihood = Callable[[Design, Array], Local]


def logistic(design: Design, coefficients: Array) -> Local:
    """Return the logistic likelihood; the design's last column is the intercept."""
    linear = design.x @ coefficients
    p = 1.0 / (1.0 + np.exp(-np.clip(linear, -35, 35)))
    value = float(design.y @ linear - np.logaddexp(0.0, linear).sum())
    nothing = np.zeros((0, design.x.shape[1]))
    return Local(value, design.y - p, p * (1 - p), nothing, np.zeros(0, dtype=np.intp))


def within_listing(design: Design, coefficients: Array) -> Local:
    """Return the likelihood of which items of each listing were carted."""
    linear = design.x @ coefficients + design.offset
    starts = starts_of(design.listing)
    sizes = np.diff(np.append(starts, design.rows))
    top = np.repeat(np.maximum.reduceat(linear, starts), sizes)
    e = np.exp(linear - top)
    carted = design.y > 0
    left = np.where(carted, 0.0, e)
    others = np.repeat(np.add.reduceat(left, starts), sizes)
    share = np.where(carted, 1.0 / (e + others), 0.0)
    weight = e * np.where(carted, share, np.repeat(np.add.reduceat(share, starts), sizes))
    other_sums = np.add.reduceat(left[:, None] * design.x, starts, axis=0)
    rows = np.flatnonzero(carted)
    mine = np.repeat(np.arange(len(starts)), sizes)[rows]
    means = share[rows, None] * (e[rows, None] * design.x[rows] + other_sums[mine])
    value = float(np.log(e[rows] * share[rows]).sum())
    return Local(value, design.y - weight, weight, means, rows)


def penalised_fit(likelihood: Likelihood, design: Design, penalty: Array) -> Array:
    """Return the coefficients that maximise likelihood - penalty * b^2 / 2, by Newton's method."""
    b = np.zeros(design.x.shape[1])
    at = likelihood(design, b)
    for _ in range(MAX_STEPS):
        slope = _score(design, at) - penalty * b
        curve = _information(design, at) + np.diag(penalty)
        step: Array = np.asarray(np.linalg.solve(curve, slope), np.float64)
        b, at = _ascended(likelihood, design, penalty, b, at, step)
        if np.max(np.abs(step), initial=0.0) < TOLERANCE:
            break
    return b


def _ascended(
    likelihood: Likelihood, design: Design, penalty: Array, b: Array, at: Local, step: Array
) -> tuple[Array, Local]:
    """Return the point after the step, halved until the objective does not fall."""
    before = at.value - penalty @ b**2 / 2
    for halving in range(HALVINGS):
        after = b + step / 2**halving
        there = likelihood(design, after)
        if there.value - penalty @ after**2 / 2 >= before - TOLERANCE:
            return after, there
    return b, at


def _score(design: Design, at: Local) -> Array:
    return design.x.T @ at.residual


def _information(design: Design, at: Local) -> Array:
    matrix: Array = (design.x * at.weight[:, None]).T @ design.x - at.means.T @ at.means
    return matrix


def block_scores(design: Design, at: Local) -> Array:
    """Return each block's score, blocks by columns."""
    sums: Array = np.add.reduceat(design.x * at.residual[:, None], starts_of(design.block), axis=0)
    return sums


def pair_scores(design: Design, at: Local) -> tuple[Array, Codes]:
    """Return the score of each pair of block and item, pairs by columns, and each pair's item."""
    width = int(design.item.max(initial=-1)) + 1
    pairs, place = np.unique(design.block * width + design.item, return_inverse=True)
    sums = np.zeros((len(pairs), design.x.shape[1]))
    np.add.at(sums, place, design.x * at.residual[:, None])
    return sums, pairs % max(width, 1)


def block_informations(design: Design, at: Local) -> Array:
    """Return each block's information, blocks by columns by columns."""
    starts = starts_of(design.block)
    rows = np.split(np.arange(design.rows), starts[1:])
    choices = np.split(np.arange(len(at.mean_rows)), np.searchsorted(at.mean_rows, starts[1:]))
    return np.stack([_block(design, at, *pair) for pair in zip(rows, choices, strict=True)])


def _block(
    design: Design, at: Local, rows: npt.NDArray[np.intp], choices: npt.NDArray[np.intp]
) -> Array:
    x, means = design.x[rows], at.means[choices]
    matrix: Array = (x * at.weight[rows, None]).T @ x - means.T @ means
    return matrix
