"""IMPORTERS: one entry per source. A new source is a module with a mapping, and one entry here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from tasks.errors import ContractViolation
from tasks.landing.importers import movielens, online_retail, rees46
from tasks.landing.importers.mapping import Mapping, read_mapping

Prepare = Callable[[pl.LazyFrame], pl.LazyFrame]


def _as_read(lines: pl.LazyFrame) -> pl.LazyFrame:
    return lines


@dataclass(frozen=True)
class Importer:
    """A mapping, and what must be computed from source columns before it applies.

    `lines_from` and `catalogue_from` name, for each computed column, the source columns it needs.
    """

    mapping: Mapping | None
    lines: Prepare = _as_read
    catalogue: Prepare = _as_read
    lines_from: tuple[tuple[str, tuple[str, ...]], ...] = ()
    catalogue_from: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def mapped(self, source: str, path: Path | None) -> Mapping:
        """Return the importer's own mapping, or the one in the file that the generic one is given.

        Raises:
            ContractViolation: a mapping file is missing, or given to an importer that has its own.
        """
        if self.mapping is None and path is None:
            raise ContractViolation(
                f"--source {source} needs --mapping FILE, a TOML file that names the columns"
            )
        if self.mapping is not None and path is not None:
            raise ContractViolation(
                f"--source {source} has its own mapping; use --source generic with {path}"
            )
        return self.mapping or read_mapping(Path(str(path)))

    def line_columns(self, mapping: Mapping) -> set[str]:
        """The columns that line files must have."""
        return _read_from(mapping.line_columns(), self.lines_from)

    def catalogue_columns(self, mapping: Mapping) -> set[str]:
        """The columns that catalogue files must have."""
        return _read_from(mapping.catalogue_columns(), self.catalogue_from)


def _read_from(named: set[str], computed: tuple[tuple[str, tuple[str, ...]], ...]) -> set[str]:
    sources = {column for name, columns in computed if name in named for column in columns}
    return (named - {name for name, _ in computed}) | sources


IMPORTERS = {
    "online_retail": Importer(
        online_retail.MAPPING,
        lines=online_retail.named_events,
        catalogue=online_retail.categorised,
        lines_from=(("event", ("InvoiceNo",)),),
        catalogue_from=(("category", ("Description",)), ("category_group", ("Description",))),
    ),
    "rees46": Importer(
        rees46.MAPPING, lines=rees46.grouped, lines_from=(("category_group", ("category_code",)),)
    ),
    "movielens": Importer(
        movielens.MAPPING,
        lines=movielens.named_events,
        catalogue=movielens.categorised,
        lines_from=(("event", ("rating",)),),
        catalogue_from=(("genre", ("genres",)), ("year", ("title",))),
    ),
    "generic": Importer(None),
}
