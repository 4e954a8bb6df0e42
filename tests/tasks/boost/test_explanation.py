from __future__ import annotations

import json
import stat
from dataclasses import replace
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from tasks import columns as c
from tasks.__main__ import main
from tasks.boost.documents import documents
from tasks.boost.explanation import Explanation, explanation
from tasks.boost.known import Known
from tasks.boost.page import boost_page, headline, written
from tasks.errors import WrongCall
from tasks.lake.lake import Lake
from tasks.lake.tables import (
    CUSTOMERS,
    FACET_WEIGHTS,
    ITEM_ATTRIBUTES,
    ITEMS,
    SEGMENT_SCORES,
    USER_FACETS,
    USER_SEGMENTS,
)
from tasks.report.page import html, text
from tasks.settings import Boost, Settings
from tests.rows import rows

DAY = date(2026, 3, 12)
BASES = {"a": 0.5, "b": 0.45, "c": 0.4, "d": 0.35}


def item(name: str, **other: object) -> dict[str, object]:
    shown = {c.CATEGORY_GROUP: "shoes", c.CATEGORY: "boots", c.IN_STOCK: True}
    return {c.ITEM_ID: name, **shown, c.STOCK_CITIES: None, **other}


def preference(attribute: str, value: str, share: float) -> dict[str, object]:
    told = {c.USER_ID: "u", c.CATEGORY_GROUP: "shoes", c.ATTRIBUTE: attribute}
    return {**told, c.VALUE: value, c.PREFERENCE: share}


def weight(attribute: str, value: float | None, reason: str | None = None) -> dict[str, object]:
    told = {"method": "within-listing", c.CATEGORY_GROUP: "shoes", c.ATTRIBUTE: attribute}
    return {**told, c.WEIGHT: value, "published": value is not None, c.REASON: reason}


@pytest.fixture
def known() -> Known:
    items = [item("a"), item("b"), item("c"), item("d", in_stock=False), item("e", category="rugs")]
    described = [
        {c.ITEM_ID: name, c.ATTRIBUTE: "brand", c.VALUE: value}
        for name, value in (("a", "Vela"), ("b", "Nora"), ("c", "Nora"), ("d", "Nora"))
    ]
    scores = [
        {c.SEGMENT: segment, c.ITEM_ID: name, c.SF_POS: base}
        for segment in ("all", "women.new.web")
        for name, base in BASES.items()
    ]
    return Known(
        DAY,
        documents(
            rows(ITEMS, *items),
            rows(ITEM_ATTRIBUTES, *described),
            rows(SEGMENT_SCORES, *scores),
        ),
        rows(USER_SEGMENTS, {c.USER_ID: "u", c.SEGMENT: "women.new.web"}),
        rows(CUSTOMERS, {c.USER_ID: "u", c.CITY: "Riga"}),
        rows(
            USER_FACETS,
            preference("brand", "Nora", 0.75),
            preference("brand", "Vela", 0.25),
            preference("colour", "red", 1.0),
            preference("fit", "slim", 0.5),
        ),
        rows(FACET_WEIGHTS, weight("brand", 0.08), weight("colour", None, "too few carts")),
        "unknown.new.unknown",
    )


@pytest.fixture
def free(settings: Settings) -> Settings:
    return settings.model_copy(update={"boost": Boost(max_share=0.5, min_overlap=0)})


def asked(known: Known, settings: Settings, user: str = "u", query: str = "boots") -> Explanation:
    return explanation(known, user, query, None, settings)


def test_the_order_and_each_score_are_as_worked_by_hand(known: Known, free: Settings) -> None:
    found = asked(known, free)
    ordered = found.found.rows.sort(c.RANK)
    # b: 0.45 + 0.75 * 0.08, a: 0.5 + 0.25 * 0.08, c: 0.4 + 0.06; d is out of stock.
    assert ordered[c.ITEM_ID].to_list() == ["a", "b", "c", "d"]
    assert ordered[c.SCORE].to_list() == pytest.approx([0.52, 0.51, 0.46, 0.35])
    assert found.parts.select(c.ITEM_ID, c.VALUE).rows() == [
        ("a", "Vela"),
        ("b", "Nora"),
        ("c", "Nora"),
        ("d", "Nora"),
    ]
    assert found.parts["boost"].to_list() == pytest.approx([0.02, 0.06, 0.06, 0.06])


def test_the_page_says_who_why_and_what_was_not_used(known: Known, free: Settings) -> None:
    page = text(boost_page(asked(known, free)))
    assert "u is in segment women.new.web; base scores are those of women.new.web" in page
    assert "stock is that of Riga" in page
    assert "Asked: boots, in the whole catalogue; 4 items match." in page
    assert "2 clauses at strength 1: 100% of the first 4 stay among them" in page
    assert "too few carts" in page
    assert "no weight was fitted" in page
    assert "brand Nora +0.0600" in page
    assert "out of stock: the base alone" in page


def test_a_cut_share_is_told(known: Known, free: Settings) -> None:
    strict = free.model_copy(update={"boost": Boost(max_share=0.1, min_overlap=0)})
    # c: 0.06 of 0.46 is above a tenth; b: 0.06 of 0.51 too; a: 0.02 of 0.52 is not.
    assert text(boost_page(asked(known, strict))).count("facets cut to 10%") == 2


def test_the_body_that_is_shown_is_the_body_that_is_sent(known: Known, free: Settings) -> None:
    found = asked(known, free)
    shown = next(s.code for s in boost_page(found).sections if s.title == "Query body")
    assert json.loads(shown) == found.body
    functions = found.body["query"]["function_score"]["query"]["function_score"]["functions"]
    assert len(functions) == 3


def test_a_cold_customer_and_a_stranger_get_the_base_alone(known: Known, free: Settings) -> None:
    stranger = asked(known, free, user="x")
    assert stranger.request.segment == "all"
    assert "nobody knows this customer" in headline(stranger)[0]
    assert "Cold" in headline(stranger)[2]
    rows = stranger.found.rows
    assert rows[c.RANK].to_list() == rows["base_rank"].to_list()


def test_a_segment_without_scores_falls_back_to_all(known: Known) -> None:
    other = known.segments.with_columns(pl.lit("men.new.app").alias(c.SEGMENT))
    assert known.request("u", "", None).segment == "women.new.web"
    assert replace(known, segments=other).request("u", "", None).segment == "all"


def test_a_category_brings_its_group_and_an_unknown_one_is_refused(known: Known) -> None:
    found = known.request("u", "", "boots")
    assert (found.category, found.category_group) == ("boots", "shoes")
    found = known.request("u", "", "shoes")
    assert (found.category, found.category_group) == (None, "shoes")
    with pytest.raises(WrongCall, match=r"no item .* is in 'hats'; there are boots, rugs"):
        known.request("u", "", "hats")


def test_a_search_that_finds_nothing_says_so(known: Known, free: Settings) -> None:
    page = text(boost_page(asked(known, free, query="hats")))
    assert "0 items match" in page
    assert "Nothing matches" in page


def test_what_customers_wrote_cannot_become_markup(known: Known, free: Settings) -> None:
    page = html(boost_page(asked(known, free, query="<boots>")))
    assert "<boots>" not in page
    assert "&lt;boots&gt;" in page
    assert "data:image/png;base64," in page


def test_what_fits_into_a_line_stands_on_one() -> None:
    assert written({"a": [1, 2]}) == '{"a": [1, 2]}'
    long = {"a": ["x" * 80, "y" * 80], "b": {}}
    assert json.loads(written(long)) == long
    assert len(written(long).splitlines()) == 7


def test_the_command_prints_a_page_of_a_simulated_shop_that_only_its_owner_may_read(
    loaded_copy: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VITRINA_HOME", str(loaded_copy.home))
    monkeypatch.setenv("VITRINA_LANDING_FOLDER", str(loaded_copy.landing))
    user = Lake(loaded_copy).read_day(USER_FACETS, DAY)[c.USER_ID][0]
    words = ["--user", user, "--query", "black", "--category", "clothes", "--day", str(DAY)]
    assert main(["explain-boost", *words]) == 0
    printed = capsys.readouterr().out
    assert f"Search of {user}: black in clothes, 12 March 2026" in printed
    written_to = Path(printed.strip().splitlines()[-1].split(": ", 1)[1])
    assert stat.S_IMODE(written_to.stat().st_mode) == 0o600
    assert "Preferences and weights" in written_to.read_text()


def test_indexing_without_an_engine_is_a_wrong_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VITRINA_HOME", str(tmp_path))
    assert main(["index-items", "--day", str(DAY)]) == 2
    assert "VITRINA_SEARCH__URL" in capsys.readouterr().err
