"""A question to a marketer on Airflow's page of required actions: which threshold, which size.

No word of the question is a template: it is handed over as it is when the task asks.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import Param
from airflow.sdk.exceptions import AirflowSkipException

from tasks.settings import Settings
from vitrina_airflow.note import NOTE_KEY
from vitrina_airflow.run import run_step

SEND, LEAVE = "Send", "Do not send"
SEEDS = Path(__file__).resolve().parents[2] / "sql" / "lookalike_seeds"

RUN_PARAMS = {
    # Their names alone: a DAG file is parsed without the libraries that read a segment. Null at
    # first, since a DAG with a schedule may not require a word; the run refuses it.
    "segment": Param(
        None,
        type=["null", "string"],
        enum=[None, *sorted(path.stem for path in SEEDS.glob("*.sql"))],
        description="Whose look-alikes get the letter.",
    ),
    "mailing": Param(
        None,
        type=["null", "string"],
        pattern="^[a-z0-9][a-z0-9_-]{0,59}$",
        description="The mailing's name, such as spring-bags. Its control group is its own.",
    ),
    "deliver_to": Param(
        Settings().mailings.deliver_to,
        type="string",
        enum=["file", *Settings().mailings.webhooks],
        description="Where the audience goes: only to a file, or to an allowed webhook too.",
    ),
}
ANSWER_PARAMS = {
    "threshold": Param(
        None,
        type=["null", "number"],
        minimum=0,
        maximum=1,
        description="The least probability of who gets the letter, from 0 to 1; or:",
    ),
    "audience_size": Param(
        None,
        type=["null", "integer"],
        minimum=1,
        description="How many people, the most probable of those who may be written to.",
    ),
}


class AskForAudience(HITLOperator):
    """Ask what `prepare` has to ask and return the choice; after a wrong answer, ask again.

    Airflow keeps the words of a task's first question, so the second cannot say what was wrong:
    the log of the try does.
    Nothing is sent, and what comes after is skipped, where nobody answers in time or somebody
    chooses not to send. A decision that stands is not asked for again.
    """

    template_fields = ()

    def __init__(self, **kwargs: Any) -> None:  # noqa: ANN401 (Airflow's own signature)
        options = Settings().mailings
        super().__init__(
            subject="",
            options=[SEND, LEAVE],
            defaults=None,
            assigned_users=[{"id": user, "name": user} for user in options.respondents],
            response_timeout=timedelta(hours=options.answer_hours),
            **kwargs,
        )

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        """Ask, unless it is decided."""
        told = context["ti"].xcom_pull(task_ids="prepare")
        if told["is_decided"]:
            return {}
        self.subject, self.body = told["subject"], told["question"]
        asked: dict[str, Any] = super().execute(context)
        return asked

    def execute_complete(self, context: Mapping[str, Any], event: dict[str, Any]) -> Any:  # noqa: ANN401
        """Return the choice.

        Raises:
            WrongAnswer: it may not be made; the retry policy has it asked for again.
        """
        if event.get("error_type") == "timeout":
            self._leave(context, f"nobody answered in {self.response_timeout}")
        if "error" in event:
            self.process_trigger_event_error(event)
        who = (event["responded_by_user"] or {}).get("name", "")
        if SEND not in event["chosen_options"]:
            self._leave(context, f"{who} chose not to send")
        given = event["params_input"] or {}
        answer = {name: given.get(name) for name in ANSWER_PARAMS}
        told = answer | {"chosen_by": who, "chosen_at": event["responded_at"]}
        return run_step(context, answer=told)

    def _leave(self, context: Mapping[str, Any], why: str) -> NoReturn:
        context["ti"].xcom_push(NOTE_KEY, f"nothing was sent: {why}")
        raise AirflowSkipException(f"nothing was sent: {why}")
