"""Which room belongs to whom, on each database engine."""

import pytest
from sqlalchemy import text

from hub.integrations.qontak.rooms import Rooms
from tests.fakes.manual_clock import ManualClock
from tests.fakes.qontak_bodies import CUSTOMER, NUMBERS, ROOM, body, interaction, room

NOW_MS = 1_800_000_000_000


@pytest.fixture
def rooms(database):
    """None known yet."""
    return Rooms(database, ManualClock(), hash_key=b"key")


def tell(database, rooms, document, at_ms=NOW_MS):
    sent = body(document)
    database.write(lambda connection: rooms.heard(connection, sent, NUMBERS, at_ms))


def test_a_room_that_a_webhook_told(database, rooms):
    """Known from the message on, closed when it is resolved, known again when they write."""
    tell(database, rooms, interaction())
    assert ROOM == rooms.room("brand", CUSTOMER)

    tell(database, rooms, room(status="resolved"))
    assert rooms.room("brand", CUSTOMER) is None

    tell(database, rooms, interaction(created_at="2027-02-01T00:00:00.000Z"), NOW_MS * 2)
    assert ROOM == rooms.room("brand", CUSTOMER)


def test_old_news_changes_nothing(database, rooms):
    """Deliveries come in any order: the newest by Qontak's clock holds."""
    tell(database, rooms, room(updated_at="2024-05-15T16:36:05.000Z", status="resolved"))
    tell(database, rooms, interaction())

    assert rooms.room("brand", CUSTOMER) is None


def test_another_person_and_another_number(database, rooms):
    """A room is one person's with one number of ours."""
    tell(database, rooms, interaction())

    assert rooms.room("brand", "6281") is None
    assert rooms.room("reps", CUSTOMER) is None


def test_only_the_room_that_was_refused_is_closed(database, rooms):
    """A newer room of the same person stays."""
    tell(database, rooms, interaction())
    rooms.closed("brand", CUSTOMER, "an older one")
    assert ROOM == rooms.room("brand", CUSTOMER)

    rooms.closed("brand", CUSTOMER, ROOM)
    assert rooms.room("brand", CUSTOMER) is None


def test_nobody_s_number_is_in_the_table(database, rooms):
    """Erasing a person leaves nothing here that names them."""
    tell(database, rooms, interaction())

    with database.read() as connection:
        rows = connection.execute(text("SELECT * FROM qontak_room")).all()
    assert 1 == len(rows)
    assert CUSTOMER not in repr(rows)
