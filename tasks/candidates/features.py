"""Features of items and users as codes: one code per (column, value), 0 where nothing is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import polars as pl

from tasks.candidates.generator import Ints

_LABEL = "label"


@dataclass(frozen=True)
class Vocabulary:
    """The values that features took in training; a value's code is its place plus 1."""

    columns: tuple[str, ...]
    labels: tuple[str, ...]

    @classmethod
    def of(cls, frame: pl.DataFrame, columns: tuple[str, ...]) -> Self:
        """Return the values of those columns that the frame has."""
        present = tuple(name for name in columns if name in frame.columns)
        labels: list[str] = (
            _labels(frame, present)[_LABEL].unique().sort().to_list() if present else []
        )
        return cls(present, tuple(labels))

    @property
    def size(self) -> int:
        """How many codes there are, 0 included."""
        return len(self.labels) + 1

    def codes(self, frame: pl.DataFrame, ids: pl.Series) -> Ints:
        """Return (ids, columns) codes; 0 for unknown ids and columns, nulls, values never seen."""
        codes = np.zeros((len(ids), len(self.columns)), dtype=np.int64)
        if not self.columns:
            return codes
        code = pl.DataFrame({_LABEL: self.labels}, schema={_LABEL: pl.String}).with_row_index(
            "code", 1
        )
        row = pl.DataFrame({ids.name: ids}).with_row_index("row")
        named = _labels(frame, self.columns, ids.name).join(code, on=_LABEL).join(row, on=ids.name)
        codes[named["row"].to_numpy(), named["column"].to_numpy()] = named["code"].to_numpy()
        return codes


def _labels(frame: pl.DataFrame, columns: tuple[str, ...], *key: str) -> pl.DataFrame:
    text = [
        (pl.col(name) if name in frame.columns else pl.lit(None)).cast(pl.String).alias(name)
        for name in columns
    ]
    long = frame.select(*key, *text).unpivot(columns, index=list(key), variable_name="name")
    place = pl.col("name").replace_strict(
        list(columns), list(range(len(columns))), return_dtype=pl.Int64
    )
    label = pl.concat_str("name", pl.lit("="), "value").alias(_LABEL)
    return long.drop_nulls("value").select(*key, place.alias("column"), label)
