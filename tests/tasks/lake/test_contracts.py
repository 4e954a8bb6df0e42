from __future__ import annotations

import polars as pl
import pytest

from tasks.errors import ContractViolation
from tasks.lake.contracts import Column, Table, conform
from tasks.lake.tables import TABLES

SHELVES = Table(
    "shelves",
    "pure",
    {
        "shelf": Column(pl.String, values=("top", "low")),
        "slot": Column(pl.Int64, low=1, high=9),
        "share": Column(pl.Float64, nullable=True, low=0),
    },
    ("shelf", "slot"),
    "nobody.writes",
)


def rows(**changed: list[object]) -> pl.DataFrame:
    columns = {"shelf": ["top", "low"], "slot": [2, 1], "share": [0.5, None]} | changed
    return pl.DataFrame(columns, schema=SHELVES.schema)


def test_rows_that_keep_the_contract_come_back_sorted_by_key() -> None:
    assert conform(SHELVES, rows())["shelf"].to_list() == ["low", "top"]


@pytest.mark.parametrize(
    ("changed", "rule"),
    [
        ({"shelf": ["top", None]}, "shelf is never null"),
        ({"shelf": ["top", "middle"]}, "shelf is one of top, low"),
        ({"slot": [0, 1]}, "slot >= 1"),
        ({"slot": [10, 1]}, "slot <= 9"),
        ({"share": [float("nan"), None]}, "share is finite"),
        ({"share": [float("inf"), None]}, "share is finite"),
        ({"share": [-0.1, None]}, "share >= 0"),
    ],
)
def test_a_broken_rule_is_named_with_its_count_and_an_example(
    changed: dict[str, list[object]], rule: str
) -> None:
    with pytest.raises(ContractViolation) as raised:
        conform(SHELVES, rows(**changed))
    assert f"'{rule}' broken by 1 rows" in str(raised.value)
    assert "Examples: {'shelf'" in str(raised.value)


def test_a_repeated_key_is_a_breach_of_both_rows() -> None:
    with pytest.raises(ContractViolation, match="'one row per shelf, slot' broken by 2 rows"):
        conform(SHELVES, rows(shelf=["top", "top"], slot=[1, 1]))


@pytest.mark.parametrize(
    ("frame", "what"),
    [
        (rows().drop("slot"), "1 missing: slot"),
        (rows().with_columns(colour=pl.lit("red")), "1 unknown: colour"),
        (rows().cast({"slot": pl.String}), "slot is String, not Int64"),
        (rows().cast({"slot": pl.Float64}), "slot is Float64, not Int64"),
    ],
)
def test_other_columns_or_types_are_refused_even_when_castable(
    frame: pl.DataFrame, what: str
) -> None:
    with pytest.raises(ContractViolation, match=what):
        conform(SHELVES, frame)


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: table.name)
def test_every_contract_is_sound(table: Table) -> None:
    assert set(table.key) - {table.part} <= set(table.columns)
    assert not {"dt", table.part} & set(table.columns)
    assert not any(table.columns[name].nullable for name in table.key)
    assert conform(table, table.empty()).height == 0
    dag, _, step = table.written_by.partition(".")
    assert dag
    assert step or table.class_ == "historical"


def test_the_tables_of_the_design_are_all_declared() -> None:
    design = """events set_aside_events items item_attributes customers contacts item_features
    user_features user_item_features segment_item_features demand_lags user_sequences user_segments
    examination segment_scores data_checks user_facets facet_weights lookalike_features
    lookalike_scores threshold_cards candidates candidate_metrics item_embeddings user_embeddings
    ranking_groups ranker_metrics gate_decisions alias_moves"""
    assert set(design.split()) <= set(TABLES)
