"""Landing days: files by day of receipt, complete when their manifest is there.

`dt=YYYY-MM-DD/_MANIFEST.json` lists each file with its rows and sha256 and is written last. A
correction writes new files and the next manifest version; the version before stays beside it as
`_MANIFEST.v1.json`. Files that no manifest names are not part of the delivery.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import BaseModel, ValidationError

from tasks.errors import ContractViolation, InputNotReady

log = logging.getLogger(__name__)

NAME = "_MANIFEST.json"
LANDING = "landing"
"""What deliveries are called among a write's inputs; `landing/events` are their events alone."""


class LandedFile(BaseModel):
    """One file of a delivery."""

    name: str
    kind: str
    rows: int
    sha256: str


class Manifest(BaseModel):
    """What a delivery holds; `facts` is the source's own business, e.g. a simulator's digest."""

    day: date
    version: int
    source: str
    files: list[LandedFile]
    facts: dict[str, Any] = {}

    def of_kind(self, kind: str) -> list[LandedFile]:
        """The files of one kind, in order of name."""
        return sorted(
            (file for file in self.files if file.kind == kind), key=lambda file: file.name
        )


def day_folder(landing: Path, day: date) -> Path:
    """Where the files received on `day` lie."""
    return landing / f"dt={day}"


def landing_days(landing: Path) -> list[date]:
    """Days whose manifest is there, in order."""
    return sorted(date.fromisoformat(path.parent.name[3:]) for path in landing.glob(f"dt=*/{NAME}"))


def write_landing_day(
    landing: Path,
    day: date,
    frames: dict[str, pl.DataFrame],
    source: str,
    facts: dict[str, Any] | None = None,
) -> Manifest:
    """Write one delivery, or the correction of an earlier one; the manifest comes last."""
    there = announced(landing, day)
    delivery = OpenDelivery(landing, day, there.version + 1 if there else 1)
    for kind, frame in frames.items():
        delivery.add(kind, frame)
    return delivery.close(source, facts)


class OpenDelivery:
    """A delivery that is being written file by file; nobody reads it before it is closed."""

    def __init__(self, landing: Path, day: date, version: int) -> None:
        self._folder, self._day, self._version = day_folder(landing, day), day, version
        self._files: list[LandedFile] = []
        self._folder.mkdir(parents=True, exist_ok=True)

    def add(self, kind: str, frame: pl.DataFrame) -> None:
        """Write the next file of a kind."""
        number = sum(file.kind == kind for file in self._files)
        suffix = "" if self._version == 1 else f".v{self._version}"
        path = self._folder / f"{kind}-{number:03}{suffix}.parquet"
        partial = path.with_suffix(".partial")
        frame.write_parquet(partial)
        os.replace(partial, path)
        found = LandedFile(name=path.name, kind=kind, rows=frame.height, sha256=_sha256(path))
        self._files.append(found)

    def close(self, source: str, facts: dict[str, Any] | None = None) -> Manifest:
        """Write the manifest, the one before it kept beside it."""
        manifest = Manifest(
            day=self._day,
            version=self._version,
            source=source,
            files=self._files,
            facts=facts or {},
        )
        current, partial = self._folder / NAME, self._folder / f"{NAME}.partial"
        if current.exists():
            shutil.copyfile(current, self._folder / f"_MANIFEST.v{self._version - 1}.json")
        partial.write_text(manifest.model_dump_json(indent=1))
        os.replace(partial, current)
        return manifest


def read_manifest(landing: Path, day: date) -> Manifest:
    """Return the newest manifest of `day`, its files checked.

    Raises:
        InputNotReady: the day has not been delivered.
        ContractViolation: a file is absent, torn or edited, or the manifest itself is.
    """
    path = day_folder(landing, day) / NAME
    manifest = announced(landing, day)
    if manifest is None:
        raise InputNotReady(f"landing day {day} has not been delivered: {path} is absent")
    faults = [fault for file in manifest.files if (fault := _fault(path.parent, file))]
    if faults:
        raise ContractViolation(
            f"landing {day}: {len(faults)} of {len(manifest.files)} files differ from the"
            " manifest: " + "; ".join(faults[:3]) + "; have the day delivered again, as a new"
            " version of its manifest"
        )
    return manifest


def announced(landing: Path, day: date) -> Manifest | None:
    """Return the newest manifest of `day`, its files unchecked; None when there is none.

    Raises:
        ContractViolation: the manifest cannot be read.
    """
    path = day_folder(landing, day) / NAME
    return _parsed(path) if path.exists() else None


def _parsed(path: Path) -> Manifest:
    try:
        return Manifest.model_validate_json(path.read_text())
    except ValidationError as error:
        raise ContractViolation(
            f"{LANDING} {path.parent.name[3:]}: the manifest cannot be read:"
            f" {error.errors()[0]['msg']}"
        ) from None


def corrected_since(landing: Path, day: date, version: int, kind: str = "") -> bool:
    """Return whether the day's newest delivery holds other files than the version that was read.

    Only manifests are read, no file. A delivery that is gone is not corrected; one whose manifest
    cannot be read is not what was read.

    Args:
        landing: where the deliveries lie.
        day: the day of receipt.
        version: the manifest's version then.
        kind: the kind of files that was read; empty: all of them.
    """
    path = day_folder(landing, day) / NAME
    if not path.exists():
        return False
    try:
        now = _parsed(path)
        before = path.with_name(f"_MANIFEST.v{version}.json")
        return now.version != version and _content(_parsed(before), kind) != _content(now, kind)
    except (ContractViolation, FileNotFoundError):
        return True


def _content(manifest: Manifest, kind: str) -> list[tuple[str, str]]:
    return sorted((file.kind, file.sha256) for file in manifest.files if kind in ("", file.kind))


def _fault(folder: Path, file: LandedFile) -> str | None:
    path = folder / file.name
    if not path.exists():
        return f"{file.name} is absent"
    if (found := _sha256(path)) != file.sha256:
        return f"{file.name} has sha256 {found[:12]}, not {file.sha256[:12]}"
    return None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_kind(landing: Path, manifest: Manifest, kind: str) -> pl.DataFrame | None:
    """Return the rows of one kind, or None when the delivery has no file of it.

    Raises:
        ContractViolation: a file cannot be read, or its row count is not the manifest's.
    """
    frames = read_files(landing, manifest, kind)
    return pl.concat(frames) if frames else None


def read_files(landing: Path, manifest: Manifest, kind: str) -> list[pl.DataFrame]:
    """Return the rows of one kind file by file, since each may differ in its columns.

    Raises:
        ContractViolation: a file cannot be read, or its row count is not the manifest's.
    """
    return [_rows(landing, manifest.day, file) for file in manifest.of_kind(kind)]


def _rows(landing: Path, day: date, file: LandedFile) -> pl.DataFrame:
    try:
        frame = pl.read_parquet(day_folder(landing, day) / file.name)
    except pl.exceptions.PolarsError as error:
        # Torn before its manifest was written: the sha256 is that of the torn file.
        raise ContractViolation(f"landing {day}: {file.name} cannot be read: {error}") from None
    if frame.height != file.rows:
        raise ContractViolation(
            f"landing {day}: {file.name} has {frame.height:,} rows, the manifest says {file.rows:,}"
        )
    return frame
