"""Moving the alias: never back in `trained_through` after a pass, back only by rollback."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import polars as pl

from tasks import columns as c
from tasks.errors import ContractViolation, QualityGateFailed
from tasks.lake.lake import Lake
from tasks.lake.tables import ALIAS_MOVES, GATE_DECISIONS
from tasks.ranker import history
from tasks.ranker.registry import Registry, Version

RED = ("refused", "too good")


def newest_decision(decisions: pl.DataFrame) -> dict[str, object] | None:
    """Return the last decision of a day, None when there is none."""
    rows = decisions.sort("decided_at").tail(1).to_dicts()
    return rows[0] if rows else None


def obstacle(
    decision: dict[str, object], moves: pl.DataFrame, live: Version | None, found: Version
) -> str | None:
    """Return why a version that passed does not go live, None when it does.

    Args:
        decision: the GATE_DECISIONS row that lets it pass.
        moves: every move of the alias, those of later days too.
        live: what the alias names now.
        found: the version that passed.
    """
    row = pl.DataFrame([decision], schema=GATE_DECISIONS.stored_schema)
    if history.standing(row, moves).is_empty():
        return f"version {found.number} was rolled back from; train the day again for another"
    if not moves_forward(live, found):
        return f"version {found.number} is not newer than the live one"
    if live is not None and _is_left(moves, live):
        return f"a rollback from version {live.number} broke off; trigger rollback_ranker again"
    return None


def _is_left(moves: pl.DataFrame, live: Version) -> bool:
    """Return whether the last move on record is a rollback from what is live still."""
    last = moves.select("from_version", "moved_by").tail(1).rows()
    return last == [(live.number, "rollback")]


def promotable(decision: dict[str, object] | None) -> str | None:
    """Return the version that the decision makes live, None when it leaves the live one.

    Raises:
        QualityGateFailed: the gate refused the model, or found it too good.
    """
    if decision is None:
        return None
    if decision["decision"] in RED:
        raise QualityGateFailed(f"{decision['decision']}: {decision[c.REASON]}")
    return str(decision["model_version"]) if decision["decision"] == "pass" else None


def registered(registry: Registry, number: str) -> Version:
    """Return a version that must be there.

    Raises:
        ContractViolation: the registry does not have it.
    """
    found = registry.version(number)
    if found is None:
        raise ContractViolation(f"the registry has no version {number}: train the day again")
    return found


def moves_forward(live: Version | None, found: Version) -> bool:
    """Return whether the version may replace the live one: it has seen as late a listing day."""
    if live is None:
        return True
    return live.number != found.number and found.trained_through >= live.trained_through


def previous(moves: pl.DataFrame, live: Version | None) -> str:
    """Return the version that was live before the live one.

    Args:
        moves: ALIAS_MOVES rows, oldest first.
        live: what the alias names now.

    Raises:
        ContractViolation: nothing was live before.
    """
    if live is None:
        raise ContractViolation("no version is live: nothing to roll back to")
    arrivals = moves.filter(to_version=live.number, moved_by="promote").drop_nulls("from_version")
    if arrivals.is_empty():
        raise ContractViolation(
            f"no version was live before {live.number}: nothing to roll back to"
        )
    return str(arrivals["from_version"][-1])


@dataclass(frozen=True)
class Move:
    """A move of the alias: from what was live when it was decided, to what, by whom and why."""

    live: Version | None
    found: Version
    moved_by: str
    reason: str


def move(lake: Lake, day: date, registry: Registry, asked: Move) -> str:
    """Make a version the live one and say which went; a move that broke off is only finished.

    Raises:
        ContractViolation: what was live when the move was decided is so no more.
    """
    if (now := registry.serving()) != asked.live:
        raise ContractViolation(
            f"version {_number(now)} went live while the move to {asked.found.number} was decided:"
            " run again"
        )
    # Recorded first: what cannot be written down is not done, and a rollback that is tried again
    # after a full disk goes back one version, not two.
    if not _broke_off(history.all_moves(lake), asked):
        row = _row(lake, asked)
        lake.append_day(ALIAS_MOVES, day, pl.DataFrame([row], schema=ALIAS_MOVES.schema))
    registry.serve(asked.found.number)
    return f"version {_number(asked.live) or 'none'} -> {asked.found.number}"


def _number(version: Version | None) -> str | None:
    return version.number if version else None


def _broke_off(moves: pl.DataFrame, asked: Move) -> bool:
    """Return whether the last move on record is this one: the registry failed after it."""
    last = moves.select("from_version", "to_version", "moved_by").tail(1).rows()
    return last == [(_number(asked.live), asked.found.number, asked.moved_by)]


def _row(lake: Lake, asked: Move) -> dict[str, object]:
    return {
        "model": lake.settings.ranker.model_name,
        "moved_at": history.now(),
        "from_version": _number(asked.live),
        "to_version": asked.found.number,
        "trained_through": asked.found.trained_through,
        "moved_by": asked.moved_by,
        c.REASON: asked.reason,
    }
