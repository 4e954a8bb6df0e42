"""The chain in Airflow's own pages: three days backfilled, a failed one mended by clicks alone."""

from __future__ import annotations

import ast
import re
import shutil
from collections.abc import Iterator
from contextlib import suppress
from datetime import date, timedelta
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tasks.landing.manifest import read_kind, read_manifest, write_landing_day
from tasks.settings import Settings
from tasks.steps import CHAIN, steps_of
from tests.airflow.conftest import LAST_DAY, Installation, eventually
from tests.cluster.servers import ROOT
from vitrina_airflow import standalone
from vitrina_airflow.history import load_history
from vitrina_airflow.rest import Airflow, Record
from vitrina_airflow.runbook import actions

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

ROOT_DAG, FOLLOWERS = CHAIN[0], CHAIN[1:]
DAYS = [LAST_DAY - timedelta(days=age) for age in (2, 1, 0)]
DAY_BEFORE = DAYS[0] - timedelta(days=1)
PATIENCE_MS = 60_000
RUN_SECONDS = 600
LIGHT = {
    "VITRINA_MIN_FREE_GB": "0",
    "VITRINA_RETRIES__SHORT_SECONDS": "2",
    # Of days that run side by side the later may wait for the earlier more often than three times;
    # twenty minutes are longer than this test waits.
    "VITRINA_RETRIES__INPUT_MINUTES": "0.25",
    "VITRINA_RETRIES__COUNT": "60",
    "VITRINA_FACETS__BOOTSTRAPS": "20",
    "VITRINA_LOOKALIKES__MIN_SEEDS": "10",
    "VITRINA_CANDIDATES__SASREC__MIN_STEPS": "1",
    "VITRINA_RANKER__LISTING_DAYS": "1",
    "VITRINA_RANKER__ITERATIONS": "10",
    "VITRINA_RANKER__BOOTSTRAPS": "100",
    # Too few customers to decide anything: the gate lets the first model pass.
    "VITRINA_RANKER__MIN_CUSTOMERS": "100000",
}


@pytest.fixture(scope="module")
def installation(shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """A running Airflow; four days have landed, one is loaded, the newest was tampered with."""
    home = tmp_path_factory.mktemp("browser")
    for day in (DAY_BEFORE, *DAYS):
        shutil.copytree(shop / f"dt={day}", home / "landing" / f"dt={day}")
    tampered = next((home / "landing" / f"dt={LAST_DAY}").glob("events-*.parquet"))
    tampered.write_bytes(tampered.read_bytes() + b"edited")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in LIGHT.items():
            patch.setenv(name, value)
        settings = Settings(home=home)
        family = standalone.start(settings)
    try:
        load_history(DAY_BEFORE, DAY_BEFORE, 1, settings)
        standalone.wait_until_healthy(settings, family)
        airflow = Airflow(family.airflow_url)
        eventually(lambda: all(airflow.dag(dag) for dag in CHAIN), "the DAGs")
        yield Installation(airflow, family, settings, [])
    finally:
        standalone.stop(settings)


@pytest.fixture(scope="module")
def page(browser: Browser, installation: Installation) -> Iterator[Page]:
    size = {"width": 1440, "height": 900}
    opened = browser.new_page(viewport=size, base_url=installation.airflow.url)  # type: ignore[arg-type]
    opened.set_default_timeout(PATIENCE_MS)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def asked(installation: Installation, page: Page) -> Installation:
    """An Airflow that is busy with three days, asked for in its page."""
    for dag in FOLLOWERS:
        installation.airflow.unpause(dag)
    backfill(page, DAYS[0], LAST_DAY)
    return installation


@pytest.fixture(scope="module")
def failed(asked: Installation) -> Record:
    """The newest day's run of the root, whose delivery is tampered."""

    def found() -> Record | None:
        runs = asked.airflow.runs([ROOT_DAG], [LAST_DAY])
        return next((run for run in runs if run["state"] == "failed"), None)

    run: Record = eventually(found, "the tampered day to fail", RUN_SECONDS)
    return run


@pytest.fixture(scope="module")
def mended(
    shop: Path, installation: Installation, page: Page, failed: Record
) -> dict[tuple[str, date], str]:
    """The ids of the runs by DAG and day, when the shop has delivered again and all are done."""
    deliver_again(shop, installation.settings.landing)
    clear(page, failed, "ingest")
    # Waits cost the machine less without a page that draws what runs.
    page.goto("about:blank")

    def done() -> list[Record] | None:
        runs = installation.airflow.runs(CHAIN, DAYS)
        ended = [run for run in runs if run["state"] in ("success", "failed")]
        return ended if len(ended) == len(CHAIN) * len(DAYS) else None

    def instead() -> str:
        return installation.unfinished(CHAIN, DAYS)

    runs = eventually(done, "every DAG to do every day", RUN_SECONDS, instead)
    return {
        (run["dag_id"], date.fromisoformat(run["partition_key"])): run["dag_run_id"] for run in runs
    }


def deliver_again(shop: Path, landing: Path) -> None:
    """Write the newest day as the shop had it, as its next version."""
    true = read_manifest(shop, LAST_DAY)
    frames = {kind: read_kind(shop, true, kind) for kind in {file.kind for file in true.files}}
    there = {kind: frame for kind, frame in frames.items() if frame is not None}
    assert write_landing_day(landing, LAST_DAY, there, true.source, true.facts).version == 2


def backfill(page: Page, first: date, last: date) -> None:
    """Ask for the days, as the runbook says."""
    page.goto(f"/dags/{ROOT_DAG}")
    page.get_by_role("button", name="Trigger Dag").click()
    form = page.get_by_role("dialog")
    form.get_by_text("Backfill", exact=True).click()
    for name, day in (("From", first), ("To", last)):
        form.get_by_text("Select date and time").first.click()
        date_field = page.get_by_role("textbox", name=name)
        date_field.fill(f"{day:%Y/%m/%d}")
        page.get_by_placeholder("HH:mm").fill("00:00")
        page.keyboard.press("Escape")
        # On a busy machine the first calendar is still closing when the second one opens.
        date_field.wait_for(state="hidden")
    form.locator("[name=max_active_runs]").fill("2")
    form.get_by_text("3 runs will be triggered").wait_for()
    form.get_by_role("button", name="Run Backfill").click()
    form.wait_for(state="hidden")


def clear(page: Page, run: Record, task: str) -> None:
    """Clear a failed task and those after it, as the runbook says."""
    square(page, run["dag_id"], run["dag_run_id"], task).click()
    page.get_by_role("button", name="to clear").click()
    form = page.get_by_role("dialog")
    form.get_by_text("Affected Tasks: 3").wait_for()
    form.get_by_role("button", name="Confirm").click()
    form.wait_for(state="hidden")


def square(page: Page, dag: str, run: str, task: str) -> Locator:
    """Open the grid, unless it is open, and return the square of a run's task."""
    if not re.search(rf"/dags/{dag}$", page.url):
        page.goto(f"/dags/{dag}")
    return page.get_by_test_id(f"grid-{run}-{task}")


def bar(page: Page, dag: str, run: str) -> Locator:
    """Return the bar of a run in the grid that is open."""
    return page.locator(f'a[href="/dags/{dag}/runs/{run}/"]')


def tooltip(shape: Locator, run: str) -> str:
    """What the grid says of a bar or square; one that is drawn anew may miss the first hover."""
    from playwright.sync_api import TimeoutError as NotThere

    page = shape.page
    shown = page.locator("body > div").filter(has_text=f"Run ID: {run}")

    def read() -> str | None:
        page.mouse.move(0, 0)
        shape.hover()
        with suppress(NotThere):
            return shown.inner_text(timeout=3_000)
        return None

    text: str = eventually(read, "its tooltip", seconds=60)
    return text


def runbook(dag: str) -> str:
    source = (ROOT / "dags" / f"{dag}.py").read_text(encoding="utf-8")
    return ast.get_docstring(ast.parse(source)) or ""


@pytest.mark.parametrize("dag", CHAIN)
def test_dag_docs_show_the_runbook(page: Page, asked: Installation, dag: str) -> None:
    page.goto(f"/dags/{dag}")
    page.get_by_role("button", name="Dag Docs").click()
    shown = page.get_by_role("dialog")
    shown.get_by_text("Run again").wait_for()
    text = shown.inner_text()
    for error, action in actions(runbook(dag)).items():
        assert error in text
        assert re.sub("[`*]", "", action) in text
    assert not {"*", "`", "#"} & set(text)


def test_the_failed_task_says_what_broke_and_links_to_its_mlflow_run(
    page: Page, failed: Record
) -> None:
    square(page, ROOT_DAG, failed["dag_run_id"], "ingest").click()
    page.get_by_text("ContractViolation: landing").first.wait_for()
    page.get_by_role("link", name="Details").click()
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="MLflow run").click()
    mlflow = opened.value
    mlflow.get_by_text(f"{ROOT_DAG}.ingest {LAST_DAY}").first.wait_for(timeout=PATIENCE_MS)
    mlflow.get_by_text("Failed", exact=True).wait_for(timeout=PATIENCE_MS)
    mlflow.close()


def test_cleared_in_the_page_the_task_succeeds_in_its_second_try(
    page: Page, failed: Record, mended: dict[tuple[str, date], str]
) -> None:
    assert mended[ROOT_DAG, LAST_DAY] == failed["dag_run_id"]
    square(page, ROOT_DAG, failed["dag_run_id"], "ingest").click()
    page.get_by_text("Task Tries").wait_for()
    page.get_by_text(f"delivery {LAST_DAY} v2").wait_for()
    page.get_by_text("Success", exact=True).first.wait_for()


@pytest.mark.parametrize("dag", CHAIN)
def test_the_grid_shows_three_days_with_their_states(
    page: Page, mended: dict[tuple[str, date], str], dag: str
) -> None:
    page.goto(f"/dags/{dag}")
    runs = [mended[dag, day] for day in DAYS]
    for run, step in product(runs, steps_of(dag)):
        square(page, dag, run, step.name).wait_for()
    for run in runs:
        assert "State: Success" in tooltip(bar(page, dag, run), run)
    bar(page, dag, runs[-1]).click()
    page.get_by_text("Partition Key", exact=True).wait_for()
    page.get_by_text(str(LAST_DAY), exact=True).wait_for()


def test_a_superseded_day_trains_nothing_and_is_green(
    page: Page, mended: dict[tuple[str, date], str]
) -> None:
    run = mended["train_candidates", DAYS[0]]
    training = square(page, "train_candidates", run, "train_generator")
    assert "State: Skipped" in tooltip(training, run)


def test_mapped_tasks_are_listed_by_name(page: Page, mended: dict[tuple[str, date], str]) -> None:
    run = mended["train_candidates", LAST_DAY]
    square(page, "train_candidates", run, "train_generator").click()
    for name in ("popular", "ease", "lightfm", "sasrec"):
        link = page.get_by_role("link", name=name, exact=True)
        link.wait_for()
        assert link.is_visible()
