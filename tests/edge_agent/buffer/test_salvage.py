"""Damage: the copy is kept, what can be read is salvaged, what cannot becomes a gap."""

import random
import sqlite3
from contextlib import suppress
from pathlib import Path

import orjson
import pytest

from edge_agent.buffer import Buffer, Capture, Limits, Span, Stored, status
from edge_agent.buffer.connection import PAGE_BYTES
from edge_agent.buffer.salvage import readable_events
from edge_agent.buffer.segments import merge_ranges
from edge_agent.buffer.tables import list_tables
from edge_agent.errors import BufferBroken
from tests.checks.boxes import FRESH, NOWHERE, SEALER, Box, counted, drain, report, sale

SEEDS = 40
Name = tuple[str, int, int]


def filled(box: Box) -> tuple[dict[Name, bytes], int]:
    """A buffer with a bit of everything, closed; its waiting events by id, and their number."""
    buffer = box.open()
    for start in range(0, 300, 20):
        buffer.put([report(start + i, extra={"x": start * i}) for i in range(20)])
    for number in range(20):
        buffer.put([sale(f"r{number}", f"S{number}", attachments=(bytes([number]) * 300,))])
    batch = buffer.seal("sale", SEALER)
    assert batch is not None
    buffer.receipted(batch, first_index=0, received_ms=1)
    for number in range(20, 40):
        buffer.put([sale(f"r{number}", f"S{number}")])
    buffer.seal("vehicle", SEALER)
    buffer.close()
    return waiting(box.path), 340


def waiting(path: Path) -> dict[Name, bytes]:
    """Every event in a buffer file by id, read without a buffer."""
    found = {}
    for raw in readable_events(path):
        event = orjson.loads(raw)
        found[event["lane"], event["gen"], event["n"]] = raw
    return found


def damage(path: Path, seed: int) -> str:
    """Flip bytes, cut the file or blank a page; how."""
    choice = random.Random(seed)
    content = bytearray(path.read_bytes())
    kind = choice.choice(["flip", "flip", "flip", "blank", "cut"])
    if kind == "cut":
        # Not into the first pages, where the table of numbers stands: nobody could know then.
        del content[choice.randrange(24 * PAGE_BYTES, len(content)) :]
    elif kind == "blank":
        page = choice.randrange(len(content) // PAGE_BYTES) * PAGE_BYTES
        content[page : page + PAGE_BYTES] = bytes(PAGE_BYTES)
    else:
        for _ in range(choice.randrange(1, 20)):
            content[choice.randrange(len(content))] ^= 1 << choice.randrange(8)
    path.write_bytes(content)
    return kind


def everything(buffer: Buffer) -> dict[Name, bytes]:
    """What the buffer hands out, by id; nothing twice, even if it is damaged on the way."""
    found: dict[Name, bytes] = {}
    while buffer.doubt() is not None or buffer.backlog().total:
        if buffer.doubt() is not None:
            end_doubt(buffer, found)
        for lane in ("sale", "vehicle", "system"):
            for batch in drain(buffer, lane):
                for raw in batch.events:
                    event = orjson.loads(raw)
                    name = (event["lane"], event["gen"], event["n"])
                    assert name not in found
                    found[name] = raw
    return found


def end_doubt(buffer: Buffer, delivered: dict[Name, bytes]) -> None:
    """What delivery does with the hub's help: what was delivered goes to the ring."""
    buffer.reopen(2, FRESH, max_gen=1)
    for span in buffer.waiting_spans():
        numbers = range(span.first_n, span.last_n + 1)
        known = [n for n in numbers if (span.lane, span.gen, n) in delivered]
        for first, last in merge_ranges((n, n) for n in known):
            run = Span(span.lane, span.gen, first, last)
            buffer.settle(run, NOWHERE)
    buffer.end_doubt()


@pytest.mark.parametrize("seed", range(SEEDS))
def test_damage_anywhere_is_survived(tmp_path: Path, seed: int) -> None:
    """It starts, hands out only true bytes, never twice, and accounts for what is missing."""
    box = Box(tmp_path)
    before, _ = filled(box)
    damage(box.path, seed)
    buffer = box.open()
    (stored,) = buffer.put([report(1)])
    assert isinstance(stored, Stored)
    assert stored not in {Stored(gen, lane, n) for lane, gen, n in before}
    found = everything(buffer)
    assert all(before.get(name, raw) == raw for name, raw in found.items())
    gaps = {
        (gap.span.lane, gap.span.gen, n)
        for gap in buffer.gaps()
        for n in range(gap.span.first_n, gap.span.last_n + 1)
    }
    salvaged = any(event == "buffer_salvaged" for event, _ in box.log)
    if salvaged:
        copy = Path(next(fields["copy"] for event, fields in box.log if event == "buffer_salvaged"))
        assert copy.exists()
        ring = {name for name in before if name[0] == "sale" and name[2] <= 20}
        assert not before.keys() - found.keys() - gaps - ring
    buffer.close()


def test_a_schema_that_is_no_text_any_more_costs_nothing(tmp_path: Path) -> None:
    """
    SQLite quotes the schema in its errors, and Python cannot read a quotation that is not UTF-8:
    a byte of it with its high bit flipped is damage like any other.
    """
    box = Box(tmp_path)
    before, count = filled(box)
    content = box.path.read_bytes()
    words = [at for at in range(len(content)) if content.startswith(b"CREATE ", at)]
    for at in [at + offset for at in words for offset in (3, 9, 15, 40)]:
        damaged = bytearray(content)
        damaged[at] ^= 0x80
        copy = Box(tmp_path / str(at))
        copy.path.parent.mkdir()
        copy.path.write_bytes(damaged)
        assert waiting(copy.path).items() >= before.items(), at
        with suppress(BufferBroken):
            list_tables(copy.path)
        with suppress(BufferBroken):
            status.read(copy.path)
        buffer = copy.open()
        (stored,) = buffer.put([report(1)])
        assert isinstance(stored, Stored)
        buffer.close()
        assert len(waiting(copy.path)) > count


def test_one_bad_frame_costs_one_segment(tmp_path: Path) -> None:
    """A flipped byte in a blob, invisible to SQLite, is found; all other segments are salvaged."""
    box = Box(tmp_path)
    buffer = box.open()
    for start in range(0, 200, 20):
        buffer.put([report(start + i) for i in range(20)])
    buffer.close()
    connection = sqlite3.connect(box.path)
    (blob,) = connection.execute("SELECT blob FROM frame WHERE segment = 4").fetchone()
    flipped = bytearray(blob)
    flipped[len(flipped) // 2] ^= 1
    connection.execute("UPDATE frame SET blob = ? WHERE segment = 4", (bytes(flipped),))
    connection.commit()
    connection.close()
    buffer = box.open()
    assert drain(buffer, "vehicle") == []
    assert buffer.doubt() == "salvage"
    (gap,) = buffer.gaps()
    assert (gap.span.first_n, gap.span.last_n, gap.reason) == (61, 80, "corrupt")
    assert buffer.put([report(1)]) == [Stored(2, "vehicle", 1)]
    left = {n for _, gen, n in everything(buffer) if gen == 1}
    assert left == {*range(1, 61), *range(81, 201)}


def test_a_smashed_header_costs_nothing(tmp_path: Path) -> None:
    """Without the first page SQLite reads nothing at all; the pages themselves still speak."""
    box = Box(tmp_path)
    before, count = filled(box)
    content = bytearray(box.path.read_bytes())
    content[:PAGE_BYTES] = bytes(PAGE_BYTES)
    box.path.write_bytes(content)
    buffer = box.open()
    found = waiting(box.path)
    assert len(before) == count
    assert before.items() <= found.items()
    assert buffer.gen() == 2
    buffer.close()


def test_events_in_the_log_are_salvaged(tmp_path: Path) -> None:
    """Commits that were not yet moved into the main file count as well."""
    box = Box(tmp_path)
    buffer = box.open()
    buffer.put([sale(f"r{n}") for n in range(10)])
    content = bytearray(box.path.read_bytes())
    copy = tmp_path / "power-cut"
    copy.mkdir()
    (copy / "buffer.db").write_bytes(b"\xff" * len(content))
    (copy / "buffer.db-wal").write_bytes((tmp_path / "buffer.db-wal").read_bytes())
    buffer.close()
    revived = Box(copy).open()
    assert everything(revived).keys() == {("sale", 1, n) for n in range(1, 11)}


def test_an_interrupted_salvage_is_done_again(tmp_path: Path) -> None:
    """Power lost between moving the file aside and finishing the new one loses nothing."""
    box = Box(tmp_path)
    before, _ = filled(box)
    folder = tmp_path / "quarantine" / "0001"
    folder.mkdir(parents=True)
    box.path.rename(folder / box.path.name)
    (tmp_path / "buffer.db.new").write_bytes(b"half a file")
    buffer = box.open()
    assert before.items() <= waiting(box.path).items()
    assert (folder / box.path.name).exists()
    buffer.close()
    assert box.open().gen() == 2


def test_what_was_sold_stays_unseen_when_in_doubt(tmp_path: Path) -> None:
    """If the list of sold units is damaged, every unit counts as sold: no position is told."""
    box = Box(tmp_path)
    filled(box)
    content = bytearray(box.path.read_bytes())
    content[:PAGE_BYTES] = bytes(PAGE_BYTES)
    box.path.write_bytes(content)
    buffer = box.open()
    assert buffer.is_sold("S1")
    assert buffer.is_sold("NEVER-SEEN")


def test_a_lost_file_does_not_reuse_numbers(tmp_path: Path) -> None:
    """Somebody deletes the buffer: the next one begins a generation that was never used."""
    box = Box(tmp_path)
    buffer = box.open()
    buffer.put([report(1)])
    buffer.close()
    for path in tmp_path.glob("buffer.db*"):
        if path.suffix != ".gen":
            path.unlink()
    assert box.open().put([report(1)]) == [Stored(2, "vehicle", 1)]


def test_duplicates_are_known_after_a_salvage(tmp_path: Path) -> None:
    """A scooter's message that was stored before the damage is not stored again after it."""
    box = Box(tmp_path, limits=Limits())
    buffer = box.open()
    captures: list[Capture] = [counted(n) for n in range(50)]
    buffer.put(captures)
    connection = sqlite3.connect(box.path)
    connection.execute("UPDATE frame SET blob = x'00' WHERE segment = 1")
    connection.commit()
    connection.close()
    assert drain(buffer, "vehicle") == []
    assert not any(isinstance(answer, Stored) for answer in buffer.put(captures))
    (gap,) = buffer.gaps()
    assert gap.span.last_n == 50
