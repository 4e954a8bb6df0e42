"""Load: a source's files in, landing days with manifests out.

Every line of the source ends in exactly one fate. A day without lines gets a delivery without
events. The snapshots of a day hold what the source told by then, lines before the asked days
included, so that loading a range alone gives the same days as loading everything.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from datetime import date
from pathlib import Path

import polars as pl

from tasks import columns as c
from tasks.errors import ContractViolation, InputNotReady
from tasks.lake.ledger import days_between
from tasks.landing.importers import catalogue as facts
from tasks.landing.importers.deliveries import Source, is_event, write_days
from tasks.landing.importers.lines import DAY, FATE, OUTSIDE, SOURCE, parsed_lines
from tasks.landing.importers.mapping import Mapping
from tasks.landing.importers.registry import IMPORTERS, Importer
from tasks.landing.importers.source_files import (
    catalogue_files,
    collected,
    ignored_columns,
    line_files,
    scanned,
)
from tasks.landing.importers.summary import Summary
from tasks.landing.manifest import landing_days, read_manifest
from tasks.settings import Settings

log = logging.getLogger(__name__)


def load(
    source: str,
    path: Path,
    settings: Settings,
    mapping: Path | None = None,
    first: date | None = None,
    last: date | None = None,
) -> Summary:
    """Write the landing days of a source and return what became of its lines.

    Args:
        source: a name in `IMPORTERS`.
        path: a CSV or Parquet file, or a folder of them.
        settings: `landing` is where the days go.
        mapping: the TOML file of the generic importer.
        first: first day to land; default: the first day with an event.
        last: last day to land; default: the last day with an event.

    Raises:
        InputNotReady: a file or folder is absent.
        ContractViolation: a file is torn or lacks a column, nothing can be imported, or the landing
            folder holds another source's days.
    """
    if source not in IMPORTERS:
        raise ContractViolation(f"no importer {source}; there are {', '.join(IMPORTERS)}")
    if not path.exists():
        raise InputNotReady(f"{path.resolve()} is absent")
    importer = IMPORTERS[source]
    mapped = importer.mapped(source, mapping)
    _refuse_other_source(settings.landing, mapped.source)
    read = read_source(importer, mapped, path)
    days = _asked_days(read.lines, first, last)
    return _summary(read, days, write_days(read, days, settings.landing))


def read_source(importer: Importer, mapping: Mapping, path: Path) -> Source:
    """Return every line of the source, parsed, with its fate."""
    files, described = line_files(path, mapping), catalogue_files(path, mapping)
    needed = importer.line_columns(mapping)
    started = time.monotonic()
    raw = importer.lines(scanned(files, needed, mapping))
    lines = collected(parsed_lines(raw, mapping), files, mapping)
    seconds = time.monotonic() - started
    log.info("read %s lines of %d files in %.1f s", f"{lines.height:,}", len(files), seconds)
    ignored = ignored_columns(files, needed, mapping)
    if described:
        ignored += ignored_columns(described, importer.catalogue_columns(mapping), mapping)
    catalogue = _catalogue(importer, mapping, described)
    return Source(mapping, tuple(files), lines, catalogue, tuple(dict.fromkeys(ignored)))


def _catalogue(importer: Importer, mapping: Mapping, files: list[Path]) -> pl.DataFrame | None:
    if mapping.items.file is None:
        return None
    if not files:
        return facts.no_catalogue(mapping)
    rows = importer.catalogue(scanned(files, importer.catalogue_columns(mapping), mapping))
    return facts.catalogue_facts(collected(rows, files, mapping), mapping)


def _refuse_other_source(landing: Path, source: str) -> None:
    for day in landing_days(landing)[-1:]:
        if (other := read_manifest(landing, day).source) != source:
            raise ContractViolation(
                f"{landing} holds days of {other}; one shop per landing folder: set "
                f"VITRINA_HOME (or VITRINA_LANDING_FOLDER and VITRINA_LAKE_URL) for {source}"
            )


def _asked_days(lines: pl.DataFrame, first: date | None, last: date | None) -> list[date]:
    found = lines.filter(is_event())[DAY]
    low, high = first or found.min(), last or found.max()
    if not isinstance(low, date) or not isinstance(high, date):
        fates = lines[FATE].value_counts(sort=True).rows()
        counted = ", ".join(f"{fate} {count:,}" for fate, count in fates)
        raise ContractViolation(f"no line can be imported: {counted or 'the files have no lines'}")
    if high < low:
        raise ContractViolation(f"first day {low} is after last day {high}")
    return days_between(low, high)


def _summary(source: Source, days: list[date], landed: Counter[str]) -> Summary:
    inside = pl.col(DAY).is_between(days[0], days[-1])
    fate = pl.when(is_event() & ~inside).then(pl.lit(OUTSIDE)).otherwise(FATE).alias(FATE)
    fates = source.lines.select(fate)[FATE].value_counts().rows()
    kept = source.lines.filter(is_event() & inside)
    cells = [name for name in kept.columns if name.startswith(SOURCE)]
    return Summary(
        source=source.mapping.source,
        files=tuple(str(file) for file in source.files),
        lines=source.lines.height,
        fates=dict(sorted(fates)),
        first=days[0],
        last=days[-1],
        days=len(days),
        empty_days=landed["empty"],
        unchanged_days=landed["unchanged"],
        corrected_days=landed["corrected"],
        items=landed["items"],
        items_not_in_catalogue=_unlisted(kept, source.catalogue),
        customers=landed["customers"],
        identical_lines=kept.height - kept.select(cells).n_unique(),
        ignored_columns=source.ignored,
        notes=source.mapping.notes,
    )


def _unlisted(kept: pl.DataFrame, catalogue: pl.DataFrame | None) -> int:
    if catalogue is None:
        return 0
    return kept.select(c.ITEM_ID).unique().join(catalogue, on=c.ITEM_ID, how="anti").height
