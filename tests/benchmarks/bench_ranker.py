"""How near the ranker comes to the truth: `make bench-ranker`; reach: 0.8 of the way to a ceiling.

For each of --seeds (never used in development) and --worlds a shop of 30 days is simulated with the
truth of every listing, and its history is loaded. Three families are judged by E-NDCG@60 on the
same rows, the whole held-out lists (see `truth.py`), of all customers, of warm and of cold ones
(nothing known of them): the ranker (boosted trees) and a linear scorer (conditional logit within
the list) fitted to the same training rows and features, and a sequence model (SASRec) fitted to the
events known the day before; to cold customers it says nothing, so that their order is random.
share = (ranker - sf_pos) / (ceiling - sf_pos), the mean of the shops, each, and of all lists
together, where the ceiling is surely above `sf_pos`; `converged` is the ceiling with `TREES` trees;
`to truth` the share of the way to the true order itself, whose E-NDCG is 1. OPTIONS="--seeds 31"
for a quick look.
"""

from __future__ import annotations

import logging
import sys
import tempfile
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "plugins")]

from tasks import columns as c  # noqa: E402
from tasks.candidates.fitting import fitted as generator_fitted  # noqa: E402
from tasks.candidates.interactions import known_on, requests_of  # noqa: E402
from tasks.facets.design import Array, Design  # noqa: E402
from tasks.facets.likelihood import penalised_fit, within_listing  # noqa: E402
from tasks.lake.lake import Lake  # noqa: E402
from tasks.ranker import evaluation as ev  # noqa: E402
from tasks.ranker import model as ranker  # noqa: E402
from tasks.ranker.features import NUMBERS  # noqa: E402
from tasks.ranker.groups import held_out_days  # noqa: E402
from tasks.ranker.measure import intervals, ndcg_by_group, paired_gains  # noqa: E402
from tasks.ranker.trial import fitted, trained_rows  # noqa: E402
from tasks.settings import Settings  # noqa: E402
from tasks.simulator.parameters import world_named  # noqa: E402
from tests.benchmarks.measure import Bench, asked  # noqa: E402
from tests.benchmarks.truth import GAIN, LAST_DAY, ceiling, groups_with_truth  # noqa: E402

CEILING, CONVERGED, LINEAR, SEQUENCE = "ceiling", "converged", "linear", "sequence"
ORDERS = (
    ev.RANKER, CEILING, CONVERGED, LINEAR, SEQUENCE, c.SF_POS, ev.POPULARITY, ev.LOGGED, ev.RANDOM,
)  # fmt: skip
TREES = 1_000
SEED = "seed"
RIDGE = 10.0
LEAST_SPREAD = 1e-9
DRAWS = 1_000


def judged(groups: pl.DataFrame, settings: Settings) -> pl.DataFrame:
    """Return each held-out list's E-NDCG@60 by order, and whether its customer is warm."""
    days = held_out_days(groups, settings.ranker)[:1]
    rows = trained_rows(groups, days[0])
    lists = ev.with_orders(ev.held_out(groups, days))
    trees = {
        ev.RANKER: fitted(rows, settings),
        CEILING: ceiling(rows, settings),
        CONVERGED: ceiling(rows, settings, TREES),
    }
    scores = [
        ranker.score(model, lists, settings.threads).alias(name) for name, model in trees.items()
    ]
    scores += [linear_scores(rows, lists), sequence_scores(lists, days[0], settings)]
    found = ndcg_by_group(lists.with_columns(scores), ORDERS, settings.ranker.cutoff, GAIN)
    warm = lists.select(c.GROUP_ID, ev.WARM).unique()
    return found.join(warm, on=c.GROUP_ID, how="left", maintain_order="left")


def linear_scores(rows: pl.DataFrame, lists: pl.DataFrame) -> pl.Series:
    """Return x b of a conditional logit of the cart within the list, position as offset."""
    rows = ranker.in_order(rows)
    x, scales = standardised(rows)
    listing = rows[c.GROUP_ID].rle_id().cast(pl.Int64).to_numpy()
    label, offset = rows[c.LABEL].cast(pl.Float64), rows["log_examination"]
    design = Design(
        names=(),
        x=x,
        y=label.to_numpy(),
        offset=offset.to_numpy(),
        listing=listing,
        item=listing,
        block=listing,
        users=rows[c.USER_ID].n_unique(),
    )
    coefficients = penalised_fit(within_listing, design, np.full(x.shape[1], RIDGE))
    return pl.Series(LINEAR, standardised(lists, scales)[0] @ coefficients)


def standardised(
    rows: pl.DataFrame, scales: tuple[Array, Array] | None = None
) -> tuple[Array, tuple[Array, Array]]:
    """Return the numeric features, logs of counts, absent ones as usual ones and a flag."""
    numbers = pl.col(NUMBERS).cast(pl.Float64).fill_nan(None)
    logs = rows.select(numbers.sign() * numbers.abs().log1p())
    if scales is None:
        # A feature that no row has is 0 with spread 1: its column says nothing.
        mean, spread = (
            frame.fill_null(0.0).to_numpy()[0] for frame in (logs.mean(), logs.std(ddof=0))
        )
        scales = mean, np.where(spread > LEAST_SPREAD, spread, 1.0)
    mean, spread = scales
    values = (logs.to_numpy() - mean) / spread
    return np.hstack([np.nan_to_num(values), np.isnan(values).astype(np.float64)]), scales


def sequence_scores(lists: pl.DataFrame, day: date, settings: Settings) -> pl.Series:
    """Return SASRec's score of each row, fitted on what was known the day before `day`."""
    known = known_on(Lake(settings), day - timedelta(days=1), settings.candidates)
    model = generator_fitted("sasrec", known, settings)
    requests = requests_of(known, lists[c.USER_ID])
    scores = model.scores(requests)
    rows = pl.DataFrame(
        {
            c.USER_ID: requests.users[c.USER_ID].gather(
                np.repeat(np.arange(len(scores)), scores.shape[1])
            ),
            c.ITEM_ID: pl.concat([model.item_ids] * len(scores)),
            SEQUENCE: np.where(np.isfinite(scores), scores, np.nan).ravel(),
        }
    )
    return lists.join(rows, on=[c.USER_ID, c.ITEM_ID], how="left", maintain_order="left")[SEQUENCE]


def note(bench: Bench, world: str, lists: pl.DataFrame) -> None:
    """Record a world's figures of all lists, of warm and of cold customers."""
    parts = {"all": lists, "warm": lists.filter(ev.WARM), "cold": lists.filter(~pl.col(ev.WARM))}
    for name, part in parts.items():
        bench.note(**{f"{world}/{name}/lists": part.height})
        if part.height:
            note_part(bench, f"{world}/{name}", part)


def note_part(bench: Bench, name: str, lists: pl.DataFrame) -> None:
    """Record the orders with intervals, and the ranker's share of the way to the ceiling."""
    bench.intervals(name, intervals(lists, ORDERS, DRAWS, seed=0))
    for better, others in ((ev.RANKER, [c.SF_POS, LINEAR, SEQUENCE]), (c.SF_POS, [ev.POPULARITY])):
        gains = paired_gains(lists, better, others, DRAWS, seed=0)
        bench.intervals(f"{name}/{better}_over", gains, "+.4f")
    for top in (CEILING, CONVERGED):
        note_share(bench, f"{name}/share of {top}", lists, top)
    base, reached = (float(lists[order].to_numpy().mean()) for order in (c.SF_POS, ev.RANKER))
    bench.note(**{f"{name}/share to truth": round((reached - base) / (1 - base), 3)})


def note_share(bench: Bench, name: str, lists: pl.DataFrame, top: str) -> None:
    """Record the ranker's share of the way from `sf_pos` to `top`: of all lists, of each shop."""
    way = paired_gains(lists, top, [c.SF_POS], DRAWS, seed=0)[c.SF_POS]
    if way.low <= 0:
        return bench.note(**{name: "the way is not surely above 0"})
    share = (pl.col(ev.RANKER).mean() - pl.col(c.SF_POS).mean()) / (
        pl.col(top).mean() - pl.col(c.SF_POS).mean()
    )
    shops = lists.group_by(SEED, maintain_order=True).agg(share.round(3))[ev.RANKER].to_list()
    mean = sum(shops) / len(shops)
    whole = f"of all lists {lists.select(share).item():.3f}"
    return bench.note(**{name: f"mean of shops {mean:.3f}: {' '.join(map(str, shops))}; {whole}"})


def main() -> None:
    """Print E-NDCG@60 over all seeds for each world."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", stream=sys.stderr)
    wanted, bench = asked(seeds="48,49,50,54,63", worlds="default,rough"), Bench("ranker")
    bench.note(last_day=str(LAST_DAY), seeds=str(wanted.seeds))
    for world in wanted.worlds:
        found = []
        bench.world(world_named(world))
        for seed in wanted.seeds:
            with tempfile.TemporaryDirectory() as folder, bench.timed(f"{world}/{seed}"):
                settings = Settings(home=Path(folder), mlflow_url="")
                lists = judged(groups_with_truth(settings, world, seed), settings)
            whose = pl.format(f"{seed}/{{}}", c.USER_ID).alias(c.USER_ID)
            found.append(lists.with_columns(whose, pl.lit(seed).alias(SEED)))
        note(bench, world, pl.concat(found))
    bench.finish()


if __name__ == "__main__":
    main()
