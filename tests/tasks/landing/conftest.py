"""Deliveries small enough to be worked by hand."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import polars as pl
import pytest

from tasks.lake.tables import CUSTOMERS, EVENTS, ITEMS
from tasks.landing.manifest import write_landing_day
from tasks.settings import Settings

Row = dict[str, Any]
Land = Callable[..., None]
DAY = date(2026, 3, 10)


def at(day: date, hour: int = 12, minute: int = 0, second: int = 0) -> datetime:
    return datetime(day.year, day.month, day.day, hour, minute, second, tzinfo=UTC)


def event(event_id: str, day: date = DAY, **changed: Any) -> Row:  # noqa: ANN401
    row: Row = {
        **dict.fromkeys(EVENTS.columns),
        "event_id": event_id,
        "ts": at(day),
        "received_at": at(day, 13),
        "user_id": "u1",
        "event_type": "view",
        "item_id": "i1",
        "platform": "web",
        "surface": "catalogue",
    }
    return {**row, **changed}


def events_frame(*rows: Row) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=EVENTS.schema)


def items_frame(day: date = DAY, *items: str) -> pl.DataFrame:
    rows = [
        {
            **dict.fromkeys(ITEMS.columns),
            "item_id": item,
            "category_group": "home",
            "category": "mugs",
            "price": 500,
            "in_stock": True,
            "first_seen": day,
        }
        for item in items or ("i1",)
    ]
    return pl.DataFrame(rows, schema=ITEMS.schema)


def customers_frame(*users: str) -> pl.DataFrame:
    rows = [
        {**dict.fromkeys(CUSTOMERS.columns), "user_id": user, "consent": True} for user in users
    ]
    return pl.DataFrame(rows, schema=CUSTOMERS.schema)


@pytest.fixture
def land(settings: Settings) -> Land:
    def _land(day: date, *rows: Row, **frames: pl.DataFrame) -> None:
        delivered = {"events": events_frame(*rows), "items": items_frame(day), **frames}
        write_landing_day(settings.landing, day, delivered, "test")

    return _land
