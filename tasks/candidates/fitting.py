"""Fit a generator by name, judge it on a split, and list what it offers: frames in, frames out."""

from __future__ import annotations

import logging
import time
from typing import NamedTuple

import numpy as np
import polars as pl

from tasks import columns as c
from tasks.candidates import generator_class
from tasks.candidates.beyond import COVERAGE, beyond_accuracy, coverage, serendipity, stratified
from tasks.candidates.evaluation import (
    ALL,
    Protocol,
    Split,
    above,
    by_history,
    lists_of,
    summary,
    user_metrics,
)
from tasks.candidates.generator import Floats, Generator, Known, Requests, Run
from tasks.candidates.interests import in_turns
from tasks.candidates.registered import parent_of
from tasks.candidates.sampling import sampled
from tasks.candidates.serving import LISTS, Shelf, bought, users_at_once
from tasks.seeds import seed_of
from tasks.settings import Settings

log = logging.getLogger(__name__)
YARDSTICK = "popular_7d"
ROWS_AT_ONCE = 3_000_000
"""Rows of lists, down to the deepest rank that chance may bring up, that are there at a time."""
Lists = dict[str, pl.DataFrame]
"""Lists `user_id, item_id, rank` by the name of the protocol that they answer."""


class Offer(NamedTuple):
    """What a generator writes: lists and embeddings."""

    lists: pl.DataFrame
    items: pl.DataFrame
    users: pl.DataFrame


def fitted(name: str, known: Known, settings: Settings) -> Generator:
    """Return the generator fitted on what was known, by the seed of its part."""
    started = time.monotonic()
    kind, seed = generator_class(name), seed_of(settings, "candidates", name)
    parent = parent_of(kind, settings)
    run = Run(seed, settings.threads, settings.home / "checkpoints", parent)
    generator = kind.fit(known, settings.candidates, run)
    log.info(
        "%s: fitted on %d interactions through %s in %.1f s",
        *(name, known.interactions.height, known.through, time.monotonic() - started),
    )
    return generator


def judged(
    lists: Lists, split: Split, settings: Settings, yardstick: Lists | None = None
) -> pl.DataFrame:
    """Return metrics with intervals of lists by protocol.

    Args:
        lists: `user_id, item_id, rank` by the name of the protocol they answer.
        split: whom and what was asked.
        settings: resamples and seed.
        yardstick: lists of `YARDSTICK`; each user's difference from them is measured too.
    """
    options, seed = settings.candidates, seed_of(settings, "candidate_metrics")
    tables = []
    for protocol in split.protocols:
        found = lists[protocol.name]
        users = user_metrics(found, protocol.truth, split.warm)
        power = options.stratified_power
        users = stratified(users, found, protocol.truth, split.known, power)
        if yardstick is not None:
            users = beside(users, found, yardstick[protocol.name], protocol, split)
        users = by_history(users, split.requests.histories)
        tables.append(summary(users, protocol.name, options.bootstraps, seed))
        if users.height:
            tables.append(beyond(found, protocol.name, split.known, settings))
    return pl.concat(tables)


def beside(
    users: pl.DataFrame,
    lists: pl.DataFrame,
    yardstick: pl.DataFrame,
    protocol: Protocol,
    split: Split,
) -> pl.DataFrame:
    """Return the users' metrics with what the yardstick's lists add: differences, serendipity."""
    theirs = user_metrics(yardstick, protocol.truth, split.warm)
    compared = above(users, theirs, YARDSTICK)
    return serendipity(compared, lists, yardstick, protocol.truth)


def beyond(lists: pl.DataFrame, protocol: str, known: Known, settings: Settings) -> pl.DataFrame:
    """Return metrics beyond accuracy, in the columns of `summary`."""
    options, seed = settings.candidates, seed_of(settings, "candidate_metrics")
    users = beyond_accuracy(lists, known, options.item_features)
    told = summary(users, protocol, options.bootstraps, seed).filter(pl.col(c.METRIC) != "users")
    whole = {"protocol": protocol, c.SLICE: ALL, c.METRIC: COVERAGE}
    covered = [whole | {c.VALUE: coverage(lists, known.items), c.LOW: None, c.HIGH: None}]
    return pl.concat([told, pl.DataFrame(covered, schema=told.schema)])


def heldout_lists(generator: Generator, split: Split) -> Lists:
    """Return the generator's lists for the test users by protocol."""
    return {protocol.name: lists_of(generator, split, protocol) for protocol in split.protocols}


def judged_as_published(
    generator: Generator, split: Split, settings: Settings, yardstick: Lists
) -> pl.DataFrame:
    """Return metrics of the test users' lists as they would be written, in protocols of their own.

    The protocol `time` of the plain lists stands beside `time_published`.
    """
    lists = {
        protocol.name: published(
            generator, split.requests, Shelf(split.known.items, protocol.blocked), settings
        )
        for protocol in split.protocols
    }
    metrics = judged(lists, split, settings, yardstick)
    return metrics.with_columns(pl.format("{}_published", "protocol").alias("protocol"))


def offered(generator: Generator, known: Known, requests: Requests, settings: Settings) -> Offer:
    """Return the top k of the users who ask, and the embeddings of them and of all items."""
    once = bought(requests.histories, known.items, settings.candidates.repeatable)
    lists = published(generator, requests, Shelf(known.items, once), settings)
    items = embeddings(generator.item_ids, generator.item_vectors())
    users = embeddings(requests.users[c.USER_ID], generator.user_vectors(requests))
    return Offer(lists, items, users)


def published(
    generator: Generator, requests: Requests, shelf: Shelf, settings: Settings
) -> pl.DataFrame:
    """Return `user_id, item_id, score, rank, propensity`: the top k after interests and chance.

    The users go through in parts, as a million of them have hundreds of millions of ranks that
    chance may draw from. What each gets does not depend on the parts.
    """
    options = settings.candidates
    depth = max(options.k, options.sampled_depth) if options.sampled_share else options.k
    seed = seed_of(settings, f"candidates/{requests.through}", generator.name)
    # Whole batches of those who are scored together, or scores may differ in their last bit.
    size = users_at_once(generator)
    size *= max(1, ROWS_AT_ONCE // (depth * options.interests * size))
    ranked = (
        in_turns(generator, part, depth, *shelf, options.interests)
        for part in requests.batches(size)
    )
    lists = (sampled(rows, options, options.k, seed) for rows in ranked)
    return pl.concat([pl.DataFrame(schema={**LISTS, c.PROPENSITY: pl.Float64()}), *lists])


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
