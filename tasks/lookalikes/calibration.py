"""Beta calibration: from a model's log-odds to probabilities, strictly rising.

log-odds(p) = a * log s - b * log(1 - s) + c,  s = the model's own probability, a, b >= 0

Kull, Silva Filho and Flach 2017, "Beta calibration". A negative coefficient is dropped and the rest
fitted again; where neither is left the slope is tiny, so that order survives.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tasks.lookalikes.classifier import Array, fit_classifier

RIDGE = 0.1
"""Nothing beside a real window; a bound where a handful of labels separate."""
FLAT = 1e-3
"""The slope that is left where the scores say nothing."""


@dataclass(frozen=True)
class Calibrator:
    """A strictly rising map: `a` or `b` is above 0."""

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
    terms = _terms(log_odds)
    for kept in (np.array([True, True]), np.array([True, False]), np.array([False, True])):
        fit = fit_classifier(terms[:, kept], y, RIDGE)
        if np.all(fit.coefficients > 0):
            a, b = np.zeros(2), fit.coefficients
            a[kept] = b
            return Calibrator(float(a[0]), float(a[1]), fit.intercept)
    return _flat(terms, y)


def _flat(terms: Array, y: Array) -> Calibrator:
    rate = np.clip(y.mean(), 1e-6, 1 - 1e-6)
    base = np.log(rate / (1 - rate))
    return Calibrator(FLAT, FLAT, float(base - FLAT * terms.sum(axis=1).mean()))


def _terms(log_odds: Array) -> Array:
    """Return log s and -log(1 - s)."""
    return np.column_stack([-np.logaddexp(0, -log_odds), np.logaddexp(0, log_odds)])
