"""Each fault that can be ordered, and what ingest makes of it beside the same days without it."""

from __future__ import annotations

import re
import shutil
from argparse import ArgumentParser
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from tasks.build_features import ingest
from tasks.errors import ContractViolation, VitrinaError, WrongCall
from tasks.lake.contracts import Table
from tasks.lake.lake import Lake
from tasks.lake.tables import CONTACTS, CUSTOMERS, DATA_CHECKS, EVENTS, ITEMS, SET_ASIDE_EVENTS
from tasks.landing.manifest import (
    NAME,
    announced,
    corrected_since,
    day_folder,
    read_kind,
    read_manifest,
    write_landing_day,
)
from tasks.settings import Settings
from tasks.simulator import command
from tasks.simulator.delivery import simulate
from tasks.simulator.ordered_faults import FAULTS
from tasks.simulator.parameters import DEFAULT

FIRST = date(2026, 5, 5)
DAY, NEXT, THIRD = (FIRST + timedelta(step) for step in (1, 2, 4))
"""A Wednesday, so that letters go out; the day after; three days after."""
DAYS = 5
SIZE = {"customers": 300, "items": 200, "seed": 3}
CLEAN = replace(DEFAULT, duplicates=0.0, late=0.0)
"""Nothing is late or comes twice by itself, so that counts are the fault's own."""
Counts = dict[str, int]
Asked = Mapping[date, Collection[str]]


@dataclass
class Case:
    """A small shop with its faults, and what ingest said of its days."""

    settings: Settings
    said: dict[date, Counts | VitrinaError]

    def counts(self, day: date) -> Counts:
        said = self.said[day]
        assert isinstance(said, dict), said
        return said

    def refusal(self, day: date) -> str:
        """What the refusal said, once it is certain that nothing was written."""
        said = self.said[day]
        assert isinstance(said, ContractViolation), said
        lake = Lake(self.settings)
        assert not any(lake.has_day(table, day) for table in (EVENTS, ITEMS, DATA_CHECKS))
        return str(said)

    def read(self, table: Table, day: date) -> pl.DataFrame:
        return Lake(self.settings).read_day(table, day)

    def landed(self, day: date) -> set[str]:
        manifest = announced(self.settings.landing, day)
        assert manifest is not None
        return {file.sha256 for file in manifest.files}


def case(home: Path, faults: Asked) -> Case:
    settings = Settings(home=home, mlflow_url="", min_free_gb=0)
    simulate(settings.landing, home / "truth", FIRST, DAYS, **SIZE, faults=faults, parameters=CLEAN)
    said: dict[date, Counts | VitrinaError] = {}
    for day in (DAY, NEXT, THIRD):
        try:
            said[day] = ingest(day, settings)
        except VitrinaError as error:
            said[day] = error
    return Case(settings, said)


def more(found: Case, plain: Case, day: date) -> Counts:
    """How many more of what were counted than without the fault."""
    usual = plain.counts(day)
    return {
        name: count - usual[name]
        for name, count in found.counts(day).items()
        if count != usual[name]
    }


def assert_same(found: Case, plain: Case, *days: date, table: Table = EVENTS) -> None:
    for day in days:
        assert_frame_equal(found.read(table, day), plain.read(table, day))


def other_days_landed_alike(found: Case, plain: Case, *but: date) -> bool:
    days = {FIRST + timedelta(step) for step in range(DAYS)} - {DAY, *but}
    return all(found.landed(day) == plain.landed(day) for day in days)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return case(tmp_path_factory.mktemp("plain"), {})


def counted_as_duplicates(found: Case, plain: Case) -> None:
    copies = more(found, plain, DAY)["duplicates"]
    assert 0.05 < copies / plain.counts(DAY)["rows"] < 0.15
    assert more(found, plain, DAY) == {"rows": copies, "duplicates": copies}
    assert_same(found, plain, DAY, NEXT)
    assert other_days_landed_alike(found, plain)


def counted_as_duplicates_a_day_later(found: Case, plain: Case) -> None:
    copies = more(found, plain, NEXT)["duplicates"]
    assert 0.05 < copies / plain.counts(DAY)["rows"] < 0.15
    assert more(found, plain, NEXT) == {"rows": copies, "duplicates": copies}
    assert more(found, plain, DAY) == {}
    assert_same(found, plain, DAY, NEXT)
    assert other_days_landed_alike(found, plain, NEXT)


def kept_where_they_were_received(found: Case, plain: Case) -> None:
    held = plain.read(EVENTS, DAY).join(found.read(EVENTS, DAY), on="event_id", how="anti")
    count = held.height
    assert 0.05 < count / plain.counts(DAY)["rows"] < 0.15
    assert more(found, plain, DAY) == {"rows": -count, "events": -count}
    assert more(found, plain, THIRD) == {"rows": count, "events": count, "late": count}
    late = found.read(EVENTS, THIRD).filter(pl.col("event_id").is_in(held["event_id"].implode()))
    waited = late["received_at"] - late["ts"]
    assert waited.min() > timedelta(days=3)
    assert waited.max() < timedelta(days=3, minutes=1)
    assert other_days_landed_alike(found, plain, THIRD)


def set_aside_by_their_clock(found: Case, plain: Case) -> None:
    aside = found.read(SET_ASIDE_EVENTS, DAY).join(
        plain.read(EVENTS, DAY), on="event_id", suffix="_true"
    )
    ahead = aside.filter(pl.col("ts") == pl.col("ts_true") + timedelta(hours=2))
    reset = aside.filter(pl.col("ts").dt.date() == date(1970, 1, 1))
    assert ahead.height
    assert reset.height
    assert (reset["ts"].dt.time() == reset["ts_true"].dt.time()).all()
    assert more(found, plain, DAY) == {
        "events": -ahead.height - reset.height,
        "set_aside": ahead.height + reset.height,
        "set_aside_clock_ahead": ahead.height,
        "set_aside_too_late": reset.height,
    }
    kept = plain.read(EVENTS, DAY).join(aside, on="event_id", how="anti")
    assert_frame_equal(found.read(EVENTS, DAY), kept)
    assert other_days_landed_alike(found, plain)


def set_aside_by_their_pace(found: Case, plain: Case) -> None:
    # Three bots open 2,600 pages each: more than the day's people together.
    assert more(found, plain, DAY) == {
        "rows": 7_800, "set_aside": 7_800, "set_aside_hourly_rate": 7_800,
    }  # fmt: skip
    assert found.read(SET_ASIDE_EVENTS, DAY)["user_id"].n_unique() == 3
    assert_same(found, plain, DAY, NEXT)
    assert other_days_landed_alike(found, plain)


def kept_at_no_price(found: Case, plain: Case) -> None:
    free = found.read(ITEMS, DAY).filter(price=0)["item_id"]
    assert 0.05 < len(free) / found.read(ITEMS, DAY).height < 0.15
    events = plain.read(EVENTS, DAY)
    hit = pl.col("item_id").is_in(free.implode()) & pl.col("price").is_not_null()
    assert more(found, plain, DAY) == {"zero_prices": events.filter(hit).height}
    expected = events.with_columns(price=pl.when(hit).then(0).otherwise("price"))
    assert_frame_equal(found.read(EVENTS, DAY), expected)
    assert other_days_landed_alike(found, plain)


def kept_though_unheard_of(found: Case, plain: Case) -> None:
    listed = found.read(ITEMS, DAY)
    unheard = found.read(EVENTS, DAY).join(listed, on="item_id", how="anti")
    assert 0.02 < unheard.height / plain.counts(DAY)["rows"] < 0.08
    assert more(found, plain, DAY) == {"unknown_items": unheard.height}
    assert_same(found, plain, DAY, table=ITEMS)
    assert other_days_landed_alike(found, plain)


def merged(rows: pl.DataFrame, gone: pl.Series, after: pl.Expr) -> pl.DataFrame:
    """Rows by hand: u0000004, say, has become u0000005."""
    names = {old: f"u{int(old[1:]) + 1:07}" for old in gone}
    renamed = pl.when(after).then(pl.col("user_id").replace(names)).otherwise("user_id")
    return rows.with_columns(renamed.alias("user_id"))


def counted_for_the_new_identifier(found: Case, plain: Case) -> None:
    before, now = (which.read(CUSTOMERS, DAY)["user_id"] for which in (plain, found))
    gone = before.filter(~before.is_in(now.implode()))
    assert 0 < len(gone) < 0.1 * len(before)
    new = pl.col("ts") >= datetime(2026, 5, 6, tzinfo=UTC)
    for day in (DAY, NEXT, THIRD):
        assert more(found, plain, day) == {}
        assert_frame_equal(found.read(EVENTS, day), merged(plain.read(EVENTS, day), gone, new))
    assert not found.read(EVENTS, DAY).equals(plain.read(EVENTS, DAY))
    letters = merged(plain.read(CONTACTS, DAY), gone, pl.lit(True))["user_id"].unique().sort()
    assert found.read(CONTACTS, DAY)["user_id"].sort().equals(letters)
    assert found.landed(FIRST) == plain.landed(FIRST)


def written_without_events(found: Case, plain: Case) -> None:
    whole = plain.counts(DAY)["rows"]
    assert more(found, plain, DAY) == {"rows": -whole, "events": -whole}
    assert found.read(EVENTS, DAY).is_empty()
    assert_same(found, plain, DAY, table=ITEMS)
    assert more(found, plain, NEXT) == {"rows": whole, "events": whole, "late": whole}
    assert other_days_landed_alike(found, plain, NEXT)


def refused_for_the_missing_column(found: Case, plain: Case) -> None:
    assert "events: columns differ from the contract (1 missing: session_id)" in found.refusal(DAY)
    assert_same(found, plain, NEXT)
    assert other_days_landed_alike(found, plain)


def left_out(found: Case, plain: Case) -> None:
    assert more(found, plain, DAY) == {"columns_left_out": 1}
    assert_same(found, plain, DAY, NEXT)
    assert other_days_landed_alike(found, plain)


def cast(found: Case, plain: Case) -> None:
    assert more(found, plain, DAY) == {"columns_cast": 2}
    assert_same(found, plain, DAY, NEXT)
    assert other_days_landed_alike(found, plain)


def refused_for_the_changed_type(found: Case, plain: Case) -> None:
    price = plain.read(EVENTS, DAY)["price"].drop_nulls().max()
    assert isinstance(price, int)
    assert price > 100
    assert "events: price is String, not Int64; nothing written. Examples: '" in found.refusal(DAY)
    assert_same(found, plain, NEXT)
    assert other_days_landed_alike(found, plain)


def read_in_the_newest_version(found: Case, plain: Case) -> None:
    assert more(found, plain, DAY) == {"manifest_version": 1}
    assert_same(found, plain, DAY, NEXT)
    assert other_days_landed_alike(found, plain)


def refused_for_the_torn_file(found: Case, plain: Case) -> None:
    assert "1 of 5 files differ from the manifest: events-000.parquet has" in found.refusal(DAY)
    assert f"landing {DAY}: 1 of 5 files differ" in found.refusal(NEXT)
    assert found.landed(DAY) == plain.landed(DAY)
    assert other_days_landed_alike(found, plain)


def refused_for_the_missing_file(found: Case, plain: Case) -> None:
    assert "files differ from the manifest: events-000.parquet is absent" in found.refusal(DAY)
    assert f"landing {DAY}: 1 of 5 files differ" in found.refusal(NEXT)
    assert found.landed(DAY) == plain.landed(DAY)
    assert other_days_landed_alike(found, plain)


FATES: dict[str, Callable[[Case, Case], None]] = {
    "duplicates_within": counted_as_duplicates,
    "duplicates_across": counted_as_duplicates_a_day_later,
    "late_events": kept_where_they_were_received,
    "clock_skew": set_aside_by_their_clock,
    "bot_storm": set_aside_by_their_pace,
    "zero_price": kept_at_no_price,
    "unknown_item": kept_though_unheard_of,
    "merged_user": counted_for_the_new_identifier,
    "empty_night": written_without_events,
    "missing_column": refused_for_the_missing_column,
    "new_column": left_out,
    "wider_type": cast,
    "changed_type": refused_for_the_changed_type,
    "correction": read_in_the_newest_version,
    "torn_file": refused_for_the_torn_file,
    "missing_file": refused_for_the_missing_file,
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_meets_its_stated_fate(name: str, plain: Case, tmp_path: Path) -> None:
    FATES[name](case(tmp_path, {DAY: [name]}), plain)


def test_prices_that_come_as_text_after_a_wider_type_are_still_prices(tmp_path: Path) -> None:
    found = case(tmp_path, {DAY: ["wider_type", "changed_type"]})
    (example,) = re.findall(r"Examples: '([^']*)'", found.refusal(DAY))
    assert re.fullmatch(r"\d+\.\d\d", example)


def test_late_events_of_a_merged_user_keep_the_old_identifier_and_are_counted(
    tmp_path: Path,
) -> None:
    late_day = FIRST + timedelta(3)
    found = case(tmp_path, {FIRST: ["late_events"], NEXT: ["merged_user"]})
    counts = ingest(late_day, found.settings)
    events, customers = found.read(EVENTS, late_day), found.read(CUSTOMERS, late_day)
    old = events.join(customers, on="user_id", how="anti")
    assert old.height == counts["unknown_users"] > 0
    assert (old["ts"].dt.date() == FIRST).all()


def test_a_day_made_from_the_first_delivery_is_stale_and_mended_by_running_again(
    plain: Case, tmp_path: Path
) -> None:
    settings = Settings(home=tmp_path, mlflow_url="", min_free_gb=0)
    asked = {DAY: ["correction"]}
    simulate(settings.landing, tmp_path / "truth", FIRST, 2, **SIZE, faults=asked, parameters=CLEAN)
    folder = day_folder(settings.landing, DAY)
    second = (folder / NAME).read_bytes()
    shutil.copyfile(folder / "_MANIFEST.v1.json", folder / NAME)
    whole = plain.counts(DAY)["events"]
    by_eight = plain.read(EVENTS, DAY).filter(pl.col("received_at").dt.hour() < 20).height
    assert 0.5 * whole < ingest(DAY, settings)["events"] == by_eight < whole
    (folder / NAME).write_bytes(second)
    assert corrected_since(settings.landing, DAY, version=1)
    assert ingest(DAY, settings)["events"] == whole
    assert_frame_equal(Lake(settings).read_day(EVENTS, DAY), plain.read(EVENTS, DAY))


def test_a_torn_file_is_mended_by_a_correction(plain: Case, tmp_path: Path) -> None:
    found = case(tmp_path, {DAY: ["torn_file", "correction"]})
    assert more(found, plain, DAY) == {"manifest_version": 1}
    assert_same(found, plain, DAY, NEXT)


def test_a_day_refused_for_its_file_passes_once_the_source_corrects_it(
    plain: Case, tmp_path: Path
) -> None:
    found = case(tmp_path, {DAY: ["missing_file"]})
    whole = read_manifest(plain.settings.landing, DAY)
    frames = {
        file.kind: frame
        for file in whole.files
        if (frame := read_kind(plain.settings.landing, whole, file.kind)) is not None
    }
    write_landing_day(found.settings.landing, DAY, frames, "simulator")
    assert ingest(DAY, found.settings) == plain.counts(DAY) | {"manifest_version": 2}
    assert ingest(NEXT, found.settings) == plain.counts(NEXT)


SEVERAL: Asked = {
    FIRST: ["late_events", "merged_user"],
    DAY: ["torn_file", "empty_night", "merged_user"],
    NEXT: ["correction", "duplicates_across", "clock_skew"],
    NEXT + timedelta(1): ["missing_file", "bot_storm", "zero_price"],
}


def every_file(folder: Path) -> dict[str, str]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five days with many faults, written in one go."""
    home = tmp_path_factory.mktemp("faulty")
    simulate(home / "landing", home / "truth", FIRST, DAYS, **SIZE, faults=SEVERAL)
    return home


def test_the_same_faults_give_the_same_bytes_in_one_go_and_day_by_day(
    faulty: Path, tmp_path: Path
) -> None:
    for days in range(1, DAYS + 1):
        today = FIRST + timedelta(days - 1)
        asked = {day: names for day, names in SEVERAL.items() if day == today}
        simulate(tmp_path / "landing", tmp_path / "truth", FIRST, days, **SIZE, faults=asked)
    assert every_file(tmp_path) == every_file(faulty)


def test_asking_again_for_what_was_ordered_changes_nothing(faulty: Path) -> None:
    before = every_file(faulty)
    simulate(faulty / "landing", faulty / "truth", FIRST, DAYS, **SIZE, faults=SEVERAL)
    assert every_file(faulty) == before


def test_a_run_killed_between_two_versions_of_a_day_is_taken_up(
    faulty: Path, tmp_path: Path
) -> None:
    shutil.copytree(faulty / "landing", tmp_path / "landing")
    simulate(tmp_path / "other", tmp_path / "truth", FIRST, 2, **SIZE, faults=first_two(SEVERAL))
    for day in (NEXT + timedelta(1), THIRD):
        shutil.rmtree(day_folder(tmp_path / "landing", day))
    half = day_folder(tmp_path / "landing", NEXT)
    (half / "_MANIFEST.v1.json").replace(half / NAME)
    simulate(tmp_path / "landing", tmp_path / "truth", FIRST, DAYS, **SIZE, faults=SEVERAL)
    assert every_file(tmp_path / "landing") == every_file(faulty / "landing")


def first_two(faults: Asked) -> Asked:
    return {day: names for day, names in faults.items() if day in {FIRST, DAY}}


def test_faults_change_deliveries_and_nothing_that_happened(faulty: Path, tmp_path: Path) -> None:
    simulate(tmp_path / "landing", tmp_path / "truth", FIRST, DAYS, **SIZE)
    hidden, usual = every_file(faulty / "truth"), every_file(tmp_path / "truth")
    told = {"faults.json", f"state/{THIRD}.undelivered.parquet"}
    assert {name for name in hidden if hidden[name] != usual.get(name)} <= told
    assert set(hidden) - set(usual) == {"faults.json"}


def test_what_was_delivered_cannot_be_ordered_otherwise(faulty: Path) -> None:
    for day, name in ((THIRD, "torn_file"), (NEXT, "late_events")):
        with pytest.raises(WrongCall, match=f"{day} has been ordered with"):
            simulate(
                faulty / "landing", faulty / "truth", FIRST, DAYS, **SIZE, faults={day: [name]}
            )


@pytest.mark.parametrize(
    ("asked", "complaint"),
    [
        ({FIRST: ["flood"]}, "no fault 'flood'; there are duplicates_within, .*missing_file"),
        (
            {FIRST + timedelta(DAYS): ["torn_file"]},
            "no fault on 2026-05-10: the days to simulate are 2026-05-05 to 2026-05-09",
        ),
    ],
)
def test_an_unknown_fault_or_day_is_refused_before_anything_is_written(
    tmp_path: Path, asked: Asked, complaint: str
) -> None:
    with pytest.raises(WrongCall, match=complaint):
        simulate(tmp_path / "landing", tmp_path / "truth", FIRST, DAYS, **SIZE, faults=asked)
    assert not list(tmp_path.iterdir())


def parser() -> ArgumentParser:
    made = ArgumentParser()
    command.add_arguments(made)
    return made


def test_the_help_names_every_fault_with_its_fate() -> None:
    told = " ".join(parser().format_help().split())
    for name, fault in FAULTS.items():
        assert f" {name} {fault.wrong} {fault.fate}" in told


def test_the_command_takes_faults_by_day(tmp_path: Path) -> None:
    words = ["--days", "2", "--last-day", "2026-05-06", "--size", "300", "--items", "200"]
    faults = ["--fault", "2026-05-06=torn_file", "--fault", "2026-05-06=empty_night"]
    settings = Settings(home=tmp_path)
    assert command.run(parser().parse_args([*words, *faults]), settings) == 0
    manifest = announced(settings.landing, DAY)
    assert manifest is not None
    assert manifest.of_kind("events")[0].rows == 0
    with pytest.raises(ContractViolation, match=r"events-000\.parquet has sha256"):
        read_manifest(settings.landing, DAY)


@pytest.mark.parametrize(
    ("word", "complaint"),
    [
        ("2026-05-06=flood", "no fault 'flood'"),
        ("2026-05-06", "no fault ''"),
        ("6 May=torn_file", "no day '6 May'"),
    ],
)
def test_a_fault_that_cannot_be_read_says_why(
    word: str, complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        parser().parse_args(["--last-day", "2026-05-06", "--fault", word])
    assert complaint in capsys.readouterr().err
