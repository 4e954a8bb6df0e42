"""What each layer may import and touch, read from the sources."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TASKS = sorted((ROOT / "tasks").rglob("*.py"))
DAGS = sorted((ROOT / "dags").glob("*.py"))


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def with_parents(tree: ast.AST) -> Iterator[ast.AST]:
    for parent in ast.walk(tree):
        for child in ast.iter_child_nodes(parent):
            child.parent = parent  # type: ignore[attr-defined]
            yield child


def packages(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imported(ast.parse(path.read_text()))}


def test_sources_are_found() -> None:
    assert len(TASKS) > 50
    assert DAGS


@pytest.mark.parametrize("path", TASKS, ids=lambda path: str(path.relative_to(ROOT)))
def test_tasks_know_nothing_of_airflow(path: Path) -> None:
    assert not packages(path) & {"airflow", "vitrina_airflow", "vitrina_plugin"}


@pytest.mark.parametrize("path", DAGS, ids=lambda path: path.stem)
def test_dags_import_no_library(path: Path) -> None:
    allowed = {"__future__", "datetime", "pendulum", "airflow", "vitrina_airflow"}
    assert packages(path) <= allowed


@pytest.mark.parametrize("path", DAGS, ids=lambda path: path.stem)
def test_a_task_body_is_one_call(path: Path) -> None:
    bodies = [
        node
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef) and node.args.kwarg is not None
    ]
    assert bodies
    assert all(len(node.body) == 1 and isinstance(node.body[0], ast.Return) for node in bodies)


@pytest.mark.parametrize(
    "path",
    [path for path in TASKS if path.name != "settings.py"],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_only_settings_read_the_environment(path: Path) -> None:
    source = path.read_text()
    named = [
        ast.get_source_segment(source, node.parent)  # type: ignore[attr-defined]
        for node in with_parents(ast.parse(source))
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv")
    ]
    # What a library wants to find there may be set.
    assert [found for found in named if found != "os.environ.setdefault"] == []
