from __future__ import annotations

from argparse import ArgumentParser
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from tasks import columns as c
from tasks.settings import Settings
from tasks.simulator import command, report
from tasks.simulator.parameters import DEFAULT, ROUGH, world_named


@pytest.fixture(scope="module")
def month() -> report.Month:
    return report.lived(DEFAULT, seed=3, last_day=date(2026, 5, 28))


def test_the_command_writes_a_page_of_both_worlds_and_lands_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "CUSTOMERS", 300)
    monkeypatch.setattr(report, "ITEMS", 200)
    parser = ArgumentParser()
    command.add_arguments(parser)
    args = parser.parse_args(["--last-day", "2026-05-28", "--report"])
    assert command.run(args, Settings(home=tmp_path, real_data=None)) == 0
    told = capsys.readouterr().out
    page = next((tmp_path / "lake" / "reports").glob("shop-*.html"))
    assert str(page) in told
    assert "No folder of real data" in told
    shown = page.read_text()
    # Tastes and a list of a customer of each world, and both worlds' spread.
    assert shown.count("data:image/png") == 5
    names = [DEFAULT.version, world_named(ROUGH).version]
    assert all(f"A list and its truth ({name})" in shown for name in names)
    assert not (tmp_path / "landing").exists()
    assert not (tmp_path / "truth").exists()


def test_the_list_shown_is_one_in_which_the_customer_did_something(month: report.Month) -> None:
    customer = report.liveliest(month, date(2026, 5, 28))
    done = month.events.filter(
        (pl.col(c.USER_ID) == customer) & (pl.col(c.TS).dt.date() == date(2026, 5, 28))
    )
    assert done.filter(pl.col(c.EVENT_TYPE) == c.VIEW).height > 1
    section = report.list_section(month, customer)
    assert section.figure is not None
    likes = report.tastes_section(month, customer)
    assert likes.figure is not None
    assert len(likes.figure.axes[0].patches) == report.TASTES
    week = report.week_section(month, customer, date(2026, 5, 28)).table
    assert week is not None
    assert week[c.TS].is_sorted(descending=True)
