"""Whether facet weights find what counts: `make bench-facets`; reach: Spearman 0.9 and 0.8.

For each of --seeds and --worlds a shop of `CUSTOMERS` lives 30 days, and the weights of its last
day are fitted as the chain does, on the last `fit_days` listing days, by both methods, twice: on
estimated preferences, and with true tastes plugged in for every attribute that has any.

true importance   within-listing SD of the attribute's term in the true log-odds (facet_truth.py)
found             coefficient x within-listing SD of its column
Spearman          over the attributes above 10% of the group's largest true importance, once over
                  all groups (`all`) and as the mean over groups (`in group`)
covers 0          share of 95% intervals of signed coefficients that hold 0, over attributes that
                  do not count; proxies of what counts apart: |r| >= `PROXY` within listing between
                  their column and the sum of true terms, and `season`, whose effect is the item's
reliability       squared within-listing correlation of a preference with its true taste
steadiness        Spearman of the published weights of the last two days

A real shop's conversion leaves 6,000 customers some 3,000 first carts to learn from in two weeks.
"""

from __future__ import annotations

import logging
import sys
import tempfile
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "plugins")]

from tasks import columns as c  # noqa: E402
from tasks.facets.design import around_listing, design_of  # noqa: E402
from tasks.facets.identified import CONSTANT, spread_of  # noqa: E402
from tasks.facets.stability import steadiness  # noqa: E402
from tasks.facets.weights import choice_rows, facet_weights  # noqa: E402
from tasks.seeds import seed_of  # noqa: E402
from tasks.settings import Settings  # noqa: E402
from tasks.simulator.attributes import SEASON  # noqa: E402
from tasks.simulator.measures import wilson  # noqa: E402
from tasks.simulator.parameters import world_named  # noqa: E402
from tests.benchmarks.facet_truth import (  # noqa: E402
    LAST_DAY,
    TASTE,
    TERM,
    Fitting,
    fitting,
    lived_and_known,
)
from tests.benchmarks.measure import Bench, asked  # noqa: E402
from tests.benchmarks.pictures import beside_truth  # noqa: E402

CUSTOMERS, ITEMS = 6_000, 1_500
COUNTS_FROM = 0.1
PROXY = 0.1
PICO = 1e-12
ESTIMATED, PLUGGED = "estimated", "true"
PAIR = [c.CATEGORY_GROUP, c.ATTRIBUTE]
FACET = ["seed", "tastes", "method", *PAIR]


def found(shop: Fitting, tastes: str, settings: Settings) -> pl.DataFrame:
    """Return the weights on one kind of tastes, with the truth beside each."""
    features = shop.features if tastes == ESTIMATED else plugged(shop)
    seed = seed_of(settings, "facet_weights")
    weights = facet_weights(shop.rows, features, shop.attributes, settings.facets, "listings", seed)
    beside = within_listing(shop, features)
    scale = [(pl.col(name) * pl.col("within")).alias(f"found_{name}") for name in ESTIMATES]
    return (
        weights.join(beside, on=PAIR, how="left")
        .with_columns(*scale, pl.lit(tastes).alias("tastes"))
        .select(*FACET[1:], "published", c.WEIGHT, "true", "reliability", "r_truth", *FOUND)
    )


ESTIMATES = ("coefficient", c.LOW, c.HIGH)
FOUND = tuple(f"found_{name}" for name in ESTIMATES)


def plugged(shop: Fitting) -> pl.DataFrame:
    """Return the features with true tastes in place of preferences, where there are tastes."""
    names = [name for name in shop.terms.columns if name.startswith(TASTE)]
    tastes = shop.terms.select("row_id", *(pl.col(n).alias(n[len(TASTE) :]) for n in names))
    cells = tastes.unpivot(index="row_id", variable_name=c.ATTRIBUTE, value_name="taste")
    picos = (pl.col("taste").cast(pl.Float64) / PICO).cast(pl.Int64).alias("picos")
    known = [name[len(TASTE) :] for name in names]
    return pl.concat(
        [
            shop.features.filter(~pl.col(c.ATTRIBUTE).is_in(known)),
            cells.filter(pl.col("taste") != 0).select("row_id", c.ATTRIBUTE, picos),
        ]
    )


def within_listing(shop: Fitting, features: pl.DataFrame) -> pl.DataFrame:
    """Return per group and attribute, within the listings of a choice: see the module.

    `within` is the SD of its column, `true` that of its term, `reliability` and `r_truth` what its
    column has of its true taste and of the sum of all true terms.
    """
    rows = choice_rows(shop.rows.filter(pl.col(c.SF_POS).is_not_null()))
    return pl.concat(
        _group_within(group.sort("row_id"), str(name), shop, features)
        for (name,), group in rows.group_by(c.CATEGORY_GROUP, maintain_order=True)
    )


def _group_within(
    rows: pl.DataFrame, group: str, shop: Fitting, features: pl.DataFrame
) -> pl.DataFrame:
    design = design_of(rows, features, with_score=False)
    truth = rows.select("row_id").join(shop.terms, on="row_id", maintain_order="left")
    columns = [name for name in truth.columns if name != "row_id"]
    true = design_of(rows, _cells(truth, columns), with_score=False)
    seen, wanted = around_listing(design), around_listing(true)
    terms = [place for place, name in enumerate(true.names) if name.startswith(TERM)]
    sums = wanted[:, terms].sum(axis=1)
    sd = dict(zip(true.names, spread_of(wanted).tolist(), strict=True))
    taste = {name: wanted[:, place] for place, name in enumerate(true.names)}
    nothing = np.zeros(len(sums))
    return pl.DataFrame(
        {
            c.CATEGORY_GROUP: group,
            c.ATTRIBUTE: design.names,
            "within": spread_of(seen),
            "true": [sd.get(TERM + name, 0.0) for name in design.names],
            "reliability": [
                _correlation(seen[:, place], taste.get(TASTE + name, nothing)) ** 2
                for place, name in enumerate(design.names)
            ],
            "r_truth": [_correlation(column, sums) for column in seen.T],
        }
    )


def _cells(truth: pl.DataFrame, columns: list[str]) -> pl.DataFrame:
    cells = truth.unpivot(columns, index="row_id", variable_name=c.ATTRIBUTE, value_name="value")
    picos = (pl.col("value").cast(pl.Float64).fill_null(0.0) / PICO).cast(pl.Int64).alias("picos")
    return cells.select("row_id", c.ATTRIBUTE, picos)


def _correlation(one: np.ndarray, two: np.ndarray) -> float:
    size = float(np.sqrt((one**2).sum() * (two**2).sum()))
    return float((one * two).sum()) / size if size > CONSTANT else 0.0


def spearman(rows: pl.DataFrame, one: str = "true", two: str = "found_coefficient") -> float | None:
    """Return the rank correlation of two columns; None for fewer than three rows."""
    value: float | None = rows.select(pl.corr(one, two, method="spearman")).item()
    return value if rows.height > 2 else None


def counting(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the attributes that count: above 10% of their group's largest true importance.

    One that the method could not estimate is found to count nothing.
    """
    largest = pl.col("true").max().over("seed", "tastes", "method", c.CATEGORY_GROUP)
    rows = rows.with_columns(pl.col("found_coefficient").is_not_null().alias("is_estimated"))
    counted = rows.filter(pl.col("true") > COUNTS_FROM * largest)
    return counted.with_columns(pl.col("found_coefficient").fill_null(0.0))


def note(bench: Bench, world: str, rows: pl.DataFrame) -> None:
    """Record a world's figures over all seeds."""
    for (tastes, method), mine in rows.group_by("tastes", "method", maintain_order=True):
        name = f"{world}/{tastes}/{method}"
        known = counting(mine)
        told = f"{known['is_estimated'].sum()} of {known.height} estimated"
        bench.note(**{f"{name}/spearman": f"{_spearmans(known)}, {told}"})
        silent = mine.filter(pl.col("true").fill_null(0.0) == 0, pl.col(FOUND[0]).is_not_null())
        proxy = (pl.col("r_truth").abs() >= PROXY) | (pl.col(c.ATTRIBUTE) == SEASON)
        for kind, part in (("none", silent.filter(~proxy)), ("proxy", silent.filter(proxy))):
            bench.note(**{f"{name}/covers_0/{kind}": _coverage(part)})


def _spearmans(rows: pl.DataFrame) -> str:
    """Return the mean over seeds, and each seed's, over all groups and within them."""
    seeds = [part for _, part in rows.group_by("seed", maintain_order=True)]
    overall = [spearman(part) or 0.0 for part in seeds]
    inside = [
        np.mean([value for _, group in part.group_by(c.CATEGORY_GROUP)
                 if (value := spearman(group)) is not None])
        for part in seeds
    ]  # fmt: skip
    each = " ".join(f"{value:.3f}" for value in overall)
    return f"all {np.mean(overall):.3f} ({each}), in group {np.mean(inside):.3f}"


def _coverage(rows: pl.DataFrame) -> str:
    if rows.is_empty():
        return "no trial"
    low, high = rows["found_low"], rows["found_high"]
    above, below = int((low > 0).sum()), int((high < 0).sum())
    covers = wilson(rows.height - above - below, rows.height)
    told = f"{covers.value:.3f} [{covers.low:.3f}, {covers.high:.3f}] of {rows.height}"
    return f"{told}, {above} above, {below} below"


def note_reliability(bench: Bench, world: str, rows: pl.DataFrame) -> None:
    """Record each attribute's reliability over seeds and groups, most reliable first."""
    known = counting(rows.filter(pl.col("tastes") == ESTIMATED, pl.col("method") == "logistic"))
    mean = known.group_by(c.ATTRIBUTE).agg(pl.col("reliability").mean())
    declared = world_named(world).attributes
    counted = {entry.name: len(entry.values) or entry.counted * ITEMS for entry in declared}
    for name, value in mean.sort("reliability", descending=True).iter_rows():
        bench.note(**{f"{world}/reliability/{name}": f"{value:.3f}, {counted[name]:.0f} values"})


def judged(bench: Bench, world: str, seed: int, settings: Settings) -> pl.DataFrame:
    """Return the weights of one shop with the truth beside them."""
    shown = lived_and_known(settings, world, seed, CUSTOMERS, ITEMS)
    days = [LAST_DAY - timedelta(days=1), LAST_DAY]
    shops = [fitting(settings, day, shown) for day in days]
    tables = [found(shop, ESTIMATED, settings) for shop in shops]
    for method, value in steadiness(*tables).items():
        bench.note(**{f"{world}/{seed}/{method}/steadiness": round(value, 3)})
    carts, chosen = (
        rows["is_carted"].sum() for rows in (shops[1].rows, choice_rows(shops[1].rows))
    )
    bench.note(**{f"{world}/{seed}/carts": f"{carts}, {chosen} of choices"})
    both = pl.concat([tables[1], found(shops[1], PLUGGED, settings)])
    return both.with_columns(pl.lit(seed).alias("seed"))


def main() -> None:
    """Print what both methods find in each world, and draw it beside the truth."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", stream=sys.stderr)
    wanted, bench = asked(seeds="31,32,33,34,35", worlds="default,rough"), Bench("facets")
    bench.note(seeds=str(wanted.seeds), customers=CUSTOMERS, items=ITEMS)
    for world in wanted.worlds:
        bench.world(world_named(world))
        parts = []
        for seed in wanted.seeds:
            with tempfile.TemporaryDirectory() as folder, bench.timed(f"{world}/{seed}"):
                settings = Settings(home=Path(folder), mlflow_url="")
                parts.append(judged(bench, world, seed, settings))
        rows = pl.concat(parts)
        note(bench, world, rows)
        note_reliability(bench, world, rows)
        bench.note(**{f"{world}/picture": str(beside_truth(world, counting(rows)))})
    bench.finish()


if __name__ == "__main__":
    main()
