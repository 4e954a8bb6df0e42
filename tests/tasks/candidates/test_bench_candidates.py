"""What the public data of the benchmark tell of an article."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from tasks import columns as c
from tests.benchmarks.bench_candidates import attributes


def test_an_articles_attributes_stand_from_the_commonest_to_the_rarest(tmp_path: Path) -> None:
    """7 is known of three articles, 5 of two, 9 and 3 of one; of equals the smaller comes first."""
    pairs = [(1, 9), (1, 7), (1, 3), (2, 5), (2, 7), (3, 7), (4, 5), (4, 5)]
    file = tmp_path / "attributes.parquet"
    pl.DataFrame(pairs, schema=["item", "attribute"], orient="row").write_parquet(file)
    names = [c.ITEM_ID, "attribute_1", "attribute_2", "attribute_3"]
    assert attributes(file).select(names).sort(c.ITEM_ID).rows() == [
        (1, 7, 3, 9),
        (2, 7, 5, None),
        (3, 7, None, None),
        (4, 5, None, None),
    ]
