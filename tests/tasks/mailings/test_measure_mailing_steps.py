"""The step of measure_mailing over a small lake: due or not, once, arm by arm."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from tasks.errors import ContractViolation, InputNotReady
from tasks.lake.lake import Lake, Window
from tasks.lake.tables import (
    AUDIENCE_DECISIONS,
    AUDIENCES,
    CUSTOMERS,
    EVENTS,
    ITEM_ATTRIBUTES,
    ITEMS,
    MAILING_EFFECTS,
)
from tasks.landing.manifest import write_landing_day
from tasks.measure_mailing import measure
from tasks.send_audience import write_audience
from tasks.settings import Settings
from tests.rows import rows
from tests.tasks.lookalikes.test_score_lookalikes_steps import a_project_with, declared
from tests.tasks.mailings.conftest import DAY, customers

Told = Callable[..., Settings]
HORIZON = 7
LAST = DAY + timedelta(days=HORIZON)
BAG, HAT = "bag", "hat"


def order(user: str, item: str, day: date, hour: int = 12) -> dict[str, object]:
    at = datetime(day.year, day.month, day.day, hour, tzinfo=UTC)
    told = {"user_id": user, "item_id": item, "event_type": "order", "ts": at, "price": 500}
    return told | {"event_id": f"{user}-{item}-{at:%d%H}", "quantity": 2}


def live(
    settings: Settings,
    through: date,
    orders: list[dict[str, object]],
    absent: date | None = None,
) -> None:
    """Take in the days after the audience's with these orders, but for one that only landed."""
    lake = Lake(settings)
    items = rows(ITEMS, {"item_id": BAG, "category": "bags"}, {"item_id": HAT, "category": "hats"})
    first = DAY - timedelta(days=1)
    for day in (first + timedelta(days=n) for n in range((through - first).days + 1)):
        write_landing_day(settings.landing, day, {}, "test")
        if day == absent:
            continue
        received = [one for one in orders if one["ts"].date() == day]  # type: ignore[attr-defined]
        lake.write_day(EVENTS, day, rows(EVENTS, *received) if received else EVENTS.empty())
        lake.write_day(ITEMS, day, items)
        lake.write_day(ITEM_ATTRIBUTES, day, ITEM_ATTRIBUTES.empty())
        lake.write_day(CUSTOMERS, day, rows(CUSTOMERS, *customers()))


def measured(settings: Settings) -> pl.DataFrame:
    return Lake(settings).read_window(
        MAILING_EFFECTS, LAST + timedelta(days=19), Window(60, optional=True)
    )


@pytest.fixture
def mailed(told: Told) -> tuple[Settings, list[str], list[str]]:
    """An audience of 17 whose horizon has passed: who was sent the letter, who was control.

    Two of those sent bought a bag within the horizon, one a hat, one a bag a day too late and one
    on the day of the audience; of control one bought a bag, and somebody else did too.
    """
    settings = told()
    write_audience(DAY, settings)
    people = Lake(settings).read_day(AUDIENCES, DAY)
    sent, control = (people.filter(role=role)["user_id"].to_list() for role in ("sent", "control"))
    first = DAY + timedelta(days=1)
    orders = [
        order(sent[0], BAG, first, 0),
        order(sent[1], BAG, LAST, 23),
        order(sent[1], BAG, LAST, 22),
        order(sent[2], HAT, first),
        order(sent[3], BAG, LAST + timedelta(days=1)),
        order(sent[4], BAG, DAY),
        order(control[0], BAG, first),
        order("u39", BAG, first),
    ]
    live(settings, LAST + timedelta(days=1), orders)
    return settings, sent, control


def test_arms_are_compared_over_the_horizon_and_nothing_else(
    mailed: tuple[Settings, list[str], list[str]],
) -> None:
    settings, sent, control = mailed
    found = measure(LAST, settings)
    assert found["mailings"] == 1
    assert found["note"].startswith(f"spring.bag_buyers.{DAY}: ")
    whole = {
        row["metric"]: row for row in measured(settings).filter(cut="all").iter_rows(named=True)
    }
    n1, n0 = len(sent), len(control)
    seed = whole["seed_thing"]
    assert (seed["sent"], seed["control"], seed["audience_day"]) == (n1, n0, DAY)
    assert (seed["sent_value"], seed["control_value"]) == (2 / n1, 1 / n0)
    assert seed["effect"] == pytest.approx(2 / n1 - 1 / n0)
    assert whole["buyers"]["sent_value"] == 3 / n1
    assert whole["orders"]["sent_value"] == 4 / n1
    assert whole["revenue"]["sent_value"] == 4 * 500 * 2 / n1


def test_a_mailing_is_measured_once_and_comes_to_the_same_whenever(
    mailed: tuple[Settings, list[str], list[str]],
) -> None:
    settings, *_ = mailed
    late = LAST + timedelta(days=1)
    assert measure(late, settings)["mailings"] == 1
    first = measured(settings)
    assert measure(late, settings) == {"mailings": 0}
    # Nor does an earlier day measure what a later one has.
    assert measure(LAST, settings) == {"mailings": 0}
    assert measured(settings).equals(first)
    other = settings.model_copy(update={"lake_url": str(settings.home / "other")})
    copy(settings, other)
    measure(LAST, other)
    assert measured(other).drop("dt").equals(first.drop("dt"))


def copy(settings: Settings, other: Settings) -> None:
    whole, lake = Lake(settings), Lake(other)
    for table in (EVENTS, ITEMS, ITEM_ATTRIBUTES, CUSTOMERS):
        for day in sorted({written for written, _ in whole.ledger.written(table)}):
            lake.write_day(table, day, whole.read_day(table, day).drop("dt"))
    for table in (AUDIENCES, AUDIENCE_DECISIONS):
        lake.append_day(table, DAY, whole.read_day(table, DAY).drop("dt"))


def test_a_letter_that_was_chosen_late_is_measured_from_the_day_after_that(told: Told) -> None:
    chosen = DAY + timedelta(days=10)
    last = chosen + timedelta(days=HORIZON)
    settings = told(chosen_at=datetime(chosen.year, chosen.month, chosen.day, 23, tzinfo=UTC))
    write_audience(DAY, settings)
    people = Lake(settings).read_day(AUDIENCES, DAY)
    sent, control = (people.filter(role=role)["user_id"].to_list() for role in ("sent", "control"))
    orders = [
        order(sent[0], BAG, DAY + timedelta(days=3)),
        order(sent[1], BAG, chosen + timedelta(days=1), 0),
        order(sent[2], BAG, last, 23),
        order(control[0], BAG, chosen),
    ]
    live(settings, last, orders)
    assert measure(LAST, settings) == measure(last - timedelta(days=1), settings) == {"mailings": 0}
    assert measure(last, settings)["mailings"] == 1
    (seed,) = measured(settings).filter(cut="all", metric="seed_thing").iter_rows(named=True)
    assert (seed["sent_value"], seed["control_value"]) == (2 / len(sent), 0)


def test_before_its_horizon_has_passed_nothing_is_measured(
    mailed: tuple[Settings, list[str], list[str]],
) -> None:
    assert measure(LAST - timedelta(days=1), mailed[0]) == {"mailings": 0}
    assert measured(mailed[0]).is_empty()


def test_a_day_of_the_horizon_that_is_absent_is_waited_for(told: Told) -> None:
    write_audience(DAY, told())
    live(told(), LAST - timedelta(days=1), [])
    with pytest.raises(InputNotReady, match=f"backfill build_features from {LAST}"):
        measure(LAST, told())


def test_a_segment_that_is_gone_stops_no_other_and_is_told_on_one_night(
    mailed: tuple[Settings, list[str], list[str]], caplog: pytest.LogCaptureFixture
) -> None:
    settings, *_ = mailed
    # Before the others in order.
    lost = {"lookalike_segment": "a_gone", "mailing": "autumn"}
    Lake(settings).append_day(AUDIENCE_DECISIONS, DAY, rows(AUDIENCE_DECISIONS, lost))
    assert measure(LAST, settings)["mailings"] == 1
    assert set(measured(settings)["mailing"]) == {"spring"}
    # From the day after the audience's, the sixty days of the greatest horizon.
    due = DAY + timedelta(days=60)
    told = f"autumn.a_gone.{DAY}: its segment's file is gone; the mailing"
    assert f"{told} waits for it until {due}" in caplog.messages
    assert measure(due - timedelta(days=1), settings) == {"mailings": 0}
    with pytest.raises(
        ContractViolation,
        match=r"1 mailings are not measured: autumn: sql/lookalike_seeds/a_gone\.sql is gone",
    ):
        measure(due, settings)
    for later in (1, 300):
        assert measure(due + timedelta(days=later), settings) == {"mailings": 0}
    assert caplog.messages[-1] == f"{told} was never measured"


def test_a_select_that_is_wrong_stops_no_other(
    mailed: tuple[Settings, list[str], list[str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    settings, *_ = mailed
    wrong = declared("a_wrong", "SELECT user_id AS who, CAST(ts AS DATE) AS day FROM events")
    project = a_project_with(tmp_path_factory.mktemp("project"), {"a_wrong": wrong})
    lost = {"lookalike_segment": "a_wrong", "mailing": "autumn"}
    Lake(settings).append_day(AUDIENCE_DECISIONS, DAY, rows(AUDIENCE_DECISIONS, lost))
    ours = {"PYTHONPATH": str(project), "VITRINA_HOME": str(settings.home)}
    done = subprocess.run(
        [sys.executable, "-m", "tasks", "run", "measure_mailing", "--day", str(LAST)],
        cwd=project,
        env=os.environ | ours | {"VITRINA_MLFLOW_URL": "", "VITRINA_MIN_FREE_GB": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    said = done.stdout + done.stderr
    assert (
        "ContractViolation: 1 mailings are not measured: autumn: lookalike_seeds/a_wrong.sql"
        " selects who String, day Date; wanted: user_id String, day Date"
    ) in said
    assert set(measured(settings)["mailing"]) == {"spring"}


def test_a_mailing_that_waits_for_a_day_stops_no_other(told: Told) -> None:
    after = DAY + timedelta(days=1)
    write_audience(DAY, told())
    later = datetime(after.year, after.month, after.day, 9, tzinfo=UTC)
    write_audience(DAY, told(mailing="zebra", chosen_at=later))
    live(told(), LAST + timedelta(days=1), [], absent=after)
    with pytest.raises(InputNotReady, match="1 mailings are not measured: spring: events: 1 of 7"):
        measure(LAST + timedelta(days=1), told())
    assert set(measured(told())["mailing"]) == {"zebra"}
    # No wait mends a segment that is gone: both are told, as the error that is not tried again.
    lost = {"lookalike_segment": "gone", "mailing": "autumn"}
    long_ago = LAST + timedelta(days=1 - 60)
    Lake(told()).append_day(AUDIENCE_DECISIONS, long_ago, rows(AUDIENCE_DECISIONS, lost))
    with pytest.raises(ContractViolation, match=r"2 mailings.*autumn: sql.*spring: events: 1 of 7"):
        measure(LAST + timedelta(days=1), told())


def test_without_a_control_group_the_note_says_that_nothing_can_be_told(told: Told) -> None:
    settings = told(control_share=0)
    write_audience(DAY, settings)
    live(settings, LAST, [])
    assert "no effect can be told" in measure(LAST, settings)["note"]
    assert measured(settings)["effect"].null_count() == measured(settings).height
    assert measure(LAST, settings) == {"mailings": 0}
