"""The boost against a real OpenSearch: the order of the frames, and loads that are all or none."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from pydantic import SecretStr, ValidationError

from tasks import columns as c
from tasks.__main__ import main
from tasks.boost.body import body
from tasks.boost.clauses import clauses
from tasks.boost.documents import FACETS
from tasks.boost.engine import Engine
from tasks.boost.guards import Guarded, guarded
from tasks.boost.index import Loaded, aliased, indices, load
from tasks.boost.request import Request, candidates
from tasks.errors import ContractViolation, InputNotReady, WrongCall
from tasks.lake.lake import Lake
from tasks.lake.tables import USER_FACETS
from tasks.settings import Boost, Search, Settings
from tests.search_engine.catalogue import Drawn, drawn
from tests.search_engine.faulty import Gate, gate_before
from tests.search_engine.node import NotToBeHad, search_node

pytestmark = pytest.mark.search

DAY = date(2026, 3, 12)
TOP = 300
EVERY = 10_000
OPTIONS = Boost(max_share=0.25, max_clauses=40, min_overlap=0.4)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    try:
        with search_node(tmp_path_factory.mktemp("search") / "node") as found:
            yield found
    except NotToBeHad as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def catalogue() -> Drawn:
    return drawn(items=3_000, customers=200, seed=5)


@pytest.fixture(scope="module")
def engine(url: str, catalogue: Drawn) -> Engine:
    """An engine that holds the catalogue."""
    found = Engine(Search(url=url, alias="shop"))
    load(found, DAY, catalogue.documents)
    return found


@pytest.fixture
def empty(url: str, request: pytest.FixtureRequest) -> Engine:
    """An engine with an alias of the test's own, and two items at a time."""
    return Engine(Search(url=url, alias=request.node.name, bulk_rows=2))


@pytest.fixture
def gate(url: str) -> Iterator[Gate]:
    with gate_before(url) as found:
        yield found


@pytest.fixture(scope="module")
def ours(catalogue: Drawn) -> Guarded:
    """Every customer's search on frames."""
    found = [
        candidates(catalogue.documents, request).with_columns(pl.lit(user).alias("request"))
        for user, request in catalogue.requests.items()
    ]
    asked = [
        clauses(
            catalogue.preferences.filter(pl.col(c.USER_ID) == user),
            catalogue.weights,
            OPTIONS,
            request.category_group,
        ).with_columns(pl.lit(user).alias("request"))
        for user, request in catalogue.requests.items()
    ]
    facets = catalogue.documents.select(c.ITEM_ID, pl.col(FACETS).alias("facet")).explode("facet")
    return guarded(pl.concat(found), facets.drop_nulls(), pl.concat(asked), OPTIONS)


def top(rows: pl.DataFrame, user: str, rank: str = c.RANK) -> pl.DataFrame:
    mine = rows.filter(pl.col("request") == user, pl.col(rank) <= TOP)
    return mine.sort(rank)


def test_the_engine_returns_the_order_of_the_frames_for_200_customers(
    catalogue: Drawn, ours: Guarded, engine: Engine
) -> None:
    full = 0
    for user, request in catalogue.requests.items():
        mine = ours.clauses.filter(pl.col("request") == user)
        theirs = engine.search("shop", body(request, mine, OPTIONS, TOP))
        expected = top(ours.rows, user)
        assert theirs[c.ITEM_ID].to_list() == expected[c.ITEM_ID].to_list(), user
        assert theirs[c.SCORE].equals(expected[c.SCORE]), user
        full += theirs.height == TOP
    assert full > 100
    # The draw has what could go wrong: cold customers, ties, caps, boosts that were halved.
    assert 100 < ours.clauses["request"].n_unique() < 180
    assert ours.report["strength"].n_unique() > 2
    assert ours.rows.select("request", c.SCORE).is_duplicated().mean() > 0.1


def test_the_base_alone_has_the_order_of_the_segments_scores(
    catalogue: Drawn, ours: Guarded, engine: Engine
) -> None:
    none = ours.clauses.clear()
    for user, request in list(catalogue.requests.items())[:20]:
        theirs = engine.search("shop", body(request, none, OPTIONS, TOP))
        expected = top(ours.rows, user, "base_rank")
        assert theirs[c.ITEM_ID].to_list() == expected[c.ITEM_ID].to_list()
        assert theirs[c.SCORE].equals(expected["base"].rename(c.SCORE))


def test_an_item_out_of_stock_never_rises_in_the_engine(catalogue: Drawn, engine: Engine) -> None:
    request = Request("all", category_group="shoes", city="Oslo")
    every = candidates(catalogue.documents, request)
    brands = pl.DataFrame({"facet": [f"shoes/brand/v{n}" for n in range(12)], "boost": [0.5] * 12})
    none = engine.search("shop", body(request, brands.clear(), OPTIONS, EVERY))
    boosted = engine.search("shop", body(request, brands, OPTIONS, EVERY))
    ranks = none.with_row_index("before").join(
        boosted.with_row_index("after"), on=c.ITEM_ID, validate="1:1"
    )
    ranks = ranks.join(every, on=c.ITEM_ID)
    gone = ranks.filter(~pl.col("is_stocked"))
    assert 0 < gone.height < ranks.height == every.height
    assert (gone["after"] >= gone["before"]).all()
    assert (ranks["after"] < ranks["before"]).any()


# The two traps of the engine, and that our body goes round both.

RUGS = Request("all", category="rugs")


def asked(facet: str) -> pl.DataFrame:
    return pl.DataFrame({"facet": [facet], "boost": [0.25]})


def scores(engine: Engine, query: dict[str, object]) -> list[float]:
    """The scores of all that a query finds, by item."""
    found = engine.search("shop", {"query": query, "size": EVERY}).sort(c.ITEM_ID)
    assert found.height > 100
    return found[c.SCORE].to_list()


def test_the_engine_takes_no_matching_function_as_1_and_our_body_does_not(engine: Engine) -> None:
    base = body(RUGS, asked("x").clear(), OPTIONS, EVERY)["query"]
    alone = scores(engine, base)
    function = {"filter": {"term": {FACETS: "no/such/facet"}}, "weight": 0.25}
    trap = {"query": base, "functions": [function], "score_mode": "sum", "boost_mode": "sum"}
    assert scores(engine, {"function_score": trap}) == pytest.approx([x + 1 for x in alone])
    ours = body(RUGS, asked("no/such/facet"), OPTIONS, EVERY)["query"]
    assert scores(engine, ours) == alone


@pytest.mark.parametrize("mode", ["multiply", "min"])
def test_a_base_that_only_filters_scores_0_and_ours_does_not(engine: Engine, mode: str) -> None:
    filters = {"bool": {"filter": [{"term": {"category": "rugs"}}]}}
    base = {"field": "sf_pos.all"}
    trap = {"query": filters, "field_value_factor": base, "boost_mode": mode}
    assert set(scores(engine, {"function_score": trap})) == {0.0}
    ours = body(RUGS, asked("home/brand/v1"), OPTIONS, EVERY)["query"]
    assert min(scores(engine, ours)) >= 0.4


# Loads

FEW = drawn(items=9, customers=2, seed=1).documents


def test_a_load_counts_names_and_switches(empty: Engine, caplog: pytest.LogCaptureFixture) -> None:
    alias = empty.options.alias
    with caplog.at_level(logging.INFO):
        first = load(empty, DAY, FEW)
    assert first == Loaded(f"{alias}-2026-03-12-001", 9, [])
    assert "5 of 5 (100%), 9 of 9 items" in caplog.text
    second = load(empty, DAY, FEW.head(4))
    assert second == Loaded(f"{alias}-2026-03-12-002", 4, [first.index])
    assert aliased(empty) == [second.index]
    assert empty.search(alias, {"query": {"match_all": {}}}).height == 4


def test_one_earlier_index_is_kept_to_go_back_to(empty: Engine) -> None:
    names = [load(empty, DAY, FEW.head(2)).index for _ in range(3)]
    assert indices(empty) == names[1:]


def test_an_old_index_that_cannot_be_deleted_does_not_undo_the_load(
    empty: Engine, gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    gate.refuses = "DELETE"
    through = Engine(empty.options.model_copy(update={"url": gate.url}))
    names = [load(through, DAY, FEW.head(2)).index for _ in range(3)]
    assert indices(empty) == names
    assert aliased(empty) == [names[2]]
    assert "an index of an earlier load stays" in caplog.text
    assert load(empty, DAY, FEW.head(2)).before == [names[2]]
    assert len(indices(empty)) == 2


def test_another_alias_that_begins_alike_is_left_alone(url: str) -> None:
    long, short = (Engine(Search(url=url, alias=name)) for name in ("shelf_two", "shelf"))
    load(long, DAY, FEW)
    load(short, DAY, FEW)
    load(short, DAY, FEW)
    load(short, DAY, FEW)
    assert len(indices(long)) == 1
    assert len(indices(short)) == 2


def test_an_item_that_the_engine_refuses_stops_the_load_and_the_alias_stays(empty: Engine) -> None:
    before = load(empty, DAY, FEW).index
    endless = pl.when(pl.int_range(pl.len()) == 6).then(["x" * 40_000]).otherwise("words")
    with pytest.raises(ContractViolation, match=r"refused 1 of 2 items, e\.g\. i00000"):
        load(empty, DAY, FEW.with_columns(endless.alias("words")))
    assert aliased(empty) == [before]
    assert indices(empty) == [before]


def test_an_engine_that_dies_in_the_middle_leaves_the_alias_and_the_next_load_tidies(
    empty: Engine, gate: Gate
) -> None:
    before = load(empty, DAY, FEW).index
    gate.breaks_at = 3
    with pytest.raises(InputNotReady, match=r"does not answer POST .*_bulk"):
        load(Engine(empty.options.model_copy(update={"url": gate.url})), DAY, FEW)
    assert gate.bulks == 3
    assert aliased(empty) == [before]
    half = f"{empty.options.alias}-2026-03-12-002"
    assert indices(empty) == [before, half]
    after = load(empty, DAY, FEW).index
    assert indices(empty) == [before, after]


def test_items_that_got_lost_are_missed_by_the_count(empty: Engine, gate: Gate) -> None:
    before = load(empty, DAY, FEW).index
    gate.swallows = 2
    with pytest.raises(ContractViolation, match="9 items were sent, the index holds 7"):
        load(Engine(empty.options.model_copy(update={"url": gate.url})), DAY, FEW)
    assert aliased(empty) == [before]
    assert indices(empty) == [before]


def test_another_index_under_the_alias_is_taken_out_by_the_next_load(empty: Engine) -> None:
    before, alias = load(empty, DAY, FEW).index, empty.options.alias
    empty.ask("PUT", f"{alias}-by-hand", {"aliases": {alias: {}}})
    assert aliased(empty) == [before, f"{alias}-by-hand"]
    after = load(empty, DAY, FEW).index
    assert aliased(empty) == [after]
    assert f"{alias}-by-hand" in empty.ask("GET", f"{alias}-*/_settings")


def test_what_is_no_search_engine_is_told_so(url: str, gate: Gate) -> None:
    gate.says = "<html>welcome</html>"
    with pytest.raises(ContractViolation, match="no search engine: it answers GET _x with '<html>"):
        Engine(Search(url=gate.url)).ask("GET", "_x")
    with pytest.raises(ValidationError, match="url"):
        Search(url="127.0.0.1:9200")


def test_nothing_is_no_index(empty: Engine) -> None:
    before = load(empty, DAY, FEW).index
    with pytest.raises(ContractViolation, match="no item to index"):
        load(empty, DAY, FEW.clear())
    assert aliased(empty) == [before]


def test_an_index_in_the_aliass_place_is_not_overwritten(empty: Engine) -> None:
    alias = empty.options.alias
    empty.ask("PUT", alias)
    with pytest.raises(ContractViolation, match="same name as the alias"):
        load(empty, DAY, FEW)
    assert indices(empty) == []
    assert empty.ask("GET", f"{alias}/_count")["count"] == 0


def test_a_search_without_an_index_says_so(empty: Engine) -> None:
    with pytest.raises(ContractViolation, match="404: no such index"):
        empty.search(empty.options.alias, {})


def test_a_login_is_sent_and_never_told(url: str, gate: Gate) -> None:
    gate.login = "vitrina:secret"
    with pytest.raises(ContractViolation, match="401: who are you") as refused:
        Engine(Search(url=gate.url)).ask("GET", "")
    right = Search(url=gate.url, login=SecretStr("vitrina:secret"))
    assert Engine(right).ask("GET", "")["version"]["distribution"] == "opensearch"
    assert "secret" not in f"{refused.value}{right}"


def test_an_engine_that_is_not_there_is_named(tmp_path: Path) -> None:
    nobody = Search(url="http://user:secret@127.0.0.1:9")
    with pytest.raises(InputNotReady) as raised:
        Engine(nobody).ask("GET", "")
    message = str(raised.value)
    assert "http://127.0.0.1:9 does not answer GET" in message
    assert "secret" not in message
    with pytest.raises(WrongCall, match="VITRINA_SEARCH__URL"):
        Engine(Search())


def test_the_commands_index_a_day_and_find_the_pages_order_in_the_engine(
    url: str,
    loaded_copy: Settings,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    told = {
        "VITRINA_HOME": str(loaded_copy.home),
        "VITRINA_LANDING_FOLDER": str(loaded_copy.landing),
        "VITRINA_SEARCH__URL": url,
        "VITRINA_SEARCH__ALIAS": "commands",
    }
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    user = Lake(loaded_copy).read_day(USER_FACETS, DAY)[c.USER_ID][0]
    words = ["--user", user, "--query", "", "--category", "clothes", "--day", str(DAY)]
    assert main(["explain-boost", *words]) == 0
    assert "404: no such index [commands]" in capsys.readouterr().out
    assert main(["index-items", "--day", str(DAY)]) == 0
    index = capsys.readouterr().out.split()[2]
    assert main(["explain-boost", *words]) == 0
    assert f"{index} gives the order above" in capsys.readouterr().out
