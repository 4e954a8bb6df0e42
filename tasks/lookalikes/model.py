"""A segment's model: two factors over the same columns, and the calibrator of their product.

probability = calibrated(P(buys anything | x) * P(the seed thing | x, buys))
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from tasks.lookalikes.calibration import Calibrator
from tasks.lookalikes.classifier import Array, Classifier
from tasks.lookalikes.matrix import sparse_matrix

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


@dataclass(frozen=True)
class Model:
    """The two factors over the same columns."""

    columns: pl.DataFrame
    seed: Classifier
    buyer: Classifier

    def log_odds(self, x: csr_matrix) -> Array:
        """Return the log-odds of the product of both factors, a row each."""
        return product_log_odds(self.seed.log_odds(x), self.buyer.log_odds(x))


@dataclass(frozen=True)
class Calibrated:
    """A model with its calibrator."""

    model: Model
    calibrator: Calibrator

    def probability(self, people: pl.DataFrame, features: pl.DataFrame) -> Array:
        """Return the probability of each of the people, in their order."""
        return self.probability_of(sparse_matrix(people, features, self.model.columns))

    def probability_of(self, x: csr_matrix) -> Array:
        """Return the probability of each row."""
        return self.calibrator.probability(self.model.log_odds(x))


def product_log_odds(first: Array, second: Array) -> Array:
    """Return the log-odds of the product of two probabilities given as log-odds."""
    log_product: Array = -np.logaddexp(0, -first) - np.logaddexp(0, -second)
    odds: Array = log_product - np.log(-np.expm1(log_product))
    return odds


def drivers(model: Model) -> pl.DataFrame:
    """Return `attribute, value, coefficient`, the strongest first."""
    named = model.columns.with_columns(pl.Series("coefficient", model.seed.coefficients))
    return named.sort(pl.col("coefficient").abs(), descending=True).drop("column")
