"""A catalogue with customers, drawn at random, in which near ties are frequent."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from tasks import columns as c
from tasks.boost.documents import documents
from tasks.boost.request import Request

GROUPS = {"shoes": ("boots", "heels"), "home": ("rugs",)}
ATTRIBUTES = ("brand", "colour", "style", "material", "size")
VALUES = 12
CITIES = ("Riga", "Bern", "Oslo")
SEGMENTS = ("all", "women.active.app", "men.new.web")


@dataclass(frozen=True)
class Drawn:
    """Documents, and what customers bring.

    Attributes:
        documents: as `documents` makes them.
        preferences: `user_id, category_group, attribute, value, preference`; a third of the
            customers have none.
        weights: `category_group, attribute, weight`.
        requests: one per customer.
    """

    documents: pl.DataFrame
    preferences: pl.DataFrame
    weights: pl.DataFrame
    requests: dict[str, Request]


def drawn(items: int, customers: int, seed: int) -> Drawn:
    """Return a catalogue and its customers."""
    generator = np.random.default_rng(seed)
    users = [f"u{number:04d}" for number in range(customers)]
    return Drawn(
        _documents(generator, items),
        pl.concat([_preferences(generator, user) for user in users if generator.random() < 2 / 3]),
        pl.DataFrame(
            [(group, name, generator.random() / 2) for group in GROUPS for name in ATTRIBUTES],
            schema=[c.CATEGORY_GROUP, c.ATTRIBUTE, c.WEIGHT],
            orient="row",
        ),
        {user: _request(generator) for user in users},
    )


def _documents(generator: np.random.Generator, items: int) -> pl.DataFrame:
    ids = [f"i{number:06d}" for number in generator.permutation(items)]
    group = generator.choice(list(GROUPS), items, p=[0.8, 0.2])
    category = [str(generator.choice(GROUPS[name])) for name in group]
    table = pl.DataFrame(
        {
            c.ITEM_ID: ids,
            c.CATEGORY_GROUP: group,
            c.CATEGORY: category,
            c.IN_STOCK: generator.random(items) < 0.85,
            c.STOCK_CITIES: generator.choice([None, "Riga", "Riga|Bern", ""], items),
        },
        schema_overrides={c.STOCK_CITIES: pl.String},
    )
    return documents(table, _attributes(generator, ids), _scores(generator, ids))


def _attributes(generator: np.random.Generator, ids: list[str]) -> pl.DataFrame:
    # Twice as many draws as attributes: some are absent, some have two values.
    size = len(ids) * len(ATTRIBUTES) * 2
    rows = pl.DataFrame(
        {
            c.ITEM_ID: generator.choice(ids, size),
            c.ATTRIBUTE: generator.choice(ATTRIBUTES, size),
            c.VALUE: [f"v{value}" for value in generator.integers(0, VALUES, size)],
        }
    )
    return rows.unique(maintain_order=True)


def _scores(generator: np.random.Generator, ids: list[str]) -> pl.DataFrame:
    """Return scores on a coarse grid, some a last place apart."""
    size = len(ids) * len(SEGMENTS)
    coarse = (0.4 + generator.integers(0, 60, size) / 200).astype(np.float32)
    nudged = np.nextafter(coarse, np.float32(2), dtype=np.float32)
    return pl.DataFrame(
        {
            c.SEGMENT: np.repeat(SEGMENTS, len(ids)),
            c.ITEM_ID: ids * len(SEGMENTS),
            c.SF_POS: np.where(generator.random(size) < 0.5, coarse, nudged),
        }
    )


def _preferences(generator: np.random.Generator, user: str) -> pl.DataFrame:
    rows = []
    for group in GROUPS:
        for name in ATTRIBUTES:
            shares = generator.dirichlet(np.ones(6))
            values = generator.choice(VALUES, 6, replace=False)
            rows += [(user, group, name, f"v{v}", s) for v, s in zip(values, shares, strict=True)]
    names = [c.USER_ID, c.CATEGORY_GROUP, c.ATTRIBUTE, c.VALUE, c.PREFERENCE]
    return pl.DataFrame(rows, schema=names, orient="row")


def _request(generator: np.random.Generator) -> Request:
    group = [None, "shoes", "home"][generator.integers(3)]
    words = [(), ("boots",), (f"v{generator.integers(VALUES)}",)][generator.integers(3)]
    return Request(
        segment=str(generator.choice(SEGMENTS)),
        words=words,
        category_group=group,
        city=[None, *CITIES][generator.integers(4)],
    )
