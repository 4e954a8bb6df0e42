"""How fast the ranker scores and trains: `make bench-scoring`; reach: a request in 10 ms.

The ranker's trees, over `WIDTH` features: its own, and as many drawn ones as are missing.

scoring   one request of each of `ITEMS` items, one thread: p50 and p99 of `CALLS` calls, of
          `SLOW_CALLS` of the slowest form. `rows`: a Python list per item; `frame`: as the tasks
          score; `arrays`: a numpy batch, as a service holds it; `cbm`: the same by the model read
          back from CatBoost's file (`cbm/load`: reading it); `exported`: by the Python that
          CatBoost writes, which needs nothing installed. All must give the same scores. ONNX is
          left out: CatBoost does not export categories to it, and the lock has no runtime
training  seconds and peak memory at each of --rows, a process of its own for each: the ranker's own
          `fit`, with --trees trees, over the features that it declares, of rows that lie in files.
          They are drawn `PIECE` at a time, in groups of `GROUP`, as the nightly training set's are
          after the draw of negatives
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT)]

from catboost import CatBoost, FeaturesData, Pool  # noqa: E402

from tasks import columns as c  # noqa: E402
from tasks.ranker import model as ranker  # noqa: E402
from tasks.ranker.features import CATEGORIES, NAMES, NUMBERS  # noqa: E402
from tasks.settings import Ranker  # noqa: E402
from tests.benchmarks.measure import Bench, circumstances, numbers  # noqa: E402

WIDTH = 100
ITEMS = (300, 1_000)
CALLS, SLOW_CALLS, WARM_UP = 300, 100, 2
TRAINED = 20_000
GROUP = 12
PIECE = 240_000
VALUES = 12
SEED = 7
TRAIN = "--train"
DRAWN = tuple(f"drawn_{number}" for number in range(WIDTH - len(NAMES)))
NUMERIC = (*NUMBERS, *DRAWN)
COLUMNS = (*NUMERIC, *CATEGORIES)
STRONGEST, FADING = 2.0, 0.98
Call = Callable[[], object]


def drawn(rows: int, first: int = 0) -> pl.DataFrame:
    """Return training rows whose carts follow every number, some more than others.

    Args:
        rows: how many.
        first: the number of the first of them, where others came before.
    """
    chance = np.random.default_rng([SEED, first])
    values = chance.random((rows, len(NUMERIC)), dtype=np.float32)
    frame = pl.DataFrame(values, schema=list(NUMERIC))
    weights = STRONGEST * FADING ** np.arange(len(NUMERIC), dtype=np.float32)
    odds = (values - 0.5) @ chance.permutation(weights) - 3
    names = pl.Series([f"value{number}" for number in range(VALUES)])
    place = np.arange(first, first + rows)
    return frame.with_columns(
        pl.Series(c.GROUP_ID, place // GROUP).cast(pl.String).str.zfill(8).alias(c.GROUP_ID),
        pl.Series(c.ITEM_ID, place % GROUP).cast(pl.String).alias(c.ITEM_ID),
        pl.Series(c.LABEL, chance.random(rows) < 1 / (1 + np.exp(-odds))).cast(pl.Int64),
        pl.Series("log_examination", -chance.random(rows)),
        *(names.gather(chance.integers(0, VALUES, rows)).alias(name) for name in CATEGORIES),
    )


def fitted(rows: pl.DataFrame, threads: int) -> CatBoost:
    """Return the ranker's trees over all columns."""
    pool = Pool(
        rows.select(COLUMNS).to_pandas(),
        label=rows[c.LABEL].to_numpy(),
        group_id=rows[c.GROUP_ID].rle_id().to_numpy(),
        baseline=rows["log_examination"].to_numpy(),
        cat_features=list(CATEGORIES),
    )
    # The model's own parameters; its `fit` takes the features that it declares, and no more.
    model = CatBoost(ranker._parameters(Ranker(), SEED, threads, ranker.LOSS))
    model.fit(pool)
    return model


def by_rows(model: CatBoost, rows: pl.DataFrame) -> Call:
    """Return a call that scores a list of values per item."""
    told = [list(row) for row in rows.select(COLUMNS).iter_rows()]
    places = list(range(len(NUMERIC), len(COLUMNS)))
    return lambda: model.predict(
        Pool(told, cat_features=places, feature_names=list(COLUMNS)), thread_count=1
    )


def by_frame(model: CatBoost, rows: pl.DataFrame) -> Call:
    """Return a call that scores a frame."""
    return lambda: model.predict(
        Pool(rows.select(COLUMNS).to_pandas(), cat_features=list(CATEGORIES)), thread_count=1
    )


def by_arrays(model: CatBoost, rows: pl.DataFrame) -> Call:
    """Return a call that scores a matrix of numbers and one of categories."""
    told = [[text.encode() for text in row] for row in rows.select(CATEGORIES).iter_rows()]
    values = rows.select(NUMERIC).to_numpy()
    categories = np.array(told, dtype=object)
    return lambda: model.predict(
        FeaturesData(values, categories, list(NUMERIC), list(CATEGORIES)), thread_count=1
    )


def by_cbm(model: CatBoost, rows: pl.DataFrame) -> Call:
    """Return a call of the model as read back from CatBoost's own file."""
    with tempfile.TemporaryDirectory() as folder:
        return by_arrays(reread(saved(model, Path(folder))), rows)


def saved(model: CatBoost, folder: Path) -> Path:
    """Write CatBoost's own file and return it."""
    path = folder / "model.cbm"
    model.save_model(str(path))
    return path


def reread(path: Path) -> CatBoost:
    """Return the model of a file."""
    model = CatBoost()
    model.load_model(str(path))
    return model


def by_export(model: CatBoost, rows: pl.DataFrame) -> Call:
    """Return a call of CatBoost's exported Python, which needs nothing installed."""
    # What is exported knows the categories of these rows, and no others.
    pool = Pool(rows.select(COLUMNS).to_pandas(), cat_features=list(CATEGORIES))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "exported.py"
        model.save_model(str(path), format="python", pool=pool)
        spec = spec_from_file_location("exported", path)
        if spec is None or spec.loader is None:
            raise ImportError(path)
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
    values = rows.select(NUMERIC).rows()
    categories = rows.select(CATEGORIES).rows()
    pairs = list(zip(values, categories, strict=True))
    return lambda: [module.apply_catboost_model(*pair) for pair in pairs]


FORMS: dict[str, Callable[[CatBoost, pl.DataFrame], Call]] = {
    "rows": by_rows,
    "frame": by_frame,
    "arrays": by_arrays,
    "cbm": by_cbm,
    "exported": by_export,
}


def milliseconds(call: Callable[[], object], calls: int) -> str:
    """Return p50 and p99 of a call."""
    spent = []
    for _ in range(WARM_UP + calls):
        started = time.perf_counter()
        call()
        spent.append(1000 * (time.perf_counter() - started))
    p50, p99 = np.percentile(spent[WARM_UP:], [50, 99])
    return f"p50 {p50:.1f} ms, p99 {p99:.1f} ms"


def note_scoring(bench: Bench) -> None:
    """Record each form's times, and that all give the same scores."""
    model = fitted(drawn(TRAINED), threads=2)
    used = int(np.count_nonzero(model.get_feature_importance(type="PredictionValuesChange")))
    bench.note(features=len(COLUMNS), declared=len(NAMES), used=used, trees=model.tree_count_)
    with tempfile.TemporaryDirectory() as folder:
        path = saved(model, Path(folder))
        bench.note(**{"cbm/load": milliseconds(lambda: reread(path), SLOW_CALLS)})
    for items in ITEMS:
        rows = drawn(items)
        wanted = np.asarray(by_frame(model, rows)())
        for name, form in FORMS.items():
            call = form(model, rows)
            np.testing.assert_allclose(np.asarray(call()), wanted, atol=1e-6)
            calls = SLOW_CALLS if form is by_export else CALLS
            bench.note(**{f"{items} items/{name}": milliseconds(call, calls)})


def on_disk(rows: int, folder: Path) -> pl.LazyFrame:
    """Return training rows below a folder, drawn a piece at a time."""
    for first in range(0, rows, PIECE):
        piece = drawn(min(PIECE, rows - first), first)
        piece.drop(DRAWN).write_parquet(folder / f"{first:09d}.parquet")
    return pl.scan_parquet(folder / "*.parquet")


def train(rows: int, trees: int) -> None:
    """Print the seconds of one fit and the most memory that this process has held."""
    with tempfile.TemporaryDirectory() as folder:
        there = on_disk(rows, Path(folder))
        started = time.perf_counter()
        ranker.fit(there, Ranker(iterations=trees), SEED, threads=2)
    seconds = round(time.perf_counter() - started, 1)
    print(json.dumps({"seconds": seconds, **circumstances()}))


def note_training(bench: Bench, rows: int, trees: int) -> None:
    """Record a training in a process of its own."""
    command = [sys.executable, __file__, TRAIN, str(rows), "--trees", str(trees)]
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    found: dict[str, Any] = json.loads(said.splitlines()[-1])
    told = f"{rows:,} rows, {trees} trees"
    bench.note(**{f"{told}/{name}": found[name] for name in ("seconds", "peak_gb")})


def main() -> None:
    """Print times of scoring and of training."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=numbers, default=numbers("1000000"))
    parser.add_argument("--trees", type=int, default=Ranker().iterations)
    parser.add_argument(TRAIN, type=int, help=argparse.SUPPRESS)
    wanted, bench = parser.parse_args(), Bench("scoring")
    if wanted.train:
        return train(wanted.train, wanted.trees)
    note_scoring(bench)
    for rows in wanted.rows:
        note_training(bench, rows, wanted.trees)
    bench.finish()
    return None


if __name__ == "__main__":
    main()
