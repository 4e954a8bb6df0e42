"""How good probabilities and orders of people are, with 95% intervals by a bootstrap over people.

A person of several segments, or of several pairs, is drawn for all of them at once: each draw gives
everybody a Poisson(1) weight (Chamandy and others 2012, "Estimating uncertainty for massive data
streams").

captured at x%  the true seed acts expected of the first x% of an order, over all that are expected
ECE             mean over ten equal groups of people by probability of |observed - expected|
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tasks.lookalikes.classifier import Array, Codes
from tasks.lookalikes.judgement import auc_of, calibration_metrics, wilson

Weights = npt.NDArray[np.float64]
DRAWS = 200
GROUPS = 10
LEAST_EXPECTED = 50
CAPTURED = (0.01, 0.05, 0.1)
STEPS = 12


def weights_of(person: Codes, people: int | None = None) -> Weights:
    """Return a row of weights per draw, the first of ones; the same for equal codes.

    Args:
        person: codes from 0.
        people: how many codes there are, of others too.
    """
    size = (DRAWS, people or int(person.max()) + 1)
    drawn = np.random.default_rng(0).poisson(1.0, size)[:, person]
    return np.vstack([np.ones(len(person)), drawn])


def told(draws: Array, form: str = ".3f") -> str:
    """Return the first of the draws, which weighs everybody once, with the others' interval."""
    low, high = np.nanquantile(draws[1:], [0.025, 0.975])
    return f"{draws[0]:{form}} [{low:{form}}, {high:{form}}]"


def probabilities_told(p: Array, y: Array) -> str:
    """Return how good probabilities are."""
    found = calibration_metrics(p, y)
    return (
        f"log loss {found['log_loss']:.5f}, AP {average_precision(p, y):.4f}, AUC {area(p, y)},"
        f" Brier {found['brier']:.5f}, skill {found['brier_skill']:+.4f},"
        f" slope {found['calibration_slope']:.2f}, ECE {calibration_error(p, y):.4f},"
        f" O/E {found['observed_to_expected']:.2f}"
    )


def order_told(score: Array, y: Array) -> str:
    """Return how good an order is."""
    return f"AP {average_precision(score, y):.4f}, AUC {area(score, y)}"


def losses(p: Array, y: Array) -> Array:
    """Return each person's log loss; `y` may be a probability, and the loss an expected one."""
    loss: Array = -(y * np.log(p) + (1 - y) * np.log(1 - p))
    return loss


def calibration_error(p: Array, y: Array) -> float:
    """Return the expected calibration error."""
    groups = np.array_split(np.argsort(p, kind="stable"), GROUPS)
    return float(sum(abs(y[group].sum() - p[group].sum()) for group in groups) / len(p))


def area(score: Array, y: Array) -> str:
    """Return the area under the ROC curve with its interval."""
    auc = auc_of(score, y)
    return f"{auc.value:.4f} [{auc.low:.4f}, {auc.high:.4f}]"


def average_precision(score: Array, y: Array) -> float:
    """Return the mean precision at each positive; ties count in their mean order."""
    hits, size = _by_tie(score, y, np.ones(len(y)))
    precision = np.cumsum(hits) / np.cumsum(size)
    return float((precision * hits).sum() / max(y.sum(), 1))


def _by_tie(score: Array, gain: Array, weights: Array) -> tuple[Array, Array]:
    """Return gain and weight of each group of equal scores, the highest first."""
    order = np.argsort(-score, kind="stable")
    _, tie = np.unique(-score[order], return_inverse=True)
    hits, size = (np.bincount(tie, values[order]) for values in (gain * weights, weights))
    return hits.astype(np.float64), size.astype(np.float64)


def gained(score: Array, gain: Array, share: float, weights: Array) -> float:
    """Return what the first `share` of an order gains, over all; ties count in their mean."""
    hits, size = _by_tie(score, gain, weights)
    wanted, before = share * size.sum(), np.cumsum(size) - size
    taken = np.clip((wanted - before) / np.maximum(size, 1e-9), 0, 1)
    return float((taken * hits).sum() / hits.sum()) if hits.sum() else float("nan")


def lift_told(score: Array, y: Array, share: float, person: Codes) -> str:
    """Return how many more than usual of the first `share` did it."""
    return f"lift at {share:.0%} {told(_lifts(score, y, share, person), '.2f')}"


def lift_above_told(score: Array, other: Array, y: Array, share: float, person: Codes) -> str:
    """Return by how much one order's lift is above another's."""
    above = _lifts(score, y, share, person) - _lifts(other, y, share, person)
    return f"lift at {share:.0%} {told(above, '+.2f')}"


def _lifts(score: Array, y: Array, share: float, person: Codes) -> Array:
    return np.array([gained(score, y, share, row) for row in weights_of(person)]) / share


def slope_told(p: Array, y: Array, person: Codes) -> str:
    """Return the calibration slope; `y` may be true probabilities."""
    log_odds = np.log(p / (1 - p))
    return told(np.array([slope(log_odds, y, row) for row in weights_of(person)]))


def slope(log_odds: Array, y: Array, weights: Array) -> float:
    """Return the slope of the logistic regression of `y` on log-odds, by Newton's steps."""
    x, at = np.column_stack([np.ones(len(y)), log_odds]), np.array([0.0, 1.0])
    for _ in range(STEPS):
        p = 1 / (1 + np.exp(-x @ at))
        curvature = (x * (weights * p * (1 - p))[:, None]).T @ x
        at = at + np.linalg.solve(curvature, x.T @ (weights * (y - p)))
    return float(at[1])


def observed_told(p: Array, y: Array) -> str:
    """Return observed over expected: in all, and in the tenths with enough expected."""
    tenths = np.array_split(np.argsort(p, kind="stable"), GROUPS)
    parts = [part for part in tenths if p[part].sum() >= LEAST_EXPECTED]
    return "; ".join([_ratio(p, y), *(_ratio(p[part], y[part]) for part in parts)])


def _ratio(p: Array, y: Array) -> str:
    """Return observed over expected, the interval that of the observed share."""
    hits, of = np.array([int(y.sum())]), np.array([len(y)])
    low, high = (float(bound[0]) / p.mean() for bound in wilson(hits, of))
    return f"{y.mean() / p.mean():.2f} [{low:.2f}, {high:.2f}]"


@dataclass(frozen=True)
class Order:
    """The people of one shop, as they are ordered and as the ceiling orders them; their truth."""

    score: Array
    ceiling: Array
    truth: Array


def captured_told(shops: Sequence[Order]) -> str:
    """Return what orders and their ceilings capture, and the ratio, the mean over shops."""
    parts = []
    for share in CAPTURED:
        mine = np.mean([_captured(shop.score, shop.truth, share) for shop in shops], axis=0)
        best = np.mean([_captured(shop.ceiling, shop.truth, share) for shop in shops], axis=0)
        parts.append(f"{share:.0%} {mine[0]:.3f} of {best[0]:.3f}, {told(mine / best, '.2f')}")
    return "; ".join(parts)


def _captured(score: Array, truth: Array, share: float) -> Array:
    weights = weights_of(np.arange(len(score)))
    return np.array([gained(score, truth, share, row) for row in weights])


def rise(loss: Array, base: Array, weights: Weights) -> Array:
    """Return by how much the mean loss is above the base's, a number a draw."""
    risen: Array = weights @ (loss - base) / weights.sum(axis=1)
    return risen
