from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from tasks import columns as c
from tasks.facets.design import design_of, sorted_rows
from tasks.facets.picture import weights_figure
from tasks.facets.stability import steadiness
from tasks.facets.weights import METHODS, facet_weights
from tasks.lake.contracts import conform
from tasks.lake.tables import FACET_WEIGHTS
from tasks.settings import Facets

OPTIONS = Facets(bootstraps=100)
ATTRIBUTES = pl.DataFrame({c.CATEGORY_GROUP: "shoes", c.ATTRIBUTE: ["brand", "colour", "rare"]})
LOVE_OF_BRAND, SCORE = 1.5, 3.0


def shown(
    customers: int = 250, score: float = SCORE, seed: int = 2
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Listings of ten items: brand counts, colour does not, few customers have a rare attribute."""
    generator = np.random.default_rng(seed)
    rows = customers * 4 * 10
    place = np.arange(rows)
    position, user = place % 10, place // 40
    x = generator.random((rows, 2)) * (generator.random((rows, 2)) < 0.5)
    sf_pos = generator.random(rows)
    examined = 1 / (1 + 0.3 * position)
    odds = -4.5 + LOVE_OF_BRAND * x[:, 0] + score * sf_pos
    carted = generator.random(rows) < examined / (1 + np.exp(-odds))
    frame = pl.DataFrame(
        {
            c.LISTING_ID: [f"l{number:05d}" for number in place // 10],
            c.ITEM_ID: [f"i{number:02d}" for number in position],
            c.USER_ID: [f"u{number:04d}" for number in user],
            c.CATEGORY_GROUP: "shoes",
            "is_carted": carted,
            "is_sampled": True,
            c.P_EXAMINED: examined,
            c.SF_POS: sf_pos,
            "place": place,
        }
    )
    frame = frame.with_columns(is_choice=pl.col("is_carted").any().over(c.LISTING_ID))
    ordered = sorted_rows(frame, OPTIONS.blocks)
    places = ordered["place"].to_numpy()
    rare = np.where((user < 4) & carted, 1.0, 0.0)
    values = {"brand": x[:, 0], "colour": x[:, 1], "rare": rare}
    cells = [
        ordered.select("row_id").with_columns(
            pl.lit(name).alias(c.ATTRIBUTE),
            pl.Series("picos", (known[places] * 1e12).astype(np.int64)),
        )
        for name, known in values.items()
    ]
    return ordered, pl.concat(cells).filter(pl.col("picos") > 0)


def fitted(rows: pl.DataFrame, features: pl.DataFrame, **changes: object) -> pl.DataFrame:
    return facet_weights(
        rows, features, ATTRIBUTES, OPTIONS.model_copy(update=changes), "listings", seed=4
    )


def row(weights: pl.DataFrame, method: str, attribute: str) -> dict[str, object]:
    kept = weights.filter(pl.col("method") == method, pl.col(c.ATTRIBUTE) == attribute)
    return kept.row(0, named=True)


@pytest.fixture(scope="module")
def weights() -> pl.DataFrame:
    return fitted(*shown())


@pytest.mark.parametrize("method", [method.name for method in METHODS])
class TestPlanted:
    def test_what_counts_is_found_and_what_does_not_covers_zero(
        self, weights: pl.DataFrame, method: str
    ) -> None:
        brand, colour = row(weights, method, "brand"), row(weights, method, "colour")
        assert brand["low"] > 0.5
        assert colour["low"] < 0 < colour["high"]

    def test_a_weight_is_the_coefficient_in_units_of_the_score(
        self, weights: pl.DataFrame, method: str
    ) -> None:
        brand, colour = row(weights, method, "brand"), row(weights, method, "colour")
        assert brand["weight"] == pytest.approx(brand["coefficient"] / brand["sf_coefficient"])
        assert colour["weight"] == max(0, colour["coefficient"]) / colour["sf_coefficient"]
        assert brand["weight_low"] < brand["weight"] < brand["weight_high"]
        assert brand["published"]

    def test_an_attribute_of_a_handful_of_customers_is_not_fitted(
        self, weights: pl.DataFrame, method: str
    ) -> None:
        rare = row(weights, method, "rare")
        assert rare["coefficient"] is None
        assert not rare["published"]
        assert "too few customers" in str(rare["reason"])

    def test_without_an_effect_of_the_score_nothing_is_published(self, method: str) -> None:
        unscaled = row(fitted(*shown(score=0.0)), method, "brand")
        assert not unscaled["published"]
        assert unscaled["weight"] is None
        assert unscaled["coefficient"] is not None
        assert "reaches 0" in str(unscaled["reason"])

    def test_too_few_carts_are_said(self, method: str) -> None:
        few = row(fitted(*shown(customers=4)), method, "brand")
        assert few["reason"] == "fewer than 50 carts to learn from"

    def test_nothing_shown_is_said(self, method: str) -> None:
        rows, features = shown(customers=4)
        nothing = row(fitted(rows.clear(), features.clear()), method, "brand")
        assert "nothing was shown" in str(nothing["reason"])
        assert nothing["rows"] == 0

    def test_without_impressions_nothing_bought_is_said(self, method: str) -> None:
        rows, features = (frame.clear() for frame in shown(customers=4))
        found = facet_weights(rows, features, ATTRIBUTES, OPTIONS, "purchases", seed=4)
        assert row(found, method, "brand")["reason"] == {
            "logistic": "nothing was bought on days whose day before has preferences and scores",
            "within-listing": "no impressions: what was examined is not known",
        }.get(method)


def test_within_listings_the_planted_size_is_found(weights: pl.DataFrame) -> None:
    # Position is the listing's own business there; the logistic method mixes it in and shrinks.
    brand = row(weights, "within-listing", "brand")
    assert brand["low"] < LOVE_OF_BRAND < brand["high"]
    assert brand["sf_low"] < SCORE < brand["sf_high"]


def test_weights_meet_their_contract_and_repeat_to_the_bit(weights: pl.DataFrame) -> None:
    once = conform(FACET_WEIGHTS, weights)
    assert once.height == len(METHODS) * ATTRIBUTES.height
    assert once.equals(conform(FACET_WEIGHTS, fitted(*shown())))


def test_the_order_of_the_rows_does_not_matter(weights: pl.DataFrame) -> None:
    rows, features = shown()
    shuffled = rows.drop("row_id", "block").sample(fraction=1, shuffle=True, seed=1)
    again = sorted_rows(shuffled, OPTIONS.blocks)
    assert again.equals(rows.select(again.columns))
    assert conform(FACET_WEIGHTS, fitted(again, features)).equals(conform(FACET_WEIGHTS, weights))


def test_without_impressions_the_source_is_said_and_examination_not_made_up() -> None:
    rows, features = shown()
    purchases = rows.with_columns(pl.lit(None, pl.Float64).alias(c.P_EXAMINED), is_choice=False)
    weights = facet_weights(purchases, features, ATTRIBUTES, OPTIONS, "purchases", seed=4)
    assert "no impressions" in str(row(weights, "logistic", "brand")["reason"])
    within = row(weights, "within-listing", "brand")
    assert not within["published"]
    assert within["coefficient"] is None


def test_rows_without_a_score_are_left_out() -> None:
    rows, features = shown()
    unscored = rows.with_columns(pl.lit(None, pl.Float64).alias(c.SF_POS))
    assert row(fitted(unscored, features), "logistic", "brand")["rows"] == 0


def test_published_weights_are_drawn(weights: pl.DataFrame) -> None:
    assert weights_figure(weights, "logistic") is not None
    assert weights_figure(weights.with_columns(published=False), "logistic") is None


def test_steadiness_is_the_rank_correlation_of_what_both_days_publish() -> None:
    def day(**weights: float | None) -> pl.DataFrame:
        return pl.DataFrame(
            {
                "method": "logistic",
                c.CATEGORY_GROUP: "shoes",
                c.ATTRIBUTE: list(weights),
                c.WEIGHT: list(weights.values()),
            },
            schema_overrides={c.WEIGHT: pl.Float64},
        ).with_columns(pl.col(c.WEIGHT).is_not_null().alias("published"))

    before = day(brand=3.0, colour=2.0, size=1.0, sole=None)
    # Ranks 3 2 1 against 3 1 2: 1 - 6 * (0 + 1 + 1) / (3 * 8) = 0.5.
    after = day(brand=9.0, colour=1.0, size=2.0, sole=5.0)
    assert steadiness(before, after) == pytest.approx({"logistic": 0.5})
    assert steadiness(before, day(brand=1.0, colour=2.0)) == {}
    assert steadiness(before.clear(), after) == {}


def test_an_item_of_two_values_is_worth_what_the_engine_adds_for_both() -> None:
    # A customer who prefers red by 0.5 and blue by 0.25: a red and blue item gets 0.75.
    rows, _ = shown(customers=1)
    cells = pl.DataFrame(
        {"row_id": rows["row_id"][:2], c.ATTRIBUTE: "colour", "picos": [750 * 10**9, 500 * 10**9]}
    )
    design = design_of(rows, cells, with_score=False)
    assert design.x[:3, 0].tolist() == [0.75, 0.5, 0.0]
