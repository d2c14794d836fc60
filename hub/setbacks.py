"""What a vendor's refusal of one message means for more than that message."""

from typing import Final

from sqlalchemy import Connection

from hub.alerts.service import Alerts
from hub.contacts.service import Contacts
from hub.leads.service import Leads
from hub.outbox.codes import MISTAKES, OPTED_OUT
from hub.outbox.service import Change

REASON_CHARS: Final = 200


class Setbacks:
    """Follows the outbox, in the transactions in which its rows change."""

    def __init__(self, contacts: Contacts, leads: Leads, alerts: Alerts) -> None:
        """Everything happens on the callers' connections."""
        self._contacts, self._leads, self._alerts = contacts, leads, alerts

    def changed(self, connection: Connection, change: Change) -> None:
        """A message has moved on; told at once or by a late status, a code means the same."""
        if change.state != "failed" or change.code is None:
            return
        if change.code == OPTED_OUT:
            self._opted_out(connection, change)
        elif change.code in MISTAKES:
            self._mistaken(connection, change)

    def _opted_out(self, connection: Connection, change: Change) -> None:
        """A customer is believed. A rep has agreed to be asked: that is settled with them."""
        if change.to.startswith("cus_"):
            self._contacts.opt_out(connection, change.to, channel="whatsapp", now_ms=change.at_ms)
            self._leads.opted_out(connection, change.to, change.at_ms)
            return
        self._alerts.raise_(
            connection,
            "P1",
            "rep_stopped_messages",
            f"rep_stopped_messages/{change.to}",
            what=f"{change.to} has stopped promotional messages from our number.",
            consequence="Offers reach this person only on days on which they have tapped Siap.",
            action="Ask them to allow offers and announcements in our WhatsApp chat, and see in "
            "`kickstand-hub whatsapp doctor` which template Meta calls marketing.",
        )

    def _mistaken(self, connection: Connection, change: Change) -> None:
        self._alerts.raise_(
            connection,
            "P1",
            "message_refused",
            f"message_refused/{change.kind}/{change.code}",
            what=f"WhatsApp refuses messages of the kind {change.kind}: "
            f"{(change.reason or 'no reason given')[:REASON_CHARS]} ({change.code}).",
            consequence="Nobody gets such a message until settings or templates are mended.",
            action="See `kickstand-hub whatsapp doctor` and `whatsapp templates status`.",
        )
