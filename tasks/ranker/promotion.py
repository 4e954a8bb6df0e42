"""Moving the alias: forward in `trained_through` after a pass, backward only by rollback."""

from __future__ import annotations

from datetime import date

import polars as pl

from tasks import columns as c
from tasks.errors import ContractViolation, QualityGateFailed
from tasks.lake.lake import Lake
from tasks.lake.tables import ALIAS_MOVES
from tasks.ranker import history
from tasks.ranker.registry import Registry, Version

RED = ("refused", "too good")


def newest_decision(decisions: pl.DataFrame) -> dict[str, object] | None:
    """Return the last decision of a day, None when there is none."""
    rows = decisions.sort("decided_at").tail(1).to_dicts()
    return rows[0] if rows else None


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


def move(
    lake: Lake, day: date, registry: Registry, found: Version, moved_by: str, reason: str
) -> int:
    """Make a version the live one and return how many moves were recorded."""
    live = registry.serving()
    row = {
        "model": lake.settings.ranker.model_name,
        "moved_at": history.now(),
        "from_version": live.number if live else None,
        "to_version": found.number,
        "trained_through": found.trained_through,
        "moved_by": moved_by,
        c.REASON: reason,
    }
    # Recorded first: what cannot be written down is not done, and a rollback that is tried again
    # after a full disk goes back one version, not two.
    recorded = lake.append_day(ALIAS_MOVES, day, pl.DataFrame([row], schema=ALIAS_MOVES.schema))
    registry.serve(found.number)
    return recorded
