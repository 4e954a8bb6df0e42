"""Losses of SASRec: what they come to by hand, and that draws undo what they prefer."""

from __future__ import annotations

from math import exp, log

import numpy as np
import pytest
import torch

from tasks.candidates.losses import (
    Negatives,
    full_softmax,
    gbce,
    loss_of,
    positive_share,
    sampled_softmax,
)
from tasks.settings import SASRecOptions

POPULAR = torch.tensor([0.7, 0.2, 0.1]).log()


@pytest.mark.parametrize(
    ("by", "chance"),
    [
        ("uniform", [1 / 3, 1 / 3, 1 / 3]),
        ("popular", [0.7, 0.2, 0.1]),
        ("mixed", [(1 / 3 + 0.7) / 2, (1 / 3 + 0.2) / 2, (1 / 3 + 0.1) / 2]),
    ],
)
def test_negatives_are_drawn_as_often_as_they_say(by: str, chance: list[float]) -> None:
    torch.manual_seed(4)
    negatives = Negatives(POPULAR, by, 30_000)
    assert negatives.log_chance.exp().tolist() == pytest.approx(chance)
    drawn = np.bincount(negatives.draw().numpy(), minlength=3) / 30_000
    # Four standard errors.
    assert drawn == pytest.approx(chance, abs=4 * (0.25 / 30_000) ** 0.5)


@pytest.mark.parametrize("by", ["uniform", "popular", "mixed"])
def test_the_sampled_softmax_is_unbiased_for_the_partition_sum(by: str) -> None:
    torch.manual_seed(2)
    states, items, bias = torch.randn(4, 8), torch.randn(50, 8) * 0.3, torch.zeros(50)
    wanted = torch.tensor([1, 7, 7, 30])
    popular = (torch.arange(50) + 5.0).softmax(0).log() * 0.05
    negatives = Negatives(popular - popular.logsumexp(0), by, 40)
    full = full_softmax(states, wanted, items, bias)
    drawn = torch.stack(
        [sampled_softmax(states, wanted, items, bias, negatives) for _ in range(400)]
    )
    assert drawn.mean().item() == pytest.approx(full.item(), abs=0.05)


def test_gbce_of_one_target_and_two_equal_negatives() -> None:
    # One place to draw from, so both negatives are item 1; uniform over two items.
    negatives = Negatives(torch.tensor([0.0, 1.0]).log(), "popular", 2)
    negatives.log_chance = torch.full((2,), 0.5).log()
    states, items, bias = torch.tensor([[1.0]]), torch.tensor([[0.5], [-0.25]]), torch.zeros(2)
    loss = gbce(states, torch.tensor([0]), items, bias, negatives, calibration=1.0)
    # t = 1 and a = min(1, 2 / 1): b = 1. Target: log(1 + e^-0.5); negatives: log(1 + e^-0.25) each.
    assert loss.item() == pytest.approx(log(1 + exp(-0.5)) + 2 * log(1 + exp(-0.25)))


def test_the_power_of_the_target_lies_between_the_share_drawn_and_1() -> None:
    # a = 100 / 1000. t = 0: b = 1, plain binary cross-entropy; t = 1: b = a.
    assert positive_share(100, 1001, 0.0) == pytest.approx(1.0)
    assert positive_share(100, 1001, 1.0) == pytest.approx(0.1)
    assert positive_share(100, 1001, 0.75) == pytest.approx(0.1 * (0.75 * (1 - 10) + 10))


def test_gbce_knows_what_a_popular_draw_prefers() -> None:
    # The best logit of item i against its own draws is log p(i) / q(i) - log negatives + constants:
    # with the correction, equal items have equal losses whatever is drawn more often.
    torch.manual_seed(1)
    states, items, bias = torch.zeros(1, 1), torch.zeros(3, 1), POPULAR.clone()
    negatives = Negatives(POPULAR, "popular", 4)
    losses = [
        gbce(states, torch.tensor([item]), items, bias, negatives, 0.0).item() for item in (0, 1, 2)
    ]
    # bias - log q - log 3 = -log 3 for every item, so the target's part is log(1 + 3) for all.
    negative = log(1 + 1 / 3)
    parts = [(loss - log(1 + 3)) / negative for loss in losses]
    assert parts == pytest.approx([round(part) for part in parts], abs=1e-4)


def test_a_catalogue_above_the_limit_is_sampled() -> None:
    assert loss_of(SASRecOptions(full_softmax_items=3), POPULAR) is full_softmax
    assert loss_of(SASRecOptions(full_softmax_items=2), POPULAR) is not full_softmax
    assert loss_of(SASRecOptions(loss="gbce"), POPULAR) is not full_softmax
