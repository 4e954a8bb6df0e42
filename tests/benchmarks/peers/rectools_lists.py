"""Ranked lists of RecTools' SASRec or LightFM; run by bench_peers in an environment of its own.

`python rectools_lists.py FOLDER MODEL` reads what `bench_peers` wrote to FOLDER: `learned.parquet`
and `histories.parquet` (`user_id, item_id, place`, the oldest first within a user), `asked.parquet`
(`user_id`) and `recipe.json`. It writes `MODEL-PROTOCOL.parquet` (`user_id, item_id, rank`) for
each protocol of the recipe, and `MODEL.json`: `fit_seconds`, `list_seconds`, `peak_gb`, and
`cpu_seconds` of both together.

Nothing of the project is imported: its packages and RecTools' do not install side by side.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import torch
from lightfm import LightFM
from pytorch_lightning import Trainer, seed_everything
from rectools import Columns
from rectools.dataset import Dataset, Interactions
from rectools.models import LightFMWrapperModel, SASRecModel

Recipe = dict[str, Any]
KB_PER_GB = 1 << 20


def read(path: Path) -> pd.DataFrame:
    """Return interactions as RecTools names them; a user's places stand for times."""
    rows = pl.read_parquet(path).to_dict(as_series=False)
    return pd.DataFrame(
        {
            Columns.User: rows["user_id"],
            Columns.Item: rows["item_id"],
            Columns.Weight: 1.0,
            Columns.Datetime: pd.to_datetime(rows["place"], unit="s"),
        }
    )


def any_history(learned: Dataset, histories: pd.DataFrame) -> Dataset:
    """Return what SASRec is asked with: it reads histories, of whoever they are."""
    return Dataset.construct(histories)


def known_history(learned: Dataset, histories: pd.DataFrame) -> Dataset:
    """Return what LightFM is asked with: only users and items that it learned have a vector."""
    users, items = learned.user_id_map, learned.item_id_map
    known = histories[Columns.User].isin(users.external_ids)
    known &= histories[Columns.Item].isin(items.external_ids)
    return Dataset(users, items, Interactions.from_raw(histories[known], users, items))


def sasrec(recipe: Recipe) -> SASRecModel:
    """Return RecTools' SASRec, untrained; all that the recipe does not name is RecTools' own."""
    torch.set_num_threads(recipe["threads"])
    seed_everything(recipe["seed"])
    told = recipe["sasrec"]
    return SASRecModel(
        n_blocks=told["blocks"],
        n_heads=told["heads"],
        n_factors=told["width"],
        dropout_rate=told["dropout"],
        session_max_len=told["length"],
        loss="softmax",
        lr=told["learning_rate"],
        batch_size=told["batch"],
        epochs=told["epochs"],
        get_trainer_func=on_cpu,
        get_trainer_func_kwargs={"epochs": told["epochs"]},
        recommend_torch_device="cpu",
    )


def on_cpu(epochs: int) -> Trainer:
    """Return a trainer that leaves a GPU alone, as ours does, and keeps no files."""
    return Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=epochs,
        min_epochs=epochs,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
    )


def lightfm(recipe: Recipe) -> LightFMWrapperModel:
    """Return RecTools' LightFM, untrained."""
    told = recipe["lightfm"]
    model = LightFM(
        no_components=told["width"],
        loss="warp",
        learning_rate=told["learning_rate"],
        item_alpha=told["item_alpha"],
        max_sampled=told["max_sampled"],
        random_state=recipe["seed"],
    )
    return LightFMWrapperModel(
        model, epochs=told["epochs"], num_threads=1, recommend_use_gpu_ranking=False
    )


MODELS = {"sasrec": (sasrec, any_history), "lightfm": (lightfm, known_history)}


def peak_gb() -> float:
    """Return the most memory held. `getrusage` would tell of the process that started this one."""
    status = Path("/proc/self/status").read_text().splitlines()
    peak = next(line for line in status if line.startswith("VmHWM:"))
    return int(peak.split()[1]) / KB_PER_GB


def main(folder: Path, name: str) -> None:
    """Fit the model, write its lists by protocol and what they took."""
    warnings.filterwarnings("ignore")
    recipe: Recipe = json.loads((folder / "recipe.json").read_text())
    learned, histories = (read(folder / f"{part}.parquet") for part in ("learned", "histories"))
    asked = pl.read_parquet(folder / "asked.parquet")["user_id"].to_list()
    started, worked = time.monotonic(), time.process_time()
    untrained, history = MODELS[name]
    fit_on = Dataset.construct(learned)
    ask_with = history(fit_on, histories)
    model = untrained(recipe).fit(fit_on)
    fitted = time.monotonic()
    for protocol, hides_seen in recipe["protocols"].items():
        lists = model.recommend(
            asked, ask_with, recipe["k"], hides_seen, on_unsupported_targets="ignore"
        )
        ranked = {
            column: lists[column].to_list() for column in (Columns.User, Columns.Item, Columns.Rank)
        }
        pl.DataFrame(ranked).write_parquet(folder / f"{name}-{protocol}.parquet")
    cost = {
        "fit_seconds": fitted - started,
        "list_seconds": time.monotonic() - fitted,
        "cpu_seconds": time.process_time() - worked,
        "peak_gb": peak_gb(),
    }
    (folder / f"{name}.json").write_text(json.dumps(cost))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
