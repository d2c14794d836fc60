"""Erasures written down beside the database, so that a restored backup cannot undo them."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import orjson


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasure:
    """One line of the journal: ids and keyed hashes, never who it was."""

    contact: str
    at_ms: int
    reason: str
    opted_out: tuple[str, ...] = ()
    """Keyed hashes that must stay opted out."""
    items: tuple[str, ...] = ()
    """Items of the vault that were emptied: hashes of what was encrypted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Erased:
    """What an erasure took away, and what others hold of the same person."""

    contact: str
    bodies: tuple[str, ...]
    """Rows of the inbox (inb_…) whose bodies the caller blanks in the same transaction."""
    phones: tuple[str, ...]
    """For the caller to find the buyer in the vault; to be forgotten afterwards."""
    bsuids: tuple[str, ...] = ()
    items: tuple[str, ...] = ()
    """Items of the vault that go with it."""


class ErasureJournal:
    """A file of lines, only ever added to. It is not part of the database's backup."""

    def __init__(self, path: Path) -> None:
        """`path` is made when the first erasure is written."""
        self._path = path

    def add(self, erasure: Erasure) -> None:
        """Write one down; it survives a power cut when this returns. Raises OSError."""
        line = orjson.dumps(
            {
                "contact": erasure.contact,
                "at_ms": erasure.at_ms,
                "reason": erasure.reason,
                "opted_out": erasure.opted_out,
                "items": erasure.items,
            }
        )
        new = not self._path.exists()
        # One write to a file opened for appending: lines of two processes do not mix. A line
        # that a power cut has cut short is closed by the newline in front of the next one.
        handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            content = b"\n" + line + b"\n"
            if os.write(handle, content) < len(content):
                raise OSError(f"{self._path}: the disk is full; the erasure is not written down")
            os.fsync(handle)
        finally:
            os.close(handle)
        if new:
            folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    def __iter__(self) -> Iterator[Erasure]:
        """Every erasure, in the order of writing; what is no whole line is passed over."""
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return
        for line in content.split(b"\n"):
            with contextlib.suppress(orjson.JSONDecodeError, KeyError, TypeError, ValueError):
                values = orjson.loads(line)
                yield Erasure(
                    contact=str(values["contact"]),
                    at_ms=int(values["at_ms"]),
                    reason=str(values["reason"]),
                    opted_out=tuple(str(value) for value in values["opted_out"]),
                    items=tuple(str(value) for value in values.get("items", ())),
                )
