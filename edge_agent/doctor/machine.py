"""The machine a box is, as files: everything a check reads outside the agent's own folder."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from edge_agent.timekeeping import kernel_error_ms
from shared.clock import Clock, SystemClock

_READ_MAX = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Where the system's files stand, and the system calls that a file cannot stand in for."""

    root: Path = Path("/")
    clock: Clock = field(default_factory=SystemClock)
    kernel_error: Callable[[], int | None] = kernel_error_ms
    fsync: Callable[[int], None] = os.fsync
    room: Callable[[Path], os.statvfs_result] = os.statvfs

    def at(self, path: str | Path) -> Path:
        """An absolute path of the system, below `root`."""
        return self.root / str(path).lstrip("/")

    def read(self, path: str | Path) -> str | None:
        """The start of a text file, or None where there is none, or none for us."""
        return read_text(self.at(path))

    def matching(self, folder: str, pattern: str) -> list[Path]:
        """Files below a folder of the system, sorted; none where there is no such folder."""
        return sorted(self.at(folder).glob(pattern))

    def disk_of(self, device: str) -> Path | None:
        """The whole disk's folder in sysfs for a `major:minor` of it or of a part of it."""
        link = self.at(f"/sys/dev/block/{device}")
        if not link.exists():
            return None
        place = link.resolve()
        return place.parent if (place / "partition").exists() else place

    def processes(self) -> Iterator[tuple[int, str]]:
        """(process id, name) of everything that runs and that we may see."""
        for folder in self.matching("/proc", "[0-9]*"):
            name = read_text(folder / "comm")
            if name is not None and folder.name.isdecimal():
                yield int(folder.name), name


def read_text(path: Path) -> str | None:
    """The start of a text file, stripped, or None. Files of the kernel may fail in many ways."""
    try:
        with path.open("rb") as file:
            return file.read(_READ_MAX).decode("utf-8", "replace").strip()
    except OSError:
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """One line of /proc/self/mountinfo."""

    device: str
    point: Path
    kind: str
    options: frozenset[str]


def mount_of(machine: Machine, folder: Path) -> Mount | None:
    """What the folder stands on, or None where the kernel does not say."""
    text = machine.read("/proc/self/mountinfo") or ""
    place = folder.resolve()
    mounts = [mount for line in text.splitlines() if (mount := _mount(line)) is not None]
    above = [mount for mount in mounts if place.is_relative_to(mount.point)]
    # Of two mounts on one point the later one is seen.
    return max(
        enumerate(above), key=lambda item: (len(item[1].point.parts), item[0]), default=(0, None)
    )[1]


def _mount(line: str) -> Mount | None:
    head, dash, tail = line.partition(" - ")
    fields, kind = head.split(), tail.split()
    if not dash or len(fields) < 6 or len(kind) < 3:
        return None
    return Mount(
        device=fields[2],
        point=Path(fields[4].replace("\\040", " ")),
        kind=kind[0],
        options=frozenset(fields[5].split(",") + kind[2].split(",")),
    )
