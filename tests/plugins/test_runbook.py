from __future__ import annotations

import pytest

from vitrina_airflow.runbook import action_for, actions

DOCSTRING = """Do something.

### If it fails
| Error | Meaning | Do |
| --- | --- | --- |
| `InputNotReady` | a day is absent | backfill `build_features` |
| `process killed` | out of memory | clear once |
| `timeout` | too slow | look at the delivery |
| `anything else` | a bug | page the owner |

**Impact** none.
"""


def test_the_table_gives_an_action_per_error() -> None:
    assert actions(DOCSTRING) == {
        "InputNotReady": "backfill `build_features`",
        "process killed": "clear once",
        "timeout": "look at the delivery",
        "anything else": "page the owner",
    }


@pytest.mark.parametrize(
    ("error", "action"),
    [
        ("InputNotReady", "backfill `build_features`"),
        ("WorkerKilled", "clear once"),
        ("process killed", "clear once"),
        ("AirflowTaskTimeout", "look at the delivery"),
        ("ZeroDivisionError", "page the owner"),
    ],
)
def test_an_error_finds_its_action(error: str, action: str) -> None:
    assert action_for(DOCSTRING, error) == action


@pytest.mark.parametrize("docstring", [None, "", "No table here."])
def test_without_a_table_the_log_is_all_there_is(docstring: str | None) -> None:
    assert action_for(docstring, "InputNotReady") == "read the log"
