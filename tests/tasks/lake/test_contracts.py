from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace

import polars as pl
import pytest

from tasks.errors import ContractViolation
from tasks.features.daily import DAILY
from tasks.lake.contracts import ACCEPTED, Column, Table, check_row_count, conform
from tasks.lake.ledger import DAYS
from tasks.lake.tables import EVENTS, TABLES
from tasks.settings import variables

SHELVES = Table(
    "shelves",
    "pure",
    {
        "shelf": Column(pl.String, values=("top", "low")),
        "slot": Column(pl.Int64, low=1, high=9),
        "share": Column(pl.Float64, nullable=True, low=0),
        "place": Column(pl.List(pl.Float32)),
    },
    ("shelf", "slot"),
    "nobody.writes",
    rows_to_median=(0.5, 3.0),
)


def rows(**changed: list[object]) -> pl.DataFrame:
    columns = (
        {"shelf": ["top", "low"], "slot": [2, 1], "share": [0.5, None]}
        | {"place": [[0.5, 1.0]] * 2}
        | changed
    )
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
        ({"place": [[0.5, 1.0], None]}, "place is never null"),
        ({"place": [[0.5, 1.0], [0.5, float("nan")]]}, "place holds finite numbers"),
        ({"place": [[0.5, 1.0], [float("inf"), 1.0]]}, "place holds finite numbers"),
        ({"place": [[0.5, 1.0], [None, 1.0]]}, "place holds finite numbers"),
        ({"place": [[0.5, 1.0], [0.5]]}, "place is as wide in every row"),
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


@pytest.mark.parametrize("table", [*TABLES.values(), DAYS], ids=lambda table: table.name)
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
    lookalike_scores threshold_cards audience_decisions audiences mailing_effects candidates
    candidate_metrics item_embeddings user_embeddings ranking_groups ranker_metrics gate_decisions
    alias_moves days"""
    ours = {"heldout_candidates", "ranking_days", "audience_exports", *(t.name for t in DAILY)}
    ours |= {"audience_profiles", "audience_overlaps", "heldout_ranks", "candidate_blend"}
    ours |= {"item_index"}
    assert set(TABLES) | {DAYS.name} == set(design.split()) | ours


@pytest.mark.parametrize(("rows", "broken"), [(49, True), (50, False), (300, False), (301, True)])
def test_a_day_far_from_the_usual_row_count_is_refused(rows: int, broken: bool) -> None:
    recent = [100, 99, 0, 100, 101, 5000]  # the median of the five that are not empty: 100
    with pytest.raises(ContractViolation) if broken else nullcontext() as raised:
        check_row_count(SHELVES, rows, recent)
    if raised:
        told = "'0.5 to 3 times the usual rows' broken: {} rows, the median of 5 recent days is 100"
        assert told.format(rows) in str(raised.value)


def test_an_empty_night_and_a_young_table_have_no_usual_row_count() -> None:
    check_row_count(SHELVES, 0, [100] * 7)
    check_row_count(SHELVES, 1, [100] * 4)
    check_row_count(replace(SHELVES, rows_to_median=None), 1, [100] * 7)


def test_the_way_past_the_row_count_is_a_setting() -> None:
    assert ACCEPTED.partition("=")[0] in variables()


def test_no_setting_asks_for_more_days_than_events_are_kept() -> None:
    most = {
        name: rule.le
        for name, field in variables().items()
        for rule in field.metadata
        if name.endswith("_DAYS") and "HALF_LIFE" not in name and hasattr(rule, "le")
    }
    assert most["VITRINA_FEATURES__SEQUENCE_DAYS"] <= EVENTS.keep_days
    assert {name for name, days in most.items() if days > EVENTS.keep_days} == set()
