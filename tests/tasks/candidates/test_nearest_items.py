"""The index over items: products as distances, ties, recall, and what it refuses."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks import columns as c
from tasks.candidates.nearest import (
    Points,
    as_row,
    built,
    empty_graph,
    exactly_highest,
    lifted,
    measured,
    recall,
    restored,
)
from tasks.errors import ContractViolation
from tasks.lake.contracts import conform
from tasks.lake.tables import ITEM_INDEX


def embeddings(rows: object, of: str = c.ITEM_ID) -> pl.DataFrame:
    vectors = np.asarray(rows, dtype=np.float32)
    ids = [f"{of[0]}{number:04d}" for number in range(len(vectors))]
    schema = {of: pl.String, c.EMBEDDING: pl.List(pl.Float32)}
    return pl.DataFrame({of: ids, c.EMBEDDING: vectors.tolist()}, schema=schema)


def test_the_highest_product_wins_not_the_nearest_direction() -> None:
    # For (1, 0, 1): 1 + 0, 3 - 1, 0 + 5, 2 + 0, and the fifth ties with the second.
    items = embeddings([[1, 0, 0], [3, 0, -1], [0, 1, 5], [2, -2, 0], [2, 0, 0]])
    places, scores = built(items).highest(np.array([[1, 0, 1]], dtype=np.float32), 4)
    assert places.tolist() == [[2, 1, 3, 4]]
    assert scores.tolist() == [[5, 2, 2, 2]]


def test_more_than_there_are_gives_all_of_them() -> None:
    asked = np.array([[1, 1], [-1, 1]], dtype=np.float32)
    places, _ = built(embeddings([[1, 0], [2, 0]])).highest(asked, 100)
    assert places.tolist() == [[1, 0], [0, 1]]


@given(st.lists(st.tuples(*[st.floats(-9, 9, width=32)] * 3), min_size=1, max_size=8))
def test_lifted_points_are_all_as_long_as_the_longest_vector(
    rows: list[tuple[float, ...]],
) -> None:
    vectors = np.array(rows, dtype=np.float32)
    lengths = np.linalg.norm(lifted(vectors).astype(np.float64), axis=1)
    assert lengths == pytest.approx(np.linalg.norm(vectors, axis=1).max(), rel=1e-5, abs=1e-4)


def test_recall_is_the_share_of_the_exact_rows_that_were_found() -> None:
    found, exact = np.array([[1, 2], [3, 4]]), np.array([[2, 1], [3, 5]])
    assert recall(found, exact) == 0.75


def test_most_of_a_thousand_items_are_found_though_biases_outweigh_tastes() -> None:
    chance = np.random.default_rng(4)
    items = np.hstack([chance.normal(size=(1000, 8)), chance.normal(0, 4, size=(1000, 1))])
    users = np.hstack([chance.normal(size=(50, 8)), np.ones((50, 1))])
    row, figures = measured(embeddings(items), embeddings(users, c.USER_ID), seed=1)
    assert figures["recall_at_10"] > 0.98
    assert figures["recall_at_100"] > 0.95
    assert conform(ITEM_INDEX, row)["items"].to_list() == [1000]


def test_items_of_equal_vectors_are_one_point_that_names_the_smallest_of_them() -> None:
    # For (1, 1): 3, 2, 3, 1, 2, 3, and the last, of another vector, 2 as well.
    items = embeddings([[2, 1], [1, 1], [2, 1], [0, 1], [1, 1], [2, 1], [2, 0]])
    index = built(items)
    assert len(index.graph) == 4
    asked = np.array([[1, 1], [-1, 1]], dtype=np.float32)
    for k, first, second in (
        (2, [0, 2], [3, 1]),
        (4, [0, 2, 5, 1], [3, 1, 4, 0]),
        (6, [0, 2, 5, 1, 4, 6], [3, 1, 4, 0, 2, 5]),
        (99, [0, 2, 5, 1, 4, 6, 3], [3, 1, 4, 0, 2, 5, 6]),
    ):
        places, scores = index.highest(asked, k)
        assert places.tolist() == [first, second]
        assert scores[0].tolist() == [[3, 2, 3, 1, 2, 3, 2][place] for place in first]


@given(
    st.lists(st.tuples(*[st.sampled_from([-1.0, 0.0, 2.0])] * 2), min_size=1, max_size=30),
    st.integers(1, 30),
)
def test_of_small_catalogues_the_index_names_what_exact_lists_name(
    rows: list[tuple[float, ...]], k: int
) -> None:
    index, asked = built(embeddings(rows)), np.array([[1, 4], [4, 1]], dtype=np.float32)
    found, _ = index.highest(asked, k)
    exact, _ = exactly_highest(np.array(rows, dtype=np.float32), asked, k)
    assert found.tolist() == exact.tolist()


def test_two_thousand_new_items_of_a_few_contents_cost_no_recall() -> None:
    chance = np.random.default_rng(4)
    contents = chance.normal(size=(4, 9))
    touched = chance.normal(size=(500, 9))
    new = contents[chance.integers(4, size=2000)]
    items = chance.permutation(np.vstack([touched, new]))
    users = np.hstack([chance.normal(size=(50, 8)), np.ones((50, 1))])
    _, figures = measured(embeddings(items), embeddings(users, c.USER_ID), seed=1)
    assert figures["recall_at_10"] > 0.99
    assert figures["recall_at_100"] > 0.99


def test_an_index_with_a_point_for_each_of_some_equal_vectors_is_refused() -> None:
    items = embeddings([[1, 0], [3, 1], [1, 0]])
    old = empty_graph(3)
    old.add(np.arange(3), np.zeros((3, 3), dtype=np.float32), threads=1)
    row = as_row(built(items)).with_columns(pl.lit(bytes(old.save())).alias("graph"))
    with pytest.raises(ContractViolation, match="3 points, these 3 embeddings have 2 distinct"):
        restored(row, items)


def test_points_are_in_the_order_of_their_first_items() -> None:
    points = Points.of(np.array([[5, 0], [1, 0], [5, 0], [0, 1], [1, 0]], dtype=np.float32))
    assert points.vectors.tolist() == [[5, 0], [1, 0], [0, 1]]
    assert points.number.tolist() == [0, 1, 0, 2, 1]
    assert points.rows.tolist() == [0, 2, 1, 4, 3]
    assert (points.starts.tolist(), points.sizes.tolist()) == ([0, 2, 4], [2, 2, 1])


def test_without_embeddings_there_is_no_index() -> None:
    nobody = embeddings(np.zeros((0, 3)), c.USER_ID)
    row, figures = measured(embeddings([[1, 2, 3]]), nobody, seed=1)
    assert row.equals(ITEM_INDEX.empty())
    assert figures == {}


def test_one_changed_number_makes_an_index_that_of_other_embeddings() -> None:
    row = as_row(built(embeddings([[1, 0, 2], [3, 1, 0]])))
    told = "built from 2 other embeddings of width 3 than these 2"
    with pytest.raises(ContractViolation, match=told):
        restored(row, embeddings([[1, 0, 2], [3, 1, 1]]))
