"""Importers: every line of a source has one stated fate, and no day looks ahead."""

from __future__ import annotations

import argparse
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from tasks.build_features import ingest
from tasks.errors import ContractViolation, InputNotReady
from tasks.landing import command
from tasks.landing.importers import load
from tasks.landing.importers.summary import Summary
from tasks.landing.manifest import landing_days, read_kind, read_manifest
from tasks.settings import Settings

CORNER_SHOP = Path(__file__).parents[2] / "data" / "corner_shop"
MAPPING = CORNER_SHOP / "mapping.toml"
SECOND, THIRD, FOURTH = (date(2026, 3, day) for day in (2, 3, 4))

RETAIL = {
    "InvoiceNo": ["536365", "536365", "C536400", "536401", "A1", "536402", "536403"],
    "StockCode": ["85123A", "85123A", "85123A", "POST", "B", "22139", "22139"],
    "Description": ["WHITE HEART T-LIGHT HOLDER"] * 7,
    "Quantity": [6, 6, -2, 1, 1, 3, -4],
    "InvoiceDate": [datetime(2011, 6, 1, 0, 30)] * 4 + [datetime(2011, 6, 2, 9)] * 3,
    "UnitPrice": [2.55, 2.55, 2.95, 18.0, -11062.06, 1.25, 0.0],
    "CustomerID": [17850, 17850, 17850, 17850, 17850, 13047, None],
    "Country": ["United Kingdom"] * 5 + ["EIRE"] * 2,
}
REES46_HEADER = (
    "event_time,event_type,product_id,category_id,category_code,brand,price,user_id,user_session\n"
)
REES46 = (
    REES46_HEADER
    + """\
2019-10-01 00:00:00 UTC,view,1,77,electronics.smartphone,apple,1081.98,5,s1
2019-10-01 00:00:00 UTC,view,1,77,electronics.smartphone,apple,1081.98,5,s1
2019-10-01 00:01:00 UTC,cart,1,77,electronics.smartphone,apple,1081.98,5,s1
2019-10-01 00:02:00 UTC,purchase,1,77,electronics.smartphone,apple,1081.98,5,s1
2019-10-01 00:03:00 UTC,remove_from_cart,1,77,electronics.smartphone,apple,1081.98,5,s1
2019-10-02 00:00:00 UTC,view,2,78,,,0,6,
2019-10-03 00:00:00 UTC,view,2,78,apparel.shoes,puma,30.5,6,s2
"""
)


@pytest.fixture
def retail(tmp_path: Path) -> Path:
    folder = tmp_path / "retail"
    folder.mkdir()
    pl.DataFrame(RETAIL).write_parquet(folder / "transactions.parquet")
    catalogue = {
        "StockCode": ["85123A"],
        "Description": ["WHITE HEART T-LIGHT HOLDER"],
        "colour": ["WHITE"],
        "size": pl.Series([None], dtype=pl.String),
        "material": ["GLASS"],
        "median_price": [2.95],
    }
    pl.DataFrame(catalogue).write_parquet(folder / "items_derived.parquet")
    return folder


def csv(tmp_path: Path, text: str, name: str = "events.csv") -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


def landed(settings: Settings, day: date, kind: str = "events") -> pl.DataFrame:
    frame = read_kind(settings.landing, read_manifest(settings.landing, day), kind)
    assert frame is not None
    return frame


def corner_shop(settings: Settings, first: date | None = None, last: date | None = None) -> Summary:
    return load("generic", CORNER_SHOP, settings, MAPPING, first, last)


def test_every_line_of_the_worked_example_has_its_stated_fate(settings: Settings) -> None:
    summary = corner_shop(settings)
    assert summary.fates == {
        "order": 3,
        "return": 2,
        "not an item": 1,
        "missing user": 1,
        "unparsable time": 1,
        "negative price": 1,
        "unparsable price": 1,
        "zero quantity": 1,
        "missing item": 1,
        "unknown event": 1,
        "unparsable quantity": 1,
    }
    assert sum(summary.fates.values()) == summary.lines == 14
    assert (summary.imported, summary.dropped) == (5, 9)
    assert summary.ignored_columns == ("clerk", "cost")
    assert summary.items_not_in_catalogue == 1


def test_the_worked_example_becomes_events_of_the_contract(settings: Settings) -> None:
    corner_shop(settings)
    rows = landed(settings, SECOND).sort("item_id")
    shown = ("ts", "user_id", "item_id", "event_type", "price", "quantity", "city", "platform")
    # 09:15 in Vienna is 08:15 UTC in winter; 1.012,00 is 101,200 cents.
    eight = datetime(2026, 3, 2, 8, 15, tzinfo=UTC)
    assert rows.select(shown).rows() == [
        (eight, "C1", "MUG", "order", 101200, 1, "Wien", "unknown"),
        (eight, "C1", "TEA", "order", 450, 2, "Wien", "unknown"),
    ]
    # Half past midnight in Vienna is still the day before in UTC.
    assert landed(settings, THIRD)["ts"].to_list() == [datetime(2026, 3, 3, 23, 30, tzinfo=UTC)]
    returned = landed(settings, FOURTH).sort("item_id").select("item_id", "event_type", "quantity")
    assert returned.rows() == [("SOAP", "return", 1), ("TEA", "return", 2)]


def test_snapshots_hold_what_was_known_on_the_day(settings: Settings) -> None:
    corner_shop(settings)
    shown = ("item_id", "price", "first_seen", "category", "brand")
    assert landed(settings, SECOND, "items").select(shown).rows() == [
        ("MUG", 101200, SECOND, "tableware", None),
        ("TEA", 450, SECOND, "hot drinks", "Demmer"),
    ]
    # TEA costs more since the third; SOAP, only ever returned, has no price and no catalogue row.
    assert landed(settings, FOURTH, "items").select(shown).rows() == [
        ("MUG", 101200, SECOND, "tableware", None),
        ("SOAP", 0, FOURTH, "unknown", None),
        ("TEA", 480, SECOND, "hot drinks", "Demmer"),
    ]
    told = landed(settings, SECOND, "item_attributes").filter(pl.col("item_id") == "TEA")
    assert told.select("attribute", "value").rows() == [
        ("brand", "Demmer"),
        ("category", "hot drinks"),
        ("label", "fair"),
        ("label", "organic"),
    ]
    assert landed(settings, FOURTH, "customers").select("user_id", "city", "consent").rows() == [
        ("C1", "Wien", False),
        ("C2", "Graz", False),
        ("C3", "Graz", False),
    ]


def test_a_range_loaded_alone_equals_the_same_days_of_everything(
    settings: Settings, tmp_path: Path
) -> None:
    alone = Settings(home=tmp_path / "alone", mlflow_url="")
    corner_shop(settings)
    summary = corner_shop(alone, first=THIRD, last=FOURTH)
    assert summary.fates["outside the asked days"] == 2
    assert landing_days(alone.landing) == [THIRD, FOURTH]
    for kind in ("events", "items", "item_attributes", "customers"):
        assert_frame_equal(landed(alone, FOURTH, kind), landed(settings, FOURTH, kind))


def test_lines_after_a_day_do_not_change_it(settings: Settings, tmp_path: Path) -> None:
    before = Settings(home=tmp_path / "before", mlflow_url="")
    corner_shop(settings)
    corner_shop(before, last=THIRD)
    for kind in ("events", "items", "item_attributes", "customers"):
        assert_frame_equal(landed(before, THIRD, kind), landed(settings, THIRD, kind))


def test_days_without_lines_get_an_empty_delivery(settings: Settings) -> None:
    summary = corner_shop(settings, last=date(2026, 3, 6))
    assert (summary.days, summary.empty_days) == (5, 2)
    assert landed(settings, date(2026, 3, 6)).is_empty()
    assert landed(settings, date(2026, 3, 6), "items").height == 3


def test_loading_again_leaves_days_alone_and_corrects_changed_ones(
    settings: Settings, tmp_path: Path
) -> None:
    folder = tmp_path / "shop"
    folder.mkdir()
    for file in CORNER_SHOP.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    load("generic", folder, settings, MAPPING)
    assert load("generic", folder, settings, MAPPING).unchanged_days == 3
    with (folder / "till-march.csv").open("a") as till:
        till.write("113;04.03.2026 19:00;C1;PEN;SALE;1,00;1;Wien;Eva\n")
    summary = load("generic", folder, settings, MAPPING)
    assert (summary.unchanged_days, summary.corrected_days) == (2, 1)
    assert read_manifest(settings.landing, FOURTH).version == 2


def test_the_loaded_days_pass_ingest(settings: Settings) -> None:
    corner_shop(settings)
    assert [ingest(day, settings)["events"] for day in (SECOND, THIRD, FOURTH)] == [2, 1, 2]


def test_invoice_lines_become_orders_and_returns(settings: Settings, retail: Path) -> None:
    summary = load("online_retail", retail, settings)
    assert summary.fates == {
        "order": 3,
        "return": 1,
        "not an item": 2,
        "missing user": 1,
    }
    assert summary.identical_lines == 1
    # Half past midnight in London's summer is the day before in UTC.
    rows = landed(settings, date(2011, 5, 31)).sort("event_type")
    assert rows["event_type"].to_list() == ["order", "order", "return"]
    assert rows["event_id"].n_unique() == 3
    assert rows.select("price", "quantity", "city", "surface").rows() == [
        (255, 6, "United Kingdom", "other"),
        (255, 6, "United Kingdom", "other"),
        (295, 2, "United Kingdom", "other"),
    ]
    items = landed(settings, date(2011, 5, 31), "items")
    # The returned one was paid 2.95 some day; the shop asks 2.55.
    assert items.select("category_group", "category", "colour", "price").rows() == [
        ("lighting", "candles", "WHITE", 255)
    ]


def test_a_csv_copy_of_a_source_gives_the_same_events(
    settings: Settings, retail: Path, tmp_path: Path
) -> None:
    as_csv = tmp_path / "as_csv"
    as_csv.mkdir()
    pl.DataFrame(RETAIL).with_columns(pl.col("CustomerID").cast(pl.Float64)).write_csv(
        as_csv / "2011.csv", datetime_format="%Y-%m-%d %H:%M:%S"
    )
    other = Settings(home=tmp_path / "other", mlflow_url="")
    load("online_retail", retail, settings)
    summary = load("online_retail", as_csv, other)
    assert summary.items_not_in_catalogue == 2
    for day in landing_days(settings.landing):
        assert_frame_equal(landed(settings, day), landed(other, day))


def test_a_session_shop_tells_facts_of_items_over_time(settings: Settings, tmp_path: Path) -> None:
    summary = load("rees46", csv(tmp_path, REES46), settings)
    assert summary.fates == {"view": 4, "cart": 1, "order": 1, "unknown event": 1}
    first, second, third = landing_days(settings.landing)
    items = landed(settings, second, "items").filter(pl.col("item_id") == "2")
    shown = ("category_group", "category", "brand", "price")
    assert items.select(shown).rows() == [("unknown", "unknown", None, 0)]
    items = landed(settings, third, "items").filter(pl.col("item_id") == "2")
    assert items.select(shown).rows() == [("apparel", "apparel.shoes", "puma", 3050)]
    quantities = dict(landed(settings, first).select("event_type", "quantity").iter_rows())
    assert quantities == {"view": None, "cart": 1, "order": 1}
    # The same line twice is one event delivered twice.
    assert ingest(first, settings)["duplicates"] == 1


def test_ratings_become_favorites_and_views(settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "films"
    folder.mkdir()
    csv(
        folder,
        "userId,movieId,rating,timestamp\n1,10,4.0,964982703\n1,11,3.5,964982703\n1,12,good,5\n",
        "ratings.csv",
    )
    csv(
        folder,
        "movieId,title,genres\n10,Heat (1995),Action|Crime\n11,Alone,(no genres listed)\n",
        "movies.csv",
    )
    summary = load("movielens", folder, settings)
    assert summary.fates == {"favorite": 1, "view": 1, "unknown event": 1}
    day = date(2000, 7, 30)
    items = landed(settings, day, "items").select("item_id", "category_group", "category", "price")
    assert items.rows() == [("10", "films", "Action", 0), ("11", "films", "unknown", 0)]
    told = landed(settings, day, "item_attributes").select("item_id", "attribute", "value")
    assert told.rows() == [
        ("10", "category", "Action"),
        ("10", "genre", "Action"),
        ("10", "genre", "Crime"),
        ("10", "year", "1995"),
    ]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", r"events\.csv cannot be read: empty CSV"),
        (REES46_HEADER.encode(), "no line can be imported: the files have no lines"),
        (REES46.replace("brand", "maker").encode(), "no column brand; the file has event_time"),
        ((REES46 + "a,b,c,d,e,f,g,h,i,j,k\n").encode(), r"events\.csv cannot be read"),
        (REES46.replace("puma", "p\xfcma").encode("latin-1"), r"events\.csv.*utf8-lossy"),
        (REES46.replace(" UTC", "h").encode(), "no line can be imported: unparsable time 7"),
    ],
)
def test_a_damaged_csv_is_refused_by_name(
    settings: Settings, tmp_path: Path, content: bytes, complaint: str
) -> None:
    path = tmp_path / "events.csv"
    path.write_bytes(content)
    with pytest.raises(ContractViolation, match=complaint):
        load("rees46", path, settings)
    assert landing_days(settings.landing) == []


def test_a_torn_parquet_file_is_refused_by_name(settings: Settings, retail: Path) -> None:
    path = retail / "transactions.parquet"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ContractViolation, match=r"transactions\.parquet cannot be read"):
        load("online_retail", retail, settings)
    assert landing_days(settings.landing) == []


def test_a_comma_that_is_no_thousands_separator_makes_no_price(
    settings: Settings, tmp_path: Path
) -> None:
    path = csv(tmp_path, REES46.replace("30.5", '"30,5"').replace("1081.98", '"1,081.98"'))
    summary = load("rees46", path, settings)
    assert summary.fates["unparsable price"] == 1
    assert landed(settings, date(2019, 10, 1))["price"].unique().to_list() == [108198]


def test_an_absent_folder_file_or_importer_is_named(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(InputNotReady, match="nowhere is absent"):
        load("rees46", tmp_path / "nowhere", settings)
    with pytest.raises(InputNotReady, match="no CSV or Parquet file"):
        load("rees46", tmp_path, settings)
    with pytest.raises(ContractViolation, match="no importer ebay"):
        load("ebay", tmp_path, settings)


def test_one_landing_folder_holds_one_shop(settings: Settings, tmp_path: Path) -> None:
    corner_shop(settings)
    with pytest.raises(ContractViolation, match="holds days of corner_shop"):
        load("rees46", csv(tmp_path, REES46), settings)


def test_the_command_prints_the_fates_as_a_table(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    words = ["--source", "generic", "--path", str(CORNER_SHOP), "--mapping", str(MAPPING)]
    assert command.run(parser.parse_args(words), settings) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == "source corner_shop"
    assert "lines read 14 1 files" in lines
    assert "missing user 1 nobody is named, so no history can own it" in lines
