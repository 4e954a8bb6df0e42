"""The book of failures: which were met, and which of them were alerted; one sqlite file.

A failure reaches us by several ways (the task's own callback, the dag-processor's for a killed
worker, the scheduler's listener), so the first entry of a task try counts and the rest are known.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vitrina_airflow.failure import Failure

BACKFILL_HOURS = 6
_TABLE = """
CREATE TABLE IF NOT EXISTS failures (
    dag_id TEXT, run_id TEXT, task_id TEXT, map_index INTEGER, try_number INTEGER,
    day TEXT, kind TEXT, error TEXT, line TEXT, group_key TEXT, met_at REAL, alerted INTEGER,
    PRIMARY KEY (dag_id, run_id, task_id, map_index, try_number)
)
"""


class AlertBook:
    """Failures met so far, shared by every process of the installation."""

    def __init__(self, home: Path) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self._path = home / "alerts.db"

    def admit(self, failure: Failure) -> bool:
        """Enter a failure; return whether it is to be alerted.

        Not alerted: a task try that is already in the book, and one whose group was alerted:
        the same error in the same run and try, or anywhere in a backfill that is still failing.
        """
        with self._open() as book:
            known = book.execute(
                "SELECT 1 FROM failures WHERE (dag_id, run_id, task_id, map_index, try_number)"
                " = (?, ?, ?, ?, ?)",
                failure.try_key,
            ).fetchone()
            if known:
                return False
            alerted = not self._group_is_alerted(book, failure)
            book.execute(
                "INSERT INTO failures VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (*failure.try_key, failure.day, failure.kind, failure.error, failure.line,
                 failure.group_key, time.time(), alerted),
            )  # fmt: skip
        return alerted

    def days_of_group(self, failure: Failure) -> list[str]:
        """Return the days that failed with this failure, newest entry last."""
        with self._open() as book:
            rows = book.execute(
                "SELECT day FROM failures WHERE group_key = ? ORDER BY met_at",
                (failure.group_key,),
            )
            return list(dict.fromkeys(day for (day,) in rows))

    def error_of(self, task: Mapping[str, Any]) -> str | None:
        """Return the error of a task try, given as Airflow's API returns it; None if unknown."""
        names = ("dag_id", "dag_run_id", "task_id", "map_index", "try_number")
        with self._open() as book:
            found = book.execute(
                "SELECT error FROM failures WHERE"
                " (dag_id, run_id, task_id, map_index, try_number) = (?, ?, ?, ?, ?)",
                tuple(task[name] for name in names),
            ).fetchone()
        return str(found[0]) if found else None

    def alerted(self) -> list[dict[str, object]]:
        """Return every failure that was alerted, oldest first."""
        with self._open() as book:
            book.row_factory = sqlite3.Row
            rows = book.execute("SELECT * FROM failures WHERE alerted ORDER BY met_at")
            return [dict(row) for row in rows]

    def _group_is_alerted(self, book: sqlite3.Connection, failure: Failure) -> bool:
        (last,) = book.execute(
            "SELECT max(met_at) FROM failures WHERE group_key = ?", (failure.group_key,)
        ).fetchone()
        if last is None:
            return False
        # A new backfill of the same DAG is told from an old one by the silence between them.
        return not failure.in_backfill or time.time() - last < BACKFILL_HOURS * 3600

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        book = sqlite3.connect(self._path, timeout=30, isolation_level=None)
        try:
            book.execute(_TABLE)
            book.execute("BEGIN IMMEDIATE")
            yield book
            book.execute("COMMIT")
        finally:
            book.close()
