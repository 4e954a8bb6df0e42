"""Mapping files: what they may say, and how a wrong one is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.errors import ContractViolation
from tasks.lake.tables import EVENTS
from tasks.landing.importers import IMPORTERS
from tasks.landing.importers.mapping import read_mapping

SHORT = """
source = "shop"
[columns]
ts = "when"
user_id = "who"
item_id = "what"
event_type = "did"
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "mapping.toml"
    path.write_text(text)
    return path


def test_the_shortest_mapping_names_four_columns(tmp_path: Path) -> None:
    mapping = read_mapping(written(tmp_path, SHORT))
    assert mapping.line_columns() == {"when", "who", "what", "did"}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("source = ", "is no TOML"),
        (SHORT.replace('user_id = "who"', ""), "no source column is named for user_id"),
        (SHORT.replace('event_type = "did"', ""), "no source column is named for event_type"),
        (SHORT + 'mood = "m"', "mood: no such event column; allowed: ts"),
        (SHORT + '[events]\nsold = "purchase"', "purchase: no such event_type"),
        ('zone = "Mars/Base"\n' + SHORT, "zone: Value error, Mars/Base is no time zone"),
        ('not_items = "("\n' + SHORT, "not_items: Value error"),
        ("number_lines = true\n" + SHORT, "number_lines needs event_id"),
        ("minor_units = 0\n" + SHORT, "minor_units: Input should be greater"),
        ('colour = "red"\n' + SHORT, "colour: Extra inputs are not permitted"),
        (SHORT + '[items]\nfile = "goods*"', "file and key go together"),
        (SHORT + '[items.columns]\nweight = "w"', "weight: no such item column"),
        (SHORT + '[constants]\nplatform = "fridge"', "platform fridge is none of web"),
    ],
)
def test_a_wrong_mapping_is_refused_by_what_is_wrong(
    tmp_path: Path, text: str, complaint: str
) -> None:
    with pytest.raises(ContractViolation, match=r"mapping\.toml") as raised:
        read_mapping(written(tmp_path, text))
    assert complaint in str(raised.value)


def test_an_absent_mapping_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ContractViolation, match="No such file"):
        read_mapping(tmp_path / "none.toml")


@pytest.mark.parametrize("name", [name for name in IMPORTERS if IMPORTERS[name].mapping])
def test_every_importer_maps_to_columns_of_the_contract(name: str) -> None:
    mapping = IMPORTERS[name].mapped(name, None)
    assert mapping.source == name
    assert {*mapping.columns, *mapping.constants} <= set(EVENTS.columns)
    assert mapping.notes
    computed = {column for column, _ in IMPORTERS[name].lines_from}
    assert not computed & IMPORTERS[name].line_columns(mapping)


def test_the_generic_importer_needs_a_mapping_and_the_others_refuse_one() -> None:
    with pytest.raises(ContractViolation, match="needs --mapping"):
        IMPORTERS["generic"].mapped("generic", None)
    with pytest.raises(ContractViolation, match="has its own mapping"):
        IMPORTERS["rees46"].mapped("rees46", Path("mine.toml"))
