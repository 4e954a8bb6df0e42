"""A day lived in blocks of customers is the day lived whole, in bounded pieces."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from tasks import columns as c
from tasks.build_features import ingest
from tasks.lake.lake import Lake
from tasks.lake.tables import EVENTS
from tasks.landing.manifest import OpenDelivery, read_manifest
from tasks.settings import Settings
from tasks.simulator import blocks, delivery
from tasks.simulator.delivery import simulate
from tasks.simulator.parameters import DEFAULT, world_named
from tasks.simulator.shop import Shop

FIRST, DAYS = date(2026, 3, 3), 4
SIZE = {"customers": 300, "items": 200, "seed": 3}
FAULTS = {
    FIRST + timedelta(1): ["duplicates_within", "late_events", "bot_storm", "zero_price"],
    FIRST + timedelta(2): ["correction", "unknown_item", "merged_user"],
}


def landed(home: Path, day: date, version: int | None = None) -> pl.DataFrame:
    folder = home / "landing" / f"dt={day}"
    suffix = f".v{version}" if version else ""
    frames = [pl.read_parquet(path) for path in folder.glob(f"events-???{suffix}.parquet")]
    return pl.concat(frames).sort(c.RECEIVED_AT, c.EVENT_ID)


@pytest.mark.parametrize("world", ["default", "rough"])
def test_blocks_change_nothing_that_lands_and_nothing_of_the_truth(
    world: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = {**SIZE, "faults": FAULTS, "parameters": world_named(world)}
    whole, parted = tmp_path / "whole", tmp_path / "parted"
    simulate(whole / "landing", whole / "truth", FIRST, DAYS, **told)
    monkeypatch.setattr(blocks, "BLOCK", 64)
    monkeypatch.setattr(delivery, "FILE_ROWS", 500)
    simulate(parted / "landing", parted / "truth", FIRST, DAYS, **told)
    days = [FIRST + timedelta(number) for number in range(DAYS)]
    assert len(read_manifest(parted / "landing", days[0]).of_kind("events")) > 1
    for day in days:
        assert_frame_equal(landed(parted, day), landed(whole, day), check_exact=True)
    corrected = days[2]
    assert_frame_equal(landed(parted, corrected, 2), landed(whole, corrected, 2), check_exact=True)
    for name in ("tastes.parquet", "traits.parquet", "listings/*/*.parquet"):
        one, two = (pl.read_parquet(home / "truth" / name) for home in (whole, parted))
        # Running sums over lists end otherwise in their last bits.
        assert_frame_equal(one, two, rel_tol=1e-12)


def test_a_run_killed_between_two_files_of_a_day_is_taken_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "BLOCK", 64)
    monkeypatch.setattr(delivery, "FILE_ROWS", 500)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    simulate(whole / "landing", whole / "truth", FIRST, 2, **SIZE)

    def no_second_file(self: OpenDelivery, kind: str, frame: pl.DataFrame) -> None:
        if kind == "events" and frame[c.RECEIVED_AT].dt.date()[0] > FIRST:
            raise KeyboardInterrupt
        added(self, kind, frame)

    added = OpenDelivery.add
    with monkeypatch.context() as killing:
        killing.setattr(OpenDelivery, "add", no_second_file)
        with pytest.raises(KeyboardInterrupt):
            simulate(killed / "landing", killed / "truth", FIRST, 2, **SIZE)
    simulate(killed / "landing", killed / "truth", FIRST, 2, **SIZE)
    for day in (FIRST, FIRST + timedelta(1)):
        one, two = (read_manifest(home / "landing", day) for home in (whole, killed))
        assert one == two


def test_progress_tells_each_day_with_its_share_events_and_pace(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger=delivery.__name__)
    counts = simulate(tmp_path / "landing", tmp_path / "truth", FIRST, 2, **SIZE)
    told = [line for line in caplog.messages if line.startswith("simulated ")]
    assert [line.split(",")[0] for line in told] == [
        f"simulated {FIRST}: day 1 of 2 (50%)",
        f"simulated {FIRST + timedelta(1)}: day 2 of 2 (100%)",
    ]
    events, pace = re.fullmatch(r".*\), ([\d,]+) events, ([\d,]+) a second", told[-1]).groups()  # type: ignore[union-attr]
    assert int(events.replace(",", "")) == counts["events"]
    assert int(pace.replace(",", "")) > 0


def test_ingest_reads_every_file_of_a_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(home=tmp_path, mlflow_url="", min_free_gb=0)
    monkeypatch.setattr(delivery, "FILE_ROWS", 500)
    monkeypatch.setattr(blocks, "BLOCK", 64)
    simulate(settings.landing, tmp_path / "truth", FIRST, 1, **SIZE)
    counts = ingest(FIRST, settings)
    assert counts["rows"] == landed(tmp_path, FIRST).height
    assert Lake(settings).read_day(EVENTS, FIRST).height == counts["events"] > 1_000


def test_a_shop_moves_on_when_its_last_part_is_taken() -> None:
    shop = Shop.opened(3, FIRST, customers=300, items=200)
    _, parts = shop.parts_of_day(FIRST)
    next(parts)
    assert shop.next_day == FIRST
    list(parts)
    assert shop.next_day == FIRST + timedelta(1)


def test_a_day_that_was_begun_is_not_lived_again() -> None:
    shop = Shop.opened(3, FIRST, customers=300, items=200)
    _, parts = shop.parts_of_day(FIRST)
    next(parts)
    parts.close()
    with pytest.raises(ValueError, match=f"{FIRST} was begun and not taken to its end"):
        shop.simulate_day(FIRST)
    with pytest.raises(ValueError, match=f"{FIRST} was begun and not taken to its end"):
        shop.copy().present_lists(FIRST)


def test_what_waits_for_a_later_day_does_not_keep_the_text_of_the_whole_day() -> None:
    shop = Shop.opened(3, FIRST, customers=1_000, items=200)
    shop.simulate_day(FIRST)
    waiting = shop.undelivered.to_arrow(compat_level=pl.CompatLevel.newest())
    assert waiting.num_rows > 0
    assert waiting.get_total_buffer_size() < 2_000 * waiting.num_rows


def test_how_customers_are_parted_changes_nothing_of_what_is_usual(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def usual(sample: int) -> float:
        parameters = replace(DEFAULT, usual_sample=sample)
        return Shop.opened(3, FIRST, 300, 200, parameters).world.usual_utility

    whole = usual(1_000)
    monkeypatch.setattr(blocks, "BLOCK", 64)
    assert usual(1_000) == whole
    assert usual(100) != whole


def test_every_customer_is_in_one_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BLOCK", 4)
    assert [len(block) for block in blocks.blocks(10)] == [4, 4, 2]
    assert np.concatenate(blocks.blocks(10)).tolist() == list(range(10))


def test_what_is_made_side_by_side_comes_in_order_and_an_error_surfaces() -> None:
    def made(number: int) -> int:
        if number == 7:
            raise ValueError("seven")
        return number * number

    assert list(blocks.side_by_side(made, range(6))) == [0, 1, 4, 9, 16, 25]
    with pytest.raises(ValueError, match="seven"):
        list(blocks.side_by_side(made, range(9)))


def test_nothing_more_is_made_once_nobody_wants_it() -> None:
    made: list[int] = []
    squares = blocks.side_by_side(made.append, range(100))
    next(squares)
    squares.close()
    assert len(made) <= 1 + blocks.AT_A_TIME


def test_event_ids_say_whose_and_which_event_it_is() -> None:
    shop = Shop.opened(3, FIRST, customers=300, items=200)
    events = shop.simulate_day(FIRST)[0]["events"].unique(c.EVENT_ID)
    first = events.filter(pl.col(c.USER_ID) == events[c.USER_ID][0]).sort(c.EVENT_ID)
    assert first[c.TS].is_sorted()
    assert (events[c.EVENT_ID].str.slice(7, 7) == events[c.USER_ID].str.slice(1)).all()
