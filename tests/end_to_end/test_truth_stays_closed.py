"""No task opens the truth: it is watched while the chain runs.

That a whole day is equal where the truth is absent, the second pass in `test_chain.py` shows.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import duckdb
import polars as pl
import pytest

from tasks import status
from tasks.errors import VitrinaError
from tasks.lake.lake import Lake
from tasks.report.build import build
from tasks.report.page import html
from tasks.settings import Mailings, Settings
from tasks.steps import CHAIN
from tests.conftest import SHOP_DAYS, SHOP_FIRST_DAY, TRUTH_OPENED
from tests.opened_files import IS_SUPPORTED, watched

LAST = SHOP_FIRST_DAY + timedelta(days=SHOP_DAYS - 1)
DAGS = Path(__file__).resolve().parents[2] / "dags"
WATCHED_HERE = {"watch_chain", "rollback_ranker", "send_audience", "measure_mailing"}

needs_inotify = pytest.mark.skipif(not IS_SUPPORTED, reason="only Linux tells what was opened")


def by_python(path: Path) -> object:
    return path.read_bytes()


def by_polars(path: Path) -> object:
    return pl.scan_parquet(path).collect()


def by_duckdb(path: Path) -> object:
    return duckdb.sql(f"SELECT * FROM read_parquet('{path}')").fetchall()


def by_another_process(path: Path) -> object:
    return subprocess.run([sys.executable, "-c", f"open({str(path)!r}).close()"], check=True)


@needs_inotify
@pytest.mark.parametrize("reader", [by_python, by_polars, by_duckdb, by_another_process])
def test_a_watch_sees_whoever_opens_a_file(
    reader: Callable[[Path], object], tmp_path: Path
) -> None:
    hidden = tmp_path / "truth" / "listings" / "rows.parquet"
    hidden.parent.mkdir(parents=True)
    pl.DataFrame({"p_cart": [0.5]}).write_parquet(hidden)
    with watched(tmp_path / "truth") as opened:
        assert hidden.exists()
    assert opened == set()
    with watched(tmp_path / "truth") as opened:
        reader(hidden)
    assert opened == {hidden}


def test_the_truth_is_there_to_be_opened(shop: Path) -> None:
    files = [path for path in (shop.parent / "truth").rglob("*") if path.is_file()]
    assert len(files) > SHOP_DAYS


def test_every_dag_is_watched() -> None:
    assert {path.stem for path in DAGS.glob("*.py")} == {*CHAIN, *WATCHED_HERE}


@needs_inotify
def test_no_step_of_the_chain_opened_the_truth(loaded: Settings) -> None:
    assert (loaded.home / TRUTH_OPENED).read_text() == ""


@needs_inotify
def test_nothing_outside_the_chain_opens_the_truth(shop: Path, loaded_copy: Settings) -> None:
    from tasks import measure_mailing, rollback_ranker, send_audience, watch_chain

    wanted = Mailings(segment="clothes_buyers", mailing="watched", audience_size=5, chosen_by="a")
    asked = loaded_copy.model_copy(update={"mailings": wanted})
    with watched(shop.parent / "truth") as opened:
        with suppress(VitrinaError):
            watch_chain.judge_day(LAST, loaded_copy)
        with suppress(VitrinaError):
            rollback_ranker.roll_back(LAST, loaded_copy)
        for step in send_audience.STEPS:
            with suppress(VitrinaError):
                step.run(LAST, asked)
        measure_mailing.measure(LAST, loaded_copy)
        status.statuses(Lake(loaded_copy), [LAST])
        html(build(LAST, loaded_copy))
    assert opened == set()
