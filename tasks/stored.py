"""A fitted model's state as files, without pickle: `arrays.safetensors` and `facts.json`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

ARRAYS, FACTS = "arrays.safetensors", "facts.json"

Arrays = dict[str, NDArray[Any]]
Facts = dict[str, Any]


def write_state(folder: Path, arrays: Arrays, facts: Facts) -> None:
    """Write a state into an existing folder."""
    solid = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    save_file(solid, folder / ARRAYS)
    (folder / FACTS).write_text(json.dumps(facts))


def read_state(folder: Path) -> tuple[Arrays, Facts]:
    """Return the arrays and facts that `write_state` wrote."""
    return load_file(folder / ARRAYS), json.loads((folder / FACTS).read_text())
