from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from tasks import columns as c
from tests.benchmarks.shuffled import (
    ORDER,
    Sequences,
    loss,
    lost,
    shop_sequences,
    shuffled,
    split_of,
)


def walks(users: int, length: int, items: int) -> pl.DataFrame:
    """Everybody goes round the same circle of items, each from a place of their own."""
    start = np.random.default_rng(3).integers(0, items, users)
    steps = (start[:, None] + np.arange(length)[None, :]) % items
    return pl.DataFrame(
        {
            c.USER_ID: np.repeat(np.arange(users), length),
            c.ITEM_ID: steps.ravel(),
            ORDER: np.tile(np.arange(length), users),
        }
    )


def test_shuffling_keeps_what_each_user_met() -> None:
    requests = split_of(walks(users=20, length=8, items=30)).requests
    mixed = shuffled(requests, seed=1)
    by = [c.USER_ID, c.ITEM_ID]
    assert_frame_equal(mixed.histories.sort(by), requests.histories.sort(by))
    assert mixed.histories[c.USER_ID].is_sorted()
    assert not mixed.histories.equals(requests.histories)
    assert shuffled(requests, seed=1).histories.equals(mixed.histories)


def test_what_is_lost_is_a_share_of_the_mean() -> None:
    found = lost(np.array([1.0, 0.5, 0.2]), np.array([0.5, 0.25, 0.1]))
    assert found == (pytest.approx(0.5), pytest.approx(0.5), pytest.approx(0.5))


def test_where_only_the_last_item_counts_shuffling_takes_most() -> None:
    found = loss(Sequences(walks(users=300, length=8, items=40), epochs=25), seed=1)
    assert found.users == 300
    assert found.ndcg > 0.9
    assert found.lost.value > 0.4
    assert found.popular < 0.5 * found.ndcg


def test_a_shops_sequences_are_first_views_in_order() -> None:
    rows = [
        ("e1", "ann", "hat", c.VIEW, 3),
        ("e2", "ann", "rug", c.VIEW, 1),
        ("e3", "ann", "rug", c.VIEW, 4),
        ("e4", "ann", "mug", c.CART, 2),
        ("e5", "bob", "mug", c.VIEW, 5),
    ]
    names = [c.EVENT_ID, c.USER_ID, c.ITEM_ID, c.EVENT_TYPE, c.TS]
    log = pl.DataFrame(rows, schema=names, orient="row")
    told = shop_sequences(log).pairs.sort(c.USER_ID, ORDER)
    assert told.rows() == [("ann", "rug", 0), ("ann", "hat", 1), ("bob", "mug", 0)]
