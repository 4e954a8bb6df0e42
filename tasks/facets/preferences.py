"""What each event says about a customer's preference; the sums are `sql/user_facets.sql`.

preference(value) = sum of weight(event) * decay(age) over the value
                    / (the same over the attribute + prior_weight)

The prior pulls the preferences of who has done little to 0: who has seen one red dress does not
prefer red twice as much as who has seen thirty things, every second one red. An item with two
values of an attribute gives its whole weight to each, and is worth the sum of both preferences.
"""

from __future__ import annotations

import polars as pl

from tasks import columns as c
from tasks.settings import Facets

MILLION = 1_000_000


def prior_ppm(options: Facets) -> int:
    """Return the prior in millionths of weight, as decay is counted."""
    return round(options.prior_weight * MILLION)


def event_weights(options: Facets) -> pl.DataFrame:
    """Return `event_type, weight` of the events that show a preference."""
    weights = {
        c.VIEW: options.view_weight,
        c.FAVORITE: options.favorite_weight,
        c.CART: options.cart_weight,
        c.ORDER: options.order_weight,
    }
    return pl.DataFrame(
        {c.EVENT_TYPE: list(weights), c.WEIGHT: list(weights.values())},
        schema={c.EVENT_TYPE: pl.String, c.WEIGHT: pl.Int64},
    )
