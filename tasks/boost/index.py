"""Load a day's items into a new index and switch the alias to it, all or nothing."""

from __future__ import annotations

import logging
import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import date

import polars as pl

from tasks import columns as c
from tasks.boost.body import Body
from tasks.boost.documents import FACETS, STOCKED, WORDS
from tasks.boost.engine import Engine
from tasks.errors import ContractViolation, VitrinaError
from tasks.progress import Progress

log = logging.getLogger(__name__)

KEYWORDS = (c.ITEM_ID, c.CATEGORY_GROUP, c.CATEGORY, STOCKED, WORDS, FACETS)


@dataclass(frozen=True)
class Loaded:
    """What a load did; `before` is what the alias named until then."""

    index: str
    items: int
    before: list[str]


def load(engine: Engine, day: date, rows: pl.DataFrame) -> Loaded:
    """Index documents under a new name and switch the alias; a failure leaves all as it was.

    Args:
        engine: where to.
        day: of the documents; part of the name.
        rows: `documents` rows.

    Raises:
        InputNotReady: the engine does not answer.
        ContractViolation: there is nothing to index, the engine refuses an item, or holds another
            number of items than were sent.
    """
    if rows.is_empty():
        raise ContractViolation(f"{day}: there is no item to index; the alias stays")
    name, before = fresh_name(engine, day), aliased(engine)
    engine.ask("PUT", name, _index(engine, rows))
    try:
        _fill(engine, name, rows)
        _switch(engine, name, before)
    except VitrinaError:
        _discard(engine, name)
        raise
    _forget(engine, name, before)
    log.info("%s: %s items, the alias %s names it", name, f"{rows.height:,}", engine.options.alias)
    return Loaded(name, rows.height, before)


def fresh_name(engine: Engine, day: date) -> str:
    """Return the name of the day's next index, `items-2026-10-01-002`."""
    stem = f"{engine.options.alias}-{day.isoformat()}"
    numbers = [int(name.rsplit("-", 1)[1]) for name in indices(engine) if name.startswith(stem)]
    return f"{stem}-{max(numbers, default=0) + 1:03d}"


def indices(engine: Engine) -> list[str]:
    """Return the names of the indices that loads of this alias have made, oldest day first."""
    alias = engine.options.alias
    pattern = re.compile(rf"{alias}-\d{{4}}-\d{{2}}-\d{{2}}-\d{{3,}}")
    found = engine.ask("GET", f"{alias}-*/_settings")
    return sorted(name for name in found if pattern.fullmatch(name))


def aliased(engine: Engine) -> list[str]:
    """Return the indices that the alias names: none before the first load, then one.

    Somebody else may have added another, which the next load takes out.
    """
    return sorted(engine.find(f"_alias/{engine.options.alias}") or ())


def _index(engine: Engine, rows: pl.DataFrame) -> Body:
    keyword = {"type": "keyword"}
    score = {"type": "float", "index": False}
    fields: Body = {name: keyword for name in KEYWORDS}
    fields |= {c.IN_STOCK: {"type": "boolean"}}
    fields |= {name: score for name in rows.columns if name.startswith(f"{c.SF_POS}.")}
    # Nobody searches it while it is filled: it need not be made searchable every second.
    own = {"number_of_replicas": engine.options.replicas, "refresh_interval": "-1"}
    return {
        "settings": {"number_of_shards": 1, **own},
        "mappings": {"dynamic": "strict", "properties": fields},
    }


def _fill(engine: Engine, name: str, rows: pl.DataFrame) -> None:
    pieces = list(rows.iter_slices(engine.options.bulk_rows))
    progress, sent = Progress(f"index {name}", len(pieces)), 0
    for piece in pieces:
        engine.bulk(name, piece)
        sent += piece.height
        progress.piece(f"{sent:,} of {rows.height:,} items")
    engine.ask("PUT", f"{name}/_settings", {"index": {"refresh_interval": None}})
    engine.ask("POST", f"{name}/_refresh")
    held = engine.ask("GET", f"{name}/_count")["count"]
    if held != rows.height:
        raise ContractViolation(
            f"{name}: {rows.height:,} items were sent, the index holds {held:,}"
        )


def _switch(engine: Engine, name: str, before: list[str]) -> None:
    alias = engine.options.alias
    actions = [{"remove": {"index": old, "alias": alias}} for old in before]
    actions.append({"add": {"index": name, "alias": alias}})
    engine.ask("POST", "_aliases", {"actions": actions})


def _discard(engine: Engine, name: str) -> None:
    """Delete an index that failed; the failure is what is told, also where this fails too."""
    with suppress(VitrinaError):
        # A switch may have gone through although its answer was lost.
        if name not in aliased(engine):
            engine.ask("DELETE", name)


def _forget(engine: Engine, name: str, before: list[str]) -> None:
    """Delete what earlier loads left, but the index to go back to; one load runs at a time."""
    try:
        for old in set(indices(engine)) - {name, *before}:
            engine.ask("DELETE", old)
            log.info("%s: deleted, of an earlier load", old)
    except VitrinaError as error:
        # The alias has moved: what is left over is the next load's to delete.
        log.warning("an index of an earlier load stays: %s", error)
