"""The true order of every segment: the mean of its customers' P(cart | examined), item by item."""

from __future__ import annotations

import numpy as np
import polars as pl

from tasks import columns as c
from tasks.simulator import behaviour
from tasks.simulator.draws import Floats, Ints
from tasks.simulator.sessions import OTHER
from tasks.simulator.shop import Shop, indices_of
from tasks.simulator.state import NOTHING

GAIN = "p_cart_if_examined"


def true_rates(shop: Shop, people: pl.DataFrame, most: int) -> pl.DataFrame:
    """Return `segment, item_id, p_cart_if_examined`: the mean over the segment's customers.

    Args:
        shop: on the morning after the day of the segments.
        people: `user_id, segment` of customers, no bots.
        most: of larger segments that many customers are asked, the first by id.
    """
    items = np.flatnonzero(shop.world.catalogue.in_stock(shop.next_day))
    parts = [
        pl.DataFrame(
            {
                c.SEGMENT: name,
                c.ITEM_ID: shop.world.catalogue.ids.gather(items),
                GAIN: _means(shop, indices_of(members[c.USER_ID].sort().head(most)), items),
            }
        )
        for (name,), members in people.group_by(c.SEGMENT, maintain_order=True)
    ]
    return pl.concat(parts)


def _means(shop: Shop, who: Ints, items: Ints) -> Floats:
    total = np.zeros(len(items))
    for customer in who:
        met = _meeting(shop, np.full(len(items), customer), items)
        utility = behaviour.utilities(shop.world, shop.state, met)
        view = behaviour.p_view(shop.world, utility)
        total += view * behaviour.p_cart(shop.world, shop.state, met, utility)
    means: Floats = total / len(who)
    return means


def _meeting(shop: Shop, who: Ints, items: Ints) -> behaviour.Encounters:
    nothing, zero = np.full(len(who), NOTHING), np.zeros(len(who), dtype=np.int64)
    other = np.full(len(who), OTHER)
    return behaviour.Encounters(
        shop.next_day, who, items, zero, nothing, nothing, nothing, zero, nothing, other
    )
