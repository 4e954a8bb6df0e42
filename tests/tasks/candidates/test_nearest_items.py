"""The index over items: products as distances, ties, recall, and what it refuses."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks import columns as c
from tasks.candidates.nearest import as_row, built, lifted, measured, recall, restored
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
