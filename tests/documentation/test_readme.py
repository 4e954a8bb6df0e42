from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    path = Path(__file__).with_name("generate.py")
    spec = importlib.util.spec_from_file_location("generate_documentation", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_generated_tables_are_fresh(generate: ModuleType) -> None:
    assert generate.filled(README) == README, "README.md is stale: make docs"


def test_every_dag_has_a_row_with_all_its_cells(generate: ModuleType) -> None:
    rows = generate.dag_table().splitlines()[2:]
    assert len(rows) == len(list((ROOT / "dags").glob("*.py"))) >= 5
    assert all(cell.strip() for row in rows for cell in re.split(r"(?<!\\)\|", row)[1:-1])


def test_a_runbook_paragraph_ends_where_the_next_begins(generate: ModuleType) -> None:
    docstring = (
        "Do it.\n\n- **Reads** a,\n  b.\n- **Writes** c.\n- **Runs** daily. Normal: 2 minutes."
    )
    assert generate.paragraph(docstring, "Reads") == "a, b."
    assert generate.paragraph(docstring, "Writes") == "c."
    assert generate.paragraph(docstring, "Users") == ""


def test_a_readme_without_the_place_of_a_table_is_refused(generate: ModuleType) -> None:
    with pytest.raises(ValueError, match="no place for dags"):
        generate.filled("# Nothing")


def test_every_make_target_that_the_readme_names_exists() -> None:
    named = set(re.findall(r"(?:`|^)make ([a-z-]+)", README, re.MULTILINE))
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    benches = {
        "bench-" + path.stem.removeprefix("bench_").replace("_", "-")
        for path in (ROOT / "tests" / "benchmarks").glob("bench_*.py")
    }
    assert {"demo", "test", "stop"} <= named <= targets | benches


def test_every_folder_and_file_that_the_readme_links_to_exists() -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", README)
    paths = re.findall(r"`((?:tasks|dags|sql|plugins|tests|docker)/[\w./-]*)`", README)
    assert links
    assert [path for path in links + paths if not (ROOT / path).exists()] == []


def test_every_setting_that_the_readme_names_exists(generate: ModuleType) -> None:
    from tasks.settings import variables

    assert set(re.findall(r"\bVITRINA_[A-Z_]+[A-Z]\b", README)) <= set(variables())


def test_every_command_that_the_readme_names_exists() -> None:
    from tasks.__main__ import COMMANDS

    named = set(re.findall(r"python -m tasks ([a-z-]+)", README))
    assert named
    assert named <= {*COMMANDS, "run", "settings"}
