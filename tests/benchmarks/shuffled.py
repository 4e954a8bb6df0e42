"""What a sequence model loses when the histories that it is asked with are shuffled.

SASRec is trained once, on true order. Each user's last item is asked for (leave-one-out, whole
catalogue, seen items filtered), with the history as it was and `SHUFFLES` times shuffled:

lost    = 1 - NDCG@10 with shuffled histories / NDCG@10 with true ones
popular = NDCG@10 of the most popular items / NDCG@10 with true histories

Only the order differs, so nothing is lost where all that counts is what was met.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks import columns as c
from tasks.candidates.evaluation import Split, lists_of, user_metrics
from tasks.candidates.generator import Generator, Requests, Run
from tasks.candidates.outside import Naming, catalogue_of, interactions_of, known_of, leave_one_out
from tasks.candidates.popular import Popular
from tasks.candidates.sasrec import SASRec
from tasks.settings import Candidates, SASRecOptions
from tasks.simulator.marginals import PERCENT, Row
from tasks.simulator.measures import Estimate, exact

SHUFFLES = 3
RESAMPLES = 500
NDCG = "ndcg@10"
ORDER = "order"
FIRST_RATINGS = 20


@dataclass(frozen=True)
class Sequences:
    """Pairs `user_id, item_id, order`, each item once a user, and how long to train on them."""

    pairs: pl.DataFrame
    epochs: int


@dataclass(frozen=True)
class Loss:
    """NDCG@10 of a sequence model and of popularity, and what shuffling takes from the model."""

    users: int
    ndcg: float
    popular: float
    lost: Estimate

    @property
    def popular_share(self) -> Estimate:
        """Return what popularity reaches of the model's NDCG@10."""
        return exact(self.popular / self.ndcg)


def options(epochs: int) -> Candidates:
    """Return a small SASRec that learns the next item and nothing of the catalogue."""
    sasrec = SASRecOptions(
        width=64, length=50, horizon=1, heads=2, dropout=0.2, batch=64, features=False, shift=0,
        min_steps=1, epochs=epochs,
    )  # fmt: skip
    return Candidates(sasrec=sasrec)


def split_of(pairs: pl.DataFrame) -> Split:
    """Return the leave-one-out split; all that happened before is learned from."""
    interactions = interactions_of(pairs, Naming(order=ORDER))
    known = known_of(interactions, catalogue_of(interactions, None))
    return leave_one_out(known, validation_users=0)


def shuffled(requests: Requests, seed: int) -> Requests:
    """Return the requests with each user's history in random order."""
    chance = np.random.default_rng(seed).random(requests.histories.height)
    mixed = requests.histories.with_columns(pl.Series("chance", chance))
    return replace(requests, histories=mixed.sort(c.USER_ID, "chance").drop("chance"))


def ndcg(generator: Generator, split: Split) -> NDArray[np.float64]:
    """Return each asked user's NDCG@10."""
    protocol = split.protocols[0]
    rows = user_metrics(lists_of(generator, split, protocol), protocol.truth, split.warm)
    return rows.sort(c.USER_ID)[NDCG].to_numpy()


def loss(sequences: Sequences, seed: int) -> Loss:
    """Train, ask with true and with shuffled histories, and return what is lost."""
    split, told = split_of(sequences.pairs), options(sequences.epochs)
    model = SASRec.fit(split.known, told, Run(seed, threads=1))
    true = ndcg(model, split)
    mixed = [
        ndcg(model, replace(split, requests=shuffled(split.requests, seed + draw)))
        for draw in range(SHUFFLES)
    ]
    popular = ndcg(Popular.fit(split.known, told, Run(seed, threads=1)), split)
    return Loss(
        len(true), float(true.mean()), float(popular.mean()), lost(true, np.mean(mixed, axis=0))
    )


def lost(true: NDArray[np.float64], mixed: NDArray[np.float64]) -> Estimate:
    """Return the share of the mean that is lost, and its 95% interval over users."""
    chance, values = np.random.default_rng(0), np.stack([true, mixed], axis=1)
    drawn = [chance.integers(0, len(values), len(values)) for _ in range(RESAMPLES)]
    shares = [1 - part[1] / part[0] for part in (values[rows].mean(axis=0) for rows in drawn)]
    low, high = np.percentile(shares, (2.5, 97.5))
    return Estimate(1 - float(mixed.mean() / true.mean()), float(low), float(high))


def real_sequences(folder: Path) -> dict[str, Sequences]:
    """Return real sequences of about as many pairs as a simulated shop's month has, 40,000.

    A model learns more from more: a third of the films' users with their first ratings, and a fifth
    of the beauty shop's.
    """
    films = pl.read_parquet(folder / "ml1m" / "sequences.parquet")
    beauty = pl.read_parquet(folder / "s3rec" / "Beauty_sequences.parquet")
    some_films = films.filter((pl.col("sas_user") % 3 == 0) & (pl.col("pos") < FIRST_RATINGS))
    some_beauty = beauty.filter(pl.col("user") % 5 == 0)
    names = [c.USER_ID, c.ITEM_ID, ORDER]
    return {
        "ml1m": Sequences(_named(some_films, "sas_user", "sas_item", names), epochs=10),
        "s3rec": Sequences(_named(some_beauty, "user", "item", names), epochs=6),
    }


def _named(rows: pl.DataFrame, user: str, item: str, names: list[str]) -> pl.DataFrame:
    return rows.select(
        pl.col(old).alias(new) for old, new in zip((user, item, "pos"), names, strict=True)
    )


def shop_sequences(log: pl.DataFrame) -> Sequences:
    """Return what customers viewed, each item at its first view, in order."""
    views = log.filter(pl.col(c.EVENT_TYPE) == c.VIEW).sort(c.USER_ID, c.TS, c.EVENT_ID)
    once = views.unique([c.USER_ID, c.ITEM_ID], keep="first", maintain_order=True)
    order = pl.int_range(pl.len()).over(c.USER_ID).alias(ORDER)
    return Sequences(once.select(c.USER_ID, c.ITEM_ID, order), epochs=10)


def rows(folder: Path, logs: list[pl.DataFrame]) -> list[Row]:
    """Return the table's rows on shuffled histories and on popularity.

    Args:
        folder: of public data; needs `ml1m` and `s3rec`.
        logs: of simulated shops of different seeds.
    """
    real = {name: loss(sequences, seed=0) for name, sequences in real_sequences(folder).items()}
    simulated, told = [loss(shop_sequences(log), seed=0) for log in logs], tuple(real)
    return [
        _row(
            "NDCG@10 lost by shuffled histories",
            told,
            [each.lost for each in simulated],
            [each.lost for each in real.values()],
        ),
        _row(
            "NDCG@10 of popularity, over the model's",
            told,
            [each.popular_share for each in simulated],
            [each.popular_share for each in real.values()],
        ),
    ]


def _row(
    name: str, folders: tuple[str, ...], simulated: list[Estimate], real: list[Estimate]
) -> Row:
    values = [each.value for each in simulated]
    mean = Estimate(sum(values) / len(values), min(values), max(values))
    ends = min(each.low for each in real), max(each.high for each in real)
    return Row(name, PERCENT, folders, ends, mean)
