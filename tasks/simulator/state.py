"""What the shop carries from one day to the next, in memory and on disk.

`scheduled` are orders and returns that earlier days decided; `undelivered` are events that happened
and have not been received yet.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, fields
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl

from tasks.simulator.draws import Floats, Ints

NOTHING = -1
LONG_AGO = -(10**6)
MOVES = dict.fromkeys(
    (
        "kind", "at", "customer", "item", "request", "session", "platform", "surface", "position",
        "dwell", "price", "quantity",
    ),
    pl.Int64,
)  # fmt: skip


@dataclass
class State:
    """Arrays by customer or item; `seen` and `bought` hold item indices, newest last.

    `leaning` is where exposure has turned each customer's taste, without rows where it never does.
    """

    popularity: Floats
    last_category: Ints
    last_style: Ints
    last_collection: Ints
    seen: Ints
    bought: Ints
    bought_day: Ints
    mailed_day: Ints
    opted_out: Ints
    leaning: Floats


def opening_state(popularity: Floats, customers: int, memory: int, axes: int) -> State:
    """Return the state of a shop in which nobody has done anything yet."""

    def empty(*shape: int) -> Ints:
        return np.full(shape, NOTHING, dtype=np.int64)

    return State(
        popularity, empty(customers), empty(customers), empty(customers),
        empty(customers, memory), empty(customers, memory), np.full((customers, memory), LONG_AGO),
        np.full(customers, LONG_AGO), np.zeros(customers, dtype=np.int64),
        np.zeros((customers, axes)),
    )  # fmt: skip


def append(ring: Ints, who: Ints, values: Ints) -> None:
    """Put `values` at the end of rows `who` of `ring`; the oldest fall out."""
    order = np.argsort(who, kind="stable")
    who, values = who[order], values[order]
    rows, starts, counts = np.unique(who, return_index=True, return_counts=True)
    width = ring.shape[1]
    rank_from_end = np.repeat(starts + counts, counts) - 1 - np.arange(len(who))
    kept = rank_from_end < width
    for row_count in np.unique(np.minimum(counts, width)):
        these = rows[np.minimum(counts, width) == row_count]
        ring[these] = np.roll(ring[these], -row_count, axis=1)
    ring[who[kept], width - 1 - rank_from_end[kept]] = values[kept]


def save(folder: Path, state: State, frames: dict[str, pl.DataFrame], last_day: date) -> None:
    """Write the state after `last_day`; the file that names the day comes last."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = folder / str(last_day)
    np.savez(f"{stem}.npz", **{field.name: getattr(state, field.name) for field in fields(State)})
    for name, frame in frames.items():
        frame.write_parquet(f"{stem}.{name}.parquet")
    partial = folder / "last_day.partial"
    partial.write_text(json.dumps({"last_day": str(last_day)}))
    os.replace(partial, folder / "last_day.json")
    for path in folder.glob("*-*-*.*"):
        if not path.name.startswith(str(last_day)):
            path.unlink()


def last_day(folder: Path) -> date | None:
    """Return the last day that was simulated into `folder`."""
    path = folder / "last_day.json"
    return date.fromisoformat(json.loads(path.read_text())["last_day"]) if path.exists() else None


def load(folder: Path, frames: tuple[str, ...]) -> tuple[State, dict[str, pl.DataFrame]]:
    """Return the state after the last day and the frames saved with it."""
    stem = folder / str(last_day(folder))
    with np.load(f"{stem}.npz") as arrays:
        state = State(**{field.name: arrays[field.name] for field in fields(State)})
    return state, {name: pl.read_parquet(f"{stem}.{name}.parquet") for name in frames}
