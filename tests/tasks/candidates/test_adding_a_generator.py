"""The README's paragraph on adding a generator, followed to the letter in a copy of the project."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

ROOT = Path(__file__).resolve().parents[3]
NAME = "newest"
MODULE = '''"""Items by the day on which anybody touched them last.

score(item) = days from 1970-01-01 to its last interaction
"""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks import columns as c
from tasks.candidates.generator import NO_OPINION, Floats, Generator, Known, Requests, Run
from tasks.settings import Candidates


class Newest(Generator):
    """What was touched last, for everybody alike."""

    name: ClassVar[str] = "newest"

    def __init__(self, item_ids: pl.Series, days: Floats) -> None:
        """Keep each item's last day."""
        self.item_ids = item_ids
        self._days = days

    @classmethod
    def fit(cls, known: Known, options: Candidates, run: Run) -> Self:
        """Find each item's last day."""
        day = pl.col(c.TS).dt.date().max().dt.epoch("d").cast(pl.Float32).alias("day")
        last = known.interactions.group_by(c.ITEM_ID).agg(day)
        ids = known.item_ids()
        found = pl.DataFrame({c.ITEM_ID: ids}).join(last, on=c.ITEM_ID, how="left")
        return cls(ids, found.sort(c.ITEM_ID)["day"].fill_null(NO_OPINION).to_numpy())

    def scores(self, requests: Requests) -> Floats:
        """Return the same days for everybody."""
        return np.tile(self._days, (requests.height, 1))

    def state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Return items and days."""
        return {"days": self._days}, {"item_ids": self.item_ids.to_list()}

    @classmethod
    def restore(cls, arrays: dict[str, NDArray[Any]], facts: dict[str, Any]) -> Self:
        """Return the generator that gave this state."""
        return cls(pl.Series(c.ITEM_ID, facts["item_ids"]), arrays["days"])
'''
ENTRY = f'    "{NAME}": "tasks.candidates.{NAME}:Newest",\n'


def told() -> dict[str, str]:
    """Return the paragraph's steps: what stands between its backticks, by what it begins with."""
    readme = (ROOT / "README.md").read_text()
    paragraph = next(
        part for part in readme.split("\n\n") if part.startswith("**A generator, step")
    )
    quoted = [" ".join(words.split()) for words in re.findall(r"`([^`]+)`", paragraph)]
    steps = ("tasks/candidates/<", "GENERATORS", "tasks/candidates/__init__", "python -m pytest",
             "python -m tasks", "VITRINA_")  # fmt: skip
    return {step: next(words for words in quoted if words.startswith(step)) for step in steps}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy in which steps 1 and 2 were done, and nothing else."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("tasks", "sql", "plugins", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    steps = told()
    (folder / steps["tasks/candidates/<"].replace("<name>", NAME)).write_text(MODULE)
    registry = folder / steps["tasks/candidates/__init__"]
    head, begin, rest = registry.read_text().partition(
        f"{steps['GENERATORS']}: dict[str, str] = {{"
    )
    entries, end, tail = rest.partition("}\n")
    registry.write_text(f"{head}{begin}{entries}{ENTRY}{end}{tail}")
    return folder


def done(command: str, project: Path, **variables: str) -> str:
    """Return what a command of the paragraph prints in the copy."""
    python, *words = shlex.split(command)
    assert python == "python"
    plain = {name: value for name, value in os.environ.items() if not name.startswith("VITRINA_")}
    paths = os.pathsep.join([str(project), str(project / "plugins")])
    ours = {"PYTHONPATH": paths, "VITRINA_HOME": str(project / "home"), **variables}
    call = [sys.executable, *words]
    run = subprocess.run(
        call, cwd=project, env=plain | ours, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def test_the_conformance_test_runs_over_it(project: Path) -> None:
    # The registry's others are run over where this file lies.
    printed = done(f"{told()['python -m pytest']} -k {NAME} -p no:cacheprovider", project)
    assert re.search(r"\b1[0-9] passed", printed), printed


def test_it_is_set_beside_popularity_on_a_file(project: Path) -> None:
    rows = [
        (f"u{user}", f"i{(user + step) % 9}", f"2026-03-{1 + step:02d} 10:00:00")
        for user in range(10)
        for step in range(12)
    ]
    names = ["user_id", "item_id", "when"]
    pl.DataFrame(rows, schema=names, orient="row").write_csv(project / "clicks.csv")
    command = told()["python -m tasks"].replace("<name>", NAME)
    command = command.replace("FILE", "clicks.csv").replace("COLUMN", "when")
    printed = done(command, project)
    assert {NAME, "popular_7d"} <= {line.split()[0] for line in printed.splitlines() if line}


def test_it_trains_every_night_once_the_setting_names_it(project: Path) -> None:
    ask = (
        "from datetime import date; from tasks.settings import Settings; "
        "from tasks.train_candidates import list_generators; "
        "print(list_generators(date(1970, 1, 1), Settings()))"
    )
    named = {told()["VITRINA_"]: f'["popular", "{NAME}"]'}
    assert done(f"python -c {shlex.quote(ask)}", project, **named) == f"['popular', '{NAME}']\n"
