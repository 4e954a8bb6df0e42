from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from tasks import columns as c
from tasks.boost.documents import UNSCORED, documents, words
from tasks.boost.request import Request, candidates
from tasks.errors import ContractViolation
from tasks.lake.tables import ITEM_ATTRIBUTES, ITEMS, SEGMENT_SCORES
from tests.rows import rows


def item(name: str, **other: object) -> dict[str, object]:
    shown = {c.CATEGORY_GROUP: "shoes", c.CATEGORY: "boots", c.IN_STOCK: True}
    return {c.ITEM_ID: name, **shown, **other}


def attribute(name: str, kind: str, value: str) -> dict[str, object]:
    return {c.ITEM_ID: name, c.ATTRIBUTE: kind, c.VALUE: value}


def score(segment: str, name: str, value: float) -> dict[str, object]:
    return {c.SEGMENT: segment, c.ITEM_ID: name, c.SF_POS: value}


def indexed(
    items: list[dict[str, object]],
    attributes: list[dict[str, object]] | None = None,
    scores: list[dict[str, object]] | None = None,
) -> pl.DataFrame:
    return documents(
        rows(ITEMS, *items),
        rows(ITEM_ATTRIBUTES, *(attributes or [])),
        rows(SEGMENT_SCORES, *(scores or [])),
    )


def matching(table: pl.DataFrame, **asked: object) -> list[str]:
    return candidates(table, Request("all", **asked))[c.ITEM_ID].to_list()  # type: ignore[arg-type]


def test_a_segment_without_a_score_of_an_item_has_that_of_all() -> None:
    scores = [score("all", "a", 0.5), score("all", "b", 0.25), score("w.new", "a", 0.75)]
    table = indexed([item("b"), item("a"), item("c")], scores=scores)
    assert table.select(c.ITEM_ID, "sf_pos.w~new", "sf_pos.all").rows() == [
        ("a", 0.75, 0.5),
        ("b", 0.25, 0.25),
        ("c", UNSCORED, UNSCORED),
    ]
    assert table.schema["sf_pos.w~new"] == pl.Float32


def test_two_segments_that_would_share_a_field_are_refused() -> None:
    with pytest.raises(ContractViolation, match="share a field"):
        indexed([item("a")], scores=[score("w.new", "a", 0.5), score("w~new", "a", 0.5)])


def test_an_items_facets_are_those_of_its_group() -> None:
    told = [attribute("a", "colour", "red"), attribute("a", "colour", "blue")]
    table = indexed([item("a"), item("b")], told)
    assert table["facets"].to_list() == [["shoes/colour/blue", "shoes/colour/red"], []]


def test_a_query_matches_items_that_have_all_its_words_in_whatever_case() -> None:
    told = [attribute("a", "colour", "dark red"), attribute("b", "brand", "Red-Nose")]
    table = indexed([item("a"), item("b"), item("c")], told)
    assert matching(table, words=words("RED boots")) == ["a", "b"]
    assert matching(table, words=words("dark, red")) == ["a"]
    assert matching(table, words=words("redd")) == []
    assert matching(table, words=words("  ")) == ["a", "b", "c"]


def test_a_search_keeps_to_its_category_and_group() -> None:
    table = indexed([item("a"), item("b", category="heels"), item("c", category_group="home")])
    assert matching(table, category="boots") == ["a", "c"]
    assert matching(table, category_group="shoes") == ["a", "b"]
    assert matching(table, category="boots", category_group="shoes") == ["a"]


def test_stock_is_that_of_the_customers_city() -> None:
    there = [
        item("everywhere", stock_cities=None),
        item("two", stock_cities="Riga|Bern"),
        item("nowhere", stock_cities=""),
        item("gone", in_stock=False, stock_cities=None),
    ]
    table = indexed(there)

    def stocked(city: str | None) -> set[str]:
        found = candidates(table, Request("all", city=city)).filter("is_stocked")
        return set(found[c.ITEM_ID])

    assert stocked("Bern") == {"everywhere", "two"}
    assert stocked("Oslo") == {"everywhere"}
    assert stocked(None) == {"everywhere", "two", "nowhere"}


def test_the_base_is_the_segments_score_in_single_precision() -> None:
    table = indexed([item("a")], scores=[score("all", "a", 0.1), score("m.new", "a", 0.3)])
    found = candidates(table, Request("m.new"))
    assert found["base"].to_list() == [float(np.float32(0.3))]
