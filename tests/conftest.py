"""What every test may ask for: settings over an empty home, and one small simulated shop."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from datetime import date, timedelta
from pathlib import Path
from shutil import copytree
from typing import TYPE_CHECKING

import hypothesis
import pytest
from filelock import FileLock

from tasks.lake import engines
from tasks.settings import Facets, Lookalikes, Settings
from tests.opened_files import watched
from vitrina_airflow import standalone

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# A busy machine is no failure: no test here asserts a time.
hypothesis.settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any machine")

SERVER_MARKS = ("airflow", "spark", "search", "cluster")


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


@pytest.fixture(scope="session", autouse=True)
def any_port() -> None:
    """Two installations that start at once would both find the usual ports free."""
    standalone.AIRFLOW_PORT = standalone.MLFLOW_PORT = 0


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A folder that all processes of one test run see."""
    own = tmp_path_factory.getbasetemp()
    return own if worker_id == "master" else own.parent


def made_once(folder: Path, make: Callable[[Path], object]) -> Path:
    """Return the folder, filled by whichever process asks first; the others wait for it."""
    with FileLock(f"{folder}.lock"):
        if not (done := folder / "done").exists():
            folder.mkdir()
            make(folder)
            done.touch()
    return folder


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings over an empty home, untracked."""
    return Settings(home=tmp_path, mlflow_url="", min_free_gb=0)


SHOP_FIRST_DAY = date(2026, 3, 2)
SHOP_DAYS = 11
TRUTH_OPENED = "truth_opened_by_the_chain.txt"


@pytest.fixture(scope="session")
def shop(shared_folder: Path) -> Path:
    """The landing folder of a small simulated shop: 11 days from 2026-03-02.

    Candidates train on 2026-03-05 and on 2026-03-12, the last day: the weekly rule names both.
    """
    return made_once(shared_folder / "shop", simulate_shop) / "landing"


def simulate_shop(folder: Path) -> None:
    """Write the landing days, and apart from them the truth."""
    from tasks.simulator.delivery import simulate

    simulate(folder / "landing", folder / "truth", SHOP_FIRST_DAY, SHOP_DAYS, 500, 250, seed=3)


@pytest.fixture(scope="session")
def loaded(shop: Path, shared_folder: Path) -> Settings:
    """Settings over a lake in which the whole chain has run for every day of the shop, in order.

    Only to read: other processes read it too, and copy it at any moment.
    """
    home = shared_folder / "loaded"
    small = {"lookalikes": Lookalikes(min_seeds=10), "facets": Facets(bootstraps=20)}
    settings = Settings(home=home, landing_folder=shop, mlflow_url="", min_free_gb=0, **small)
    made_once(home, lambda _: load_shop(settings))
    return settings


@pytest.fixture
def loaded_copy(loaded: Settings, tmp_path: Path) -> Settings:
    """The same over a copy, for a test that writes to it."""
    copytree(loaded.home, tmp_path, dirs_exist_ok=True)
    return loaded.model_copy(update={"home": tmp_path})


def load_shop(settings: Settings) -> None:
    """Run the chain for every day of the shop, and note what it opens of the truth."""
    # Within reach: below home is where a simulated shop's truth lies unless told otherwise.
    reach = settings.home / "truth"
    reach.symlink_to(settings.landing.parent / "truth")
    with watched(reach.resolve()) as opened:
        for number in range(SHOP_DAYS):
            run_chain(SHOP_FIRST_DAY + timedelta(days=number), settings)
    reach.unlink()
    (settings.home / TRUTH_OPENED).write_text("\n".join(map(str, sorted(opened))))


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
