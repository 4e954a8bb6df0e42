"""Source files: CSV or Parquet, one file or a folder, read as they are.

CSV cells stay text, so that a cell which is no number or no time is counted and not a crash.
A file that cannot be read at all is refused by name, since nobody knows what it held.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import polars as pl

from tasks.errors import ContractViolation, InputNotReady
from tasks.landing.importers.mapping import Mapping

SUFFIXES = (".csv", ".parquet")
SHOWN = 12


def line_files(path: Path, mapping: Mapping) -> list[Path]:
    """Return the files with event lines, in order of name.

    Raises:
        InputNotReady: the path, or a file of that name pattern, is absent.
    """
    if path.is_file():
        return [path]
    catalogue = set(_matching(path, mapping.items.file)) if mapping.items.file else set()
    files = [file for file in _matching(path, mapping.lines) if file not in catalogue]
    if not files:
        raise InputNotReady(f"no CSV or Parquet file named {mapping.lines} in {path.resolve()}")
    return files


def catalogue_files(path: Path, mapping: Mapping) -> list[Path]:
    """Return the catalogue's files; none where the mapping names none, or can do without.

    Raises:
        InputNotReady: the mapping needs a catalogue and none is there.
    """
    if mapping.items.file is None:
        return []
    folder = path if path.is_dir() else path.parent
    files = _matching(folder, mapping.items.file)
    if not files and mapping.items.required:
        raise InputNotReady(
            f"no CSV or Parquet file named {mapping.items.file} in {folder.resolve()}"
        )
    return files


def _matching(folder: Path, pattern: str) -> list[Path]:
    return sorted(
        file for file in folder.rglob(pattern) if file.is_file() and file.suffix in SUFFIXES
    )


def scanned(files: Iterable[Path], needed: set[str], mapping: Mapping) -> pl.LazyFrame:
    """Return the needed columns of all files, one after the other.

    Raises:
        ContractViolation: a file is torn, empty, or lacks a column.
    """
    return pl.concat(
        [_scanned_one(file, needed, mapping) for file in files], how="vertical_relaxed"
    )


def _scanned_one(file: Path, needed: set[str], mapping: Mapping) -> pl.LazyFrame:
    lines = _scan(file, mapping)
    found = _columns(file, lines)
    if missing := sorted(needed - set(found)):
        raise ContractViolation(
            f"{file}: no column {', '.join(missing)}; the file has {', '.join(found[:SHOWN])}"
        )
    return lines.select(sorted(needed))


def _scan(file: Path, mapping: Mapping) -> pl.LazyFrame:
    if file.suffix == ".parquet":
        return pl.scan_parquet(file)
    return pl.scan_csv(
        file,
        separator=mapping.separator,
        encoding=mapping.encoding,
        infer_schema=False,
        null_values=[""],
    )


def _columns(file: Path, lines: pl.LazyFrame) -> list[str]:
    try:
        return lines.collect_schema().names()
    except pl.exceptions.PolarsError as error:
        raise ContractViolation(f"{file} cannot be read: {_first_line(error)}") from None


def ignored_columns(files: Iterable[Path], used: set[str], mapping: Mapping) -> list[str]:
    """Return the columns that some file has and the mapping does not use."""
    found = {name for file in files for name in _columns(file, _scan(file, mapping))}
    return sorted(found - used)


def collected(lines: pl.LazyFrame, files: list[Path], mapping: Mapping) -> pl.DataFrame:
    """Return the rows.

    Raises:
        ContractViolation: a file breaks off or is no CSV somewhere after its first line; named.
    """
    try:
        return lines.collect()
    except pl.exceptions.PolarsError as error:
        for file in files:
            _refuse_unreadable(file, mapping)
        raise ContractViolation(f"{files[0].parent} cannot be read: {_first_line(error)}") from None


def _refuse_unreadable(file: Path, mapping: Mapping) -> None:
    try:
        _scan(file, mapping).collect()
    except pl.exceptions.PolarsError as error:
        hint = ' (encoding = "utf8-lossy" reads it)' if "utf-8" in str(error) else ""
        raise ContractViolation(f"{file} cannot be read: {_first_line(error)}{hint}") from None


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
