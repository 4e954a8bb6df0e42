"""The ledger of days: which part of which table exists, in which version, made from what.

One row per write, append-only; the newest version of a part counts. The same record rides in the
data commit's metadata, so that a kill between the two is mended by whoever reads the table next.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from datetime import date, timedelta
from typing import Any

import polars as pl

from tasks.errors import WrongCall
from tasks.lake.contracts import Column, Table, conform
from tasks.lake.storage import Storage

COMMIT_KEY = "vitrina_record"
RECENT_COMMITS = 32

DAYS = Table(
    "days",
    "historical",
    {
        "part": Column(pl.String),
        "version": Column(pl.Int64, low=1),
        "status": Column(pl.String, values=("written", "superseded")),
        "superseded_by": Column(pl.Date, nullable=True),
        "rows": Column(pl.Int64, low=0),
        "row_hash": Column(pl.String),
        "inputs": Column(pl.String),
        "settings_hash": Column(pl.String),
        "code_version": Column(pl.String),
        "run": Column(pl.String),
    },
    ("part", "version"),
    "every write",
    part="table",
)
LEDGER_SCHEMA = DAYS.stored_schema


@dataclass(frozen=True)
class Record:
    """One write of one part; `inputs` maps table or table/part to the version read of each day.

    Deliveries are inputs too, `landing` or `landing/events`, by the version of their manifest.
    """

    table: str
    dt: date
    part: str
    version: int
    rows: int
    row_hash: str
    inputs: dict[str, dict[str, int]] = field(hash=False, default_factory=dict)
    settings_hash: str = ""
    code_version: str = ""
    run: str = ""
    status: str = "written"
    superseded_by: date | None = None

    def row(self) -> dict[str, Any]:
        """The record as a row of `days`."""
        return {**asdict(self), "inputs": json.dumps(self.inputs, sort_keys=True)}

    def to_json(self) -> str:
        """The record as it rides in the data commit."""
        return json.dumps(self.row(), default=str)

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> Record:
        """Read a row of `days`, or a parsed commit record with its dates as text."""
        dates = {name: _date(row[name]) for name in ("dt", "superseded_by")}
        return cls(**{**row, **dates, "inputs": json.loads(row["inputs"])})


def _date(value: date | str | None) -> date | None:
    return date.fromisoformat(value) if isinstance(value, str) else value


Slot = tuple[date, str]


class Ledger:
    """The records of each table, read once and then only what is new."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._read: dict[str, set[str]] = {}
        self._records: dict[str, dict[Slot, dict[int, Record]]] = {}

    def current(self, table: Table) -> dict[Slot, Record]:
        """Return the newest record of each (day, part) of the table, superseded ones included."""
        return {slot: versions[max(versions)] for slot, versions in self._versions(table).items()}

    def written(self, table: Table) -> dict[Slot, Record]:
        """Return the newest record of each (day, part) that holds data."""
        return {
            slot: record
            for slot, record in self.current(table).items()
            if record.status == "written"
        }

    def version(self, table: Table, day: date, part: str, version: int) -> Record | None:
        """Return one version's record, None if there is none."""
        return self._versions(table).get((day, part), {}).get(version)

    def next_version(self, table: Table, day: date, part: str) -> int:
        """Return the version that the next write of the part gets.

        A commit counts that is not in the ledger yet: its writer may be about to enter it.
        """
        entered = self._versions(table).get((day, part), {})
        committed = [
            record.version
            for record in self._commits(table)
            if (record.dt, record.part) == (day, part)
        ]
        return max([0, *entered, *committed]) + 1

    def append(self, record: Record) -> None:
        """Add one record."""
        frame = conform(DAYS, pl.DataFrame([record.row()], schema=DAYS.schema))
        key = {"table": pl.lit(record.table), "dt": pl.lit(record.dt)}
        self._storage.append(DAYS.name, frame.with_columns(**key), ["table"])

    def _versions(self, table: Table) -> dict[Slot, dict[int, Record]]:
        known = self._records.setdefault(table.name, {})
        first_look = table.name not in self._read
        self._load_new(table, known)
        if first_look and self._mend(table, known):
            self._load_new(table, known)
        return known

    def _load_new(self, table: Table, known: dict[Slot, dict[int, Record]]) -> None:
        read = self._read.setdefault(table.name, set())
        new = [
            uri
            for uri in self._storage.files(DAYS.name, [("table", "=", table.name)])
            if uri not in read
        ]
        if not new:
            return
        read.update(new)
        for row in self._storage.read(new, LEDGER_SCHEMA, ["table"]).iter_rows(named=True):
            record = Record.from_row(row)
            known.setdefault((record.dt, record.part), {})[record.version] = record

    def _mend(self, table: Table, known: dict[Slot, dict[int, Record]]) -> bool:
        """Append records of recent data commits that never reached the ledger."""
        lost = [
            record
            for record in self._commits(table)
            if record.version not in known.get((record.dt, record.part), {})
        ]
        for record in lost:
            self.append(record)
        return bool(lost)

    def _commits(self, table: Table) -> list[Record]:
        found = self._storage.commit_records(table.name, COMMIT_KEY, RECENT_COMMITS)
        return [Record.from_row(json.loads(text)) for text in found]


def days_between(first: date, last: date) -> list[date]:
    """Return every day from `first` to `last`, both included."""
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


def asked_days(first: date, last: date) -> list[date]:
    """Return the days that somebody asked for.

    Raises:
        WrongCall: the last is before the first.
    """
    if last < first:
        raise WrongCall(f"no days from {first} to {last}: the last is before the first")
    return days_between(first, last)
