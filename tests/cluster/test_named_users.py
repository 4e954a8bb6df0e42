"""Where a deployment names who may choose an audience, nobody else's answer counts."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tasks.lake.lake import Lake, Window
from tasks.lake.tables import AUDIENCE_DECISIONS
from tasks.settings import Settings
from tests.airflow.conftest import eventually
from tests.cluster.scored import DAY, SEGMENT, serving

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

NAMED, OTHER = "anna", "bob"
ANSWER = {"chosen_options": ["Send"], "params_input": {"threshold": 0.75}}
FORBIDDEN = 403


class User:
    """Somebody logged in, as Airflow's REST API sees them."""

    def __init__(self, url: str, name: str) -> None:
        login = {"username": name, "password": name}
        told = requests.post(f"{url}/auth/token", json=login, timeout=60)
        token = told.json()["access_token"]
        self._headers = {"Authorization": f"Bearer {token}"}
        self._api = f"{url}/api/v2/dags"

    def send(self, method: str, path: str, body: dict[str, Any] | None = None) -> requests.Response:
        address = f"{self._api}/{path}"
        return requests.request(method, address, json=body, headers=self._headers, timeout=60)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Settings]]:
    """An installation with two logins, of which the settings name one."""
    passwords = tmp_path_factory.mktemp("logins") / "passwords.json"
    passwords.write_text(json.dumps({NAMED: NAMED, OTHER: OTHER}))
    variables = {
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "False",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{NAMED}:op,{OTHER}:op",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
        "VITRINA_MAILINGS__RESPONDENTS": json.dumps([NAMED]),
    }
    with serving(tmp_path_factory.mktemp("named"), variables) as (family, settings):
        yield family.airflow_url, settings


@pytest.fixture(scope="module")
def question(served: tuple[str, Settings]) -> str:
    """The path of the question's details, in a run that somebody else asked for."""
    url, _ = served
    other = User(url, OTHER)
    eventually(lambda: other.send("GET", "send_audience").ok, "the DAG")
    other.send("PATCH", "send_audience", {"is_paused": False}).raise_for_status()
    run = {"logical_date": None, "partition_key": str(DAY)}
    conf = {"segment": SEGMENT, "mailing": "spring"}
    started = other.send("POST", "send_audience/dagRuns", run | {"conf": conf})
    started.raise_for_status()
    task = f"send_audience/dagRuns/{started.json()['dag_run_id']}/taskInstances/choose"
    eventually(lambda: other.send("GET", task).json()["state"] == "awaiting_input", "the question")
    return f"{task}/-1/hitlDetails"


def test_only_a_named_user_s_answer_counts(served: tuple[str, Settings], question: str) -> None:
    url, settings = served
    refused = User(url, OTHER).send("PATCH", question, ANSWER)
    assert refused.status_code == FORBIDDEN
    lake = Lake(settings)

    def decided() -> dict[str, object] | None:
        found = lake.read_window(AUDIENCE_DECISIONS, DAY, Window(1, optional=True))
        return found.row(0, named=True) if found.height else None

    assert decided() is None
    named = User(url, NAMED)

    def waits() -> bool:
        state = named.send("GET", question.removesuffix("/-1/hitlDetails")).json()["state"]
        return str(state) == "awaiting_input"

    def answered() -> dict[str, object] | None:
        # Airflow asks anew, a minute later, where an answer comes before it has seen the asking
        # process end: read first, as a person does.
        if waits():
            time.sleep(10)
            assert named.send("PATCH", question, ANSWER).status_code != FORBIDDEN
        return decided()

    decision = eventually(answered, "the audience", seconds=400)
    assert (decision["chosen_by"], decision["threshold"]) == (NAMED, 0.75)
