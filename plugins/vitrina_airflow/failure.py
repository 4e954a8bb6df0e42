"""A failure as a person on call reads it: what broke, where, and what the runbook says to do."""

from __future__ import annotations

from dataclasses import dataclass

BACKFILL = "backfill "
"""What the kind of a run begins with whose backfill is known, followed by the backfill's number."""


@dataclass(frozen=True)
class Failure:
    """One failed task try.

    `kind` is the kind of run it belongs to (scheduled, backfill 7, manual); a follower has the kind
    of the root run that woke it. `link` names what is late, where that is the failure.
    """

    dag_id: str
    task_id: str
    run_id: str
    try_number: int
    day: str
    kind: str
    error: str
    line: str
    action: str
    log_url: str
    mlflow_url: str = ""
    map_index: int = -1
    map_key: str = ""
    link: str = ""

    @property
    def in_backfill(self) -> bool:
        """Whether a known backfill, directly or through the chain, started the run."""
        return self.kind.startswith(BACKFILL)

    @property
    def try_key(self) -> tuple[str, str, str, int, int]:
        """What makes the failure one and the same, by whichever way it was noticed."""
        return (self.dag_id, self.run_id, self.task_id, self.map_index, self.try_number)

    @property
    def group_key(self) -> str:
        """Failures with one key are one alert.

        Per DAG, error and try within a run or a backfill; per late thing, whichever run met it.
        """
        scope = self.link or (self.kind if self.in_backfill else self.run_id)
        return "|".join((self.dag_id, scope, self.error, str(self.try_number)))

    @property
    def task(self) -> str:
        """The task, with its key if it is mapped."""
        return f"{self.dag_id}.{self.task_id}" + (f"[{self.map_key}]" if self.map_key else "")

    def text(self) -> str:
        """Return the alert, one fact a line."""
        more = (
            f"; the same error on other days of {self.kind} is not sent again: see the grid of"
            f" {self.dag_id}, or `python -m tasks status` for the range"
        )
        lines = [
            f"{self.task} failed for {self.day} ({self.kind} run, try {self.try_number})",
            f"Error: {self.error}: {self.line}",
            f"Do: {self.action}",
            f"Log: {self.log_url}",
            f"MLflow: {self.mlflow_url or 'the run was not opened'}",
        ]
        if self.in_backfill:
            lines[0] += more
        return "\n".join(lines)

    def payload(self) -> dict[str, str]:
        """Return the alert for a webhook: `text` for people, the rest for machines."""
        return {
            "text": self.text(),
            "dag": self.dag_id,
            "task": self.task_id,
            "key": self.map_key,
            "day": self.day,
            "kind": self.kind,
            "error": self.error,
            "line": self.line,
            "action": self.action,
            "log_url": self.log_url,
            "mlflow_url": self.mlflow_url,
        }
