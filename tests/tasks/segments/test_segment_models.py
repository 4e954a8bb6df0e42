from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from tasks import columns as c
from tasks.segments import boosted
from tasks.segments.grid import TASTE, Catalogue, Grid, Stage, grid_of
from tasks.segments.logistic import FIRST_STEP, columns, fitted, penalties
from tasks.segments.rules import taste_of
from tasks.segments.scores import segment_scores
from tasks.settings import Segments

WOMEN, MEN = "women.active.app", "men.active.web"
SEGMENTS = [MEN, WOMEN, "women.new.web"]
MODELS = ("logistic", "boosted", "rates")
ITEMS = 60


def catalogue() -> Catalogue:
    """Red and blue shirts by turns; the last two were first seen today."""
    names = [f"i{number:02d}" for number in range(ITEMS)]
    items = pl.DataFrame(
        {
            c.ITEM_ID: names,
            c.CATEGORY: "shirts",
            "price_to_category": 1.0,
            "age_days": [50] * (ITEMS - 2) + [0, 0],
        },
        schema_overrides={"age_days": pl.Int64},
    )
    colours = [("red", "blue")[number % 2] for number in range(ITEMS)]
    values = pl.DataFrame({c.ITEM_ID: names, c.ATTRIBUTE: "colour", c.VALUE: colours})
    return Catalogue(items, values)


def shown(red_women: int = 30, blue_women: int = 10) -> pl.DataFrame:
    """Every old item 100 times before women and men: women view red ones, men blue ones."""
    rows = []
    for number in range(ITEMS - 2):
        red = number % 2 == 0
        for segment, views in ((WOMEN, red_women if red else blue_women), (MEN, 10 if red else 30)):
            rows.append((segment, f"i{number:02d}", 100, 100_000_000, views, views // 5))
    counts = pl.DataFrame(
        rows,
        schema=[
            c.SEGMENT,
            c.ITEM_ID,
            "impressions",
            "examined_ppm",
            "listed_views",
            "listed_carts",
        ],
        orient="row",
    )
    return counts.with_columns(carts=pl.col("listed_carts"), orders=pl.lit(0, pl.Int64))


def scored(counts: pl.DataFrame, model: str) -> pl.DataFrame:
    options = Segments(model=model)
    return segment_scores(counts, catalogue(), SEGMENTS, options, seed=3)


def p_cart(rows: pl.DataFrame, segment: str, item: str) -> float:
    return float(rows.filter(pl.col(c.SEGMENT) == segment, pl.col(c.ITEM_ID) == item)[c.P_CART][0])


@pytest.mark.parametrize("model", MODELS)
def test_every_model_scores_every_item_in_every_segment_and_the_same_way_twice(model: str) -> None:
    rows = scored(shown(), model)
    assert rows.height == (len(SEGMENTS) + 1) * ITEMS
    assert rows[c.P_CART].is_between(0, 1, closed="none").all()
    again = scored(shown().sample(fraction=1, shuffle=True, seed=1), model)
    key = [c.SEGMENT, c.ITEM_ID]
    assert again.sort(key).equals(rows.sort(key))


@pytest.mark.parametrize("model", ["logistic", "boosted"])
def test_an_item_first_seen_today_is_scored_by_its_attributes_for_whom_it_is_meant(
    model: str,
) -> None:
    # i58 is red and i59 blue; nobody has seen either.
    rows = scored(shown(), model)
    for segment, better, worse in ((WOMEN, "i58", "i59"), (MEN, "i59", "i58")):
        assert p_cart(rows, segment, better) > 1.5 * p_cart(rows, segment, worse)
    # Women who are new have done nothing yet: they are scored by the taste of women.
    assert p_cart(rows, "women.new.web", "i58") > p_cart(rows, "women.new.web", "i59")
    # Thirty views of 100 and 6 carts of 30 views, a little pulled to everybody's.
    assert p_cart(rows, WOMEN, "i58") == pytest.approx(0.3 * 0.2, rel=0.25)


def test_smoothed_rates_know_of_a_newcomer_only_its_category() -> None:
    rows = scored(shown(), "rates")
    assert p_cart(rows, WOMEN, "i58") == p_cart(rows, WOMEN, "i59")


@pytest.mark.parametrize("model", ["logistic", "boosted"])
def test_what_is_shown_and_never_viewed_falls_below_what_its_attributes_promise(model: str) -> None:
    silent = pl.col(c.ITEM_ID) == "i00"
    counts = shown().with_columns(
        pl.when(silent).then(0).otherwise(pl.col(name)).alias(name)
        for name in ("listed_views", "listed_carts", "carts")
    )
    rows = scored(counts, model)
    assert p_cart(rows, "all", "i00") < 0.5 * p_cart(rows, "all", "i02")


def test_without_logged_views_the_cart_is_one_step() -> None:
    options = Segments()
    seen = grid_of(shown(), catalogue(), SEGMENTS, options)
    assert [stage.successes.sum() for stage in seen.stages()] == [
        seen.rows["listed_views"].sum(),
        seen.rows["listed_carts"].sum(),
    ]
    blind = grid_of(shown().with_columns(listed_views=0), catalogue(), SEGMENTS, options)
    (only,) = blind.stages()
    assert only.trials.max() == 100
    rows = scored(shown().with_columns(listed_views=pl.lit(0, pl.Int64)), "logistic")
    assert p_cart(rows, WOMEN, "i58") > p_cart(rows, WOMEN, "i59")


def test_a_taste_is_what_the_dimensions_that_shape_it_say() -> None:
    assert [taste_of(segment, Segments()) for segment in SEGMENTS] == ["men", "women", "women"]
    grid = grid_of(shown(), catalogue(), SEGMENTS, Segments())
    assert grid.tastes == ("men", "women")
    assert grid.rows.equals(grid.rows.sort(TASTE, c.ITEM_ID))
    assert grid.rows.height == 2 * ITEMS


def test_columns_and_penalties_line_up() -> None:
    grid = grid_of(shown(), catalogue(), SEGMENTS, Segments())
    x, penalty = columns(grid), penalties(grid, FIRST_STEP)
    # One, two colours, the category, the price, the items; then for both tastes one and values.
    assert x.shape == (2 * ITEMS, 1 + 4 + ITEMS + 2 * 5)
    assert penalty.shape == (x.shape[1],)
    assert penalty[0] == 0


@settings(max_examples=25)
@given(st.integers(1, 60), st.integers(0, 60))
def test_a_free_intercept_alone_gives_the_share_of_successes(successes: int, more: int) -> None:
    trials = successes + more
    x = csr_matrix(np.ones((3, 1)))
    stage = Stage(np.full(3, float(trials)), np.full(3, float(successes)))
    (b,) = fitted(x, stage, np.array([1e-6]))
    share = min(successes / trials, 1 - 1e-6)
    assert 1 / (1 + np.exp(-b)) == pytest.approx(share, abs=0.01)


def test_the_fit_is_where_the_slope_is_zero() -> None:
    grid = grid_of(shown(), catalogue(), SEGMENTS, Segments())
    x, stage, penalty = columns(grid), grid.stages()[0], penalties(grid, FIRST_STEP)
    b = fitted(x, stage, penalty)
    p = 1 / (1 + np.exp(-(x @ b)))
    slope = x.T @ (stage.successes - stage.trials * p) - penalty * b
    curvature = x.power(2).T @ (stage.trials * p * (1 - p)) + penalty
    # A step to the top would move no coefficient by a twentieth of its standard error.
    assert np.abs(slope / np.sqrt(curvature)).max() < 0.05


def test_values_of_one_item_alone_are_that_item() -> None:
    held = catalogue()
    alone = pl.DataFrame({c.ITEM_ID: ["i00"], c.ATTRIBUTE: ["signed"], c.VALUE: ["yes"]})
    wider = replace(held, values=pl.concat([held.values, alone]))
    grids = [grid_of(shown(), some, SEGMENTS, Segments()) for some in (held, wider)]
    assert [_width(grid) for grid in grids] == [4, 4]


def _width(grid: Grid) -> int:
    return int(grid.has.shape[1])


@pytest.mark.parametrize(
    ("tastes", "successes", "mean"),
    [(["men", "men"], [1.0, 5.0], 0.3), (["men", "women"], [10.0, 10.0], 1.0)],
)
def test_trees_that_nothing_tells_rows_apart_expect_the_mean(
    tastes: list[str], successes: list[float], mean: float
) -> None:
    rows = pl.DataFrame({TASTE: tastes, c.PRICE: [5.0, 5.0]})
    stage = Stage(np.full(2, 10.0), np.array(successes))
    assert boosted._expected(rows, stage, seed=1, threads=1) == pytest.approx([mean, mean])
