"""One step of a DAG inside Airflow: its day, its settings, its MLflow run, and what travels on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tasks.errors import ContractViolation, VitrinaError
from tasks.settings import Settings
from tasks.steps import Try, call, opened, steps_of
from vitrina_airflow.alerts import ORIGIN, kind_of
from vitrina_airflow.day import logical_day
from vitrina_airflow.links import MLFLOW_RUN_KEY

FORCE = "force_training"
CONF = (FORCE,)
"""What a run's conf may hold; anything else is a slip of the pen."""

_UNFINISHED = "unfinished_tries"
KILLS = 2


class WorkerKilled(VitrinaError):
    """The task's process was killed in each of its tries, most often for memory."""


def run_step(context: Mapping[str, Any], key: str | None = None) -> Any:  # noqa: ANN401
    """Run the function of `tasks/` that has the task's name, and return what it returns.

    Raises:
        ContractViolation: the run has no day, or a conf that nobody reads.
        WorkerKilled: earlier tries were killed; a further one would be too.
    """
    ti = context["ti"]
    attempt = Try(
        dag=ti.dag_id,
        step=ti.task_id,
        day=logical_day(context["dag_run"].partition_key, ti.dag_id),
        key=key,
        run_id=ti.run_id,
        number=ti.try_number,
    )
    forced = _is_forced(context)
    settings = with_force(Settings(), forced)
    count_unfinished(context["task_state_store"])
    try:
        with opened(attempt, settings) as run:
            if run is not None:
                ti.xcom_push(MLFLOW_RUN_KEY, run.url)
            result = call(attempt, _function(attempt), settings)
    finally:
        context["task_state_store"].delete(_UNFINISHED)
    _send_along(context, settings)
    return result


def with_force(settings: Settings, forced: bool) -> Settings:
    """Return the settings, made to train superseded days too where the run asks for it."""
    if not forced:
        return settings
    return settings.model_copy(
        update={"training": settings.training.model_copy(update={"force": True})}
    )


def _function(attempt: Try) -> Any:  # noqa: ANN401 (each step's own signature)
    return next(step.run for step in steps_of(attempt.dag) if step.name == attempt.step)


def _is_forced(context: Mapping[str, Any]) -> bool:
    conf = context["dag_run"].conf or {}
    if unknown := sorted(set(conf) - set(CONF)):
        raise ContractViolation(f"conf has {', '.join(unknown)}; known: {', '.join(CONF)}")
    extras = [event.extra or {} for event in context["dag_run"].consumed_asset_events]
    return any(bool(words.get(FORCE)) for words in (conf, *extras))


def _send_along(context: Mapping[str, Any], settings: Settings) -> None:
    words: dict[str, Any] = {ORIGIN: kind_of(context["dag_run"], settings)}
    if settings.training.force:
        words[FORCE] = True
    for asset in context["outlets"]:
        context["outlet_events"][asset].extra.update(words)


def count_unfinished(store: Any) -> None:  # noqa: ANN401 (Airflow's store)
    """Enter this try as unfinished; its end strikes it out, unless the process is killed."""
    killed = int(store.get(_UNFINISHED, 0))
    if killed >= KILLS:
        store.delete(_UNFINISHED)
        raise WorkerKilled(f"its process was killed in {killed} tries in a row")
    store.set(_UNFINISHED, killed + 1)
