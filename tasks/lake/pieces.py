"""A day too large for memory: pieces in the order of the key, checked and hashed one by one.

A day of one piece has the hash of the frame; of more, the hash of the pieces' hashes. Pieces are
`PIECE_ROWS` rows however the engine hands them out, so that equal rows have equal hashes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from tasks.errors import ContractViolation
from tasks.lake.contracts import Table, conform
from tasks.lake.row_hash import row_hash

PIECE_ROWS = 1_000_000


@dataclass(frozen=True)
class Spilled:
    """Pieces on disk, as their contract wants them."""

    files: tuple[Path, ...]
    rows: int
    row_hash: str

    def frames(self) -> Iterator[pl.DataFrame]:
        """Yield the pieces in order."""
        return (pl.read_parquet(file) for file in self.files)

    @property
    def bytes(self) -> int:
        """The size of the files."""
        return sum(file.stat().st_size for file in self.files)


def spilled(table: Table, frames: Iterable[pl.DataFrame], folder: Path) -> Spilled:
    """Write the rows below `folder`, piece by piece, and return them.

    Args:
        table: the contract.
        frames: rows in the order of the table's key, in frames of any size.
        folder: an empty one.

    Raises:
        ContractViolation: a piece breaks a rule, or the rows are not in the order of the key.
    """
    files: list[Path] = []
    hashes: list[str] = []
    rows, last = 0, None
    for number, piece in enumerate(evened(frames, PIECE_ROWS)):
        checked = conform(table, piece)
        last = _refuse_disorder(table, checked, last)
        files.append(folder / f"{number:06d}.parquet")
        checked.write_parquet(files[-1])
        hashes.append(row_hash(checked))
        rows += checked.height
    if not files:
        return Spilled((), 0, row_hash(table.empty()))
    whole = hashlib.sha256("".join(hashes).encode()).hexdigest()
    return Spilled(tuple(files), rows, whole if len(hashes) > 1 else hashes[0])


def evened(frames: Iterable[pl.DataFrame], rows: int) -> Iterator[pl.DataFrame]:
    """Yield the same rows in frames of `rows`, the last one of what is left."""
    kept: list[pl.DataFrame] = []
    for frame in frames:
        kept.append(frame)
        while sum(part.height for part in kept) >= rows:
            together = pl.concat(kept)
            yield together.head(rows)
            kept = [together.slice(rows)]
    rest = pl.concat(kept) if kept else None
    if rest is not None and rest.height:
        yield rest


def _refuse_disorder(
    table: Table, piece: pl.DataFrame, last: tuple[object, ...] | None
) -> tuple[object, ...]:
    keys = piece.select(table.key)
    first = keys.row(0)
    if last is not None and not pl.DataFrame([last, first], keys.schema, orient="row").equals(
        pl.DataFrame([last, first], keys.schema, orient="row").unique().sort(table.key)
    ):
        raise ContractViolation(
            f"{table.name}: 'one row per {', '.join(table.key)}, in that order' broken between"
            f" two pieces, nothing written. Examples: {last}; {first}"
        )
    return keys.row(-1)
