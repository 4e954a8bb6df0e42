"""The hash of a frame's rows: equal frames, equal hash, whatever the machine or file layout."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import polars as pl


def row_hash(frame: pl.DataFrame) -> str:
    """Return sha256 over names, types and values in row order; floats count bit by bit."""
    digest = hashlib.sha256()
    for column in frame.get_columns():
        header = (column.name, column.dtype, column.len(), column.null_count())
        digest.update(repr(header).encode())
        for piece in _pieces(column):
            digest.update(piece)
    return digest.hexdigest()


def _pieces(column: pl.Series) -> Iterator[bytes]:
    if column.null_count():
        yield column.is_null().to_numpy().tobytes()
    if column.dtype == pl.String:
        text = column.fill_null("")
        yield text.str.len_bytes().to_numpy().tobytes()
        yield (text.str.join("").item() or "").encode()
    elif column.dtype == pl.Binary:
        yield column.bin.size().fill_null(0).to_numpy().tobytes()
        yield b"".join(column.drop_nulls())
    elif isinstance(column.dtype, pl.List):
        yield column.list.len().fill_null(0).to_numpy().tobytes()
        yield from _pieces(column.explode())
    else:
        values = column.to_physical()
        if values.null_count():
            values = values.fill_null(False if values.dtype == pl.Boolean else 0)
        yield values.to_numpy().tobytes()
