"""Load: a source's files in, landing days with manifests out.

Every line of the source ends in exactly one fate. A day without lines gets a delivery without
events. The snapshots of a day hold what the source told by then, lines before the asked days
included, so that loading a range alone gives the same days as loading everything.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import duckdb
import polars as pl

from tasks import columns as c
from tasks.errors import ContractViolation, InputNotReady
from tasks.lake.tables import EVENTS
from tasks.landing.importers import catalogue as facts
from tasks.landing.importers.lines import DAY, DOCUMENT, FATE, LINE, OUTSIDE, SOURCE, parsed_lines
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
from tasks.landing.manifest import (
    NAME,
    day_folder,
    landing_days,
    read_kind,
    read_manifest,
    write_landing_day,
)
from tasks.settings import Settings

log = logging.getLogger(__name__)

EVERY_DAYS = 30
# 80 bits: twenty million lines share an identifier with odds of one in a billion.
EVENT_ID_SQL = """
    SELECT row, substr(md5(document || ':' || CAST(line AS STRING)), 1, 20) AS event_id
    FROM lines
"""


@dataclass(frozen=True)
class Source:
    """A source that has been read: parsed lines with fates, and its catalogue."""

    mapping: Mapping
    files: tuple[Path, ...]
    lines: pl.DataFrame
    catalogue: pl.DataFrame | None
    ignored: tuple[str, ...]


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
    landed = _write_days(read, days, settings.landing)
    return _summary(read, days, landed)


def read_source(importer: Importer, mapping: Mapping, path: Path) -> Source:
    """Return every line of the source, parsed, with its fate."""
    files, described = line_files(path, mapping), catalogue_files(path, mapping)
    needed = importer.line_columns(mapping)
    raw = importer.lines(scanned(files, needed, mapping))
    started = time.monotonic()
    lines = collected(parsed_lines(raw, mapping), files, mapping)
    log.info(
        "read %s lines of %d files in %.1f s",
        f"{lines.height:,}",
        len(files),
        time.monotonic() - started,
    )
    ignored = ignored_columns(files, needed, mapping)
    if described:
        ignored += ignored_columns(described, importer.catalogue_columns(mapping), mapping)
    return Source(
        mapping, tuple(files), lines, _catalogue(importer, mapping, described), tuple(ignored)
    )


def _catalogue(importer: Importer, mapping: Mapping, files: list[Path]) -> pl.DataFrame | None:
    if mapping.items.file is None:
        return None
    if not files:
        return pl.DataFrame(schema={c.ITEM_ID: pl.String})
    rows = importer.catalogue(scanned(files, importer.catalogue_columns(mapping), mapping))
    return facts.catalogue_facts(collected(rows, files, mapping), mapping)


def _refuse_other_source(landing: Path, source: str) -> None:
    for day in landing_days(landing)[-1:]:
        if (other := read_manifest(landing, day).source) != source:
            raise ContractViolation(
                f"{landing} holds days of {other}; one shop per landing folder: "
                f"set VITRINA_LANDING_FOLDER (and VITRINA_LAKE_URL) for {source}"
            )


def _asked_days(lines: pl.DataFrame, first: date | None, last: date | None) -> list[date]:
    found = lines.filter(_is_event())[DAY]
    low, high = first or found.min(), last or found.max()
    if not isinstance(low, date) or not isinstance(high, date):
        fates = lines[FATE].value_counts(sort=True).rows()
        counted = (
            ", ".join(f"{fate} {count:,}" for fate, count in fates) or "the files have no lines"
        )
        raise ContractViolation(f"no line can be imported: {counted}")
    if high < low:
        raise ContractViolation(f"first day {low} is after last day {high}")
    return [low + timedelta(days=step) for step in range((high - low).days + 1)]


def _is_event() -> pl.Expr:
    return pl.col(FATE).is_in(c.EVENT_TYPES)


def event_rows(lines: pl.DataFrame) -> pl.DataFrame:
    """Return `day` and the EVENTS columns of lines whose fate is an event_type.

    `event_id` is a digest of document and line, so that loading again gives the same one.
    """
    with duckdb.connect() as engine:
        engine.register("lines", lines.select(DOCUMENT, LINE).with_row_index("row").to_arrow())
        ids = engine.sql(EVENT_ID_SQL).pl().sort("row")
    named = lines.with_columns(ids[c.EVENT_ID], pl.col(FATE).alias(c.EVENT_TYPE))
    return named.select(DAY, *EVENTS.columns).sort(DAY, c.TS, c.EVENT_ID)


def deliveries(source: Source, days: list[date]) -> Iterator[tuple[date, dict[str, pl.DataFrame]]]:
    """Yield each asked day with the frames of its delivery."""
    usable = source.lines.filter(_is_event() & (pl.col(DAY) <= days[-1]))
    events = _by_day(event_rows(usable.filter(pl.col(DAY) >= days[0])))
    told = _by_day(facts.told_facts(usable, source.mapping))
    met = _by_day(facts.told_customers(usable))
    items = facts.no_items(usable, source.mapping)
    customers = facts.no_customers()
    for day in sorted({*told, *days}):
        if day in told:
            items, customers = facts.learnt(items, told[day], day), facts.met(customers, met[day])
        if day >= days[0]:
            described = facts.described(items, source.catalogue)
            rows = facts.item_rows(described, source.mapping)
            yield (
                day,
                {
                    "events": events.get(day, EVENTS.empty()),
                    "items": rows,
                    "item_attributes": facts.attribute_rows(described, rows, source.mapping),
                    "customers": facts.customer_rows(customers, source.mapping),
                },
            )


def _by_day(rows: pl.DataFrame) -> dict[date, pl.DataFrame]:
    parts = rows.partition_by(DAY, as_dict=True, include_key=False)
    return {day: part for (day,), part in parts.items() if isinstance(day, date)}


def _write_days(source: Source, days: list[date], landing: Path) -> Counter[str]:
    counts: Counter[str] = Counter()
    fates = _by_day(source.lines.group_by(DAY, FATE).len().sort(DAY, FATE))
    started = time.monotonic()
    for number, (day, frames) in enumerate(deliveries(source, days), start=1):
        counted = dict(fates[day].rows()) if day in fates else {}
        counts[_land(landing, day, frames, source.mapping.source, counted)] += 1
        counts["empty"] += frames["events"].is_empty()
        counts["items"], counts["customers"] = frames["items"].height, frames["customers"].height
        if number % EVERY_DAYS == 0 or number == len(days):
            pace = number / max(time.monotonic() - started, 1e-9)
            log.info(
                "landed %d of %d days (%.0f%%), %.0f a second",
                number,
                len(days),
                100 * number / len(days),
                pace,
            )
    return counts


def _land(
    landing: Path, day: date, frames: dict[str, pl.DataFrame], source: str, fates: dict[str, int]
) -> str:
    """Write a delivery unless the same rows landed before; return what was done."""
    if not (day_folder(landing, day) / NAME).exists():
        write_landing_day(landing, day, frames, source, {"fates": fates})
        return "new"
    manifest = read_manifest(landing, day)
    before = {kind: read_kind(landing, manifest, kind) for kind in frames}
    if all(old is not None and old.equals(frames[kind]) for kind, old in before.items()):
        return "unchanged"
    write_landing_day(landing, day, frames, source, {"fates": fates})
    return "corrected"


def _summary(source: Source, days: list[date], landed: Counter[str]) -> Summary:
    inside = pl.col(DAY).is_between(days[0], days[-1])
    fate = pl.when(_is_event() & ~inside).then(pl.lit(OUTSIDE)).otherwise(FATE).alias(FATE)
    fates = source.lines.select(fate)[FATE].value_counts().rows()
    kept = source.lines.filter(_is_event() & inside)
    cells = [name for name in kept.columns if name.startswith(SOURCE)]
    known = kept[c.ITEM_ID].unique()
    described = (
        known.is_in(source.catalogue[c.ITEM_ID].to_list()).sum()
        if source.catalogue is not None
        else len(known)
    )
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
        items_not_in_catalogue=len(known) - described,
        customers=landed["customers"],
        identical_lines=kept.height - kept.select(cells).n_unique(),
        ignored_columns=source.ignored,
        notes=source.mapping.notes,
    )
