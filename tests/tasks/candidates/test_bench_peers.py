"""What crosses the border to RecTools' environment and comes back; it need not be there."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from tasks import columns as c
from tasks.candidates.command import Cost, Result
from tasks.candidates.evaluation import Split
from tasks.candidates.outside import (
    Naming,
    catalogue_of,
    interactions_of,
    known_of,
    leave_one_out,
)
from tasks.errors import ContractViolation
from tasks.settings import Settings
from tests.benchmarks import bench_peers as peers

# Ids that a number would lose: leading zeros, and users that sort otherwise as text.
TABLE = pl.DataFrame(
    [("10", "007", 2), ("10", "01", 1), ("10", "7", 3), ("9", "7", 1), ("9", "01", 2)],
    schema=[c.USER_ID, c.ITEM_ID, "place"],
    orient="row",
)


def split() -> Split:
    interactions = interactions_of(TABLE, Naming(order="place"))
    return leave_one_out(known_of(interactions, catalogue_of(interactions, None)))


def lists(*rows: tuple[str, str, int]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=[c.USER_ID, c.ITEM_ID, c.RANK], orient="row")


def test_a_peer_learns_what_we_learn_and_is_asked_with_what_we_are_asked_with(
    tmp_path: Path,
) -> None:
    peers.write_split(split(), Settings(), tmp_path)
    rows = {name: pl.read_parquet(tmp_path / f"{name}.parquet").rows() for name in NAMES}
    assert rows["learned"] == [("10", "01", 0)]
    assert rows["histories"] == [("10", "01", 0), ("10", "007", 1), ("9", "7", 0)]
    assert rows["asked"] == [("10",), ("9",)]


NAMES = ("learned", "histories", "asked")


def test_a_peer_is_told_our_widths_and_epochs_and_which_protocol_hides_what_was_seen(
    tmp_path: Path,
) -> None:
    settings = Settings()
    peers.write_split(split(), settings, tmp_path)
    recipe = json.loads((tmp_path / "recipe.json").read_text())
    options = settings.candidates
    assert recipe["sasrec"] == options.sasrec.model_dump()
    assert recipe["lightfm"] == options.lightfm.model_dump()
    assert (recipe["protocols"], recipe["k"]) == ({"loo": True}, 60)


def test_a_peers_lists_keep_their_ids_and_are_judged_by_our_metrics(tmp_path: Path) -> None:
    """User 10 has the item at rank 2 and 9 nowhere: hit rate 1 / 2, MRR (1 / 2) / 2."""
    lists(("9", "007", 1), ("10", "7", 2)).write_parquet(tmp_path / "lightfm-loo.parquet")
    found = peers.read_lists(split(), tmp_path, "lightfm")
    metrics = peers.judged(found, split(), Settings())
    told = dict(metrics.filter(pl.col(c.SLICE) == "all").select(c.METRIC, c.VALUE).rows())
    assert (told["hit_rate@10"], told["mrr@10"]) == (0.5, 0.25)


def test_our_gain_is_the_difference_of_the_same_users() -> None:
    """Ours: both at rank 1, 1.0; theirs: one of two at rank 1, 0.5."""
    ours = lists(("10", "7", 1), ("9", "01", 1))
    theirs = lists(("10", "7", 1))
    told = [Result("m", {"loo": rows}, pl.DataFrame(), Cost(0, 0, 0)) for rows in (ours, theirs)]
    assert peers.gains(*told, split())["loo/ndcg@10"].value == 0.5


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([("9", "1", 1)], "1 rows of an unknown item, such as"),
        ([("10", "007", 1), ("9", "7", 1)], "2 rows that the protocol hides"),
        ([("10", "7", 1), ("10", "7", 2)], "2 rows with an item named twice"),
        ([("9", "01", 1), ("9", "007", 1)], "2 rows with a rank given twice"),
        ([("9", "01", 61)], r"1 rows with a rank outside 1\.\.60"),
        ([("9", "01", 0)], r"1 rows with a rank outside 1\.\.60"),
    ],
)
def test_lists_that_would_flatter_are_refused(
    tmp_path: Path, rows: list[tuple[str, str, int]], told: str
) -> None:
    lists(*rows).write_parquet(tmp_path / "sasrec-loo.parquet")
    with pytest.raises(ContractViolation, match=f"sasrec, loo: {told}"):
        peers.read_lists(split(), tmp_path, "sasrec")


def test_films_are_taken_where_no_file_is_named() -> None:
    told = peers.wanted(["--every", "8"], Path("data"))
    assert (told.data, told.item, told.order) == (
        Path("data/ml1m/sequences.parquet"),
        "movie_id",
        "pos",
    )
    own = peers.wanted(["--data=mine.csv", "--time", "at"], Path("data"))
    assert (own.data, own.item, own.order, own.time) == (Path("mine.csv"), c.ITEM_ID, None, "at")


def test_each_so_many_th_user_is_taken() -> None:
    users = pl.DataFrame({c.USER_ID: ["a", "b", "b", "c", "d", "e"]})
    assert peers.some_users(users, 2)[c.USER_ID].to_list() == ["a", "c", "e"]


def test_nobody_stops_early_and_nothing_is_resumed(tmp_path: Path) -> None:
    told = peers.untimely(Settings(), tmp_path)
    assert (told.candidates.sasrec.patience, told.home) == (0, tmp_path)
