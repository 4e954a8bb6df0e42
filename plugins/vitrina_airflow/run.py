"""One step of a DAG inside Airflow: its day, its settings, its MLflow run, and what travels on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from tasks.errors import ContractViolation, VitrinaError, WrongAnswer
from tasks.settings import Mailings, Settings
from tasks.steps import CHAIN, NOTE, Try, call, opened, steps_of
from vitrina_airflow.alerts import ORIGIN, kind_of
from vitrina_airflow.day import logical_day
from vitrina_airflow.links import MLFLOW_RUN_KEY
from vitrina_airflow.note import NOTE_KEY

FORCE = "force_training"
CONF = {
    FORCE: ("training", "force", CHAIN),
    "accept_reason": ("ranker", "accept_reason", ("retrain_ranker",)),
    "rollback_reason": ("ranker", "rollback_reason", ("rollback_ranker",)),
    "segment": ("mailings", "segment", ("send_audience",)),
    "mailing": ("mailings", "mailing", ("send_audience",)),
    "deliver_to": ("mailings", "deliver_to", ("send_audience",)),
}
"""What a run's conf may hold: the setting that it stands for, and the DAGs that read it."""

_UNFINISHED = "unfinished_tries"
KILLS = 2


class WorkerKilled(VitrinaError):
    """The task's process was killed in each of its tries, most often for memory."""


def run_step(
    context: Mapping[str, Any], key: str | None = None, answer: Mapping[str, Any] | None = None
) -> Any:  # noqa: ANN401
    """Run the function of `tasks/` that has the task's name, and return what it returns.

    Args:
        context: Airflow's.
        key: of a mapped task.
        answer: what a person chose in Airflow, settings of mailings by name.

    Raises:
        ContractViolation: the run has no day, or a conf that nobody reads.
        WrongAnswer: the answer is of the wrong type.
        WorkerKilled: earlier tries were killed; a further one would be too.
    """
    attempt, push = _try(context, key), context["ti"].xcom_push
    settings = with_answer(with_conf(Settings(), _conf(context)), answer or {})
    count_unfinished(context["task_state_store"])
    try:
        with opened(attempt, settings) as run:
            if run is not None:
                push(MLFLOW_RUN_KEY, run.url)
            result = call(attempt, _function(attempt), settings)
        if isinstance(result, dict) and (words := result.get(NOTE)):
            push(NOTE_KEY, words)
    finally:
        context["task_state_store"].delete(_UNFINISHED)
    _send_along(context, settings)
    return result


def with_conf(settings: Settings, conf: Mapping[str, Any]) -> Settings:
    """Return the settings, changed as the run's conf says; a blank word changes nothing.

    Raises:
        ContractViolation: a word of the wrong type.
    """
    for name, word in conf.items():
        if word is None:
            continue
        section, field, _ = CONF[name]
        before = getattr(settings, section)
        kind = type(getattr(before, field))
        if not isinstance(word, kind):
            raise ContractViolation(
                f"conf {name}={word!r} is not allowed: it takes a {kind.__name__}"
            )
        # A copy of settings validates nothing, so a word of blanks would be a reason.
        if told := word.strip() if isinstance(word, str) else word:
            changed = before.model_copy(update={field: told})
            settings = settings.model_copy(update={section: changed})
    return settings


def with_answer(settings: Settings, answer: Mapping[str, Any]) -> Settings:
    """Return the settings with what a person chose.

    Raises:
        WrongAnswer: a value of the wrong type.
    """
    told = settings.mailings.model_dump() | dict(answer)
    try:
        return settings.model_copy(update={"mailings": Mailings.model_validate(told)})
    except ValidationError as error:
        first = error.errors()[0]
        raise WrongAnswer(f"{first['loc'][0]} {first['input']!r}: {first['msg']}") from None


def _try(context: Mapping[str, Any], key: str | None) -> Try:
    ti = context["ti"]
    return Try(
        dag=ti.dag_id,
        step=ti.task_id,
        day=logical_day(context["dag_run"].partition_key, ti.dag_id),
        key=key,
        run_id=ti.run_id,
        number=ti.try_number,
    )


def _function(attempt: Try) -> Any:  # noqa: ANN401 (each step's own signature)
    return next(step.run for step in steps_of(attempt.dag) if step.name == attempt.step)


def _conf(context: Mapping[str, Any]) -> dict[str, Any]:
    """Return the run's conf, with what the events that woke it send along."""
    run = context["dag_run"]
    conf, known = run.conf or {}, [name for name in CONF if run.dag_id in CONF[name][2]]
    if unknown := sorted(set(conf) - set(known)):
        said = ", ".join(known)
        raise ContractViolation(f"conf has {', '.join(unknown)}; known to {run.dag_id}: {said}")
    sent = any((event.extra or {}).get(FORCE) for event in run.consumed_asset_events)
    return conf | ({FORCE: True} if sent else {})


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
