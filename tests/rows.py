"""Rows of any table, of which a test says only what it is about."""

from __future__ import annotations

from datetime import UTC, date, datetime

import polars as pl

from tasks.lake.contracts import Column, Table

FILLER: dict[type[pl.DataType], object] = {
    pl.String: "x",
    pl.Boolean: False,
    pl.Date: date(2026, 1, 1),
    pl.Datetime: datetime(2026, 1, 1, tzinfo=UTC),
    pl.List: [],
}


def rows(table: Table, *given: dict[str, object]) -> pl.DataFrame:
    """Return rows that meet the contract where they are not given: null, or the least allowed."""
    other = {name: _least(column) for name, column in table.columns.items()}
    return pl.DataFrame([{**other, **one} for one in given], schema=table.schema)


def _least(column: Column) -> object:
    if column.nullable:
        return None
    if column.values:
        return column.values[0]
    kind = column.dtype.base_type()
    return FILLER.get(kind, column.low if column.low is not None else min(0, column.high or 0))
