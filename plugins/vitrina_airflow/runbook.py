"""The runbook: a DAG's docstring, read for the action that its table gives for an error.

The table under `### If it fails` has the columns Error, Meaning, Do. Errors are named by class
(`InputNotReady`) or by what happened: `process killed`, `timeout`, `anything else`.
"""

from __future__ import annotations

KILLED = "process killed"
TIMEOUT = "timeout"
OTHERWISE = "anything else"
COLUMNS = 3

# Airflow's own name for a task that ran past its execution_timeout.
_EVENTS = {"AirflowTaskTimeout": TIMEOUT, "WorkerKilled": KILLED}


def actions(docstring: str | None) -> dict[str, str]:
    """Return what the runbook says to do, by error."""
    rows = [_cells(line) for line in (docstring or "").splitlines() if line.startswith("|")]
    return {
        cells[0].replace("`", ""): cells[2]
        for cells in rows
        if len(cells) == COLUMNS and cells[0] != "Error" and not set(cells[0]) <= set("-: ")
    }


def action_for(docstring: str | None, error: str) -> str:
    """Return what to do about an error; the row `anything else` where it has no row of its own."""
    found = actions(docstring)
    return found.get(_EVENTS.get(error, error)) or found.get(OTHERWISE, "read the log")


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]
