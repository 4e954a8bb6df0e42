"""Beta calibration: from a model's log-odds to probabilities, strictly rising.

log-odds(p) = a * log s - b * log(1 - s) + c,  s = the model's own probability, a, b > 0
minimise      sum of log losses + PRIOR / 2 * ((a - 1)^2 + (b - 1)^2)

Kull, Silva Filho and Flach 2017, "Beta calibration". The model is learnt from several anchors, the
map from one: while that one has few seeds it is drawn to a = b = 1, which only moves the mean.
The level is that window's too. Moving it to the newest one, which judges, was worse in shops of
development (observed / expected of clothes 1.34 instead of 1.05, of winter wear 2.02 instead of
1.22): weeks go up and down more than they follow each other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tasks.lookalikes.classifier import Array

PRIOR = 30.0
"""As much as some twenty seeds tell of a slope, nothing beside thousands. Chosen by log loss and by
the spread of slopes in shops of development, whose windows hold 15 to 270 seeds."""
FLAT = 1e-3
"""The least a and b: order survives where the scores say nothing, or the contrary."""
GRADIENT = 1e-9
MAX_ITERATIONS = 500


@dataclass(frozen=True)
class Calibrator:
    """A strictly rising map: `a` and `b` are above 0."""

    a: float
    b: float
    intercept: float

    def probability(self, log_odds: Array) -> Array:
        """Return the probability of each model score."""
        calibrated = _terms(log_odds) @ np.array([self.a, self.b]) + self.intercept
        p: Array = 1 / (1 + np.exp(-calibrated))
        return p


def fit_calibrator(log_odds: Array, y: Array) -> Calibrator:
    """Return the calibrator of scores whose labels 0.0 and 1.0 were observed."""
    from scipy.optimize import minimize

    terms = _terms(log_odds)

    def objective(point: Array) -> tuple[float, Array]:
        return _loss(terms, y, point)

    bounds = [(FLAT, None), (FLAT, None), (None, None)]
    options = {"maxiter": MAX_ITERATIONS, "gtol": GRADIENT, "ftol": 0}
    start = np.array([1.0, 1.0, 0.0])
    found = minimize(
        objective, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options
    ).x
    return Calibrator(*(float(number) for number in found))


def _loss(terms: Array, y: Array, point: Array) -> tuple[float, Array]:
    """Return the penalised mean log loss and its slope at `point`: a, b and the intercept."""
    odds, moved = terms @ point[:2] + point[2], point[:2] - 1
    wrong = 1 / (1 + np.exp(-np.clip(odds, -35, 35))) - y
    loss = np.mean(np.logaddexp(0, odds) - y * odds) + PRIOR * (moved @ moved) / (2 * len(y))
    slope = (terms.T @ wrong + PRIOR * moved) / len(y)
    return float(loss), np.append(slope, wrong.mean())


def _terms(log_odds: Array) -> Array:
    """Return log s and -log(1 - s)."""
    return np.column_stack([-np.logaddexp(0, -log_odds), np.logaddexp(0, log_odds)])
