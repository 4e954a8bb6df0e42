from __future__ import annotations

import json
from argparse import ArgumentParser
from datetime import date, timedelta
from hashlib import sha256
from pathlib import Path

import polars as pl
import pytest

from tasks import columns as c
from tasks.landing.manifest import day_folder, landing_days, read_kind, read_manifest
from tasks.settings import Settings
from tasks.simulator import command
from tasks.simulator.delivery import OtherShop, simulate
from tasks.simulator.events import SCHEMA
from tasks.simulator.parameters import DEFAULT, Parameters, world_named

FIRST, DAYS = date(2026, 5, 4), 12
SIZE = {"customers": 300, "items": 200, "seed": 3}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve days of a small shop, written in one go."""
    home = tmp_path_factory.mktemp("shop")
    simulate(home / "landing", home / "truth", FIRST, DAYS, **SIZE)
    return home


def every_file(folder: Path) -> dict[str, str]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): sha256(path.read_bytes()).hexdigest() for path in files}


def landed(home: Path, kind: str, day: date) -> pl.DataFrame:
    frame = read_kind(home / "landing", read_manifest(home / "landing", day), kind)
    assert frame is not None
    return frame


def all_events(home: Path) -> pl.DataFrame:
    days = landing_days(home / "landing")
    return pl.concat([landed(home, "events", day).with_columns(dt=day) for day in days])


def of_people(home: Path) -> pl.DataFrame:
    others = pl.read_parquet(home / "truth" / "accounts.parquet")[c.USER_ID].implode()
    events = all_events(home).unique(c.EVENT_ID, keep="first")
    return events.filter(~pl.col(c.USER_ID).is_in(others))


def test_the_same_seed_gives_the_same_bytes_in_one_go_and_day_by_day(
    home: Path, tmp_path: Path
) -> None:
    for days in (1, 5, DAYS):
        simulate(tmp_path / "landing", tmp_path / "truth", FIRST, days, **SIZE)
    assert every_file(tmp_path) == every_file(home)


def test_another_seed_gives_other_events(home: Path, tmp_path: Path) -> None:
    simulate(tmp_path / "landing", tmp_path / "truth", FIRST, 1, **{**SIZE, "seed": 4})
    one, two = (read_manifest(where / "landing", FIRST) for where in (home, tmp_path))
    assert one.of_kind("events")[0].sha256 != two.of_kind("events")[0].sha256


def test_simulating_days_that_are_there_changes_nothing(home: Path) -> None:
    before = every_file(home)
    summary = simulate(home / "landing", home / "truth", FIRST, DAYS, **SIZE)
    assert summary["days"] == 0
    assert every_file(home) == before


def test_a_run_killed_before_it_saved_its_state_is_taken_up(home: Path, tmp_path: Path) -> None:
    simulate(tmp_path / "landing", tmp_path / "truth", FIRST, 2, **SIZE)
    simulate(tmp_path / "landing", tmp_path / "behind", FIRST, 1, **SIZE)
    simulate(tmp_path / "landing", tmp_path / "behind", FIRST, DAYS, **SIZE)
    assert every_file(tmp_path / "landing") == every_file(home / "landing")


def test_a_folder_with_another_shop_is_refused(home: Path) -> None:
    with pytest.raises(OtherShop, match=r"seed 3 \(asked: 9\)"):
        simulate(home / "landing", home / "truth", FIRST, DAYS, **{**SIZE, "seed": 9})


def test_a_landing_folder_of_another_shop_is_refused(home: Path, tmp_path: Path) -> None:
    with pytest.raises(OtherShop, match="from another source"):
        simulate(home / "landing", tmp_path / "truth", FIRST, 1, **{**SIZE, "seed": 9})


def test_a_landing_folder_that_lost_a_day_is_refused(tmp_path: Path) -> None:
    simulate(tmp_path / "landing", tmp_path / "truth", FIRST, 2, **SIZE)
    (day_folder(tmp_path / "landing", FIRST) / "_MANIFEST.json").unlink()
    with pytest.raises(OtherShop, match=f"lacks {FIRST}"):
        simulate(tmp_path / "landing", tmp_path / "truth", FIRST, 3, **SIZE)


@pytest.mark.parametrize(("landing", "truth"), [("a", "a"), ("a", "a/truth"), ("a/b", "a")])
def test_truth_never_lies_with_landing(tmp_path: Path, landing: str, truth: str) -> None:
    with pytest.raises(OtherShop, match="folders apart"):
        simulate(tmp_path / landing, tmp_path / truth, FIRST, 1, **SIZE)


def test_no_setting_names_the_truth() -> None:
    assert not [name for name in Settings.model_fields if "truth" in name]


def test_nothing_true_lands(home: Path) -> None:
    for day in landing_days(home / "landing"):
        manifest = read_manifest(home / "landing", day)
        kinds = {"events", "items", "item_attributes", "customers", "contacts"}
        assert {file.kind for file in manifest.files} == kinds
        assert landed(home, "events", day).schema == pl.Schema(SCHEMA)
    hidden = {"appeal", "quality", "taste", "p_examined", "buyer", "true_gender"}
    for kind in ("items", "customers"):
        assert not hidden & set(landed(home, kind, FIRST).columns)


def test_the_manifest_says_which_shop_it_was(home: Path) -> None:
    facts = read_manifest(home / "landing", FIRST).facts["simulator"]
    assert facts == json.loads((home / "truth" / "shop.json").read_text())
    assert facts["version"] == DEFAULT.version
    assert facts["digest"] == DEFAULT.digest


def test_other_parameters_have_another_digest() -> None:
    assert Parameters(late=0.5).digest != DEFAULT.digest
    assert Parameters().digest == DEFAULT.digest


def test_rates_are_those_of_a_shop(home: Path) -> None:
    events = of_people(home)
    counts = dict(events.group_by(c.EVENT_TYPE).len().iter_rows())
    assert set(counts) == set(c.EVENT_TYPES)
    listed = events.filter((pl.col(c.EVENT_TYPE) == c.VIEW) & pl.col(c.POSITION).is_not_null())
    assert 0.05 < listed.height / counts[c.IMPRESSION] < 0.13
    assert 0.05 < counts[c.CART] / counts[c.VIEW] < 0.11
    assert 0.3 < counts[c.ORDER] / counts[c.CART] < 0.6
    assert 0.01 < counts[c.ORDER] / counts[c.VIEW] < 0.045


def test_popularity_is_concentrated(home: Path) -> None:
    views = of_people(home).filter(pl.col(c.EVENT_TYPE) == c.VIEW)
    counts = views.group_by(c.ITEM_ID).len()["len"].sort(descending=True)
    assert counts[:20].sum() / counts.sum() > 0.25


def test_two_percent_of_listings_are_shuffled_and_their_truth_is_kept(home: Path) -> None:
    shown = of_people(home).filter(pl.col(c.EVENT_TYPE) == c.IMPRESSION)
    kinds = shown.unique(c.LISTING_ID).group_by(c.LISTING_KIND).len()
    shares = {kind: count / kinds["len"].sum() for kind, count in kinds.iter_rows()}
    assert 0.005 < shares["shuffled"] < 0.05
    truth = pl.read_parquet(home / "truth" / "listings" / "*" / "*.parquet")
    shuffled = shown.filter(pl.col(c.LISTING_KIND) == "shuffled")
    known = shuffled.join(truth, on=[c.LISTING_ID, c.ITEM_ID, c.POSITION], how="semi")
    assert known.height == shuffled.height
    assert truth[c.P_EXAMINED].is_between(0, 1).all()
    assert truth["p_cart_if_examined"].is_between(0, 1).all()


def test_every_event_lies_in_the_delivery_of_its_receipt(home: Path) -> None:
    events = all_events(home)
    assert (events[c.RECEIVED_AT].dt.date() == events["dt"]).all()
    assert (events[c.RECEIVED_AT] > events[c.TS]).all()


def test_some_events_are_late_and_some_come_twice(home: Path) -> None:
    events = all_events(home)
    late = (events["dt"] > events[c.TS].dt.date()).mean()
    assert 0.001 < late < 0.01
    twice = events.filter(pl.col(c.EVENT_ID).is_duplicated())
    assert 0.003 < twice[c.EVENT_ID].n_unique() / events.height < 0.008
    deliveries = twice.group_by(c.EVENT_ID).agg(pl.col("dt").n_unique())["dt"]
    assert deliveries.min() == 1
    assert deliveries.max() == 2


def test_bots_and_staff_act_faster_than_people(home: Path) -> None:
    accounts = pl.read_parquet(home / "truth" / "accounts.parquet")
    assert set(accounts["account"]) == {"bot", "staff"}
    hours = all_events(home).group_by(c.USER_ID, pl.col(c.TS).dt.truncate("1h")).len()
    peaks = hours.group_by(c.USER_ID).agg(pl.col("len").max())
    people = peaks.join(accounts, on=c.USER_ID, how="anti")["len"].max()
    others = peaks.join(accounts, on=c.USER_ID)["len"].min()
    assert people < 500 < others


def test_the_quiet_night_is_quiet(home: Path) -> None:
    quiet = FIRST + timedelta(DEFAULT.quiet_day)
    counts = of_people(home).group_by(pl.col(c.TS).dt.date()).len()
    by_day = dict(counts.iter_rows())
    assert by_day[quiet] < 0.4 * by_day[quiet - timedelta(1)]


def test_orders_follow_carts_and_returns_follow_orders(home: Path) -> None:
    events = of_people(home).select(c.USER_ID, c.ITEM_ID, c.EVENT_TYPE, c.TS)
    firsts = {
        kind: events.filter(pl.col(c.EVENT_TYPE) == kind).group_by(c.USER_ID, c.ITEM_ID).agg(
            pl.col(c.TS).min()
        )
        for kind in (c.CART, c.ORDER, c.RETURN)
    }  # fmt: skip
    for cause, effect in ((c.CART, c.ORDER), (c.ORDER, c.RETURN)):
        pairs = firsts[effect].join(firsts[cause], on=[c.USER_ID, c.ITEM_ID], suffix="_cause")
        # Those without their cause had it received after the last day.
        assert pairs.height >= 0.95 * firsts[effect].height
        assert (pairs[c.TS] > pairs[f"{c.TS}_cause"]).mean() > 0.99


def test_items_have_many_attributes_and_newcomers_join(home: Path) -> None:
    last = FIRST + timedelta(DAYS - 1)
    attributes = landed(home, "item_attributes", last)
    assert attributes[c.ATTRIBUTE].n_unique() >= 30
    assert not attributes.select(c.ITEM_ID, c.ATTRIBUTE).is_duplicated().any()
    items = landed(home, "items", last)
    assert (items[c.FIRST_SEEN] <= last).all()
    assert items.height > landed(home, "items", FIRST).height
    assert items[c.PRICE].min() > 0


def test_prices_change_over_weeks(home: Path) -> None:
    first, last = (landed(home, "items", FIRST + timedelta(shift)) for shift in (0, 7))
    both = first.join(last, on=c.ITEM_ID, suffix="_later")
    assert 0.1 < (both[c.PRICE] != both[f"{c.PRICE}_later"]).mean() < 0.5


def test_letters_go_to_those_who_agreed(home: Path) -> None:
    days = landing_days(home / "landing")
    contacts = pl.concat([landed(home, "contacts", day) for day in days])
    agreed = landed(home, "customers", days[-1]).filter(c.CONSENT)[c.USER_ID]
    assert contacts.height > 0
    assert contacts[c.USER_ID].is_in(agreed.implode()).all()


def test_the_command_writes_below_home_and_prints_what_it_wrote(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = ArgumentParser()
    command.add_arguments(parser)
    sizes = ["--size", "300", "--items", "200", "--seed", "1"]
    args = parser.parse_args(["--days", "2", "--last-day", "2026-05-05", *sizes])
    assert command.run(args, Settings(home=tmp_path)) == 0
    assert landing_days(tmp_path / "landing") == [date(2026, 5, 4), date(2026, 5, 5)]
    assert (tmp_path / "truth" / "shop.json").exists()
    assert "impression" in capsys.readouterr().out


def test_items_follow_customers_and_each_has_its_bounds(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert [command.items_of(size) for size in (300, 3_000, 5_000_000)] == [200, 1276, 500_000]
    parser = ArgumentParser()
    command.add_arguments(parser)
    assert parser.parse_args(["--last-day", "2026-05-05", "--size", "3_000"]).size == 3_000
    refused = {
        ("--size", "299"): "'299': there may be 300 to 5,000,000 customers",
        ("--size", "5000001"): "there may be 300 to 5,000,000 customers",
        ("--size", "3k"): "'3k': there may be 300 to 5,000,000 customers",
        ("--items", "3"): "'3': there may be 200 to 500,000 items",
        ("--days", "0"): "'0': there may be 1 to 1,000 days",
        ("--world", "smooth"): "smooth",
    }
    for words, told in refused.items():
        with pytest.raises(SystemExit):
            parser.parse_args(["--last-day", "2026-05-05", *words])
        assert told in capsys.readouterr().err


def test_a_rough_shop_says_so_in_its_manifests(tmp_path: Path) -> None:
    parser = ArgumentParser()
    command.add_arguments(parser)
    words = ["--days", "1", "--last-day", "2026-05-05", "--size", "300", "--world", "rough:cascade"]
    assert command.run(parser.parse_args(words), Settings(home=tmp_path)) == 0
    facts = read_manifest(tmp_path / "landing", date(2026, 5, 5)).facts["simulator"]
    parameters = world_named("rough:cascade")
    assert (facts["version"], facts["digest"]) == (parameters.version, parameters.digest)
