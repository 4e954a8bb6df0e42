from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tasks.simulator.draws import Draws, Stream, zipf_cumulative

KEYS = st.integers(min_value=-1, max_value=2**40)


@given(seed=st.integers(0, 2**31 - 1), first=KEYS, second=KEYS)
def test_a_key_draws_the_same_number_alone_and_among_others(
    seed: int, first: int, second: int
) -> None:
    draws = Draws(seed)
    alone = draws.uniform(Stream.VIEW, first, second)
    among = draws.uniform(Stream.VIEW, np.array([7, first]), np.array([9, second]))
    assert alone[0] == among[1]
    assert 0.0 <= alone[0] < 1.0


def test_uniforms_fill_the_interval_evenly() -> None:
    drawn = Draws(3).uniform(Stream.CART, np.arange(100_000))
    shares = np.histogram(drawn, bins=10, range=(0, 1))[0] / 100_000
    # The standard error of a share of 0.1 is sqrt(0.1 x 0.9 / 100000) = 0.00095.
    assert np.abs(shares - 0.1).max() < 5 * 0.00095


def test_normals_have_mean_zero_and_variance_one() -> None:
    drawn = Draws(3).normal(Stream.TASTE, np.arange(100_000))
    assert abs(drawn.mean()) < 0.02
    assert abs(drawn.var() - 1.0) < 0.02


def test_streams_keys_and_seeds_are_unrelated() -> None:
    index = np.arange(20_000)
    one = Draws(1).uniform(Stream.VIEW, index)
    others = [
        Draws(2).uniform(Stream.VIEW, index),
        Draws(1).uniform(Stream.CART, index),
        Draws(1).uniform(Stream.VIEW, index, 0),
        Draws(1).uniform(Stream.VIEW, index + 1),
    ]
    assert all(abs(np.corrcoef(one, other)[0, 1]) < 0.03 for other in others)


def test_zipf_shares_fall_with_the_rank() -> None:
    # Shares 1, 1/2, 1/3 over their sum 11/6: 6/11, 3/11, 2/11.
    np.testing.assert_allclose(zipf_cumulative(3, 1.0), [6 / 11, 9 / 11, 1.0])
