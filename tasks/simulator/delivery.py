"""Simulated days written to landing, and their truth beside it.

A shop goes on where it was left: `simulate` for later days gives the bytes that one longer run
would have given.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection
from datetime import date, timedelta
from pathlib import Path
from time import monotonic

import polars as pl

from tasks import columns as c
from tasks.errors import VitrinaError
from tasks.landing.manifest import landing_days, read_manifest, write_landing_day
from tasks.simulator import truth as truths
from tasks.simulator.parameters import DEFAULT, Parameters
from tasks.simulator.shop import Shop

log = logging.getLogger(__name__)
SOURCE = "simulator"
Facts = dict[str, dict[str, str | int]]


class OtherShop(VitrinaError):
    """The folders hold a shop that cannot be continued as asked."""


def simulate(  # noqa: PLR0913, PLR0917 (the command's options)
    landing: Path,
    truth: Path,
    first_day: date,
    days: int,
    customers: int,
    items: int,
    seed: int,
    *,
    empty_days: Collection[date] = (),
    parameters: Parameters = DEFAULT,
) -> dict[str, int | str]:
    """Write landing days through `first_day + days - 1` and return how many rows of what.

    An existing shop is continued from its last day, and days that it has delivered are left alone.

    Raises:
        OtherShop: the folders hold another shop, or truth would lie under landing.
    """
    refuse_mixing(landing, truth)
    opened = _opening_day(truth, first_day)
    shop = Shop.opened(seed, opened, customers, items, parameters).resumed(truth / truths.STATE)
    facts = _agreed_facts(landing, truth, shop, seed, items)
    last = first_day + timedelta(days - 1)
    counts: Counter[str] = Counter(days=0, events=0)
    started, todo = monotonic(), max((last - shop.next_day).days + 1, 0)
    while shop.next_day <= last:
        counts.update(_deliver(landing, truth, shop, facts, shop.next_day in empty_days))
        _log_pace(shop.next_day - timedelta(1), counts, todo, monotonic() - started)
    truths.write_traits(truth, shop)
    return {"first_day": str(opened), "last_day": str(shop.next_day - timedelta(1)), **counts}


def refuse_mixing(landing: Path, truth: Path) -> None:
    """Raise OtherShop when truth would lie where tasks read."""
    if truth.resolve().is_relative_to(landing.resolve()) or landing.resolve().is_relative_to(
        truth.resolve()
    ):
        raise OtherShop(f"truth ({truth}) and landing ({landing}) must lie in folders apart")


def _opening_day(truth: Path, first_day: date) -> date:
    facts = truths.read_facts(truth)
    return first_day if facts is None else date.fromisoformat(str(facts["opened"]))


def _agreed_facts(
    landing: Path, truth: Path, shop: Shop, seed: int, items: int
) -> dict[str, str | int]:
    """Return the shop's facts, which those on disk must equal; write them for a new shop."""
    facts, known = truths.shop_facts(shop, seed, items), truths.read_facts(truth)
    if known is None:
        truths.write_opening(truth, shop, facts)
    elif known != facts:
        differing = [
            f"{name} {known.get(name)} (asked: {facts[name]})"
            for name in facts
            if known.get(name) != facts[name]
        ]
        raise OtherShop(
            f"{truth} holds another shop: {', '.join(differing)}; "
            "name another folder, or remove landing and truth"
        )
    _refuse_gaps(landing, shop)
    return facts


def _refuse_gaps(landing: Path, shop: Shop) -> None:
    there, past = set(landing_days(landing)), (shop.next_day - shop.world.opened).days
    gone = [day for k in range(past) if (day := shop.world.opened + timedelta(k)) not in there]
    if gone:
        raise OtherShop(
            f"{landing} lacks {gone[0]}, which the shop has passed; remove its truth to start anew"
        )


def _deliver(
    landing: Path, truth: Path, shop: Shop, facts: dict[str, str | int], empty: bool
) -> dict[str, int]:
    day = shop.next_day
    frames, rows = shop.simulate_day(day, empty)
    _land(landing, day, frames, {SOURCE: facts})
    truths.write_day(truth, day, rows)
    shop.save(truth / truths.STATE)
    return {"days": 1, "events": frames["events"].height, **_by_type(frames["events"])}


def _land(landing: Path, day: date, frames: dict[str, pl.DataFrame], facts: Facts) -> None:
    """Write a landing day, unless a run that was killed before it saved the state has."""
    if day not in landing_days(landing):
        write_landing_day(landing, day, frames, source=SOURCE, facts=facts)
    elif read_manifest(landing, day).facts != facts:
        raise OtherShop(f"{landing} has {day} from another source; name another folder")


def _by_type(events: pl.DataFrame) -> dict[str, int]:
    return dict(events.group_by(c.EVENT_TYPE).len().sort(c.EVENT_TYPE).iter_rows())


def _log_pace(day: date, counts: Counter[str], todo: int, seconds: float) -> None:
    log.info(
        "simulated %s: day %d of %d (%d%%), %s events, %s a second",
        day, counts["days"], todo, 100 * counts["days"] // todo, f"{counts['events']:,}",
        f"{int(counts['events'] / max(seconds, 1e-9)):,}",
    )  # fmt: skip
