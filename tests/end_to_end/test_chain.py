"""The whole chain over a simulated shop: every table, again, out of order, late, superseded."""

from __future__ import annotations

import random
from datetime import date, timedelta
from pathlib import Path
from shutil import copytree

import pytest

from tasks.lake.lake import Lake
from tasks.lake.tables import (
    CANDIDATES,
    DATA_CHECKS,
    EVENTS,
    GATE_DECISIONS,
    RANKING_GROUPS,
    SET_ASIDE_EVENTS,
    TABLES,
)
from tasks.score_lookalikes import write_features
from tasks.settings import Settings
from tasks.status import dag_of
from tasks.steps import CHAIN, run_dag
from tests.conftest import SHOP_DAYS, SHOP_FIRST_DAY, run_chain

DAYS = [SHOP_FIRST_DAY + timedelta(days=number) for number in range(SHOP_DAYS)]
LAST = DAYS[-1]
# Eleven days reach no training anchor of a look-alike; its own tests cover the scores.
LOOKALIKES = {"lookalike_scores", "audience_profiles", "audience_overlaps"}
SOMETIMES_EMPTY = {"contacts", "set_aside_events", "alias_moves", *LOOKALIKES}


def hashes(settings: Settings, class_: str, days: list[date]) -> dict[tuple[str, date, str], str]:
    ledger = Lake(settings).ledger
    return {
        (table.name, day, part): record.row_hash
        for table in TABLES.values()
        if table.class_ == class_
        for (day, part), record in ledger.written(table).items()
        if day in days
    }


def test_every_table_of_the_chain_has_rows(loaded: Settings) -> None:
    lake = Lake(loaded)
    rows = {
        table.name: sum(record.rows for record in lake.ledger.written(table).values())
        for table in TABLES.values()
        if dag_of(table) in CHAIN
    }
    empty = {name for name, count in rows.items() if not count} - SOMETIMES_EMPTY
    assert not empty


def test_a_second_pass_over_the_last_day_without_the_truth_gives_equal_hashes(
    shop: Path, loaded_copy: Settings
) -> None:
    before = {kind: hashes(loaded_copy, kind, [LAST]) for kind in ("pure", "fitted")}
    assert (shop.parent / "truth").exists()
    landing = copytree(shop, loaded_copy.home / "landing")
    run_chain(LAST, loaded_copy.model_copy(update={"landing_folder": landing}))
    for kind, known in before.items():
        assert known
        assert hashes(loaded_copy, kind, [LAST]) == known
    versions = Lake(loaded_copy).ledger.written(RANKING_GROUPS)[(LAST, "")].version
    assert versions == 2


def test_pure_tables_do_not_depend_on_the_order_of_the_days(
    loaded_copy: Settings, shop: Path, tmp_path: Path
) -> None:
    home = tmp_path / "shuffled"
    settings = Settings(home=home, landing_folder=shop, mlflow_url="", min_free_gb=0)
    days = DAYS[:5]
    shuffled = random.Random(5)
    for step in ("ingest", "count_interactions", "rank_segments"):
        for day in shuffled.sample(days, len(days)):
            run_dag("build_features", day, settings, step)
    for day in shuffled.sample(days, len(days)):
        run_dag("compute_facet_weights", day, settings, "write_user_facets")
        write_features(day, settings)
    for day in days:  # days that do not train write none by themselves
        write_features(day, loaded_copy)
    known = hashes(loaded_copy, "pure", days)
    assert {name for name, _, _ in known} == {t.name for t in TABLES.values() if t.class_ == "pure"}
    assert hashes(settings, "pure", days) == known


def test_duplicates_count_once_and_bots_are_set_aside(loaded: Settings) -> None:
    lake = Lake(loaded)
    kept = lake.read_window(EVENTS, LAST, SHOP_DAYS)
    aside = lake.read_window(SET_ASIDE_EVENTS, LAST, SHOP_DAYS)
    assert kept["event_id"].is_duplicated().sum() == 0
    assert not set(kept["event_id"]) & set(aside["event_id"])
    counted = lake.read_window(DATA_CHECKS, LAST, SHOP_DAYS).filter(verdict="counted")
    assert counted.filter(check="duplicates")["value"].sum() > 0
    assert counted.filter(check="late")["value"].sum() > 0


def test_only_the_last_day_trains_and_the_others_say_what_does(loaded: Settings) -> None:
    records = Lake(loaded).ledger.current(RANKING_GROUPS)
    assert records[(LAST, "")].status == "written"
    superseded = [records[(day, "")] for day in DAYS[:-1]]
    assert {record.status for record in superseded} == {"superseded"}
    assert {record.superseded_by for record in superseded} == {LAST}


def test_candidates_also_train_one_day_in_seven(loaded: Settings) -> None:
    trained = {day for day, _ in Lake(loaded).ledger.written(CANDIDATES)}
    assert trained == {date(2026, 3, 5), date(2026, 3, 12)}


def test_a_forced_day_trains(loaded_copy: Settings) -> None:
    day = LAST - timedelta(days=1)
    training = loaded_copy.training.model_copy(update={"force": True})
    forced = loaded_copy.model_copy(update={"training": training})
    run_dag("retrain_ranker", day, forced, "build_groups")
    assert Lake(forced).read_day(RANKING_GROUPS, day).height > 0


def test_the_gate_decided_with_its_reasons_recorded(loaded: Settings) -> None:
    decision = Lake(loaded).read_day(GATE_DECISIONS, LAST).row(0, named=True)
    assert decision["decision"] in ("pass", "refused", "undecided", "too good")
    assert decision["reason"]
    assert decision["trained_through"] < LAST


@pytest.mark.parametrize("table", [t for t in TABLES.values() if t.class_ != "historical"])
def test_what_is_read_back_meets_the_contract(table: object, loaded: Settings) -> None:
    from tasks.lake.contracts import Table, conform

    assert isinstance(table, Table)
    rows = Lake(loaded).read_day(table, LAST)
    for part in Lake(loaded).parts(table, LAST):
        mine = rows.filter(**{table.part: part}) if table.part else rows
        assert conform(table, mine.select(*table.columns)).height == mine.height
