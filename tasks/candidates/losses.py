"""Losses of SASRec: over the whole catalogue, or over some negatives that a batch shares.

softmax  = cross-entropy of the target over all items; over the target and the negatives where the
           catalogue exceeds `full_softmax_items`, each negative's logit less log(negatives x q)
gbce     = -(b log s(target) + sum over negatives of log(1 - s(negative))), s = sigmoid of
           logit - log(items x q); b = a (t (1 - 1/a) + 1/a), a = negatives / (items - 1), t is
           `calibration` (gSASRec; Petrov and Macdonald, RecSys 2023)
cosine   = 1 - cos(target) + `push` x mean over negatives of max(0, cos(negative) - `margin`), cos
           the cosine of state and item; there are no biases (SimpleX; Mao et al., CIKM 2021)

q is the chance that one draw is the item: 1 / items (uniform), the item's share of interactions
(popular), or their mean (mixed). Its logarithm undoes what the draw prefers (Bengio and Senecal,
2008; Gutmann and Hyvaerinen, 2010); with uniform draws gBCE is the published one. A cosine stands
for no probability, and nothing of it is undone. A negative that is the target does not count.

What a user was shown, examined and passed over may be drawn beside, `PER_WINDOW` times a window, by
r, its share of what the user passed over (`passed_over`). These negatives weigh w times all others:

softmax  = the sum over items becomes sum over i of exp(logit(i)) (1 + w x items x r(i)), estimated
           by the drawn ones' logits plus log(w x items / drawn)
gbce     = plus w x negatives x mean over the drawn of - log(1 - s)
cosine   = plus `push` x w x mean over the drawn of max(0, cos - `margin`)

The others keep their own correction, so what q prefers stays undone whatever w is. What r prefers
is meant, and is not: with it undone the sum would be that of all items again, and w would say
nothing. A user who passed nothing over has r = 0.

Where discovery counts acts more than once, each target's loss is multiplied by its times over the
mean times of all steps that can be targets.
"""

from __future__ import annotations

import math
from functools import partial
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from tasks.candidates.windows import NOTHING
from tasks.settings import SASRecOptions


class Beside(NamedTuple):
    """What is known of targets, a row each; by default nothing.

    `counts`: how much each counts, 1 in the mean. `passed`: places of items that the user passed
    over, `NOTHING` in the rows of users without any; together they weigh `weight` times all others.
    """

    counts: Tensor | None = None
    passed: Tensor | None = None
    weight: float = 0.0

    def mean(self, losses: Tensor) -> Tensor:
        """Return the mean over targets, as much as each counts."""
        return (losses if self.counts is None else losses * self.counts).mean()

    def logits(self, states: Tensor, wanted: Tensor, items: Tensor, bias: Tensor) -> Tensor:
        """Return (targets, drawn) logits of what was passed over; no negative: minus infinity."""
        if self.passed is None:
            return states.new_zeros(len(states), 0)
        places = self.passed.clamp(min=0)
        found = torch.einsum("rd,rnd->rn", states, items[places]) + bias[places]
        is_none = (self.passed == NOTHING) | (self.passed == wanted[:, None])
        return found.masked_fill(is_none, -torch.inf)

    def times(self, others: float) -> float:
        """Return how much one that was drawn weighs where all others together weigh `others`."""
        return 0.0 if self.passed is None else self.weight * others / self.passed.shape[1]


NOTHING_BESIDE = Beside()


class Loss(Protocol):
    """From (states, targets, item embeddings, item biases) to the mean over targets."""

    def __call__(
        self,
        states: Tensor,
        wanted: Tensor,
        items: Tensor,
        bias: Tensor,
        *,
        beside: Beside = NOTHING_BESIDE,
    ) -> Tensor:
        """Return the mean."""


class Negatives:
    """Items drawn as negatives, with replacement.

    Attributes:
        count: how many one draw gives.
        log_chance: log q of the module's formula, one an item.
    """

    def __init__(self, popular: Tensor, by: str, count: int) -> None:
        """Mix the distribution from the items' log shares of interactions."""
        uniform = torch.full_like(popular, 1 / len(popular))
        shares = {"uniform": uniform, "popular": popular.exp()}
        chance = shares[by] if by in shares else sum(shares.values()) / len(shares)
        self.count = count
        self.log_chance = chance.log()
        # On the CPU wherever the loss is: the same draws everywhere, and a sum that repeats.
        self._cumulative = chance.cpu().double().cumsum(0)

    def draw(self) -> Tensor:
        """Return places of items."""
        at = torch.rand(self.count, dtype=torch.float64) * self._cumulative[-1]
        drawn = torch.searchsorted(self._cumulative, at, right=True)
        return drawn.to(self.log_chance.device)


def loss_of(options: SASRecOptions, popular: Tensor) -> Loss:
    """Return the loss that the settings ask for; `popular` are the items' log shares."""
    if options.loss == "softmax" and len(popular) <= options.full_softmax_items:
        return full_softmax
    negatives = Negatives(popular, options.negatives_by, options.negatives)
    if options.loss == "softmax":
        return partial(sampled_softmax, negatives=negatives)
    if options.loss == "cosine":
        return partial(cosine, negatives=negatives, options=options)
    return partial(gbce, negatives=negatives, calibration=options.calibration)


def full_softmax(
    states: Tensor,
    wanted: Tensor,
    items: Tensor,
    bias: Tensor,
    *,
    beside: Beside = NOTHING_BESIDE,
) -> Tensor:
    """Return the cross-entropy over the whole catalogue."""
    logits = states @ items.T + bias
    if beside is NOTHING_BESIDE:
        return functional.cross_entropy(logits, wanted)
    positive = logits.gather(1, wanted[:, None]).squeeze(1)
    return beside.mean(
        torch.logsumexp(torch.hstack([logits, passed_over(states, wanted, items, bias, beside)]), 1)
        - positive
    )


def passed_over(
    states: Tensor, wanted: Tensor, items: Tensor, bias: Tensor, beside: Beside
) -> Tensor:
    """Return the drawn logits of what was passed over, by which the softmax's sum grows."""
    logits = beside.logits(states, wanted, items, bias)
    return logits + math.log(beside.times(len(items))) if logits.shape[1] else logits


def sampled_softmax(
    states: Tensor,
    wanted: Tensor,
    items: Tensor,
    bias: Tensor,
    negatives: Negatives,
    *,
    beside: Beside = NOTHING_BESIDE,
) -> Tensor:
    """Return the cross-entropy over the target and a draw."""
    drawn = negatives.draw()
    positive = (states * items[wanted]).sum(dim=1) + bias[wanted]
    often = negatives.log_chance[drawn] + math.log(negatives.count)
    negative = (states @ items[drawn].T + bias[drawn] - often).masked_fill(
        drawn == wanted[:, None], -torch.inf
    )
    passed = passed_over(states, wanted, items, bias, beside)
    logits = torch.hstack([positive[:, None], negative, passed])
    return beside.mean(torch.logsumexp(logits, dim=1) - positive)


def gbce(  # noqa: PLR0913 (four of a Loss, and what beside)
    states: Tensor,
    wanted: Tensor,
    items: Tensor,
    bias: Tensor,
    negatives: Negatives,
    calibration: float,
    *,
    beside: Beside = NOTHING_BESIDE,
) -> Tensor:
    """Return the generalised binary cross-entropy of the target and a draw."""
    drawn = negatives.draw()
    against_uniform = bias - negatives.log_chance - math.log(len(items))
    positive = (states * items[wanted]).sum(dim=1) + against_uniform[wanted]
    negative = (states @ items[drawn].T + against_uniform[drawn]).masked_fill(
        drawn == wanted[:, None], -torch.inf
    )
    share = positive_share(negatives.count, len(items), calibration)
    passed = beside.logits(states, wanted, items, against_uniform)
    return beside.mean(
        share * functional.softplus(-positive)
        + functional.softplus(negative).sum(dim=1)
        + beside.times(negatives.count) * functional.softplus(passed).sum(dim=1)
    )


def cosine(  # noqa: PLR0913 (as above)
    states: Tensor,
    wanted: Tensor,
    items: Tensor,
    bias: Tensor,
    negatives: Negatives,
    options: SASRecOptions,
    *,
    beside: Beside = NOTHING_BESIDE,
) -> Tensor:
    """Return the cosine contrastive loss; states and items have length 1, biases are not used."""
    drawn = negatives.draw()
    far = 1 - (states * items[wanted]).sum(dim=1)
    near = functional.relu(states @ items[drawn].T - options.margin).masked_fill(
        drawn == wanted[:, None], 0.0
    )
    cosines = beside.logits(states, wanted, items, torch.zeros_like(bias))
    passed = functional.relu(cosines - options.margin).sum(dim=1) * beside.times(1)
    return beside.mean(far + options.push * (near.mean(dim=1) + passed))


def positive_share(negatives: int, items: int, calibration: float) -> float:
    """Return b of the module's formula: the power of the target's probability."""
    rate = min(1.0, negatives / max(1, items - 1))
    return rate * (calibration * (1 - 1 / rate) + 1 / rate)
