"""Embeddings looked at: neighbours, maps, and what they foretell beside plain counters."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from tasks import columns as c
from tasks.candidates.preference import (
    auc,
    common,
    counters,
    labels,
    measures,
    resampled,
    tiered,
    told_beside,
)
from tasks.candidates.similar import map_picture, on_a_plane, similar
from tasks.errors import WrongCall

MADE = date(2026, 3, 1)
ITEMS = pl.DataFrame(
    {
        c.ITEM_ID: ["coat", "hat", "soap"],
        c.CATEGORY_GROUP: ["clothes", "clothes", "beauty"],
        c.PRICE_TIER: ["high", "low", None],
    }
)


def embeddings(**vectors: list[float]) -> pl.DataFrame:
    schema = {c.ITEM_ID: pl.String, c.EMBEDDING: pl.List(pl.Float32)}
    return pl.DataFrame(list(vectors.items()), schema=schema, orient="row")


def test_similar_items_point_the_same_way_whatever_their_length_and_bias() -> None:
    found = similar(
        embeddings(a=[1, 0, 9], b=[5, 0, -9], d=[1, 1, 0], e=[0, 2, 0], f=[0, 1, 5]), "a", 3
    )
    assert found[c.ITEM_ID].to_list() == ["b", "d", "e"]  # e and f are equally far
    assert found["similarity"].to_list() == pytest.approx([1, 0.5**0.5, 0])


def test_an_item_without_an_embedding_is_refused_by_name() -> None:
    with pytest.raises(WrongCall, match="z has no embedding; a has one"):
        similar(embeddings(a=[1, 0, 9]), "z", 3)


def test_the_map_keeps_alike_items_together_and_repeats_by_its_seed() -> None:
    chance = np.random.default_rng(3)
    two = {
        f"{group}{number}": [*(chance.normal(0, 0.05, 4) + np.eye(4)[place]), 0.0]
        for place, group in enumerate("xy")
        for number in range(15)
    }
    plane = on_a_plane(embeddings(**two), seed=1)
    assert plane.equals(on_a_plane(embeddings(**two), seed=1))
    x, y = (plane.filter(pl.col(c.ITEM_ID).str.starts_with(group)) for group in "xy")
    centres = [part.select(pl.mean("x", "y")).to_numpy()[0] for part in (x, y)]
    for part, centre, other in ((x, *centres), (y, *centres[::-1])):
        dots = part.select("x", "y").to_numpy()
        near = np.linalg.norm(dots - centre, axis=1) < np.linalg.norm(dots - other, axis=1)
        assert near.all()
    items = pl.DataFrame({c.ITEM_ID: list(two), c.CATEGORY_GROUP: ["x"] * 15 + [None] * 15})
    named = items.with_columns(pl.lit("all").alias(c.LIFECYCLE))
    picture = map_picture(plane, named, (c.CATEGORY_GROUP, c.LIFECYCLE), "sasrec")
    told = [{text.get_text() for text in ax.get_legend().get_texts()} for ax in picture.axes]
    assert told == [{"x", "unknown"}, {"all"}]
    assert [axes.get_title() for axes in picture.axes] == ["category group", "lifecycle"]


def test_users_are_mapped_by_their_own_id() -> None:
    people = embeddings(a=[1, 0, 1], b=[0, 1, 1], d=[1, 1, 1]).rename({c.ITEM_ID: c.USER_ID})
    assert on_a_plane(people, seed=1).columns == [c.USER_ID, "x", "y"]


def acts(*rows: tuple[str, str, int, int]) -> pl.DataFrame:
    """Views `user, item, days after the embeddings were made, weight`."""
    found = [
        (user, item, c.VIEW, datetime(2026, 3, 1, 9, tzinfo=UTC) + timedelta(days=days), weight)
        for user, item, days, weight in rows
    ]
    return pl.DataFrame(
        found, schema=[c.USER_ID, c.ITEM_ID, c.EVENT_TYPE, c.TS, c.WEIGHT], orient="row"
    )


def test_the_label_is_what_most_of_the_next_14_days_was_spent_on() -> None:
    rows = acts(
        ("u", "soap", 0, 9), ("u", "coat", 1, 2), ("u", "hat", 14, 2), ("u", "soap", 2, 3),
        ("u", "soap", 15, 9), ("v", "soap", 3, 1), ("v", "coat", 3, 1), ("w", "coat", 0, 1),
    )  # fmt: skip
    # u: clothes 2 + 2, beauty 3 within the days; v: equal, the first in the alphabet; w: nothing.
    found = labels(rows, ITEMS, MADE, c.CATEGORY_GROUP)
    assert found.rows() == [("u", "clothes"), ("v", "beauty")]
    # Of tiers u has high 2 and low 2, v high 1; soap has none.
    assert labels(rows, ITEMS, MADE, c.PRICE_TIER).rows() == [("u", "high"), ("v", "high")]


def test_a_tier_is_a_third_of_the_category_by_price() -> None:
    prices = [("a", 9), ("a", 1), ("a", 5), ("a", 5), ("a", None), ("b", 7), ("a", 8), ("a", 2)]
    items = pl.DataFrame(prices, schema=[c.CATEGORY, c.PRICE], orient="row")
    # a: 1 2 | 5 5 | 8 9, and one without a price; b: the only one is in the middle.
    tiers = ["high", "low", "middle", "middle", None, "middle", "high", "low"]
    assert tiered(items)[c.PRICE_TIER].to_list() == tiers


def test_counters_are_weights_by_group_and_counts_by_type_of_each_asked() -> None:
    rows = acts(("u", "soap", -1, 3), ("u", "coat", -2, 2), ("u", "hat", -2, 1), ("v", "hat", 0, 4))
    found = counters(rows, ITEMS, pl.Series(c.USER_ID, ["v", "x", "u"]))
    groups, tiers = ["beauty", "clothes"], ["high", "low"]
    names = [f"category_group={name}" for name in groups]
    names += ["event_type=view", *(f"price_tier={name}" for name in tiers)]
    assert found.columns == names
    assert found.rows() == [(0, 4, 1, 0, 4), (0, 0, 0, 0, 0), (3, 3, 3, 2, 1)]


@given(st.lists(st.tuples(st.sampled_from([0.1, 0.2, 0.5, 0.9]), st.booleans()), min_size=2))
def test_the_auc_is_sklearn_s(rows: list[tuple[float, bool]]) -> None:
    told, truth = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    expected = roc_auc_score(truth, told) if 0 < truth.sum() < len(truth) else 0.5
    assert auc(told, truth) == pytest.approx(expected)


def test_precision_and_recall_are_of_the_value_with_the_highest_probability() -> None:
    told = np.array([[[0.6, 0.4], [0.2, 0.3], [0.9, 0.1], [0.5, 0.4]]])
    # Named 0, 1, 0, 0; true 0, 1, 1 and one who prefers something rare.
    (found,) = measures(told, np.array([0, 1, 1, 2]))
    # Of 0: one of three named, and the only true one; its 0.6 is above 0.2 and 0.5, not 0.9.
    assert found[0] == pytest.approx([2 / 3, 1 / 3, 1])
    # Of 1: the one named is right, one of two; 0.3 is below both others, 0.1 too.
    assert found[1] == pytest.approx([0, 1, 1 / 2])


def test_who_most_likely_prefers_something_rare_is_named_no_common_value() -> None:
    # The last column is of all rare values: the second customer's highest.
    told = np.array([[[0.6, 0.1, 0.3], [0.4, 0.1, 0.5], [0.2, 0.7, 0.1]]])
    (found,) = measures(told, np.array([0, 2, 1]))
    assert found[0] == pytest.approx([1, 1, 1])


def test_the_first_row_is_of_all_and_both_sides_have_the_same_draws() -> None:
    chance = np.random.default_rng(1)
    told, truth = chance.random((60, 2)), chance.integers(0, 2, 60)
    found = resampled(np.stack([told, told]), truth, 50, seed=2)
    assert found.shape == (51, 2, 2, 3)
    assert np.array_equal(found[:, 0], found[:, 1])
    assert np.array_equal(found[0, 0], measures(told[None], truth)[0])


def test_values_that_few_prefer_are_told_of_no_more() -> None:
    values, places = common(pl.Series("of", ["b"] * 30 + ["a"] * 40 + ["c"] * 29))
    assert values == ["a", "b"]
    assert places.tolist() == [1] * 30 + [0] * 40 + [2] * 29
    assert common(pl.Series("of", ["a"] * 90 + ["b"] * 29))[0] == []


def test_what_only_the_embeddings_know_shows_in_the_difference() -> None:
    chance = np.random.default_rng(5)
    vectors, noise = chance.normal(size=(300, 2)), chance.normal(size=(300, 2))
    preferred = pl.Series(np.where(vectors[:, 0] > 0, "shoes", "home"))
    preferred[0] = "beauty"
    found = told_beside({"embeddings": vectors, "counters": noise}, preferred, 30, seed=1)
    assert found["preferred"].unique().sort().to_list() == ["home", "shoes"]
    auc_of = {
        row["by"]: row
        for row in found.filter(preferred="shoes", metric="auc").iter_rows(named=True)
    }
    assert auc_of["embeddings"][c.VALUE] > 0.95
    assert auc_of["counters"][c.HIGH] < 0.6
    assert auc_of["difference"][c.LOW] > 0.3
    precision = found.filter(preferred="shoes", metric="precision", by="embeddings")
    assert precision[c.VALUE].item() > 0.9


def test_of_a_preference_that_all_share_nothing_is_told() -> None:
    everybody, same = np.zeros((40, 2)), pl.Series(["shoes"] * 40)
    found = told_beside({"embeddings": everybody, "counters": everybody}, same, 5, seed=1)
    assert found.is_empty()
