"""A fitted generator as files; the facts say which class reads them."""

from __future__ import annotations

from pathlib import Path

from tasks.candidates import generator_class
from tasks.candidates.generator import Generator
from tasks.stored import read_state, write_state


def save(generator: Generator, folder: Path) -> None:
    """Write the generator's state into an existing folder."""
    arrays, facts = generator.state()
    write_state(folder, arrays, {"generator": generator.name, **facts})


def load(folder: Path) -> Generator:
    """Return the generator that `save` wrote."""
    arrays, facts = read_state(folder)
    return generator_class(facts.pop("generator")).restore(arrays, facts)
