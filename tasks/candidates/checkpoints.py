"""Checkpoints: where a training that was killed is taken up again, to the same end.

One file a training, named by a digest of everything that the result depends on: data, settings and
seed. It is replaced in one move after each epoch and removed at the end; of trainings that nobody
took up again the newest few stay.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

log = logging.getLogger(__name__)

KEPT = 4
_FACTS = "facts"

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Checkpoint:
    """The file of one training; without one nothing is kept."""

    path: Path | None

    def read(self) -> tuple[Arrays, dict[str, Any]] | None:
        """Return the arrays and facts of the last `write`, if there are any."""
        if self.path is None or not self.path.is_file():
            return None
        from safetensors import safe_open

        with safe_open(self.path, framework="numpy") as stored:
            arrays = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
            facts: dict[str, Any] = json.loads(stored.metadata()[_FACTS])
        log.info("taken up again from %s", self.path)
        return arrays, facts

    def write(self, arrays: Arrays, facts: Mapping[str, Any]) -> None:
        """Replace the file, whole or not at all."""
        if self.path is None:
            return
        from safetensors.numpy import save_file

        self.path.parent.mkdir(parents=True, exist_ok=True)
        draft = self.path.with_suffix(f".{os.getpid()}")
        solid = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        save_file(solid, draft, {_FACTS: json.dumps(facts)})
        draft.replace(self.path)
        self._forget_old()

    def remove(self) -> None:
        """Forget the training, which is over."""
        if self.path is not None and self.path.is_file():
            self.path.unlink()
            with suppress(OSError):  # other trainings keep theirs there
                self.path.parent.rmdir()

    def _forget_old(self) -> None:
        assert self.path is not None
        files = sorted(self.path.parent.glob("*"), key=lambda file: file.stat().st_mtime)
        for file in files[:-KEPT]:
            file.unlink(missing_ok=True)


def digest(*parts: bytes) -> str:
    """Return a short name for everything that a training depends on."""
    found = sha256()
    for part in parts:
        found.update(len(part).to_bytes(8, "big"))
        found.update(part)
    return found.hexdigest()[:16]
