from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
import yaml
from polars.testing import assert_frame_equal

from tasks.features.calendar import calendar
from tasks.features.daily import DAILY
from tasks.lake import engines
from tasks.lake.contracts import Table
from tasks.lake.tables import TABLES
from tasks.settings import Settings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

CASES = Path(__file__).parent
STATEMENTS = sorted(
    str(path.relative_to(engines.SQL_FOLDER).with_suffix(""))
    for path in engines.SQL_FOLDER.rglob("*.sql")
)
EXPECTED_CASES = {"ordinary", "empty_day", "duplicates"}
RELATION = re.compile(r"\b(?:FROM|JOIN)\s+([a-z_]+)", re.IGNORECASE)
ARITHMETIC = re.compile(r"[-+*/(). \de]+")
TYPES = {
    "bool": pl.Boolean(),
    "date": pl.Date(),
    "float": pl.Float64(),
    "int": pl.Int64(),
    "str": pl.String(),
    "time": pl.Datetime("us", "UTC"),
}
TOLERANCE = 1e-12


@dataclass(frozen=True)
class Case:
    """A folder: one YAML per relation, `params.yaml` with `:name` values, `expect.yaml`.

    A YAML of rows is a list, or `{defaults: {...}, types: {...}, rows: [...]}`. A table's column
    that no row names is null, `dt` is `:day`; a table without a file is empty. `calendar` in
    `params.yaml` holds the arguments of `tasks.features.calendar`. In `expect.yaml` only the named
    columns are compared and a value may be arithmetic, e.g. `(2 + 20 * 3/10) / (5 + 20)`.
    """

    statement: str
    name: str

    @property
    def folder(self) -> Path:
        return CASES / self.statement / self.name

    @property
    def text(self) -> str:
        return engines.sql_text(self.statement)

    def params(self) -> dict[str, Any]:
        return dict(yaml.safe_load((self.folder / "params.yaml").read_text()))

    def rows(self, name: str) -> tuple[list[dict[str, Any]], dict[str, str]]:
        found = yaml.safe_load((self.folder / f"{name}.yaml").read_text()) or []
        if isinstance(found, list):
            return found, {}
        defaults = found.get("defaults", {})
        return [{**defaults, **row} for row in found["rows"] or []], found.get("types", {})

    def relations(self) -> dict[str, pl.DataFrame]:
        params = self.params()
        given = {path.stem for path in self.folder.glob("*.yaml")} - {"params", "expect"}
        named = {name for name in RELATION.findall(self.text) if name in TABLES}
        frames = {name: self.relation(name, params["day"]) for name in given}
        empty = {name: pl.DataFrame(schema=TABLES[name].stored_schema) for name in named - given}
        if "calendar" in params:
            frames["calendar"] = calendar(params["day"], **params["calendar"])
        return frames | empty | self.daily(named - given, frames.get("events"))

    def daily(self, names: set[str], events: pl.DataFrame | None) -> dict[str, pl.DataFrame]:
        """What counts events day by day is made of the case's by its own statement."""
        if events is None:
            return {}
        return {
            table.name: pl.concat(
                [pl.DataFrame(schema=table.stored_schema), *counted(table, events)]
            )
            for table in DAILY
            if table.name in names
        }

    def relation(self, name: str, day: date) -> pl.DataFrame:
        rows, types = self.rows(name)
        if name not in TABLES:
            schema = pl.Schema({key: TYPES[kind] for key, kind in types.items()})
            return pl.DataFrame([_utc(row) for row in rows], schema=schema)
        schema = TABLES[name].stored_schema
        unknown = {key for row in rows for key in row} - set(schema)
        assert not unknown, f"{name} has no columns {sorted(unknown)}"
        return pl.DataFrame([_utc({"dt": day, **row}) for row in rows], schema=schema)

    def select(self, settings: Settings) -> pl.DataFrame:
        params = {key: value for key, value in self.params().items() if key != "calendar"}
        return engines.select(self.text, self.relations(), params, settings)


def counted(table: Table, events: pl.DataFrame) -> Iterator[pl.DataFrame]:
    for (day,), received in events.partition_by("dt", as_dict=True).items():
        text = engines.sql_text(table.name)
        rows = engines.select(text, {"events": received}, {}, Settings(mlflow_url=""))
        yield rows.with_columns(pl.lit(day).alias("dt")).select(table.stored_schema.names())


def _utc(row: dict[str, Any]) -> dict[str, Any]:
    return {
        key: value.replace(tzinfo=UTC) if isinstance(value, datetime) else value
        for key, value in row.items()
    }


def _worked(value: object) -> object:
    """Return a value as expected: arithmetic of numbers worked out, times in UTC."""
    if isinstance(value, str) and re.search(r"[-+*/]", value) and ARITHMETIC.fullmatch(value):
        return eval(value)  # the pattern lets arithmetic through and nothing else
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) else value


def _ordered(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the frame in one order, integers of one width: a SELECT promises neither."""
    integers = pl.col(pl.Int8, pl.Int16, pl.Int32).cast(pl.Int64)
    exact = [name for name, dtype in frame.schema.items() if not dtype.is_float()]
    return frame.with_columns(integers).sort(exact, nulls_last=True)


def _expected(case: Case, schema: pl.Schema) -> pl.DataFrame:
    rows, _ = case.rows("expect")
    named = list(dict.fromkeys(key for row in rows for key in row))
    unknown = set(named) - set(schema)
    assert not unknown, f"{case.statement} has no columns {sorted(unknown)}"
    worked = [{key: _worked(value) for key, value in row.items()} for row in rows]
    return pl.DataFrame(worked, schema={name: schema[name] for name in named or schema})


def assert_rows_as_expected(case: Case, rows: pl.DataFrame) -> None:
    expected = _expected(case, rows.schema)
    assert_frame_equal(
        _ordered(rows.select(expected.columns)),
        _ordered(expected),
        rel_tol=TOLERANCE,
        abs_tol=TOLERANCE,
    )


def _cases() -> list[Case]:
    return [
        Case(statement, path.parent.name)
        for statement in STATEMENTS
        for path in sorted((CASES / statement).glob("*/expect.yaml"))
    ]


cases = pytest.mark.parametrize(
    "case", [pytest.param(case, id=f"{case.statement}-{case.name}") for case in _cases()]
)


def test_statements_are_found() -> None:
    assert "item_features" in STATEMENTS


@pytest.mark.parametrize("statement", STATEMENTS)
def test_every_statement_has_an_ordinary_an_empty_and_a_duplicate_case(statement: str) -> None:
    missing = EXPECTED_CASES - {case.name for case in _cases() if case.statement == statement}
    assert not missing, f"write tests/sql/{statement}/<{'|'.join(sorted(missing))}>/"


@pytest.mark.parametrize("statement", STATEMENTS)
def test_every_statement_says_its_grain_inputs_window_and_owner(statement: str) -> None:
    header = (engines.SQL_FOLDER / f"{statement}.sql").read_text()
    missing = [
        word for word in ("Grain", "Inputs", "Window", "Owner") if f"-- {word}:" not in header
    ]
    assert not missing


def test_every_folder_of_cases_belongs_to_a_statement() -> None:
    folders = {str(path.parent.parent.relative_to(CASES)) for path in CASES.rglob("expect.yaml")}
    assert not folders - set(STATEMENTS)


@cases
def test_duckdb_gives_the_rows_worked_by_hand(case: Case, settings: Settings) -> None:
    assert_rows_as_expected(case, case.select(settings))


@pytest.mark.spark
@cases
def test_spark_gives_the_same_rows_as_duckdb(
    case: Case, settings: Settings, spark: SparkSession
) -> None:
    on_spark = case.select(settings.model_copy(update={"engine": "spark"}))
    assert_rows_as_expected(case, on_spark)
    on_duckdb = case.select(settings)
    assert on_spark.columns == on_duckdb.columns
    assert_frame_equal(
        _ordered(on_spark), _ordered(on_duckdb), rel_tol=TOLERANCE, abs_tol=TOLERANCE
    )
