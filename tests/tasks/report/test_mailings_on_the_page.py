"""The result page's part about mailings: none, decided, measured."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tasks.lake.lake import Lake
from tasks.lake.tables import AUDIENCE_DECISIONS, MAILING_EFFECTS
from tasks.landing.manifest import write_landing_day
from tasks.mailings.effect import effects
from tasks.report.build import build
from tasks.report.page import Page, html, text
from tasks.settings import Settings
from tests.rows import rows

DAY = date(2026, 10, 1)
CHOSEN = date(2026, 9, 20)
DECISION = {"lookalike_segment": "bag_buyers", "mailing": "spring", "chosen_by": "<b>anna</b>"}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = Settings(home=tmp_path, mlflow_url="")
    write_landing_day(settings.landing, DAY, {}, "test")
    return settings


def decide(settings: Settings) -> None:
    decision = DECISION | {"threshold": 0.4, "sent": 90, "control": 10, "detectable_effect": 0.2}
    Lake(settings).append_day(AUDIENCE_DECISIONS, CHOSEN, rows(AUDIENCE_DECISIONS, decision))


def measured(control: int = 10, sent: int = 90) -> pl.DataFrame:
    """The effects of an audience whose control people are the least probable."""
    roles = ["sent"] * sent + ["control"] * control
    frame = pl.DataFrame({"user_id": [f"u{n:03d}" for n in range(len(roles))], "role": roles})
    did = (np.arange(frame.height) % 3 == 0).tolist()
    people = frame.with_columns(
        pl.Series("probability", np.linspace(0.9, 0.4, frame.height)),
        pl.Series("seed_thing", did),
        pl.Series("orders", did).cast(pl.Int64),
        pl.Series("revenue", did).cast(pl.Int64) * 500,
    )
    own = {"lookalike_segment": "bag_buyers", "mailing": "spring", "audience_day": CHOSEN}
    found = effects(people, 100, 1).with_columns(pl.lit(v).alias(n) for n, v in own.items())
    return found.select(MAILING_EFFECTS.schema.names())


def section(page: Page, title: str) -> str:
    return text(Page(DAY, (), tuple(one for one in page.sections if one.title == title)))


def test_a_shop_that_writes_to_nobody_says_so(settings: Settings) -> None:
    assert "No audience was chosen in the last 60 days." in section(
        build(DAY, settings), "Mailings"
    )


def test_a_decision_shows_who_chose_and_no_effect_before_it_is_measured(settings: Settings) -> None:
    decide(settings)
    page = build(DAY, settings)
    line = next(one for one in section(page, "Mailings").splitlines() if "spring" in one)
    assert line.split() == [
        "2026-09-20", "bag_buyers", "spring", "<b>anna</b>", "0.4", "90", "10", "0.2", "-"
    ]  # fmt: skip
    assert "<b>anna</b>" not in html(page)


@pytest.mark.parametrize("control", [10, 0])
def test_a_measured_mailing_has_its_effects_and_its_picture(
    settings: Settings, control: int
) -> None:
    decide(settings)
    Lake(settings).append_day(MAILING_EFFECTS, DAY, measured(control))
    page = build(DAY, settings)
    title = "Mailing: spring, bag_buyers, 2026-09-20"
    row = next(one for one in section(page, title).splitlines() if one.startswith("seed_thing "))
    # 30 of 90 sent did it; of the ten after them 90, 93, 96 and 99.
    worked = (
        ["90", "10", "0.3333", "0.4", "-0.0667"] if control else ["90", "0", "0.3333", "-", "-"]
    )
    assert row.split()[1:6] == worked
    assert next(one for one in page.sections if one.title == title).figure is not None
    assert html(page).count("data:image/png") >= 1


@pytest.mark.parametrize(
    ("sent", "control", "why"),
    [
        (90, 10, "none of the 10 control people is in the most probable tenth"),
        (90, 0, "nobody is control"),
        (0, 10, "nobody was sent the letter"),
    ],
)
def test_an_unknown_qini_coefficient_has_its_reason(
    settings: Settings, sent: int, control: int, why: str
) -> None:
    Lake(settings).append_day(MAILING_EFFECTS, DAY, measured(control, sent))
    said = section(build(DAY, settings), "Mailing: spring, bag_buyers, 2026-09-20")
    assert f"Qini coefficient over the probability: unknown, since {why}." in said


def test_a_known_qini_coefficient_has_its_interval(settings: Settings) -> None:
    rows_of_it = measured().with_columns(
        pl.when(metric="qini_coefficient").then(pl.lit(value)).otherwise(name).alias(name)
        for name, value in (("effect", 0.02), ("low", -0.01), ("high", 0.05))
    )
    Lake(settings).append_day(MAILING_EFFECTS, DAY, rows_of_it)
    said = section(build(DAY, settings), "Mailing: spring, bag_buyers, 2026-09-20")
    assert "Qini coefficient over the probability: 0.0200 [-0.0100, 0.0500]; above 0" in said
