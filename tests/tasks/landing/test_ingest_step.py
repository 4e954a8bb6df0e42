"""The step: landing files in, tables of the lake out."""

from __future__ import annotations

import json
import os
from datetime import date, timedelta
from hashlib import sha256
from pathlib import Path

import polars as pl
import pytest

from tasks.build_features import ingest
from tasks.errors import ContractViolation, InputNotReady
from tasks.lake.lake import Lake
from tasks.lake.tables import (
    CONTACTS,
    CUSTOMERS,
    DATA_CHECKS,
    EVENTS,
    ITEM_ATTRIBUTES,
    ITEMS,
    SET_ASIDE_EVENTS,
)
from tasks.landing.manifest import NAME, day_folder, write_landing_day
from tasks.settings import Settings
from tests.tasks.landing.conftest import DAY, Land, at, event, events_frame, items_frame

WRITTEN = (EVENTS, SET_ASIDE_EVENTS, ITEMS, ITEM_ATTRIBUTES, CUSTOMERS, CONTACTS)
NEXT = DAY + timedelta(days=1)


def hashes(settings: Settings, *days: date) -> dict[tuple[str, date], str]:
    lake = Lake(settings)
    return {
        (table.name, day): lake.ledger.written(table)[day, ""].row_hash
        for table in WRITTEN
        for day in days
    }


def nothing_written(settings: Settings, day: date = DAY) -> bool:
    lake = Lake(settings)
    return not any(lake.has_day(table, day) for table in WRITTEN)


def announced(path: Path, rows: int) -> dict[str, object]:
    """What a manifest says of a file."""
    digest = sha256(path.read_bytes()).hexdigest()
    return {"name": path.name, "kind": path.name.split("-")[0], "rows": rows, "sha256": digest}


def test_a_delivery_fills_every_table_of_its_day(settings: Settings, land: Land) -> None:
    customers = pl.DataFrame({"user_id": ["u1"], "consent": [True]}).with_columns(
        pl.lit(None, pl.String).alias("gender"),
        pl.lit(None, pl.Int32).alias("birth_year"),
        pl.lit("Riga").alias("city"),
    )
    land(DAY, event("a"), event("a"), event("b"), customers=customers)
    counts = ingest(DAY, settings)
    lake = Lake(settings)
    assert counts["events"] == lake.read_day(EVENTS, DAY).height == 2
    assert lake.read_day(CUSTOMERS, DAY)["city"].to_list() == ["Riga"]
    assert lake.read_day(ITEMS, DAY)["item_id"].to_list() == ["i1"]
    checks = dict(lake.read_day(DATA_CHECKS, DAY).select("check", "value").iter_rows())
    assert checks["duplicates"] == 1
    assert checks["manifest_version"] == 1


def test_a_day_that_has_not_landed_is_not_ready(settings: Settings, land: Land) -> None:
    land(DAY)
    with pytest.raises(InputNotReady, match=f"landing day {NEXT} has not been delivered"):
        ingest(NEXT, settings)


def test_a_gap_in_the_deliveries_before_is_not_ready(settings: Settings, land: Land) -> None:
    land(DAY, event("a"))
    land(DAY + timedelta(days=2), event("b", DAY + timedelta(days=2)))
    with pytest.raises(InputNotReady, match=str(NEXT)):
        ingest(DAY + timedelta(days=2), settings)


def test_an_empty_night_writes_empty_parts(settings: Settings) -> None:
    write_landing_day(settings.landing, DAY, {}, "test")
    assert ingest(DAY, settings)["rows"] == 0
    lake = Lake(settings)
    assert all(lake.has_day(table, DAY) for table in WRITTEN)
    assert lake.read_day(EVENTS, DAY).is_empty()


def test_an_empty_night_keeps_its_snapshot_of_items(settings: Settings, land: Land) -> None:
    land(DAY)
    ingest(DAY, settings)
    assert Lake(settings).read_day(ITEMS, DAY).height == 1


def test_a_corrected_delivery_replaces_the_day(settings: Settings, land: Land) -> None:
    land(DAY, event("a"), event("wrong"))
    ingest(DAY, settings)
    land(DAY, event("a"))
    counts = ingest(DAY, settings)
    lake = Lake(settings)
    assert counts["manifest_version"] == 2
    assert lake.read_day(EVENTS, DAY)["event_id"].to_list() == ["a"]
    versions = lake.read_day(DATA_CHECKS, DAY).filter(pl.col("check") == "events")
    assert dict(versions.select("version", "value").iter_rows()) == {1: 2.0, 2: 1.0}


def test_a_tampered_file_is_refused_and_nothing_is_written(settings: Settings, land: Land) -> None:
    land(DAY, event("a"))
    path = day_folder(settings.landing, DAY) / "events-000.parquet"
    events_frame(event("forged")).write_parquet(path)
    with pytest.raises(ContractViolation, match=r"events-000\.parquet has sha256"):
        ingest(DAY, settings)
    assert nothing_written(settings)


def test_a_wrong_row_count_in_the_manifest_is_refused(settings: Settings, land: Land) -> None:
    land(DAY, event("a"))
    path = day_folder(settings.landing, DAY) / NAME
    told = json.loads(path.read_text())
    told["files"][0]["rows"] = 5
    path.write_text(json.dumps(told))
    with pytest.raises(ContractViolation, match="1 rows, the manifest says 5"):
        ingest(DAY, settings)


def test_a_delivery_without_items_is_refused(settings: Settings) -> None:
    write_landing_day(settings.landing, DAY, {"events": events_frame(event("a"))}, "test")
    with pytest.raises(ContractViolation, match="no file of items"):
        ingest(DAY, settings)


@pytest.mark.parametrize(
    ("frame", "fault"),
    [
        (events_frame(event("a")).drop("user_id"), "1 missing: user_id"),
        (
            events_frame(event("a", price=1)).with_columns(price=pl.lit(4.99)),
            r"price is Float64, not Int64, and 1 values do not .* 4\.99",
        ),
        (
            events_frame(event("a")).drop("city").with_columns(mood=pl.lit("fine")),
            "1 missing: city",
        ),
    ],
)
def test_a_missing_or_retyped_column_is_refused(
    settings: Settings, land: Land, frame: pl.DataFrame, fault: str
) -> None:
    land(DAY, events=frame)
    with pytest.raises(ContractViolation, match=fault):
        ingest(DAY, settings)
    assert nothing_written(settings)


def test_a_column_outside_the_contract_is_left_out(settings: Settings, land: Land) -> None:
    land(DAY, events=events_frame(event("a")).with_columns(mood=pl.lit("fine")))
    counts = ingest(DAY, settings)
    assert (counts["events"], counts["columns_left_out"], counts["columns_cast"]) == (1, 1, 0)


def test_a_column_outside_the_contract_does_not_hinder_the_search_for_copies(
    settings: Settings, land: Land
) -> None:
    more = events_frame(event("a")).with_columns(mood=pl.lit("fine"))
    land(DAY)
    land(NEXT, events=more.with_columns(pl.col("received_at").dt.offset_by("1d")))
    after = NEXT + timedelta(days=1)
    land(after, event("a", after))
    assert ingest(after, settings)["duplicates"] == 1


def test_an_earlier_delivery_without_identifiers_has_to_be_corrected_first(
    settings: Settings, land: Land
) -> None:
    land(DAY, events=events_frame(event("a")).drop("event_id"))
    land(NEXT, event("b", NEXT))
    with pytest.raises(ContractViolation, match=f"{DAY}: events-000.parquet has no event_id"):
        ingest(NEXT, settings)


def test_a_column_of_another_type_is_cast_where_nothing_is_lost(
    settings: Settings, land: Land
) -> None:
    rows = events_frame(event("a", price=499), event("b"))
    land(DAY, events=rows.cast({"price": pl.Float64, "position": pl.Int64}))
    assert ingest(DAY, settings)["columns_cast"] == 2
    assert Lake(settings).read_day(EVENTS, DAY)["price"].to_list() == [499, None]


def test_files_of_one_kind_may_differ_in_their_columns(settings: Settings, land: Land) -> None:
    land(DAY, event("a"))
    more = events_frame(event("b")).with_columns(mood=pl.lit("fine")).cast({"price": pl.Float64})
    folder = day_folder(settings.landing, DAY)
    more.write_parquet(folder / "events-001.parquet")
    second = announced(folder / "events-001.parquet", rows=1)
    told = json.loads((folder / NAME).read_text())
    (folder / NAME).write_text(json.dumps({**told, "files": [*told["files"], second]}))
    counts = ingest(DAY, settings)
    assert (counts["events"], counts["columns_left_out"], counts["columns_cast"]) == (2, 1, 1)


def test_a_file_torn_before_its_manifest_was_written_is_refused(
    settings: Settings, land: Land
) -> None:
    land(DAY, event("a"))
    folder = day_folder(settings.landing, DAY)
    os.truncate(folder / "events-000.parquet", 200)
    told = json.loads((folder / NAME).read_text())
    files = [announced(folder / file["name"], file["rows"]) for file in told["files"]]
    (folder / NAME).write_text(json.dumps({**told, "files": files}))
    with pytest.raises(ContractViolation, match=r"events-000\.parquet cannot be read"):
        ingest(DAY, settings)
    assert nothing_written(settings)


def test_a_breach_in_any_frame_writes_nothing(settings: Settings, land: Land) -> None:
    land(DAY, event("a"), items=items_frame(DAY, "i1", "i1"))
    with pytest.raises(ContractViolation, match="one row per item_id"):
        ingest(DAY, settings)
    assert nothing_written(settings)


def test_copies_are_found_across_deliveries_within_their_days(
    settings: Settings, land: Land
) -> None:
    days = [DAY + timedelta(days=step) for step in range(9)]
    land(days[0], event("seen", days[0]))
    for day in days[1:7]:
        land(day)
    land(days[7], event("seen", days[7], ts=at(days[0])))
    land(days[8], event("seen", days[8], ts=at(days[0])))
    assert ingest(days[7], settings)["duplicates"] == 1
    # Its first copy lies eight days back, but the second one only one day.
    assert ingest(days[8], settings)["duplicates"] == 1


def test_days_run_out_of_order_and_again_give_the_same_hashes(
    settings: Settings, land: Land
) -> None:
    days = [DAY, NEXT, NEXT + timedelta(days=1)]
    land(days[0], event("a"), event("b"), event("b"))
    land(days[1], event("b", days[1]), event("late", days[1], ts=at(DAY)))
    land(days[2], event("late", days[2]), event("c", days[2]))
    for day in days:
        ingest(day, settings)
    in_order = hashes(settings, *days)
    for day in (*reversed(days), days[1]):
        ingest(day, settings)
    assert hashes(settings, *days) == in_order


def test_ingest_opens_the_landing_folder_only(settings: Settings, land: Land) -> None:
    land(DAY, event("a"))
    ingest(DAY, settings)
    inputs = Lake(settings).ledger.written(EVENTS)[DAY, ""].inputs
    assert {name.partition("/")[0] for name in inputs} == {"landing"}


def test_the_versions_of_what_was_delivered_are_recorded(settings: Settings, land: Land) -> None:
    land(DAY, event("a"))
    land(DAY, event("b"))
    land(NEXT, event("c", NEXT))
    ingest(NEXT, settings)
    written = {table: Lake(settings).ledger.written(table)[NEXT, ""] for table in WRITTEN}
    own, earlier = {"landing": {str(NEXT): 1}}, {"landing/events": {str(DAY): 2}}
    assert written[ITEMS].inputs == own
    assert written[EVENTS].inputs == written[SET_ASIDE_EVENTS].inputs == own | earlier
