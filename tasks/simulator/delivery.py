"""Simulated days written to landing, and their truth beside it.

A shop goes on where it was left: `simulate` for later days gives the bytes that one longer run
would have given. Faults are kept with the truth as they are ordered, since some outlast their day.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from datetime import date, timedelta
from pathlib import Path
from time import monotonic

import polars as pl

from tasks import columns as c
from tasks.errors import VitrinaError, WrongCall
from tasks.landing.manifest import OpenDelivery, announced, day_folder, landing_days
from tasks.simulator import truth as truths
from tasks.simulator.ordered_faults import (
    FAULTS,
    Frames,
    Night,
    Orders,
    acting,
    damage,
    hit_events,
    hit_snapshots,
    in_order,
    strangers,
    version_count,
    versions,
)
from tasks.simulator.parameters import DEFAULT, Parameters
from tasks.simulator.shop import Part, Shop

log = logging.getLogger(__name__)
SOURCE = "simulator"
FAULTS_FILE = "faults.json"
HIT_FILE = "events-000.parquet"
FILE_ROWS = 500_000
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
    faults: Mapping[date, Collection[str]] | None = None,
    parameters: Parameters = DEFAULT,
) -> dict[str, int | str]:
    """Write landing days through `first_day + days - 1` and return how many rows of what.

    An existing shop is continued from its last day, and days that it has delivered are left alone.

    Raises:
        OtherShop: the folders hold another shop, or truth would lie under landing.
        WrongCall: `faults` names a fault there is not, or a day that cannot have it.
    """
    refuse_mixing(landing, truth)
    last = first_day + timedelta(days - 1)
    asked = _checked(faults or {}, first_day, last)
    opened = _opening_day(truth, first_day)
    shop = Shop.opened(seed, opened, customers, items, parameters).resumed(truth / truths.STATE)
    facts = _agreed_facts(landing, truth, shop, seed, items)
    orders = _agreed_orders(truth, asked, shop.next_day)
    counts: Counter[str] = Counter(days=0, events=0)
    started, todo = monotonic(), max((last - shop.next_day).days + 1, 0)
    while shop.next_day <= last:
        counts.update(_deliver(landing, truth, shop, facts, orders))
        _log_pace(shop.next_day - timedelta(1), counts, todo, monotonic() - started)
    truths.write_latest(truth, shop)
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


def _checked(faults: Mapping[date, Collection[str]], first: date, last: date) -> Orders:
    outside = sorted(day for day in faults if not first <= day <= last)
    unheard = sorted({name for names in faults.values() for name in names} - set(FAULTS))
    if outside:
        raise WrongCall(f"no fault on {outside[0]}: the days to simulate are {first} to {last}")
    if unheard:
        raise WrongCall(f"no fault {unheard[0]!r}; there are {', '.join(FAULTS)}")
    return {day: in_order(set(names)) for day, names in faults.items()}


def _agreed_orders(truth: Path, asked: Orders, next_day: date) -> Orders:
    """Return the faults of all days, those ordered before included, and keep them."""
    known = _orders(truth)
    for day, names in asked.items():
        before = known.get(day, ())
        if (day < next_day or day in known) and before != names:
            raise WrongCall(
                f"{day} has been ordered with {', '.join(before) or 'no fault'}, not with"
                f" {', '.join(names)}; remove landing and truth to start anew"
            )
    orders = dict(sorted({**known, **asked}.items()))
    if orders != known:
        truths.write_json(truth / FAULTS_FILE, {str(day): names for day, names in orders.items()})
    return orders


def _orders(truth: Path) -> Orders:
    path = truth / FAULTS_FILE
    known = json.loads(path.read_text()) if path.exists() else {}
    return {date.fromisoformat(day): tuple(names) for day, names in known.items()}


def _deliver(
    landing: Path, truth: Path, shop: Shop, facts: dict[str, str | int], orders: Orders
) -> dict[str, int]:
    day = shop.next_day
    names, nights = orders.get(day, ()), acting(shop.world, day, orders)
    snapshots, parts = shop.parts_of_day(day)
    arrived = _arrived(_without_truth(parts, truth, day), nights)
    events = _files(_landing(arrived, nights, shop))
    counts = _land(landing, day, names, hit_snapshots(nights, snapshots), events, {SOURCE: facts})
    damage(day_folder(landing, day) / HIT_FILE, names)
    shop.save(truth / truths.STATE)
    return {"days": 1, "events": counts.total(), **counts}


def _without_truth(parts: Iterator[Part], truth: Path, day: date) -> Iterator[pl.DataFrame]:
    """Yield the parts' events; their truth is written to where it belongs."""
    for number, part in enumerate(parts):
        if part.truth is not None:
            truths.write_part(truth, day, number, part.truth)
        yield part.events


def _arrived(events: Iterator[pl.DataFrame], nights: list[Night]) -> Iterator[pl.DataFrame]:
    """Yield the events, and those of strangers after them."""
    count = 0
    for part in events:
        count += part.height
        yield part
    if (strange := strangers(nights, count)).height:
        yield strange


def _landing(
    events: Iterator[pl.DataFrame], nights: list[Night], shop: Shop
) -> Iterator[pl.DataFrame]:
    """Yield the events that land today; the shop holds back the others."""
    for part in events:
        now, later = hit_events(nights, part)
        shop.hold_back(later)
        yield now


def _files(parts: Iterator[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """Yield the parts as files of many rows, each in the order of receipt."""
    waiting: list[pl.DataFrame] = []
    for part in parts:
        if sum(frame.height for frame in waiting) >= FILE_ROWS:
            yield _file(waiting)
            waiting = []
        waiting.append(part)
    yield _file(waiting)


def _file(parts: list[pl.DataFrame]) -> pl.DataFrame:
    return pl.concat(parts).sort(c.RECEIVED_AT, c.EVENT_ID)


def _land(
    landing: Path,
    day: date,
    names: tuple[str, ...],
    snapshots: Frames,
    events: Iterator[pl.DataFrame],
    facts: Facts,
) -> Counter[str]:
    """Write the versions of a landing day that a run, killed before it saved the state, has not.

    Returns the events of the last version, by type.
    """
    there = announced(landing, day)
    if there and there.facts != facts:
        raise OtherShop(f"{landing} has {day} from another source; name another folder")
    written, counts = there.version if there else 0, Counter[str]()
    missing = range(written + 1, version_count(names) + 1)
    deliveries = [OpenDelivery(landing, day, version) for version in missing]
    for delivery in deliveries:
        for kind, frame in snapshots.items():
            delivery.add(kind, frame)
    for file in events:
        counts.update(_by_type(file))
        log.info("%s: %s events so far", day, f"{counts.total():,}")
        for delivery, frame in zip(deliveries, versions(names, file)[written:], strict=True):
            delivery.add("events", frame)
    for delivery in deliveries:
        delivery.close(SOURCE, facts)
    return counts


def _by_type(events: pl.DataFrame) -> dict[str, int]:
    return dict(events.group_by(c.EVENT_TYPE).len().sort(c.EVENT_TYPE).iter_rows())


def _log_pace(day: date, counts: Counter[str], todo: int, seconds: float) -> None:
    log.info(
        "simulated %s: day %d of %d (%d%%), %s events, %s a second",
        day, counts["days"], todo, 100 * counts["days"] // todo, f"{counts['events']:,}",
        f"{int(counts['events'] / max(seconds, 1e-9)):,}",
    )  # fmt: skip
