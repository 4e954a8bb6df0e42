"""A lake in which one segment is scored, as far as mailings read it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import pytest

from tasks.lake.lake import Lake
from tasks.lake.tables import CONTACTS, CUSTOMERS, LOOKALIKE_SCORES, THRESHOLD_CARDS
from tasks.landing.manifest import write_landing_day
from tasks.settings import Mailings, Settings
from tests.rows import rows

DAY = date(2026, 3, 12)
CHOSEN_AT = datetime(2026, 3, 12, 8, 30, tzinfo=UTC)
SEGMENT = "bag_buyers"
PEOPLE = 40
CARD = {
    "threshold": 0.5,
    "audience_size": 20,
    "precision": 0.6,
    "precision_low": 0.4,
    "precision_high": 0.8,
    "recall": 0.3,
    "recall_low": 0.2,
    "recall_high": 0.4,
    "lift": 2.4,
    "lift_low": 1.6,
    "lift_high": 3.2,
    "expected_buyers": 12.0,
    "expected_low": 8.0,
    "expected_high": 16.0,
    "base_rate": 0.25,
    "rule_size": 25,
    "rule_precision": 0.4,
    "rule_precision_low": 0.2,
    "rule_precision_high": 0.6,
    "rule_recall": 0.25,
    "rule_matched_precision": 0.5,
    "rule_matched_precision_low": 0.3,
    "rule_matched_precision_high": 0.7,
    "rule_matched_recall": 0.3125,
    "verdict": "ok",
    "suggestion": "wide",
}


def scores() -> list[dict[str, object]]:
    """u00 is the most probable: 40/41, u39 the least: 1/41."""
    return [
        {"user_id": f"u{n:02d}", "probability": (PEOPLE - n) / (PEOPLE + 1)} for n in range(PEOPLE)
    ]


@pytest.fixture
def scored(settings: Settings) -> Settings:
    """u00 has not consented, u01 has opted out, u02 has had two letters this week."""
    lake = Lake(settings)
    for day in (DAY - timedelta(days=1), DAY):
        write_landing_day(settings.landing, day, {}, "test")
        lake.write_day(CUSTOMERS, day, rows(CUSTOMERS, *customers()))
        lake.write_day(CONTACTS, day, rows(CONTACTS, *letters(day)))
    lake.write_day(LOOKALIKE_SCORES, DAY, rows(LOOKALIKE_SCORES, *scores()), SEGMENT)
    lake.write_day(THRESHOLD_CARDS, DAY, rows(THRESHOLD_CARDS, CARD), SEGMENT)
    return settings


def customers() -> list[dict[str, object]]:
    return [{"user_id": one["user_id"], "consent": one["user_id"] != "u00"} for one in scores()]


def letters(day: date) -> list[dict[str, object]]:
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    return [
        {"user_id": "u01", "mailing": "news", "sent_at": noon, "opted_out": day < DAY},
        {"user_id": "u02", "mailing": "news", "sent_at": noon},
    ]


@pytest.fixture
def told(scored: Settings) -> Callable[..., Settings]:
    """Settings of a run; anything of Mailings may be changed."""

    def changed(**more: object) -> Settings:
        usual = {"segment": SEGMENT, "mailing": "spring", "chosen_by": "anna", "threshold": 0.5}
        fixed = {"control_share": 0.3, "chosen_at": CHOSEN_AT}
        options = Mailings.model_validate({**usual, **fixed, **more})
        return scored.model_copy(update={"mailings": options})

    return changed
