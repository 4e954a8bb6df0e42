"""How good probabilities are, and whether they may be used at all.

AUC interval: DeLong's variance (DeLong, DeLong and Clarke-Pearson 1988), normal on the logit scale.
Shares: Wilson's interval (Wilson 1927).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tasks.errors import QualityGateFailed
from tasks.lookalikes.classifier import Array, fit_classifier

Z = 1.959964
MANY_VALUES = 1000
SHARE_OF_PEOPLE = 5
LARGEST_TIE = 0.05
TOO_GOOD = 0.99


@dataclass(frozen=True)
class Estimate:
    """A value with its 95% interval."""

    value: float
    low: float
    high: float


def auc_of(scores: Array, y: Array) -> Estimate:
    """Return the area under the ROC curve; both labels are there."""
    positives, negatives = scores[y > 0], scores[y == 0]
    above = _placed(positives, negatives)
    below = 1 - _placed(negatives, positives)
    auc = float(above.mean())
    variance = _mean_variance(above) + _mean_variance(below)
    # On the logit scale the interval stays inside (0, 1); the bound keeps a perfect order finite.
    bounded = min(max(auc, 1e-4), 1 - 1e-4)
    odds, error = np.log(bounded / (1 - bounded)), np.sqrt(variance) / (bounded * (1 - bounded))
    low, high = (1 / (1 + np.exp(-(odds + side * Z * error))) for side in (-1, 1))
    return Estimate(auc, float(low), float(high))


def _placed(scores: Array, others: Array) -> Array:
    """Return the share of `others` below each score, ties counting half."""
    ordered = np.sort(others)
    left = np.searchsorted(ordered, scores, "left")
    right = np.searchsorted(ordered, scores, "right")
    share: Array = (left + right) / (2 * len(others))
    return share


def _mean_variance(values: Array) -> float:
    return float(values.var(ddof=1) / len(values)) if len(values) > 1 else 0.25


def wilson(hits: npt.NDArray[np.int64], of: npt.NDArray[np.int64]) -> tuple[Array, Array]:
    """Return the interval of each share; from 0 to 1 where there is nothing to count."""
    n = np.maximum(of, 1)
    p = hits / n
    centre = (p + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z * np.sqrt(p * (1 - p) / n + Z**2 / (4 * n**2)) / (1 + Z**2 / n)
    low = np.where(of > 0, np.maximum(0, centre - half), 0.0)
    high = np.where(of > 0, np.minimum(1, centre + half), 1.0)
    return low, high


def calibration_metrics(p: Array, y: Array) -> dict[str, float]:
    """Return Brier score and skill, log loss, calibration slope, observed / expected."""
    rate = float(y.mean())
    brier = float(np.mean((p - y) ** 2))
    spread = rate * (1 - rate)
    log_odds = np.log(p / (1 - p))
    return {
        "brier": brier,
        "brier_skill": 1 - brier / spread if spread else 0.0,
        "log_loss": float(-np.mean(y * np.log(p) + (1 - y) * np.log(1 - p))),
        "calibration_slope": float(fit_classifier(log_odds[:, None], y, 1e-6).coefficients[0]),
        "observed_to_expected": rate / float(p.mean()),
        "base_rate": rate,
    }


def refuse_degenerate(name: str, p: Array) -> None:
    """Check the probabilities of people with features.

    Raises:
        QualityGateFailed: too few distinct values, or one of them too frequent.
    """
    if not len(p):
        raise QualityGateFailed(f"{name}: nobody has features, so nobody can be told apart")
    _, counts = np.unique(p, return_counts=True)
    wanted = min(MANY_VALUES, len(p) / SHARE_OF_PEOPLE)
    if len(counts) < wanted:
        raise QualityGateFailed(
            f"{name}: degenerate, {len(counts):,} distinct probabilities for {len(p):,} people"
            f" with features; at least {wanted:,.0f} are expected"
        )
    largest = counts.max() / len(p)
    if counts.max() > 1 and largest > LARGEST_TIE:
        raise QualityGateFailed(
            f"{name}: degenerate, one probability is shared by {largest:.1%} of the people with"
            f" features; at most {LARGEST_TIE:.0%} is allowed"
        )


def refuse_leak(name: str, auc: Estimate | None, strongest: str) -> None:
    """Check that the order of the later window is not one that only knowing it can give.

    Raises:
        QualityGateFailed: the AUC is surely above what people's past can tell.
    """
    if auc is not None and auc.low > TOO_GOOD:
        raise QualityGateFailed(
            f"{name}: too good to be true, AUC {auc.value:.4f} [{auc.low:.4f}, {auc.high:.4f}]; it"
            f" leans on '{strongest}' most: does a counter hold the seed act's own session?"
        )
