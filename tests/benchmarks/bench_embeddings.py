"""What embeddings tell of customers, and what their index finds: `make bench-embeddings`.

Simulated shops (SEEDS by --seeds, both worlds): CatBoost of what each customer turns to in the 14
days after, category group and price tier, from the embeddings of LightFM and SASRec as the nightly
chain trains them, from plain counters, and from the true tastes. Figures are means over values and
shops, of all customers and of the busy ones, intervals over customers. `way` is how much of the
way that true tastes allow each goes, reach 0.95:

(mean AUC - 0.5) / (mean AUC of true tastes - 0.5)

MovieLens-1M of VITRINA_REAL_DATA (left out without it): gender and age band, which the file
declares, from embeddings of whole sequences, beside counts of genres. Trained there for minutes,
not hours (`ML1M_SASREC`, `ML1M_LIGHTFM`).

Of every generator's items, the index against exact lists: recall, seconds, microseconds a list.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT)]

from tasks import columns as c  # noqa: E402
from tasks.candidates.fitting import embeddings, fitted  # noqa: E402
from tasks.candidates.generator import Known, Requests  # noqa: E402
from tasks.candidates.interactions import active, requests_of  # noqa: E402
from tasks.candidates.nearest import measured  # noqa: E402
from tasks.candidates.outside import (  # noqa: E402
    Naming,
    catalogue_of,
    interactions_of,
    known_of,
    read_table,
)
from tasks.candidates.preference import (  # noqa: E402
    ASKED,
    METRICS,
    Floats64,
    Numbers,
    common,
    counters,
    foretold,
    labels,
    resampled,
    tiered,
)
from tasks.candidates.similar import as_matrix  # noqa: E402
from tasks.ranker.measure import Interval  # noqa: E402
from tasks.settings import Settings  # noqa: E402
from tasks.simulator.parameters import world_named  # noqa: E402
from tests.benchmarks.embedding_truth import MADE, Lived, lived  # noqa: E402
from tests.benchmarks.measure import Bench, asked  # noqa: E402

GENERATORS = ("lightfm", "sasrec")
SIDES = (*GENERATORS, "counters", "tastes")
BOOTSTRAPS = 200
BUSY = 30
"""Customers with so many interactions before are told of apart: is history what is lacking?"""
ML1M = Path("ml1m")
ML1M_SASREC = {"width": 32, "length": 50, "horizon": 1, "epochs": 1, "batch": 64}
ML1M_LIGHTFM = {"epochs": 2}
WAYS = "way"


def vectors_of(
    known: Known, requests: Requests, settings: Settings, bench: Bench, prefix: str
) -> dict[str, pl.DataFrame]:
    """Return `user_id, embedding` by generator; record what each generator's index is worth."""
    found = {}
    for name in GENERATORS:
        with bench.timed(f"{prefix}/{name}_fit"):
            generator = fitted(name, known, settings)
        items = embeddings(generator.item_ids, generator.item_vectors())
        users = embeddings(requests.users[c.USER_ID], generator.user_vectors(requests))
        _, figures = measured(items, users, settings.seed)
        told = {f"{prefix}/{name}_index_{what}": round(at, 4) for what, at in figures.items()}
        bench.note(**told, **{f"{prefix}/{name}_items": items.height})
        found[name] = users
    return found


def drawn_of(
    sides: Mapping[str, Numbers], preferred: pl.Series, busy: NDArray[np.bool_], seed: int
) -> dict[str, Floats64]:
    """Return (1 + BOOTSTRAPS, sides, METRICS) of all and of the busy, means over common values."""
    values, truth = common(preferred)
    told = np.stack([foretold(rows, truth, seed) for rows in sides.values()])
    people = {"all": np.ones(len(truth), dtype=np.bool_), "busy": busy}
    return {
        name: resampled(told[:, who], truth[who], BOOTSTRAPS, seed)[:, :, : len(values)].mean(
            axis=2
        )
        for name, who in people.items()
    }


def interval(drawn: Floats64) -> Interval:
    """Return the first number, that of all customers, with the 95% interval of the others."""
    low, high = np.percentile(drawn[1:], (2.5, 97.5))
    return Interval(float(drawn[0]), float(low), float(high))


def note(bench: Bench, prefix: str, drawn: Floats64, sides: tuple[str, ...]) -> None:
    """Record each metric by side, and the way of those that stand beside true tastes."""
    for place, metric in enumerate(METRICS):
        found = {name: interval(drawn[:, side, place]) for side, name in enumerate(sides)}
        bench.intervals(f"{prefix}/{metric}", found, ".3f")
    above = drawn[:, :, METRICS.index("auc")] - 0.5
    if sides == SIDES:
        ways = {name: interval(above[:, side] / above[:, -1]) for side, name in enumerate(SIDES)}
        bench.intervals(f"{prefix}/{WAYS}", {name: ways[name] for name in SIDES[:-1]}, ".3f")
    gains = {name: interval(above[:, side] - above[:, 2]) for side, name in enumerate(GENERATORS)}
    bench.intervals(f"{prefix}/auc_above_counters", gains, ".3f")


def told_of(
    shop: Lived, vectors: Mapping[str, pl.DataFrame], column: str, seed: int
) -> tuple[int, dict[str, Floats64]]:
    """Return how many customers there are to tell of, and what `SIDES` tell of all and the busy."""
    items = tiered(shop.known.items)
    people = labels(shop.interactions, items, MADE, column).sort(c.USER_ID)
    for users in (*vectors.values(), shop.tastes):
        people = people.join(users, on=c.USER_ID, how="semi", maintain_order="left")
    ids = people.select(c.USER_ID)

    def of(users: pl.DataFrame) -> pl.DataFrame:
        return ids.join(users, on=c.USER_ID, maintain_order="left")

    counted = counters(shop.known.interactions, items, people[c.USER_ID]).to_numpy()
    sides: dict[str, Numbers] = {name: as_matrix(of(users)) for name, users in vectors.items()}
    sides |= {"counters": counted, "tastes": of(shop.tastes).drop(c.USER_ID).to_numpy()}
    acts = of(shop.known.interactions.group_by(c.USER_ID).len())["len"].to_numpy()
    return people.height, drawn_of(sides, people[column], acts >= BUSY, seed)


def in_world(world: str, seeds: list[int], bench: Bench) -> None:
    """Record the means over shops of a world."""
    drawn: dict[str, list[Floats64]] = {}
    for seed in seeds:
        with TemporaryDirectory() as folder:
            settings = Settings(home=Path(folder), mlflow_url="", threads=1, seed=seed)
            shop = lived(settings, world, seed)
            requests = active(shop.known, settings.candidates.active_days)
            vectors = vectors_of(shop.known, requests, settings, bench, f"{world}/{seed}")
        for column in ASKED:
            people, told = told_of(shop, vectors, column, seed)
            bench.note(**{f"{world}/{seed}/{column}_customers": people})
            for who, figures in told.items():
                drawn.setdefault(f"{column}/{who}", []).append(figures)
    for name, shops in drawn.items():
        note(bench, f"{world}/{name}", np.mean(shops, axis=0), SIDES)


def genres(known: Known, movies: pl.DataFrame, users: pl.Series) -> Numbers:
    """Return how many films of each genre each user rated."""
    of = movies.select(
        pl.col("movie_id").cast(pl.String).alias(c.ITEM_ID), pl.col("genres").str.split("|")
    ).explode("genres")
    counts = known.interactions.join(of, on=c.ITEM_ID).group_by(c.USER_ID, "genres").len()
    wide = counts.sort(c.USER_ID, "genres").pivot("genres", index=c.USER_ID, values="len")
    asked_of = pl.DataFrame({c.USER_ID: users})
    found = asked_of.join(wide, on=c.USER_ID, how="left", maintain_order="left").fill_null(0)
    return found.select(sorted(found.drop(c.USER_ID).columns)).to_numpy()


def of_films(folder: Path, bench: Bench) -> None:
    """Record what sequences of films tell of gender and age band."""
    settings = Settings(mlflow_url="", threads=1)
    options = settings.candidates
    short = {
        "sasrec": options.sasrec.model_copy(update=ML1M_SASREC),
        "lightfm": options.lightfm.model_copy(update=ML1M_LIGHTFM),
    }
    settings = settings.model_copy(update={"candidates": options.model_copy(update=short)})
    table = read_table(folder / "sequences.parquet")
    acts = interactions_of(table, Naming(item="movie_id", order="pos"))
    known = known_of(acts, catalogue_of(acts, None))
    requests = requests_of(known, known.users[c.USER_ID])
    vectors = vectors_of(known, requests, settings, bench, "ml1m")
    ids = requests.users.select(c.USER_ID)
    people = pl.read_parquet(folder / "users.parquet").with_columns(
        pl.col(c.USER_ID, "age").cast(pl.String)
    )
    told = ids.join(people, on=c.USER_ID, maintain_order="left")
    sides: dict[str, Numbers] = {name: as_matrix(users) for name, users in vectors.items()}
    sides["counters"] = genres(known, pl.read_parquet(folder / "movies.parquet"), ids[c.USER_ID])
    bench.note(**{"ml1m/users": ids.height})
    for column in (c.GENDER, "age"):
        busy = np.ones(ids.height, dtype=np.bool_)
        drawn = drawn_of(sides, told[column], busy, settings.seed)["all"]
        note(bench, f"ml1m/{column}", drawn, SIDES[:3])


def main() -> None:
    """Print what embeddings tell, by world and of MovieLens-1M."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", stream=sys.stderr)
    given, bench = asked("55,56", "default,rough"), Bench("embeddings")
    for world in given.worlds:
        bench.world(world_named(world))
        with bench.timed(world):
            in_world(world, given.seeds, bench)
    data = Settings().real_data
    if data is None or not (data / ML1M).is_dir():
        bench.note(**{"ml1m/skipped": f"VITRINA_REAL_DATA names no folder with {ML1M}"})
        return bench.finish()
    with bench.timed("ml1m"):
        of_films(data / ML1M, bench)
    return bench.finish()


if __name__ == "__main__":
    main()
