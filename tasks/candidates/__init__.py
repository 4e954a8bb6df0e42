"""Candidate generators: who each one is, in one registry.

To add one, write `tasks/candidates/<name>.py` with a subclass of `Generator` and name it here. It
trains every night once `VITRINA_CANDIDATES__GENERATORS` names it too. Modules load on demand, so
that naming the generators does not load torch.
"""

from __future__ import annotations

from importlib import import_module

from tasks.candidates.generator import Generator

GENERATORS: dict[str, str] = {
    "popular": "tasks.candidates.popular:Popular",
    "ease": "tasks.candidates.ease:Ease",
    "lightfm": "tasks.candidates.lightfm:LightFM",
    "sasrec": "tasks.candidates.sasrec:SASRec",
    "item_neighbours": "tasks.candidates.item_neighbours:ItemNeighbours",
    "new_items": "tasks.candidates.new_items:NewItems",
    "lightfm_bpr": "tasks.candidates.lightfm:LightFMBPR",
}
BASELINES: dict[str, str] = {
    "popular_7d": "tasks.candidates.popular:PopularOfWeek",
    "own_repeats": "tasks.candidates.repeats:Repeats",
}


def generator_class(name: str) -> type[Generator]:
    """Return the class of a generator or baseline; an unknown name is refused, never imported."""
    known = GENERATORS | BASELINES
    if name not in known:
        raise ValueError(f"no generator {name!r}; there are {', '.join(known)}")
    module, _, attribute = known[name].partition(":")
    found: type[Generator] = getattr(import_module(module), attribute)
    return found
