"""What every task of the chain shares: retries by error type, time limit, alert."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import ExceptionRetryPolicy, Param, RetryAction, RetryRule, StartOfDayMapper

from vitrina_airflow.alerts import alert_failure

SAME_DAY = StartOfDayMapper(input_format="%Y-%m-%d")

# A bug does not mend itself, hence FAIL where no rule matches. The policy is not asked when the
# process was killed: then `retry_delay` holds, and `run_step` ends it after the second kill.
RETRY_BY_ERROR = ExceptionRetryPolicy(
    [
        RetryRule(
            exception="tasks.errors.InputNotReady",
            action=RetryAction.RETRY,
            retry_delay=timedelta(minutes=20),
            reason="an input may still arrive",
        ),
        RetryRule(
            exception=["tasks.errors.ContractViolation", "tasks.errors.QualityGateFailed"],
            action=RetryAction.FAIL,
            reason="trying again cannot help",
        ),
        RetryRule(
            exception=[ConnectionError, TimeoutError],
            action=RetryAction.RETRY,
            retry_delay=timedelta(minutes=1),
            reason="a server did not answer",
        ),
    ],
    default=RetryAction.FAIL,
)

DEFAULT_ARGS: dict[str, Any] = {
    "owner": "recommendations",
    "retries": 9,
    "retry_delay": timedelta(minutes=1),
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
