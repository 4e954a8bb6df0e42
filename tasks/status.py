"""Tables by day: present, missing, stale or superseded, and the backfill that mends what is not.

stale(part) = for some input of its newest version, row_hash(version read) != row_hash(version now).
A part that was read and is now rewritten with the same rows makes nothing stale. Of a delivery, the
hashes of the files in its manifests are compared.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from itertools import pairwise

import polars as pl

from tasks.arguments import a_day
from tasks.lake.contracts import Table
from tasks.lake.lake import Lake
from tasks.lake.ledger import Record, Slot, asked_days
from tasks.lake.tables import TABLES
from tasks.landing.manifest import LANDING, corrected_since
from tasks.settings import Settings

PRESENT, MISSING, STALE, SUPERSEDED, NONE = "present", "missing", "stale", "superseded", "none"
Current = Mapping[str, Mapping[Slot, Record]]
"""The newest record of every part, by table: the ledger as it was when the question was asked."""

SIGNS = {PRESENT: "+", MISSING: "!", STALE: "~", SUPERSEDED: "s", NONE: "."}
TO_MEND = (MISSING, STALE)
ROOT = "build_features"
NAMED = 3
STATUS_SCHEMA = {
    "table": pl.String,
    "day": pl.Date,
    "part": pl.String,
    "dag": pl.String,
    "state": pl.String,
    "rows": pl.Int64,
    "version": pl.Int64,
    "reason": pl.String,
}


def statuses(
    lake: Lake, days: Sequence[date], tables: Iterable[Table] | None = None
) -> pl.DataFrame:
    """Return STATUS_SCHEMA rows: one per table, day and part; a day without parts has one row.

    A day before the first landing day is outside history and has no rows.
    """
    landed = set(lake.complete_days(max(days, default=date.min)))
    known = [day for day in days if landed and day >= min(landed)]
    current = {name: lake.ledger.current(table) for name, table in TABLES.items()}
    rows = [
        row
        for table in (TABLES.values() if tables is None else tables)
        for row in _of_table(lake, current, table, known, landed)
    ]
    return pl.DataFrame(rows, schema=STATUS_SCHEMA, orient="row")


def _of_table(
    lake: Lake, current: Current, table: Table, days: Sequence[date], landed: set[date]
) -> list[tuple[object, ...]]:
    records: dict[date, list[Record]] = {day: [] for day in days}
    for (day, _), record in sorted(current[table.name].items()):
        if day in records:
            records[day].append(record)
    return [
        row
        for day, found in records.items()
        for row in (
            [_of_record(lake, current, table, record) for record in found]
            or [_absent(table, day, day in landed)]
        )
    ]


def _of_record(lake: Lake, current: Current, table: Table, record: Record) -> tuple[object, ...]:
    state, reason = PRESENT, ""
    if record.status == "superseded":
        state, reason = SUPERSEDED, f"superseded by {record.superseded_by}"
    elif changed := changed_inputs(lake, current, record):
        state, reason = STALE, f"changed since: {_some(changed)}"
    dag = dag_of(table)
    return (table.name, record.dt, record.part, dag, state, record.rows, record.version, reason)


def _some(names: list[str]) -> str:
    rest = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {rest} more" if rest > 0 else "")


def _absent(table: Table, day: date, has_landed: bool) -> tuple[object, ...]:
    state = NONE if table.class_ == "historical" else MISSING
    reason = "" if state == NONE or has_landed else "nothing has landed"
    return (table.name, day, "", dag_of(table), state, None, None, reason)


def dag_of(table: Table) -> str:
    """Return the DAG that writes the table."""
    return table.written_by.split(".")[0]


def changed_inputs(lake: Lake, current: Current, record: Record) -> list[str]:
    """Return the inputs, as `table day`, whose rows differ from those that were read."""
    return [
        f"{name} {day}"
        for name, versions in sorted(record.inputs.items())
        for day, version in sorted(versions.items())
        if _has_changed(lake, current, name, date.fromisoformat(day), version)
    ]


def _has_changed(lake: Lake, current: Current, name: str, day: date, version: int) -> bool:
    table_name, _, part = name.partition("/")
    if table_name == LANDING:
        return corrected_since(lake.settings.landing, day, version, part)
    table = TABLES[table_name]
    now = current[table_name].get((day, part))
    if table.class_ == "historical" or now is None or now.version == version:
        return False
    read = lake.ledger.version(table, day, part, version)
    return read is None or read.row_hash != now.row_hash


def mends(found: pl.DataFrame) -> list[str]:
    """Return what to do, in order: the root's backfills first, since the rest follow."""
    broken = found.filter(pl.col("state").is_in(TO_MEND))
    waiting = sorted(set(broken.filter(pl.col("reason") == "nothing has landed")["day"]))
    broken = broken.filter(~pl.col("day").is_in(waiting))
    root = sorted(set(broken.filter(pl.col("dag") == ROOT)["day"]))
    rest = broken.filter(~pl.col("day").is_in(root))
    said = [f"wait for the delivery of {span(*run)}: nothing has landed" for run in ranges(waiting)]
    said += [
        f"backfill {ROOT} for {span(*run)}; the other DAGs follow for the same days"
        for run in ranges(root)
    ]
    return said + [
        f"run {dag} for {span(*run)} (in the UI: trigger with the day as partition key)"
        for dag in rest["dag"].unique(maintain_order=True)
        for run in ranges(sorted(set(rest.filter(pl.col("dag") == dag)["day"])))
    ]


def ranges(days: Sequence[date]) -> list[tuple[date, date]]:
    """Return the runs of consecutive days of a sorted sequence, as first and last."""
    if not days:
        return []
    breaks = [(a, b) for a, b in pairwise(days) if b - a != timedelta(days=1)]
    firsts = [days[0], *(b for _, b in breaks)]
    lasts = [*(a for a, _ in breaks), days[-1]]
    return list(zip(firsts, lasts, strict=True))


def span(first: date, last: date) -> str:
    """Return one day, or the first and the last of several."""
    return str(first) if first == last else f"{first} to {last}"


def of_day(states: Iterable[str]) -> str:
    """Return the state of a table's day from those of its parts: the worst one."""
    found = set(states)
    return next(state for state in (MISSING, STALE, SUPERSEDED, NONE, PRESENT) if state in found)


def by_day(found: pl.DataFrame) -> dict[str, dict[date, str]]:
    """Return the state of each table on each day."""
    states: dict[str, dict[date, list[str]]] = {}
    for table, day, state in found.select("table", "day", "state").iter_rows():
        states.setdefault(table, {}).setdefault(day, []).append(state)
    return {
        table: {day: of_day(some) for day, some in days.items()} for table, days in states.items()
    }


def lines(found: pl.DataFrame) -> list[str]:
    """Return the status for a person: one sign per day, what is wrong, what mends it."""
    if found.is_empty():
        return ["Nothing has landed for these days: there is nothing to judge."]
    legend = "  ".join(f"{sign} {state}" for state, sign in SIGNS.items())
    head = f"one sign per day, {span(found['day'].min(), found['day'].max())}:  {legend}"  # type: ignore[arg-type]
    grid = by_day(found)
    width = max(map(len, grid))
    signs = [
        f"  {table:<{width}}  {''.join(SIGNS[days[day]] for day in sorted(days))}"
        for table, days in grid.items()
    ]
    return [head, *signs, *_reasons(found), *_to_do(found)]


def _reasons(found: pl.DataFrame) -> list[str]:
    stale = found.filter(pl.col("state") == STALE)
    return [
        f"stale: {table}{'/' + part if part else ''} {day}, {reason}"
        for table, part, day, reason in stale.select("table", "part", "day", "reason").iter_rows()
    ]


def _to_do(found: pl.DataFrame) -> list[str]:
    todo = mends(found)
    return ["To mend:", *(f"  {line}" for line in todo)] if todo else ["Nothing to mend."]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare `--from` and `--to`."""
    parser.add_argument("--from", dest="first", type=a_day, required=True, metavar="DAY")
    parser.add_argument("--to", dest="last", type=a_day, required=True, metavar="DAY")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Print the status; 0 when nothing is to mend, else 1."""
    found = statuses(Lake(settings), asked_days(args.first, args.last))
    print("\n".join(lines(found)))
    return 1 if mends(found) else 0
