from __future__ import annotations

from argparse import ArgumentParser
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks import status
from tasks.lake.lake import Lake
from tasks.lake.tables import CANDIDATES, GATE_DECISIONS, USER_FACETS, USER_SEGMENTS
from tasks.landing.manifest import write_landing_day
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
