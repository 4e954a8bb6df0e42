"""What every benchmark shares: time, memory and the one JSON line at its end."""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

import psutil

from tasks.ranker.measure import Interval
from tasks.simulator.parameters import Parameters

Figure = float | int | str
T = TypeVar("T")


def asked(seeds: str, worlds: str = "default") -> argparse.Namespace:
    """Return the command line's `seeds` and `worlds`; these are the defaults.

    Figures that are quoted use seeds that were never used while developing. Spent: below 30, and 41
    to 43, on which the marginals were looked at before the last change of the default world.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=_numbers, default=_numbers(seeds), help="11,12,13")
    parser.add_argument("--worlds", type=_names, default=_names(worlds), help="default,rough")
    return parser.parse_args()


def only(values: list[T], what: str) -> T:
    """Return the one value that this benchmark can use."""
    if len(values) != 1:
        raise SystemExit(f"this benchmark takes one {what}, not {values}")
    return values[0]


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def _names(text: str) -> list[str]:
    # A break's own comma stands behind a colon: default,rough:cascade+heavy_tails.
    return [part.replace("+", ",") for part in text.split(",")]


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

    def world(self, parameters: Parameters) -> None:
        """Record which simulated world the figures are of."""
        self.figures[f"digest of {parameters.version}"] = parameters.digest

    def intervals(self, prefix: str, found: Mapping[str, Interval], form: str = ".4f") -> None:
        """Record estimates with their 95% intervals; `form` is that of each number."""
        for name, there in found.items():
            value, low, high = (format(x, form) for x in (there.value, there.low, there.high))
            self.figures[f"{prefix}/{name}"] = f"{value} [{low}, {high}]"

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
