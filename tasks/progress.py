"""Progress lines of a long step: which piece of how many, percent, seconds, how long to go."""

from __future__ import annotations

import logging
import time

log = logging.getLogger(__name__)


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
