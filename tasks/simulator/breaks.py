"""What the world `rough` breaks of our models' assumptions, one number each; 0 breaks nothing.

cascade         people stop reading a list after an item that satisfies them
                P(stop | viewed) = cascade x max(carted, logistic(u))
one_choice      of the items of a category viewed in one listing only the best liked may go into the
                cart: the items compete (and P(stop) counts each cart as if it did not)
hidden_style    u gains hidden_style x (a style of the item that no attribute shows) . (a taste)
own_importance  SD of the log of a customer's own factor of each attribute's importance
reinforced      tastes turn towards what was viewed: z_u + reinforced x a mean of viewed items
heavy_tails     Tukey's h of activity, buying and appeal: z exp(h z**2 / 2), spread as it was
regime_day      days after the opening at which fashion turns (values change places in taste) and
                lists are read less deep
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from datetime import date
from typing import TYPE_CHECKING

import numpy as np

from tasks.simulator.draws import Draws, Flags, Floats, Ints, Stream, logistic

if TYPE_CHECKING:
    from tasks.simulator.behaviour import Encounters
    from tasks.simulator.state import State
    from tasks.simulator.world import World

HIDDEN_AXES = 3
KEPT_LEANING = 0.9
SHALLOWER = 0.6


@dataclass(frozen=True)
class Breaks:
    """How much of each assumption is broken; see the module."""

    cascade: float = 0.0
    one_choice: bool = False
    hidden_style: float = 0.0
    own_importance: float = 0.0
    reinforced: float = 0.0
    heavy_tails: float = 0.0
    regime_day: int = 0

    def only(self, names: tuple[str, ...]) -> Breaks:
        """Return these breaks without those not named."""
        return replace(Breaks(), **{name: getattr(self, name) for name in names})


NONE = Breaks()
ALL = Breaks(
    cascade=0.6,
    one_choice=True,
    hidden_style=0.6,
    own_importance=0.6,
    reinforced=0.5,
    heavy_tails=0.15,
    regime_day=15,
)
NAMES = tuple(entry.name for entry in fields(Breaks))


def heavy(normal: Floats, tails: float) -> Floats:
    """Return numbers with heavier tails and the spread they had (Tukey's g-and-h, g = 0)."""
    if not tails:
        return normal
    tailed: Floats = normal * np.exp(tails * normal**2 / 2)
    tailed *= normal.std() / tailed.std()
    return tailed


def has_turned(world: World, day: date) -> bool:
    """Return whether the regime has changed by `day`."""
    turns = world.parameters.breaks.regime_day
    return 0 < turns <= (day - world.opened).days


def in_fashion(world: World, day: date, codes: Ints, count: int) -> Ints:
    """Return the values whose place in taste these values have: their own, until fashion turns."""
    if not has_turned(world, day):
        return codes
    return np.where(codes < 0, codes, (codes + count // 2) % count)


def own_factors(world: World, who: Ints, attribute: int) -> Floats | float:
    """Return by how much an attribute counts more for each customer than for the usual one."""
    spread = world.parameters.breaks.own_importance
    if not spread:
        return 1.0
    drawn = world.draws.normal(Stream.OWN_IMPORTANCE, who, attribute)
    factors: Floats = np.exp(spread * drawn - spread**2 / 2)
    return factors


def hidden_style_term(world: World, met: Encounters) -> Floats | float:
    """Return the part of utility that no attribute of the item shows."""
    weight = world.parameters.breaks.hidden_style
    if not weight:
        return 0.0
    mine, its = world.hidden_tastes[met.customer], world.hidden_styles[met.item]
    term: Floats = weight / np.sqrt(HIDDEN_AXES) * np.einsum("ij,ij->i", mine, its)
    return term


def hidden_vectors(draws: Draws, stream: Stream, count: int) -> Floats:
    """Return what hides in each of `count` customers or items."""
    return draws.normal(stream, np.arange(count)[:, None], np.arange(HIDDEN_AXES)[None, :])


def taste_vectors(world: World, state: State, who: Ints, day: date) -> Floats:
    """Return z_u of each customer on `day`, turned by exposure where the world has that."""
    vectors = world.customers.vectors(who, day)
    reinforced = world.parameters.breaks.reinforced
    return vectors + reinforced * state.leaning[who] if reinforced else vectors


def lean(world: World, day: date, leaning: Floats, who: Ints, item: Ints) -> None:
    """Turn tastes by exposure, in place: a decaying mean of the items viewed day by day."""
    if not world.parameters.breaks.reinforced or not len(who):
        return
    people, place, counts = np.unique(who, return_inverse=True, return_counts=True)
    total = np.zeros((len(people), leaning.shape[1]))
    vectors = world.turned_item_vectors if has_turned(world, day) else world.item_vectors
    np.add.at(total, place, vectors[item])
    leaning[people] *= KEPT_LEANING
    leaning[people] += (1 - KEPT_LEANING) * total / counts[:, None]


def p_stop(world: World, utility: Floats, view: Floats, cart: Floats) -> Floats:
    """Return P(stops after the item | examined), for P(view) and P(cart | view)."""
    satisfied = cart + (1 - cart) * logistic(utility)
    result: Floats = world.parameters.breaks.cascade * view * satisfied
    return result


def p_reached(request: Ints, stop: Floats) -> Floats:
    """Return P(no earlier slot of the same list stopped the reader); rows by list and position."""
    going_on = np.log1p(-np.minimum(stop, 1 - 1e-12))
    before = np.cumsum(going_on) - going_on
    first = np.searchsorted(request, request)
    reached: Floats = np.exp(before - before[first])
    return reached


def are_reached(world: World, views: Encounters, utility: Floats, carted: Flags) -> Flags:
    """Return which views happen: those before, and of, what satisfied the reader of the list."""
    if not world.parameters.breaks.cascade:
        return np.ones(len(views), dtype=np.bool_)
    keys = (views.customer, views.day.toordinal(), views.turn, views.item)
    drawn = world.draws.uniform(Stream.STOP, *keys)
    stops = drawn < world.parameters.breaks.cascade * np.maximum(carted, logistic(utility))
    last = np.full(views.request.max(initial=0) + 1, np.iinfo(np.int64).max)
    rows = np.flatnonzero(stops & (views.request >= 0))
    np.minimum.at(last, views.request[rows], views.position[rows])
    reached: Flags = (views.request < 0) | (views.position <= last[views.request])
    return reached


def are_chosen(world: World, views: Encounters, utility: Floats) -> Flags:
    """Return which viewed items may be bought: the best liked of each category of a list."""
    if not world.parameters.breaks.one_choice:
        return np.ones(len(views), dtype=np.bool_)
    keys = (views.customer, views.day.toordinal(), views.turn, views.item)
    liked = utility + world.draws.gumbel(Stream.CHOICE, *keys)
    category = world.catalogue.category[views.item]
    order = np.lexsort((-liked, category, views.request))
    rivals = np.stack([views.request, category])[:, order]
    best = np.append(True, (np.diff(rivals, axis=1) != 0).any(axis=0))[: len(views)]
    chosen: Flags = views.request < 0
    chosen[order[best]] = True
    return chosen
