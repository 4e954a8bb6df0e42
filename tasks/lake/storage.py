"""Delta tables in a folder or an object store: files of a partition, replace, append.

The only module that writes Delta. It refuses an overwrite without a predicate, which would wipe
the table.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any

import polars as pl
import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, write_deltalake
from deltalake.exceptions import CommitFailedError, TableNotFoundError

from tasks.errors import ContractViolation, DiskFull
from tasks.lake.pieces import Spilled

log = logging.getLogger(__name__)

ATTEMPTS = 8
FRAME_ROWS = 1 << 20
"""As many as a row group holds, so that none is read twice."""
Filters = Sequence[tuple[str, str, str | list[str]]]


class Storage:
    """One lake's tables by name."""

    def __init__(self, url: str, min_free_gb: float) -> None:
        self.url = url
        self._min_free_bytes = int(min_free_gb * 2**30)
        self._tables: dict[str, DeltaTable] = {}

    @property
    def is_local(self) -> bool:
        """Whether the lake is a folder."""
        return "://" not in self.url

    def path(self, name: str) -> str:
        """Return the table's folder or URL."""
        return f"{self.url}/{name}"

    def table(self, name: str) -> DeltaTable | None:
        """Return the table at its newest version, None if it has never been written."""
        known = self._tables.get(name)
        if known is not None:
            known.update_incremental()
            return known
        try:
            self._tables[name] = DeltaTable(self.path(name))
        except TableNotFoundError:
            return None
        return self._tables[name]

    def files(self, name: str, filters: Filters) -> list[str]:
        """Return the files of the partitions that the filters select."""
        table = self.table(name)
        return [] if table is None else sorted(table.file_uris(partition_filters=list(filters)))

    def read(
        self, files: list[str], columns: Mapping[str, pl.DataType], partitions: list[str]
    ) -> pl.DataFrame:
        """Return the rows of files, in the files' order; a column that a file lacks is null."""
        return self.scan(files, columns, partitions).collect()

    def scan(
        self, files: list[str], columns: Mapping[str, pl.DataType], partitions: list[str]
    ) -> pl.LazyFrame:
        """Return the rows of files where they lie, otherwise as `read`."""
        rows = pl.scan_parquet(
            files,
            hive_partitioning=True,
            hive_schema={name: columns[name] for name in partitions},
            schema={name: dtype for name, dtype in columns.items() if name not in partitions},
            missing_columns="insert",
            extra_columns="ignore",
        )
        return rows.select(*columns)

    def frames(
        self, files: Sequence[str], columns: Mapping[str, pl.DataType]
    ) -> Iterator[pl.DataFrame]:
        """Yield columns of the rows of files, some at a time, in the order in which they lie."""
        for file in files:
            scan = pl.scan_parquet(
                file, schema=dict(columns), missing_columns="insert", extra_columns="ignore"
            ).select(*columns)
            rows = scan.select(pl.len()).collect().item()
            for start in range(0, rows, FRAME_ROWS):
                yield scan.slice(start, FRAME_ROWS).collect()

    def commit_records(self, name: str, key: str, limit: int) -> list[str]:
        """Return the records that ride in the newest commits of a table."""
        table = self.table(name)
        return [] if table is None else [c[key] for c in table.history(limit) if key in c]

    def append(
        self,
        name: str,
        frame: pl.DataFrame,
        partition_by: list[str],
        record: Callable[[], dict[str, str]] = dict,
    ) -> None:
        """Add rows; `record` is asked at each try for what rides in the commit."""
        self._commit(name, frame, partition_by, {"mode": "append"}, record)

    def replace(
        self,
        name: str,
        frame: pl.DataFrame,
        partition_by: list[str],
        predicate: str,
        record: Callable[[], dict[str, str]] = dict,
    ) -> None:
        """Replace the rows that the predicate selects, in one commit; `record` as above."""
        if not predicate:
            raise ContractViolation(f"{name}: a write without a day would wipe the table; refused")
        self._commit(
            name, frame, partition_by, {"mode": "overwrite", "predicate": predicate}, record
        )

    def replace_in_pieces(
        self,
        name: str,
        pieces: Spilled,
        day: date,
        record: Callable[[], dict[str, str]] = dict,
    ) -> None:
        """Replace a day by pieces on disk, in one commit; memory holds one of them."""
        self._refuse_full_disk(name, pieces.bytes, pieces.rows)
        first = next(_dated(pieces, day))

        def commit() -> None:
            table = self._created(name, first.schema, ["dt"])
            properties = CommitProperties(custom_metadata=record())
            batches = (batch for part in _dated(pieces, day) for batch in part.to_batches())
            write_deltalake(
                table,
                pa.RecordBatchReader.from_batches(first.schema, batches),
                partition_by=["dt"],
                schema_mode="merge" if _differs(first.column_names, table) else None,
                commit_properties=properties,
                mode="overwrite",
                predicate=f"dt = '{day}'",
            )

        _retry(commit, name)
        self._tables.pop(name, None)

    def _commit(
        self,
        name: str,
        frame: pl.DataFrame,
        partition_by: list[str],
        mode: dict[str, Any],
        record: Callable[[], dict[str, str]],
    ) -> None:
        # In memory a frame is larger than its Parquet file, so this errs on the safe side.
        self._refuse_full_disk(name, int(frame.estimated_size()), frame.height)
        data = frame.to_arrow(compat_level=pl.CompatLevel.oldest())

        def commit() -> None:
            table = self._created(name, data.schema, partition_by)
            # After the look at the table: a writer of the same part who commits later is found out.
            properties = CommitProperties(custom_metadata=record())
            write_deltalake(
                table,
                data,
                partition_by=partition_by,
                schema_mode="merge" if _differs(frame.columns, table) else None,
                commit_properties=properties,
                **mode,
            )

        _retry(commit, name)
        self._tables.pop(name, None) if mode["mode"] == "overwrite" else None

    def _created(self, name: str, schema: Any, partition_by: list[str]) -> DeltaTable:  # noqa: ANN401 (pyarrow has no types)
        return self.table(name) or DeltaTable.create(
            self.path(name), schema, mode="ignore", partition_by=partition_by
        )

    def _refuse_full_disk(self, name: str, size: int, rows: int) -> None:
        if not self.is_local:
            return
        os.makedirs(self.url, exist_ok=True)
        free = shutil.disk_usage(self.url).free
        if free < self._min_free_bytes + size:
            raise DiskFull(
                f"{name}: {free / 2**30:.2f} GB free at {self.url} is too little for"
                f" {rows:,} rows; nothing written"
            )


def _dated(pieces: Spilled, day: date) -> Iterator[pa.Table]:
    """Yield the pieces as Arrow tables, with their day."""
    for frame in pieces.frames():
        dated = frame.with_columns(pl.lit(day).alias("dt"))
        yield dated.to_arrow(compat_level=pl.CompatLevel.oldest())


def _differs(columns: Sequence[str], table: DeltaTable) -> bool:
    """Return whether a newer version of the code has given the table a column, or is about to."""
    return {field.name for field in table.schema().fields} != set(columns)


def _retry(commit: Callable[[], None], name: str) -> None:
    """Try again when another writer of the same part won; deltalake itself settles other parts."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return commit()
        except CommitFailedError:
            if attempt == ATTEMPTS:
                raise
            log.info(
                "%s: another writer committed first, try %d of %d", name, attempt + 1, ATTEMPTS
            )
