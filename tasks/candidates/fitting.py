"""Fit a generator by name, judge it on a split, and list what it offers: frames in, frames out."""

from __future__ import annotations

import logging
import time
from typing import NamedTuple

import numpy as np
import polars as pl

from tasks import columns as c
from tasks.candidates import generator_class
from tasks.candidates.evaluation import (
    Protocol,
    Split,
    above,
    lists_of,
    summary,
    user_metrics,
)
from tasks.candidates.generator import Floats, Generator, Known, Requests
from tasks.candidates.serving import bought, recommend
from tasks.seeds import seed_of
from tasks.settings import Settings

log = logging.getLogger(__name__)
YARDSTICK = "popular_7d"


class Offer(NamedTuple):
    """What a generator writes: lists and embeddings."""

    lists: pl.DataFrame
    items: pl.DataFrame
    users: pl.DataFrame


def fitted(name: str, known: Known, settings: Settings) -> Generator:
    """Return the generator fitted on what was known, by the seed of its part."""
    started = time.monotonic()
    seed = seed_of(settings, "candidates", name)
    generator = generator_class(name).fit(known, settings.candidates, seed, settings.threads)
    log.info(
        "%s: fitted on %d interactions through %s in %.1f s",
        *(name, known.interactions.height, known.through, time.monotonic() - started),
    )
    return generator


def judged(
    lists: dict[str, pl.DataFrame], split: Split, settings: Settings, yardstick: Generator | None
) -> pl.DataFrame:
    """Return metrics with intervals of lists by protocol.

    Args:
        lists: `user_id, item_id, rank` by the name of the protocol they answer.
        split: whom and what was asked.
        settings: resamples and seed.
        yardstick: a generator from which each user's difference is measured too.
    """
    seed = seed_of(settings, "candidate_metrics")
    tables = []
    for protocol in split.protocols:
        users = user_metrics(lists[protocol.name], protocol.truth, split.warm)
        if yardstick is not None:
            users = above(users, _yardstick(yardstick, split, protocol), yardstick.name)
        tables.append(summary(users, protocol.name, settings.candidates.bootstraps, seed))
    return pl.concat(tables)


def _yardstick(generator: Generator, split: Split, protocol: Protocol) -> pl.DataFrame:
    return user_metrics(lists_of(generator, split, protocol), protocol.truth, split.warm)


def heldout_lists(generator: Generator, split: Split) -> dict[str, pl.DataFrame]:
    """Return the generator's lists for the test users by protocol."""
    return {protocol.name: lists_of(generator, split, protocol) for protocol in split.protocols}


def offered(generator: Generator, known: Known, requests: Requests, settings: Settings) -> Offer:
    """Return the top k of the users who ask, and the embeddings of them and of all items."""
    options = settings.candidates
    once = bought(requests.histories, known.items, options.repeatable)
    lists = recommend(generator, requests, options.k, known.items, once)
    items = embeddings(generator.item_ids, generator.item_vectors())
    users = embeddings(requests.users[c.USER_ID], generator.user_vectors(requests))
    return Offer(lists, items, users)


def embeddings(ids: pl.Series, vectors: Floats | None) -> pl.DataFrame:
    """Return `id, embedding`, without ids that have none."""
    schema = {ids.name: pl.String(), c.EMBEDDING: pl.List(pl.Float32())}
    if vectors is None:
        return pl.DataFrame(schema=schema)
    there = ~np.isnan(vectors).any(axis=1)
    column = pl.Series(c.EMBEDDING, vectors[there]).arr.to_list()
    return pl.DataFrame(
        {ids.name: ids.filter(pl.Series(there)), c.EMBEDDING: column}, schema=schema
    )
