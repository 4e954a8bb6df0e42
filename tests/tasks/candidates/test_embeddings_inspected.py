"""Embeddings looked at: neighbours, the map, and what they foretell beside plain counters."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from tasks import columns as c
from tasks.candidates.preference import auc, counters, intervals, labels, told_beside
from tasks.candidates.similar import map_picture, on_a_plane, similar
from tasks.errors import WrongCall

MADE = date(2026, 3, 1)
ITEMS = pl.DataFrame(
    {c.ITEM_ID: ["coat", "hat", "soap"], c.CATEGORY_GROUP: ["clothes", "clothes", "beauty"]}
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
    (axes,) = map_picture(plane, items, "sasrec").axes
    assert {text.get_text() for text in axes.get_legend().get_texts()} == {"x", "unknown"}


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
    assert labels(rows, ITEMS, MADE).rows() == [("u", "clothes"), ("v", "beauty")]


def test_counters_are_weights_by_group_and_counts_by_type_of_each_asked() -> None:
    rows = acts(("u", "soap", -1, 3), ("u", "coat", -2, 2), ("u", "hat", -2, 1), ("v", "hat", 0, 4))
    found = counters(rows, ITEMS, pl.Series(c.USER_ID, ["v", "x", "u"]))
    assert found.columns == ["beauty", "clothes", "view"]
    assert found.rows() == [(0, 4, 1), (0, 0, 0), (3, 3, 3)]


@given(st.lists(st.tuples(st.sampled_from([0.1, 0.2, 0.5, 0.9]), st.booleans()), min_size=2))
def test_the_auc_is_sklearn_s(rows: list[tuple[float, bool]]) -> None:
    told, truth = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    expected = roc_auc_score(truth, told) if 0 < truth.sum() < len(truth) else 0.5
    assert auc(told, truth) == pytest.approx(expected)


def test_the_interval_of_equal_predictions_has_no_difference() -> None:
    chance = np.random.default_rng(1)
    told, truth = chance.random(60), chance.random(60) < 0.5
    found = intervals(np.stack([told, told]), truth, 50, seed=2)
    assert found["difference"] == found["difference_low"] == found["difference_high"] == 0
    assert found["embeddings_low"] <= found["embeddings"] <= found["embeddings_high"]


def test_what_only_the_embeddings_know_shows_in_the_difference() -> None:
    chance = np.random.default_rng(5)
    vectors, noise = chance.normal(size=(300, 2)), chance.normal(size=(300, 2))
    preferred = pl.Series(np.where(vectors[:, 0] > 0, "shoes", "home"))
    preferred[0] = "beauty"
    found = told_beside(vectors, noise, preferred, 30, seed=1)
    row = found.filter(pl.col(c.CATEGORY_GROUP) == "shoes").to_dicts()[0]
    assert row["embeddings"] > 0.95
    assert row["counters_low"] < 0.5 < row["counters_high"]
    assert row["difference_low"] > 0.3
    rare = found.filter(pl.col(c.CATEGORY_GROUP) == "beauty").to_dicts()[0]
    assert (rare["users"], rare["embeddings"]) == (1, None)
