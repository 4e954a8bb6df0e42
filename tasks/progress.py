"""Progress lines of a long step: which piece of how many, percent, how fast, how long to go."""

from __future__ import annotations

import logging
import time

log = logging.getLogger(__name__)

SILENT_SECONDS = 10


class Progress:
    """Counts the pieces of a step, which are of about the same size."""

    def __init__(self, title: str, pieces: int) -> None:
        self._title = title
        self._pieces = pieces
        self._done = 0
        self._started = time.monotonic()

    def piece(self, told: str) -> None:
        """Log that one more piece is done."""
        self._done += 1
        seconds = time.monotonic() - self._started
        log.info(
            "%s: %d of %d (%d%%), %s; %.1f s so far, %.0f s to go",
            self._title,
            self._done,
            self._pieces,
            100 * self._done // self._pieces,
            told,
            seconds,
            seconds / self._done * (self._pieces - self._done),
        )


class Pace:
    """Counts the rows of a step that streams; tells how many, percent and how fast."""

    def __init__(self, title: str, rows: int) -> None:
        self._title = title
        self._rows = rows
        self._done = 0
        self._told = self._started = time.monotonic()

    def done(self, rows: int) -> None:
        """Count rows that are done; logged at the end, and every ten seconds until then."""
        self._done += rows
        now = time.monotonic()
        if self._done < self._rows and now - self._told < SILENT_SECONDS:
            return
        self._told = now
        log.info(
            "%s: %s of %s rows (%d%%), %s a second",
            self._title,
            f"{self._done:,}",
            f"{self._rows:,}",
            100 * self._done // max(self._rows, 1),
            f"{self._done / max(now - self._started, 1e-3):,.0f}",
        )
