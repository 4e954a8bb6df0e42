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
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from tasks.settings import SASRecOptions

Loss = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""From (states, targets, item embeddings, item biases) to the mean over targets."""


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


def full_softmax(states: Tensor, wanted: Tensor, items: Tensor, bias: Tensor) -> Tensor:
    """Return the cross-entropy over the whole catalogue."""
    return functional.cross_entropy(states @ items.T + bias, wanted)


def sampled_softmax(
    states: Tensor, wanted: Tensor, items: Tensor, bias: Tensor, negatives: Negatives
) -> Tensor:
    """Return the cross-entropy over the target and a draw."""
    drawn = negatives.draw()
    positive = (states * items[wanted]).sum(dim=1) + bias[wanted]
    often = negatives.log_chance[drawn] + math.log(negatives.count)
    negative = (states @ items[drawn].T + bias[drawn] - often).masked_fill(
        drawn == wanted[:, None], -torch.inf
    )
    return (torch.logsumexp(torch.hstack([positive[:, None], negative]), dim=1) - positive).mean()


def gbce(
    states: Tensor,
    wanted: Tensor,
    items: Tensor,
    bias: Tensor,
    negatives: Negatives,
    calibration: float,
) -> Tensor:
    """Return the generalised binary cross-entropy of the target and a draw."""
    drawn = negatives.draw()
    against_uniform = bias - negatives.log_chance - math.log(len(items))
    positive = (states * items[wanted]).sum(dim=1) + against_uniform[wanted]
    negative = (states @ items[drawn].T + against_uniform[drawn]).masked_fill(
        drawn == wanted[:, None], -torch.inf
    )
    share = positive_share(negatives.count, len(items), calibration)
    return (
        share * functional.softplus(-positive) + functional.softplus(negative).sum(dim=1)
    ).mean()


def cosine(
    states: Tensor,
    wanted: Tensor,
    items: Tensor,
    bias: Tensor,
    negatives: Negatives,
    options: SASRecOptions,
) -> Tensor:
    """Return the cosine contrastive loss; states and items have length 1, biases are not used."""
    drawn = negatives.draw()
    far = 1 - (states * items[wanted]).sum(dim=1)
    near = functional.relu(states @ items[drawn].T - options.margin).masked_fill(
        drawn == wanted[:, None], 0.0
    )
    return (far + options.push * near.mean(dim=1)).mean()


def positive_share(negatives: int, items: int, calibration: float) -> float:
    """Return b of the module's formula: the power of the target's probability."""
    rate = min(1.0, negatives / max(1, items - 1))
    return rate * (calibration * (1 - 1 / rate) + 1 / rate)
