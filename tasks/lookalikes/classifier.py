"""Regularised logistic regression on sparse columns, by L-BFGS.

minimise  mean log loss + ridge / (2 n) * sum of w_j (b_j * s_j)^2,  s_j the root mean square of the
          column, w_j its share of the penalty: less where it is known to matter

The penalty counts a column by what it moves, so that a value that few people have is neither free
nor crushed. The intercept is free. How strong it is, cross-validation over customers says: what
fits a few hundred seeds does not fit a hundred thousand.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tasks.progress import Progress

log = logging.getLogger(__name__)

Array = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]
RIDGES = (100.0, 300.0, 1000.0, 3000.0)
FOLDS = 3
MAX_ITERATIONS = 500
GRADIENT = 1e-7


@dataclass(frozen=True)
class Classifier:
    """A fitted model: `intercept + x @ coefficients` are log-odds."""

    intercept: float
    coefficients: Array

    def log_odds(self, x: Any) -> Array:  # noqa: ANN401 (a dense or a sparse matrix)
        """Return each row's log-odds."""
        odds: Array = self.intercept + np.asarray(x @ self.coefficients, np.float64)
        return odds


def chosen_ridge(
    x: Any,  # noqa: ANN401 (dense or sparse)
    y: Array,
    person: Codes,
    shares: Array | None = None,
) -> float:
    """Return the ridge of least log loss on customers left out.

    Args:
        x: rows by columns.
        y: labels 0.0 and 1.0.
        person: a code per customer, so that nobody is in two folds.
        shares: of the penalty, a column each; all 1 without them.
    """
    progress = Progress("look-alike: ridge", len(RIDGES) * FOLDS)
    fold = person % FOLDS
    losses = {ridge: _left_out_loss(x, y, fold, (ridge, shares), progress) for ridge in RIDGES}
    log.info("look-alike: log loss by ridge %s", {r: round(v, 5) for r, v in losses.items()})
    return min(RIDGES, key=lambda ridge: losses[ridge])


def _left_out_loss(
    x: Any,  # noqa: ANN401 (dense or sparse)
    y: Array,
    fold: Codes,
    penalty: tuple[float, Array | None],
    progress: Progress,
) -> float:
    total = 0.0
    for number in range(FOLDS):
        left_out = fold == number
        odds = fit_classifier(x[~left_out], y[~left_out], *penalty).log_odds(x[left_out])
        total += float(np.sum(np.logaddexp(0, odds) - y[left_out] * odds))
        progress.piece(f"{penalty[0]:g} without fold {number + 1}, {len(odds):,} rows left out")
    return total / len(y)


def fit_classifier(
    x: Any,  # noqa: ANN401 (dense or sparse)
    y: Array,
    ridge: float,
    shares: Array | None = None,
) -> Classifier:
    """Return the fit of labels 0.0 and 1.0 on the columns of `x`; `shares` are of the penalty."""
    from scipy.optimize import minimize

    scale = root_mean_squares(x)
    if shares is not None:
        scale = scale * np.sqrt(shares)
    start = np.zeros(x.shape[1] + 1)

    def objective(point: Array) -> tuple[float, Array]:
        return _loss(x, y, point, scale, ridge)

    options = {"maxiter": MAX_ITERATIONS, "gtol": GRADIENT}
    found = minimize(objective, start, jac=True, method="L-BFGS-B", options=options).x
    return Classifier(float(found[-1]), np.asarray(found[:-1] / scale, np.float64))


def root_mean_squares(x: Any) -> Array:  # noqa: ANN401 (dense or sparse)
    """Return each column's root mean square, 1 for an empty column."""
    squares = x.multiply(x) if hasattr(x, "multiply") else x * x
    sizes = np.sqrt(np.asarray(squares.mean(axis=0), np.float64)).ravel()
    return np.where(sizes > 0, sizes, 1.0)


def _loss(
    x: Any,  # noqa: ANN401 (dense or sparse)
    y: Array,
    point: Array,
    scale: Array,
    ridge: float,
) -> tuple[float, Array]:
    """Return the loss and its slope at `point`: scaled coefficients, then the intercept."""
    scaled, intercept = point[:-1], point[-1]
    odds = x @ (scaled / scale) + intercept
    wrong = 1 / (1 + np.exp(-np.clip(odds, -35, 35))) - y
    loss = np.mean(np.logaddexp(0, odds) - y * odds) + ridge * (scaled @ scaled) / (2 * len(y))
    slope = np.asarray(x.T @ wrong, np.float64) / scale / len(y) + ridge * scaled / len(y)
    return float(loss), np.append(slope, wrong.mean())
