"""What the benchmark of discovery counts, worked by hand."""

from __future__ import annotations

from datetime import UTC, date, datetime

import polars as pl
import pytest

from tasks import columns as c
from tasks.candidates.evaluation import Split
from tasks.candidates.generator import Known, Requests
from tests.benchmarks.bench_discovery import (
    DISCOVERY,
    E_NDCG,
    e_ndcg,
    first_categories,
    front,
    gini,
)

RANKED = {c.USER_ID: pl.String, c.ITEM_ID: pl.String, c.RANK: pl.Int32}


def test_first_categories_are_those_entered_later_that_the_list_leads_to() -> None:
    items = pl.DataFrame({c.ITEM_ID: ["a", "b", "d", "e"], c.CATEGORY: ["x", "y", "z", "y"]})
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    past = pl.DataFrame({c.USER_ID: ["u", "v"], c.ITEM_ID: ["a", "b"], c.TS: [noon] * 2})
    users = past.select(c.USER_ID)
    split = Split(
        Known(date(2026, 3, 1), past, items, users), Requests(noon.date(), users, past), ()
    )
    # u enters y and z and is shown e of y, d too late; v enters nothing: e is in y, too.
    truth = pl.DataFrame({c.USER_ID: ["u", "u", "v"], c.ITEM_ID: ["b", "d", "e"]})
    lists = pl.DataFrame([("u", "e", 1), ("u", "d", 11)], schema=RANKED, orient="row")
    assert first_categories(lists, split, truth).rows() == [("u", 1 / 2)]


def test_expected_ndcg_is_over_the_best_of_the_catalogue_and_0_without_a_list() -> None:
    rows = [("u", "a", 0.4), ("u", "b", 0.2), ("v", "a", 0.3)]
    worth = pl.DataFrame(rows, schema=[c.USER_ID, c.ITEM_ID, "worth"], orient="row")
    lists = pl.DataFrame([("u", "b", 1)], schema=RANKED, orient="row")
    found = dict(e_ndcg(lists, worth).rows())
    assert found == {"u": pytest.approx(0.2 / (0.4 + 0.2 / 1.5849625)), "v": 0}


def test_the_front_holds_who_nobody_beats_in_both() -> None:
    # The third is below the second in everything.
    values = {"plain": (0.3, 1.0), "second": (0.2, 3.0), "third": (0.1, 2.0)}
    rows = [
        (name, "plain", metric, accuracy if metric == E_NDCG else discovery)
        for name, (accuracy, discovery) in values.items()
        for metric in (E_NDCG, *DISCOVERY)
    ]
    told = pl.DataFrame(rows, schema=["choice", "plain", "metric", "value"], orient="row")
    assert front(told).select("choice", "is_best").rows() == [
        ("plain", True),
        ("second", True),
        ("third", False),
    ]


def test_gini_is_0_for_equal_shares_and_near_1_for_one_item_alone() -> None:
    items = pl.DataFrame({c.ITEM_ID: ["a", "b", "d", "e"], c.IN_STOCK: [True] * 4})
    lists = pl.DataFrame({c.ITEM_ID: ["a", "b", "d", "e"]})
    assert gini(lists, items) == 0
    assert gini(lists.head(1), items) == 3 / 4
