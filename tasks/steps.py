"""Steps: what a DAG module lists, and how one of them is run, by Airflow or by hand."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from importlib import import_module
from pkgutil import iter_modules
from reprlib import Repr
from typing import Any

import tasks
from tasks import tracking
from tasks.errors import PartsMissing, VitrinaError, WrongCall
from tasks.settings import Settings, without_login

log = logging.getLogger(__name__)

CHAIN = (
    "build_features",
    "compute_facet_weights",
    "score_lookalikes",
    "train_candidates",
    "retrain_ranker",
)
"""The nightly DAGs in an order in which one process can run them."""
ENDS = ("score_lookalikes", "retrain_ranker")
"""Those that no other one waits for."""

NOTE = "note"
"""The key of a step's result that holds words for people: Airflow shows them on the run."""

SHORT = Repr()
SHORT.maxdict = SHORT.maxlist = 100
SHORT.maxstring = 200
"""How a result is told in the log: a question to a person is shown where it is asked."""

Function = Callable[..., Any]


@dataclass(frozen=True)
class Step:
    """One task: its function, those it waits for, and the step whose keys it is mapped over."""

    run: Function
    after: tuple[Function, ...] = ()
    mapped_over: Function | None = None

    @property
    def name(self) -> str:
        """The task id."""
        return self.run.__name__


@dataclass(frozen=True)
class Try:
    """One try of one task, as MLflow and the log name it."""

    dag: str
    step: str
    day: date
    key: str | None = None
    run_id: str = "by hand"
    number: int = 1

    @property
    def title(self) -> str:
        """The task with its day and key."""
        return f"{self.dag}.{self.step}" + (f"[{self.key}]" if self.key else "") + f" {self.day}"

    def tags(self) -> dict[str, str]:
        """MLflow's tags."""
        return {
            "day": str(self.day),
            "task": self.step,
            "map_key": self.key or "",
            "run_id": self.run_id,
            "try": str(self.number),
        }


def dags() -> list[str]:
    """Return every module of `tasks/` that has steps: the chain in its order, then the rest."""
    return [*CHAIN, *sorted(name for name in _modules() - set(CHAIN) if _declared(name))]


def steps_of(dag: str) -> tuple[Step, ...]:
    """Return the steps of the DAG's module, in an order in which they can run.

    Raises:
        WrongCall: there is no such DAG.
    """
    steps = _declared(dag) if dag in _modules() else ()
    if not steps:
        raise WrongCall(f"there is no DAG {dag!r}; `python -m tasks` lists them")
    return steps


def _modules() -> set[str]:
    return {
        found.name
        for found in iter_modules(tasks.__path__)
        if not found.ispkg and not found.name.startswith("_")
    }


def _declared(module: str) -> tuple[Step, ...]:
    steps: tuple[Step, ...] = getattr(import_module(f"tasks.{module}"), "STEPS", ())
    return steps


@contextmanager
def opened(attempt: Try, settings: Settings) -> Iterator[tracking.TaskRun | None]:
    """Open the task try's MLflow run, say first what runs and writes what, and last what broke."""
    with tracking.task_run(settings, attempt.dag, attempt.title, attempt.tags()) as run:
        log.info(
            "%s: try %d, writes %s in %s%s",
            attempt.title,
            attempt.number,
            ", ".join(written_by(attempt.dag, attempt.step)) or "no table",
            without_login(settings.lake),
            f", {run.url}" if run else "",
        )
        try:
            yield run
        except VitrinaError as error:
            log.error("%s: %s: %s", attempt.title, type(error).__name__, error)
            raise


def written_by(dag: str, step: str) -> list[str]:
    """Return the tables that the step writes."""
    # Here, because the scheduler parses every DAG file and needs no polars for that.
    from tasks.lake.tables import TABLES

    writers = (dag, f"{dag}.{step}")
    return [table.name for table in TABLES.values() if table.written_by in writers]


def execute(attempt: Try, function: Function, settings: Settings) -> Any:  # noqa: ANN401 (each step's own)
    """Run one step for its day and return what it returns: rows, counts or keys."""
    with opened(attempt, settings):
        return call(attempt, function, settings)


def call(attempt: Try, function: Function, settings: Settings) -> Any:  # noqa: ANN401 (each step's own)
    """Call the step's function, with its key if it is mapped, and say last what it wrote."""
    keys = (attempt.key,) if attempt.key else ()
    started = time.monotonic()
    result = function(attempt.day, settings, *keys)
    if isinstance(result, dict):
        tracking.metrics(
            {name: count for name, count in result.items() if isinstance(count, int | float)}
        )
    log.info(
        "%s: done in %.1f s: %s",
        attempt.title,
        time.monotonic() - started,
        "nothing written" if result in (None, 0, [], {}) else SHORT.repr(result),
    )
    return result


def run_dag(dag: str, day: date, settings: Settings, only: str | None = None) -> None:
    """Run a whole DAG for one day in this process, or one step of it.

    As in Airflow, a key of a mapped step that fails leaves the other keys and the step after them
    unharmed.

    Raises:
        WrongCall: there is no such DAG or step.
        PartsMissing: keys failed, and the steps after them did without.
        VitrinaError: what a step raises; of a mapped one alone, the first, when all is done.
    """
    chosen = [step for step in steps_of(dag) if only in (None, step.name)]
    if not chosen:
        raise WrongCall(
            f"{dag} has no step {only!r}; it has {', '.join(s.name for s in steps_of(dag))}"
        )
    failed: list[VitrinaError] = []
    for step in chosen:
        for key in _keys(step, day, settings):
            try:
                execute(Try(dag, step.name, day, key), step.run, settings)
            except VitrinaError as error:
                if key is None:
                    raise
                failed.append(error)
    if failed and only is None:
        raise PartsMissing("; ".join(map(str, failed))) from failed[0]
    if failed:
        raise failed[0]


def _keys(step: Step, day: date, settings: Settings) -> list[str] | list[None]:
    if step.mapped_over is None:
        return [None]
    keys: list[str] = step.mapped_over(day, settings)
    return keys
