"""What reps write: four words, and a list of them for everything else."""

import re
from typing import Final

from sqlalchemy import Connection

from hub.inbox.incoming import Message, Tap, Text
from hub.leads import store
from hub.leads.desk import HOUR_MS, Desk
from hub.leads.needs import Arrival, Rep
from hub.leads.winning import Winning
from hub.leads.words import words

READY_LASTS_MS: Final = 2 * HOUR_MS
WAITING_LEADS_MAX: Final = 50
SHOWN_LEADS_MAX: Final = 10
_WON: Final = re.compile(r"menang\b[\s:]*(?P<serial>.*)", re.IGNORECASE | re.DOTALL)


class RepWords:
    """Answers reps; never starts a screening with one."""

    def __init__(self, desk: Desk, winning: Winning) -> None:
        """Everything happens on the callers' connections."""
        self._desk = desk
        self._winning = winning

    def hear(self, connection: Connection, rep: Rep, message: Message, row: Arrival) -> None:
        """Act on a rep's message, once for each message. A tap is answered where it is decided."""
        if isinstance(message.content, Tap):
            return
        written = message.content.body.strip() if isinstance(message.content, Text) else ""
        won = _WON.fullmatch(written)
        if won is not None:
            self._winning.report(
                connection, rep, won["serial"], key=message.id, now_ms=row.received_ms
            )
            return
        match written.casefold():
            case "siap" | "ready":
                self.ready(connection, rep, key=message.id, now_ms=row.received_ms)
            case "libur" | "off":
                self._desk.directory.off_today(connection, rep, row.received_ms)
                self._desk.reply(connection, rep.id, "off_today", key=message.id)
            case "lead" | "leads":
                self._my_leads(connection, rep, message.id)
            case _:
                self._desk.reply(connection, rep.id, "rep_words", key=message.id)

    def ready(self, connection: Connection, rep: Rep, *, key: str, now_ms: int) -> None:
        """On duty: for two hours at least. Leads that wait for somebody come at once."""
        until_ms = now_ms + READY_LASTS_MS
        self._desk.directory.ready(connection, rep, until_ms)
        for lead in store.waiting(connection, WAITING_LEADS_MAX):
            store.change(connection, lead, next_step_ms=now_ms)
        self._desk.reply(connection, rep.id, "ready", key=key, until_ms=until_ms)

    def _my_leads(self, connection: Connection, rep: Rep, key: str) -> None:
        owned = store.owned_by(connection, rep.id, SHOWN_LEADS_MAX)
        if not owned:
            self._desk.reply(connection, rep.id, "no_lead", key=key)
            return
        lines = [
            words(
                rep.language,
                "my_lead",
                model=lead.model or "-",
                area=lead.area or "-",
                state=words(rep.language, f"state_{lead.state}"),
            )
            for lead in owned
        ]
        self._desk.reply(connection, rep.id, "my_leads", key=key, lines="\n".join(lines))
