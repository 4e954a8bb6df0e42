"""SASRec with several learned vectors a customer: pooling, choice, scores, and two tastes."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from math import log, tanh

import numpy as np
import polars as pl
import pytest
import torch
from torch import Tensor

from tasks import columns as c
from tasks.candidates.epochs import batch_loss
from tasks.candidates.generator import Known, Requests, Run
from tasks.candidates.interactions import requests_of
from tasks.candidates.losses import Beside
from tasks.candidates.sasrec import SASRec
from tasks.candidates.transformer import Interests, Network, nearest, products
from tasks.candidates.windows import NOTHING
from tasks.settings import Candidates, SASRecOptions, Settings

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
TASTES, ITEMS_EACH, USERS, STEPS = 6, 6, 150, 16


def network(**values: object) -> Network:
    """An untrained network of five items without features."""
    torch.manual_seed(1)
    options = SASRecOptions(width=8, length=4, dropout=0).model_copy(update=values)
    return Network(torch.zeros(5, 0, dtype=torch.int64), 1, options).eval()


def test_an_interest_is_the_mean_of_the_states_so_far_by_weights_of_its_own() -> None:
    pooling = Interests(width=1, count=2)
    pooling.read.weight.data = torch.tensor([[1.0], [0.0], [0.0], [0.0]])
    pooling.weigh.weight.data = torch.tensor([[0.0] * 4, [log(3) / tanh(1), 0.0, 0.0, 0.0]])
    found = pooling(torch.tensor([[[1.0], [-1.0], [0.0]]]))
    # The first weighs all alike. To the second 1, -1 and 0 weigh 3, 1/3 and 1.
    expected = [[1, 1], [0, (3 - 1 / 3) / (3 + 1 / 3)], [0, (3 - 1 / 3) / (3 + 1 / 3 + 1)]]
    assert found.shape == (1, 3, 2, 1)
    assert found[0, :, :, 0].tolist() == [pytest.approx(row) for row in expected]


def test_later_steps_stay_hidden_from_every_interest() -> None:
    several = network(interests=2)
    steps = torch.tensor([[(1, 0, 5), (2, 0, 70), (3, 0, 90)], [(1, 0, 5), (2, 0, 70), (4, 0, 71)]])
    states = several(steps, several.items())
    assert torch.equal(states[0, :2], states[1, :2])
    assert not torch.equal(states[0, 2], states[1, 2])


def test_padding_does_not_reach_an_interest() -> None:
    several = network(interests=2)
    short = [(1, 0, 5), (2, 0, 70)]
    padded = torch.tensor([[*short, (NOTHING,) * 3], [(3, 0, 5), (1, 0, 6), (4, 0, 7)]])
    with torch.no_grad():
        beside = several.ends(padded, several.items())
        alone = several.ends(torch.tensor([short]), several.items())
    assert beside.shape == (2, 2, 8)
    assert torch.allclose(beside[0], alone[0], atol=1e-6)


def test_a_target_is_learned_by_the_interest_nearest_to_it_alone() -> None:
    interests = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]] * 2, requires_grad=True)
    chosen = nearest(interests, torch.tensor([[2.0, 1.0], [1.0, 3.0]]))
    assert chosen.tolist() == [[1, 0], [0, 1]]
    chosen.sum().backward()
    assert interests.grad is not None
    assert interests.grad.tolist() == [[[1, 1], [0, 0]], [[0, 0], [1, 1]]]


def test_a_batch_is_learned_from_by_the_nearest_interests() -> None:
    several, seen = network(interests=3), []

    def loss(states: Tensor, wanted: Tensor, items: Tensor, *_: Tensor, **__: Beside) -> Tensor:
        seen.append((states, wanted, items))
        return states.sum()

    batch = torch.tensor([[(1, 0, 0), (2, 0, 0), (3, 0, 0), (0, 0, 0)]])
    batch_loss(several, batch, loss, horizon=1)
    ((states, wanted, items),) = seen
    assert wanted.tolist() == [2, 3, 0]
    every = several(batch[:, :-1], items)[0]
    best = (every @ items[wanted][:, :, None])[..., 0].argmax(dim=1)
    assert torch.equal(states, torch.stack([of[at] for of, at in zip(every, best, strict=True)]))


def test_an_item_s_product_is_its_largest_with_any_interest() -> None:
    items = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 1.0]])
    assert products(torch.tensor([[2.0, 1.0]]), items).tolist() == [[2, 1, -1]]
    assert products(torch.tensor([[[2.0, 1.0], [-1.0, 3.0]]]), items).tolist() == [[2, 3, 4]]


def two_tastes() -> Known:
    """Customers with two of six tastes each, who touch items of both in any order."""
    chance, rows = np.random.default_rng(5), []
    for user in range(USERS):
        tastes = chance.choice(TASTES, size=2, replace=False)
        for step in range(STEPS):
            item = ITEMS_EACH * chance.choice(tastes) + chance.integers(ITEMS_EACH)
            at = NOON + timedelta(minutes=step)
            rows.append((f"u{user:03d}", f"i{item:02d}", c.VIEW, at, NOON.date(), 1, 1))
    names = [c.USER_ID, c.ITEM_ID, c.EVENT_TYPE, c.TS, c.DT, c.TIMES, c.WEIGHT]
    acts = pl.DataFrame(rows, schema=names, orient="row")
    items = acts.select(c.ITEM_ID).unique().sort(c.ITEM_ID)
    users = acts.select(c.USER_ID).unique().sort(c.USER_ID)
    return Known(date(2026, 3, 1), acts, items, users)


def trained(known: Known, interests: int) -> SASRec:
    told = SASRecOptions(
        width=4, length=16, epochs=40, min_steps=1, dropout=0, batch=16, interests=interests
    )
    return SASRec.fit(known, Candidates(sasrec=told), Run(3, 1))


def of_both(scores: np.ndarray, tastes: list[set[int]]) -> float:
    """The mean over customers of the smaller of their two tastes' counts among the first 12."""
    first = np.argsort(-scores, axis=1)[:, : 2 * ITEMS_EACH] // ITEMS_EACH
    return float(
        np.mean(
            [
                min((row == taste).sum() for taste in of)
                for row, of in zip(first, tastes, strict=True)
            ]
        )
    )


def test_two_vectors_a_customer_hold_two_tastes_that_one_cannot() -> None:
    known = two_tastes()
    requests = requests_of(known, known.users[c.USER_ID])
    kinds = known.interactions.with_columns(
        pl.col(c.ITEM_ID).str.slice(1).cast(pl.Int64) // ITEMS_EACH
    )
    by_user = kinds.group_by(c.USER_ID, maintain_order=True).agg(pl.col(c.ITEM_ID).unique())
    tastes = [set(of) for of in by_user[c.ITEM_ID].to_list()]
    found = {of: of_both(trained(known, of).scores(requests), tastes) for of in (1, 2)}
    # Of the first 12 items 6 of each taste are the best that there is.
    assert found[2] > 5 > found[1]


def test_scores_are_of_the_best_interest_and_embeddings_are_their_mean(
    small_shop: Known, shop_requests: Requests, small_settings: Settings
) -> None:
    options = small_settings.candidates
    told = options.sasrec.model_copy(update={"interests": 3})
    model = SASRec.fit(small_shop, options.model_copy(update={"sasrec": told}), Run(3, 1))
    users = requests_of(small_shop, pl.Series(c.USER_ID, ["nobody", "u03", "u05"]))
    interests, items = model.interest_vectors(users), model.item_vectors()
    assert interests.shape == (3, 3, 17)
    each = np.einsum("uhw,iw->uhi", interests[1:], items)
    assert model.scores(users)[1:] == pytest.approx(each.max(axis=1), abs=1e-5)
    assert not np.isfinite(model.scores(users)[0]).any()
    assert (each.argmax(axis=1) != each.argmax(axis=1)[:, :1]).any()
    assert model.user_vectors(users)[1:] == pytest.approx(interests[1:].mean(axis=1))
