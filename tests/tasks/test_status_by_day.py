from __future__ import annotations

from argparse import ArgumentParser
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks import status
from tasks.build_features import ingest
from tasks.lake.lake import Lake
from tasks.lake.tables import (
    CANDIDATES,
    EVENTS,
    GATE_DECISIONS,
    ITEMS,
    SET_ASIDE_EVENTS,
    USER_FACETS,
    USER_SEGMENTS,
)
from tasks.landing.manifest import NAME, day_folder, write_landing_day
from tasks.settings import Settings
from tests.rows import rows

FIRST = date(2026, 10, 1)
SECOND = date(2026, 10, 2)
TABLES = (USER_SEGMENTS, USER_FACETS)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = Settings(home=tmp_path, mlflow_url="")
    for day in (FIRST, SECOND):
        write_landing_day(settings.landing, day, {}, "test")
    return settings


def segments(name: str) -> pl.DataFrame:
    return rows(USER_SEGMENTS, {"user_id": "u1", "segment": name})


def facets() -> pl.DataFrame:
    return rows(USER_FACETS, {"user_id": "u1"})


def derive_facets(settings: Settings, day: date) -> None:
    lake = Lake(settings)
    lake.read_day(USER_SEGMENTS, day)
    lake.write_day(USER_FACETS, day, facets())


def states(settings: Settings, *days: date) -> dict[str, dict[date, str]]:
    return status.by_day(status.statuses(Lake(settings), days, TABLES))


def test_a_table_is_present_once_written_and_missing_before(settings: Settings) -> None:
    Lake(settings).write_day(USER_SEGMENTS, FIRST, segments("new"))
    assert states(settings, FIRST, SECOND) == {
        "user_segments": {FIRST: "present", SECOND: "missing"},
        "user_facets": {FIRST: "missing", SECOND: "missing"},
    }


def test_a_changed_input_makes_what_was_made_of_it_stale(settings: Settings) -> None:
    Lake(settings).write_day(USER_SEGMENTS, FIRST, segments("new"))
    derive_facets(settings, FIRST)
    Lake(settings).write_day(USER_SEGMENTS, FIRST, segments("loyal"))
    assert states(settings, FIRST)["user_facets"] == {FIRST: "stale"}


def test_the_same_rows_written_again_make_nothing_stale(settings: Settings) -> None:
    Lake(settings).write_day(USER_SEGMENTS, FIRST, segments("new"))
    derive_facets(settings, FIRST)
    Lake(settings).write_day(USER_SEGMENTS, FIRST, segments("new"))
    assert states(settings, FIRST)["user_facets"] == {FIRST: "present"}


def test_a_stale_day_made_again_is_present(settings: Settings) -> None:
    Lake(settings).write_day(USER_SEGMENTS, FIRST, segments("new"))
    derive_facets(settings, FIRST)
    Lake(settings).write_day(USER_SEGMENTS, FIRST, segments("loyal"))
    derive_facets(settings, FIRST)
    assert states(settings, FIRST)["user_facets"] == {FIRST: "present"}


def deliver(settings: Settings, day: date, *event_ids: str, price: int = 500) -> None:
    noon = datetime.combine(day, time(12), UTC)
    known = {"ts": noon, "received_at": noon, "event_type": "view", "platform": "web"}
    events = rows(EVENTS, *(known | {"event_id": name} for name in event_ids))
    items = rows(ITEMS, {"item_id": "x", "price": price})
    write_landing_day(settings.landing, day, {"events": events, "items": items}, "test")


def ingested(settings: Settings, *days: date) -> dict[str, dict[date, str]]:
    found = status.statuses(Lake(settings), days, (EVENTS, SET_ASIDE_EVENTS, ITEMS))
    return status.by_day(found)


def test_a_corrected_delivery_makes_what_was_ingested_stale_until_it_is_ingested_again(
    settings: Settings,
) -> None:
    deliver(settings, FIRST, "a")
    ingest(FIRST, settings)
    assert ingested(settings, FIRST)["events"] == {FIRST: "present"}
    deliver(settings, FIRST, "a", "b")
    found = status.statuses(Lake(settings), [FIRST], [EVENTS])
    assert found["state"].to_list() == ["stale"]
    assert found["reason"].to_list() == [f"changed since: landing {FIRST}"]
    assert status.mends(found) == [
        f"backfill build_features for {FIRST}; the other DAGs follow for the same days"
    ]
    ingest(FIRST, settings)
    assert ingested(settings, FIRST)["events"] == {FIRST: "present"}


def test_what_was_made_of_a_corrected_day_is_stale_once_that_is_ingested_again(
    settings: Settings,
) -> None:
    deliver(settings, FIRST, "a")
    ingest(FIRST, settings)
    lake = Lake(settings)
    lake.read_day(EVENTS, FIRST)
    lake.write_day(USER_FACETS, FIRST, facets())
    deliver(settings, FIRST, "b")
    assert states(settings, FIRST)["user_facets"] == {FIRST: "present"}
    ingest(FIRST, settings)
    assert states(settings, FIRST)["user_facets"] == {FIRST: "stale"}


def test_later_days_are_stale_only_where_the_corrected_events_were_looked_through(
    settings: Settings,
) -> None:
    for day in (FIRST, SECOND):
        deliver(settings, day, f"of {day}")
        ingest(day, settings)
    deliver(settings, FIRST, f"of {FIRST}", price=700)
    assert ingested(settings, FIRST, SECOND) == {
        "events": {FIRST: "stale", SECOND: "present"},
        "set_aside_events": {FIRST: "stale", SECOND: "present"},
        "items": {FIRST: "stale", SECOND: "present"},
    }
    deliver(settings, FIRST, "a copy of which may come later", price=700)
    assert ingested(settings, FIRST, SECOND) == {
        "events": {FIRST: "stale", SECOND: "stale"},
        "set_aside_events": {FIRST: "stale", SECOND: "stale"},
        "items": {FIRST: "stale", SECOND: "present"},
    }


def test_a_correction_with_the_same_files_makes_nothing_stale(settings: Settings) -> None:
    deliver(settings, FIRST, "a")
    ingest(FIRST, settings)
    deliver(settings, FIRST, "a")
    assert ingested(settings, FIRST)["events"] == {FIRST: "present"}
    deliver(settings, FIRST, "b")
    deliver(settings, FIRST, "a")
    assert ingested(settings, FIRST)["events"] == {FIRST: "present"}


def test_a_manifest_that_cannot_be_read_is_shown_and_one_that_is_gone_is_not(
    settings: Settings,
) -> None:
    for day in (FIRST, SECOND):
        deliver(settings, day, f"of {day}")
        ingest(day, settings)
    manifest = day_folder(settings.landing, SECOND) / NAME
    manifest.write_text("{")
    assert ingested(settings, FIRST, SECOND)["events"] == {FIRST: "present", SECOND: "stale"}
    manifest.unlink()
    assert ingested(settings, FIRST, SECOND)["events"] == {FIRST: "present", SECOND: "present"}


def test_days_before_the_first_landing_day_are_outside_history(settings: Settings) -> None:
    assert states(settings, FIRST - timedelta(days=1)) == {}


def test_a_day_is_as_bad_as_its_worst_part(settings: Settings) -> None:
    lake = Lake(settings)
    lake.supersede(CANDIDATES, FIRST, SECOND, part="ease")
    lake.write_day(CANDIDATES, FIRST, CANDIDATES.empty(), part="popular")
    found = status.statuses(Lake(settings), [FIRST], [CANDIDATES])
    assert found.select("part", "state").rows() == [("ease", "superseded"), ("popular", "present")]
    assert status.by_day(found) == {"candidates": {FIRST: "superseded"}}


def test_a_historical_table_without_rows_is_not_missing(settings: Settings) -> None:
    found = status.statuses(Lake(settings), [FIRST], [GATE_DECISIONS])
    assert found["state"].to_list() == ["none"]


def test_the_root_is_backfilled_and_followers_of_other_days_are_run(settings: Settings) -> None:
    Lake(settings).write_day(USER_SEGMENTS, FIRST, segments("new"))
    found = status.statuses(Lake(settings), [FIRST, SECOND], TABLES)
    assert status.mends(found) == [
        "backfill build_features for 2026-10-02; the other DAGs follow for the same days",
        "run compute_facet_weights for 2026-10-01"
        " (in the UI: trigger with the day as partition key)",
    ]


def test_a_day_that_has_not_landed_waits_for_its_delivery(settings: Settings) -> None:
    third = date(2026, 10, 3)
    found = status.statuses(Lake(settings), [third], TABLES)
    assert status.mends(found) == ["wait for the delivery of 2026-10-03: nothing has landed"]


@given(st.lists(st.integers(0, 60), unique=True).map(sorted))
def test_ranges_hold_every_day_once_and_never_touch(offsets: list[int]) -> None:
    days = [FIRST + timedelta(days=offset) for offset in offsets]
    found = status.ranges(days)
    spread = [a + timedelta(days=n) for a, b in found for n in range((b - a).days + 1)]
    assert spread == days
    assert all((later[0] - former[1]).days > 1 for former, later in pairwise(found))


def test_the_command_exits_1_with_something_to_mend_and_names_it(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = ArgumentParser()
    status.add_arguments(parser)
    args = parser.parse_args(["--from", "2026-10-01", "--to", "2026-10-02"])
    assert status.run(args, settings) == 1
    printed = capsys.readouterr().out
    assert "backfill build_features for 2026-10-01 to 2026-10-02" in printed
    assert "  events " in printed
