"""What every benchmark shares: time, memory and the one JSON line at its end."""

from __future__ import annotations

import json
import os
import platform
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import psutil

Figure = float | int | str


@dataclass
class Bench:
    """One benchmark's figures, in the order in which they were taken."""

    name: str
    figures: dict[str, Figure] = field(default_factory=dict)

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Record the seconds of the body as `<name>_seconds`."""
        started = time.perf_counter()
        yield
        self.figures[f"{name}_seconds"] = round(time.perf_counter() - started, 2)

    def note(self, **figures: Figure) -> None:
        """Record figures as they are."""
        self.figures |= figures

    def finish(self) -> None:
        """Print the figures as one JSON object, the process's peak memory and machine included."""
        print(json.dumps({"bench": self.name, **self.figures, **circumstances()}))


def circumstances() -> dict[str, Figure]:
    """Return when and on what this runs, and the most memory that it has held."""
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    per_gb = 1 << 30 if sys.platform == "darwin" else 1 << 20
    return {
        "peak_gb": round(kilobytes / per_gb, 2),
        "cores": os.cpu_count() or 0,
        "memory_gb": round(psutil.virtual_memory().total / (1 << 30)),
        "load": round(os.getloadavg()[0], 1),
        "machine": platform.machine(),
        "date": datetime.now(tz=UTC).date().isoformat(),
    }
