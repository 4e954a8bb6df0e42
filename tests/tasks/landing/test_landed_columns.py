"""Which columns of a delivered file pass for those of the contract."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from tasks.errors import ContractViolation
from tasks.lake.contracts import UTC_TIME, Column, Table
from tasks.landing.schema import Differences, contract_columns

TABLE = Table(
    "things",
    "pure",
    {
        "name": Column(pl.String),
        "price": Column(pl.Int64, nullable=True),
        "rating": Column(pl.Float64, nullable=True),
        "at": Column(UTC_TIME, nullable=True),
    },
    ("name",),
    "nobody",
)
NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)


def one_column(values: pl.Series) -> pl.Series:
    """The column as the contract has it, among others as they should be."""
    plain = pl.DataFrame({"name": ["a", "b"]}).with_columns(
        pl.lit(None, dtype).alias(name) for name, dtype in TABLE.schema.items() if name != "name"
    )
    found = Differences()
    frame = contract_columns(TABLE, plain.with_columns(values), found)
    assert frame.schema == TABLE.schema
    assert found.cast == {f"things.{values.name}"}
    return frame[values.name]


@pytest.mark.parametrize(
    ("values", "cast"),
    [
        (pl.Series("price", [499.0, None]), [499, None]),
        (pl.Series("price", [7, 255], pl.UInt8), [7, 255]),
        (pl.Series("price", [None, None]), [None, None]),
        (pl.Series("rating", [4, 5], pl.Int32), [4.0, 5.0]),
        (pl.Series("rating", [0.5, None], pl.Float32), [0.5, None]),
        (pl.Series("at", [NOON, None], pl.Datetime("ns", "UTC")), [NOON, None]),
        (pl.Series("at", [NOON.astimezone(ZoneInfo("Europe/Riga")), None]), [NOON, None]),
        (pl.Series("name", ["x", "y"], pl.Categorical), ["x", "y"]),
    ],
)
def test_what_comes_back_the_same_is_cast(values: pl.Series, cast: list[object]) -> None:
    assert one_column(values).to_list() == cast


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        (pl.Series("price", [4.99, 5.0]), r"1 values do not survive the cast.* 4\.99"),
        (pl.Series("price", [float("nan"), 5.0]), "Examples: nan"),
        (pl.Series("price", [2**63, 1], pl.UInt64), f"Examples: {2**63}"),
        (pl.Series("price", ["499", "500"]), "price is String, not Int64; .*'499', '500'"),
        (pl.Series("price", [5, 6], pl.Decimal(10, 2)), "price is Decimal"),
        (pl.Series("rating", [2**53 + 1, 1]), f"Examples: {2**53 + 1}"),
        (pl.Series("name", [7, 8]), "name is Int64, not String.* 7, 8"),
        (pl.Series("at", [datetime(2026, 3, 10), None]), "at is Datetime"),
        (
            pl.Series("at", [1_001, None]).cast(pl.Datetime("ns", "UTC")),
            "1 values do not survive the cast",
        ),
    ],
)
def test_what_would_be_guessed_or_lost_is_refused_with_an_example(
    values: pl.Series, complaint: str
) -> None:
    with pytest.raises(ContractViolation, match=complaint):
        one_column(values)
