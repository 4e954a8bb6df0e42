"""What does not change while the shop runs: parameters, seed, items and customers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np

from tasks.simulator.attributes import GROUPS
from tasks.simulator.catalogue import Catalogue, catalogue
from tasks.simulator.customers import Customers, customers
from tasks.simulator.draws import Draws, Ints
from tasks.simulator.parameters import Parameters

HORIZON_DAYS = 400


@dataclass(frozen=True)
class World:
    """A shop's fixed parts; `scopes` are what a listing may show: each category, then each group.

    `usual_utility` is subtracted from utilities, so that rates do not depend on how a seed's
    values happen to please its customers.
    """

    parameters: Parameters
    draws: Draws
    opened: date
    catalogue: Catalogue
    customers: Customers
    usual_utility: float = 0.0

    @property
    def category_names(self) -> tuple[str, ...]:
        """Names of categories by code."""
        return tuple(entry.name for entry in self.parameters.categories)

    @property
    def scope_names(self) -> tuple[str, ...]:
        """Names of scopes by code."""
        return self.category_names + GROUPS

    @property
    def category_groups(self) -> Ints:
        """The group of each category, by code."""
        return np.array([GROUPS.index(entry.group) for entry in self.parameters.categories])


def world(
    parameters: Parameters, seed: int, opened: date, customer_count: int, item_count: int
) -> World:
    """Return the world of a shop; its newcomers are known for `HORIZON_DAYS` days."""
    draws = Draws(seed)
    return World(
        parameters,
        draws,
        opened,
        catalogue(parameters, draws, opened, item_count, HORIZON_DAYS),
        customers(parameters, draws, opened, customer_count),
    )
