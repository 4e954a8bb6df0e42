"""P(cart | examined) by taste and item: logistic regression on what items are, step by step.

log-odds(step | taste, item) = everybody's + sum over the item's values of b + own(item)
                               + the taste's + sum over the item's values of b(taste)

The steps are examined -> viewed -> carted, P(cart | examined) their product: views are ten times as
many as carts and tell most of what an item is worth. Every coefficient but the first is pulled to 0
by a ridge (a normal prior), so that it is a hierarchy: an item seen little is scored by its
attributes, a newcomer by them alone, a taste that has shown little as everybody.

The penalties (precisions of the priors) were chosen on simulated shops of seeds below 31.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tasks.segments.grid import Grid, Numbers, Stage

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

ROUNDS = 200
TOLERANCE = 1e-8


@dataclass(frozen=True)
class Penalties:
    """Ridge on an attribute's value, on an item's own effect, and on what a taste adds."""

    value: float
    item: float
    taste: float


FIRST_STEP = Penalties(value=10.0, item=5.0, taste=60.0)
LATER_STEP = Penalties(value=300.0, item=300.0, taste=600.0)
"""That somebody who looks also buys differs less between items than that he looks."""


def logistic_rates(grid: Grid) -> Numbers:
    """Return P(cart | examined) of each row of the grid."""
    x = columns(grid)
    rates = np.ones(grid.rows.height)
    for place, stage in enumerate(grid.stages()):
        penalty = penalties(grid, LATER_STEP if place else FIRST_STEP)
        rates *= _probability(x @ fitted(x, stage, penalty))
    return rates


def columns(grid: Grid) -> csr_matrix:
    """Return the design matrix: one, values, items; then, for each taste, one and values."""
    from scipy.sparse import csr_matrix, hstack, identity, kron, vstack

    items = grid.items.height
    one = csr_matrix(np.ones((items, 1)))
    everybodys = hstack([one, grid.has, identity(items)], format="csr")
    own = hstack([one, grid.has], format="csr")
    tastes = len(grid.tastes)
    return hstack([vstack([everybodys] * tastes), kron(identity(tastes), own)], format="csr")


def penalties(grid: Grid, strengths: Penalties) -> Numbers:
    """Return the ridge of each column; the first is free."""
    values, items = grid.has.shape[1], grid.items.height
    own = np.append(1.0, np.full(values, strengths.taste))
    return np.concatenate(
        [
            [0.0],
            np.full(values, strengths.value),
            np.full(items, strengths.item),
            np.tile(own, len(grid.tastes)),
        ]
    )


def fitted(x: csr_matrix, stage: Stage, penalty: Numbers) -> Numbers:
    """Return the coefficients that maximise the penalised binomial likelihood.

    By L-BFGS on columns scaled to curvature 1 at the start, in tens of steps.
    """
    from scipy.optimize import minimize

    used = stage.trials > 0
    x, trials, successes = x[used], stage.trials[used], stage.successes[used]
    mean = (successes.sum() + 0.5) / (trials.sum() + 1.0)
    start = np.zeros(x.shape[1])
    start[0] = np.log(mean / (1.0 - mean))
    curvature = x.power(2).T @ (trials * mean * (1.0 - mean)) + penalty
    scale = 1.0 / np.sqrt(np.maximum(curvature, 1e-9))
    # A share of the likelihood, so that the tolerance means the same for shops of any size.
    size = max(float(successes.sum()), 1.0)

    def loss(scaled: Numbers) -> tuple[float, Numbers]:
        b = scaled * scale
        linear = x @ b
        value = trials @ np.logaddexp(0.0, linear) - successes @ linear + penalty @ b**2 / 2
        slope = x.T @ (trials * _probability(linear) - successes) + penalty * b
        return float(value) / size, slope * scale / size

    options = {"maxiter": ROUNDS, "ftol": TOLERANCE}
    found = minimize(loss, start / scale, jac=True, method="L-BFGS-B", options=options)
    coefficients: Numbers = found.x * scale
    return coefficients


def _probability(linear: Numbers) -> Numbers:
    probability: Numbers = 1.0 / (1.0 + np.exp(-np.clip(linear, -35.0, 35.0)))
    return probability
