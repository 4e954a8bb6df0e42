"""Roll the live ranker back by one version: one run by hand, with a reason that is recorded.

A version that was rolled back from is no incumbent any more; the next model that passes the gate
moves the alias forward again.
"""

from __future__ import annotations

from datetime import date

from tasks.errors import ContractViolation
from tasks.lake.lake import Lake
from tasks.settings import Settings
from tasks.steps import NOTE, Step


def roll_back(day: date, settings: Settings) -> dict[str, int | str]:
    """Make the version live that was live before the present one; return the move, with why.

    Raises:
        ContractViolation: no reason is given, or nothing was live before.
    """
    from tasks.ranker import history, promotion
    from tasks.ranker.registry import registry_of

    reason = settings.ranker.rollback_reason
    if not reason:
        raise ContractViolation(
            "say why: in the run's rollback_reason, or in VITRINA_RANKER__ROLLBACK_REASON"
        )
    lake, registry = Lake(settings), registry_of(settings)
    live = registry.serving()
    number = promotion.previous(history.all_moves(lake), live)
    found = promotion.registered(registry, number)
    asked = promotion.Move(live, found, "rollback", reason)
    moved = promotion.move(lake, day, registry, asked)
    return {"moves": 1, NOTE: f"{moved}: {reason}"}


STEPS = (Step(roll_back),)
