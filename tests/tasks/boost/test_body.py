from __future__ import annotations

import polars as pl

from tasks.boost.body import base_query, body
from tasks.boost.request import Request
from tasks.settings import Boost

REQUEST = Request("w.new", ("red",), "boots", "shoes", "Riga")
CLAUSES = pl.DataFrame({"facet": ["shoes/brand/Nora", "shoes/brand/Vela"], "boost": [0.5, 0.25]})
NONE = CLAUSES.clear()


def test_a_cold_customer_gets_the_base_alone() -> None:
    asked = body(REQUEST, NONE, Boost(), 300)
    assert asked["query"] == base_query(REQUEST)
    assert asked["sort"] == [{"_score": "desc"}, {"item_id": "asc"}]
    assert asked["size"] == 300


def test_the_base_is_the_segments_field_and_the_filters_score_is_not_kept() -> None:
    assert base_query(REQUEST)["function_score"] == {
        "query": {
            "bool": {
                "filter": [
                    {"term": {"category": "boots"}},
                    {"term": {"category_group": "shoes"}},
                    {"term": {"words": "red"}},
                ]
            }
        },
        "boost_mode": "replace",
        "field_value_factor": {"field": "sf_pos.w~new", "factor": 1.0, "missing": 2.0**-20},
    }


def test_one_function_a_clause_in_order_after_the_one_that_always_matches() -> None:
    capped = body(REQUEST, CLAUSES, Boost(), 10)["query"]["function_score"]
    boosted = capped["query"]["function_score"]
    assert boosted["query"] == base_query(REQUEST)
    assert (boosted["score_mode"], boosted["boost_mode"]) == ("sum", "sum")
    first, *rest = boosted["functions"]
    assert list(first) == ["weight"]
    assert 0 < first["weight"] < 1e-20
    assert rest == [
        {"filter": {"term": {"facets": "shoes/brand/Nora"}}, "weight": 0.5},
        {"filter": {"term": {"facets": "shoes/brand/Vela"}}, "weight": 0.25},
    ]


def test_a_score_is_capped_by_a_multiple_of_the_base_and_by_the_base_out_of_stock() -> None:
    capped = body(REQUEST, CLAUSES, Boost(max_share=0.5), 10)["query"]["function_score"]
    assert (capped["score_mode"], capped["boost_mode"]) == ("first", "min")
    stocked, otherwise = capped["functions"]
    assert stocked["filter"] == {"terms": {"stocked": ["*", "Riga"]}}
    assert stocked["field_value_factor"]["factor"] == 2.0
    assert otherwise["field_value_factor"]["factor"] == 1.0


def test_without_a_city_any_stock_counts() -> None:
    capped = body(Request("all"), CLAUSES, Boost(), 10)["query"]["function_score"]
    assert capped["functions"][0]["filter"] == {"term": {"in_stock": True}}
