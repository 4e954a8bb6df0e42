"""A day lived in blocks of customers is the day lived whole, in bounded pieces."""

from __future__ import annotations

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
from tasks.landing.manifest import read_manifest
from tasks.settings import Settings
from tasks.simulator import blocks, delivery
from tasks.simulator.delivery import simulate
from tasks.simulator.parameters import world_named
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
        assert_frame_equal(landed(parted, day), landed(whole, day))
    corrected = days[2]
    assert_frame_equal(landed(parted, corrected, 2), landed(whole, corrected, 2))
    for name in ("tastes", "traits", f"listings/dt={days[-1]}/rows"):
        one, two = (pl.read_parquet(home / "truth" / f"{name}.parquet") for home in (whole, parted))
        assert_frame_equal(one, two)


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


def test_event_ids_say_whose_and_which_event_it_is() -> None:
    shop = Shop.opened(3, FIRST, customers=300, items=200)
    events = shop.simulate_day(FIRST)[0]["events"].unique(c.EVENT_ID)
    first = events.filter(pl.col(c.USER_ID) == events[c.USER_ID][0]).sort(c.EVENT_ID)
    assert first[c.TS].is_sorted()
    assert (events[c.EVENT_ID].str.slice(7, 7) == events[c.USER_ID].str.slice(1)).all()
