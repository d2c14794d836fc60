"""When there is no room: reports go first, sales never, and every loss is declared."""

import hashlib
import random
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from edge_agent.buffer import Buffer, Capture, Limits, Stored
from edge_agent.errors import BufferFull
from tests.checks.boxes import SEALER, Box, declared, drain, fault, numbers, report, sale

SMALL = Limits(bytes_max=1024 * 1024, ring_bytes_max=200_000, reserve_file_bytes=64 * 1024)


def bulky(number: int) -> Capture:
    """A report that does not compress."""
    noise = "".join(hashlib.sha256(f"{number}/{i}".encode()).hexdigest() for i in range(8))
    return report(number, extra={"noise": noise})


def put_all(buffer: Buffer, captures: list[Capture], step: int = 20) -> list[Stored]:
    """Put in small commits; what was stored."""
    stored: list[Stored] = []
    for start in range(0, len(captures), step):
        answers = buffer.put(captures[start : start + step])
        stored.extend(answer for answer in answers if isinstance(answer, Stored))
    return stored


def fill_with_sales(buffer: Buffer, sale_bytes: int = 2000) -> list[Stored]:
    """Sell until the buffer says no; what was stored."""
    stored: list[Stored] = []
    noise = random.Random(sale_bytes)
    for number in range(10_000):
        try:
            attached = noise.randbytes(sale_bytes)
            stored += put_all(buffer, [sale(f"r{number}", attachments=(attached,))])
        except BufferFull:
            return stored
    pytest.fail("the buffer has no limit")


def check_nothing_undeclared(buffer: Buffer, stored: list[Stored]) -> set[tuple[str, int, int]]:
    """Everything stored is either delivered or declared lost, and not both; what was lost."""
    batches = {lane: drain(buffer, lane) for lane in ("sale", "vehicle", "system")}
    lost = declared(batches["system"])
    left = {(lane, gen, n) for lane in ("sale", "vehicle") for gen, n in numbers(batches[lane])}
    assert {(item.lane, item.gen, item.n) for item in stored} == left | lost
    assert not left & lost
    return lost


def test_at_the_limit_old_reports_go_and_are_declared(tmp_path: Path) -> None:
    """A month without a hub fills the buffer: the file stays below its limit, holes are named."""
    box = Box(tmp_path, limits=SMALL)
    buffer = box.open()
    stored = put_all(buffer, [fault(), *(bulky(n) for n in range(4000)), sale("r1")])
    assert len(stored) == 4002
    assert box.path.stat().st_size <= SMALL.bytes_max
    lost = check_nothing_undeclared(buffer, stored)
    assert 1000 < len(lost) < 4000
    assert {lane for lane, _, _ in lost} == {"vehicle"}
    # The fault was the oldest of all and is still there: reports go before faults.
    assert ("vehicle", 1, 1) not in lost


def test_receipted_bytes_go_before_any_report(tmp_path: Path) -> None:
    """The ring is the first to make room: nothing is lost while it has anything."""
    limits = Limits(bytes_max=1024 * 1024, ring_bytes_max=10**9, reserve_file_bytes=4096)
    buffer = Box(tmp_path, limits=limits).open()
    for start in range(0, 3000, 300):
        put_all(buffer, [bulky(n) for n in range(start, start + 300)])
        drain(buffer, "vehicle")
    assert buffer.tallies().get("lost_vehicle", 0) == 0


def test_sales_outlast_everything_and_are_never_shed(tmp_path: Path) -> None:
    """Sales push out all reports and faults; when only sales are left, the till hears no."""
    buffer = Box(tmp_path, limits=SMALL).open()
    stored = put_all(buffer, [bulky(n) for n in range(500)])
    stored += fill_with_sales(buffer)
    with pytest.raises(BufferFull):
        buffer.put([bulky(1)])
    lost = check_nothing_undeclared(buffer, stored)
    assert {n for lane, _, n in lost if lane == "vehicle"} == set(range(1, 501))
    # Room returns with the receipts.
    assert isinstance(buffer.put([sale("after")])[0], Stored)


@pytest.mark.parametrize("sale_bytes", [300, 663, 834, 1300, 1684, 1911, 2057, 2892, 3905, 60_000])
def test_a_box_full_of_sales_can_still_deliver_them(tmp_path: Path, sale_bytes: int) -> None:
    """
    To seal takes room, and only receipts make some: whatever the size of the last sale that
    fitted, there is a little left. With these sizes there was none, and the box was full for ever.
    """
    buffer = Box(tmp_path, limits=SMALL).open()
    put_all(buffer, [bulky(n) for n in range(100)])
    stored = fill_with_sales(buffer, sale_bytes)
    assert len(stored) == sum(len(batch.events) for batch in drain(buffer, "sale"))


def test_a_sealed_batch_is_never_shed(tmp_path: Path) -> None:
    """What was sealed may be on its way: it stays, whatever comes."""
    buffer = Box(tmp_path, limits=SMALL).open()
    put_all(buffer, [bulky(n) for n in range(400)], step=100)
    batch = buffer.seal("vehicle", SEALER)
    put_all(buffer, [bulky(n) for n in range(3000)])
    assert buffer.tallies()["lost_vehicle"] > 0
    assert buffer.in_flight("vehicle") == batch


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 3 MB, nearly used up."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m,mode=700", "tmpfs", str(folder)],
        check=False,
        capture_output=True,
    )
    if mounted.returncode:
        pytest.skip("mounting a file system needs root")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_loses_nothing_silently(small_disk: Path) -> None:
    """6,000 reports and 60 sales on 3 MB: alive, every loss declared, every sale there."""
    limits = Limits(reserve_file_bytes=1280 * 1024)
    buffer = Box(small_disk, limits=limits).open()
    stored: list[Stored] = []
    refused = 0
    for number in range(6000):
        try:
            stored += put_all(buffer, [bulky(number)])
        except BufferFull:
            refused += 1
        if number % 100 == 0:
            stored += put_all(buffer, [sale(f"r{number}")])
    assert refused < 600
    lost = check_nothing_undeclared(buffer, stored)
    assert {lane for lane, _, _ in lost} == {"vehicle"}


def fill(disk: Path) -> None:
    """Somebody else writes until there is not a byte left."""
    with (disk / "someone-else").open("ab", buffering=0) as file, suppress(OSError):
        while file.write(b"x" * 4096) == 4096:
            pass


@pytest.mark.parametrize("sale_bytes", [300, 663, 1300, 2057, 3905, 20_000])
def test_sales_that_have_used_up_the_disk_can_still_be_delivered(
    small_disk: Path, sale_bytes: int
) -> None:
    """
    The hub is away, somebody else has filled the disk, and sales have used the reserve: the box
    starts, delivers what it has, and what that frees is room for sales although the disk is full.
    """
    box = Box(small_disk, limits=Limits(reserve_file_bytes=1280 * 1024))
    buffer = box.open()
    buffer.put([bulky(1)])
    fill(small_disk)
    stored = fill_with_sales(buffer, sale_bytes)
    assert len(stored) > 30
    fill(small_disk)
    buffer.close()

    buffer = box.open()
    delivered = drain(buffer, "sale")
    fill(small_disk)

    assert len(stored) == sum(len(batch.events) for batch in delivered)
    with suppress(BufferFull):
        put_all(buffer, [bulky(number) for number in range(2, 2000)])
    more = [buffer.put([sale(f"later {number}")])[0] for number in range(20)]
    assert all(isinstance(answer, Stored) for answer in more)
    assert 20 == sum(len(batch.events) for batch in drain(buffer, "sale"))


def test_a_power_cut_while_the_room_is_lent_leaves_a_box_that_starts(small_disk: Path) -> None:
    """What was held back for the log was lent, somebody else took it, and the power went."""
    box = Box(small_disk, limits=Limits(reserve_file_bytes=1280 * 1024))
    buffer = box.open()
    stored = [buffer.put([sale(f"r{number}")])[0] for number in range(5)]
    fill(small_disk)
    buffer.close()
    (small_disk / "buffer.db.log-room").unlink()
    fill(small_disk)

    buffer = box.open()
    stored += [buffer.put([sale(f"later {number}")])[0] for number in range(5)]
    assert all(isinstance(answer, Stored) for answer in stored)
    assert 10 == sum(len(batch.events) for batch in drain(buffer, "sale"))


def test_sales_live_on_the_reserve(small_disk: Path) -> None:
    """Somebody else fills the disk to the last byte: sales still find room, reports do not."""
    buffer = Box(small_disk, limits=Limits(reserve_file_bytes=1280 * 1024)).open()
    buffer.put([sale("r0")])
    fill(small_disk)
    stored = [buffer.put([sale(f"r{number}")])[0] for number in range(1, 30)]
    assert all(isinstance(answer, Stored) for answer in stored)
    (small_disk / "someone-else").unlink()
    assert isinstance(buffer.put([bulky(1)])[0], Stored)
    assert buffer.hold_reserve()
    assert numbers(drain(buffer, "sale")) == [(1, n) for n in range(1, 31)]
