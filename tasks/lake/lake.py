"""Read and write days of tables; what is read is remembered and recorded with what is written."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl

from tasks import tracking
from tasks.errors import ContractViolation, InputNotReady
from tasks.lake import engines
from tasks.lake.contracts import RECENT_DAYS, Table, check_row_count, conform
from tasks.lake.engines import Partitions, Relation, Value
from tasks.lake.ledger import COMMIT_KEY, Ledger, Record, Slot, days_between
from tasks.lake.pieces import Spilled, spilled
from tasks.lake.row_hash import row_hash
from tasks.lake.storage import Storage
from tasks.landing.manifest import LANDING, Manifest, landing_days
from tasks.settings import Settings

log = logging.getLogger(__name__)

WHOLE = ""
"""The part of tables that no mapped task fills."""


@dataclass(frozen=True)
class Window:
    """Days day+ends-days+1 .. day+ends; absent ones are an error unless `optional`."""

    days: int
    ends: int = 0
    optional: bool = False

    @property
    def reach(self) -> int:
        """How many days back the window goes, `day` included."""
        return self.days - self.ends

    def of(self, day: date) -> list[date]:
        """Return the days of the window at `day`, in order."""
        last = day + timedelta(days=self.ends)
        return days_between(last - timedelta(days=self.days - 1), last)


class Lake:
    """The lake as one task sees it.

    Writes record as inputs every part that this object has read so far, so open one per task.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.storage = Storage(settings.lake, settings.min_free_gb)
        self.ledger = Ledger(self.storage)
        self._inputs: dict[str, dict[str, int]] = {}
        self._landed: list[date] | None = None
        self.settings_hash = _hash_of(settings)

    # What there is

    def complete_days(self, through: date) -> list[date]:
        """Return the landing days whose manifest is there, up to `through`, in order."""
        if self._landed is None:
            self._landed = landing_days(self.settings.landing)
        return [day for day in self._landed if day <= through]

    def first_day(self) -> date:
        """Return the first landing day; what is earlier is outside history.

        Raises:
            InputNotReady: nothing has landed.
        """
        return self._any_landed()[0]

    def newest_day(self) -> date:
        """Return the newest landing day, taken in or not.

        Raises:
            InputNotReady: nothing has landed.
        """
        return self._any_landed()[-1]

    def _any_landed(self) -> list[date]:
        landed = self.complete_days(date.max)
        if not landed:
            raise InputNotReady(f"nothing has landed in {self.settings.landing}")
        return landed

    def has_day(self, table: Table, day: date, part: str | None = None) -> bool:
        """Return whether the ledger has that day (of that part, or of any)."""
        return bool(self._slots(table, [day], part))

    def parts(self, table: Table, day: date) -> list[str]:
        """Return the parts written for that day, in order."""
        return sorted(part for written, part in self.ledger.written(table) if written == day)

    # Read

    def read_day(self, table: Table, day: date, part: str | None = None) -> pl.DataFrame:
        """Return the rows of one day.

        Raises:
            InputNotReady: the ledger has no such day.
        """
        return self.read_window(table, day, 1, part)

    def read_window(
        self, table: Table, day: date, window: Window | int, part: str | None = None
    ) -> pl.DataFrame:
        """Return the rows of a window, with `dt` and, where the table has parts, the part.

        Raises:
            InputNotReady: naming the absent days and the backfill that makes them.
        """
        relation = self._partitions(table, day, window, part)
        if not relation.files:
            return pl.DataFrame(schema=table.stored_schema)
        partitions = _partition_columns(table)
        rows = self.storage.read(list(relation.files), table.stored_schema, partitions)
        # A day that was appended to lies in several files, whose names have no order.
        return rows.sort("dt", *table.key) if table.class_ == "historical" else rows

    def scan_day(self, table: Table, day: date) -> pl.LazyFrame:
        """Return the rows of one day where they lie: what is asked of them is read, and no more.

        A day in pieces comes in any order, in the same one as long as nothing writes it.

        Raises:
            InputNotReady: the ledger has no such day.
        """
        files = list(self._partitions(table, day, 1, None).files)
        if not files:
            return pl.LazyFrame(schema=table.stored_schema)
        return self.storage.scan(files, table.stored_schema, _partition_columns(table))

    def frames(
        self, table: Table, day: date, columns: Sequence[str], part: str | None = None
    ) -> Iterator[pl.DataFrame]:
        """Yield columns of the rows of one day, in frames that memory can hold, in any order.

        Raises:
            InputNotReady: the ledger has no such day (of that part).
        """
        relation = self._partitions(table, day, 1, part)
        wanted = {name: table.schema[name] for name in columns}
        yield from self.storage.frames(relation.files, wanted)

    def spark_rows(self, table: Table, day: date) -> Any:  # noqa: ANN401 (Spark's frame)
        """Return the rows of one day as a frame of Spark's, for a job of its own.

        Raises:
            InputNotReady: the ledger has no such day.
        """
        session = engines.spark_session(self.settings)
        return engines.spark_rows(session, self._partitions(table, day, 1, None))

    def select(
        self,
        name: str,
        day: date,
        inputs: Mapping[Table, Window | int],
        frames: Mapping[str, pl.DataFrame] | None = None,
        params: Mapping[str, Value] | None = None,
    ) -> pl.DataFrame:
        """Return the rows of `sql/<name>.sql`, run on the engine of the settings.

        Args:
            name: file below `sql/`, without its ending.
            day: bound as `:day`.
            inputs: the window of each table that the text names.
            frames: further relations by name.
            params: further values, bound as `:name`.

        Raises:
            ContractViolation: the engine refuses the text, as where a column is not there.
            InputNotReady: a day of the inputs is absent.
        """
        relations, values = self._given(day, inputs, frames, params)
        with self._refusal_told(name):
            return engines.select(engines.sql_text(name), relations, values, self.settings)

    def stream(
        self,
        name: str,
        order: Sequence[str],
        day: date,
        inputs: Mapping[Table, Window | int],
        frames: Mapping[str, pl.DataFrame] | None = None,
        params: Mapping[str, Value] | None = None,
    ) -> Iterator[pl.DataFrame]:
        """Yield the rows of `sql/<name>.sql` in the order of these columns; `select` otherwise."""
        relations, values = self._given(day, inputs, frames, params)
        return self._streamed(name, relations, values, order)

    def _streamed(
        self,
        name: str,
        relations: Mapping[str, Relation],
        values: Mapping[str, Value],
        order: Sequence[str],
    ) -> Iterator[pl.DataFrame]:
        with self._refusal_told(name):
            text = engines.sql_text(name)
            yield from engines.stream(text, relations, values, self.settings, order)

    @contextmanager
    def _refusal_told(self, name: str) -> Iterator[None]:
        try:
            yield
        except engines.refusal(self.settings) as error:
            said = str(error).split("\n\n")[0]
            raise ContractViolation(f"{name}.sql is refused: {said}") from error

    def _given(
        self,
        day: date,
        inputs: Mapping[Table, Window | int],
        frames: Mapping[str, pl.DataFrame] | None,
        params: Mapping[str, Value] | None,
    ) -> tuple[dict[str, Relation], dict[str, Value]]:
        relations: dict[str, Relation] = {
            table.name: self._partitions(table, day, window, None)
            for table, window in inputs.items()
        }
        return relations | dict(frames or {}), {"day": day, **(params or {})}

    def _partitions(
        self, table: Table, day: date, window: Window | int, part: str | None
    ) -> Partitions:
        window = window if isinstance(window, Window) else Window(window)
        if window.reach > table.keep_days:
            raise ContractViolation(
                f"{table.name} is kept for {table.keep_days} days, {window.reach} are read"
            )
        slots = self._slots(table, window.of(day), part)
        if not window.optional:
            self._refuse_gaps(table, window.of(day), slots, part)
        self._remember(slots)
        return Partitions(table, self.storage.path(table.name), tuple(self._files(table, slots)))

    def _remember(self, slots: dict[Slot, Record]) -> None:
        names = {slot: _name(record) for slot, record in slots.items()}
        for (day, part), name in names.items():
            self._inputs.setdefault(name, {})[str(day)] = slots[day, part].version
        for name in set(names.values()):
            tracking.read(name, self._inputs[name])

    def remember_landing(self, manifests: Sequence[Manifest], kind: str = WHOLE) -> None:
        """Remember deliveries as read: all of each, or its files of one kind."""
        if not manifests:
            return
        name = f"{LANDING}/{kind}" if kind else LANDING
        versions = {str(manifest.day): manifest.version for manifest in manifests}
        self._inputs.setdefault(name, {}).update(versions)
        tracking.read(name, self._inputs[name])

    def _slots(self, table: Table, days: list[date], part: str | None) -> dict[Slot, Record]:
        wanted = set(days)
        return {
            (day, key): record
            for (day, key), record in self.ledger.written(table).items()
            if day in wanted and part in (None, key)
        }

    def _files(self, table: Table, slots: dict[Slot, Record]) -> list[str]:
        if not slots:
            return []
        filters = [("dt", "in", sorted({str(day) for day, _ in slots}))]
        if table.part:
            filters.append((table.part, "in", sorted({key for _, key in slots})))
        return self.storage.files(table.name, filters)

    def _refuse_gaps(
        self, table: Table, days: list[date], slots: dict[Slot, Record], part: str | None
    ) -> None:
        first = self.first_day()
        there = {day for day, _ in slots}
        gaps = [day for day in days if day >= first and day not in there]
        if gaps:
            name = f"{table.name}/{part}" if part else table.name
            raise InputNotReady(
                f"{name}: {len(gaps)} of {len(days)} days are absent, {gaps[0]} to {gaps[-1]};"
                f" {_mending(table, gaps[0], gaps[-1])}"
            )

    # Write

    def write_day(
        self, table: Table, day: date, frame: pl.DataFrame, part: str | None = None
    ) -> int:
        """Replace one day (of one part) and return its row count.

        Raises:
            ContractViolation: naming the rule, the count and three examples; nothing is written.
        """
        rows = conform(table, frame)
        if not self.settings.accept_row_counts:
            check_row_count(table, rows.height, self._recent_counts(table, day, part))
        draft = self._draft(table, day, part, rows)
        keys = {"dt": str(day), **({table.part: draft.part} if table.part else {})}
        predicate = " AND ".join(f"{name} = '{value}'" for name, value in keys.items())
        stored = _with_partition(rows, table, day, part)
        write = partial(self.storage.replace, table.name, stored, list(keys), predicate)
        return self._recorded(self._committed(table, draft, write))

    def write_day_in_pieces(self, table: Table, day: date, frames: Iterable[pl.DataFrame]) -> int:
        """Replace one day by rows that come in the order of the key, and return their count.

        Memory holds a piece of them; they lie on disk until all have been checked.

        Raises:
            ContractViolation: as `write_day`, or the rows are not in order; nothing is written.
        """
        self.settings.home.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=self.settings.home, prefix="pieces-") as folder:
            pieces = spilled(table, frames, Path(folder))
            if not pieces.rows:
                return self.write_day(table, day, table.empty())
            if not self.settings.accept_row_counts:
                check_row_count(table, pieces.rows, self._recent_counts(table, day, None))
            draft = self._draft(table, day, None, pieces)
            write = partial(self.storage.replace_in_pieces, table.name, pieces, day)
            return self._recorded(self._committed(table, draft, write))

    def append_day(self, table: Table, day: date, frame: pl.DataFrame) -> int:
        """Add rows to one day of a historical table and return how many.

        Raises:
            ContractViolation: a rule breaks, or a key is there already; nothing is written.
        """
        if table.class_ != "historical":
            raise ContractViolation(
                f"{table.name} is {table.class_}: only historical tables are appended to"
            )
        rows = conform(table, frame)
        before = self.read_window(table, day, Window(1, optional=True)).select(*table.columns)
        conform(table, pl.concat([before, rows]))
        draft = self._draft(table, day, None, rows)
        stored = _with_partition(rows, table, day, None)
        write = partial(self.storage.append, table.name, stored, ["dt"])
        return self._recorded(self._committed(table, draft, write))

    def _recent_counts(self, table: Table, day: date, part: str | None) -> list[int]:
        recent = self._slots(table, Window(RECENT_DAYS, ends=-1).of(day), part)
        return [record.rows for record in recent.values()]

    def supersede(self, table: Table, day: date, by: date, part: str | None = None) -> None:
        """Record that the day does not train because `by` does; data that are there stay."""
        if self.has_day(table, day, part):
            return
        draft = self._draft(table, day, part, table.empty())
        record = self._numbered(table, draft)
        self._recorded(replace(record, status="superseded", superseded_by=by))

    def _committed(
        self, table: Table, draft: Record, write: Callable[[Callable[[], dict[str, str]]], None]
    ) -> Record:
        """Write, numbered anew at each try: another writer of the part may have won the number."""
        tried = [draft]

        def record() -> dict[str, str]:
            tried.append(self._numbered(table, draft))
            return {COMMIT_KEY: tried[-1].to_json()}

        write(record)
        return tried[-1]

    def _numbered(self, table: Table, draft: Record) -> Record:
        return replace(draft, version=self.ledger.next_version(table, draft.dt, draft.part))

    def _draft(
        self, table: Table, day: date, part: str | None, rows: pl.DataFrame | Spilled
    ) -> Record:
        if bool(table.part) != bool(part):
            raise ContractViolation(
                f"{table.name}: part {part!r} given, the table's part is {table.part!r}"
            )
        key = part or WHOLE
        content = (
            (rows.height, row_hash(rows))
            if isinstance(rows, pl.DataFrame)
            else (rows.rows, rows.row_hash)
        )
        return Record(
            table=table.name,
            dt=day,
            part=key,
            version=0,
            rows=content[0],
            row_hash=content[1],
            inputs={name: dict(days) for name, days in self._inputs.items()},
            settings_hash=self.settings_hash,
            code_version=self.settings.code_version,
            run=tracking.run_id() or "",
        )

    def _recorded(self, record: Record) -> int:
        self.ledger.append(record)
        name = _name(record)
        log.info(
            "%s %s: %s rows %s, version %d",
            name,
            record.dt,
            f"{record.rows:,}",
            record.status,
            record.version,
        )
        tracking.written(name, record)
        return record.rows


def _name(record: Record) -> str:
    return f"{record.table}/{record.part}" if record.part else record.table


def _partition_columns(table: Table) -> list[str]:
    return ["dt", *filter(None, [table.part])]


def _with_partition(rows: pl.DataFrame, table: Table, day: date, part: str | None) -> pl.DataFrame:
    keys = [pl.lit(day).alias("dt")]
    if table.part:
        keys.append(pl.lit(part).alias(table.part))
    return rows.with_columns(keys)


def _mending(table: Table, first: date, last: date) -> str:
    dag = table.written_by.split(".")[0]
    if dag == "build_features":
        return f"backfill build_features from {first} to {last}"
    return f"run {dag} for {first}" + (f" to {last}" if last != first else "")


def _hash_of(settings: Settings) -> str:
    """Hash what can change a result: folders, addresses and the room on a disk cannot."""
    places = {"home", "landing_folder", "lake_url", "mlflow_url", "real_data", "code_version"}
    places |= {"min_free_gb"}
    told = {
        name: value
        for name, value in settings.logged().items()
        if name not in places and not name.startswith(("search.", "mailings."))
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]
