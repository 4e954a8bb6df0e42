"""Truth on disk: for the simulator, its report, tests and benchmarks; no task knows the folder.

`shop.json` says which shop it is; `state/` is what the next day starts from; `importances`,
`customers`, `tastes` (of the next day), `items`, `traits`, `accounts` are the shop's hidden parts,
where a style hides `hidden_styles` and `hidden_tastes` too;
`listings/dt=.../rows-NNN.parquet` hold the true probabilities of shuffled and sampled listings.
"""

from __future__ import annotations

import json
import os
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl

from tasks import columns as c
from tasks.simulator.attributes import GENDER, SIZE
from tasks.simulator.breaks import in_fashion, own_factors, taste_vectors
from tasks.simulator.customers import tastes, trait_frame, user_ids
from tasks.simulator.draws import Floats, Ints
from tasks.simulator.faults import accounts
from tasks.simulator.shop import Shop
from tasks.simulator.world import World

STATE, SHOP = "state", "shop.json"
MOST_TASTED = 1_000


def importances(world: World) -> pl.DataFrame:
    """Return the importance of every attribute in each category group that has it."""
    scale = world.parameters.importance_scale
    rows = [
        (group, attribute.name, scale * importance)
        for attribute in world.parameters.attributes
        for group, importance in attribute.importance.items()
    ]
    return pl.DataFrame(rows, schema=[c.CATEGORY_GROUP, c.ATTRIBUTE, "importance"], orient="row")


def customer_truth(world: World) -> pl.DataFrame:
    """Return what hides behind each customer."""
    people = world.customers
    return pl.DataFrame(
        {
            c.USER_ID: people.ids,
            "true_gender": pl.Series(["female", "male"]).gather(people.gender),
            "sessions_per_day": people.rate,
            "buyer": people.buyer,
            "price_sensitivity": people.price_sensitivity,
            "mailing_effect": people.mailing_effect,
            "joined": people.joined,
        }
    )


def taste_truth(shop: Shop) -> pl.DataFrame:
    """Return the tastes of the first customers for the values of attributes that matter.

    As of the shop's next day: drift, exposure and fashion counted in. `own_factor` is by how much
    the attribute counts more for this customer than `importances` says.
    """
    who = shop.world.customers.indices[:MOST_TASTED]
    parts = [
        _attribute_tastes(shop, who, number)
        for number, attribute in enumerate(shop.world.parameters.attributes)
        if any(attribute.importance.values())
    ]
    return pl.concat(parts)


def _attribute_tastes(shop: Shop, who: Ints, number: int) -> pl.DataFrame:
    world, day = shop.world, shop.next_day
    name = world.parameters.attributes[number].name
    values = world.catalogue.names[name]
    customer, code = np.repeat(who, len(values)), np.tile(np.arange(len(values)), len(who))
    vectors = taste_vectors(world, shop.state, customer, day)
    liked = code if name in {SIZE, GENDER} else in_fashion(world, day, code, len(values))
    taste = tastes(world.customers, customer, vectors, number, liked, len(values))
    named_values = pl.Series(c.VALUE, values).gather(code)
    rows = pl.DataFrame(
        {
            c.USER_ID: world.customers.ids.gather(customer),
            c.VALUE: named_values,
            "taste": taste.astype(np.float32),
            "own_factor": np.broadcast_to(own_factors(world, customer, number), taste.shape),
        }
    )
    return rows.select(c.USER_ID, pl.lit(name).alias(c.ATTRIBUTE), c.VALUE, "taste", "own_factor")


def hidden_truth(ids: pl.Series, vectors: Floats) -> pl.DataFrame:
    """Return `id, hidden`: what no attribute shows, for `hidden_style` x the mean product."""
    return pl.DataFrame({ids.name: ids, "hidden": vectors})


def item_truth(world: World) -> pl.DataFrame:
    """Return what hides behind each item."""
    items = world.catalogue
    return pl.DataFrame({c.ITEM_ID: items.ids, "appeal": items.appeal, "quality": items.quality})


def account_truth(world: World) -> pl.DataFrame:
    """Return which accounts are no customers."""
    bots, staff = accounts(world)
    return pl.DataFrame(
        {c.USER_ID: user_ids(np.append(bots, staff)), "account": ["bot"] * len(bots) + ["staff"]}
    )


def shop_facts(shop: Shop, seed: int, items: int) -> dict[str, str | int]:
    """Return what identifies a shop: equal facts, equal bytes."""
    world = shop.world
    return {
        "version": world.parameters.version,
        "digest": world.parameters.digest,
        "seed": seed,
        "opened": str(world.opened),
        "customers": world.customers.size,
        "items": items,
    }


def read_facts(folder: Path) -> dict[str, str | int] | None:
    """Return the facts of the shop in `folder`, None when it is empty."""
    path = folder / SHOP
    facts: dict[str, str | int] | None = json.loads(path.read_text()) if path.exists() else None
    return facts


def write_opening(folder: Path, shop: Shop, facts: dict[str, str | int]) -> None:
    """Write the parts of truth that do not change."""
    folder.mkdir(parents=True, exist_ok=True)
    world = shop.world
    importances(world).write_parquet(folder / "importances.parquet")
    customer_truth(world).write_parquet(folder / "customers.parquet")
    if world.parameters.breaks.hidden_style:
        _write_hidden(folder, world)
    item_truth(world).write_parquet(folder / "items.parquet")
    account_truth(world).write_parquet(folder / "accounts.parquet")
    write_json(folder / SHOP, facts)


def write_json(path: Path, content: object) -> None:
    """Write a file that is either whole or not there."""
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(content, indent=1))
    os.replace(partial, path)


def _write_hidden(folder: Path, world: World) -> None:
    items, people = world.catalogue.ids.alias(c.ITEM_ID), world.customers.ids.alias(c.USER_ID)
    hidden_truth(items, world.hidden_styles).write_parquet(folder / "hidden_styles.parquet")
    hidden_truth(people, world.hidden_tastes).write_parquet(folder / "hidden_tastes.parquet")


def write_part(folder: Path, day: date, number: int, rows: pl.DataFrame) -> None:
    """Write the true probabilities of a part of the day's sampled listings."""
    path = folder / "listings" / f"dt={day}" / f"rows-{number:03}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    rows.write_parquet(path)


def write_latest(folder: Path, shop: Shop) -> None:
    """Write the tastes of the shop's next day, and who has had which trait since the opening."""
    taste_truth(shop).write_parquet(folder / "tastes.parquet")
    days = (shop.next_day - shop.world.opened).days
    trait_frame(shop.world.customers, shop.world.opened, days).write_parquet(
        folder / "traits.parquet"
    )
