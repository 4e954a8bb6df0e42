"""Every table's contract, one module per DAG that writes it. A new table is one entry there."""

from __future__ import annotations

from tasks.lake.contracts import Table
from tasks.lake.tables import (
    audiences,
    build_features,
    compute_facet_weights,
    retrain_ranker,
    score_lookalikes,
    train_candidates,
)
from tasks.lake.tables.audiences import *  # noqa: F403
from tasks.lake.tables.build_features import *  # noqa: F403
from tasks.lake.tables.compute_facet_weights import *  # noqa: F403
from tasks.lake.tables.retrain_ranker import *  # noqa: F403
from tasks.lake.tables.score_lookalikes import *  # noqa: F403
from tasks.lake.tables.train_candidates import *  # noqa: F403

_WRITERS = (
    build_features,
    compute_facet_weights,
    score_lookalikes,
    train_candidates,
    retrain_ranker,
    audiences,
)
TABLES: dict[str, Table] = {
    table.name: table
    for module in _WRITERS
    for table in vars(module).values()
    if isinstance(table, Table)
}
