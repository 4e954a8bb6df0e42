"""The book of failures: which were met, which are to be alerted, which were; one sqlite file.

A failure reaches us by several ways (the task's own callback, the dag-processor's for a killed
worker, the scheduler's listener), so the first entry of a task try counts and the rest are known.
An alert is due until it was delivered: what no webhook took is claimed again by the next sender.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from vitrina_airflow.failure import Failure

CLAIM_SECONDS = 60
"""How long a sender may take; one that was killed meanwhile loses its claim."""
_TABLES = (
    """
CREATE TABLE IF NOT EXISTS entries (
    dag_id TEXT, run_id TEXT, task_id TEXT, map_index INTEGER, try_number INTEGER,
    day TEXT, error TEXT, group_key TEXT, failure TEXT, met_at REAL,
    due INTEGER, claimed_at REAL DEFAULT 0, alerted INTEGER DEFAULT 0,
    PRIMARY KEY (dag_id, run_id, task_id, map_index, try_number)
)
""",
    """
CREATE TABLE IF NOT EXISTS backfills (
    dag_id TEXT, run_id TEXT, number INTEGER, PRIMARY KEY (dag_id, run_id)
)
""",
)
_THE_TRY = "(dag_id, run_id, task_id, map_index, try_number) = (?, ?, ?, ?, ?)"


class AlertBook:
    """Failures met so far, shared by every process of the installation."""

    def __init__(self, home: Path) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self._path = home / "alerts.db"

    def enter(self, failure: Failure) -> bool:
        """Enter a failure; return whether that makes an alert due.

        None is due for a task try that is already in the book, and for one whose group is: the
        same error in the same run and try, or anywhere in the same backfill.
        """
        row = (
            *failure.try_key, failure.day, failure.error, failure.group_key,
            json.dumps(asdict(failure)), time.time(),
        )  # fmt: skip
        with self._open() as book:
            added = book.execute(
                "INSERT OR IGNORE INTO entries SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,"
                " NOT EXISTS (SELECT 1 FROM entries WHERE group_key = ?), 0, 0 RETURNING due",
                (*row, failure.group_key),
            ).fetchone()
        return bool(added and added[0])

    def claim(self) -> list[Failure]:
        """Return the failures whose alert is due; until they are settled no other sender has them.

        A sender settles each within a minute.
        """
        now = time.time()
        with self._open() as book:
            rows = book.execute(
                "UPDATE entries SET claimed_at = ? WHERE due AND NOT alerted AND claimed_at < ?"
                " RETURNING failure",
                (now, now - CLAIM_SECONDS),
            ).fetchall()
        return [Failure(**json.loads(text)) for (text,) in rows]

    def settle(self, failure: Failure, delivered: bool) -> None:
        """Write down whether a claimed alert was delivered; if not, it is due again."""
        with self._open() as book:
            book.execute(
                f"UPDATE entries SET alerted = ?, claimed_at = 0 WHERE {_THE_TRY}",
                (delivered, *failure.try_key),
            )

    def days_of_group(self, failure: Failure) -> list[str]:
        """Return the days that failed with this failure, newest entry last."""
        with self._open() as book:
            rows = book.execute(
                "SELECT day FROM entries WHERE group_key = ? ORDER BY met_at",
                (failure.group_key,),
            )
            return list(dict.fromkeys(day for (day,) in rows))

    def error_of(self, task: Mapping[str, Any]) -> str | None:
        """Return the error of a task try, given as Airflow's API returns it; None if unknown."""
        names = ("dag_id", "dag_run_id", "task_id", "map_index", "try_number")
        with self._open() as book:
            found = book.execute(
                f"SELECT error FROM entries WHERE {_THE_TRY}", tuple(task[name] for name in names)
            ).fetchone()
        return str(found[0]) if found else None

    def alerted(self) -> list[dict[str, object]]:
        """Return every failure whose alert was delivered, oldest first."""
        with self._open() as book:
            book.row_factory = sqlite3.Row
            rows = book.execute("SELECT * FROM entries WHERE alerted ORDER BY met_at")
            return [dict(row) for row in rows]

    def enter_backfill(self, dag_id: str, run_id: str, number: int) -> None:
        """Enter which backfill a run belongs to; a task is not told."""
        with self._open() as book:
            book.execute("REPLACE INTO backfills VALUES (?, ?, ?)", (dag_id, run_id, number))

    def backfill_of(self, dag_id: str, run_id: str) -> int | None:
        """Return the backfill that a run belongs to, None if none is known."""
        with self._open() as book:
            found = book.execute(
                "SELECT number FROM backfills WHERE (dag_id, run_id) = (?, ?)", (dag_id, run_id)
            ).fetchone()
        return int(found[0]) if found else None

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        book = sqlite3.connect(self._path, timeout=30, isolation_level=None)
        try:
            for table in _TABLES:
                book.execute(table)
            book.execute("BEGIN IMMEDIATE")
            yield book
            book.execute("COMMIT")
        finally:
            book.close()
