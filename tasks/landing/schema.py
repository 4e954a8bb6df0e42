"""The columns of a delivered file made those of the contract, where nothing is guessed or lost.

A column outside the contract is left out. A column of another type is cast when every value comes
back the same from the cast: integers and whole floats to each other, moments of a known zone to
UTC, categories to text. Text is never read as a number, a number never written as an identifier,
and decimals are never money: those mean another unit or another name, not another type.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

import polars as pl

from tasks.errors import ContractViolation
from tasks.lake.contracts import Table, conform

log = logging.getLogger(__name__)
EXAMPLES = 3
Type = pl.DataType | type[pl.DataType]


@dataclass
class Differences:
    """Columns, as `table.column`, that a source sent in another way than the contract has them."""

    left_out: set[str] = field(default_factory=set)
    cast: set[str] = field(default_factory=set)


def contract_columns(table: Table, frame: pl.DataFrame, found: Differences) -> pl.DataFrame:
    """Return the contract's columns in the contract's types; say in `found` what differed.

    Raises:
        ContractViolation: a column is missing, or its values do not survive a cast.
    """
    _refuse_missing(table, frame)
    extra = [name for name in frame.columns if name not in table.columns]
    wrong = [name for name, dtype in table.schema.items() if frame.schema[name] != dtype]
    if extra:
        log.warning("%s: columns outside the contract left out: %s", table.name, ", ".join(extra))
    found.left_out.update(f"{table.name}.{name}" for name in extra)
    found.cast.update(f"{table.name}.{name}" for name in wrong)
    return frame.select(*table.columns).with_columns(_cast(table, frame[name]) for name in wrong)


def _refuse_missing(table: Table, frame: pl.DataFrame) -> None:
    there = {name: dtype for name, dtype in table.schema.items() if name in frame.columns}
    # Without rows only the columns can be wrong: they are named before any rule is tried.
    conform(table, pl.DataFrame(schema=there))


def _cast(table: Table, values: pl.Series) -> pl.Series:
    wanted = table.schema[values.name]
    told = f"{table.name}: {values.name} is {values.dtype}, not {wanted}"
    if not _same_kind(values.dtype, wanted):
        raise ContractViolation(f"{told}; nothing written. Examples: {_shown(values)}")
    cast = values.cast(wanted, strict=False)
    lost = values.filter(~cast.cast(values.dtype, strict=False).eq_missing(values))
    if len(lost):
        raise ContractViolation(
            f"{told}, and {len(lost):,} values do not survive the cast; nothing written."
            f" Examples: {_shown(lost)}"
        )
    log.warning("%s: cast without loss", told)
    return cast


def _same_kind(found: Type, wanted: Type) -> bool:
    if found == pl.Null:
        return True
    if isinstance(found, pl.Datetime):
        # Without a zone a moment is a guess, however well it would cast.
        return isinstance(wanted, pl.Datetime) and found.time_zone is not None
    if wanted == pl.String:
        return found in (pl.Categorical, pl.Enum)
    return all(kind.is_integer() or kind.is_float() for kind in (found, wanted))


def _shown(values: pl.Series) -> str:
    return ", ".join(repr(value) for value in values.drop_nulls().head(EXAMPLES).to_list())
