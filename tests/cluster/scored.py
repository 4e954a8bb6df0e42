"""A running Airflow with `send_audience` alone, over a lake in which forty people are scored."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path

from tasks.lake.lake import Lake
from tasks.lake.tables import CONTACTS, CUSTOMERS, LOOKALIKE_SCORES, THRESHOLD_CARDS
from tasks.landing.manifest import write_landing_day
from tasks.settings import Settings
from tests.cluster.servers import ROOT
from tests.rows import rows
from vitrina_airflow import processes, standalone

DAY = date(2026, 3, 12)
SEGMENT = "bag_buyers"
PEOPLE = 40


@contextmanager
def serving(
    home: Path, variables: Mapping[str, str]
) -> Iterator[tuple[processes.Family, Settings]]:
    """Start it over an empty home, with further variables, and stop it at the end."""
    settings = Settings(home=home, min_free_gb=0)
    score(Lake(settings))
    (home / "dags").mkdir()
    shutil.copy(ROOT / "dags" / "send_audience.py", home / "dags")
    ours = {"AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"), "VITRINA_MIN_FREE_GB": "0"}
    family = standalone.start(settings, ours | dict(variables))
    try:
        standalone.wait_until_healthy(settings, family)
        yield family, settings
    finally:
        standalone.stop(settings)


def score(lake: Lake) -> None:
    """Score forty people, whose probabilities are 1/41 to 40/41; all have consented."""
    people = [f"u{number:02d}" for number in range(PEOPLE)]
    for day in (DAY - timedelta(days=1), DAY):
        write_landing_day(lake.settings.landing, day, {}, "test")
        known = ({"user_id": user, "consent": True} for user in people)
        lake.write_day(CUSTOMERS, day, rows(CUSTOMERS, *known))
        lake.write_day(CONTACTS, day, CONTACTS.empty())
    scores = ({"user_id": u, "probability": (n + 1) / 41} for n, u in enumerate(people))
    lake.write_day(LOOKALIKE_SCORES, DAY, rows(LOOKALIKE_SCORES, *scores), SEGMENT)
    card = {"threshold": 0.5, "audience_size": 20, "verdict": "ok", "suggestion": "wide"}
    lake.write_day(THRESHOLD_CARDS, DAY, rows(THRESHOLD_CARDS, card), SEGMENT)
