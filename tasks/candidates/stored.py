"""A fitted generator as files, without pickle: `arrays.safetensors` and `facts.json`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from tasks.candidates import generator_class
from tasks.candidates.generator import Generator

ARRAYS, FACTS = "arrays.safetensors", "facts.json"


def save(generator: Generator, folder: Path) -> None:
    """Write the generator's state into an existing folder."""
    arrays, facts = generator.state()
    solid = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    save_file(solid, folder / ARRAYS)
    (folder / FACTS).write_text(json.dumps({"generator": generator.name, **facts}))


def load(folder: Path) -> Generator:
    """Return the generator that `save` wrote."""
    facts = json.loads((folder / FACTS).read_text())
    return generator_class(facts.pop("generator")).restore(load_file(folder / ARRAYS), facts)
