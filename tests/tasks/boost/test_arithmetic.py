from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks import columns as c
from tasks.boost.arithmetic import FACET_SUM, LEAST_SUM, ranked, scored
from tasks.boost.clauses import clauses, published_weights, weakened
from tasks.boost.guards import guarded
from tasks.lake.tables import FACET_WEIGHTS, USER_FACETS
from tasks.settings import Boost
from tests.rows import rows

FREE = Boost(max_share=0.9, min_overlap=0, top=2)


def shelf(*items: tuple[str, float, bool]) -> pl.DataFrame:
    table = pl.DataFrame(
        items,
        schema={c.ITEM_ID: pl.String, "base": pl.Float32, "is_stocked": pl.Boolean},
        orient="row",
    )
    return table.with_columns(pl.lit("q").alias("request"))


def facets(*pairs: tuple[str, str]) -> pl.DataFrame:
    schema = {c.ITEM_ID: pl.String, "facet": pl.String}
    return pl.DataFrame(pairs, schema=schema, orient="row")


def boosts(*pairs: tuple[str, float]) -> pl.DataFrame:
    table = pl.DataFrame(
        pairs, schema={"facet": pl.String, "boost": pl.Float64}, orient="row"
    ).with_row_index("place", 1)
    return table.with_columns(pl.lit("q").alias("request"))


def order(found: pl.DataFrame, by: str = "score") -> list[str]:
    return found.with_columns(ranked(found, by).alias("r")).sort("r")[c.ITEM_ID].to_list()


def preference(user: str, value: str, share: float, **other: str) -> dict[str, object]:
    told = {c.CATEGORY_GROUP: "shoes", c.ATTRIBUTE: "brand", **other}
    return {c.USER_ID: user, **told, c.VALUE: value, c.PREFERENCE: share}


def weight(value: float | None, **other: object) -> dict[str, object]:
    told = {"method": "within-listing", "published": value is not None, c.WEIGHT: value}
    return {**told, c.CATEGORY_GROUP: "shoes", c.ATTRIBUTE: "brand", **other}


def test_a_score_is_the_base_and_the_boosts_of_the_items_values() -> None:
    found = scored(
        shelf(("a", 0.5, True), ("b", 0.25, True)),
        facets(("a", "x"), ("a", "y"), ("b", "z")),
        boosts(("x", 0.125), ("y", 0.0625)),
        FREE,
    )
    assert found["score"].to_list() == [0.5 + 0.125 + 0.0625, 0.25]


def test_an_item_that_meets_no_clause_keeps_its_base_and_does_not_get_1() -> None:
    found = scored(shelf(("a", 0.3, True)), facets(), boosts(("x", 0.5)), FREE)
    assert found["score"].to_list() == [float(np.float32(0.3))]
    assert found[FACET_SUM].to_list() == [LEAST_SUM]


def test_scores_round_to_single_precision_so_that_near_ties_are_ties() -> None:
    # 0.5 + 2^-26 is 0.5 in single precision: a and b tie, and the smaller id comes first.
    found = scored(
        shelf(("b", 0.5, True), ("a", 0.5, True)), facets(("b", "x")), boosts(("x", 2.0**-26)), FREE
    )
    assert order(found) == ["a", "b"]


def test_ties_go_to_the_smaller_id_by_its_bytes() -> None:
    tied = shelf(*((name, 0.5, True) for name in ("i10", "i9", "é", "Z", "a")))
    assert order(tied, "base") == ["Z", "a", "i10", "i9", "é"]


def test_facets_are_at_most_their_share_of_a_score() -> None:
    options = Boost(max_share=0.2)
    found = scored(
        shelf(("a", 0.5, True), ("b", 0.5, True)),
        facets(("a", "x"), ("b", "y")),
        boosts(("x", 9.0), ("y", 0.1)),
        options,
    )
    # 0.2 of the score, 0.8 of it the base: 0.5 / 0.8.
    assert found["score"].to_list() == pytest.approx([0.625, 0.6])


@given(
    bases=st.lists(st.floats(0.0625, 1, width=32), min_size=1, max_size=8),
    sizes=st.lists(st.floats(0, 3), min_size=3, max_size=3),
    share=st.floats(0, 0.9),
)
def test_no_score_falls_below_its_base_nor_above_its_cap(
    bases: list[float], sizes: list[float], share: float
) -> None:
    items = [(f"i{n}", base, n % 2 == 0) for n, base in enumerate(bases)]
    described = [(f"i{n}", f"f{n % 3}") for n in range(len(bases))]
    clause = weakened(boosts(*((f"f{n}", size) for n, size in enumerate(sizes))), 1.0)
    found = scored(shelf(*items), facets(*described), clause, Boost(max_share=share))
    base, score = found["base"].to_numpy(), found["score"].to_numpy()
    assert (score >= base).all()
    assert (score[1::2] == base[1::2]).all()  # out of stock
    assert (score.astype(np.float64) <= base / (1 - share) * (1 + 1e-6)).all()


def test_an_item_out_of_stock_never_rises() -> None:
    stock = shelf(("a", 0.6, True), ("b", 0.5, False), ("c", 0.4, True), ("d", 0.3, False))
    described = facets(*((item, "x") for item in "bcd"))
    found = guarded(stock, described, boosts(("x", 0.3)), FREE).rows.sort("rank")
    assert found[c.ITEM_ID].to_list() == ["c", "a", "b", "d"]
    gone = found.filter(~pl.col("is_stocked"))
    assert (gone["rank"] >= gone["base_rank"]).all()


def test_a_clause_weighs_the_facets_weight_times_the_preference() -> None:
    preferences = rows(USER_FACETS, preference("u", "Nora", 0.75), preference("u", "Vela", 0.25))
    weights = published_weights(rows(FACET_WEIGHTS, weight(0.5)), FREE)
    found = clauses(preferences, weights, FREE)
    assert found.select("place", "facet", "boost").rows() == [
        (1, "shoes/brand/Nora", 0.375),
        (2, "shoes/brand/Vela", 0.125),
    ]


def test_unpublished_groups_contribute_nothing() -> None:
    preferences = rows(
        USER_FACETS,
        preference("u", "Nora", 1.0),
        preference("u", "red", 1.0, attribute="colour"),
        preference("u", "Nora", 1.0, category_group="home"),
    )
    table = rows(
        FACET_WEIGHTS,
        weight(0.5),
        weight(None, category_group="home"),
        weight(0.0, attribute="colour"),
        weight(9.0, method="logistic", category_group="home"),
    )
    found = clauses(preferences, published_weights(table, FREE), FREE)
    assert found["facet"].to_list() == ["shoes/brand/Nora"]


def test_the_heaviest_clauses_are_kept_and_no_more() -> None:
    preferences = rows(
        USER_FACETS,
        *(
            preference("u", name, share)
            for name, share in {"d": 0.4, "c": 0.3, "b": 0.15, "a": 0.15}.items()
        ),
        preference("v", "e", 0.1),
    )
    options = Boost(max_clauses=3)
    weights = published_weights(rows(FACET_WEIGHTS, weight(1.0)), options)
    found = clauses(preferences, weights, options)
    assert found.select(c.USER_ID, c.VALUE).rows() == [
        ("u", "d"), ("u", "c"), ("u", "a"), ("v", "e"),
    ]  # fmt: skip


def test_a_query_in_a_group_has_only_its_clauses() -> None:
    preferences = rows(
        USER_FACETS, preference("u", "x", 1.0), preference("u", "y", 1.0, category_group="home")
    )
    table = rows(FACET_WEIGHTS, weight(0.5), weight(0.5, category_group="home"))
    weights = published_weights(table, FREE)
    assert clauses(preferences, weights, FREE, "home")[c.VALUE].to_list() == ["y"]
    assert clauses(preferences, weights, FREE).height == 2


def test_a_value_with_a_slash_is_no_other_facet() -> None:
    preferences = rows(
        USER_FACETS,
        preference("u", "b/c", 1.0, attribute="a"),
        preference("u", "c", 1.0, attribute="a/b"),
        preference("u", "\\", 1.0, attribute="a"),
    )
    table = rows(FACET_WEIGHTS, *(weight(1.0, attribute=name) for name in ("a", "a/b")))
    found = clauses(preferences, published_weights(table, FREE), FREE)["facet"].to_list()
    assert found == ["shoes/a/\\\\", "shoes/a/b\\/c", "shoes/a\\/b/c"]


def test_a_boost_that_moves_the_top_too_far_is_halved_until_it_does_not() -> None:
    # Unboosted top: a, b. At full strength c and d (0.2 + 0.3) pass a (0.4); at half none does.
    items = shelf(("a", 0.4, True), ("b", 0.39, True), ("c", 0.2, True), ("d", 0.2, True))
    described = facets(("c", "x"), ("d", "x"))
    options = FREE.model_copy(update={"min_overlap": 0.5})
    found = guarded(items, described, boosts(("x", 0.3)), options)
    assert found.report.select("strength", "overlap", "full_overlap").rows() == [(0.5, 1.0, 0.0)]
    assert found.clauses["boost"].to_list() == [float(np.float32(0.15))]
    assert found.rows.sort("rank")[c.ITEM_ID].to_list() == ["a", "b", "c", "d"]


def test_a_boost_that_no_halving_makes_small_enough_is_dropped() -> None:
    items = shelf(("a", 0.25, True), ("b", 0.25, True), ("c", 0.249999, True))
    options = FREE.model_copy(update={"min_overlap": 1.0})
    found = guarded(items, facets(("c", "x")), boosts(("x", 0.3)), options)
    assert found.report.select("strength", "overlap", "full_overlap").rows() == [(0.0, 1.0, 0.5)]
    assert found.clauses.is_empty()


def test_requests_are_guarded_apart() -> None:
    near = shelf(("a", 0.4, True), ("b", 0.3, True), ("c", 0.2, True))
    items = pl.concat([near, near.with_columns(pl.lit("other").alias("request"))])
    clause = boosts(("x", 0.5))
    both = pl.concat([clause, clause.with_columns(pl.lit("other").alias("request"), boost=0.05)])
    options = Boost(max_share=0.9, top=1, min_overlap=1.0)
    found = guarded(items, facets(("c", "x")), both, options)
    assert found.report.select("request", "strength", "full_overlap").rows() == [
        ("other", 1.0, 1.0),
        ("q", 0.25, 0.0),
    ]
