"""The query body: what a search engine is asked.

Two traps are gone round. Where no function matches, the engine takes their sum as 1 and not 0: the
first function always matches and adds 1e-30. A base that only filters scores 0, which `min` and
`multiply` would keep: the base is the segment's field, put in place of the filter's score.
"""

from __future__ import annotations

from typing import Any

import polars as pl

from tasks import columns as c
from tasks.boost.arithmetic import LEAST_SUM, share_factor
from tasks.boost.clauses import BOOST, FACET
from tasks.boost.documents import EVERYWHERE, FACETS, STOCKED, UNSCORED, WORDS, base_field
from tasks.boost.request import Request
from tasks.settings import Boost

Body = dict[str, Any]


def body(request: Request, clauses: pl.DataFrame, options: Boost, size: int) -> Body:
    """Return the body that asks for a request's first `size` items.

    Args:
        request: what is asked for.
        clauses: `facet, boost` in the order they are added up; none leaves the base alone.
        options: the cap on the facets' share.
        size: how many items.
    """
    query = base_query(request)
    if clauses.height:
        query = _capped(_boosted(query, clauses), request, options)
    # Equal scores stand as `arithmetic` has them; without this by their place in the index.
    order = [{"_score": "desc"}, {c.ITEM_ID: "asc"}]
    return {
        "size": size,
        "query": query,
        "sort": order,
        "_source": False,
        "track_total_hits": False,
    }


def base_query(request: Request) -> Body:
    """Return the query that matches the request and scores the segment's base."""
    asked = {c.CATEGORY: request.category, c.CATEGORY_GROUP: request.category_group}
    terms = [(name, value) for name, value in asked.items() if value is not None]
    terms += [(WORDS, word) for word in request.words]
    return _function_score(
        {"bool": {"filter": [{"term": {name: value}} for name, value in terms]}},
        boost_mode="replace",
        field_value_factor=_base(request),
    )


def _base(request: Request, factor: float = 1.0) -> Body:
    field = base_field(request.segment)
    return {"field": field, "factor": factor, "missing": UNSCORED}


def _boosted(query: Body, clauses: pl.DataFrame) -> Body:
    found = [
        {"filter": {"term": {FACETS: facet}}, "weight": boost}
        for facet, boost in clauses.select(FACET, BOOST).iter_rows()
    ]
    return _function_score(
        query, functions=[{"weight": LEAST_SUM}, *found], score_mode="sum", boost_mode="sum"
    )


def _capped(query: Body, request: Request, options: Boost) -> Body:
    """Return the query whose score is at most a multiple of the base; out of stock, the base."""
    most = _base(request, share_factor(options))
    functions = [
        {"filter": _is_stocked(request.city), "field_value_factor": most},
        {"field_value_factor": _base(request)},
    ]
    return _function_score(query, functions=functions, score_mode="first", boost_mode="min")


def _is_stocked(city: str | None) -> Body:
    if city is None:
        return {"term": {c.IN_STOCK: True}}
    return {"terms": {STOCKED: [EVERYWHERE, city]}}


def _function_score(query: Body, **words: object) -> Body:
    return {"function_score": {"query": query, **words}}
