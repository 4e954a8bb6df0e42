from __future__ import annotations

import math

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks import columns as c
from tasks.lake.contracts import conform
from tasks.lake.tables import SEGMENT_SCORES
from tasks.segments.grid import Catalogue
from tasks.segments.scores import segment_scores
from tasks.settings import Segments

OPTIONS = Segments(
    prior_category_examined=100, prior_item_examined=50, prior_examined=20, model="rates"
)
COUNTS = {
    c.SEGMENT: pl.String(),
    c.ITEM_ID: pl.String(),
    "impressions": pl.Int64(),
    "examined_ppm": pl.Int64(),
    "listed_views": pl.Int64(),
    "listed_carts": pl.Int64(),
    "carts": pl.Int64(),
    "orders": pl.Int64(),
}
ITEMS = pl.DataFrame(
    {
        c.ITEM_ID: ["a", "b", "new", "odd"],
        c.CATEGORY: ["jeans", "jeans", "jeans", None],
        "price_to_category": [1.0, 2.0, 1.0, None],
        "age_days": [90, 90, 0, None],
    },
    schema_overrides={"age_days": pl.Int64},
)
VALUES = pl.DataFrame(schema={c.ITEM_ID: pl.String, c.ATTRIBUTE: pl.String, c.VALUE: pl.String})


def counts(rows: list[tuple[str, str, int, int, int, int, int]]) -> pl.DataFrame:
    viewed = [(*row[:4], row[4], *row[4:]) for row in rows]
    return pl.DataFrame(viewed, schema=COUNTS, orient="row")


def scores(
    rows: list[tuple[str, str, int, int, int, int, int]], segments: list[str]
) -> pl.DataFrame:
    found = segment_scores(counts(rows), Catalogue(ITEMS, VALUES), segments, OPTIONS)
    return in_stock(found)


def in_stock(rows: pl.DataFrame) -> pl.DataFrame:
    return conform(SEGMENT_SCORES, rows.with_columns(pl.lit(True).alias(c.IN_STOCK)))


def p_cart(rows: pl.DataFrame, segment: str, item: str) -> float:
    one = rows.filter((pl.col(c.SEGMENT) == segment) & (pl.col(c.ITEM_ID) == item))
    return float(one[c.P_CART].item())


EXAMINED = [
    ("women", "a", 200, 100_000_000, 10, 12, 0),
    ("women", "b", 100, 50_000_000, 0, 0, 0),
    ("men", "a", 100, 50_000_000, 2, 2, 0),
]
SHOP = 12 / 200
JEANS = (12 + 100 * SHOP) / (200 + 100)
A = (12 + 50 * JEANS) / (150 + 50)
B = (0 + 50 * JEANS) / (50 + 50)


def test_an_item_is_pulled_to_its_category_and_that_to_the_shop() -> None:
    rows = scores(EXAMINED, ["men", "women"])
    assert p_cart(rows, "all", "a") == pytest.approx(A, rel=1e-6)
    assert p_cart(rows, "all", "b") == pytest.approx(B, rel=1e-6)
    assert p_cart(rows, "all", "new") == pytest.approx(JEANS, rel=1e-6)
    assert p_cart(rows, "all", "odd") == pytest.approx(SHOP, rel=1e-6)


def test_a_segment_is_pulled_to_everybodys_rate_at_its_own_pace() -> None:
    rows = scores(EXAMINED, ["men", "women"])
    pseudo_carts = 20 * SHOP
    women = (10 + pseudo_carts) / (100 * A + 50 * B + pseudo_carts)
    men = (2 + pseudo_carts) / (50 * A + pseudo_carts)
    assert p_cart(rows, "women", "a") == pytest.approx((10 + 20 * women * A) / (100 + 20), rel=1e-5)
    assert p_cart(rows, "men", "a") == pytest.approx((2 + 20 * men * A) / (50 + 20), rel=1e-5)
    assert p_cart(rows, "men", "b") == pytest.approx(men * B, rel=1e-5)


def test_a_segment_that_saw_nothing_is_scored_as_everybody() -> None:
    rows = scores(EXAMINED, ["nobody"])
    for item in ("a", "b", "new", "odd"):
        assert p_cart(rows, "nobody", item) == p_cart(rows, "all", item)


def test_carts_that_name_no_listing_count_where_none_does() -> None:
    shown = [("women", "a", 9, 9_000_000, 0, 5, 0), ("women", "b", 9, 9_000_000, 0, 0, 0)]
    rows = scores(shown, ["women"])
    assert p_cart(rows, "all", "a") > p_cart(rows, "all", "b")


def test_without_impressions_scores_are_shares_of_purchases_and_say_so() -> None:
    bought = [("women", "a", 0, 0, 0, 0, 6), ("women", "b", 0, 0, 0, 0, 2)]
    rows = scores(bought, ["women"])
    assert rows[c.BASIS].unique().to_list() == ["share"]
    # Eight purchases are eight trials of each of four items, so the shop's rate is 8 / 32.
    jeans = (8 + 100 * 8 / 32) / (24 + 100)
    everybodys = (6 + 50 * jeans) / (8 + 50)
    assert p_cart(rows, "all", "a") == pytest.approx(everybodys, rel=1e-6)
    assert p_cart(rows, "women", "a") > p_cart(rows, "women", "b") > p_cart(rows, "women", "new")


def test_nothing_counted_scores_everything_alike() -> None:
    rows = scores([], ["women"])
    assert rows.height == 2 * ITEMS.height
    assert rows[c.SF_POS].n_unique() == 1


def test_sf_pos_is_linear_in_log_odds() -> None:
    rows = scores(EXAMINED, ["men", "women"])
    for p, sf_pos in rows.select(c.P_CART, c.SF_POS).iter_rows():
        assert sf_pos == pytest.approx((math.log(p / (1 - p)) + 16) / 20, abs=1e-6)


@settings(max_examples=60)
@given(
    st.dictionaries(
        st.tuples(st.sampled_from(["women", "men", "x"]), st.sampled_from(["a", "b", "new"])),
        st.tuples(st.integers(0, 10**10), st.integers(0, 5)),
    )
)
def test_sf_pos_rises_strictly_with_p_cart_and_ties_only_where_it_ties(
    found: dict[tuple[str, str], tuple[int, int]],
) -> None:
    rows = [(*key, 1, ppm, carts, carts, 0) for key, (ppm, carts) in found.items()]
    result = scores(rows, ["men", "women", "x"])
    assert result.equals(scores(rows[::-1], ["x", "women", "men"]))
    ranks = result.select(
        pl.col(c.P_CART).rank("dense").alias("p"), pl.col(c.SF_POS).rank("dense").alias("sf")
    )
    assert ranks["p"].equals(ranks["sf"])
    assert result[c.SF_POS].is_between(0, 1, closed="right").all()
