"""How long a boosted search takes: `make bench-search`; a real OpenSearch, top 300, 50 functions.

For each of --sizes a random catalogue is indexed in a node of its own; then searches of customers,
each with 50 clauses, run one after the other: the whole catalogue, and one category in twenty; each
boosted and unboosted in turn, so that the ratio is of one moment. OPTIONS="--sizes 20000" for a
quick look.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT)]

from tasks import columns as c  # noqa: E402
from tasks.boost.body import Body, body  # noqa: E402
from tasks.boost.documents import base_field  # noqa: E402
from tasks.boost.engine import Engine  # noqa: E402
from tasks.boost.index import load  # noqa: E402
from tasks.boost.request import Request  # noqa: E402
from tasks.settings import Boost, Search  # noqa: E402
from tests.benchmarks.measure import Bench  # noqa: E402
from tests.search_engine.node import search_node  # noqa: E402

DAY = date(2026, 9, 1)
TOP, CLAUSES, SEARCHES, WARM_UP = 300, 50, 200, 50
CATEGORIES, ATTRIBUTES, VALUES, SEGMENTS = 20, 10, 40, 20
GROUP = "clothes"
SEED = 7


def catalogue(items: int) -> pl.DataFrame:
    """Return documents: twenty categories, ten attributes of forty values, twenty segments."""
    generator = np.random.default_rng(SEED)
    category = generator.integers(0, CATEGORIES, items)
    values = generator.integers(0, VALUES, (items, ATTRIBUTES))
    facets = [[facet(name, value) for name, value in enumerate(row)] for row in values.tolist()]
    words = [
        [f"category{number}", f"v{row[0]}"] for number, row in zip(category, values, strict=True)
    ]
    scores = {
        base_field(f"segment.{number}"): generator.uniform(0.4, 0.75, items).astype(np.float32)
        for number in range(SEGMENTS)
    }
    return pl.DataFrame(
        {
            c.ITEM_ID: [f"i{number:07d}" for number in range(items)],
            c.CATEGORY_GROUP: [GROUP] * items,
            c.CATEGORY: [f"category{number}" for number in category],
            c.IN_STOCK: generator.random(items) < 0.95,
            "stocked": [["*"]] * items,
            "words": words,
            "facets": facets,
            **scores,
        }
    )


def facet(attribute: int, value: int) -> str:
    """Return the term of a value."""
    return f"{GROUP}/attribute{attribute}/v{value}"


def searches(category: bool, boosted: bool) -> list[Body]:
    """Return bodies of as many customers; the same customers whatever is asked."""
    generator = np.random.default_rng(SEED)
    return [_body(generator, category, boosted) for _ in range(WARM_UP + SEARCHES)]


def _body(generator: np.random.Generator, category: bool, boosted: bool) -> Body:
    pairs = generator.choice(ATTRIBUTES * VALUES, CLAUSES, replace=False)
    boosts = np.sort(generator.exponential(0.02, CLAUSES).astype(np.float32))[::-1]
    names = [facet(*divmod(int(pair), VALUES)) for pair in pairs]
    clauses = pl.DataFrame({"facet": names, "boost": boosts.astype(np.float64)})
    segment = f"segment.{generator.integers(SEGMENTS)}"
    number = generator.integers(CATEGORIES)
    request = Request(segment, category=f"category{number}" if category else None)
    return body(request, clauses if boosted else clauses.clear(), Boost(), TOP)


def milliseconds(engine: Engine, asked: Body) -> float:
    """Return how long one search took, answer read."""
    started = time.perf_counter()
    found = engine.search(engine.options.alias, asked)
    took = (time.perf_counter() - started) * 1000
    assert found.height == TOP
    return took


def measured(engine: Engine, category: bool) -> dict[str, float]:
    """Return p50 and p99 of boosted and unboosted searches, in turn."""
    pairs = zip(searches(category, True), searches(category, False), strict=True)
    times = np.array([[milliseconds(engine, asked) for asked in pair] for pair in pairs])[WARM_UP:]
    named = dict(zip(("boosted", "unboosted"), times.T, strict=True))
    return {
        f"{name}_p{percent}_ms": round(float(np.percentile(column, percent)), 1)
        for name, column in named.items()
        for percent in (50, 99)
    }


def sizes(text: str) -> list[int]:
    """Return the numbers of a list."""
    return [int(part) for part in text.split(",")]


def main() -> None:
    """Print milliseconds of a search by catalogue size."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    parser = argparse.ArgumentParser()
    parser.add_argument("--sizes", type=sizes, default=[20_000, 500_000], help="20000,500000")
    wanted, bench = parser.parse_args(), Bench("search")
    bench.note(clauses=CLAUSES, top=TOP, searches=SEARCHES)
    for size in wanted.sizes:
        with tempfile.TemporaryDirectory() as folder, search_node(Path(folder) / "node") as url:
            engine = Engine(Search(url=url))
            with bench.timed(f"{size}/load"):
                load(engine, DAY, catalogue(size))
            for name, category in (("whole", False), ("category", True)):
                found = measured(engine, category)
                bench.note(**{f"{size}/{name}/{key}": value for key, value in found.items()})
    bench.finish()


if __name__ == "__main__":
    main()
