"""What make tells the product and the tests."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def make(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    told = {name: value for name, value in os.environ.items() if not name.startswith("VITRINA_")}
    return subprocess.run(
        ["make", "--no-print-directory", *words],
        cwd=ROOT,
        env=told | variables,
        capture_output=True,
        text=True,
        check=False,
    )


def told(name: str, *words: str, **variables: str) -> str:
    return make("--eval", f"told:; @echo $${name}", "told", *words, **variables).stdout.strip()


def test_the_code_version_is_that_of_the_checkout_unless_told() -> None:
    assert told("VITRINA_CODE_VERSION")
    assert told("VITRINA_CODE_VERSION", VITRINA_CODE_VERSION="v7") == "v7"


def test_tests_find_public_data_only_where_there_are_some(tmp_path: Path) -> None:
    assert told("VITRINA_REAL_DATA", "REAL_DATA=") == ""
    assert told("VITRINA_REAL_DATA", f"REAL_DATA={tmp_path}") == str(tmp_path)


def test_the_demo_on_public_data_says_when_they_are_absent(tmp_path: Path) -> None:
    done = make("needs-online-retail", f"REAL_DATA={tmp_path}")
    assert done.returncode == 2
    assert f"no folder '{tmp_path}/online_retail'; say where" in done.stderr


def test_the_real_shops_month_is_judged_by_the_demos_settings_and_no_other_bench_is(
    tmp_path: Path,
) -> None:
    (tmp_path / "online_retail").mkdir()
    demo, month, gate = (
        set(re.findall(r"VITRINA_\w+=\S+", make("-n", name, f"REAL_DATA={tmp_path}").stdout))
        for name in ("demo-online-retail", "bench-retail-month", "bench-gate")
    )
    assert demo - month == {"VITRINA_HOME=.vitrina/online_retail"}
    assert month - demo == gate == set()
