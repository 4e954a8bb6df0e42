from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from tasks.ranker.measure import tie_breaks
from tests.benchmarks import bench_depth as depth


def test_what_a_depth_leaves_out_counts_as_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(depth, "DEPTHS", (2, 3))
    monkeypatch.setattr(depth, "CUTOFF", 2)
    shelf = pl.DataFrame(
        {
            "group_id": ["g"] * 4,
            "user_id": ["u"] * 4,
            "item_id": ["a", "b", "c", "d"],
            "rank": [1, 2, 3, 4],
            "score": [0.1, 0.9, 0.5, None],
            depth.boost.GAIN: [0.2, 0.1, 0.4, 0.3],
        }
    )
    found = depth.ndcg_by_depth(shelf.with_columns(tie_breaks(shelf))).row(0, named=True)
    second = 1 / np.log2(3)
    ideal = 0.4 + 0.3 * second
    assert found["boost"] == pytest.approx((0.2 + 0.1 * second) / ideal)
    assert found["2"] == pytest.approx((0.1 + 0.2 * second) / ideal)
    assert found["3"] == pytest.approx((0.1 + 0.4 * second) / ideal)
    assert found["best of 3"] == pytest.approx((0.4 + 0.2 * second) / ideal)
