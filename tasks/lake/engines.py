"""The two engines: one SELECT of `sql/`, the same text on DuckDB and on Spark, equal rows.

Relations are files of Delta partitions or small frames; parameters are bound, never formatted into
the text. `:name` is Spark's form of a parameter, `$name` is DuckDB's.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from tasks.lake.contracts import Table
from tasks.settings import Settings

if TYPE_CHECKING:
    import duckdb
    from pyspark.sql import SparkSession

SQL_FOLDER = Path(__file__).resolve().parents[2] / "sql"
PARAMETER = re.compile(r"(?<![:\w]):([a-z_][a-z0-9_]*)")
COMMENT = re.compile(r"--[^\n]*")
Value = str | int | float | date
FRAME_ROWS = 250_000


@dataclass(frozen=True)
class Partitions:
    """A relation that lies in files: the table, its folder or URL, and the files to read."""

    table: Table
    path: str
    files: tuple[str, ...]


Relation = Partitions | pl.DataFrame


def sql_text(name: str) -> str:
    """Return the text of `sql/<name>.sql` without its comments (one may hold a colon)."""
    return COMMENT.sub("", (SQL_FOLDER / f"{name}.sql").read_text())


def select(
    text: str, relations: Mapping[str, Relation], params: Mapping[str, Value], settings: Settings
) -> pl.DataFrame:
    """Return the rows of one SELECT.

    Args:
        text: the statement; every relation that it names is among `relations`.
        relations: tables by the name that the text uses.
        params: values of `:name`; more than the text uses are allowed, fewer are not.
        settings: which engine, how many threads, how much memory.
    """
    used = {name: params[name] for name in PARAMETER.findall(text)}
    engine = _duckdb if settings.engine == "duckdb" else _spark
    return _narrow(engine(text, relations, used, settings))


def refusal(settings: Settings) -> Any:  # noqa: ANN401 (the engines have no types)
    """Return what the engine raises at a text that it cannot run, whatever the rows."""
    if settings.engine == "duckdb":
        import duckdb

        return duckdb.ProgrammingError
    from pyspark.errors import AnalysisException

    return AnalysisException


def stream(
    text: str,
    relations: Mapping[str, Relation],
    params: Mapping[str, Value],
    settings: Settings,
    order: Sequence[str],
) -> Iterator[pl.DataFrame]:
    """Yield the rows of one SELECT in the order of `order`, in frames of some hundred thousand.

    Memory holds a frame beside what the engine may take, which spills beyond that; on Spark what
    is found waits on the workers' disks.

    Args:
        text: as for `select`, which names the other arguments too.
        relations: as above.
        params: as above.
        settings: as above.
        order: the columns that tell rows apart.
    """
    if settings.engine != "duckdb":
        yield from _spark_frames(text, relations, params, settings, order)
        return
    used = {name: params[name] for name in PARAMETER.findall(text)}
    statement = PARAMETER.sub(r"$\1", text)
    ordered = f"SELECT * FROM ({statement}) ORDER BY {', '.join(order)}"
    with _duckdb_connection(settings) as connection:
        for name, relation in relations.items():
            _duckdb_relation(connection, name, relation)
        for batch in connection.sql(ordered, params=used).to_arrow_reader(FRAME_ROWS):
            yield _narrow(pl.DataFrame(pl.from_arrow(batch)))


def _narrow(frame: pl.DataFrame) -> pl.DataFrame:
    """Give integer sums one type: DuckDB widens them to 128 bits, Spark does not."""
    wide = [name for name, dtype in frame.schema.items() if _is_wide_integer(dtype)]
    return frame.with_columns(pl.col(wide).cast(pl.Int64))


def _is_wide_integer(dtype: pl.DataType) -> bool:
    return dtype == pl.Int128 or (isinstance(dtype, pl.Decimal) and dtype.scale == 0)


def _duckdb(
    text: str, relations: Mapping[str, Relation], params: Mapping[str, Value], settings: Settings
) -> pl.DataFrame:
    with _duckdb_connection(settings) as connection:
        for name, relation in relations.items():
            _duckdb_relation(connection, name, relation)
        rows: pl.DataFrame = connection.sql(PARAMETER.sub(r"$\1", text), params=dict(params)).pl()
        return rows


def _duckdb_connection(settings: Settings) -> duckdb.DuckDBPyConnection:
    import duckdb

    connection = duckdb.connect(
        config={
            "threads": settings.threads,
            "memory_limit": f"{settings.memory_gb}GB",
            "temp_directory": str(settings.home / "spill"),
            "preserve_insertion_order": False,
        }
    )
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def _duckdb_relation(connection: duckdb.DuckDBPyConnection, name: str, relation: Relation) -> None:
    if isinstance(relation, pl.DataFrame):
        _duckdb_table(connection, name, relation)
    elif not relation.files:
        _duckdb_table(connection, name, pl.DataFrame(schema=relation.table.stored_schema))
    elif "://" in relation.path:
        connection.register(name, _object_store_rows(relation))
    else:
        part = {relation.table.part: "VARCHAR"} if relation.table.part else {}
        types = ", ".join(f"{column}: {kind}" for column, kind in {"dt": "DATE", **part}.items())
        files = ", ".join("'" + file.replace("'", "''") + "'" for file in relation.files)
        connection.execute(
            f"CREATE TEMP VIEW {name} AS SELECT * FROM read_parquet([{files}],"
            f" hive_partitioning = true, hive_types = {{{types}}}, union_by_name = true)"
        )


def _duckdb_table(connection: duckdb.DuckDBPyConnection, name: str, rows: pl.DataFrame) -> None:
    # Copied, not only registered: of rows in Arrow the planner knows no number, takes what they
    # are joined to for small as well, and then holds a month of events in memory.
    connection.register(f"{name}_rows", rows.to_arrow())
    connection.execute(f"CREATE TEMP TABLE {name} AS SELECT * FROM {name}_rows")


def _object_store_rows(relation: Partitions) -> Any:  # noqa: ANN401 (a pyarrow dataset)
    """Rows through pyarrow: DuckDB's own object-store reader needs a download at run time."""
    import pyarrow.compute as pc
    from deltalake import DeltaTable

    days = sorted(
        {
            date.fromisoformat(part)
            for uri in relation.files
            for part in re.findall(r"/dt=([\d-]+)/", uri)
        }
    )
    return DeltaTable(relation.path).to_pyarrow_dataset().filter(pc.field("dt").isin(days))


def spark_session(settings: Settings) -> SparkSession:
    """Return this process's Spark session, in UTC, sized for small tables."""
    from pyspark.sql import SparkSession

    os.environ.setdefault("SPARK_LOCAL_IP", settings.spark_driver_host)
    # Workers run Python where a lake lies in a bucket or rows come as a stream: ours.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    memory = f"{max(1, int(settings.memory_gb))}g"
    return (
        SparkSession.builder.master(settings.spark_master)
        .appName("vitrina")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.shuffle.partitions", str(max(2, settings.threads)))
        .config("spark.sql.ansi.enabled", "true")
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.driver.host", settings.spark_driver_host)
        .config("spark.driver.bindAddress", settings.spark_driver_host)
        .config("spark.driver.memory", memory)
        .config("spark.driver.maxResultSize", memory)
        .config("spark.sql.warehouse.dir", str((settings.home / "spark-warehouse").resolve()))
        .getOrCreate()
    )


def _spark(
    text: str, relations: Mapping[str, Relation], params: Mapping[str, Value], settings: Settings
) -> pl.DataFrame:
    return pl.DataFrame(pl.from_arrow(_spark_found(text, relations, params, settings).toArrow()))


def _spark_found(
    text: str, relations: Mapping[str, Relation], params: Mapping[str, Value], settings: Settings
) -> Any:  # noqa: ANN401 (Spark's frame)
    session = spark_session(settings)
    for name, relation in relations.items():
        spark_rows(session, relation).createOrReplaceTempView(name)
    return session.sql(text, args=dict(params))


def _spark_frames(
    text: str,
    relations: Mapping[str, Relation],
    params: Mapping[str, Value],
    settings: Settings,
    order: Sequence[str],
) -> Iterator[pl.DataFrame]:
    """Yield what is found, split by ranges of the order; one range is here at a time."""
    from pyspark import StorageLevel

    def packed(batches: Iterator[Any]) -> Iterator[Any]:
        import pyarrow

        if of_range := list(batches):
            sink = pyarrow.BufferOutputStream()
            with pyarrow.ipc.new_stream(sink, of_range[0].schema) as writer:
                writer.write_table(pyarrow.Table.from_batches(of_range))
            yield pyarrow.record_batch({"ipc": [sink.getvalue().to_pybytes()]})

    found = _spark_found(text, relations, params, settings).persist(StorageLevel.DISK_ONLY)
    try:
        ranges = max(1, -(-found.count() // FRAME_ROWS))
        ordered = found.repartitionByRange(ranges, *order).sortWithinPartitions(*order)
        for row in ordered.mapInArrow(packed, "ipc binary").toLocalIterator():
            yield _narrow(pl.read_ipc_stream(row.ipc))
    finally:
        found.unpersist()


def spark_rows(session: SparkSession, relation: Relation) -> Any:  # noqa: ANN401 (Spark's frame)
    """Return a relation as Spark's own frame."""
    if isinstance(relation, pl.DataFrame):
        return session.createDataFrame(relation.to_arrow(compat_level=pl.CompatLevel.oldest()))
    if not relation.files:
        empty = pl.DataFrame(schema=relation.table.stored_schema)
        return session.createDataFrame(empty.to_arrow(compat_level=pl.CompatLevel.oldest()))
    if "://" in relation.path:
        return _spark_object_store_rows(session, relation)
    # Files are told by where they really are, and Spark wants to find them below the path.
    path = str(Path(relation.path).resolve())
    return (
        session.read.option("basePath", path).option("mergeSchema", "true").parquet(*relation.files)
    )


def _spark_object_store_rows(session: SparkSession, relation: Partitions) -> Any:  # noqa: ANN401 (Spark's frame)
    """Rows that the workers' Python reads: Spark's own S3 reader is half a gigabyte of jars.

    A worker finds the store by the `AWS_*` variables that it was started with.
    """
    from pyspark.sql.pandas.types import to_arrow_schema

    table = relation.table
    empty = pl.DataFrame(schema=table.stored_schema)
    rows = session.createDataFrame(empty.to_arrow(compat_level=pl.CompatLevel.oldest())).schema
    read = _reader(dict(table.stored_schema), ["dt", *filter(None, [table.part])])
    schema = to_arrow_schema(rows, timezone="UTC")

    def batches(given: Iterator[Any]) -> Iterator[Any]:
        for batch in given:
            for file in batch.column(0).to_pylist():
                yield from read(file).cast(schema).to_batches()

    files = session.createDataFrame([(file,) for file in relation.files], "file string")
    return files.repartition(len(relation.files)).mapInArrow(batches, rows)


def _reader(columns: dict[str, pl.DataType], parts: list[str]) -> Callable[[str], Any]:
    """Return what reads one file; within itself, since workers have no module of ours."""

    def read(file: str) -> Any:  # noqa: ANN401 (pyarrow has no types)
        import polars

        rows = polars.scan_parquet(
            file,
            hive_partitioning=True,
            hive_schema={name: columns[name] for name in parts},
            schema={name: dtype for name, dtype in columns.items() if name not in parts},
            missing_columns="insert",
            extra_columns="ignore",
        )
        return rows.select(*columns).collect().to_arrow(compat_level=polars.CompatLevel.oldest())

    return read
