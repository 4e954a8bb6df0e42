"""What every test may ask for: settings over an empty home, and one small simulated shop."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext, suppress
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tasks.lake import engines
from tasks.settings import Facets, Lookalikes, Settings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SERVER_MARKS = ("airflow", "spark", "cluster")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--servers-required",
        action="store_true",
        help="a server test that would be skipped fails instead; for CI",
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Iterator[None]:
    report = yield
    required = item.config.getoption("--servers-required")
    if required and report.skipped and any(item.get_closest_marker(m) for m in SERVER_MARKS):
        report.outcome = "failed"
        report.longrepr = f"a server test may not be skipped here: {report.longrepr}"
    return report


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings over an empty home, untracked."""
    return Settings(home=tmp_path, mlflow_url="", min_free_gb=0)


SHOP_FIRST_DAY = date(2026, 3, 2)
SHOP_DAYS = 11


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The landing folder of a small simulated shop: 11 days from 2026-03-02.

    Candidates train on 2026-03-05 and on 2026-03-12, the last day: the weekly rule names both.
    """
    from tasks.simulator.delivery import simulate

    folder = tmp_path_factory.mktemp("shop")
    simulate(folder / "landing", folder / "truth", SHOP_FIRST_DAY, SHOP_DAYS, 500, 250, seed=3)
    return folder / "landing"


@pytest.fixture(scope="session")
def loaded(shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings over a lake in which the whole chain has run for every day of the shop, in order."""
    home = tmp_path_factory.mktemp("loaded")
    small = {"lookalikes": Lookalikes(min_seeds=10), "facets": Facets(bootstraps=20)}
    settings = Settings(home=home, landing_folder=shop, mlflow_url="", min_free_gb=0, **small)
    for number in range(SHOP_DAYS):
        run_chain(SHOP_FIRST_DAY + timedelta(days=number), settings)
    return settings


def run_chain(day: date, settings: Settings) -> None:
    """Run the five DAGs for one day; the gate may refuse the model of so small a shop."""
    from tasks.errors import QualityGateFailed
    from tasks.steps import CHAIN, run_dag

    for dag in CHAIN:
        with suppress(QualityGateFailed) if dag == "retrain_ranker" else nullcontext():
            run_dag(dag, day, settings)


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """The one Spark session of the test run; engines find it by asking for theirs."""
    home = tmp_path_factory.mktemp("spark")
    session = engines.spark_session(Settings(home=home, engine="spark", mlflow_url="", memory_gb=1))
    # A statement over ten rows takes half the time when Spark interprets instead of compiling it.
    session.conf.set("spark.sql.codegen.wholeStage", "false")
    session.conf.set("spark.sql.codegen.factoryMode", "NO_CODEGEN")
    yield session
    session.stop()
