"""A real OpenSearch node from Maven's jars, without Maven and without a compiler on the machine.

Spark's own Ivy fetches what `jars.lock` pins (a mirror by Spark's own variable
DEFAULT_ARTIFACT_REPOSITORY), each jar's SHA-256 is compared, and the compiler among them makes
`SearchNode`. All of it is kept in `.cache`.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import requests
from filelock import FileLock

from tests.cluster.servers import end

FOLDER = Path(__file__).parent
LOCK, SOURCE = FOLDER / "jars.lock", FOLDER / "SearchNode.java"
CACHE = FOLDER.parents[1] / ".cache" / "search_engine"
MIRROR = "DEFAULT_ARTIFACT_REPOSITORY"
HEAP = ("-Xms512m", "-Xmx512m", "-XX:+UseSerialGC", "-Dlog4j2.disable.jmx=true")
STARTS_SECONDS = 180


class NotToBeHad(Exception):
    """The node cannot be made on this machine; the message says why."""


def pinned() -> dict[str, str]:
    """Return the SHA-256 of each `organisation:module:revision`."""
    lines = [line for line in LOCK.read_text().splitlines() if not line.startswith("#")]
    return dict(line.split() for line in lines)


def program() -> Path:
    """Return the folder of jars and class, made on first use."""
    made = hashlib.sha256(LOCK.read_bytes() + SOURCE.read_bytes()).hexdigest()[:16]
    folder = CACHE / made
    CACHE.mkdir(parents=True, exist_ok=True)
    with FileLock(CACHE / "lock"):
        if not folder.exists():
            with TemporaryDirectory(dir=CACHE) as draft:
                fetch(Path(draft))
                compile_node(Path(draft))
                shutil.copytree(draft, folder)
    return folder


def fetch(folder: Path) -> None:
    """Fetch every jar into `folder` and compare it with what is pinned."""
    root = os.environ.get(MIRROR)
    where = f' root="{root}"' if root else ""
    (folder / "settings.xml").write_text(
        '<ivysettings><settings defaultResolver="maven"/><resolvers>'
        f'<ibiblio name="maven" m2compatible="true" usepoms="false"{where}/>'
        "</resolvers></ivysettings>"
    )
    wanted = "".join(
        f'<dependency org="{org}" name="{name}" rev="{revision}" transitive="false"/>'
        for org, name, revision in (jar.split(":") for jar in pinned())
    )
    (folder / "ivy.xml").write_text(
        '<ivy-module version="2.0"><info organisation="vitrina" module="search-engine"/>'
        '<configurations><conf name="default"/></configurations>'
        f'<dependencies defaultconf="default->default">{wanted}</dependencies></ivy-module>'
    )
    options = ["-settings", "settings.xml", "-ivy", "ivy.xml", "-cache", str(CACHE / "ivy")]
    to = ["-retrieve", "lib/[organisation]~[module]~[revision].[ext]"]
    java(["-cp", str(ivy()), "org.apache.ivy.Main", *options, *to], folder, "fetch the jars")
    for jar, digest in pinned().items():
        found = folder / "lib" / f"{jar.replace(':', '~')}.jar"
        if hashlib.sha256(found.read_bytes()).hexdigest() != digest:
            raise NotToBeHad(f"{jar} is another jar than jars.lock pins")


def ivy() -> Path:
    """Return Ivy's jar, which Spark brings."""
    import pyspark

    return next(Path(pyspark.__file__).parent.glob("jars/ivy-*.jar"))


def compile_node(folder: Path) -> None:
    """Compile `SearchNode`."""
    compiler = next((folder / "lib").glob("*~ecj~*.jar"))
    words = ["-source", "17", "-target", "17", "-cp", classpath(folder), "-d", "classes"]
    java(["-jar", str(compiler), *words, str(SOURCE)], folder, "compile SearchNode")


def classpath(folder: Path) -> str:
    """Return every jar of the folder, and the class."""
    return os.pathsep.join(map(str, [*sorted((folder / "lib").glob("*.jar")), folder / "classes"]))


def java(words: list[str], folder: Path, what: str) -> None:
    """Run Java to its end."""
    if shutil.which("java") is None:
        raise NotToBeHad("no Java: apt-get install openjdk-17-jre-headless")
    done = subprocess.run(
        ["java", *words], cwd=folder, capture_output=True, text=True, timeout=600, check=False
    )
    if done.returncode:
        raise NotToBeHad(f"could not {what}: {(done.stdout + done.stderr)[-500:]}")


@contextmanager
def search_node(home: Path) -> Iterator[str]:
    """Give the address of a node over an empty folder; it ends with this process at the latest."""
    command = ["java", *HEAP, "-cp", classpath(program()), "SearchNode", str(home)]
    home.mkdir(parents=True, exist_ok=True)
    with (home / "log").open("w") as log:
        # It reads its standard input until that closes: a killed parent leaves nothing behind.
        node = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
        )
    try:
        yield address(node, home / "log")
    finally:
        end(node)


def address(node: subprocess.Popen[str], log: Path) -> str:
    """Return where the node answers, once it does."""
    assert node.stdout is not None
    line = node.stdout.readline()
    if not line.startswith("port "):
        raise NotToBeHad(f"the node ended at once: {line}{log.read_text()[-500:]}")
    url = f"http://127.0.0.1:{line.split()[1]}"
    deadline = time.monotonic() + STARTS_SECONDS
    while time.monotonic() < deadline:
        if requests.get(f"{url}/_cluster/health", timeout=60).json()["status"] != "red":
            return url
        time.sleep(0.2)
    raise NotToBeHad(f"the node is not healthy after {STARTS_SECONDS} s: {log.read_text()[-500:]}")
