"""What every benchmark shares: time, memory and the one JSON line at its end."""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

import psutil

from tasks.ranker.measure import Interval
from tasks.simulator.parameters import Parameters

Figure = float | int | str
T = TypeVar("T")


def asked(
    seeds: str, worlds: str = "default", more: Mapping[str, dict[str, Any]] | None = None
) -> argparse.Namespace:
    """Return the command line's `seeds` and `worlds`; these are the defaults.

    `more` are a benchmark's own options, each with what argparse wants to know of it.

    Figures that are quoted use seeds that were never used while developing. Spent since: below 64.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=numbers, default=numbers(seeds), help="11,12,13")
    parser.add_argument("--worlds", type=_names, default=_names(worlds), help="default,rough")
    for option, told in (more or {}).items():
        parser.add_argument(option, **told)
    return parser.parse_args()


def identity(parameters: Parameters) -> dict[str, str]:
    """Return what a landing manifest says of the world that a benchmark lives in."""
    return {"version": parameters.version, "digest": parameters.digest}


def only(values: list[T], what: str) -> T:
    """Return the one value that this benchmark can use."""
    if len(values) != 1:
        raise SystemExit(f"this benchmark takes one {what}, not {values}")
    return values[0]


def numbers(text: str) -> list[int]:
    """Return the whole numbers of `1,5,20`."""
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


@dataclass(frozen=True)
class Ran:
    """A command that was run: what it said, and the most memory that it and its children held."""

    log: str
    peak_gb: float
    code: int


def ran(command: list[str], environment: Mapping[str, str]) -> Ran:
    """Run a command to its end, looking ten times a second at what it and its children hold."""
    with tempfile.TemporaryFile("w+") as log:
        process = psutil.Popen(command, env=dict(environment), stdout=log, stderr=log)
        peak = 0
        while process.poll() is None:
            peak = max(peak, _held(process))
            time.sleep(0.1)
        log.seek(0)
        return Ran(log.read(), round(peak / (1 << 30), 2), process.returncode)


def _held(process: psutil.Process) -> int:
    try:
        family = [process, *process.children(recursive=True)]
        return sum(int(one.memory_info().rss) for one in family)
    except psutil.NoSuchProcess:
        return 0


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
