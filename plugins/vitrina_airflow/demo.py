"""The main job's result on one machine: a shop's files, real Airflow, a result page.

`python -m vitrina_airflow.demo [--days 30] [--customers 3000] [--items 1500] [--seed 7]` simulates
the shop; `--source online_retail --path FOLDER --last-day 2011-09-20 --days 90` takes outside data
by one of the importers. While Airflow and MLflow start, the files land and all days but the last
three are loaded by the functions that Airflow runs; then Airflow backfills the last three and the
four DAGs that follow do the same days. What is done is not done again, so that it goes on where it
was stopped. Exit codes: 0 done (a refusal by the gate included), 1 a run failed, 130 interrupted.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import requests

from tasks.arguments import a_day
from tasks.errors import VitrinaError
from tasks.lake.ledger import days_between
from tasks.landing.manifest import landing_days, read_manifest
from tasks.settings import Settings
from tasks.steps import CHAIN
from vitrina_airflow import standalone
from vitrina_airflow.alert_book import AlertBook
from vitrina_airflow.history import load_history
from vitrina_airflow.processes import Family
from vitrina_airflow.rest import Airflow, Record

ROOT_DAG = CHAIN[0]
BACKFILLED_DAYS = 3
ACTIVE_RUNS = 2
POLL_SECONDS = 3
SCHEDULE_SECONDS = 30
STILL_SECONDS = 120
# `python -m tasks report` writes a page of the same day, without Airflow's runs.
PAGE_STEM = "demo-"
WAIT_MINUTES = 30
LOG_LINES = 20
INTERRUPTED = 130
REFUSAL = "QualityGateFailed"
SIMULATOR = "simulator"
DONE = ("success", "failed")
AT_WORK = {"running": "", "up_for_retry": " (waits for its next try)"}


class RunFailed(VitrinaError):
    """A task of a day that the demo asked for failed."""


def main() -> int:
    """Run the demo and return its exit code."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    args = _arguments()
    try:
        show(args, Settings())
    except VitrinaError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    except requests.RequestException as error:
        print(f"Airflow did not answer: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped; `make demo` goes on from here, `make stop` ends what runs")
        return INTERRUPTED
    return 0


def show(args: argparse.Namespace, settings: Settings) -> None:
    """Land, load, backfill, wait, print."""
    last = args.last_day or _yesterday()
    first, asked = last - timedelta(days=args.days - 1), last - timedelta(days=BACKFILLED_DAYS - 1)
    refuse_other_source(args.source, settings)
    say(f"starting Airflow and MLflow; their logs are in {settings.home}/airflow/logs")
    family = standalone.start(settings)
    land(args, settings, first, last)
    say(f"loading the history up to {asked - timedelta(days=1)}")
    load_history(first, asked - timedelta(days=1), args.listing_days, settings)
    say("waiting for Airflow")
    standalone.wait_until_healthy(settings, family)
    days = days_between(asked, last)
    airflow = Airflow(family.airflow_url)
    begin(airflow, days, settings)
    runs = watch(airflow, days, settings, family)
    print_result(last, settings, runs, family)


def refuse_other_source(source: str, settings: Settings) -> None:
    """Refuse to mix two shops in one home.

    Raises:
        VitrinaError: the landing folder has days of another source.
    """
    for day in landing_days(settings.landing)[:1]:
        there = read_manifest(settings.landing, day).source
        if there != source:
            raise VitrinaError(
                f"{settings.landing} holds days from {there}, and days from {source} must not join"
                " them; name another folder in VITRINA_HOME"
            )


def land(args: argparse.Namespace, settings: Settings, first: date, last: date) -> None:
    """Write the landing days that are not there yet.

    Raises:
        VitrinaError: an outside source without its path.
    """
    if args.source == SIMULATOR:
        from tasks.simulator.delivery import simulate
        from tasks.simulator.parameters import LIVELY

        say(f"simulating {args.days} days of a lively shop with {args.customers:,} customers")
        truth = settings.home / "truth"
        size = args.customers, args.items
        simulate(settings.landing, truth, first, args.days, *size, args.seed, parameters=LIVELY)
        return
    from tasks.landing.importers import load

    if args.path is None:
        raise VitrinaError(f"--source {args.source} needs --path")
    say(f"loading {args.source} from {first} to {last}")
    print(load(args.source, args.path, settings, first=first, last=last).as_text())


def begin(airflow: Airflow, days: list[date], settings: Settings) -> None:
    """Have Airflow run the days: failed runs again, days without a run for the first time."""
    until(lambda: all(airflow.dag(dag) for dag in CHAIN), "Airflow to read the DAGs")
    for run in airflow.runs(CHAIN, days):
        if broken_tasks(airflow, run, settings):
            airflow.clear_failed(run)
    by_schedule = days[-1] == _yesterday()
    # A DAG that wakes runs yesterday by schedule, whatever a backfill holds; so that yesterday is
    # not run twice, the backfill takes the days before.
    held = days[:-1] if by_schedule else days
    if len(airflow.runs([ROOT_DAG], held)) < len(held):
        airflow.backfill(ROOT_DAG, held[0], held[-1], ACTIVE_RUNS)
        say(f"backfilling {ROOT_DAG} from {days[0]}; four DAGs follow each day")
    for dag in CHAIN:
        airflow.unpause(dag)
    # Unless it became tomorrow meanwhile.
    if by_schedule and not is_met(
        lambda: bool(airflow.runs([ROOT_DAG], days[-1:])), SCHEDULE_SECONDS
    ):
        airflow.trigger(ROOT_DAG, days[-1])


def watch(airflow: Airflow, days: list[date], settings: Settings, family: Family) -> list[Record]:
    """Return the runs of the days when all are done, showing what happens meanwhile.

    Raises:
        RunFailed: a task failed, unless it is the gate's refusal; or nothing moves any more.
    """
    wanted, told, moved = len(CHAIN) * len(days), "", time.monotonic()
    while True:
        runs = airflow.runs(CHAIN, days)
        for run in runs:
            refuse_failure(airflow, run, settings)
        done = sum(run["state"] in DONE for run in runs)
        if done == wanted:
            return runs
        if (line := progress(airflow, runs, done)) != told:
            say(line)
            told, moved = line, time.monotonic()
        refuse_standstill(time.monotonic() - moved, told, family)
        time.sleep(POLL_SECONDS)


def refuse_standstill(seconds: float, told: str, family: Family) -> None:
    """Accept that nothing changes for a while, but not for ever or with a component down.

    Raises:
        RunFailed: naming what is down, or what was last seen.
    """
    down = standalone.unhealthy(family) if seconds > STILL_SECONDS else []
    if down or seconds > WAIT_MINUTES * 60:
        raise RunFailed(f"nothing moved for {seconds:.0f} s ({told}); down: {', '.join(down)}")


def progress(airflow: Airflow, runs: list[Record], done: int) -> str:
    """Return one line: how many runs are done, and what runs or waits."""
    days = {run["dag_run_id"]: run["partition_key"] for run in runs}
    told = [
        f"{task['dag_id']}.{_title(task)} {days[task['dag_run_id']]}{AT_WORK[task['state']]}"
        for task in airflow.tasks_in(list(AT_WORK))
        if task["dag_run_id"] in days
    ]
    return f"{done} of {len(CHAIN) * BACKFILLED_DAYS} runs done; {', '.join(told) or 'scheduling'}"


def refuse_failure(airflow: Airflow, run: Record, settings: Settings) -> None:
    """Accept the failure of a run that is nothing but the gate's refusal.

    Raises:
        RunFailed: with the failed task and the last lines of its log.
    """
    for task in broken_tasks(airflow, run, settings):
        title = f"{task['dag_id']}.{_title(task)} of {run['partition_key']}"
        tail = "\n".join(f"    {line}" for line in airflow.log_tail(task, LOG_LINES))
        raise RunFailed(f"{title} failed. The end of its log:\n{tail}\nSee {airflow.url}")


def broken_tasks(airflow: Airflow, run: Record, settings: Settings) -> list[Record]:
    """Return the failed tasks of a run, but for the gate's refusal, which is an outcome."""
    if run["state"] != "failed":
        return []
    book = AlertBook(settings.home)
    failed = [task for task in airflow.tasks(run) if task["state"] == "failed"]
    return [task for task in failed if book.error_of(task) != REFUSAL]


def print_result(last: date, settings: Settings, runs: list[Record], family: Family) -> None:
    """Print the result page of the last day, and where to look."""
    from tasks.report.build import build
    from tasks.report.page import text, write_html

    page = build(last, settings, runs)
    print(text(page))
    print(f"\nThis page with plots: {write_html(page, settings, PAGE_STEM)}")
    print(f"Airflow: {family.airflow_url}   MLflow: {family.mlflow_url}   (until `make stop`)")


def until(ready: Callable[[], bool], what: str) -> None:
    """Return when `ready` says so.

    Raises:
        RunFailed: not within three minutes.
    """
    if not is_met(ready, standalone.START_SECONDS):
        raise RunFailed(f"gave up waiting for {what}")


def is_met(ready: Callable[[], bool], seconds: float) -> bool:
    """Return whether `ready` says so within the seconds."""
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.5)
    return True


def say(line: str) -> None:
    """Print a line of progress with the time."""
    print(f"{datetime.now(UTC):%H:%M:%S} {line}", flush=True)


def _title(task: Record) -> str:
    key = task.get("rendered_map_index")
    return f"{task['task_id']}[{key}]" if key else str(task["task_id"])


def _yesterday() -> date:
    return datetime.now(UTC).date() - timedelta(days=1)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m vitrina_airflow.demo")
    parser.add_argument("--days", type=int, default=30, help="days of the shop")
    parser.add_argument(
        "--listing-days", type=int, default=7, help="days before the last three that rankers learn"
    )
    parser.add_argument(
        "--last-day", type=a_day, metavar="DAY", help="the newest; default: yesterday"
    )
    parser.add_argument("--source", default=SIMULATOR, help="an importer's name")
    parser.add_argument("--path", type=Path, help="the importer's file or folder")
    parser.add_argument("--customers", type=int, default=3_000)
    parser.add_argument("--items", type=int, default=1_500)
    parser.add_argument("--seed", type=int, default=7)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
