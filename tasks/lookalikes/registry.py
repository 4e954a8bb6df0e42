"""The registry of segments: one file of `sql/lookalike_seeds/` each, with a declared header.

The text selects who did the seed thing and on which day, `user_id, day`, from `events`, `items` and
`item_attributes` (and `customers`). The header declares name, owner, what a seed is, and:

rule          the audience that would be chosen without a model, `<attribute> <value> | <value>` of
              `lookalike_features`: who looked at any of these in the features' window; or none
window_days   how far back a seed act makes somebody a seed already, and so not eligible
gap_days      features end that many days before the anchor; at least one
horizon_days  the target: the seed thing in (D, D + horizon]
lasting_trait yes if having done it once says what somebody is, whatever the day
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from tasks import columns as c
from tasks.errors import ContractViolation
from tasks.lake.engines import SQL_FOLDER
from tasks.lake.tables import EVENTS

log = logging.getLogger(__name__)

SEEDS_FOLDER = SQL_FOLDER / "lookalike_seeds"
NAME = re.compile(r"[a-z][a-z0-9_]{0,59}")
LINE = re.compile(r"-- (\w+): (.+)")
TEXTS = ("name", "owner", "seed")
RULE = re.compile(r"(\w+) (\S.*)")
NO_RULE = "none"
SEED_COLUMNS = {c.USER_ID: pl.String, "day": pl.Date}
WINDOWS = 3
"""Horizons that learning needs at least: one to train on, to calibrate, to judge."""
DAYS = {"window_days": (1, 400), "gap_days": (1, 30), "horizon_days": (1, 60)}


@dataclass(frozen=True)
class Rule:
    """The simple rule beside a segment: who has any of these values of an attribute."""

    attribute: str
    values: tuple[str, ...]

    def __str__(self) -> str:
        """Return it as people read it."""
        return f"looked at {self.attribute} {' or '.join(self.values)}"


@dataclass(frozen=True)
class Segment:
    """A look-alike segment as its file declares it."""

    name: str
    owner: str
    seed: str
    window_days: int
    gap_days: int
    horizon_days: int
    lasting_trait: bool
    rule: Rule | None = None

    @property
    def sql(self) -> str:
        """The statement's name below `sql/`."""
        return f"{SEEDS_FOLDER.name}/{self.name}"


def segment_names(folder: Path = SEEDS_FOLDER) -> list[str]:
    """Return the name of every file, in order, whatever its header says."""
    return sorted(path.stem for path in folder.glob("*.sql"))


def segments(folder: Path = SEEDS_FOLDER) -> dict[str, Segment]:
    """Return every segment by name, in order, without those whose header breaks a rule.

    Such a one is logged here and fails by itself, in `segment_of`.
    """
    found = {}
    for name in segment_names(folder):
        try:
            found[name] = segment_of(name, folder)
        except ContractViolation as error:
            log.warning("look-alike segment left out: %s", error)
    return found


def segment_of(name: str, folder: Path = SEEDS_FOLDER) -> Segment:
    """Return one segment; the name is checked before it touches a path.

    Raises:
        ContractViolation: there is no such segment, or its header breaks a rule.
    """
    known = segment_names(folder)
    if not NAME.fullmatch(name) or name not in known:
        raise ContractViolation(f"no look-alike segment {name!r}; there are {', '.join(known)}")
    return _declared(folder / f"{name}.sql")


def _declared(path: Path) -> Segment:
    matches = [match for match in map(LINE.fullmatch, _header(path)) if match]
    told = {match[1].lower(): match[2] for match in matches}
    wanted = {*TEXTS, *DAYS, "rule", "lasting_trait"}
    for name in sorted(wanted - told.keys()):
        raise ContractViolation(f"{path.name}: the header lacks '-- {name}: ...'")
    if told["name"] != path.stem or not NAME.fullmatch(path.stem):
        raise ContractViolation(
            f"{path.name}: the header's name is {told['name']!r}, not the file's"
        )
    if told["lasting_trait"] not in ("yes", "no"):
        raise ContractViolation(f"{path.name}: lasting_trait is yes or no")
    window, gap, horizon = (_days(path, name, told[name]) for name in DAYS)
    if (reach := window + WINDOWS * horizon) > EVENTS.keep_days:
        raise ContractViolation(
            f"{path.name}: window_days + {WINDOWS} * horizon_days is {reach}, and events are kept"
            f" for {EVENTS.keep_days} days"
        )
    lasting = told["lasting_trait"] == "yes"
    rule = _rule(path, told["rule"])
    return Segment(path.stem, told["owner"], told["seed"], window, gap, horizon, lasting, rule)


def _header(path: Path) -> list[str]:
    lines = path.read_text().splitlines()
    end = next((place for place, line in enumerate(lines) if not line.startswith("--")), len(lines))
    return [line.rstrip() for line in lines[:end]]


def _rule(path: Path, told: str) -> Rule | None:
    if told == NO_RULE:
        return None
    found = RULE.fullmatch(told)
    if not found:
        raise ContractViolation(
            f"{path.name}: rule is {told!r}, not '<attribute> <value> | <value>' or '{NO_RULE}'"
        )
    return Rule(found[1], tuple(value.strip() for value in found[2].split("|")))


def _days(path: Path, name: str, told: str) -> int:
    low, high = DAYS[name]
    if not told.isdecimal() or not low <= int(told) <= high:
        raise ContractViolation(
            f"{path.name}: {name} is {told!r}, not a number from {low} to {high}"
        )
    return int(told)


def seed_acts(segment: Segment, rows: pl.DataFrame) -> pl.DataFrame:
    """Return `user_id, day` of the seed acts, each once.

    Raises:
        ContractViolation: the segment's SELECT gives other columns or types, or nulls.
    """
    if dict(rows.schema) != SEED_COLUMNS:
        told = ", ".join(f"{name} {dtype}" for name, dtype in rows.schema.items())
        raise ContractViolation(
            f"{segment.sql}.sql selects {told}; wanted: user_id String, day Date"
        )
    if nulls := rows.height - rows.drop_nulls().height:
        raise ContractViolation(f"{segment.sql}.sql: {nulls} rows hold a null user_id or day")
    return rows.unique().sort(c.USER_ID, "day")
