"""Which files below a folder were opened, as Linux tells it (inotify), whoever opened them.

An audit hook sees what Python opens; DuckDB, Polars and Delta open files by themselves.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

IS_SUPPORTED = sys.platform == "linux"
OPENED, LOST = 0x20, 0x4000
HEAD = struct.Struct("iIII")
MOST_BYTES = 1 << 20


@contextmanager
def watched(folder: Path) -> Iterator[set[Path]]:
    """Give a set that holds, once the block has ended, what was opened below the folder in it.

    Folders made meanwhile are not watched. Where the system is not Linux the set stays empty.
    """
    opened: set[Path] = set()
    if not IS_SUPPORTED:
        yield opened
        return
    # Listed before the first of them is watched, since listing a folder opens it.
    folders = [folder, *(path for path in folder.rglob("*") if path.is_dir())]
    kernel = ctypes.CDLL(None, use_errno=True)
    notes = kernel.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    numbers = {kernel.inotify_add_watch(notes, os.fsencode(path), OPENED): path for path in folders}
    if notes < 0 or min(numbers) < 0:
        raise OSError(ctypes.get_errno(), f"{folder} cannot be watched")
    try:
        yield opened
        opened.update(numbers[number] / name for number, name in _told(notes))
    finally:
        os.close(notes)


def _told(notes: int) -> Iterator[tuple[int, str]]:
    while told := _read(notes):
        at = 0
        while at < len(told):
            number, kind, _, length = HEAD.unpack_from(told, at)
            at += HEAD.size + length
            if kind & LOST:
                raise OSError("more was opened than the kernel keeps count of")
            yield number, os.fsdecode(told[at - length : at].rstrip(b"\0"))


def _read(notes: int) -> bytes:
    try:
        return os.read(notes, MOST_BYTES)
    except BlockingIOError:
        return b""
