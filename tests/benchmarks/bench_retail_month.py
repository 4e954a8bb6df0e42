"""A real shop's later month: `make bench-retail-month`; a ranker that never saw it, frozen.

A gift shop's purchases (Online Retail, below VITRINA_REAL_DATA) are loaded from May to the end of
August 2011, and the chain runs that night as the newest one. September lands afterwards. The shop
logs no impression, so that a group is what the generators proposed to a customer who bought
something that day, and a label is an item bought. Features of a listing day are of the day before;
generators are fitted every Thursday before it. The night's model has learnt from listings up to
30 August and ranks all of September; `refitted` learns anew on each Wednesday night.

Told with 95% intervals over customers, the ranker's gains paired: NDCG@60 of groups with a
purchase; recall at 10 and 60 of everything that a buyer took that day, whether proposed or not,
buyers without candidates included, and how much of it the generators' whole lists hold. Settings
are those of `demo-online-retail`. --keep FOLDER keeps the lake and does not make again what is
there.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from pathlib import Path

import polars as pl
from catboost import CatBoost

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "plugins")]

from tasks import columns as c  # noqa: E402
from tasks.candidates import GENERATORS  # noqa: E402
from tasks.errors import QualityGateFailed  # noqa: E402
from tasks.lake.lake import Lake, Window  # noqa: E402
from tasks.lake.tables import EVENTS, GATE_DECISIONS  # noqa: E402
from tasks.landing.importers import load  # noqa: E402
from tasks.ranker import evaluation as ev  # noqa: E402
from tasks.ranker import model as ranker  # noqa: E402
from tasks.ranker.building import build  # noqa: E402
from tasks.ranker.measure import (  # noqa: E402
    intervals,
    ndcg_by_group,
    paired_gains,
    ranks,
)
from tasks.ranker.trial import fitted, trained_rows  # noqa: E402
from tasks.settings import Settings  # noqa: E402
from tasks.steps import CHAIN, run_dag  # noqa: E402
from tasks.training import WEEK  # noqa: E402
from tests.benchmarks.measure import Bench  # noqa: E402
from vitrina_airflow.history import load_history  # noqa: E402

SOURCE = "online_retail"
FIRST, NIGHT = date(2011, 5, 1), date(2011, 8, 31)
LAST = date(2011, 9, 30)
# The files end with September. The next day is a Saturday, on which this shop never sells.
CLOSING = LAST + timedelta(days=1)
TONIGHT = tuple(dag for dag in CHAIN if dag != "score_lookalikes")
EVERY_GROUP = 1_000_000
REFITTED, TOGETHER, BOUGHT = "refitted", "together", "bought"
MODELS = (ev.RANKER, REFITTED)
DEPTHS = (10, 60)
DRAWS = 1_000
Hits = Mapping[str, pl.Series]


def lived(files: Path, settings: Settings) -> None:
    """Land and derive everything up to the night, run its chain, then let September land."""
    if not Lake(settings).has_day(GATE_DECISIONS, NIGHT):
        load(SOURCE, files, settings, first=FIRST, last=NIGHT)
        load_history(FIRST, NIGHT - timedelta(days=1), settings.ranker.listing_days + 1, settings)
        tonight(settings)
    load(SOURCE, files, settings, first=FIRST, last=CLOSING)
    load_history(FIRST, CLOSING, (CLOSING - NIGHT).days, settings)


def tonight(settings: Settings) -> None:
    """Run the chain of the night, look-alikes left out; a refused model is an outcome."""
    for dag in TONIGHT:
        try:
            run_dag(dag, NIGHT, settings)
        except QualityGateFailed as refusal:
            logging.warning("%s: %s", NIGHT, refusal)


def weeks(first: date, last: date) -> Iterator[tuple[date, date]]:
    """Yield the first and last day of each seven days, the last ones fewer."""
    for start in range(0, (last - first).days + 1, WEEK):
        begun = first + timedelta(days=start)
        yield begun, min(begun + timedelta(days=WEEK - 1), last)


def groups_of(settings: Settings) -> pl.DataFrame:
    """Return RANKING_GROUPS rows of the month, whole, and of the days that its models learn from.

    What a listing day's rows are does not depend on the night that asks, so that one asking serves.
    """
    days = (LAST - NIGHT).days
    wanted = {
        "listing_days": days + 1 + settings.ranker.listing_days,
        "held_out_days": days,
        "measured_groups": EVERY_GROUP,
    }
    # Copied, since no nightly run may ask for so much.
    options = settings.ranker.model_copy(update=wanted)
    lake = Lake(settings.model_copy(update={"ranker": options}))
    with tempfile.TemporaryDirectory() as folder:
        return pl.concat(build(lake, CLOSING, Path(folder)).frames())


def learnt(groups: pl.DataFrame, night: date, days: int) -> pl.DataFrame:
    """Return the training rows of a night: listings up to the day before it, and `days` earlier."""
    newest = night - timedelta(days=1)
    span = pl.col(c.LISTING_DAY).is_between(newest - timedelta(days=days), newest)
    return trained_rows(groups).filter(span)


def scored(groups: pl.DataFrame, settings: Settings) -> pl.DataFrame:
    """Return the month's groups with all orders: the frozen model's and each week's own too."""
    months = groups.filter("is_measured", pl.col(c.LISTING_DAY) > NIGHT)
    lists, parts = ev.with_orders(ranker.in_order(months)), []
    models: dict[str, CatBoost] = {}
    for first, last in weeks(NIGHT + timedelta(days=1), LAST):
        rows = lists.filter(pl.col(c.LISTING_DAY).is_between(first, last))
        known = learnt(groups, first - timedelta(days=1), settings.ranker.listing_days)
        models[REFITTED] = fitted(known, settings)
        models.setdefault(ev.RANKER, models[REFITTED])
        scores = [ranker.score(models[name], rows, settings.threads).alias(name) for name in MODELS]
        parts.append(rows.with_columns(scores))
    return pl.concat(parts)


def purchases(first: date, last: date, settings: Settings) -> pl.DataFrame:
    """Return `group_id, user_id, bought`: how many items each buyer took on a day."""
    events = Lake(settings).read_window(EVENTS, last, Window((last - first).days + 1))
    taken = events.filter(pl.col(c.EVENT_TYPE) == c.ORDER).select(
        c.USER_ID, c.ITEM_ID, pl.col(c.TS).dt.date().alias(c.LISTING_DAY)
    )
    group = pl.format("{}:{}", c.USER_ID, c.LISTING_DAY).alias(c.GROUP_ID)
    found = taken.unique().group_by(c.USER_ID, c.LISTING_DAY).agg(pl.len().alias(BOUGHT))
    return found.select(group, c.USER_ID, BOUGHT).sort(c.GROUP_ID)


def recall_by_buyer(rows: pl.DataFrame, bought: pl.DataFrame, hits: Hits) -> pl.DataFrame:
    """Return `group_id, user_id` and, by name, the share of what was bought that is a hit.

    Args:
        rows: whole groups.
        bought: from `purchases`; a buyer without candidates found nothing.
        hits: by name, whether each of the rows counts.
    """
    labels = [(pl.col(c.LABEL) * there).alias(name) for name, there in hits.items()]
    counted = rows.select(c.GROUP_ID, *labels).group_by(c.GROUP_ID).agg(pl.col(*hits).sum())
    found = bought.join(counted, on=c.GROUP_ID, how="left").sort(c.GROUP_ID)
    shares = (pl.col(name).fill_null(0) / pl.col(BOUGHT) for name in hits)
    return found.select(c.GROUP_ID, c.USER_ID, *shares)


def note_counts(bench: Bench, rows: pl.DataFrame, bought: pl.DataFrame) -> None:
    """Record how much there was to judge, and what no order can find."""
    groups = rows.group_by(c.GROUP_ID).agg(pl.len(), pl.col(c.LABEL).sum()).sort(c.GROUP_ID)
    bench.note(
        buyers_and_days=bought.height,
        customers=bought[c.USER_ID].n_unique(),
        items_bought=int(bought[BOUGHT].sum()),
        groups=groups.height,
        rows=rows.height,
        share_without_candidates=round(1 - groups.height / bought.height, 4),
        share_of_groups_without_purchase=round(
            groups.filter(pl.col(c.LABEL) == 0).height / groups.height, 4
        ),
    )


def note(bench: Bench, rows: pl.DataFrame, bought: pl.DataFrame, cutoff: int) -> None:
    """Record every order's figures, and the ranker's paired gains over what it must beat."""
    known = ev.known_orders(rows)
    sources = [name for name in known if name in GENERATORS]
    measured = {f"ndcg@{cutoff}": ndcg_by_group(rows, [*MODELS, *known], cutoff)}
    for depth in DEPTHS:
        tops = {name: ranks(rows, name) <= depth for name in (*MODELS, *known)}
        measured[f"recall@{depth}"] = recall_by_buyer(rows, bought, tops)
    for metric, found in measured.items():
        values = intervals(found, [*MODELS, *known], DRAWS, seed=0)
        best = max(sources, key=lambda name: values[name].value)
        others = [best, ev.POPULARITY, ev.REPEATS, c.SF_POS, REFITTED]
        bench.intervals(metric, values)
        gains = paired_gains(found, ev.RANKER, others, DRAWS, seed=0)
        bench.intervals(f"{metric}/{ev.RANKER}_over", gains, "+.4f")
    note_proposed(bench, rows, bought, sources)


def note_proposed(
    bench: Bench, rows: pl.DataFrame, bought: pl.DataFrame, sources: list[str]
) -> None:
    """Record recall of each generator's whole list and of the whole group: no order finds more."""
    there = {name: rows[name].is_not_null() for name in sources}
    there[TOGETHER] = pl.Series([True]).new_from_index(0, rows.height)
    found = recall_by_buyer(rows, bought, there)
    bench.intervals("recall of whole lists", intervals(found, list(there), DRAWS, seed=0))


def decision(settings: Settings) -> str:
    """Return what the gate said of the night's model."""
    rows = Lake(settings).read_day(GATE_DECISIONS, NIGHT).sort("decided_at")
    told = rows.row(-1, named=True)
    return f"{told['decision']}: {told[c.REASON]}"


def judged(bench: Bench, files: Path, home: Path) -> None:
    """Record everything, of a shop that lives below `home`."""
    settings = Settings(home=home, mlflow_url="")
    with bench.timed("chain"):
        lived(files, settings)
    bench.note(gate=decision(settings))
    with bench.timed("judged"):
        rows = scored(groups_of(settings), settings)
        bought = purchases(NIGHT + timedelta(days=1), LAST, settings)
        note_counts(bench, rows, bought)
        note(bench, rows, bought, settings.ranker.cutoff)


def main() -> None:
    """Print the later month's figures."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", stream=sys.stderr)
    data, bench, parser = Settings().real_data, Bench("retail-month"), argparse.ArgumentParser()
    parser.add_argument("--keep", type=Path, help="folder of the lake; what is there is not redone")
    keep = parser.parse_args().keep
    if data is None or not (data / SOURCE).is_dir():
        bench.note(skipped=f"VITRINA_REAL_DATA names no folder with {SOURCE}")
        return bench.finish()
    with tempfile.TemporaryDirectory() as folder:
        judged(bench, data / SOURCE, keep or Path(folder))
    return bench.finish()


if __name__ == "__main__":
    main()
