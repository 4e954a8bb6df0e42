"""`judge-features`: what features of the ranker bring among customers of equal activity."""

from __future__ import annotations

import argparse

import polars as pl

from tasks import tracking
from tasks.arguments import a_day, whole_number
from tasks.lake.lake import Lake
from tasks.lake.tables import RANKING_GROUPS
from tasks.ranker.judgement import (
    HARMS,
    HELPS,
    MARKS,
    STRATUM,
    UNSURE,
    Judged,
    Judgement,
    bounds,
    judged,
    sets_of,
)
from tasks.settings import Settings

FEWEST_FITS, MOST_FITS = 2, 20
SENTENCES = {
    HELPS: "It helps, among customers of equal activity and spend too.",
    MARKS: "It only marks the active: told activity and spend, the ranker has no sure gain of it.",
    HARMS: "It harms: the ranker is surely better without it.",
    UNSURE: "Not sure: these lists do not tell whether it helps.",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the day, the features and how often to fit."""
    parser.add_argument("--day", type=a_day, required=True, help="YYYY-MM-DD, of ranking_groups")
    parser.add_argument(
        "--features", help="one or more, by commas, judged together; default: family by family"
    )
    parser.add_argument(
        "--fits",
        type=whole_number(FEWEST_FITS, MOST_FITS, "fits"),
        default=5,
        help="models of each kind, whose luck the mean evens out",
    )


def run(args: argparse.Namespace, settings: Settings) -> None:
    """Print what each set of features brings, and what to make of it."""
    sets = sets_of(args.features)
    groups = Lake(settings).scan_day(RANKING_GROUPS, args.day)
    title, tags = f"judge-features {args.day}", {"day": str(args.day)}
    with tracking.task_run(settings, "judge_features", title, tags):
        tracking.params({"features": "; ".join(sets), "fits": args.fits})
        found = judged(groups, sets, settings, args.fits)
        tracking.text("judgements.csv", table(found).write_csv())
        tracking.text("strata.csv", strata_table(found).write_csv())
        tracking.text("words.txt", "\n".join(words(found, settings.ranker.cutoff)))
    print("\n".join(words(found, settings.ranker.cutoff)))


def words(found: Judged, cutoff: int) -> list[str]:
    """Return the judgements for a person; of a single one its strata as well."""
    head = (
        f"Judged on the lists of {found.day} of {found.customers} customers with a cart;"
        f" gains in NDCG@{cutoff} over the ranker without."
    )
    shown = table(found).select(
        "judged", _shown("gain"), _shown("among equals"), "strata above 0", "verdict"
    )
    if len(found.judgements) > 1:
        return [head, _text(shown)]
    (one,) = found.judgements
    strata = one.strata.select(STRATUM, "customers", "lists", _shown("gain"))
    return [head, _text(shown), _text(strata), SENTENCES[one.verdict]]


def table(found: Judged) -> pl.DataFrame:
    """Return a row per judgement: gains with intervals, strata above 0, the verdict."""
    return pl.DataFrame([_row(one) for one in found.judgements])


def strata_table(found: Judged) -> pl.DataFrame:
    """Return a row per judgement and stratum."""
    parts = [one.strata.select(pl.lit(one.name).alias("judged"), "*") for one in found.judgements]
    return pl.concat(parts)


def _row(one: Judgement) -> dict[str, object]:
    above = one.strata.filter(pl.col("gain") > 0).height
    return {
        "judged": one.name,
        **bounds("gain", one.gain),
        **bounds("among equals", one.equals),
        **bounds("lost", one.lost),
        "strata above 0": f"{above} of {one.strata.height}",
        "verdict": one.verdict,
    }


def _shown(name: str) -> pl.Expr:
    """Return an estimate with its interval as text: +0.012 [+0.003, +0.021]."""
    cells = [name, f"{name} low", f"{name} high"]
    signed = (pl.col(cell).map_elements("{:+.3f}".format, pl.String) for cell in cells)
    return pl.format("{} [{}, {}]", *signed).alias(name)


def _text(frame: pl.DataFrame) -> str:
    with pl.Config(tbl_rows=-1, tbl_cols=-1, tbl_hide_dataframe_shape=True, fmt_str_lengths=60,
                   tbl_hide_column_data_types=True, tbl_width_chars=200):  # fmt: skip
        return str(frame)
