"""Deliveries: parsed lines to landing days, each with the snapshots of what was known by then."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from hashlib import md5
from pathlib import Path

import polars as pl

from tasks import columns as c
from tasks.lake.tables import EVENTS
from tasks.landing.importers import catalogue as facts
from tasks.landing.importers.lines import DAY, DOCUMENT, FATE, LINE
from tasks.landing.importers.mapping import Mapping
from tasks.landing.manifest import NAME, day_folder, read_kind, read_manifest, write_landing_day

log = logging.getLogger(__name__)

EVERY_DAYS = 30
# 80 bits: twenty million lines share an identifier with odds of one in a billion.
EVENT_ID_DIGITS = 20
Frames = dict[str, pl.DataFrame]


@dataclass(frozen=True)
class Source:
    """A source that has been read: every line parsed, with its fate, and the catalogue."""

    mapping: Mapping
    files: tuple[Path, ...]
    lines: pl.DataFrame
    catalogue: pl.DataFrame | None
    ignored: tuple[str, ...]


def is_event() -> pl.Expr:
    """Return whether a line is imported."""
    return pl.col(FATE).is_in(c.EVENT_TYPES)


def event_rows(lines: pl.DataFrame) -> pl.DataFrame:
    """Return `day` and the EVENTS columns of lines that are imported.

    `event_id` is a digest of document and line, so that loading again gives the same one.
    """
    places = (f"{document}:{line}" for document, line in lines.select(DOCUMENT, LINE).iter_rows())
    ids = [md5(place.encode()).hexdigest()[:EVENT_ID_DIGITS] for place in places]
    named = lines.with_columns(
        pl.Series(c.EVENT_ID, ids, pl.String), pl.col(FATE).alias(c.EVENT_TYPE)
    )
    return named.select(DAY, *EVENTS.columns).sort(DAY, c.TS, c.EVENT_ID)


def deliveries(source: Source, days: list[date]) -> Iterator[tuple[date, Frames]]:
    """Yield each asked day with the frames of its delivery.

    What lines before the first asked day told is in its snapshots; later lines are not looked at.
    """
    usable = source.lines.filter(is_event() & (pl.col(DAY) <= days[-1]))
    events = _by_day(event_rows(usable.filter(pl.col(DAY) >= days[0])))
    told = _by_day(facts.told_facts(usable, source.mapping))
    met = _by_day(facts.told_customers(usable))
    items, customers = facts.no_items(usable, source.mapping), facts.no_customers()
    for day in sorted({*told, *days}):
        if day in told:
            items = facts.learnt(items, told[day], day)
            customers = facts.met(customers, met[day])
        if day >= days[0]:
            yield (
                day,
                {
                    "events": events.get(day, EVENTS.empty()),
                    **facts.snapshots(items, customers, source.catalogue, source.mapping),
                },
            )


def _by_day(rows: pl.DataFrame) -> dict[date, pl.DataFrame]:
    parts = rows.partition_by(DAY, as_dict=True, include_key=False)
    return {day: part for (day,), part in parts.items() if isinstance(day, date)}


def write_days(source: Source, days: list[date], landing: Path) -> Counter[str]:
    """Write the deliveries; return how many days were new, unchanged, corrected and empty.

    Also `items` and `customers`, as many as the last day's snapshots hold.
    """
    counts: Counter[str] = Counter()
    fates = _by_day(source.lines.group_by(DAY, FATE).len().sort(DAY, FATE))
    started = time.monotonic()
    for number, (day, frames) in enumerate(deliveries(source, days), start=1):
        of_day: dict[str, object] = {"fates": dict(fates[day].rows()) if day in fates else {}}
        counts[_land(landing, day, frames, source.mapping.source, of_day)] += 1
        counts["empty"] += frames["events"].is_empty()
        counts["items"], counts["customers"] = frames["items"].height, frames["customers"].height
        if number % EVERY_DAYS == 0 or number == len(days):
            _say_progress(number, len(days), time.monotonic() - started)
    return counts


def _land(landing: Path, day: date, frames: Frames, source: str, told: dict[str, object]) -> str:
    """Write a delivery unless the same rows landed before; return what was done."""
    state = _compared(landing, day, frames)
    if state != "unchanged":
        write_landing_day(landing, day, frames, source, told)
    return state


def _compared(landing: Path, day: date, frames: Frames) -> str:
    if not (day_folder(landing, day) / NAME).exists():
        return "new"
    manifest = read_manifest(landing, day)
    before = {kind: read_kind(landing, manifest, kind) for kind in frames}
    same = all(old is not None and old.equals(frames[kind]) for kind, old in before.items())
    return "unchanged" if same else "corrected"


def _say_progress(number: int, days: int, seconds: float) -> None:
    pace = number / max(seconds, 1e-9)
    share = 100 * number / days
    log.info("landed %d of %d days (%.0f%%), %.0f a second", number, days, share, pace)
