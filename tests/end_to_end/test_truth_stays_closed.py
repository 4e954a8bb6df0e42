"""No task opens the truth: it is watched while the chain runs.

That a whole day is equal where the truth is absent, the second pass in `test_chain.py` shows.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import polars as pl
import pytest

from tasks import columns as c
from tasks.__main__ import main
from tasks.errors import VitrinaError
from tasks.lake.lake import Lake
from tasks.lake.tables import (
    AUDIENCES,
    CUSTOMERS,
    LOOKALIKE_SCORES,
    MAILING_EFFECTS,
    THRESHOLD_CARDS,
)
from tasks.lookalikes.registry import segment_of
from tasks.settings import Mailings, Settings
from tasks.steps import CHAIN, run_dag
from tests.conftest import SHOP_DAYS, SHOP_FIRST_DAY, TRUTH_OPENED
from tests.opened_files import IS_SUPPORTED, watched
from tests.rows import rows

LAST = SHOP_FIRST_DAY + timedelta(days=SHOP_DAYS - 1)
SEGMENT = "clothes_buyers"
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


def offer(lake: Lake, day: date) -> None:
    """Offer an audience of everybody who may be written to: so small a shop's own card refuses."""
    known = lake.read_day(CUSTOMERS, LAST).filter("consent")[c.USER_ID].sort().head(40)
    scores = [{c.USER_ID: user, "probability": (n + 1) / 41} for n, user in enumerate(known)]
    lake.write_day(LOOKALIKE_SCORES, day, rows(LOOKALIKE_SCORES, *scores), SEGMENT)
    card = {"threshold": 0.5, "audience_size": 20, "verdict": "ok", "suggestion": "wide"}
    lake.write_day(THRESHOLD_CARDS, day, rows(THRESHOLD_CARDS, card), SEGMENT)


@pytest.fixture
def within_reach(shop: Path, loaded_copy: Settings) -> Settings:
    """The shop with its truth where a simulated shop's lies unless told otherwise."""
    (loaded_copy.home / "truth").symlink_to(shop.parent / "truth")
    return loaded_copy


@needs_inotify
def test_a_mailing_is_sent_and_measured_without_the_truth(
    shop: Path, within_reach: Settings
) -> None:
    lake, sent = Lake(within_reach), LAST - timedelta(days=segment_of(SEGMENT).horizon_days)
    offer(lake, sent)
    chosen_at = datetime(sent.year, sent.month, sent.day, tzinfo=UTC)
    choice = {"audience_size": 15, "chosen_by": "a", "chosen_at": chosen_at}
    wanted = Mailings.model_validate({"segment": SEGMENT, "mailing": "watched", **choice})
    asked = within_reach.model_copy(update={"mailings": wanted})
    with watched(shop.parent / "truth") as opened:
        run_dag("send_audience", sent, asked)
        run_dag("measure_mailing", LAST, asked)
    assert opened == set()
    assert lake.read_day(AUDIENCES, sent).height > 10
    assert lake.read_day(MAILING_EFFECTS, LAST).height > 0


@needs_inotify
@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["status", "--from", str(SHOP_FIRST_DAY), "--to", str(LAST)], "one sign per day"),
        (["report", "--day", str(LAST)], "The same with plots"),
        (["tune-ranker", "--day", str(LAST), "--tries", "1"], "Judged on the lists of"),
        (
            ["judge-features", "--day", str(LAST), "--features", "sf_pos"],
            "10 customers with a cart",
        ),
    ],
)
def test_no_command_opens_the_truth(
    command: list[str],
    words: str,
    shop: Path,
    within_reach: Settings,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("VITRINA_HOME", str(within_reach.home))
    monkeypatch.setenv("VITRINA_LANDING_FOLDER", str(within_reach.landing))
    monkeypatch.setenv("VITRINA_MLFLOW_URL", "")
    with watched(shop.parent / "truth") as opened:
        main(command)
    assert opened == set()
    assert words in "".join(capsys.readouterr())


@needs_inotify
def test_neither_the_watch_nor_a_rollback_opens_the_truth(
    shop: Path, within_reach: Settings
) -> None:
    with watched(shop.parent / "truth") as opened:
        run_dag("watch_chain", LAST, within_reach)
        with pytest.raises(VitrinaError, match="rollback"):
            run_dag("rollback_ranker", LAST, within_reach)
    assert opened == set()
