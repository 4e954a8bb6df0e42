"""What every task of the chain shares: retries by error type, time limit, alert."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from airflow.sdk import (
    ExceptionRetryPolicy,
    Param,
    RetryAction,
    RetryDecision,
    RetryRule,
    StartOfDayMapper,
)

from tasks.settings import Settings
from tasks.steps import CHAIN
from vitrina_airflow.alerts import alert_failure
from vitrina_airflow.outage import is_outage

RETRIES = Settings().retries
WAIT_FOR_INPUT = timedelta(minutes=RETRIES.input_minutes)
SHORT_WAIT = timedelta(seconds=RETRIES.short_seconds)
SHORT_TRIES = 3
ASK_AGAIN = timedelta(seconds=1)
SAME_DAY = StartOfDayMapper(input_format="%Y-%m-%d")


class RetryByError(ExceptionRetryPolicy):
    """Retries by error type; short waits while the chain's root is making days.

    Days that run side by side may meet before the earlier one has what the later one reads.
    """

    def evaluate(
        self,
        exception: BaseException,
        try_number: int,
        max_tries: int,
        context: Mapping[str, Any] | None = None,
    ) -> RetryDecision:
        """Return whether and when to try again."""
        if is_outage(exception):
            return RetryDecision.retry(SHORT_WAIT, "a server did not answer")
        decision = super().evaluate(exception, try_number, max_tries, context)
        may_hurry = decision.retry_delay == WAIT_FOR_INPUT and try_number <= SHORT_TRIES
        if may_hurry and context and _root_is_at_work(context["ti"]):
            return replace(decision, retry_delay=SHORT_WAIT, reason="another day is being made")
        return decision


def _root_is_at_work(ti: Any) -> bool:  # noqa: ANN401 (Airflow's task instance)
    running: int = ti.get_ti_count(dag_id=CHAIN[0], states=["running"])
    return running > (1 if ti.dag_id == CHAIN[0] else 0)


# A bug does not mend itself, hence FAIL where no rule matches. The policy is not asked when the
# process was killed: then `retry_delay` holds, and `run_step` ends it after the second kill.
RETRY_BY_ERROR = RetryByError(
    [
        RetryRule(
            exception="tasks.errors.InputNotReady",
            action=RetryAction.RETRY,
            retry_delay=WAIT_FOR_INPUT,
            reason="an input may still arrive",
        ),
        RetryRule(
            exception=["tasks.errors.ContractViolation", "tasks.errors.QualityGateFailed"],
            action=RetryAction.FAIL,
            reason="trying again cannot help",
        ),
        RetryRule(
            exception="tasks.errors.WrongAnswer",
            action=RetryAction.RETRY,
            retry_delay=ASK_AGAIN,
            reason="whoever answered is asked again",
        ),
    ],
    default=RetryAction.FAIL,
)

DEFAULT_ARGS: dict[str, Any] = {
    "owner": "recommendations",
    "retries": RETRIES.count,
    "retry_delay": SHORT_WAIT,
    "retry_policy": RETRY_BY_ERROR,
    "execution_timeout": timedelta(hours=1),
    "on_failure_callback": alert_failure,
}

PARAMS = {
    "force_training": Param(
        False,
        type="boolean",
        description="Train this day though a newer one supersedes it; so do the DAGs after it.",
    )
}

RANKER_PARAMS = PARAMS | {
    "accept_reason": Param(
        None,
        type=["null", "string"],
        minLength=3,
        description="Why a model that is too good may pass; recorded.",
    )
}
