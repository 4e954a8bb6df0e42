"""Contracts: what a table's rows must be, and the check that every write passes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Literal

import polars as pl

from tasks.errors import ContractViolation

UTC_TIME = pl.Datetime("us", "UTC")
FLOATS = (pl.Float64, pl.Float32)
EXAMPLES = 3
RECENT_DAYS = 7
KNOWN_DAYS = 5
"""Fewer recent days with rows than this tell no usual row count."""
ACCEPTED = "VITRINA_ACCEPT_ROW_COUNTS=true"


@dataclass(frozen=True)
class Column:
    """One column's rule; `low` and `high` are inclusive, NaN and infinity never pass."""

    dtype: pl.DataType | type[pl.DataType]
    nullable: bool = False
    low: float | None = None
    high: float | None = None
    values: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Table:
    """A table's contract.

    `dt` is implicit and never among `columns`; `part` names the second partition column of
    tables that mapped tasks fill, one key at a time. `due_hour` is the UTC hour of the day after
    `dt` by which the day must be there (None: nobody waits for it). Nobody reads further back
    than `keep_days`. A day with rows has `rows_to_median` times as many as the table's recent days
    (None: any number).
    """

    name: str
    class_: Literal["pure", "fitted", "historical"]
    columns: dict[str, Column] = field(hash=False)
    key: tuple[str, ...]
    written_by: str
    part: str | None = None
    keep_days: int = 400
    rows_to_median: tuple[float, float] | None = None
    due_hour: int | None = None

    @property
    def schema(self) -> pl.Schema:
        """The columns of a frame given to a write: without `dt` and without the part."""
        return pl.Schema({name: column.dtype for name, column in self.columns.items()})

    @property
    def stored_schema(self) -> pl.Schema:
        """The columns of a frame as read back: with the part, if any, and `dt`."""
        part = {self.part: pl.String()} if self.part else {}
        return pl.Schema({**self.schema, **part, "dt": pl.Date()})

    def empty(self) -> pl.DataFrame:
        """No rows, with the right columns: what a day without events writes."""
        return pl.DataFrame(schema=self.schema)


def conform(table: Table, frame: pl.DataFrame) -> pl.DataFrame:
    """Return the frame in the contract's column order, sorted by key.

    Raises:
        ContractViolation: naming the rule, how many rows break it and up to three of them.
    """
    _check_schema(table, frame)
    rules = dict(_rules(table))
    # One pass over the frame for all rules: a table has dozens, and most days break none.
    broken = frame.select(rule.any().alias(name) for name, rule in rules.items())
    for name, rule in rules.items():
        if broken[name].item():
            raise ContractViolation(_complaint(table, name, frame.filter(rule)))
    # Sorted, because Parquet bytes, hashes and later float sums all depend on row order.
    return frame.select(*table.columns).sort(*table.key)


def check_row_count(table: Table, rows: int, recent: Sequence[int]) -> None:
    """Compare a day's row count with the median of recent days; empty nights count for nothing.

    Raises:
        ContractViolation: naming the band, the count and the median.
    """
    known = [count for count in recent if count]
    if table.rows_to_median is None or not rows or len(known) < KNOWN_DAYS:
        return
    low, high = table.rows_to_median
    usual = median(known)
    if not low * usual <= rows <= high * usual:
        raise ContractViolation(
            f"{table.name}: '{low:g} to {high:g} times the usual rows' broken: {rows:,} rows, the"
            f" median of {len(known)} recent days is {usual:,g}; nothing written."
            f" {ACCEPTED} lets a day through that is right all the same"
        )


def _check_schema(table: Table, frame: pl.DataFrame) -> None:
    missing = [name for name in table.columns if name not in frame.columns]
    extra = [name for name in frame.columns if name not in table.columns]
    wrong = [
        f"{name} is {frame.schema[name]}, not {dtype}"
        for name, dtype in table.schema.items()
        if name in frame.columns and frame.schema[name] != dtype
    ]
    faults = [
        f"{len(found)} {what}: {', '.join(found[:EXAMPLES])}"
        for what, found in (("missing", missing), ("unknown", extra), ("of another type", wrong))
        if found
    ]
    if faults:
        raise ContractViolation(
            f"{table.name}: columns differ from the contract ({'; '.join(faults)})"
        )


def _rules(table: Table) -> Iterator[tuple[str, pl.Expr]]:
    """Yield each rule's words, and the rows that break it."""
    for name, column in table.columns.items():
        values = pl.col(name)
        if not column.nullable:
            yield f"{name} is never null", values.is_null()
        if column.dtype in FLOATS:
            yield f"{name} is finite", ~values.is_finite()
        if isinstance(column.dtype, pl.List) and column.dtype.inner in FLOATS:
            inner = pl.element().is_finite().fill_null(False)
            yield f"{name} holds finite numbers", ~values.list.eval(inner).list.all()
            yield f"{name} is as wide in every row", values.list.len() != values.list.len().first()
        if column.low is not None:
            yield f"{name} >= {column.low}", values < column.low
        if column.high is not None:
            yield f"{name} <= {column.high}", values > column.high
        if column.values is not None:
            allowed = ", ".join(column.values)
            yield f"{name} is one of {allowed}", ~values.is_in(column.values)
    yield f"one row per {', '.join(table.key)}", pl.struct(table.key).is_duplicated()


def _complaint(table: Table, rule: str, broken: pl.DataFrame) -> str:
    examples = "; ".join(
        str(row) for row in broken.select(*table.columns).head(EXAMPLES).to_dicts()
    )
    return (
        f"{table.name}: '{rule}' broken by {broken.height:,} rows, nothing written."
        f" Examples: {examples}"
    )
