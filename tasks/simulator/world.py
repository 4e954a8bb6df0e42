"""What does not change while the shop runs: parameters, seed, items and customers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import cached_property

import numpy as np

from tasks.simulator.attributes import GENDER, GROUPS, SIZE
from tasks.simulator.breaks import hidden_vectors, in_fashion
from tasks.simulator.catalogue import Catalogue, catalogue
from tasks.simulator.customers import Customers, customers, value_vectors
from tasks.simulator.draws import Draws, Floats, Ints, Stream
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

    @cached_property
    def hidden_styles(self) -> Floats:
        """What of each item no attribute shows."""
        return hidden_vectors(self.draws, Stream.HIDDEN_ITEM, self.catalogue.size)

    @cached_property
    def hidden_tastes(self) -> Floats:
        """How each customer likes what no attribute shows."""
        return hidden_vectors(self.draws, Stream.HIDDEN_CUSTOMER, self.customers.size)

    @cached_property
    def item_vectors(self) -> Floats:
        """Where each item's values lie in the space of tastes, on average, as long as a taste."""
        return self._item_vectors(self.opened)

    @cached_property
    def turned_item_vectors(self) -> Floats:
        """The same after fashion has turned."""
        return self._item_vectors(date.max)

    def _item_vectors(self, day: date) -> Floats:
        total = np.zeros((self.catalogue.size, self.parameters.vector_length))
        for number, attribute in enumerate(self.parameters.attributes):
            if any(attribute.importance.values()) and attribute.name not in {SIZE, GENDER}:
                count = len(self.catalogue.names[attribute.name])
                codes = in_fashion(self, day, self.catalogue.values[attribute.name], count)
                values = value_vectors(self.parameters, self.draws, number, count)
                total += np.where(codes[:, None] < 0, 0.0, values[codes])
        lengths = np.linalg.norm(total, axis=1, keepdims=True)
        vectors: Floats = np.sqrt(self.parameters.vector_length) * total / np.maximum(lengths, 1e-9)
        return vectors


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
