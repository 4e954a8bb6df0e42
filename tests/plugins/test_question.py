"""What a marketer is asked, and what becomes of an answer, of silence and of a refusal."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tasks.errors import WrongAnswer
from tasks.lookalikes.registry import segments
from tasks.mailings.audience import NAME
from tasks.settings import Settings
from vitrina_airflow.run import with_answer

ANSWERED = datetime(2026, 3, 12, 8, tzinfo=UTC)


@pytest.fixture
def asking(monkeypatch: pytest.MonkeyPatch) -> Any:  # noqa: ANN401
    from vitrina_airflow.question import ANSWER_PARAMS, AskForAudience

    monkeypatch.setenv("VITRINA_MAILINGS__RESPONDENTS", '["anna"]')
    monkeypatch.setenv("VITRINA_MAILINGS__ANSWER_HOURS", "3")
    return AskForAudience(task_id="choose", params=ANSWER_PARAMS)


def context(is_decided: bool = False) -> dict[str, Any]:
    pushed: dict[str, str] = {}
    told = {"is_decided": is_decided, "subject": "Who?", "question": "{{ 1 + 1 }}"}
    ti = SimpleNamespace(
        xcom_pull=lambda task_ids: told, xcom_push=pushed.__setitem__, pushed=pushed
    )
    return {"ti": ti}


def test_the_segments_of_the_form_are_those_of_the_registry() -> None:
    from vitrina_airflow.question import RUN_PARAMS

    assert RUN_PARAMS["segment"].schema["enum"] == [None, *segments()]


def test_the_form_takes_the_names_that_a_mailing_may_have() -> None:
    from vitrina_airflow.question import RUN_PARAMS

    assert RUN_PARAMS["mailing"].schema["pattern"] == f"^{NAME.pattern}$"


def test_no_word_of_the_question_is_a_template(asking: Any) -> None:  # noqa: ANN401
    assert tuple(asking.template_fields) == ()


def test_silence_never_sends_and_only_named_users_may_answer(asking: Any) -> None:  # noqa: ANN401
    assert asking.defaults is None
    assert asking.response_timeout.total_seconds() == 3 * 3600
    assert asking.assigned_users == [{"id": "anna", "name": "anna"}]


def test_what_is_decided_is_not_asked_for(asking: Any) -> None:  # noqa: ANN401
    assert asking.execute.__wrapped__(asking, context(is_decided=True)) == {}


@pytest.mark.parametrize(
    ("event", "why"),
    [
        ({"error": "late", "error_type": "timeout"}, "nobody answered in 3:00:00"),
        (
            {
                "chosen_options": ["Do not send"],
                "params_input": {"threshold": 0.5},
                "responded_by_user": {"id": "anna", "name": "Anna"},
                "responded_at": ANSWERED,
            },
            "Anna chose not to send",
        ),
    ],
)
def test_without_a_yes_the_rest_is_skipped_and_the_note_says_why(
    asking: Any,  # noqa: ANN401
    event: dict[str, Any],
    why: str,
) -> None:
    from airflow.sdk.exceptions import AirflowSkipException

    found = context()
    with pytest.raises(AirflowSkipException):
        asking.execute_complete(found, event)
    assert found["ti"].pushed == {"note": f"nothing was sent: {why}"}


def test_an_answer_is_settings_of_the_run(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, mlflow_url="")
    told = {"threshold": 0.4, "audience_size": None, "chosen_by": "Anna"}
    found = with_answer(settings, told | {"chosen_at": ANSWERED.isoformat()}).mailings
    assert (found.threshold, found.chosen_by, found.chosen_at) == (0.4, "Anna", ANSWERED)


def test_an_answer_of_another_type_is_named(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, mlflow_url="")
    with pytest.raises(WrongAnswer, match="audience_size 'many': Input should be a valid integer"):
        with_answer(settings, {"audience_size": "many"})
