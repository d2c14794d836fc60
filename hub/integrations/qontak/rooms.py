"""Where a person can be answered: what the webhooks told, else what Qontak says when asked."""

import hashlib
import hmac
from collections.abc import Mapping

from sqlalchemy import Connection

from hub.integrations.qontak import parse, store
from hub.integrations.qontak.api import Answer, QontakApi
from hub.integrations.whatsapp.reading import identifier
from hub.store import Database
from shared.clock import Clock

LISTED: str = "50"


class NotTold(Exception):
    """Qontak did not say which rooms there are."""

    def __init__(self, answer: Answer) -> None:
        """With what it said instead."""
        super().__init__(answer.reason)
        self.answer = answer


class Rooms:
    """Rooms by person. A forgotten one costs a question, a wrong one an error of Qontak's."""

    def __init__(self, database: Database, clock: Clock, *, hash_key: bytes) -> None:
        """`hash_key` stands between this table and people's numbers; another key forgets."""
        self._database, self._clock, self._key = database, clock, hash_key

    def _person(self, phone: str) -> str:
        return hmac.new(self._key, phone.encode(), hashlib.sha256).hexdigest()

    def heard(
        self, connection: Connection, body: bytes, numbers: Mapping[str, str], received_ms: int
    ) -> None:
        """Learn from a webhook, in the transaction that acts on it. Never raises for its bytes."""
        for news in parse.rooms(body, numbers):
            store.heard(
                connection,
                news.number,
                self._person(news.phone),
                news.room,
                is_open=news.open,
                at_ms=received_ms if news.at_ms is None else min(news.at_ms, received_ms),
            )

    def room(self, number: str, phone: str) -> str | None:
        """As far as is known here."""
        with self._database.read() as connection:
            return store.found(connection, number, self._person(phone))

    def closed(self, number: str, phone: str, room: str) -> None:
        """Qontak takes nothing into this room any more."""
        person = self._person(phone)
        self._database.write(lambda connection: store.closed(connection, number, person, room))

    def look_up(self, api: QontakApi, number: str, integration: str, phone: str) -> str | None:
        """Ask Qontak, and remember. Raises NotTold and what `api.chat` raises."""
        answer = api.chat("GET", "/rooms", parameters={"query": phone, "limit": LISTED})
        if not answer.ok:
            raise NotTold(answer)
        for row in answer.rows:
            theirs = row.get("account_uniq_id") == phone
            ours = row.get("channel_integration_id") == integration
            room = identifier(row, "id")
            if theirs and ours and room is not None and parse.is_open(row):
                self._remember(number, phone, room)
                return room
        return None

    def _remember(self, number: str, phone: str, room: str) -> None:
        person, now_ms = self._person(phone), self._clock.wall_ms()
        self._database.write(
            lambda connection: store.heard(
                connection, number, person, room, is_open=True, at_ms=now_ms
            )
        )
