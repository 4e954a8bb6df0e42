"""What the data checks say of deliveries that went wrong on order, in a lake."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest

from tasks import columns as c
from tasks.build_features import ingest
from tasks.features.checks import check_day
from tasks.lake.lake import Lake
from tasks.lake.tables import DATA_CHECKS
from tasks.settings import Settings
from tasks.simulator.delivery import simulate
from tests.conftest import made_once

FIRST = date(2026, 5, 5)
DAYS = [FIRST + timedelta(days=number) for number in range(6)]
FAULTS = {
    DAYS[0]: {"late_events"},
    DAYS[1]: {"zero_price"},
    DAYS[2]: {"unknown_item"},
    DAYS[3]: {"bot_storm"},
    DAYS[4]: {"empty_night"},
}


@pytest.fixture(scope="module")
def checked(shared_folder: Path) -> Settings:
    """Settings over a lake whose days are taken in and checked."""
    home = shared_folder / "faults"
    settings = Settings(home=home, mlflow_url="", min_free_gb=0)
    made_once(home, lambda _: check_shop(settings))
    return settings


def check_shop(settings: Settings) -> None:
    truth = settings.home / "truth"
    simulate(settings.landing, truth, FIRST, len(DAYS), 200, 100, seed=3, faults=FAULTS)
    for day in DAYS:
        ingest(day, settings)
        check_day(Lake(settings), day)


def verdicts(settings: Settings, day: date) -> dict[tuple[str, str], str]:
    rows = Lake(settings).read_day(DATA_CHECKS, day)
    return {(row["table"], row["check"]): row["verdict"] for row in rows.iter_rows(named=True)}


@pytest.mark.parametrize(
    ("day", "table", "check"),
    [
        (DAYS[1], "events", "share free"),
        (DAYS[1], "items", "share without price"),
        (DAYS[2], "events", "share not in catalogue"),
        (DAYS[3], "set_aside_events", "share of received"),
        (DAYS[3], "events", "share late"),
        (DAYS[4], "events", "volume against 7 days"),
        (DAYS[5], "events", "share late"),
    ],
)
def test_a_fault_is_warned_of_on_the_day_it_shows(
    day: date, table: str, check: str, checked: Settings
) -> None:
    assert verdicts(checked, day)[table, check] == "warned"


@pytest.mark.parametrize("check", ["share free", "share not in catalogue", "share late"])
def test_a_day_without_a_fault_is_not_warned_of(check: str, checked: Settings) -> None:
    assert verdicts(checked, DAYS[0])["events", check] == "ok"


def test_no_fault_that_the_chain_can_live_with_stops_it(checked: Settings) -> None:
    rows = Lake(checked).read_window(DATA_CHECKS, DAYS[-1], len(DAYS))
    assert "broken" not in rows["verdict"]


def test_the_first_day_of_a_shop_has_no_past_to_be_held_against(checked: Settings) -> None:
    rows = Lake(checked).read_day(DATA_CHECKS, FIRST)
    assert not rows.filter(rows["check"].str.contains("weekday|7 days")).height
    assert rows.filter(column=c.SESSION_ID, check="share null").height == 1
