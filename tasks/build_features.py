"""Build features of a day: what landed becomes events, counters, sequences, segments, scores."""

from __future__ import annotations

from datetime import date

from tasks.lake.lake import WHOLE, Lake
from tasks.lake.tables import DATA_CHECKS, EVENTS, SET_ASIDE_EVENTS
from tasks.landing.ingest import check_rows, received
from tasks.settings import Settings
from tasks.steps import Step


def ingest(day: date, settings: Settings) -> dict[str, int]:
    """Write the day's events and snapshots as received, and return the counts by fate.

    Raises:
        InputNotReady: the day, or one of the days before that may hold copies, has not landed.
        ContractViolation: the delivery breaks a rule; nothing is written.
    """
    lake = Lake(settings)
    judged, snapshots = received(settings.landing, day, settings.landing_rules)
    for table, rows in snapshots.items():
        lake.write_day(table, day, rows)
    lake.write_day(SET_ASIDE_EVENTS, day, judged.set_aside)
    lake.write_day(EVENTS, day, judged.events)
    version = lake.ledger.written(EVENTS)[day, WHOLE].version
    lake.append_day(DATA_CHECKS, day, check_rows(judged.counts, version))
    return judged.counts


STEPS = (Step(ingest),)
