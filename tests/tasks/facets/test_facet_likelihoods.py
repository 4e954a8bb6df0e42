from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.facets import likelihood
from tasks.facets.bootstrap import interval, noise_of_items, resampled
from tasks.facets.design import Array, Design, around_listing
from tasks.facets.identified import spread_of
from tasks.facets.sampling import kept_below

NO_RIDGE = 1e-9


def design(
    x: list[list[float]],
    y: list[int],
    listing: list[int] | None = None,
    p_examined: list[float] | None = None,
    block: list[int] | None = None,
) -> Design:
    rows = len(y)
    return Design(
        names=tuple(f"a{number}" for number in range(len(x[0]))),
        x=np.array(x, np.float64),
        y=np.array(y, np.float64),
        offset=np.log(np.array(p_examined or [1.0] * rows)),
        listing=np.array(listing or range(rows), np.int64),
        item=np.arange(rows),
        block=np.array(block or range(rows), np.int64),
        users=rows,
    )


def test_logistic_regression_gives_the_log_odds_of_a_two_by_two_table() -> None:
    # Without the attribute 1 of 4 is carted, with it 3 of 4: odds 1/3 and 3, ratio 9.
    table = design([[0, 1]] * 4 + [[1, 1]] * 4, [1, 0, 0, 0, 1, 1, 1, 0])
    fit = likelihood.penalised_fit(likelihood.logistic, table, np.full(2, NO_RIDGE))
    assert fit == pytest.approx([math.log(9), math.log(1 / 3)])


def pairs(wins: int, losses: int, p_examined: list[float] | None = None) -> Design:
    """Listings of two items, with and without the attribute, one of them carted."""
    count = wins + losses
    return design(
        x=[[1.0], [0.0]] * count,
        y=[1, 0] * wins + [0, 1] * losses,
        listing=[number // 2 for number in range(2 * count)],
        p_examined=(p_examined or [1.0, 1.0]) * count,
    )


def within(table: Design) -> Array:
    width = table.x.shape[1]
    return likelihood.penalised_fit(likelihood.within_listing, table, np.full(width, NO_RIDGE))


def test_within_listings_the_coefficient_is_the_log_of_wins_over_losses() -> None:
    assert within(pairs(wins=6, losses=2)) == pytest.approx([math.log(3)])


def test_an_item_that_half_of_the_customers_look_at_is_worth_twice_its_carts() -> None:
    assert within(pairs(6, 2, p_examined=[0.5, 1.0])) == pytest.approx([math.log(6)])


def test_what_a_whole_listing_has_in_common_says_nothing() -> None:
    table = pairs(6, 2)
    shared = np.repeat(np.arange(8.0), 2)[:, None]
    both = Design(
        ("a", "b"), np.hstack([table.x, shared]), table.y, table.offset, table.listing,
        table.item, table.block, table.users,
    )  # fmt: skip
    assert spread_of(around_listing(both)) == pytest.approx([0.5, 0])
    assert likelihood.within_listing(both, np.array([0.3, 5.0])).value == pytest.approx(
        likelihood.within_listing(table, np.array([0.3])).value
    )


def test_each_of_two_carts_in_a_listing_is_compared_with_what_was_not_carted() -> None:
    table = design([[1.0], [2.0], [0.0]], [1, 1, 0], listing=[0, 0, 0])
    e = [math.exp(0.5), math.exp(1.0), 1.0]
    by_hand = math.log(e[0] / (e[0] + e[2])) + math.log(e[1] / (e[1] + e[2]))
    assert likelihood.within_listing(table, np.array([0.5])).value == pytest.approx(by_hand)


@st.composite
def designs(draw: st.DrawFn) -> Design:
    seed = draw(st.integers(0, 10_000))
    generator = np.random.default_rng(seed)
    listings = draw(st.integers(2, 6))
    sizes = generator.integers(2, 6, listings)
    listing = np.repeat(np.arange(listings), sizes)
    y = (generator.random(len(listing)) < 0.4).astype(np.float64)
    return Design(
        names=("a", "b"),
        x=generator.normal(size=(len(listing), 2)),
        y=y,
        offset=np.log(generator.uniform(0.1, 1, len(listing))),
        listing=listing.astype(np.int64),
        item=np.arange(len(listing)),
        block=(listing // 2).astype(np.int64),
        users=listings,
    )


@pytest.mark.parametrize("name", ["logistic", "within_listing"])
@settings(max_examples=25)
@given(table=designs(), point=st.tuples(st.floats(-2, 2), st.floats(-2, 2)))
def test_score_and_information_are_the_slopes_of_the_likelihood(
    name: str, table: Design, point: tuple[float, float]
) -> None:
    model = getattr(likelihood, name)
    b, step = np.array(point), 1e-5
    at = model(table, b)
    score = likelihood.block_scores(table, at).sum(axis=0)
    information = likelihood.block_informations(table, at).sum(axis=0)
    for column in range(2):
        shift = step * np.eye(2)[column]
        up, down = model(table, b + shift), model(table, b - shift)
        assert score[column] == pytest.approx((up.value - down.value) / (2 * step), abs=1e-5)
        slope = table.x.T @ (up.residual - down.residual) / (2 * step)
        assert information[column] == pytest.approx(-slope, abs=1e-4)


def refits(table: Design, penalty: Array, count: int) -> Array:
    """The bootstrap in full: customers drawn again, the model fitted again."""
    generator = np.random.default_rng(1)
    blocks = np.unique(table.block)
    fits = []
    for _ in range(count):
        rows = [
            np.flatnonzero(table.block == drawn) for drawn in generator.choice(blocks, len(blocks))
        ]
        places = np.concatenate(rows)
        sizes = [len(part) for part in rows]
        again = Design(
            table.names, table.x[places], table.y[places], table.offset[places],
            np.repeat(np.arange(len(sizes)), sizes) * 1000 + table.listing[places],
            table.item[places],
            np.repeat(np.arange(len(sizes)), sizes), table.users,
        )  # fmt: skip
        fits.append(likelihood.penalised_fit(likelihood.within_listing, again, penalty))
    return np.array(fits)


def test_one_step_intervals_are_those_of_refitting() -> None:
    generator = np.random.default_rng(5)
    listing = np.repeat(np.arange(300), 5)
    x = generator.normal(size=(1500, 2))
    choice = x @ np.array([0.8, 0.0]) + generator.gumbel(size=1500)
    best = np.maximum.reduceat(choice, np.arange(0, 1500, 5))
    y = (choice == np.repeat(best, 5)).astype(np.float64)
    table = Design(("a", "b"), x, y, np.zeros(1500), listing, np.arange(1500), listing // 3, 100)
    penalty = np.ones(2)
    fit = likelihood.penalised_fit(likelihood.within_listing, table, penalty)
    at = likelihood.within_listing(table, fit)
    draws = resampled(
        fit, likelihood.block_scores(table, at), likelihood.block_informations(table, at),
        penalty, seed=3, count=500,
    )  # fmt: skip
    full = refits(table, penalty, 200)
    assert draws.std(axis=0) == pytest.approx(full.std(axis=0), rel=0.2)
    low, high = interval(draws)
    assert low[0] < 0.8 < high[0]
    assert low[1] < 0 < high[1]


@pytest.mark.parametrize(
    ("share", "bound"), [(0.2, "3333"), (0.5, "8000"), (1.0, "g"), (1e-9, "0000")]
)
def test_a_share_of_hex_texts_lies_below_its_bound(share: float, bound: str) -> None:
    assert kept_below(share) == bound


@pytest.mark.parametrize(
    ("items", "scores", "variance"),
    [([0, 0], [2.0, 3.0], 2 * 2 * 3 / 4**2), ([0, 0], [2.0, -3.0], 0.0), ([0, 1], [2.0, 3.0], 0.0)],
)
def test_only_what_blocks_share_by_an_item_is_added(
    items: list[int], scores: list[float], variance: float
) -> None:
    given = np.array(scores)[:, None]
    noise = noise_of_items(given, np.array(items), np.array([[4.0]]), seed=3, count=20_000)
    assert noise.shape == (20_000, 1)
    assert noise.var() == pytest.approx(variance, rel=0.05)


def shop(generator: np.random.Generator, listings: int = 200, items: int = 20) -> Design:
    """Listings of five of few items, each with an appeal that no column tells."""
    appeal, attribute = generator.normal(size=(2, items))
    met = np.array([generator.choice(items, 5, replace=False) for _ in range(listings)])
    choice = appeal[met] + generator.gumbel(size=met.shape)
    y = (choice == choice.max(axis=1, keepdims=True)).astype(np.float64).ravel()
    item, listing = met.ravel(), np.repeat(np.arange(listings), 5)
    x = attribute[item][:, None]
    return Design(("a",), x, y, np.zeros(len(y)), listing, item, listing // 2, listings // 2)


def test_the_error_that_customers_share_by_items_is_in_the_interval() -> None:
    generator, penalty = np.random.default_rng(7), np.array([1e-6])
    fits, narrow, wide = [], [], []
    for seed in range(60):
        table = shop(generator)
        fit = likelihood.penalised_fit(likelihood.within_listing, table, penalty)
        at = likelihood.within_listing(table, fit)
        scores = likelihood.block_scores(table, at)
        informations = likelihood.block_informations(table, at)
        draws = resampled(fit, scores, informations, penalty, seed, count=200)
        pairs, item = likelihood.pair_scores(table, at)
        noise = noise_of_items(pairs, item, informations.sum(axis=0), seed, count=200)
        fits.append(fit[0])
        narrow.append(draws.std())
        wide.append((draws + noise).std())
    assert np.mean(narrow) < 0.6 * np.std(fits)
    assert np.mean(wide) == pytest.approx(np.std(fits), rel=0.25)
