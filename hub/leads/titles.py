"""What a tap means where a channel shows only what stands on the button (Qontak's first road).

Never guessed: it is about the one lead that it can be about, or the rep is asked which.
"""

from collections.abc import Sequence
from typing import Final, Literal, TypeAlias

from sqlalchemy import Connection

from hub.leads import store
from hub.leads.desk import Desk
from hub.leads.needs import Rep
from hub.leads.records import Lead
from hub.leads.states import OWNED
from hub.leads.words import TEXTS

MEANT_MAX: Final = 10
TITLE_CHARS_MAX: Final = 24
ASKED: Final = "which_lead"

Asked: TypeAlias = Literal["asked"]
"""The rep has been asked which lead is meant."""


def _titles(**kinds: str) -> dict[str, str]:
    return {
        TEXTS[language][title].casefold(): kinds[title] for language in TEXTS for title in kinds
    }


OFFER_TITLES: Final = _titles(claim="CLAIM", skip="SKIP")
OWNER_TITLES: Final = _titles(contacted="CONTACTED", demo="DEMO", lost="LOST")
DUTY_TITLES: Final = _titles(siap="READY")
CUSTOMER_TITLES: Final = _titles(yes="CALLED_YES", no="CALLED_NO")


class Titles:
    """Finds the button that somebody tapped by its title and what they have been asked."""

    def __init__(self, desk: Desk) -> None:
        """Everything happens on the callers' connections."""
        self._desk = desk

    def of_rep(self, connection: Connection, rep: Rep, title: str) -> str | Asked | None:
        """The id of a button of ours; None: these are just words."""
        written = title.strip().casefold()
        if written in DUTY_TITLES:
            return DUTY_TITLES[written]
        if written in OFFER_TITLES:
            return self._offer(connection, rep, OFFER_TITLES[written])
        if written in OWNER_TITLES:
            owned = store.owned_by(connection, rep.id, MEANT_MAX)
            return self._one(connection, rep, OWNER_TITLES[written], owned)
        return self._row(connection, rep, written)

    def of_customer(
        self, connection: Connection, contact: str, title: str, now_ms: int
    ) -> str | None:
        """The id of a button, if they have been asked whether somebody called."""
        kind = CUSTOMER_TITLES.get(title.strip().casefold())
        lead = None if kind is None else store.newest_of(connection, contact)
        if lead is None or lead.state not in OWNED or lead.claimed_ms is None:
            return None
        asked_ms = lead.claimed_ms + self._desk.settings.confirm_contact_s * 1000
        return f"{kind}_{lead.id}" if now_ms >= asked_ms else None

    def _offer(self, connection: Connection, rep: Rep, kind: str) -> str | Asked | None:
        held = store.live_offers(connection, rep.id, MEANT_MAX)
        if not held:
            last = store.last_offer(connection, rep.id)
            return None if last is None else f"{kind}_{last.lead}"
        leads = [lead for offer in held if (lead := store.get(connection, offer.lead)) is not None]
        return self._one(connection, rep, kind, leads)

    def _one(
        self, connection: Connection, rep: Rep, kind: str, leads: Sequence[Lead]
    ) -> str | Asked | None:
        if len(leads) > 1:
            rows = [(f"{kind}_{lead.id}", row_title(lead)) for lead in leads]
            key = f"which/{kind}/{leads[0].id}"
            self._desk.reply(connection, rep.id, ASKED, key=key, rows=rows)
            return "asked"
        return f"{kind}_{leads[0].id}" if leads else None

    def _row(self, connection: Connection, rep: Rep, written: str) -> str | None:
        """The row of the list in which we last asked which lead is meant."""
        asked = self._desk.outbox.newest(connection, ref=rep.id, kind="reply")
        if asked is None or asked.get("text") != ASKED:
            return None
        rows = asked.get("rows")
        found = [
            str(button)
            for button, shown in (rows if isinstance(rows, list) else ())
            if str(shown).casefold() == written
        ]
        return found[0] if len(found) == 1 else None


def row_title(lead: Lead) -> str:
    """What stands on a lead's row where somebody is asked which one they mean."""
    return f"{lead.model or '-'} {lead.area or lead.dealer or '-'}"[:TITLE_CHARS_MAX]
